/* SPDX-License-Identifier: Apache-2.0
 *
 * tls_tunnel - a local port that forwards each connection to a server with TLS.
 *
 * With it, the plain clients of the tests speak TLS. Closing is forwarded in both directions. A
 * connection whose handshake fails is closed, and the reason is kept. Threads of its own serve the
 * connections; they end with the test program.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct tls_identity {
    const char *cacert; /* PEM file of the authority of the server; NULL: it is not verified */
    const char *cert;   /* PEM files that are shown to the server; NULL: none */
    const char *key;
    const char *priority; /* of GnuTLS; NULL: "NORMAL" */
};

struct tls_tunnel;

/* Forwards to 127.0.0.1:PORT. The identity is read for each connection; its texts must stay. */
struct tls_tunnel *tls_tunnel_start(uint16_t port, const struct tls_identity *identity);
/* Where the tunnel listens. */
uint16_t tls_tunnel_port(const struct tls_tunnel *tunnel);

enum { TLS_OUTCOME_BYTES = 160 };

/* Makes one handshake with a server, sends `bytes` (NULL: none) and reads once. `outcome` receives
 * "ok", "ok: " and what was read, or why the handshake failed, or was refused after it: the name of
 * the alert of the server, such as "alert: Unknown certificate authority", or "closed". */
void tls_try(uint16_t port, const struct tls_identity *identity, const char *bytes,
             char outcome[TLS_OUTCOME_BYTES]);
