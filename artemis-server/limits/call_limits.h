/* SPDX-License-Identifier: Apache-2.0
 *
 * call_limits - the rate limits of client calls: one for the node and one for each client, for each
 * kind of call by itself. Reads therefore refuse no heartbeat.
 *
 * The limit of the clients is off by default: behind a proxy, a sidecar or NAT, thousands of
 * instances are one client, and a refused heartbeat costs more than an unfair share. A client over
 * its own limit takes nothing from the limit of the node. Only the events that one client publishes
 * are limited by default: each of them is sent to all nodes.
 *
 * Each refused request is counted by kind and scope. While there are some, the log has one line in
 * CALL_LIMITS_REPORT_MS with the numbers and the client that had most.
 *
 * Any thread may call call_limits_admit and call_limits_count. The reload thread sets the rates
 * while the main thread reports.
 */
#pragma once

#include "artemis-core/base/error.h"
#include "artemis-core/config/config.h"
#include "artemis-server/limits/client_table.h"

enum { CALL_LIMITS_REPORT_MS = 10 * 1000 };

/* Calls of clients. */
enum call_kind { CALL_DISCOVERY, CALL_CHANGE, CALL_HEARTBEAT, CALL_EVENT, CALL_KINDS };
enum limit_scope { SCOPE_NODE, SCOPE_CLIENT, LIMIT_SCOPES };

struct call_limit_counts {
    uint64_t refused[CALL_KINDS][LIMIT_SCOPES];
};

struct call_limits {
    struct rate_limiter node[CALL_KINDS];
    struct client_table clients;
    struct client_table publishers; /* clients that publish events: a limit of their own */
    atomic_bool are_on;             /* a limit is set */
    _Atomic uint64_t refused[CALL_KINDS][LIMIT_SCOPES];
    /* Of the thread that reports. */
    struct call_limit_counts reported;
    uint64_t reported_ms;
    bool has_reported;
};

/* Initialises limits that are all zero: everything is admitted. */
void call_limits_init(struct call_limits *limits, uint64_t hash_seed);
void call_limits_free(struct call_limits *limits);
/* Takes the rates of the settings, at the start and after a reload. */
void call_limits_set(struct call_limits *limits, const struct config *config);

static inline bool call_limits_are_on(const struct call_limits *limits)
{
    return atomic_load_explicit(&limits->are_on, memory_order_relaxed);
}
/* Takes a token for a call. ERR_RATE_LIMITED (the node), ERR_CLIENT_RATE_LIMITED. */
MUST_USE enum error call_limits_admit(struct call_limits *limits, enum call_kind kind,
                                      const struct client *client, uint64_t now_ms);

/* "discovery", "change", "heartbeat" */
const char *call_kind_word(enum call_kind kind);
/* "node", "client" */
const char *limit_scope_word(enum limit_scope scope);
void call_limits_count(const struct call_limits *limits, struct call_limit_counts *out);
/* Logs the requests that were refused since the last line, if that is due. Call it every second. */
void call_limits_report(struct call_limits *limits, uint64_t now_ms);
/* Logs them in any case, at the end of the node. */
void call_limits_flush(struct call_limits *limits);
