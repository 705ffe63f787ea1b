/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of settings, in the order in which they are shown. What is done with it is in config.c.
 */
#include "artemis-core/config/config.h"

#define ROW(section, name)                                                                         \
    .key = #section "." #name, .offset = offsetof(struct config, section.name)
#define NAME(section, name, preset)                                                                \
    ROW(section, name), .type = CONFIG_TEXT, .form = CONFIG_FORM_NAME, .default_value = preset
#define ADDRESS(section, name, lowest_port, preset)                                                \
    ROW(section, name), .type = CONFIG_TEXT, .form = CONFIG_FORM_ADDRESS, .min = lowest_port,      \
                        .max = 65535, .default_value = preset
#define NUMBER(section, name, least, most, preset)                                                 \
    ROW(section, name), .type = CONFIG_NUMBER, .min = least, .max = most, .default_value = preset
#define SWITCH(section, name, preset)                                                              \
    ROW(section, name), .type = CONFIG_BOOL, .default_value = preset
#define CHOICE(section, name, words, preset)                                                       \
    ROW(section, name), .type = CONFIG_CHOICE, .choices = words, .default_value = preset

enum { DAY_SECS = 24 * 60 * 60 };

static const char *const providers[] = {"static", NULL};
static const char *const levels[] = {"debug", "info", "warn", "error", NULL};
static const char *const formats[] = {"text", "json", NULL};

const struct config_setting config_settings[CONFIG_SETTINGS] = {
    {NAME(server, node_id, NULL), .default_note = "host name",
     .description = "Name of this node; no two nodes of a cluster share one."},
    {ADDRESS(server, listen_addr, 0, "127.0.0.1:8080"),
     .description = "Where the server listens; port 0 takes a free one."},
    {NAME(server, region, "local"), .description = "Region of this node."},
    {NAME(server, zone, "zone1"), .description = "Zone of this node within its region."},
    {NUMBER(server, threads, 1, 256, NULL), .default_note = "number of cores",
     .description = "Threads that serve requests."},
    {ROW(server, max_body_bytes), .type = CONFIG_SIZE, .min = 1 << 10, .max = 1 << 30,
     .default_value = "4 MiB", .description = "A request with a larger body is refused."},
    {NUMBER(server, max_connections, 16, 1000000, "10000"),
     .description = "Connections open at a time; what comes beyond is refused."},

    {SWITCH(cluster, enabled, "false"),
     .description = "Whether this node works with peers; if not, it stands alone."},
    {NAME(cluster, cluster_id, "artemis"),
     .description = "Name of the cluster; a node with another one is refused as a stranger."},
    {ROW(cluster, peers), .type = CONFIG_LIST, .form = CONFIG_FORM_PEER, .min = 1, .max = 65535,
     .default_value = "", .default_note = "none",
     .description = "Addresses of the other nodes; this node's own may stand among them."},
    {ROW(cluster, provider), .type = CONFIG_TEXT, .form = CONFIG_FORM_WORD, .choices = providers,
     .default_value = "static",
     .description = "Who says which nodes there are: `static` is `cluster.peers`."},
    {NUMBER(cluster, health_interval_secs, 1, 3600, "5"),
     .description = "Time between two health checks of a peer."},
    {ADDRESS(cluster, advertise_addr, 1, NULL), .default_note = "`server.listen_addr`",
     .description = "Where peers and clients reach this node, if not where it listens."},

    {SWITCH(replication, enabled, "true"), .description = "Whether changes travel to the peers."},
    {NUMBER(replication, timeout_secs, 1, 300, "5"),
     .description = "A call to a peer that takes longer has failed."},
    {NUMBER(replication, batch_size, 1, 10000, "100"),
     .description = "So many renewals leave at once, without waiting for the interval."},
    {NUMBER(replication, batch_interval_ms, 1, 60000, "100"),
     .description = "Renewals are collected for so long before they leave."},
    {NUMBER(replication, max_retries, 0, 100, "3"),
     .description = "After so many failures in a row, a peer is unhealthy and caught up later."},
    {NUMBER(replication, anti_entropy_secs, 1, DAY_SECS, "10"),
     .description = "Time between two comparisons with a peer, which mend what was lost."},
    {NUMBER(replication, tombstone_secs, 1, 30 * DAY_SECS, "600"),
     .description =
         "An unregistered instance is remembered for so long, lest a peer bring it back."},

    {NUMBER(lease, ttl_secs, 1, DAY_SECS, "30"),
     .description = "An instance without a heartbeat for so long is gone."},
    {NUMBER(lease, cleanup_interval_secs, 1, DAY_SECS, "60"),
     .description = "Time between two clean-ups of memory; answers do not depend on it."},
    {NUMBER(lease, guard_percent, 0, 100, "85"), .reloadable = true,
     .description =
         "If fewer than this share of the renewals due arrive, none is evicted; 0: never."},
    {NUMBER(lease, guard_min_leases, 0, 100000000, "50"), .reloadable = true,
     .description = "The guard does not act on fewer leases."},
    {NUMBER(lease, guard_max_secs, 1, DAY_SECS, "300"), .reloadable = true,
     .description = "The guard stops evictions for so long at most."},

    {SWITCH(cache, enabled, "true"),
     .description = "Whether answers are kept until their service changes."},
    {NUMBER(cache, expiry_secs, 1, DAY_SECS, "300"),
     .description = "An answer unused for so long is freed."},

    {SWITCH(ratelimit, enabled, "true"), .reloadable = true,
     .description = "Whether client calls of registry and discovery are limited."},
    {NUMBER(ratelimit, requests_per_second, 1, 100000000, "10000"), .reloadable = true,
     .description = "Client calls a second that this node answers, on average."},
    {NUMBER(ratelimit, burst_size, 1, 100000000, "5000"), .reloadable = true,
     .description = "Client calls that may come at once, whatever the average."},

    {CHOICE(log, level, levels, "info"), .reloadable = true,
     .description = "The least that is worth a line."},
    {CHOICE(log, format, formats, "text"),
     .description = "Lines for people, or one JSON object a line."},
};
