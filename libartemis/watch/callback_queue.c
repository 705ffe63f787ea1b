/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/watch/callback_queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void callback_queue_init(struct callback_queue *queue)
{
    TAILQ_INIT(&queue->list);
    queue->count = 0;
}

static void add(struct callback_queue *queue, struct queued_callback *item)
{
    TAILQ_INSERT_TAIL(&queue->list, item, link);
    queue->count++;
}

static void take_out(struct callback_queue *queue, struct queued_callback *item)
{
    TAILQ_REMOVE(&queue->list, item, link);
    queue->count--;
}

enum error callback_queue_add_change(struct callback_queue *queue, struct artemis_watch *watch,
                                     enum artemis_change_type type, struct shared_instance *before,
                                     struct shared_instance *now, int64_t time_ms)
{
    struct queued_callback *item = calloc(1, sizeof *item);
    if (!item)
        return ERR_NO_MEMORY;
    watch->refs++;
    item->watch = watch;
    item->type = type;
    item->before = before ? shared_instance_ref(before) : NULL;
    item->now = now ? shared_instance_ref(now) : NULL;
    item->time_ms = time_ms;
    add(queue, item);
    return ERR_NONE;
}

void callback_queue_add_log(struct callback_queue *queue, enum artemis_log_level level,
                            const char *line)
{
    size_t size = strlen(line) + 1;
    struct queued_callback *item = calloc(1, sizeof *item + size);
    if (!item)
        return;
    item->kind = CALLBACK_LOG;
    item->level = level;
    memcpy(item->text, line, size);
    add(queue, item);
}

enum error callback_queue_add_event(struct callback_queue *queue,
                                    const struct artemis_registration_event *event,
                                    struct shared_instance *instance)
{
    size_t size = strlen(event->message) + 1;
    size_t server_size = strlen(event->server) + 1;
    struct queued_callback *item = calloc(1, sizeof *item + size + server_size);
    if (!item)
        return ERR_NO_MEMORY;
    item->kind = CALLBACK_REGISTRATION;
    item->state = event->state;
    item->now = instance;
    snprintf(item->reason, sizeof item->reason, "%s", event->reason);
    memcpy(item->text, event->message, size);
    item->server = memcpy(item->text + size, event->server, server_size);
    add(queue, item);
    return ERR_NONE;
}

enum error callback_queue_add_topic_event(struct callback_queue *queue,
                                          struct artemis_subscription *subscription,
                                          struct shared_event *event, uint64_t lost)
{
    struct queued_callback *item = calloc(1, sizeof *item);
    if (!item)
        return ERR_NO_MEMORY;
    subscription->refs++;
    item->kind = CALLBACK_TOPIC_EVENT;
    item->subscription = subscription;
    item->topic_event = event ? shared_event_ref(event) : NULL;
    item->lost = lost;
    add(queue, item);
    return ERR_NONE;
}

struct queued_callback *callback_queue_mark(const struct callback_queue *queue)
{
    return TAILQ_LAST(&queue->list, callback_list);
}

void callback_queue_rewind(struct callback_queue *queue, struct queued_callback *mark)
{
    struct queued_callback *last;
    while ((last = TAILQ_LAST(&queue->list, callback_list)) != mark) {
        take_out(queue, last);
        queued_callback_free(last);
    }
}

struct queued_callback *callback_queue_take(struct callback_queue *queue)
{
    struct queued_callback *item = TAILQ_FIRST(&queue->list);
    if (item)
        take_out(queue, item);
    return item;
}

void queued_callback_free(struct queued_callback *item)
{
    shared_instance_unref(item->before);
    shared_instance_unref(item->now);
    watch_unref(item->watch);
    shared_event_unref(item->topic_event);
    subscription_unref(item->subscription);
    free(item);
}

void watch_unref(struct artemis_watch *watch)
{
    if (!watch || --watch->refs > 0)
        return;
    free(watch->filter_texts);
    free(watch);
}

void subscription_unref(struct artemis_subscription *subscription)
{
    if (subscription && --subscription->refs == 0)
        free(subscription);
}
