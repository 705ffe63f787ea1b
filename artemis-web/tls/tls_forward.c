/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/tls/tls_forward.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "artemis-core/base/text.h"

enum { PIECE_BYTES = 16 * 1024 /* a TLS record */, SEND_BUFFER_BYTES = 64 * 1024 };

struct tls_forward {
    struct tls_session *tls;
    const struct tls_forward_calls *calls;
    void *context;   /* of the calls */
    int socket;      /* our end of the pair */
    int push_socket; /* the other one; -1: closed */
    struct watch connection_watch, socket_watch;
    struct text kept;  /* received from the client and not passed on */
    bool client_ended; /* nothing more comes from the client */
    bool record_kept;  /* GnuTLS keeps a record that the connection does not accept */
    bool push_ended;   /* nothing more comes from the push thread */
    bool failed;       /* the client gets nothing more */
    bool closing;      /* by tls_forward_close */
};

/* --- from the client to the push thread ------------------------------------------------------- */

static void end_client(struct tls_forward *forward)
{
    forward->client_ended = true;
    shutdown(forward->socket, SHUT_WR);
}

static void pass_on(struct tls_forward *forward, const char *data, size_t size)
{
    ssize_t sent = send(forward->socket, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    size_t accepted = sent > 0 ? (size_t)sent : 0;
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        end_client(forward); /* the push thread has closed its end */
        return;
    }
    struct text rest = {0};
    text_append(&rest, data + accepted, size - accepted);
    text_free(&forward->kept);
    forward->kept = rest;
    if (text_failed(&rest))
        end_client(forward);
}

static void receive_record(struct tls_forward *forward)
{
    char piece[PIECE_BYTES];
    ssize_t got = tls_session_receive(forward->tls, piece, sizeof(piece));
    if (got > 0)
        pass_on(forward, piece, (size_t)got);
    else if (got == 0 || gnutls_error_is_fatal((int)got))
        end_client(forward);
}

static void forward_up(struct tls_forward *forward)
{
    if (forward->kept.size > 0)
        pass_on(forward, forward->kept.data, forward->kept.size);
    while (!forward->client_ended && forward->kept.size == 0) {
        receive_record(forward);
        if (!gnutls_record_check_pending(forward->tls->connection.gnutls))
            return; /* epoll reports the rest */
    }
}

/* --- from the push thread to the client ------------------------------------------------------- */

static void fail(struct tls_forward *forward)
{
    forward->failed = true;
    forward->record_kept = false;
    shutdown(forward->socket, SHUT_RDWR); /* the push thread ends the WebSocket */
}

/* Sends a record, or what is left of the last one (NULL). */
static void send_record(struct tls_forward *forward, const char *data, size_t size)
{
    ssize_t sent = gnutls_record_send(forward->tls->connection.gnutls, data, size);
    forward->record_kept = sent < 0;
    if (sent < 0 && gnutls_error_is_fatal((int)sent))
        fail(forward);
}

static void end_push(struct tls_forward *forward)
{
    forward->push_ended = true;
    if (forward->failed)
        return;
    (void)gnutls_bye(forward->tls->connection.gnutls, GNUTLS_SHUT_WR);
    shutdown(forward->tls->connection.socket, SHUT_WR);
}

static void forward_down(struct tls_forward *forward)
{
    char piece[PIECE_BYTES];
    if (forward->record_kept)
        send_record(forward, NULL, 0);
    if (forward->record_kept || forward->push_ended || forward->failed)
        return;
    size_t max = gnutls_record_get_max_size(forward->tls->connection.gnutls);
    ssize_t got =
        recv(forward->socket, piece, max < sizeof(piece) ? max : sizeof(piece), MSG_DONTWAIT);
    if (got > 0)
        send_record(forward, piece, (size_t)got);
    else if (got == 0 || (errno != EAGAIN && errno != EINTR))
        end_push(forward);
}

/* --- events ----------------------------------------------------------------------------------- */

static uint32_t wanted(bool input, bool output)
{
    return (input ? (uint32_t)EPOLLIN : 0) | (output ? (uint32_t)EPOLLOUT : 0);
}

/* A descriptor without a wanted event is not watched: epoll would report its end all the time. */
static void set_events(struct tls_forward *forward, struct watch *watch, uint32_t events)
{
    if (events == 0)
        forward->calls->unwatch(forward->context, watch);
    else if (!forward->calls->watch(forward->context, watch, events))
        fail(forward);
}

static void update_events(struct tls_forward *forward)
{
    bool has_kept = forward->kept.size > 0 && !forward->client_ended;
    bool may_send = !forward->record_kept && !forward->push_ended && !forward->failed;
    set_events(forward, &forward->connection_watch,
               wanted(!forward->client_ended && !has_kept, forward->record_kept));
    set_events(forward, &forward->socket_watch, wanted(may_send, has_kept));
}

static void end(struct tls_forward *forward)
{
    const struct tls_forward_calls *calls = forward->calls;
    void *context = forward->context;
    calls->unwatch(context, &forward->connection_watch);
    calls->unwatch(context, &forward->socket_watch);
    close(forward->socket);
    if (forward->push_socket >= 0)
        close(forward->push_socket);
    text_free(&forward->kept);
    free(forward);
    calls->end(context);
}

static void run(struct tls_forward *forward)
{
    forward_up(forward);
    forward_down(forward);
    if (forward->closing && !forward->record_kept && (forward->push_ended || forward->failed))
        end(forward);
    else
        update_events(forward);
}

static void on_event(struct watch *watch)
{
    run(watch->context);
}

/* --- start and end ---------------------------------------------------------------------------- */

struct tls_forward *tls_forward_start(struct tls_session *tls, bool is_watched,
                                      const struct tls_forward_calls *calls, void *context,
                                      int *socket)
{
    int ends[2];
    int size = SEND_BUFFER_BYTES;
    struct tls_forward *forward = calloc(1, sizeof(*forward));
    if (!forward || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) {
        free(forward);
        return NULL;
    }
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    *forward = (struct tls_forward){
        .tls = tls,
        .calls = calls,
        .context = context,
        .socket = ends[0],
        .push_socket = ends[1],
        .connection_watch = {.fd = tls->connection.socket,
                             .is_added = is_watched,
                             .on_event = on_event,
                             .context = forward},
        .socket_watch = {.fd = ends[0], .on_event = on_event, .context = forward},
    };
    *socket = ends[1];
    tls_session_set_forwarded(tls);
    forward_up(forward);
    update_events(forward);
    return forward;
}

void tls_forward_close(struct tls_forward *forward, bool now)
{
    if (forward->push_socket >= 0)
        close(forward->push_socket);
    forward->push_socket = -1;
    forward->closing = true;
    if (now)
        end(forward);
    else
        run(forward);
}
