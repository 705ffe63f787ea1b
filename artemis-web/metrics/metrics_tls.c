/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/metrics/metrics_tls.h"

#include <inttypes.h>
#include <stddef.h>

/* clang-format off */
#define HANDSHAKE_METRICS(X) \
    X("artemis_tls_handshakes_total",          "counter", established, "TLS handshakes completed.") \
    X("artemis_tls_handshakes_failed_total",   "counter", failed,      "TLS handshakes that failed: no common version, no valid certificate, or a client that left.") \
    X("artemis_tls_handshakes_timed_out_total", "counter", timed_out,  "TLS connections closed because the handshake took too long.")

#define CERTIFICATE_METRICS(X) \
    X("artemis_tls_certificate_expiry_days",   "gauge",   (int64_t)status.expiry_days,      "Whole days until the certificate expires, by setting; negative when it has expired.") \
    X("artemis_tls_certificate_failing",       "gauge",   (int64_t)status.is_failing,       "1 while the files of the certificate cannot be used and the earlier certificate is kept, else 0.") \
    X("artemis_tls_reloads_total",             "counter", (int64_t)status.reloads,  "Reloads of a certificate.") \
    X("artemis_tls_reloads_failed_total",      "counter", (int64_t)status.failures, "Reloads of a certificate that failed.")
/* clang-format on */

static const char unprotected_name[] = "artemis_unprotected_listeners";
static const char unprotected_description[] =
    "Listeners on an address other than loopback that need neither a token nor a certificate "
    "(server.allow_insecure).";

static void write_head(struct text *out, const char *name, const char *type,
                       const char *description)
{
    text_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, description, name, type);
}

static void write_certificates(const struct tls_metrics *values, struct moment now,
                               struct text *out)
{
    struct {
        struct credential_store *store;
        const char *setting;
    } const stores[] = {{values->client, "tls.cert"}, {values->peer, "cluster.tls.cert"}};
#define X(name, type, field, description)                                                          \
    write_head(out, name, type, description);                                                      \
    for (size_t i = 0; i < sizeof(stores) / sizeof(stores[0]); i++)                                \
        if (stores[i].store) {                                                                     \
            struct credential_status status = credential_store_status(stores[i].store, now);       \
            text_printf(out, "%s{setting=\"%s\"} %" PRId64 "\n", name, stores[i].setting, field);  \
        }
    CERTIFICATE_METRICS(X)
#undef X
}

void metrics_write_tls(const struct tls_metrics *values, struct moment now, struct text *out)
{
    write_head(out, unprotected_name, "gauge", unprotected_description);
    text_printf(out, "%s %" PRIu64 "\n", unprotected_name, values->unprotected);
    if (!values->client && !values->peer)
        return;
#define X(name, type, field, description)                                                          \
    write_head(out, name, type, description);                                                      \
    text_printf(out, "%s %" PRIu64 "\n", name, values->field);
    HANDSHAKE_METRICS(X)
#undef X
    write_certificates(values, now, out);
}

void metrics_write_tls_reference(struct text *out)
{
#define X(name, type, field, description)                                                          \
    text_printf(out, "| `%s` | %s | %s |\n", name, type, description);
    text_printf(out, "| `%s` | gauge | %s |\n", unprotected_name, unprotected_description);
    HANDSHAKE_METRICS(X)
    CERTIFICATE_METRICS(X)
#undef X
}
