/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/metrics/metrics_cluster.h"

#include <inttypes.h>

/* clang-format off */
#define NODE_METRICS(X) \
    X("artemis_cluster_nodes_up",                "gauge",   (uint64_t)size.nodes_up,            "Nodes that are up and ready, this one included.") \
    X("artemis_cluster_nodes_expected",          "gauge",   (uint64_t)size.nodes_expected,      "cluster.expected_nodes; 0 if it is not set.") \
    X("artemis_cluster_under_replicated",        "gauge",   (uint64_t)cluster_size_is_low(size), "1 while fewer nodes are up and ready than cluster.expected_nodes, else 0.") \
    X("artemis_cluster_members",                 "gauge",   (uint64_t)cluster_member_count(&engine->cluster), "Addresses in the topology, that of this node included if a provider finds it.")

#define PROVIDER_METRICS(X) \
    X("artemis_cluster_provider_up",             "gauge",   (uint64_t)!providers[i].problem[0], "1 while the membership provider works, 0 while it fails and its last list of members stays.") \
    X("artemis_cluster_provider_members",        "gauge",   (uint64_t)providers[i].members,     "Addresses in the last list of the membership provider.") \
    X("artemis_cluster_provider_failures_total", "counter", providers[i].failures,              "Failed attempts of the membership provider to read its list, or a part of it.")
/* clang-format on */

static void write_head(struct text *out, const char *name, const char *type,
                       const char *description)
{
    text_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, description, name, type);
}

static void write_sample(struct text *out, const char *metric,
                         const struct provider_status *provider, uint64_t value)
{
    text_printf(out, "%s{provider=\"%s\"} %" PRIu64 "\n", metric, provider->name, value);
}

void metrics_write_cluster(struct engine *engine, struct text *out)
{
    struct provider_status providers[PROVIDERS_MAX];
    if (!engine->replication)
        return;
    struct cluster_size size = engine_cluster_size(engine);
    size_t count = membership_status(&engine->membership, providers);
#define X(name, type, value, description)                                                          \
    write_head(out, name, type, description);                                                      \
    text_printf(out, "%s %" PRIu64 "\n", name, value);
    NODE_METRICS(X)
#undef X
#define X(name, type, value, description)                                                          \
    write_head(out, name, type, description);                                                      \
    for (size_t i = 0; i < count; i++)                                                             \
        write_sample(out, name, &providers[i], value);
    PROVIDER_METRICS(X)
#undef X
}

void metrics_write_cluster_reference(struct text *out)
{
#define X(name, type, value, description)                                                          \
    text_printf(out, "| `%s` | %s | %s |\n", name, type, description);
    NODE_METRICS(X)
    PROVIDER_METRICS(X)
#undef X
}
