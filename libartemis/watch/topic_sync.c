/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/watch/topic_sync.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char no_websocket[] = "the server has no WebSocket, and so no topics of events";

static struct event_topic *find(const struct topic_sync *sync, const char *name)
{
    struct event_topic *topic;
    LIST_FOREACH (topic, &sync->topics, link)
        if (strcmp(topic->name, name) == 0)
            return topic;
    return NULL;
}

void topic_sync_init(struct topic_sync *sync, struct callback_queue *callbacks)
{
    *sync = (struct topic_sync){.callbacks = callbacks};
    LIST_INIT(&sync->topics);
}

static struct event_topic *create(struct topic_sync *sync, const char *name)
{
    struct event_topic *topic = calloc(1, sizeof *topic);
    if (!topic)
        return NULL;
    snprintf(topic->name, sizeof topic->name, "%s", name);
    LIST_INIT(&topic->subscriptions);
    LIST_INSERT_HEAD(&sync->topics, topic, link);
    return topic;
}

static void remove_topic(struct event_topic *topic)
{
    LIST_REMOVE(topic, link);
    event_order_free(&topic->order);
    free(topic);
}

/* Releases the reference of the topic. */
static void end(struct artemis_subscription *subscription)
{
    LIST_REMOVE(subscription, link);
    subscription->topic = NULL;
    subscription_unref(subscription);
}

void topic_sync_free(struct topic_sync *sync)
{
    struct event_topic *topic;
    struct artemis_subscription *subscription;
    while ((topic = LIST_FIRST(&sync->topics))) {
        while ((subscription = LIST_FIRST(&topic->subscriptions))) {
            end(subscription);
            subscription_unref(subscription); /* the caller's: it ends with its client */
        }
        remove_topic(topic);
    }
}

static void refuse(struct event_topic *topic, uint64_t retry_ms, const char *reason)
{
    topic->phase = TOPIC_UNSUBSCRIBED;
    topic->due_ms = retry_ms;
    topic->refused = true;
    snprintf(topic->reason, sizeof topic->reason, "%s", reason);
}

enum error topic_sync_add(struct topic_sync *sync, struct artemis_subscription *subscription)
{
    struct event_topic *topic = find(sync, subscription->name);
    bool is_another = !topic || LIST_EMPTY(&topic->subscriptions);
    if (is_another && sync->count == TOPICS_MAX)
        return ERR_TOO_MANY_ITEMS;
    if (!topic)
        topic = create(sync, subscription->name);
    if (!topic)
        return ERR_NO_MEMORY;
    if (topic->refused) /* ask again: the caller waits for the result */
        topic->due_ms = 0;
    topic->refused = false;
    if (sync->polls)
        refuse(topic, 0, no_websocket);
    LIST_INSERT_HEAD(&topic->subscriptions, subscription, link);
    sync->count += is_another;
    subscription->topic = topic;
    subscription->is_active = topic->phase == TOPIC_ACTIVE;
    subscription->refs++;
    return ERR_NONE;
}

void topic_sync_remove(struct topic_sync *sync, struct artemis_subscription *subscription)
{
    struct event_topic *topic = subscription->topic;
    end(subscription);
    if (!LIST_EMPTY(&topic->subscriptions))
        return;
    sync->count--;
    if (topic->phase == TOPIC_UNSUBSCRIBED && !topic->is_late)
        remove_topic(topic);
}

/* --- connection ------------------------------------------------------------------------------- */

void topic_sync_connected(struct topic_sync *sync, bool polls)
{
    struct event_topic *topic;
    topic_sync_disconnected(sync);
    sync->connected = !polls;
    sync->polls = polls;
    if (!polls)
        return;
    LIST_FOREACH (topic, &sync->topics, link)
        refuse(topic, 0, no_websocket);
}

void topic_sync_disconnected(struct topic_sync *sync)
{
    struct event_topic *next;
    sync->connected = false;
    sync->polls = false;
    for (struct event_topic *topic = LIST_FIRST(&sync->topics); topic; topic = next) {
        next = LIST_NEXT(topic, link);
        topic->phase = TOPIC_UNSUBSCRIBED;
        topic->due_ms = 0;
        topic->refused = false;
        topic->is_late = false;
        if (LIST_EMPTY(&topic->subscriptions))
            remove_topic(topic);
    }
}

/* --- losses ----------------------------------------------------------------------------------- */

/* Queues a callback for what was lost, if there is something. False: no memory. */
static bool report_loss(const struct topic_sync *sync, struct artemis_subscription *subscription)
{
    if (subscription->lost == 0 && !subscription->is_interrupted)
        return true;
    uint64_t lost = subscription->is_interrupted ? 0 : subscription->lost;
    if (callback_queue_add_topic_event(sync->callbacks, subscription, NULL, lost))
        return false;
    subscription->lost = 0;
    subscription->is_interrupted = false;
    return true;
}

/* `count` 0: an unknown number. */
static void lose(const struct topic_sync *sync, struct event_topic *topic, uint64_t count)
{
    struct artemis_subscription *subscription;
    LIST_FOREACH (subscription, &topic->subscriptions, link) {
        subscription->lost += count;
        subscription->is_interrupted |= count == 0;
        (void)report_loss(sync, subscription); /* without memory topic_sync_next repeats it */
    }
}

/* False: no memory for one. */
static bool report_losses(const struct topic_sync *sync)
{
    const struct event_topic *topic;
    struct artemis_subscription *subscription;
    LIST_FOREACH (topic, &sync->topics, link)
        LIST_FOREACH (subscription, &topic->subscriptions, link)
            if (!report_loss(sync, subscription))
                return false;
    return true;
}

/* --- next message ----------------------------------------------------------------------------- */

/* Before subscriptions: the server may be at its limit. */
static bool next_unsubscription(struct topic_sync *sync, struct text *message)
{
    struct event_topic *topic;
    LIST_FOREACH (topic, &sync->topics, link) {
        if (!LIST_EMPTY(&topic->subscriptions))
            continue;
        wire_write_topic(message, topic->name, false);
        remove_topic(topic);
        return true;
    }
    return false;
}

/* True: *message is due for this topic. */
static bool next_subscription(struct event_topic *topic, uint64_t now_ms, struct text *message)
{
    if (topic->due_ms > now_ms || topic->phase == TOPIC_ACTIVE)
        return false;
    if (topic->phase == TOPIC_SUBSCRIBING) {
        refuse(topic, now_ms + TOPIC_RETRY_MS, "the server does not confirm the subscription");
        topic->is_late = true;
        return false;
    }
    wire_write_topic(message, topic->name, true);
    topic->phase = TOPIC_SUBSCRIBING;
    topic->is_late = false;
    topic->due_ms = now_ms + TOPIC_CONFIRM_TIMEOUT_MS;
    return true;
}

bool topic_sync_next(struct topic_sync *sync, uint64_t now_ms, struct text *message,
                     uint64_t *at_ms)
{
    struct event_topic *topic;
    *message = (struct text){0};
    *at_ms = report_losses(sync) ? UINT64_MAX : now_ms + TOPIC_NO_MEMORY_MS;
    if (!sync->connected)
        return false;
    if (next_unsubscription(sync, message))
        return true;
    LIST_FOREACH (topic, &sync->topics, link) {
        if (next_subscription(topic, now_ms, message))
            return true;
        if (topic->phase != TOPIC_ACTIVE && topic->due_ms < *at_ms)
            *at_ms = topic->due_ms;
    }
    return false;
}

/* --- pushes ----------------------------------------------------------------------------------- */

static void on_confirmed(const struct topic_sync *sync, struct event_topic *topic)
{
    struct artemis_subscription *subscription;
    topic->phase = TOPIC_ACTIVE;
    topic->refused = false;
    topic->is_late = false;
    LIST_FOREACH (subscription, &topic->subscriptions, link) {
        subscription->is_interrupted |= subscription->is_active;
        subscription->is_active = true;
        (void)report_loss(sync, subscription); /* without memory topic_sync_next repeats it */
    }
}

static void on_error(struct event_topic *topic, const struct push_message *message, uint64_t now_ms)
{
    if (!message->limited) {
        refuse(topic, now_ms + TOPIC_RETRY_MS, message->message);
        return;
    }
    topic->phase = TOPIC_UNSUBSCRIBED;
    topic->due_ms = now_ms + TOPIC_LIMITED_MS;
}

static void on_event(const struct topic_sync *sync, struct event_topic *topic,
                     struct shared_event *event, uint64_t now_ms)
{
    struct artemis_subscription *subscription;
    bool is_admitted = false;
    uint64_t missed; /* of all topics */
    enum error error = ERR_INVALID_FIELD;
    if (event)
        error = event_order_admit(&topic->order, slice_of(event->view.node_id),
                                  slice_of(event->view.run), event->view.number, now_ms,
                                  &is_admitted, &missed);
    if (error) {
        lose(sync, topic, 1);
        return;
    }
    if (!is_admitted)
        return;
    LIST_FOREACH (subscription, &topic->subscriptions, link)
        if (!report_loss(sync, subscription) ||
            callback_queue_add_topic_event(sync->callbacks, subscription, event, 0))
            subscription->lost++;
}

void topic_sync_push(struct topic_sync *sync, const struct push_message *message, uint64_t now_ms)
{
    struct event_topic *topic = message->topic[0] ? find(sync, message->topic) : NULL;
    if (!topic)
        return;
    bool is_subscribing = topic->phase == TOPIC_SUBSCRIBING;
    bool is_active = topic->phase == TOPIC_ACTIVE;
    if (message->type == PUSH_SUBSCRIBED_TOPIC && (is_subscribing || topic->is_late))
        on_confirmed(sync, topic);
    if (message->type == PUSH_ERROR && is_subscribing)
        on_error(topic, message, now_ms);
    if (message->type == PUSH_EVENT && is_active)
        on_event(sync, topic, message->event, now_ms);
    if (message->type == PUSH_EVENTS_LOST && is_active)
        lose(sync, topic, message->lost);
}
