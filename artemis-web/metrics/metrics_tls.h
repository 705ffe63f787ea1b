/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics_tls - the part of the metrics page about listeners, TLS handshakes and certificates.
 */
#pragma once

#include "artemis-core/base/text.h"
#include "artemis-server/tls/credential_store.h"

struct tls_metrics {
    uint64_t unprotected;                    /* listeners that are open to everyone */
    uint64_t established, failed, timed_out; /* handshakes */
    struct credential_store *client;         /* NULL: server.tls_listen_addr is not set */
    struct credential_store *peer;           /* NULL: peers use plain HTTP */
};

/* Appends the metrics; without TLS only artemis_unprotected_listeners. */
void metrics_write_tls(const struct tls_metrics *values, struct moment now, struct text *out);
/* Appends the rows of these metrics to the Markdown table. */
void metrics_write_tls_reference(struct text *out);
