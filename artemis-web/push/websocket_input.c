/* SPDX-License-Identifier: Apache-2.0
 *
 * The input of a WebSocket. wslay parses frames and writes the responses of the protocol (pongs,
 * closes); what the push thread sends bypasses it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <wslay/wslay.h>

#include "artemis-web/frames/frame.h"
#include "artemis-web/push/websocket.h"

enum {
    RECEIVE_BYTES = 16 * 1024,
    HEADER_BYTES = 6, /* of a small frame, with its mask */
    FRAGMENTS_MAX = 1024,
};

/* Parses frames. It exists while there is input to handle or a message is incomplete. */
struct websocket_reader {
    struct websocket *websocket;
    websocket_on_message *on_message;
    wslay_event_context_ptr wslay; /* NULL until it is needed */
    struct text kept;              /* bytes that arrived with the handshake */
    struct slice input;            /* received bytes that wslay has not read */
    struct text output;            /* bytes that wslay has written */
    uint64_t read_bytes;           /* bytes that wslay has read, */
    uint64_t frame_bytes;          /* and the total size of the frames that it has started */
    uint32_t fragments;            /* of the incomplete message; 0: there is none */
};

/* --- callbacks of wslay ----------------------------------------------------------------------- */

static ssize_t on_read(wslay_event_context_ptr wslay, uint8_t *out, size_t size, int flags,
                       void *context)
{
    (void)flags;
    struct websocket_reader *reader = context;
    size_t ready = reader->input.size < size ? reader->input.size : size;
    if (ready == 0) {
        wslay_event_set_error(wslay, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memcpy(out, reader->input.data, ready);
    reader->input.data += ready;
    reader->input.size -= ready;
    reader->read_bytes += ready;
    return (ssize_t)ready;
}

static ssize_t on_write(wslay_event_context_ptr wslay, const uint8_t *data, size_t size, int flags,
                        void *context)
{
    (void)flags;
    struct websocket_reader *reader = context;
    text_append(&reader->output, (const char *)data, size);
    if (!text_failed(&reader->output))
        return (ssize_t)size;
    wslay_event_set_error(wslay, WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static void on_frame(wslay_event_context_ptr wslay,
                     const struct wslay_event_on_frame_recv_start_arg *frame, void *context)
{
    struct websocket_reader *reader = context;
    size_t size = frame->payload_length;
    size_t extended = size > UINT16_MAX ? 8 : size > 125 ? 2 : 0;
    reader->frame_bytes += HEADER_BYTES + extended + size;
    if (!wslay_is_ctrl_frame(frame->opcode)) {
        reader->fragments++;
        if (reader->fragments > FRAGMENTS_MAX) /* each costs wslay more memory than its bytes */
            (void)wslay_event_queue_close(wslay, WSLAY_CODE_MESSAGE_TOO_BIG, NULL, 0);
        if (frame->fin)
            reader->fragments = 0;
    }
    if (frame->opcode == WSLAY_CONNECTION_CLOSE && size == 1) /* half a code */
        (void)wslay_event_queue_close(wslay, WSLAY_CODE_PROTOCOL_ERROR, NULL, 0);
}

static void on_wslay_message(wslay_event_context_ptr wslay,
                             const struct wslay_event_on_msg_recv_arg *message, void *context)
{
    struct websocket_reader *reader = context;
    struct websocket *websocket = reader->websocket;
    if (!websocket_is_open(websocket) || wslay_is_ctrl_frame(message->opcode))
        return;
    if (message->opcode != WSLAY_TEXT_FRAME) {
        static const char reason[] = "text frames only";
        (void)wslay_event_queue_close(wslay, WSLAY_CODE_UNSUPPORTED_DATA, (const uint8_t *)reason,
                                      sizeof(reason) - 1);
        return;
    }
    push_count(&websocket->push->counters.messages, 1);
    reader->on_message(websocket, (struct slice){(const char *)message->msg, message->msg_length});
}

/* --- the reader ------------------------------------------------------------------------------- */

static struct websocket_reader *get_reader(struct websocket *websocket)
{
    if (!websocket->reader)
        websocket->reader = calloc(1, sizeof(*websocket->reader));
    if (websocket->reader)
        websocket->reader->websocket = websocket;
    return websocket->reader;
}

void websocket_free_reader(struct websocket *websocket)
{
    struct websocket_reader *reader = websocket->reader;
    if (!reader)
        return;
    wslay_event_context_free(reader->wslay);
    text_free(&reader->kept);
    text_free(&reader->output);
    free(reader);
    websocket->reader = NULL;
}

static uint64_t message_bytes_max(const struct websocket *websocket)
{
    return websocket->endpoint == ENDPOINT_JAVA_HEARTBEAT ? JAVA_HEARTBEAT_BYTES_MAX
                                                          : WEBSOCKET_MESSAGE_BYTES_MAX;
}

static bool start_wslay(struct websocket_reader *reader)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_read,
        .send_callback = on_write,
        .on_frame_recv_start_callback = on_frame,
        .on_msg_recv_callback = on_wslay_message,
    };
    if (reader->wslay)
        return true;
    if (wslay_event_context_server_init(&reader->wslay, &callbacks, reader) != 0)
        return false;
    wslay_event_config_set_max_recv_msg_length(reader->wslay, message_bytes_max(reader->websocket));
    return true;
}

/* Sends what wslay has written, as one piece. */
static bool send_responses(struct websocket_reader *reader)
{
    text_clear(&reader->output);
    while (wslay_event_want_write(reader->wslay))
        if (wslay_event_send(reader->wslay) != 0)
            return false;
    if (reader->output.size == 0)
        return true;
    struct frame *frame = frame_raw((struct slice){reader->output.data, reader->output.size});
    if (!frame)
        return false;
    websocket_send_control(reader->websocket, frame);
    frame_unref(frame);
    return true;
}

/* Reads the frames in `input`. wslay reports an impossible header as a failed callback, and would
 * close without a code; our callbacks for reading never fail. */
static void read_frames(struct websocket_reader *reader)
{
    struct websocket *websocket = reader->websocket;
    _Atomic uint64_t *errors = &websocket->push->counters.closed_errors;
    int result = start_wslay(reader) ? wslay_event_recv(reader->wslay) : WSLAY_ERR_NOMEM;
    if (!websocket_is_open(websocket))
        return;
    if (result == WSLAY_ERR_CALLBACK_FAILURE) {
        push_count(errors, 1);
        websocket_close(websocket, WSLAY_CODE_PROTOCOL_ERROR, "not a frame of RFC 6455");
        return;
    }
    if (result != 0 || !send_responses(reader)) {
        websocket_end(websocket);
        return;
    }
    if (websocket_is_open(websocket) && wslay_event_get_close_sent(reader->wslay)) {
        if (!wslay_event_get_close_received(reader->wslay))
            push_count(errors, 1);
        websocket_close_sent(websocket);
    }
}

/* Input that arrives after the close is ignored. */
static void handle_input(struct websocket *websocket, struct slice input,
                         websocket_on_message *on_message)
{
    websocket_input_arrived(websocket);
    if (!websocket_is_open(websocket))
        return;
    struct websocket_reader *reader = get_reader(websocket);
    if (!reader) {
        websocket_end(websocket);
        return;
    }
    reader->on_message = on_message;
    reader->input = input;
    read_frames(reader);
    bool between_messages = reader->read_bytes == reader->frame_bytes && reader->fragments == 0;
    if (!websocket_is_open(websocket) || between_messages)
        websocket_free_reader(websocket);
}

enum error websocket_keep_input(struct websocket *websocket, struct slice bytes)
{
    struct websocket_reader *reader = get_reader(websocket);
    if (!reader)
        return ERR_NO_MEMORY;
    text_append_slice(&reader->kept, bytes);
    return text_failed(&reader->kept) ? ERR_NO_MEMORY : ERR_NONE;
}

void websocket_read_kept(struct websocket *websocket, websocket_on_message *on_message)
{
    if (!websocket->reader)
        return;
    struct text kept = websocket->reader->kept;
    websocket->reader->kept = (struct text){0};
    handle_input(websocket, (struct slice){kept.data, kept.size}, on_message);
    text_free(&kept);
}

void websocket_receive(struct websocket *websocket, websocket_on_message *on_message)
{
    char buffer[RECEIVE_BYTES];
    if (websocket->state == WEBSOCKET_ENDED)
        return;
    ssize_t size = recv(websocket->socket, buffer, sizeof(buffer), MSG_DONTWAIT);
    if (size > 0)
        handle_input(websocket, (struct slice){buffer, (size_t)size}, on_message);
    else if (size == 0 || (errno != EAGAIN && errno != EINTR))
        websocket_end(websocket);
}
