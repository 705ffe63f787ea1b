/* SPDX-License-Identifier: Apache-2.0
 *
 * Events for the subscriptions of their topics.
 */
#include "artemis-web/frames/frame.h"
#include "artemis-web/push/dispatch.h"
#include "artemis-web/push/websocket.h"

enum { EVENTS_PER_TURN = 256 };

static struct frame *encode(const struct text *message)
{
    if (text_failed(message))
        return NULL;
    return frame_create(FRAME_TEXT, (struct slice){message->data, message->size});
}

struct frame *dispatch_lost_events(const struct subscription *subscription)
{
    struct text message = {0};
    message_events_lost(&message, topic_id(subscription->topic), subscription->lost);
    struct frame *frame = encode(&message);
    text_free(&message);
    return frame;
}

/* Counts the subscriptions that get the event; those that lag lose it. */
static void count(struct push *push, struct topic *topic)
{
    struct subscription *subscription;
    uint64_t sent = 0;
    LIST_FOREACH (subscription, &topic->plain.subscriptions, view_link) {
        if (subscription->state == SUBSCRIPTION_LAGGING)
            subscription_lose(subscription, 1);
        else
            sent += websocket_is_open(subscription->websocket);
    }
    push_count(&push->counters.events, sent);
}

/* Without memory for the frame, all subscriptions lose the event. */
static void lose(struct topic *topic)
{
    struct subscription *subscription;
    LIST_FOREACH (subscription, &topic->plain.subscriptions, view_link) {
        subscription_lose(subscription, 1);
        subscription_set_state(subscription, SUBSCRIPTION_LAGGING);
    }
}

static void dispatch_event(struct push *push, const struct event *event)
{
    struct topic *topic = topics_find(&push->event_topics, event->topic);
    struct text *message = &push->dispatch->message;
    if (!topic || !topic_has_subscriptions(topic))
        return;
    text_clear(message);
    message_event(message, event);
    struct frame *frame = encode(message);
    if (!frame) {
        lose(topic);
        return;
    }
    count(push, topic);
    dispatch_send(push->dispatch, &topic->plain, FORM_NATIVE, frame);
    frame_unref(frame);
}

bool dispatch_events(struct push *push)
{
    struct event *events[EVENTS_PER_TURN];
    size_t taken = event_hub_take_local(&push->engine->event_hub, events, EVENTS_PER_TURN);
    for (size_t i = 0; i < taken; i++) {
        dispatch_event(push, events[i]);
        event_unref(events[i]);
    }
    return taken == EVENTS_PER_TURN;
}
