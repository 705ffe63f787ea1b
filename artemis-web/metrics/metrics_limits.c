/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/metrics/metrics_limits.h"

#include <inttypes.h>

/* clang-format off */
#define CLIENT_METRICS(X) \
    X("artemis_rate_limit_clients",                "gauge",   count,    "Clients with a rate of their own, or with refused requests, that the node knows; 4,096 at most.") \
    X("artemis_rate_limit_clients_replaced_total", "counter", replaced, "Clients that were replaced by a new one because too many were known.")
/* clang-format on */

static const char refused_name[] = "artemis_rate_limited_total";
static const char refused_description[] = "Client requests refused by a rate limit, by kind "
                                          "(heartbeat, change, discovery, event) and scope: the "
                                          "limit of the node or of the client.";

static const char quota_name[] = "artemis_over_quota_total";
static const char quota_description[] =
    "Registrations of instances refused by a quota: registry.max_instances_per_service or "
    "auth.tokens.max_services.";

static void write_head(struct text *out, const char *name, const char *type,
                       const char *description)
{
    text_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, description, name, type);
}

static void write_refused(const struct call_limits *limits, struct text *out)
{
    struct call_limit_counts counts;
    call_limits_count(limits, &counts);
    write_head(out, refused_name, "counter", refused_description);
    for (enum call_kind kind = 0; kind < CALL_KINDS; kind++)
        for (enum limit_scope scope = 0; scope < LIMIT_SCOPES; scope++)
            text_printf(out, "%s{kind=\"%s\",scope=\"%s\"} %" PRIu64 "\n", refused_name,
                        call_kind_word(kind), limit_scope_word(scope), counts.refused[kind][scope]);
}

static void write_over_quota(const struct engine *engine, struct text *out)
{
    static const char *const words[QUOTAS] = {
        [QUOTA_INSTANCES] = "registry.max_instances_per_service",
        [QUOTA_SERVICES] = "auth.tokens.max_services",
    };
    write_head(out, quota_name, "counter", quota_description);
    for (enum quota quota = 0; quota < QUOTAS; quota++)
        text_printf(out, "%s{quota=\"%s\"} %" PRIu64 "\n", quota_name, words[quota],
                    atomic_load_explicit(&engine->over_quota[quota], memory_order_relaxed));
}

void metrics_write_limits(struct engine *engine, struct text *out)
{
    write_refused(&engine->limits, out);
    write_over_quota(engine, out);
#define X(name, type, field, description)                                                          \
    write_head(out, name, type, description);                                                      \
    text_printf(out, "%s %" PRIu64 "\n", name,                                                     \
                atomic_load_explicit(&engine->limits.clients.field, memory_order_relaxed));
    CLIENT_METRICS(X)
#undef X
}

void metrics_write_limits_reference(struct text *out)
{
#define X(name, type, field, description)                                                          \
    text_printf(out, "| `%s` | %s | %s |\n", name, type, description);
    text_printf(out, "| `%s` | counter | %s |\n", refused_name, refused_description);
    text_printf(out, "| `%s` | counter | %s |\n", quota_name, quota_description);
    CLIENT_METRICS(X)
#undef X
}
