/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/wire/push_socket.h"

#include "libartemis/base/clock.h"
#include "libartemis/wire/handshake.h"
#include "libartemis/wire/push_frames.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PING "{\"type\":\"ping\"}"

enum { READ_BYTES = 16 * 1024 };

enum stage { STAGE_CONNECTING, STAGE_REQUEST, STAGE_RESPONSE, STAGE_OPEN, STAGE_ENDED };

struct push_socket {
    struct http *http;
    const struct settings *settings;
    size_t server;
    CURL *easy;
    char detail[CURL_ERROR_SIZE];
    push_socket_message *on_message;
    void *context;

    enum stage stage;
    enum push_state end; /* result, in STAGE_ENDED */
    char key[WEBSOCKET_KEY_BYTES];
    struct text request; /* of the handshake; the first `sent` bytes are sent */
    size_t sent;
    struct text received; /* response of the handshake, and first frames */
    size_t taken;         /* bytes of `received` that were read */
    struct handshake_response response;

    struct push_frames *frames;
    bool paused; /* push_socket_run must not read frames */
    uint64_t connect_deadline_ms;
    uint64_t contact_ms; /* when something was last received */
    uint64_t ping_ms;    /* when to send the next ping */
    bool received_any;   /* since the last run */
    char problem[HTTP_PROBLEM_MAX];
};

/* The first problem counts: later ones are its consequences. */
static void fail(struct push_socket *socket, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void fail(struct push_socket *socket, const char *format, ...)
{
    if (socket->stage == STAGE_ENDED)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(socket->problem, sizeof socket->problem, format, args);
    va_end(args);
    socket->stage = STAGE_ENDED;
    socket->end = PUSH_LOST;
}

/* --- bytes ------------------------------------------------------------------------------------ */

/* Returns the number of received bytes; 0: none now, or the socket has failed. */
static size_t receive(struct push_socket *socket, uint8_t *to, size_t size)
{
    size_t got = 0;
    CURLcode code = curl_easy_recv(socket->easy, to, size, &got);
    if (code == CURLE_AGAIN)
        return 0;
    if (code != CURLE_OK)
        fail(socket, "%s", socket->detail[0] ? socket->detail : curl_easy_strerror(code));
    else if (got == 0)
        fail(socket, "the server closed the connection");
    socket->received_any = true;
    return code == CURLE_OK ? got : 0;
}

static size_t transmit(struct push_socket *socket, const uint8_t *from, size_t size)
{
    size_t sent = 0;
    CURLcode code = curl_easy_send(socket->easy, from, size, &sent);
    if (code == CURLE_AGAIN)
        return 0;
    if (code != CURLE_OK)
        fail(socket, "%s", socket->detail[0] ? socket->detail : curl_easy_strerror(code));
    return code == CURLE_OK ? sent : 0;
}

/* --- frames ----------------------------------------------------------------------------------- */

static ssize_t receive_frames(void *context, uint8_t *to, size_t size)
{
    struct push_socket *socket = context;
    size_t left = socket->received.size - socket->taken;
    size_t got = left < size ? left : size;
    if (left == 0)
        got = receive(socket, to, size);
    else
        memcpy(to, socket->received.data + socket->taken, got);
    if (left > 0)
        socket->taken += got;
    return socket->stage == STAGE_ENDED ? -1 : (ssize_t)got;
}

static ssize_t transmit_frames(void *context, const uint8_t *from, size_t size)
{
    struct push_socket *socket = context;
    size_t sent = transmit(socket, from, size);
    return socket->stage == STAGE_ENDED ? -1 : (ssize_t)sent;
}

static void on_frames_message(void *context, struct slice text)
{
    struct push_socket *socket = context;
    socket->on_message(socket->context, text);
}

static enum error create_frames(struct push_socket *socket)
{
    const struct push_frames_io io = {
        .receive = receive_frames,
        .transmit = transmit_frames,
        .on_message = on_frames_message,
        .clock_ms = client_clock_ms,
        .random = client_clock_random,
        .context = socket,
    };
    return push_frames_create(&io, &socket->frames);
}

static void check_contact(struct push_socket *socket, uint64_t now_ms)
{
    if (socket->received_any || socket->paused)
        socket->contact_ms = now_ms;
    socket->received_any = false;
    if (now_ms >= socket->contact_ms + 2 * socket->settings->ping_ms)
        fail(socket, "nothing received for %llu ms",
             (unsigned long long)(now_ms - socket->contact_ms));
}

static void run_frames(struct push_socket *socket, uint64_t now_ms)
{
    if (!socket->paused && !push_frames_read(socket->frames))
        fail(socket, "%s", push_frames_problem(socket->frames));
    check_contact(socket, now_ms);
    if (socket->stage == STAGE_OPEN && now_ms >= socket->ping_ms) {
        socket->ping_ms = now_ms + socket->settings->ping_ms;
        if (push_socket_send(socket, SLICE(PING)))
            fail(socket, "out of memory");
    }
    if (socket->stage == STAGE_OPEN && !push_frames_write(socket->frames))
        fail(socket, "%s", push_frames_problem(socket->frames));
}

/* --- opening handshake ------------------------------------------------------------------------ */

static void run_connecting(struct push_socket *socket)
{
    CURLcode code;
    if (!http_ended(socket->http, socket->easy, &code))
        return;
    if (code != CURLE_OK) {
        fail(socket, "%s", socket->detail[0] ? socket->detail : curl_easy_strerror(code));
        return;
    }
    socket->stage = STAGE_REQUEST;
}

static void run_request(struct push_socket *socket)
{
    while (socket->sent < socket->request.size) {
        size_t sent = transmit(socket, (const uint8_t *)socket->request.data + socket->sent,
                               socket->request.size - socket->sent);
        if (sent == 0)
            return;
        socket->sent += sent;
    }
    socket->stage = STAGE_RESPONSE;
}

static void on_open(struct push_socket *socket, uint64_t now_ms)
{
    socket->taken = socket->response.size_bytes;
    socket->contact_ms = now_ms;
    socket->ping_ms = now_ms + socket->settings->ping_ms;
    socket->stage = STAGE_OPEN;
    if (create_frames(socket))
        fail(socket, "out of memory");
}

/* What an HTTP status means here; "" if only the server knows. */
static const char *meaning_of(int status)
{
    static const struct {
        int status;
        const char *meaning;
    } statuses[] = {
        {401, ": it needs a token, or does not know this one"},
        {403, ": the token does not allow it"},
        {404, ": it is no Artemis server, or an older one"},
    };
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        if (statuses[i].status == status)
            return statuses[i].meaning;
    return "";
}

static void run_response(struct push_socket *socket, uint64_t now_ms)
{
    char *to = text_reserve(&socket->received, READ_BYTES);
    if (!to) {
        fail(socket, "out of memory");
        return;
    }
    size_t got = receive(socket, (uint8_t *)to, READ_BYTES);
    socket->received.size += got;
    if (got == 0)
        return;
    struct slice received = {socket->received.data, socket->received.size};
    switch (handshake_read(received, socket->key, &socket->response)) {
    case HANDSHAKE_INCOMPLETE:
        break;
    case HANDSHAKE_OPEN:
        on_open(socket, now_ms);
        break;
    case HANDSHAKE_REFUSED:
        fail(socket, "the server answered %d to the WebSocket handshake%s", socket->response.status,
             meaning_of(socket->response.status));
        socket->end = PUSH_REFUSED;
        break;
    case HANDSHAKE_INVALID:
        fail(socket, "the response to the WebSocket handshake is invalid");
        break;
    }
}

static bool prepare(struct push_socket *socket)
{
    const struct settings *settings = socket->settings;
    CURL *easy = socket->easy = curl_easy_init();
    handshake_make_key(socket->key);
    handshake_write(&socket->request, settings->servers.each[socket->server].url, "/ws",
                    socket->key, settings->authorization);
    if (!easy || text_failed(&socket->request) || http_set_common(easy, settings, socket->server))
        return false;
    curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTPPROXYTUNNEL, 1L); /* WebSockets need a tunnel */
    curl_easy_setopt(easy, CURLOPT_PRIVATE, NULL);       /* marks it as foreign for http */
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, socket->detail);
    return curl_easy_setopt(easy, CURLOPT_URL, settings->servers.each[socket->server].url) ==
               CURLE_OK &&
           curl_multi_add_handle(http_multi(socket->http), easy) == CURLM_OK;
}

enum error push_socket_open(struct http *http, const struct settings *settings, size_t server,
                            uint64_t now_ms, push_socket_message *on_message, void *context,
                            struct push_socket **out)
{
    struct push_socket *socket = calloc(1, sizeof *socket);
    if (!socket)
        return ERR_NO_MEMORY;
    socket->http = http;
    socket->settings = settings;
    socket->server = server;
    socket->on_message = on_message;
    socket->context = context;
    socket->connect_deadline_ms = now_ms + settings->attempt_timeout_ms;
    if (!prepare(socket)) {
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
    push_frames_free(socket->frames);
    if (socket->easy) {
        CURLcode code;
        curl_multi_remove_handle(http_multi(socket->http), socket->easy);
        (void)http_ended(socket->http, socket->easy, &code); /* the address may be reused */
    }
    curl_easy_cleanup(socket->easy);
    text_free(&socket->request);
    text_free(&socket->received);
    free(socket);
}

/* --- interface -------------------------------------------------------------------------------- */

enum push_state push_socket_run(struct push_socket *socket, uint64_t now_ms, bool may_read)
{
    socket->paused = !may_read;
    if (socket->stage == STAGE_CONNECTING)
        run_connecting(socket);
    if (socket->stage == STAGE_REQUEST)
        run_request(socket);
    if (socket->stage == STAGE_RESPONSE)
        run_response(socket, now_ms);
    if (socket->stage < STAGE_OPEN && now_ms >= socket->connect_deadline_ms)
        fail(socket, "no WebSocket within %llu ms",
             (unsigned long long)socket->settings->attempt_timeout_ms);
    if (socket->stage == STAGE_OPEN)
        run_frames(socket, now_ms);
    if (socket->stage == STAGE_ENDED)
        return socket->end;
    return socket->stage == STAGE_OPEN ? PUSH_OPEN : PUSH_CONNECTING;
}

bool push_socket_wants(const struct push_socket *socket, struct curl_waitfd *fd, uint64_t *at_ms)
{
    curl_socket_t handle = CURL_SOCKET_BAD;
    *at_ms = socket->stage == STAGE_OPEN ? socket->ping_ms : socket->connect_deadline_ms;
    if (socket->stage == STAGE_CONNECTING || socket->stage == STAGE_ENDED)
        return false;
    curl_easy_getinfo(socket->easy, CURLINFO_ACTIVESOCKET, &handle);
    if (handle == CURL_SOCKET_BAD)
        return false;
    bool is_open = socket->stage == STAGE_OPEN;
    bool reads = !is_open || (!socket->paused && push_frames_can_read(socket->frames));
    bool writes =
        socket->stage == STAGE_REQUEST || (is_open && push_frames_wants_write(socket->frames));
    if (is_open && reads && push_frames_has_more(socket->frames))
        *at_ms = 0;
    if (!reads && !writes)
        return false;
    *fd = (struct curl_waitfd){
        .fd = handle,
        .events = (short)((reads ? CURL_WAIT_POLLIN : 0) | (writes ? CURL_WAIT_POLLOUT : 0))};
    return true;
}

enum error push_socket_send(struct push_socket *socket, struct slice text)
{
    return push_frames_send(socket->frames, text);
}

size_t push_socket_server(const struct push_socket *socket)
{
    return socket->server;
}

int push_socket_status(const struct push_socket *socket)
{
    return socket->response.status;
}

uint64_t push_socket_retry_after_ms(const struct push_socket *socket)
{
    return socket->response.retry_after_ms;
}

const char *push_socket_problem(const struct push_socket *socket)
{
    return socket->problem;
}
