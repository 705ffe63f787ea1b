/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/push/dispatch.h"

#include <stdlib.h>

#include "artemis-server/registry/change_filter.h"
#include "artemis-server/registry/registry.h"
#include "artemis-web/frames/frame.h"
#include "artemis-web/push/long_polls.h"
#include "artemis-web/push/websocket.h"

enum { LIST_BYTES_MAX = 64 * 1024 }; /* of the changes in one message, if there is more than one */

/* A part of the changes that were read: one batch is dispatched topic by topic. */
struct batch {
    const struct change *changes;
    uint32_t count;
    uint64_t before; /* the revision before the first */
};

/* Changes of a topic are encoded for a view: of the topic, or of "*". */
struct encoding {
    struct topic *topic;
    struct topic_view *view;
    enum push_form form;
};

/* --- sending ---------------------------------------------------------------------------------- */

static void send_jobs(struct dispatch *dispatch, struct frame *frame, uint32_t count)
{
    struct slice bytes = {(const char *)frame->bytes, frame->size};
    sender_pool_send(dispatch->sender_pool, bytes, dispatch->jobs, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct send_job *job = &dispatch->jobs[i];
        websocket_sent(job->context, frame, job->size, job->error);
    }
}

void dispatch_send(struct dispatch *dispatch, struct topic_view *view, enum push_form form,
                   struct frame *frame)
{
    struct subscription *subscription;
    uint32_t count = 0;
    LIST_FOREACH (subscription, &view->subscriptions, view_link) {
        if (subscription->form != form)
            continue;
        if (!websocket_can_send(subscription)) {
            websocket_send(subscription, frame); /* queues it */
            continue;
        }
        dispatch->jobs[count++] =
            (struct send_job){.context = subscription, .socket = subscription->websocket->socket};
        if (count == SEND_JOBS_MAX) {
            send_jobs(dispatch, frame, count);
            count = 0;
        }
    }
    send_jobs(dispatch, frame, count);
}

static void mark_view_lagging(struct topic_view *view)
{
    struct subscription *subscription;
    LIST_FOREACH (subscription, &view->subscriptions, view_link)
        subscription_set_state(subscription, SUBSCRIPTION_LAGGING);
}

static void mark_all_lagging(struct topic *topic)
{
    struct filtered_view *filtered;
    mark_view_lagging(&topic->plain);
    LIST_FOREACH (filtered, &topic->filtered, link)
        mark_view_lagging(&filtered->view);
}

/* Encodes a message around a list of changes. NULL: no memory. */
static struct frame *encode_message(struct topic *topic, enum push_form form, uint64_t revision,
                                    const struct text *list, struct text *message)
{
    struct slice changes = {list->data, list->size};
    text_clear(message);
    if (form == FORM_JAVA)
        text_append_slice(message, changes);
    else
        message_service_change(message, topic_id(topic), revision, changes, false);
    if (text_failed(list) || text_failed(message))
        return NULL;
    return frame_create(FRAME_TEXT, (struct slice){message->data, message->size});
}

/* What is sent to the plain view of a topic is sent to that of "*", too. */
static void send_list(struct push *push, const struct encoding *encoding, uint64_t revision,
                      const struct text *list)
{
    struct topic_view *all = encoding->view->filter ? NULL : &push->topics.all->plain;
    struct frame *frame =
        encode_message(encoding->topic, encoding->form, revision, list, &push->dispatch->message);
    if (frame) {
        dispatch_send(push->dispatch, encoding->view, encoding->form, frame);
        if (all)
            dispatch_send(push->dispatch, all, encoding->form, frame);
    } else {
        mark_view_lagging(encoding->view);
        if (all)
            mark_view_lagging(all);
    }
    frame_unref(frame);
}

/* Appends a change where the view sees it. One that exceeds the limit of the Java clients becomes a
 * reload. */
static void append_change(struct text *list, const struct encoding *encoding,
                          const struct change *change)
{
    const enum push_form form = encoding->form;
    enum change_type type = change->type;
    if (encoding->view->filter && !change_filter_sees(encoding->view->filter, change, &type))
        return;
    message_change(list, form, change->instance, type, change->wall_ms);
    if (form != FORM_JAVA || list->size <= JAVA_MESSAGE_BYTES_MAX)
        return;
    text_clear(list);
    message_reload(list, form, topic_id(encoding->topic), change->wall_ms);
}

static void send_changes(struct push *push, const struct encoding *encoding,
                         const struct batch *batch, struct text *list)
{
    const struct topic *topic = encoding->topic;
    text_clear(list);
    for (uint32_t at = topic->first_change; at; at = push->dispatch->next_of_topic[at - 1]) {
        append_change(list, encoding, &batch->changes[at - 1]);
        bool is_complete =
            encoding->form == FORM_JAVA || at == topic->last_change || list->size > LIST_BYTES_MAX;
        bool is_empty = list->size == 0 && !text_failed(list);
        if (!is_complete || is_empty)
            continue;
        send_list(push, encoding, batch->before + at, list);
        text_clear(list);
    }
}

/* Sends the changes of a topic to the filtered views of the topic, or of "*". */
static void send_filtered(struct push *push, struct topic *topic, const struct topic *of,
                          const struct batch *batch)
{
    struct filtered_view *filtered;
    LIST_FOREACH (filtered, &of->filtered, link) {
        struct encoding encoding = {.topic = topic, .view = &filtered->view};
        for (encoding.form = 0; encoding.form < FORM_COUNT; encoding.form++)
            if (filtered->view.form_subscriptions[encoding.form])
                send_changes(push, &encoding, batch, &push->dispatch->list);
    }
}

/* --- batches ---------------------------------------------------------------------------------- */

/* Returns the topic of a change where it has subscribers, or where "*" has. */
static struct topic *topic_of_change(struct push *push, const struct change *change)
{
    struct slice id = instance_text(change->instance, FIELD_SERVICE);
    if (!topic_has_subscriptions(push->topics.all))
        return topics_find(&push->topics, id);
    struct topic *topic = topics_get(&push->topics, id);
    if (!topic)
        mark_all_lagging(push->topics.all);
    return topic;
}

/* Links the changes of each topic; appends the topics to a list in the order of their first
 * changes. */
static void group_by_topic(struct push *push, const struct batch *batch,
                           struct topic_queue *changed)
{
    uint32_t *next_of_topic = push->dispatch->next_of_topic;
    for (uint32_t at = 1; at <= batch->count; at++) {
        struct topic *topic = topic_of_change(push, &batch->changes[at - 1]);
        next_of_topic[at - 1] = 0;
        if (!topic)
            continue;
        if (topic->first_change) {
            next_of_topic[topic->last_change - 1] = at;
        } else {
            topic->first_change = at;
            STAILQ_INSERT_TAIL(changed, topic, changed_link);
        }
        topic->last_change = at;
    }
}

static void dispatch_topic(struct push *push, struct topic *topic, const struct batch *batch)
{
    const struct topic *all = push->topics.all;
    struct encoding plain = {.topic = topic, .view = &topic->plain};
    topic_drop_states(topic);
    for (plain.form = 0; plain.form < FORM_COUNT; plain.form++)
        if (topic->plain.form_subscriptions[plain.form] ||
            all->plain.form_subscriptions[plain.form])
            send_changes(push, &plain, batch, &push->dispatch->list);
    send_filtered(push, topic, topic, batch);
    send_filtered(push, topic, all, batch);
    long_polls_end_topic(push, topic, batch->before + topic->last_change);
    topic->first_change = topic->last_change = 0;
}

static void dispatch_batch(struct push *push, const struct batch *batch)
{
    struct topic_queue changed = STAILQ_HEAD_INITIALIZER(changed);
    struct topic *topic;
    group_by_topic(push, batch, &changed);
    STAILQ_FOREACH (topic, &changed, changed_link)
        dispatch_topic(push, topic, batch);
    long_polls_end_topic(push, push->topics.all, batch->before + batch->count);
    atomic_store(&push->dispatched, batch->before + batch->count);
}

/* Returns how many changes form the next batch: all, or the consecutive ones of one service where
 * "*" is subscribed. */
static uint32_t batch_size(const struct push *push, const struct change *changes, uint32_t count)
{
    struct slice first = instance_text(changes[0].instance, FIELD_SERVICE);
    uint32_t size = 1;
    if (!topic_has_subscriptions(push->topics.all))
        return count;
    while (size < count && slice_equal(instance_text(changes[size].instance, FIELD_SERVICE), first))
        size++;
    return size;
}

static void dispatch_changes(struct push *push, const struct change *changes, uint32_t count)
{
    for (uint32_t done = 0; done < count;) {
        struct batch batch = {.changes = changes + done,
                              .count = batch_size(push, changes + done, count - done),
                              .before = atomic_load(&push->dispatched)};
        dispatch_batch(push, &batch);
        done += batch.count;
    }
    for (uint32_t i = 0; i < count; i++)
        instance_unref(changes[i].instance);
}

/* The change log has dropped changes that are not dispatched: all subscriptions need the full
 * state. */
static void skip_dropped_changes(struct push *push)
{
    struct websocket *websocket;
    atomic_store(&push->dispatched, registry_revision(push->engine->registry));
    topics_drop_states(&push->topics);
    long_polls_end_all(push);
    LIST_FOREACH (websocket, &push->websockets, link)
        subscriptions_lag(websocket);
}

bool dispatch_until(struct push *push, uint64_t revision)
{
    struct change *changes = push->dispatch->changes;
    uint64_t dispatched;
    while ((dispatched = atomic_load(&push->dispatched)) < revision) {
        uint64_t pending = revision - dispatched;
        size_t max = pending < CHANGES_PER_BATCH ? (size_t)pending : CHANGES_PER_BATCH;
        size_t count = 0;
        if (registry_changes(push->engine->registry, dispatched, changes, max, &count)) {
            skip_dropped_changes(push);
            return false;
        }
        if (count == 0)
            break;
        dispatch_changes(push, changes, (uint32_t)count);
    }
    return true;
}

/* --- start and end ---------------------------------------------------------------------------- */

enum error dispatch_create(uint32_t threads, struct dispatch **out)
{
    struct dispatch *dispatch = calloc(1, sizeof(*dispatch));
    enum error error = ERR_NO_MEMORY;
    if (!dispatch)
        return error;
    dispatch->jobs = malloc(SEND_JOBS_MAX * sizeof(*dispatch->jobs));
    dispatch->changes = malloc(CHANGES_PER_BATCH * sizeof(*dispatch->changes));
    dispatch->next_of_topic = malloc(CHANGES_PER_BATCH * sizeof(*dispatch->next_of_topic));
    if (dispatch->jobs && dispatch->changes && dispatch->next_of_topic)
        error = sender_pool_start(threads, &dispatch->sender_pool);
    if (error)
        dispatch_free(dispatch);
    else
        *out = dispatch;
    return error;
}

void dispatch_free(struct dispatch *dispatch)
{
    if (!dispatch)
        return;
    sender_pool_stop(dispatch->sender_pool);
    free(dispatch->jobs);
    free(dispatch->changes);
    free(dispatch->next_of_topic);
    text_free(&dispatch->list);
    text_free(&dispatch->message);
    free(dispatch);
}
