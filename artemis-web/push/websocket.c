/* SPDX-License-Identifier: Apache-2.0
 *
 * One WebSocket: wslay reads what comes and answers what belongs to the protocol (pings, closes,
 * errors of framing); what we push goes past it, as frames that many sockets share.
 */
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "artemis-web/push/frame.h"
#include "artemis-web/push/push_internal.h"

enum {
    READ_BYTES = 16 * 1024,
    SEND_BUFFER_BYTES = 64 * 1024,
    HEADER_BYTES = 6, /* of a small frame, with its mask */
    FRAGMENTS_MAX = 1024,
    CODE_TRY_AGAIN_LATER = 1013,
};

static void flush(struct websocket *websocket);

/* --- ending ----------------------------------------------------------------------------------- */

static void free_reader(struct websocket *websocket)
{
    wslay_event_context_free(websocket->reader);
    websocket->reader = NULL;
    websocket->fed = websocket->framed = 0;
    websocket->in_fragments = false;
    websocket->fragments = 0;
}

void websocket_end(struct websocket *websocket)
{
    struct push *push = websocket->push;
    if (websocket->state == WEBSOCKET_CLOSED)
        return;
    websocket->state = WEBSOCKET_CLOSED;
    while (websocket->subscriptions)
        subscription_remove(websocket->subscriptions);
    send_queue_free(&websocket->queue);
    text_free(&websocket->early);
    if (websocket->prev)
        websocket->prev->next = websocket->next;
    else
        push->websockets = websocket->next;
    if (websocket->next)
        websocket->next->prev = websocket->prev;
    epoll_ctl(push->epoll, EPOLL_CTL_DEL, websocket->socket, NULL);
    MHD_upgrade_action(websocket->upgraded, MHD_UPGRADE_ACTION_CLOSE);
    push_uncount(&push->counters.websockets);
    push_release(push);
    websocket->source.next = push->closed;
    push->closed = &websocket->source;
}

/* Our close frame is out: the client ends the connection, or we do after a while. */
static void end_our_side(struct websocket *websocket)
{
    websocket->state = WEBSOCKET_SHUT;
    shutdown(websocket->socket, SHUT_WR);
}

void websocket_close(struct websocket *websocket, uint16_t code, const char *reason)
{
    if (websocket->state != WEBSOCKET_OPEN)
        return;
    struct frame *frame = frame_close(code, reason);
    if (frame)
        websocket_send(websocket, frame, NULL);
    frame_unref(frame);
    if (websocket->state != WEBSOCKET_OPEN)
        return;
    websocket->state = WEBSOCKET_CLOSING;
    websocket->closed_ms = websocket->push->now.mono_ms;
    flush(websocket);
}

/* --- sending ---------------------------------------------------------------------------------- */

static void await_writable(struct websocket *websocket, bool awaited)
{
    if (websocket->awaits_writable == awaited)
        return;
    struct epoll_event events = {.events = EPOLLIN | (awaited ? EPOLLOUT : 0U),
                                 .data.ptr = &websocket->source};
    epoll_ctl(websocket->push->epoll, EPOLL_CTL_MOD, websocket->socket, &events);
    websocket->awaits_writable = awaited;
}

void subscription_mark_lagging(struct subscription *subscription)
{
    subscription->lagging = true;
    subscription->websocket->lagging = true;
    await_writable(subscription->websocket, true);
}

static void mark_lagging(void *owner)
{
    subscription_mark_lagging(owner);
}

void websocket_close_lagging(struct websocket *websocket)
{
    push_count(&websocket->push->counters.closed_slow, 1);
    websocket_close(websocket, CODE_TRY_AGAIN_LATER, "fell behind; connect again");
}

/* It cannot keep up. An old backlog is of no use: the newest state is sent when there is room. */
static void drop_backlog(struct websocket *websocket, struct subscription *of)
{
    subscription_mark_lagging(of);
    send_queue_drop(&websocket->queue, mark_lagging);
    if (websocket->endpoint == ENDPOINT_JAVA_ALL_CHANGES)
        websocket_close_lagging(websocket);
}

static void sent(struct websocket *websocket, size_t bytes)
{
    push_count(&websocket->push->counters.bytes, bytes);
}

static void queue_up(struct websocket *websocket, struct frame *frame, size_t sent_bytes,
                     struct subscription *of)
{
    bool queued = (sent_bytes > 0 || send_queue_has_room(&websocket->queue, frame->size)) &&
                  send_queue_put(&websocket->queue, frame, sent_bytes, of);
    if (queued) {
        await_writable(websocket, true);
    } else if (of && sent_bytes == 0) {
        drop_backlog(websocket, of);
    } else { /* it asks, and does not read the answers; or there is no memory for half a frame */
        push_count(&websocket->push->counters.closed_slow, 1);
        websocket_end(websocket);
    }
}

static bool accepts_frame(const struct websocket *websocket, const struct subscription *of)
{
    return websocket->state == WEBSOCKET_OPEN && !(of && of->lagging);
}

bool websocket_can_send_now(const struct websocket *websocket, const struct subscription *of)
{
    return accepts_frame(websocket, of) && websocket->queue.count == 0;
}

void websocket_sent(struct websocket *websocket, struct frame *frame, struct subscription *of,
                    ssize_t size, int error)
{
    push_count(&websocket->push->counters.frames, 1);
    if (size < 0 && error != EAGAIN && error != EINTR) {
        websocket_end(websocket);
        return;
    }
    size_t taken = size > 0 ? (size_t)size : 0;
    sent(websocket, taken);
    if (taken < frame->size)
        queue_up(websocket, frame, taken, of);
}

void websocket_send(struct websocket *websocket, struct frame *frame, struct subscription *of)
{
    if (websocket_can_send_now(websocket, of)) {
        ssize_t size =
            send(websocket->socket, frame->bytes, frame->size, MSG_DONTWAIT | MSG_NOSIGNAL);
        websocket_sent(websocket, frame, of, size, errno);
    } else if (accepts_frame(websocket, of)) {
        push_count(&websocket->push->counters.frames, 1);
        queue_up(websocket, frame, 0, of);
    }
}

void websocket_reply(struct websocket *websocket, const struct text *message)
{
    struct frame *frame = NULL;
    if (!text_failed(message))
        frame = frame_create(FRAME_TEXT, (struct slice){message->data, message->size});
    if (!frame) {
        websocket_close(websocket, WSLAY_CODE_INTERNAL_SERVER_ERROR, "out of memory");
        return;
    }
    websocket_send(websocket, frame, NULL);
    frame_unref(frame);
}

/* Sends what waits; with an empty queue there is room for what was missed. What is found missed
 * while that is made up for has its turn when epoll tells of room the next time. */
static void flush(struct websocket *websocket)
{
    if (websocket->queue.count) {
        ssize_t size = send_queue_write(&websocket->queue, websocket->socket);
        if (size < 0 && errno != EAGAIN && errno != EINTR) {
            websocket_end(websocket);
            return;
        }
        sent(websocket, size > 0 ? (size_t)size : 0);
    }
    if (websocket->queue.count == 0 && websocket->state == WEBSOCKET_OPEN && websocket->lagging)
        push_resync(websocket->push, websocket);
    if (websocket->state == WEBSOCKET_CLOSED)
        return;
    if (websocket->queue.count == 0 && websocket->state == WEBSOCKET_CLOSING)
        end_our_side(websocket);
    bool is_behind = websocket->lagging && websocket->state == WEBSOCKET_OPEN;
    await_writable(websocket, websocket->queue.count > 0 || is_behind);
}

/* --- reading ---------------------------------------------------------------------------------- */

static ssize_t on_input(wslay_event_context_ptr reader, uint8_t *out, size_t size, int flags,
                        void *context)
{
    (void)flags;
    struct websocket *websocket = context;
    size_t ready = websocket->input.size < size ? websocket->input.size : size;
    if (ready == 0) {
        wslay_event_set_error(reader, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memcpy(out, websocket->input.data, ready);
    websocket->input.data += ready;
    websocket->input.size -= ready;
    websocket->fed += ready;
    return (ssize_t)ready;
}

/* What wslay has to say, pongs and closes, is gathered and goes out as one. */
static ssize_t on_output(wslay_event_context_ptr reader, const uint8_t *data, size_t size,
                         int flags, void *context)
{
    (void)flags;
    struct websocket *websocket = context;
    struct text *said = &websocket->push->scratch[0];
    text_append(said, (const char *)data, size);
    if (!text_failed(said))
        return (ssize_t)size;
    wslay_event_set_error(reader, WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static bool send_wslay_output(struct websocket *websocket)
{
    struct text *said = &websocket->push->scratch[0];
    text_clear(said);
    while (wslay_event_want_write(websocket->reader))
        if (wslay_event_send(websocket->reader) != 0)
            return false;
    if (said->size == 0)
        return true;
    struct frame *frame = frame_raw((struct slice){said->data, said->size});
    if (!frame)
        return false;
    websocket_send(websocket, frame, NULL);
    frame_unref(frame);
    return true;
}

static void on_frame(wslay_event_context_ptr reader,
                     const struct wslay_event_on_frame_recv_start_arg *frame, void *context)
{
    struct websocket *websocket = context;
    size_t wide = frame->payload_length > UINT16_MAX ? 8 : frame->payload_length > 125 ? 2 : 0;
    websocket->framed += HEADER_BYTES + wide + frame->payload_length;
    if (!wslay_is_ctrl_frame(frame->opcode)) {
        websocket->in_fragments = !frame->fin;
        bool continues = frame->opcode == WSLAY_CONTINUATION_FRAME;
        websocket->fragments = continues ? websocket->fragments + 1 : 1;
    }
    if (websocket->fragments > FRAGMENTS_MAX) /* wslay takes more for each than for its bytes */
        (void)wslay_event_queue_close(reader, WSLAY_CODE_MESSAGE_TOO_BIG, NULL, 0);
    if (frame->opcode == WSLAY_CONNECTION_CLOSE && frame->payload_length == 1) /* half a code */
        (void)wslay_event_queue_close(reader, WSLAY_CODE_PROTOCOL_ERROR, NULL, 0);
}

static void on_message(wslay_event_context_ptr reader,
                       const struct wslay_event_on_msg_recv_arg *message, void *context)
{
    struct websocket *websocket = context;
    struct slice text = {(const char *)message->msg, message->msg_length};
    if (websocket->state != WEBSOCKET_OPEN || wslay_is_ctrl_frame(message->opcode))
        return;
    if (message->opcode != WSLAY_TEXT_FRAME) {
        static const char reason[] = "text frames only";
        (void)wslay_event_queue_close(reader, WSLAY_CODE_UNSUPPORTED_DATA, (const uint8_t *)reason,
                                      sizeof(reason) - 1);
        return;
    }
    push_count(&websocket->push->counters.messages, 1);
    protocol_text(websocket, text);
}

static bool make_reader(struct websocket *websocket)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_input,
        .send_callback = on_output,
        .on_frame_recv_start_callback = on_frame,
        .on_msg_recv_callback = on_message,
    };
    if (websocket->reader)
        return true;
    if (wslay_event_context_server_init(&websocket->reader, &callbacks, websocket) != 0)
        return false;
    wslay_event_config_set_max_recv_msg_length(websocket->reader, WEBSOCKET_MESSAGE_BYTES_MAX);
    return true;
}

/* Reads the frames in `input`. A header that cannot be is for wslay the same as a callback that
 * fails, as ours never do; it would close without a code. */
static void read_frames(struct websocket *websocket)
{
    _Atomic uint64_t *errors = &websocket->push->counters.closed_errors;
    int result = make_reader(websocket) ? wslay_event_recv(websocket->reader) : WSLAY_ERR_NOMEM;
    if (websocket->state == WEBSOCKET_OPEN && result == WSLAY_ERR_CALLBACK_FAILURE) {
        push_count(errors, 1);
        websocket_close(websocket, WSLAY_CODE_PROTOCOL_ERROR, "not a frame of RFC 6455");
    } else if (websocket->state == WEBSOCKET_OPEN &&
               (result != 0 || !send_wslay_output(websocket))) {
        websocket_end(websocket);
    }
    if (websocket->state == WEBSOCKET_OPEN && wslay_event_get_close_sent(websocket->reader)) {
        if (!wslay_event_get_close_received(websocket->reader))
            push_count(errors, 1);
        websocket->state = WEBSOCKET_CLOSING;
        websocket->closed_ms = websocket->push->now.mono_ms;
        flush(websocket);
    }
    if (!websocket->reader)
        return;
    bool between_messages = websocket->fed == websocket->framed && !websocket->in_fragments;
    if (websocket->state != WEBSOCKET_OPEN || between_messages)
        free_reader(websocket);
}

/* What came, from a socket that is ending, is of no interest. */
static void take(struct websocket *websocket, struct slice received)
{
    websocket->received_ms = websocket->push->now.mono_ms;
    websocket->ping_sent = false;
    if (websocket->state != WEBSOCKET_OPEN)
        return;
    websocket->input = received;
    read_frames(websocket);
    websocket->input = (struct slice){0};
}

/* One piece; then others have their turn, and epoll tells of the rest. */
static void receive(struct websocket *websocket)
{
    char room[READ_BYTES];
    ssize_t size = recv(websocket->socket, room, sizeof(room), MSG_DONTWAIT);
    if (size > 0)
        take(websocket, (struct slice){room, (size_t)size});
    else if (size == 0 || (errno != EAGAIN && errno != EINTR))
        websocket_end(websocket);
}

void websocket_on_event(struct websocket *websocket, uint32_t events)
{
    if (websocket->state == WEBSOCKET_CLOSED)
        return;
    if (events & EPOLLOUT)
        flush(websocket);
    if (websocket->state != WEBSOCKET_CLOSED && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        receive(websocket);
}

/* --- life ------------------------------------------------------------------------------------- */

static void set_options(int socket)
{
    int on = 1;
    int size = SEND_BUFFER_BYTES; /* what the kernel may keep for a client that is slow */
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

void websocket_begin(struct push *push, struct websocket *websocket)
{
    struct epoll_event events = {.events = EPOLLIN, .data.ptr = &websocket->source};
    websocket->next = push->websockets;
    if (websocket->next)
        websocket->next->prev = websocket;
    push->websockets = websocket;
    push_count(&push->counters.websockets, 1);
    websocket->received_ms = push->now.mono_ms;
    set_options(websocket->socket);
    if (epoll_ctl(push->epoll, EPOLL_CTL_ADD, websocket->socket, &events) != 0) {
        websocket_end(websocket);
        return;
    }
    protocol_begin(websocket);
    if (websocket->early.size && websocket->state == WEBSOCKET_OPEN)
        take(websocket, (struct slice){websocket->early.data, websocket->early.size});
    text_free(&websocket->early);
    if (atomic_load(&push->draining))
        websocket_close(websocket, WSLAY_CODE_GOING_AWAY, "the node is shutting down");
}

void websocket_check_timeouts(struct websocket *websocket)
{
    uint64_t now_ms = websocket->push->now.mono_ms;
    uint64_t silent_ms = now_ms - websocket->received_ms;
    if (websocket->state != WEBSOCKET_OPEN) {
        if (now_ms - websocket->closed_ms >= WEBSOCKET_CLOSE_MS)
            websocket_end(websocket);
        return;
    }
    if (silent_ms >= WEBSOCKET_IDLE_MS) {
        push_count(&websocket->push->counters.closed_idle, 1);
        websocket_close(websocket, WSLAY_CODE_GOING_AWAY, "silent for 60 s");
    } else if (silent_ms >= WEBSOCKET_PING_MS && !websocket->ping_sent) {
        struct frame *ping = frame_create(FRAME_PING, (struct slice){0});
        websocket->ping_sent = true;
        if (ping)
            websocket_send(websocket, ping, NULL);
        frame_unref(ping);
    }
}
