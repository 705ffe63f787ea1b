/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/wire/push_frames.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wslay/wslay.h>

enum { KEPT_BYTES_MAX = 64 * 1024 }; /* larger buffers are freed after their message */

struct push_frames {
    struct push_frames_io io;
    wslay_event_context_ptr wslay;
    struct text message;
    bool is_text; /* the current message; false: binary */
    bool in_text; /* the current frame is part of a text message */

    size_t turn_bytes, turn_frames; /* of the current push_frames_read */
    uint64_t turn_end_ms;
    bool has_more;
    bool connection_lost;
    char problem[PUSH_PROBLEM_MAX];
};

/* The first problem counts. */
static void set_problem(struct push_frames *frames, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void set_problem(struct push_frames *frames, const char *format, ...)
{
    if (frames->problem[0] || frames->connection_lost)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(frames->problem, sizeof frames->problem, format, args);
    va_end(args);
}

/* --- callbacks of wslay ----------------------------------------------------------------------- */

static ssize_t result_of(struct push_frames *frames, ssize_t size)
{
    if (size > 0)
        return size;
    frames->connection_lost |= size < 0;
    wslay_event_set_error(frames->wslay,
                          size < 0 ? WSLAY_ERR_CALLBACK_FAILURE : WSLAY_ERR_WOULDBLOCK);
    return -1;
}

static bool is_turn_over(const struct push_frames *frames)
{
    return frames->turn_bytes >= PUSH_TURN_BYTES_MAX ||
           frames->turn_frames >= PUSH_TURN_FRAMES_MAX ||
           frames->io.clock_ms() >= frames->turn_end_ms;
}

static ssize_t on_recv(wslay_event_context_ptr wslay, uint8_t *to, size_t size, int flags,
                       void *context)
{
    (void)wslay;
    (void)flags;
    struct push_frames *frames = context;
    frames->has_more = is_turn_over(frames);
    if (frames->has_more || !push_frames_can_read(frames))
        return result_of(frames, 0);
    ssize_t got = frames->io.receive(frames->io.context, to, size);
    if (got > 0)
        frames->turn_bytes += (size_t)got;
    return result_of(frames, got);
}

static ssize_t on_send(wslay_event_context_ptr wslay, const uint8_t *from, size_t size, int flags,
                       void *context)
{
    (void)wslay;
    (void)flags;
    struct push_frames *frames = context;
    return result_of(frames, frames->io.transmit(frames->io.context, from, size));
}

static int on_genmask(wslay_event_context_ptr wslay, uint8_t *mask, size_t size, void *context)
{
    (void)wslay;
    const struct push_frames *frames = context;
    for (size_t at = 0; at < size; at += sizeof(uint64_t)) {
        uint64_t random = frames->io.random();
        size_t part = size - at < sizeof random ? size - at : sizeof random;
        memcpy(mask + at, &random, part);
    }
    return 0;
}

static void on_frame(wslay_event_context_ptr wslay,
                     const struct wslay_event_on_frame_recv_start_arg *frame, void *context)
{
    (void)wslay;
    struct push_frames *frames = context;
    frames->turn_frames++;
    if (frame->opcode == WSLAY_TEXT_FRAME || frame->opcode == WSLAY_BINARY_FRAME)
        frames->is_text = frame->opcode == WSLAY_TEXT_FRAME;
    frames->in_text = frames->is_text && !wslay_is_ctrl_frame(frame->opcode);
}

static void on_chunk(wslay_event_context_ptr wslay,
                     const struct wslay_event_on_frame_recv_chunk_arg *chunk, void *context)
{
    struct push_frames *frames = context;
    if (!frames->in_text)
        return;
    if (chunk->data_length > PUSH_MESSAGE_BYTES_MAX - frames->message.size)
        set_problem(frames, "the server sent a message of more than %d bytes",
                    PUSH_MESSAGE_BYTES_MAX);
    else
        text_append(&frames->message, (const char *)chunk->data, chunk->data_length);
    if (text_failed(&frames->message))
        set_problem(frames, "out of memory");
    if (frames->problem[0])
        wslay_event_shutdown_read(wslay);
}

static void on_message(wslay_event_context_ptr wslay,
                       const struct wslay_event_on_msg_recv_arg *message, void *context)
{
    (void)wslay;
    struct push_frames *frames = context;
    if (message->opcode != WSLAY_TEXT_FRAME || frames->problem[0])
        return;
    frames->io.on_message(frames->io.context,
                          (struct slice){frames->message.data, frames->message.size});
    if (frames->message.capacity > KEPT_BYTES_MAX)
        text_free(&frames->message);
    text_clear(&frames->message);
}

/* --- life cycle ------------------------------------------------------------------------------- */

enum error push_frames_create(const struct push_frames_io *io, struct push_frames **out)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_recv,
        .send_callback = on_send,
        .genmask_callback = on_genmask,
        .on_frame_recv_start_callback = on_frame,
        .on_frame_recv_chunk_callback = on_chunk,
        .on_msg_recv_callback = on_message,
    };
    struct push_frames *frames = calloc(1, sizeof *frames);
    if (!frames)
        return ERR_NO_MEMORY;
    frames->io = *io;
    if (wslay_event_context_client_init(&frames->wslay, &callbacks, frames) != 0) {
        free(frames);
        return ERR_NO_MEMORY;
    }
    /* wslay would allocate for each fragment. */
    wslay_event_config_set_no_buffering(frames->wslay, 1);
    wslay_event_config_set_max_recv_msg_length(frames->wslay, PUSH_MESSAGE_BYTES_MAX);
    *out = frames;
    return ERR_NONE;
}

void push_frames_free(struct push_frames *frames)
{
    if (!frames)
        return;
    wslay_event_context_free(frames->wslay);
    text_free(&frames->message);
    free(frames);
}

/* --- reading and writing ---------------------------------------------------------------------- */

static void set_closed(struct push_frames *frames, unsigned code)
{
    const char *meaning =
        code == WSLAY_CODE_POLICY_VIOLATION ? ": the token is not valid any more" : "";
    set_problem(frames, "the server closed the connection, with code %u%s", code, meaning);
}

bool push_frames_read(struct push_frames *frames)
{
    frames->turn_bytes = frames->turn_frames = 0;
    frames->turn_end_ms = frames->io.clock_ms() + PUSH_TURN_MS_MAX;
    frames->has_more = false;
    int code = wslay_event_recv(frames->wslay);
    if (code == WSLAY_ERR_NOMEM)
        set_problem(frames, "out of memory");
    else if (wslay_event_get_close_received(frames->wslay))
        set_closed(frames, wslay_event_get_status_code_received(frames->wslay));
    else if (code != 0 || !wslay_event_get_read_enabled(frames->wslay))
        set_problem(frames, "the server violated the WebSocket protocol");
    return !frames->connection_lost && !frames->problem[0];
}

bool push_frames_has_more(const struct push_frames *frames)
{
    return frames->has_more;
}

bool push_frames_can_read(const struct push_frames *frames)
{
    return wslay_event_get_queued_msg_count(frames->wslay) < PUSH_QUEUE_MAX;
}

enum error push_frames_send(struct push_frames *frames, struct slice text)
{
    const struct wslay_event_msg message = {
        .opcode = WSLAY_TEXT_FRAME, .msg = (const uint8_t *)text.data, .msg_length = text.size};
    int code = wslay_event_queue_msg(frames->wslay, &message);
    return code == WSLAY_ERR_NOMEM ? ERR_NO_MEMORY : ERR_NONE; /* other codes: it is closing */
}

bool push_frames_wants_write(const struct push_frames *frames)
{
    return wslay_event_want_write(frames->wslay);
}

bool push_frames_write(struct push_frames *frames)
{
    if (wslay_event_send(frames->wslay) != 0)
        set_problem(frames, "the connection broke while sending");
    return !frames->connection_lost && !frames->problem[0];
}

const char *push_frames_problem(const struct push_frames *frames)
{
    return frames->problem;
}
