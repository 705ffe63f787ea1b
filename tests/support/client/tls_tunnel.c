/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/client/tls_tunnel.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/wait.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER_BYTES = 16 * 1024 };

struct tls_tunnel {
    int listener;
    uint16_t port, target;
    struct tls_identity identity;
};

/* One end of a TLS connection. */
struct tls {
    int fd;
    gnutls_session_t session;
    gnutls_certificate_credentials_t credentials;
};

/* A connection of a tunnel. */
struct link {
    const struct tls_tunnel *tunnel;
    int plain;
};

static int connect_to(uint16_t port)
{
    int on = 1;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        return fd;
    }
    if (fd >= 0) {
        close(fd);
    }
    return -1;
}

static void close_tls(struct tls *tls)
{
    gnutls_deinit(tls->session);
    gnutls_certificate_free_credentials(tls->credentials);
    close(tls->fd);
}

static bool set_identity(struct tls *tls, const struct tls_identity *identity)
{
    const char *priority = identity->priority != NULL ? identity->priority : "NORMAL";
    if (identity->cacert != NULL) {
        gnutls_certificate_set_x509_trust_file(tls->credentials, identity->cacert,
                                               GNUTLS_X509_FMT_PEM);
        gnutls_session_set_verify_cert(tls->session, "localhost", 0);
    }
    return (identity->cert == NULL ||
            gnutls_certificate_set_x509_key_file(tls->credentials, identity->cert, identity->key,
                                                 GNUTLS_X509_FMT_PEM) >= 0) &&
           gnutls_priority_set_direct(tls->session, priority, NULL) >= 0 &&
           gnutls_credentials_set(tls->session, GNUTLS_CRD_CERTIFICATE, tls->credentials) >= 0;
}

/* Returns the result of the handshake, negative for an error. */
static int open_tls(struct tls *tls, uint16_t port, const struct tls_identity *identity)
{
    tls->fd = connect_to(port);
    gnutls_init(&tls->session, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL | GNUTLS_FORCE_CLIENT_CERT);
    gnutls_certificate_allocate_credentials(&tls->credentials);
    if (tls->fd < 0 || !set_identity(tls, identity)) {
        return GNUTLS_E_INVALID_REQUEST;
    }
    gnutls_transport_set_int(tls->session, tls->fd);
    int result;
    do {
        result = gnutls_handshake(tls->session);
    } while (result < 0 && gnutls_error_is_fatal(result) == 0);
    return result;
}

/* --- one handshake ---------------------------------------------------------------------------- */

static void describe(const struct tls *tls, int code, char outcome[TLS_OUTCOME_BYTES])
{
    if (code == GNUTLS_E_FATAL_ALERT_RECEIVED) {
        snprintf(outcome, TLS_OUTCOME_BYTES, "alert: %s",
                 gnutls_alert_get_name(gnutls_alert_get(tls->session)));
    } else if (code == GNUTLS_E_PREMATURE_TERMINATION || code == GNUTLS_E_PULL_ERROR ||
               code == GNUTLS_E_PUSH_ERROR) {
        snprintf(outcome, TLS_OUTCOME_BYTES, "closed");
    } else {
        snprintf(outcome, TLS_OUTCOME_BYTES, "%s", gnutls_strerror(code));
    }
}

void tls_try(uint16_t port, const struct tls_identity *identity, const char *bytes,
             char outcome[TLS_OUTCOME_BYTES])
{
    struct tls tls;
    char received[TLS_OUTCOME_BYTES / 2] = "";
    int code = open_tls(&tls, port, identity);
    if (code >= 0 && bytes != NULL) {
        code = (int)gnutls_record_send(tls.session, bytes, strlen(bytes));
    }
    if (code >= 0) {
        gnutls_record_set_timeout(tls.session, bytes != NULL ? (unsigned)wait_timeout_ms() : 300);
        do {
            code = (int)gnutls_record_recv(tls.session, received, sizeof received - 1);
        } while (code == GNUTLS_E_AGAIN || code == GNUTLS_E_INTERRUPTED);
    }
    if (code > 0) {
        received[strcspn(received, "\r\n")] = '\0';
        snprintf(outcome, TLS_OUTCOME_BYTES, "ok: %s", received);
    } else if (code == GNUTLS_E_TIMEDOUT) {
        snprintf(outcome, TLS_OUTCOME_BYTES, "ok");
    } else {
        describe(&tls, code == 0 ? GNUTLS_E_PREMATURE_TERMINATION : code, outcome);
    }
    close_tls(&tls);
}

/* --- the tunnel ------------------------------------------------------------------------------- */

static bool write_plain(int fd, const char *bytes, ssize_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, bytes, (size_t)size, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) {
            return false;
        }
        bytes += sent > 0 ? sent : 0;
        size -= sent > 0 ? sent : 0;
    }
    return true;
}

static bool write_tls(gnutls_session_t session, const char *bytes, ssize_t size)
{
    while (size > 0) {
        ssize_t sent = gnutls_record_send(session, bytes, (size_t)size);
        if (sent < 0 && gnutls_error_is_fatal((int)sent) != 0) {
            return false;
        }
        bytes += sent > 0 ? sent : 0;
        size -= sent > 0 ? sent : 0;
    }
    return true;
}

/* Forwards one piece from the client; false: nothing more can be forwarded. What the server has
 * sent before it closed the connection is still forwarded to the client. */
static bool forward_up(struct tls *tls, int plain)
{
    char bytes[BUFFER_BYTES];
    ssize_t got = recv(plain, bytes, sizeof bytes, 0);
    if (got > 0) {
        return write_tls(tls->session, bytes, got);
    }
    gnutls_bye(tls->session, GNUTLS_SHUT_WR);
    shutdown(tls->fd, SHUT_WR);
    return false;
}

static bool forward_down(struct tls *tls, int plain)
{
    char bytes[BUFFER_BYTES];
    ssize_t got = gnutls_record_recv(tls->session, bytes, sizeof bytes);
    if (got < 0 && gnutls_error_is_fatal((int)got) == 0) {
        return true;
    }
    return got > 0 && write_plain(plain, bytes, got);
}

static void forward(struct tls *tls, int plain)
{
    bool client_open = true;
    for (;;) {
        struct pollfd fds[] = {{.fd = tls->fd, .events = POLLIN},
                               {.fd = client_open ? plain : -1, .events = POLLIN}};
        bool pending = gnutls_record_check_pending(tls->session) > 0;
        poll(fds, 2, pending ? 0 : -1);
        if ((pending || fds[0].revents) && !forward_down(tls, plain)) {
            return;
        }
        if (fds[1].revents) {
            client_open = forward_up(tls, plain);
        }
    }
}

static void *serve_link(void *argument)
{
    struct link link = *(struct link *)argument;
    struct tls tls;
    free(argument);
    if (open_tls(&tls, link.tunnel->target, &link.tunnel->identity) >= 0) {
        forward(&tls, link.plain);
    }
    close_tls(&tls);
    close(link.plain);
    return NULL;
}

static void *accept_links(void *argument)
{
    const struct tls_tunnel *tunnel = argument;
    for (;;) {
        int on = 1;
        pthread_t thread;
        struct link *link = malloc(sizeof *link);
        *link = (struct link){tunnel, accept4(tunnel->listener, NULL, NULL, SOCK_CLOEXEC)};
        if (link->plain < 0) {
            free(link);
            return NULL;
        }
        setsockopt(link->plain, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (pthread_create(&thread, NULL, serve_link, link) == 0) {
            pthread_detach(thread);
        }
    }
}

struct tls_tunnel *tls_tunnel_start(uint16_t port, const struct tls_identity *identity)
{
    pthread_t thread;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    struct tls_tunnel *tunnel = calloc(1, sizeof *tunnel);
    assert_non_null(tunnel);
    tunnel->target = port;
    tunnel->identity = *identity;
    tunnel->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(tunnel->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(tunnel->listener, 128), 0);
    assert_int_equal(getsockname(tunnel->listener, (struct sockaddr *)&address, &size), 0);
    tunnel->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&thread, NULL, accept_links, tunnel), 0);
    pthread_detach(thread);
    return tunnel;
}

uint16_t tls_tunnel_port(const struct tls_tunnel *tunnel)
{
    return tunnel->port;
}
