/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes to subscribers: the log is read from where it was left, what belongs to one service is
 * put together, and encoded once for each form that is read.
 *
 * State and changes fit together: before the newest state of a service is sent, all changes up to
 * its version are handed out, so nothing older can follow it.
 */
#include <string.h>

#include "artemis-server/registry/registry_watch.h"
#include "artemis-web/push/frame.h"
#include "artemis-web/push/push_internal.h"

enum {
    FRAME_BYTES_MAX = 64 * 1024,   /* of changes in one message, if they are more than one */
    STATE_BYTES_MAX = 1024 * 1024, /* a larger state is to be fetched by HTTP */
    /* Sent to one WebSocket before others have their turn. */
    STATE_BYTES_AT_ONCE = 256 * 1024,
    KEPT_STATE_BYTES_MAX = 64 * 1024 * 1024,
};

static struct subscription *subscription_of(struct subscriber *subscriber)
{
    return (struct subscription *)subscriber;
}

/* Sends to those that were gathered. */
static void send_gathered(struct push *push, struct frame *frame, uint32_t count)
{
    struct slice bytes = {(const char *)frame->bytes, frame->size};
    sender_pool_send(push->sender_pool, bytes, push->jobs, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct send_job *job = &push->jobs[i];
        struct subscription *of = job->of;
        websocket_sent(of->websocket, frame, of, job->size, job->error);
    }
}

/* Sends to those of a topic that read this form. Each of its sockets is there once, so what becomes
 * of one does not change another. */
static void send_to(struct push *push, struct topic *topic, enum push_form form,
                    struct frame *frame)
{
    struct subscriber *next;
    uint32_t count = 0;
    for (struct subscriber *subscriber = topic->subscribers[SUBSCRIBER_WEBSOCKET]; subscriber;
         subscriber = next) {
        struct subscription *of = subscription_of(subscriber);
        next = subscriber->next; /* a socket that fails goes, with this subscription */
        if (of->form != form)
            continue;
        if (websocket_can_send_now(of->websocket, of))
            push->jobs[count++] = (struct send_job){.of = of, .socket = of->websocket->socket};
        else
            websocket_send(of->websocket, frame, of);
        if (count == SEND_JOBS_MAX) {
            send_gathered(push, frame, count);
            count = 0;
        }
    }
    send_gathered(push, frame, count);
}

/* Everybody in a topic has missed something. */
static void mark_all_lagging(struct topic *topic)
{
    for (struct subscriber *subscriber = topic->subscribers[SUBSCRIBER_WEBSOCKET]; subscriber;
         subscriber = subscriber->next)
        subscription_mark_lagging(subscription_of(subscriber));
}

static bool is_read(const struct topic *topic, enum push_form form)
{
    return topic->readers[form] > 0;
}

static void send_message(struct push *push, struct topic *topic, enum push_form form,
                         uint64_t version)
{
    struct text *changes = &push->scratch[0];
    struct text *message = &push->scratch[1];
    text_clear(message);
    struct slice list = {changes->data, changes->size};
    if (form == FORM_JAVA)
        text_append_slice(message, list);
    else
        message_service_change(message, topic_id(topic), version, list, false);
    struct frame *frame = NULL;
    if (!text_failed(changes) && !text_failed(message))
        frame = frame_create(FRAME_TEXT, (struct slice){message->data, message->size});
    if (frame) {
        send_to(push, topic, form, frame);
        send_to(push, push->topics.all, form, frame);
    } else {
        mark_all_lagging(topic);
        mark_all_lagging(push->topics.all);
    }
    frame_unref(frame);
    text_clear(changes);
}

/* A change that Java clients could not read becomes a reload. */
static void write_change(struct push *push, const struct topic *topic, enum push_form form,
                         const struct change *change)
{
    struct text *changes = &push->scratch[0];
    message_change(changes, form, change->instance, change->type, change->wall_ms);
    if (form != FORM_JAVA || changes->size <= JAVA_MESSAGE_BYTES_MAX)
        return;
    text_clear(changes);
    message_reload(changes, form, topic_id(topic), change->wall_ms);
}

static void send_changes(struct push *push, struct topic *topic, enum push_form form,
                         const struct change *batch, uint64_t before)
{
    struct text *changes = &push->scratch[0];
    text_clear(changes);
    for (uint32_t at = topic->first_change; at; at = push->next_of_topic[at - 1]) {
        write_change(push, topic, form, &batch[at - 1]);
        if (form == FORM_JAVA || at == topic->last_change || changes->size > FRAME_BYTES_MAX)
            send_message(push, topic, form, before + at);
    }
}

static void dispatch_topic(struct push *push, struct topic *topic, const struct change *batch,
                           uint64_t before)
{
    topic_drop_state(topic);
    for (enum push_form form = 0; form < FORM_COUNT; form++)
        if (is_read(topic, form) || is_read(push->topics.all, form))
            send_changes(push, topic, form, batch, before);
    long_polls_end_topic(push, topic);
    topic->first_change = topic->last_change = 0; /* until here it stays */
    topics_release(&push->topics, topic);
}

/* The topic of a change, if somebody watches it: its own, or "*". */
static struct topic *topic_of_change(struct push *push, const struct change *change)
{
    struct slice id = instance_text(change->instance, FIELD_SERVICE);
    if (push->topics.all->subscribers[SUBSCRIBER_WEBSOCKET]) {
        struct topic *topic = topics_take(&push->topics, id);
        if (!topic)
            mark_all_lagging(push->topics.all);
        return topic;
    }
    return topics_find(&push->topics, id);
}

/* Puts together what belongs to one service; returns the services, the first changed first. */
static struct topic *sort_batch(struct push *push, const struct change *batch, uint32_t count)
{
    struct topic *first = NULL;
    struct topic **last = &first;
    for (uint32_t at = 1; at <= count; at++) {
        struct topic *topic = topic_of_change(push, &batch[at - 1]);
        push->next_of_topic[at - 1] = 0;
        if (!topic)
            continue;
        if (topic->first_change) {
            push->next_of_topic[topic->last_change - 1] = at;
        } else {
            topic->first_change = at;
            topic->next_changed = NULL;
            *last = topic;
            last = &topic->next_changed;
        }
        topic->last_change = at;
    }
    return first;
}

static void dispatch_batch(struct push *push, const struct change *batch, uint32_t count)
{
    uint64_t before = atomic_load(&push->dispatched);
    struct topic *next;
    for (struct topic *topic = sort_batch(push, batch, count); topic; topic = next) {
        next = topic->next_changed;
        dispatch_topic(push, topic, batch, before);
    }
    long_polls_end_topic(push, push->topics.all);
    atomic_store(&push->dispatched, before + count);
}

/* Who watches every service gets the versions in their order, so that the last one it has seen
 * tells what it has missed: only changes of one service that follow each other are put together
 * then. */
static uint32_t same_service_run(const struct push *push, const struct change *batch,
                                 uint32_t count)
{
    uint32_t same = 1;
    if (!push->topics.all->subscribers[SUBSCRIBER_WEBSOCKET])
        return count;
    while (same < count && slice_equal(instance_text(batch[same].instance, FIELD_SERVICE),
                                       instance_text(batch[0].instance, FIELD_SERVICE)))
        same++;
    return same;
}

static void dispatch_all(struct push *push, uint32_t count)
{
    uint32_t done = 0;
    while (done < count) {
        uint32_t size = same_service_run(push, push->batch + done, count - done);
        dispatch_batch(push, push->batch + done, size);
        done += size;
    }
    for (uint32_t i = 0; i < count; i++)
        instance_unref(push->batch[i].instance);
}

/* The log has dropped what we have not read: everybody gets the newest state. */
static void overrun(struct push *push)
{
    push->overruns++;
    atomic_store(&push->dispatched, registry_revision(push->engine->registry));
    long_polls_end_all(push);
    for (struct websocket *websocket = push->websockets; websocket; websocket = websocket->next) {
        for (struct subscription *of = websocket->subscriptions; of; of = of->next) {
            topic_drop_state(of->subscriber.topic);
            subscription_mark_lagging(of);
        }
    }
}

void push_dispatch(struct push *push, uint64_t version)
{
    struct registry *registry = push->engine->registry;
    size_t count = 1;
    while (count && atomic_load(&push->dispatched) < version) {
        uint64_t seen = atomic_load(&push->dispatched);
        size_t max = version - seen < CHANGES_AT_ONCE ? (size_t)(version - seen) : CHANGES_AT_ONCE;
        if (registry_changes(registry, seen, push->batch, max, &count))
            overrun(push);
        else if (count)
            dispatch_all(push, (uint32_t)count);
    }
}

/* --- the newest state ------------------------------------------------------------------------- */

bool push_has_newer(struct push *push, struct slice service_id, uint64_t version)
{
    struct registry *registry = push->engine->registry;
    if (version > registry_revision(registry))
        return true; /* of another node, or of a run with another clock */
    if (slice_equal(service_id, SLICE("*")))
        return version < registry_revision(registry);
    uint64_t latest = registry_service_revision(registry, service_id);
    return latest ? latest > version : version > 0; /* it may have gone meanwhile */
}

/* Appends a reload and the whole state. False: it is not whole, but to be fetched. */
static bool write_state(struct push *push, const struct topic *topic, enum push_form form,
                        const struct registry_members *members)
{
    struct text *changes = &push->scratch[0];
    uint64_t wall_ms = push->now.wall_ms;
    text_clear(changes);
    message_reload(changes, form, topic_id(topic), wall_ms);
    if (form == FORM_JAVA)
        return true; /* that has them ask */
    if (topic == push->topics.all)
        return false;
    size_t reload_bytes = changes->size;
    for (size_t i = 0; i < members->count && changes->size <= STATE_BYTES_MAX; i++)
        message_change(changes, form, members->instances[i], CHANGE_NEW, wall_ms);
    if (changes->size <= STATE_BYTES_MAX)
        return true;
    changes->size = reload_bytes;
    return false;
}

static struct frame *build_state(struct push *push, struct topic *topic, enum push_form form,
                                 const struct registry_members *members, uint64_t version)
{
    struct text *message = &push->scratch[1];
    bool whole = write_state(push, topic, form, members);
    struct slice changes = {push->scratch[0].data, push->scratch[0].size};
    text_clear(message);
    if (form == FORM_JAVA)
        text_append_slice(message, changes);
    else
        message_service_change(message, topic_id(topic), version, changes, !whole);
    if (text_failed(&push->scratch[0]) || text_failed(message))
        return NULL;
    return frame_create(FRAME_TEXT, (struct slice){message->data, message->size});
}

/* Reads the members, and hands out all changes up to their version. Once more where the log had
 * dropped some of these: what it overruns then may be later than what was read. */
static enum error read_members(struct push *push, struct topic *topic,
                               struct registry_members *members, uint64_t *version)
{
    struct registry *registry = push->engine->registry;
    bool all = topic == push->topics.all;
    enum error error = ERR_NONE;
    uint64_t overruns;
    *members = (struct registry_members){0};
    topic->pinned = true; /* its last subscriber may fail meanwhile */
    do {
        overruns = push->overruns;
        registry_members_free(members);
        if (!all)
            error = registry_members(registry, topic_id(topic), members);
        *version = all ? registry_revision(registry) : members->revision;
        if (!error)
            push_dispatch(push, *version);
    } while (!error && push->overruns != overruns);
    topic->pinned = false;
    return error;
}

/* The state of a topic, for all who need it now; kept for a while, unless the service changes. The
 * caller's reference. NULL: out of memory. */
static struct frame *newest_state(struct push *push, struct topic *topic, enum push_form form)
{
    struct registry_members members;
    uint64_t version;
    bool all = topic == push->topics.all;
    if (topic->state[form] &&
        topic->state_version == registry_service_revision(push->engine->registry, topic_id(topic)))
        return frame_ref(topic->state[form]);
    if (read_members(push, topic, &members, &version))
        return NULL;
    struct frame *frame = build_state(push, topic, form, &members,
                                      version ? version : atomic_load(&push->dispatched));
    if (topic->state_version != members.revision)
        topic_drop_state(topic);
    if (push->topics.kept_bytes > KEPT_STATE_BYTES_MAX)
        topics_drop_states(&push->topics);
    if (frame && !all) {
        topic->state_version = members.revision;
        topic_keep_state(&push->topics, topic, form, frame_ref(frame));
    }
    registry_members_free(&members);
    return frame;
}

/* Sends the newest state to one subscription. False: no more can be sent now, or at all. */
static bool resync(struct push *push, struct websocket *websocket, struct subscription *of,
                   size_t *sent_bytes)
{
    struct topic *topic = of->subscriber.topic;
    if (websocket->endpoint == ENDPOINT_JAVA_ALL_CHANGES) {
        websocket_close_lagging(websocket);
        return false;
    }
    struct frame *frame = newest_state(push, topic, of->form);
    if (websocket->state == WEBSOCKET_CLOSED) { /* and `of` with it */
        topics_release(&push->topics, topic);
    } else if (!frame) {
        websocket_close(websocket, WSLAY_CODE_INTERNAL_SERVER_ERROR, "out of memory");
    } else {
        push_count(&push->counters.resyncs, 1);
        *sent_bytes += frame->size;
        of->lagging = false;
        websocket_send(websocket, frame, of);
    }
    frame_unref(frame);
    return websocket->state == WEBSOCKET_OPEN;
}

void push_resync(struct push *push, struct websocket *websocket)
{
    struct subscription *next;
    size_t sent_bytes = 0;
    websocket->lagging = false;
    for (struct subscription *of = websocket->subscriptions; of; of = next) {
        next = of->next;
        if (!of->lagging)
            continue;
        if (websocket->queue.count || sent_bytes > STATE_BYTES_AT_ONCE) {
            websocket->lagging = true; /* at the next chance */
            return;
        }
        if (!resync(push, websocket, of, &sent_bytes))
            return;
    }
}
