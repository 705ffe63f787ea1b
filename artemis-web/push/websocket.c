/* SPDX-License-Identifier: Apache-2.0
 *
 * The state and the output of a WebSocket.
 */
#include "artemis-web/push/websocket.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <wslay/wslay.h>

#include "artemis-web/frames/frame.h"

enum {
    SEND_BUFFER_BYTES = 64 * 1024, /* of the kernel, for each socket */
};

/* --- states ----------------------------------------------------------------------------------- */

static enum websocket_output required_output(const struct websocket *websocket)
{
    if (websocket->queue.count > 0)
        return OUTPUT_BLOCKED;
    if (websocket_is_open(websocket) && !TAILQ_EMPTY(&websocket->lagging))
        return OUTPUT_RESYNC;
    return OUTPUT_READY;
}

/* The transition of the output: to be called when the queue, the lagging subscriptions or the state
 * have changed. */
static void update_output(struct websocket *websocket)
{
    struct push *push = websocket->push;
    enum websocket_output before = websocket->output;
    enum websocket_output after = required_output(websocket);
    if (after == before)
        return;
    websocket->output = after;
    if (before == OUTPUT_RESYNC)
        TAILQ_REMOVE(&push->resyncs, websocket, resyncs_link);
    if (after == OUTPUT_RESYNC)
        TAILQ_INSERT_TAIL(&push->resyncs, websocket, resyncs_link);
    if (before == OUTPUT_BLOCKED || after == OUTPUT_BLOCKED) {
        bool blocked = after == OUTPUT_BLOCKED;
        struct epoll_event events = {.events = EPOLLIN | (blocked ? EPOLLOUT : 0U),
                                     .data.ptr = &websocket->client};
        epoll_ctl(push->epoll, EPOLL_CTL_MOD, websocket->socket, &events);
    }
}

/* The transition of the state. Only PINGED returns to an earlier one. */
static void enter(struct websocket *websocket, enum websocket_state state)
{
    struct push *push = websocket->push;
    assert(state > websocket->state ||
           (websocket->state == WEBSOCKET_PINGED && state == WEBSOCKET_OPEN));
    websocket->state = state;
    switch (state) {
    case WEBSOCKET_OPEN:
    case WEBSOCKET_PINGED:
        return;
    case WEBSOCKET_CLOSING:
        websocket->timer_ms = push->now.mono_ms;
        break;
    case WEBSOCKET_SHUT:
        shutdown(websocket->socket, SHUT_WR);
        break;
    case WEBSOCKET_ENDED:
        send_queue_free(&websocket->queue);
        LIST_REMOVE(websocket, link);
        STAILQ_INSERT_TAIL(&push->ended_clients, &websocket->client, link);
        break;
    }
    update_output(websocket);
}

void subscription_set_state(struct subscription *subscription, enum subscription_state state)
{
    struct websocket *websocket = subscription->websocket;
    struct subscription_queue *lists[] = {
        [SUBSCRIPTION_CURRENT] = &websocket->current,
        [SUBSCRIPTION_LAGGING] = &websocket->lagging,
        [SUBSCRIPTION_ENDED] = &websocket->push->ended_subscriptions,
    };
    if (subscription->state == state)
        return;
    TAILQ_REMOVE(lists[subscription->state], subscription, link);
    TAILQ_INSERT_TAIL(lists[state], subscription, link);
    subscription->state = state;
    update_output(websocket);
}

/* --- ending ----------------------------------------------------------------------------------- */

void websocket_end(struct websocket *websocket)
{
    if (websocket->state != WEBSOCKET_ENDED)
        enter(websocket, WEBSOCKET_ENDED);
}

static void end_slow(struct websocket *websocket)
{
    push_count(&websocket->push->counters.closed_slow, 1);
    websocket_end(websocket);
}

/* Shuts our side down when everything before the close frame, and the frame itself, are sent. */
static void shut_when_sent(struct websocket *websocket)
{
    if (websocket->state == WEBSOCKET_CLOSING && websocket->queue.count == 0)
        enter(websocket, WEBSOCKET_SHUT);
}

void websocket_close_sent(struct websocket *websocket)
{
    if (!websocket_is_open(websocket))
        return;
    enter(websocket, WEBSOCKET_CLOSING);
    shut_when_sent(websocket);
}

void websocket_close(struct websocket *websocket, uint16_t code, const char *reason)
{
    if (!websocket_is_open(websocket))
        return;
    struct frame *frame = frame_close(code, reason);
    if (frame)
        websocket_send_control(websocket, frame);
    frame_unref(frame);
    websocket_close_sent(websocket);
}

void websocket_close_lagging(struct websocket *websocket)
{
    push_count(&websocket->push->counters.closed_slow, 1);
    websocket_close(websocket, CODE_TRY_AGAIN_LATER, "fell behind; connect again");
}

/* --- sending ---------------------------------------------------------------------------------- */

void subscription_lose(struct subscription *subscription, uint64_t count)
{
    subscription->lost += count;
    push_count(&subscription->websocket->push->counters.events_lost, count);
}

/* A frame of the subscription is dropped. */
static void mark_lagging(void *owner)
{
    struct subscription *subscription = owner;
    if (subscription->is_of_events)
        subscription_lose(subscription, 1);
    subscription_set_state(subscription, SUBSCRIPTION_LAGGING);
}

/* The queue is full. A full state replaces the queued changes when the socket accepts bytes again;
 * ENDPOINT_JAVA_ALL_CHANGES has no message for that. */
static void drop_backlog(struct subscription *subscription)
{
    struct websocket *websocket = subscription->websocket;
    mark_lagging(subscription);
    send_queue_drop(&websocket->queue, mark_lagging);
    update_output(websocket);
    if (websocket->endpoint == ENDPOINT_JAVA_ALL_CHANGES)
        websocket_close_lagging(websocket);
}

enum queue_result { QUEUED, QUEUE_FULL, QUEUE_FAILED };

/* Queues a frame of which `sent` bytes are sent. */
static enum queue_result enqueue(struct websocket *websocket, struct frame *frame, size_t sent,
                                 struct subscription *subscription)
{
    if (sent == 0 && !send_queue_has_space(&websocket->queue, frame->size))
        return QUEUE_FULL;
    if (!send_queue_put(&websocket->queue, frame, sent, subscription))
        return sent == 0 ? QUEUE_FULL : QUEUE_FAILED;
    update_output(websocket);
    return QUEUED;
}

/* Handles the result of send(): queues what the socket did not accept. */
static enum queue_result queue_rest(struct websocket *websocket, struct frame *frame,
                                    struct subscription *subscription, ssize_t size, int error)
{
    struct push_counters *counters = &websocket->push->counters;
    push_count(&counters->frames, 1);
    if (size < 0 && error != EAGAIN && error != EINTR)
        return QUEUE_FAILED;
    size_t sent = size > 0 ? (size_t)size : 0;
    push_count(&counters->bytes, sent);
    return sent < frame->size ? enqueue(websocket, frame, sent, subscription) : QUEUED;
}

static enum queue_result send_or_queue(struct websocket *websocket, struct frame *frame,
                                       struct subscription *subscription)
{
    if (websocket->queue.count > 0) {
        push_count(&websocket->push->counters.frames, 1);
        return enqueue(websocket, frame, 0, subscription);
    }
    ssize_t size = send(websocket->socket, frame->bytes, frame->size, MSG_DONTWAIT | MSG_NOSIGNAL);
    return queue_rest(websocket, frame, subscription, size, errno);
}

static bool accepts_frames(const struct subscription *subscription)
{
    return websocket_is_open(subscription->websocket) &&
           subscription->state == SUBSCRIPTION_CURRENT;
}

static void handle_result(struct subscription *subscription, enum queue_result result)
{
    if (result == QUEUE_FULL)
        drop_backlog(subscription);
    else if (result == QUEUE_FAILED)
        websocket_end(subscription->websocket);
}

bool websocket_can_send(const struct subscription *subscription)
{
    return accepts_frames(subscription) && subscription->websocket->queue.count == 0;
}

void websocket_sent(struct subscription *subscription, struct frame *frame, ssize_t size, int error)
{
    handle_result(subscription,
                  queue_rest(subscription->websocket, frame, subscription, size, error));
}

void websocket_send(struct subscription *subscription, struct frame *frame)
{
    if (accepts_frames(subscription))
        handle_result(subscription, send_or_queue(subscription->websocket, frame, subscription));
}

void websocket_send_control(struct websocket *websocket, struct frame *frame)
{
    if (!websocket_is_open(websocket))
        return;
    enum queue_result result = send_or_queue(websocket, frame, NULL);
    if (result == QUEUE_FULL)
        end_slow(websocket);
    else if (result == QUEUE_FAILED)
        websocket_end(websocket);
}

void websocket_respond(struct websocket *websocket, const struct text *message)
{
    struct frame *frame = NULL;
    if (!text_failed(message))
        frame = frame_create(FRAME_TEXT, (struct slice){message->data, message->size});
    if (!frame) {
        websocket_close(websocket, WSLAY_CODE_INTERNAL_SERVER_ERROR, "out of memory");
        return;
    }
    websocket_send_control(websocket, frame);
    frame_unref(frame);
}

void websocket_flush(struct websocket *websocket)
{
    if (websocket->state == WEBSOCKET_ENDED || websocket->queue.count == 0)
        return;
    ssize_t size = send_queue_write(&websocket->queue, websocket->socket);
    if (size < 0 && errno != EAGAIN && errno != EINTR) {
        websocket_end(websocket);
        return;
    }
    push_count(&websocket->push->counters.bytes, size > 0 ? (size_t)size : 0);
    update_output(websocket);
    shut_when_sent(websocket);
}

/* --- timeouts --------------------------------------------------------------------------------- */

void websocket_input_arrived(struct websocket *websocket)
{
    if (!websocket_is_open(websocket))
        return;
    websocket->timer_ms = websocket->push->now.mono_ms;
    if (websocket->state == WEBSOCKET_PINGED)
        enter(websocket, WEBSOCKET_OPEN);
}

static void ping(struct websocket *websocket)
{
    struct frame *frame = frame_create(FRAME_PING, (struct slice){0});
    enter(websocket, WEBSOCKET_PINGED);
    if (frame)
        websocket_send_control(websocket, frame);
    frame_unref(frame);
}

void websocket_check_timeout(struct websocket *websocket)
{
    uint64_t elapsed_ms = websocket->push->now.mono_ms - websocket->timer_ms;
    if (websocket_is_open(websocket) && websocket->token &&
        token_check(websocket->token, websocket->push->now.wall_ms))
        websocket_close(websocket, WSLAY_CODE_POLICY_VIOLATION, "the token is not valid any more");
    switch (websocket->state) {
    case WEBSOCKET_OPEN:
    case WEBSOCKET_PINGED:
        if (elapsed_ms >= WEBSOCKET_IDLE_MS) {
            push_count(&websocket->push->counters.closed_idle, 1);
            websocket_close(websocket, WSLAY_CODE_GOING_AWAY, "idle for 60 s");
        } else if (elapsed_ms >= WEBSOCKET_PING_MS && websocket->state == WEBSOCKET_OPEN) {
            ping(websocket);
        }
        return;
    case WEBSOCKET_CLOSING:
    case WEBSOCKET_SHUT:
        if (elapsed_ms >= WEBSOCKET_CLOSE_MS)
            websocket_end(websocket);
        return;
    case WEBSOCKET_ENDED:
        return;
    }
}

/* --- start and end ---------------------------------------------------------------------------- */

struct websocket *websocket_create(struct push *push, enum endpoint endpoint, int socket,
                                   void *upgraded)
{
    struct websocket *websocket = calloc(1, sizeof(*websocket));
    if (!websocket)
        return NULL;
    websocket->client.kind = CLIENT_WEBSOCKET;
    websocket->push = push;
    websocket->endpoint = endpoint;
    websocket->socket = socket;
    websocket->upgraded = upgraded;
    TAILQ_INIT(&websocket->current);
    TAILQ_INIT(&websocket->lagging);
    return websocket;
}

void websocket_set_caller(struct websocket *websocket, const struct push_caller *caller)
{
    if (caller->token)
        token_table_ref(caller->token->table);
    websocket->token = caller->token;
    websocket->address = caller->address;
}

void websocket_free(struct websocket *websocket)
{
    if (!websocket)
        return;
    websocket_free_reader(websocket);
    if (websocket->token)
        token_table_unref(websocket->token->table);
    free(websocket);
}

static void set_options(int socket)
{
    int on = 1;
    int size = SEND_BUFFER_BYTES;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

void websocket_start(struct websocket *websocket)
{
    struct push *push = websocket->push;
    struct epoll_event events = {.events = EPOLLIN, .data.ptr = &websocket->client};
    LIST_INSERT_HEAD(&push->websockets, websocket, link);
    push_count(&push->counters.websockets, 1);
    websocket->timer_ms = push->now.mono_ms;
    set_options(websocket->socket);
    if (epoll_ctl(push->epoll, EPOLL_CTL_ADD, websocket->socket, &events) != 0)
        websocket_end(websocket);
}
