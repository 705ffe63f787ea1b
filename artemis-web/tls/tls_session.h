/* SPDX-License-Identifier: Apache-2.0
 *
 * tls_session - the TLS side of a connection: credentials, handshake, certificate of the client.
 *
 * The path of a connection with TLS:
 *   1. The acceptor of its listener passes the socket to a web thread with TLS (web_threads.h).
 *      libmicrohttpd creates the session of GnuTLS.
 *   2. tls_session_start gives that session the credentials of the listener, so that a reload needs
 *      no new daemon, and functions that read from the socket and follow the handshake.
 *   3. libmicrohttpd runs the handshake. While it waits for the client, the connection is suspended
 *      (await_input). A client that speaks plain HTTP gets a plain 400.
 *   4. A client certificate is verified, and the certificate of a peer must have the name of a
 *      member. A refused client gets a TLS alert.
 *   5. Requests are served as on a plain connection. A peer with a certificate needs no token
 *      (authentication.h). The socket of a WebSocket is exchanged for one of a pair
 *      (tls_forward.h).
 *   6. When certificates or members have changed, the web threads verify the certificates of all
 *      clients again (tls_session_verify_again), and end the connections that fail.
 *
 * A session belongs to the web thread of its connection. Counters may be read by any thread.
 */
#pragma once

#include <gnutls/gnutls.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "artemis-web/tls/watch.h"

struct cluster;
struct credential_store;
struct credentials;
struct http_connection;
struct tls_forward;

enum { TLS_NAME_BYTES = 128, TLS_REASON_BYTES = 160 };

enum tls_state {
    TLS_HANDSHAKE,
    TLS_ESTABLISHED,
};

struct tls_counters {
    _Atomic uint64_t established, failed, timed_out; /* handshakes */
};

/* What the connections of a listener have in common. Constant while connections are served. */
struct tls_endpoint {
    const char *listener;                 /* its setting, for the log */
    struct credential_store *credentials; /* NULL: plain connections */
    struct cluster *cluster;              /* the client must be a member; NULL: any client */
    bool requests_certificate, requires_certificate;
    struct tls_counters *counters;
};

/* What a session needs of the connection. */
struct tls_connection {
    int socket;
    gnutls_session_t gnutls;    /* of libmicrohttpd */
    _Atomic bool *has_read_all; /* set when nothing that has arrived is unread */
    /* Called within a read of the handshake: suspends the connection until input arrives. */
    void (*await_input)(void *context);
    void *context;
};

/* Allocated for a connection with TLS; freed by tls_session_end. */
struct tls_session {
    enum tls_state state;
    const struct tls_endpoint *endpoint;
    struct tls_connection connection;
    struct credentials *credentials; /* a reference */
    unsigned alert;                  /* that was sent; 0: none */
    bool received_bytes, received_hello, offers_tls_1_2, sent_hello, received_finished,
        sent_finished;
    bool has_certificate;                     /* the client has sent one, and it was verified */
    bool is_forwarded;                        /* input is for tls_session_receive alone */
    bool is_receiving;                        /* in tls_session_receive */
    struct watch handshake_watch;             /* of web_thread_await_input */
    TAILQ_ENTRY(http_connection) thread_link; /* of web_thread_add_tls */
    struct tls_forward *forward;              /* of a WebSocket; otherwise NULL */
    char reason[TLS_REASON_BYTES];            /* why the handshake failed; "": not known */
    char client_name[TLS_NAME_BYTES];         /* of the verified certificate; "": none */
};

/* The value of MHD_OPTION_HTTPS_CERT_CALLBACK. */
void *tls_session_cert_callback(void);
/* Prepares the session of a connection that has just been accepted by a listener with TLS. NULL: no
 * memory. */
struct tls_session *tls_session_start(const struct tls_endpoint *endpoint,
                                      const struct tls_connection *connection);
/* Counts and logs a handshake that did not complete, and frees the session. The session of GnuTLS
 * has ended already; the socket is still open. */
void tls_session_end(struct tls_session *tls, bool timed_out, const char *client);
/* Whether the certificate of the client, if it has sent one, is still accepted by the current
 * authorities and members. Otherwise the client gets an alert, and tls->reason says why; the caller
 * then ends the connection. */
bool tls_session_verify_again(struct tls_session *tls);
/* From now on libmicrohttpd receives nothing of this connection. */
void tls_session_set_forwarded(struct tls_session *tls);
/* Receives a record, or a part of one: as gnutls_record_recv. */
ssize_t tls_session_receive(struct tls_session *tls, char *out, size_t size);
/* Sends a response without libmicrohttpd, and the end of the stream; drops what does not fit. Sends
 * nothing during the handshake. The caller then ends the connection. */
void tls_session_send_last(struct tls_session *tls, const char *data, size_t size);
