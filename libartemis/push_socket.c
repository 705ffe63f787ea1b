/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/push_socket.h"

#include "libartemis/clock.h"
#include "libartemis/handshake.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wslay/wslay.h>

#define PING "{\"type\":\"ping\"}"

enum { MESSAGE_BYTES_MAX = 256 << 20, READ_BYTES = 16 * 1024 };

enum stage { STAGE_CONNECTING, STAGE_ASKING, STAGE_ANSWERED, STAGE_OPEN, STAGE_OVER };

struct push_socket {
    struct http *http;
    const struct settings *settings;
    size_t server;
    CURL *easy;
    char detail[CURL_ERROR_SIZE];
    push_socket_text *on_text;
    void *context;

    enum stage stage;
    enum push_state end; /* once it is over */
    char key[WEBSOCKET_KEY_BYTES];
    struct text request; /* of the handshake; `sent` of it is sent */
    size_t sent;
    struct text received; /* of the handshake, and what came with it; `taken` of it is taken */
    size_t taken;
    struct handshake_answer answer;

    wslay_event_context_ptr frames;
    uint64_t give_up_ms; /* connecting */
    uint64_t heard_ms;
    uint64_t ping_ms; /* when to send the next */
    bool heard;       /* something since the last run */
    char problem[HTTP_PROBLEM_MAX];
};

/* Later reasons follow from the first. */
static void lose(struct push_socket *socket, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void lose(struct push_socket *socket, const char *format, ...)
{
    if (socket->stage == STAGE_OVER)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(socket->problem, sizeof socket->problem, format, args);
    va_end(args);
    socket->stage = STAGE_OVER;
    socket->end = PUSH_LOST;
}

/* --- bytes ------------------------------------------------------------------------------------ */

/* How many bytes came; 0: none for now, or it is lost. */
static size_t receive(struct push_socket *socket, uint8_t *to, size_t size)
{
    size_t got = 0;
    CURLcode code = curl_easy_recv(socket->easy, to, size, &got);
    if (code == CURLE_AGAIN)
        return 0;
    if (code != CURLE_OK)
        lose(socket, "%s", socket->detail[0] ? socket->detail : curl_easy_strerror(code));
    else if (got == 0)
        lose(socket, "the server closed the connection");
    socket->heard = true;
    return code == CURLE_OK ? got : 0;
}

static size_t transmit(struct push_socket *socket, const uint8_t *from, size_t size)
{
    size_t sent = 0;
    CURLcode code = curl_easy_send(socket->easy, from, size, &sent);
    if (code == CURLE_AGAIN)
        return 0;
    if (code != CURLE_OK)
        lose(socket, "%s", socket->detail[0] ? socket->detail : curl_easy_strerror(code));
    return code == CURLE_OK ? sent : 0;
}

/* --- frames ----------------------------------------------------------------------------------- */

static ssize_t no_bytes(struct push_socket *socket)
{
    wslay_event_set_error(socket->frames, socket->stage == STAGE_OVER ? WSLAY_ERR_CALLBACK_FAILURE
                                                                      : WSLAY_ERR_WOULDBLOCK);
    return -1;
}

static ssize_t on_recv(wslay_event_context_ptr frames, uint8_t *to, size_t size, int flags,
                       void *context)
{
    (void)frames;
    (void)flags;
    struct push_socket *socket = context;
    size_t left = socket->received.size - socket->taken;
    if (left > 0) { /* came with the handshake */
        size_t got = left < size ? left : size;
        memcpy(to, socket->received.data + socket->taken, got);
        socket->taken += got;
        return (ssize_t)got;
    }
    size_t got = receive(socket, to, size);
    return got > 0 ? (ssize_t)got : no_bytes(socket);
}

static ssize_t on_send(wslay_event_context_ptr frames, const uint8_t *from, size_t size, int flags,
                       void *context)
{
    (void)frames;
    (void)flags;
    struct push_socket *socket = context;
    size_t sent = transmit(socket, from, size);
    return sent > 0 ? (ssize_t)sent : no_bytes(socket);
}

static int on_genmask(wslay_event_context_ptr frames, uint8_t *mask, size_t size, void *context)
{
    (void)frames;
    (void)context;
    for (size_t at = 0; at < size; at += sizeof(uint64_t)) {
        uint64_t random = client_clock_random();
        size_t part = size - at < sizeof random ? size - at : sizeof random;
        memcpy(mask + at, &random, part);
    }
    return 0;
}

static void on_message(wslay_event_context_ptr frames,
                       const struct wslay_event_on_msg_recv_arg *message, void *context)
{
    (void)frames;
    struct push_socket *socket = context;
    if (message->opcode == WSLAY_TEXT_FRAME)
        socket->on_text(socket->context,
                        (struct slice){(const char *)message->msg, message->msg_length});
}

static bool begin_frames(struct push_socket *socket)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_recv,
        .send_callback = on_send,
        .genmask_callback = on_genmask,
        .on_msg_recv_callback = on_message,
    };
    if (wslay_event_context_client_init(&socket->frames, &callbacks, socket) != 0)
        return false;
    wslay_event_config_set_max_recv_msg_length(socket->frames, MESSAGE_BYTES_MAX);
    return true;
}

static void run_frames(struct push_socket *socket, uint64_t now_ms)
{
    if (wslay_event_recv(socket->frames) != 0)
        lose(socket, "what came is no WebSocket");
    if (socket->stage == STAGE_OPEN && wslay_event_get_close_received(socket->frames))
        lose(socket, "the server closed the connection, with code %u",
             wslay_event_get_status_code_received(socket->frames));
    if (socket->heard)
        socket->heard_ms = now_ms;
    socket->heard = false;
    if (now_ms >= socket->heard_ms + 2 * socket->settings->ping_ms)
        lose(socket, "no sign of life for %llu ms",
             (unsigned long long)(now_ms - socket->heard_ms));
    if (socket->stage == STAGE_OPEN && now_ms >= socket->ping_ms) {
        socket->ping_ms = now_ms + socket->settings->ping_ms;
        if (push_socket_say(socket, SLICE(PING)))
            lose(socket, "out of memory");
    }
    if (socket->stage == STAGE_OPEN && wslay_event_send(socket->frames) != 0)
        lose(socket, "the connection broke while sending");
}

/* --- opening ---------------------------------------------------------------------------------- */

static void run_connecting(struct push_socket *socket)
{
    CURLcode code;
    if (!http_ended(socket->http, socket->easy, &code))
        return;
    if (code != CURLE_OK) {
        lose(socket, "%s", socket->detail[0] ? socket->detail : curl_easy_strerror(code));
        return;
    }
    socket->stage = STAGE_ASKING;
}

static void run_asking(struct push_socket *socket)
{
    while (socket->sent < socket->request.size) {
        size_t sent = transmit(socket, (const uint8_t *)socket->request.data + socket->sent,
                               socket->request.size - socket->sent);
        if (sent == 0)
            return;
        socket->sent += sent;
    }
    socket->stage = STAGE_ANSWERED;
}

static void on_open(struct push_socket *socket, uint64_t now_ms)
{
    socket->taken = socket->answer.size_bytes;
    socket->heard_ms = now_ms;
    socket->ping_ms = now_ms + socket->settings->ping_ms;
    socket->stage = STAGE_OPEN;
    if (!begin_frames(socket))
        lose(socket, "out of memory");
}

static void run_answered(struct push_socket *socket, uint64_t now_ms)
{
    char *to = text_reserve(&socket->received, READ_BYTES);
    if (!to) {
        lose(socket, "out of memory");
        return;
    }
    size_t got = receive(socket, (uint8_t *)to, READ_BYTES);
    socket->received.size += got;
    if (got == 0)
        return;
    struct slice received = {socket->received.data, socket->received.size};
    switch (handshake_read(received, socket->key, &socket->answer)) {
    case HANDSHAKE_PART:
        break;
    case HANDSHAKE_OPEN:
        on_open(socket, now_ms);
        break;
    case HANDSHAKE_REFUSED:
        lose(socket, "the server answered %d to the request for a WebSocket",
             socket->answer.status);
        socket->end = PUSH_REFUSED;
        break;
    case HANDSHAKE_NONSENSE:
        lose(socket, "the answer to the request for a WebSocket is none");
        break;
    }
}

static bool set_up(struct push_socket *socket)
{
    const struct settings *settings = socket->settings;
    CURL *easy = socket->easy = curl_easy_init();
    handshake_make_key(socket->key);
    handshake_write(&socket->request, settings->urls[socket->server], "/ws", socket->key,
                    settings->authorization);
    if (!easy || text_failed(&socket->request) || http_set_common(easy, settings, socket->server))
        return false;
    curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTPPROXYTUNNEL, 1L); /* a proxy must not look inside */
    curl_easy_setopt(easy, CURLOPT_PRIVATE, NULL);       /* it is no call */
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, socket->detail);
    return curl_easy_setopt(easy, CURLOPT_URL, settings->urls[socket->server]) == CURLE_OK &&
           curl_multi_add_handle(http_multi(socket->http), easy) == CURLM_OK;
}

enum error push_socket_open(struct http *http, const struct settings *settings, size_t server,
                            uint64_t now_ms, push_socket_text *on_text, void *context,
                            struct push_socket **out)
{
    struct push_socket *socket = calloc(1, sizeof *socket);
    if (!socket)
        return ERR_NO_MEMORY;
    socket->http = http;
    socket->settings = settings;
    socket->server = server;
    socket->on_text = on_text;
    socket->context = context;
    socket->give_up_ms = now_ms + settings->attempt_timeout_ms;
    if (!set_up(socket)) {
        push_socket_free(socket);
        return ERR_NO_MEMORY;
    }
    *out = socket;
    return ERR_NONE;
}

void push_socket_free(struct push_socket *socket)
{
    if (!socket)
        return;
    if (socket->frames)
        wslay_event_context_free(socket->frames);
    if (socket->easy) {
        CURLcode code;
        curl_multi_remove_handle(http_multi(socket->http), socket->easy);
        (void)http_ended(socket->http, socket->easy, &code); /* its address may come again */
    }
    curl_easy_cleanup(socket->easy);
    text_free(&socket->request);
    text_free(&socket->received);
    free(socket);
}

/* --- the outside ------------------------------------------------------------------------------ */

enum push_state push_socket_run(struct push_socket *socket, uint64_t now_ms)
{
    if (socket->stage == STAGE_CONNECTING)
        run_connecting(socket);
    if (socket->stage == STAGE_ASKING)
        run_asking(socket);
    if (socket->stage == STAGE_ANSWERED)
        run_answered(socket, now_ms);
    if (socket->stage < STAGE_OPEN && now_ms >= socket->give_up_ms)
        lose(socket, "no WebSocket after %llu ms",
             (unsigned long long)socket->settings->attempt_timeout_ms);
    if (socket->stage == STAGE_OPEN)
        run_frames(socket, now_ms);
    if (socket->stage == STAGE_OVER)
        return socket->end;
    return socket->stage == STAGE_OPEN ? PUSH_OPEN : PUSH_CONNECTING;
}

bool push_socket_wants(const struct push_socket *socket, struct curl_waitfd *fd, uint64_t *at_ms)
{
    curl_socket_t handle = CURL_SOCKET_BAD;
    *at_ms = socket->stage == STAGE_OPEN ? socket->ping_ms : socket->give_up_ms;
    if (socket->stage == STAGE_CONNECTING || socket->stage == STAGE_OVER)
        return false;
    curl_easy_getinfo(socket->easy, CURLINFO_ACTIVESOCKET, &handle);
    if (handle == CURL_SOCKET_BAD)
        return false;
    bool writes = socket->stage == STAGE_ASKING ||
                  (socket->stage == STAGE_OPEN && wslay_event_want_write(socket->frames));
    *fd = (struct curl_waitfd){.fd = handle,
                               .events = CURL_WAIT_POLLIN | (writes ? CURL_WAIT_POLLOUT : 0)};
    return true;
}

enum error push_socket_say(struct push_socket *socket, struct slice text)
{
    const struct wslay_event_msg message = {
        .opcode = WSLAY_TEXT_FRAME, .msg = (const uint8_t *)text.data, .msg_length = text.size};
    int code = wslay_event_queue_msg(socket->frames, &message);
    return code == WSLAY_ERR_NOMEM ? ERR_NO_MEMORY : ERR_NONE; /* else it is closing anyway */
}

size_t push_socket_server(const struct push_socket *socket)
{
    return socket->server;
}

int push_socket_status(const struct push_socket *socket)
{
    return socket->answer.status;
}

uint64_t push_socket_retry_after_ms(const struct push_socket *socket)
{
    return (uint64_t)socket->answer.retry_after_secs * 1000;
}

const char *push_socket_problem(const struct push_socket *socket)
{
    return socket->problem;
}
