/* SPDX-License-Identifier: Apache-2.0
 *
 * Full states for lagging subscriptions.
 */
#include <wslay/wslay.h>

#include "artemis-server/registry/registry.h"
#include "artemis-web/frames/frame.h"
#include "artemis-web/push/dispatch.h"
#include "artemis-web/push/websocket.h"

enum {
    STATE_BYTES_MAX = 1024 * 1024, /* a larger state is not sent: the client requests it by HTTP */
    WEBSOCKET_BYTES_PER_TURN = 256 * 1024,
    BYTES_PER_TURN = 4 * 1024 * 1024, /* for all WebSockets */
    CACHED_BYTES_MAX = 64 * 1024 * 1024,
    CHECK_BYTES = 64, /* an instance that a filter is applied to counts as so many bytes */
};

/* Appends a reload and all instances. False: the state is too large, only the reload was
 * appended. */
static bool append_state(struct text *list, const struct topic *topic, enum push_form form,
                         const struct registry_members *members, uint64_t wall_ms)
{
    message_reload(list, form, topic_id(topic), wall_ms);
    size_t reload_bytes = list->size;
    for (size_t i = 0; i < members->count && list->size <= STATE_BYTES_MAX; i++)
        message_change(list, form, members->instances[i], CHANGE_NEW, wall_ms);
    if (list->size <= STATE_BYTES_MAX)
        return true;
    list->size = reload_bytes;
    return false;
}

/* Encodes a state. Java clients get the reload alone and request the state by HTTP, and so do
 * subscriptions to "*". NULL: no memory. */
static struct frame *encode_state(struct push *push, const struct topic *topic, enum push_form form,
                                  const struct registry_members *members, uint64_t revision)
{
    struct text list = {0};
    struct text message = {0};
    struct frame *frame = NULL;
    bool is_complete = false;
    if (form == FORM_JAVA) {
        message_reload(&message, form, topic_id(topic), push->now.wall_ms);
    } else {
        if (topic == push->topics.all)
            message_reload(&list, form, topic_id(topic), push->now.wall_ms);
        else
            is_complete = append_state(&list, topic, form, members, push->now.wall_ms);
        message_service_change(&message, topic_id(topic), revision,
                               (struct slice){list.data, list.size}, !is_complete);
    }
    if (!text_failed(&list) && !text_failed(&message))
        frame = frame_create(FRAME_TEXT, (struct slice){message.data, message.size});
    text_free(&list);
    text_free(&message);
    return frame;
}

static void cache_state(struct push *push, const struct subscription *subscription,
                        struct frame *frame, uint64_t revision)
{
    struct topic *topic = subscription->topic;
    if (topic->state_revision != revision)
        topic_drop_states(topic);
    if (push->topics.cached_bytes > CACHED_BYTES_MAX)
        topics_drop_states(&push->topics);
    topic->state_revision = revision;
    topic_cache_state(&push->topics, topic, subscription->view, subscription->form,
                      frame_ref(frame));
}

enum state_result { STATE_READY, STATE_LATER, STATE_NO_MEMORY };

/* Encodes the state of "*", which is the revision alone. */
static enum state_result build_state_of_all(struct push *push, enum push_form form,
                                            struct frame **out)
{
    const struct registry_members none = {0};
    uint64_t revision = registry_revision(push->engine->registry);
    if (!dispatch_until(push, revision))
        return STATE_LATER;
    *out = encode_state(push, push->topics.all, form, &none, revision);
    return *out ? STATE_READY : STATE_NO_MEMORY;
}

/* Reads the instances of a service, dispatches all changes up to their revision, and encodes those
 * that the view sees. STATE_LATER: the change log had dropped changes, so the instances may be
 * outdated. */
static enum state_result build_state(struct push *push, const struct subscription *subscription,
                                     struct frame **out, size_t *bytes)
{
    const struct topic *topic = subscription->topic;
    const struct instance_filter *filter = subscription->view->filter;
    struct registry_members members = {0};
    enum state_result result = STATE_LATER;
    enum error error = registry_members(push->engine->registry, topic_id(topic), true, &members);
    if (error && error != ERR_SERVICE_NOT_FOUND) /* an unknown service has an empty state */
        return STATE_NO_MEMORY;
    if (dispatch_until(push, members.revision)) {
        uint64_t revision = members.revision ? members.revision : atomic_load(&push->dispatched);
        if (filter) {
            *bytes += members.count * CHECK_BYTES;
            registry_members_filter(&members, filter);
        }
        *out = encode_state(push, topic, subscription->form, &members, revision);
        result = *out ? STATE_READY : STATE_NO_MEMORY;
        if (*out)
            cache_state(push, subscription, *out, members.revision);
    }
    registry_members_free(&members);
    return result;
}

/* Returns the state at a revision up to which all changes are dispatched; the caller owns the
 * reference. */
static enum state_result get_state(struct push *push, const struct subscription *subscription,
                                   struct frame **out, size_t *bytes)
{
    const struct topic *topic = subscription->topic;
    struct frame *cached = subscription->view->state[subscription->form];
    if (topic == push->topics.all)
        return build_state_of_all(push, subscription->form, out);
    uint64_t revision = registry_service_revision(push->engine->registry, topic_id(topic));
    if (!cached || topic->state_revision != revision)
        return build_state(push, subscription, out, bytes);
    *out = frame_ref(cached);
    return STATE_READY;
}

static enum state_result get_state_of(struct push *push, const struct subscription *subscription,
                                      struct frame **out, size_t *bytes)
{
    if (!subscription->is_of_events)
        return get_state(push, subscription, out, bytes);
    *out = dispatch_lost_events(subscription);
    return *out ? STATE_READY : STATE_NO_MEMORY;
}

/* A number of lost events is not dropped when the queue is full again: it would be lost, too. */
static void send_state(struct subscription *subscription, struct frame *frame)
{
    subscription_set_state(subscription, SUBSCRIPTION_CURRENT);
    subscription->lost = 0;
    if (subscription->is_of_events)
        websocket_send_control(subscription->websocket, frame);
    else
        websocket_send(subscription, frame);
}

/* Resyncs the lagging subscriptions of a WebSocket until it has got its share of bytes, or is
 * blocked or closed. Returns the bytes; *overrun is set where the change log has dropped
 * changes. */
static size_t resync_websocket(struct push *push, struct websocket *websocket, bool *overrun)
{
    size_t bytes = 0;
    while (websocket->output == OUTPUT_RESYNC && bytes <= WEBSOCKET_BYTES_PER_TURN) {
        struct subscription *subscription = TAILQ_FIRST(&websocket->lagging);
        struct frame *frame = NULL;
        enum state_result result = get_state_of(push, subscription, &frame, &bytes);
        *overrun = result == STATE_LATER;
        if (*overrun)
            return bytes;
        if (result == STATE_NO_MEMORY)
            websocket_close(websocket, WSLAY_CODE_INTERNAL_SERVER_ERROR, "out of memory");
        else if (websocket->output ==
                 OUTPUT_RESYNC) { /* dispatching may have blocked or ended it */
            push_count(&push->counters.resyncs, !subscription->is_of_events);
            bytes += frame->size;
            send_state(subscription, frame);
        }
        frame_unref(frame);
    }
    return bytes;
}

void dispatch_resync(struct push *push)
{
    size_t bytes = 0;
    bool overrun = false;
    struct websocket *websocket;
    while (!overrun && bytes < BYTES_PER_TURN && (websocket = TAILQ_FIRST(&push->resyncs))) {
        if (websocket->endpoint == ENDPOINT_JAVA_ALL_CHANGES) { /* its protocol has no state */
            websocket_close_lagging(websocket);
            continue;
        }
        bytes += resync_websocket(push, websocket, &overrun);
        if (websocket->output == OUTPUT_RESYNC) { /* the others are next */
            TAILQ_REMOVE(&push->resyncs, websocket, resyncs_link);
            TAILQ_INSERT_TAIL(&push->resyncs, websocket, resyncs_link);
        }
    }
}
