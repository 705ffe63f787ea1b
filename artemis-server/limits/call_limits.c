/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/limits/call_limits.h"

#include <assert.h>
#include <string.h>

#include "artemis-server/log.h"

static_assert((int)CALL_KINDS == (int)CLIENT_BUCKETS, "a client has a bucket for each kind");

void call_limits_init(struct call_limits *limits, uint64_t hash_seed)
{
    for (enum call_kind kind = 0; kind < CALL_KINDS; kind++)
        rate_limiter_init(&limits->node[kind], 0, 0);
    client_table_init(&limits->clients, hash_seed);
    client_table_init(&limits->publishers, hash_seed);
}

void call_limits_free(struct call_limits *limits)
{
    client_table_free(&limits->clients);
    client_table_free(&limits->publishers);
}

void call_limits_set(struct call_limits *limits, const struct config *config)
{
    bool on = config->ratelimit.enabled;
    for (enum call_kind kind = 0; kind < CALL_KINDS; kind++)
        rate_limiter_set(&limits->node[kind], on ? config->ratelimit.requests_per_second : 0,
                         config->ratelimit.burst_size);
    client_table_set(&limits->clients, on ? config->ratelimit.client_requests_per_second : 0,
                     config->ratelimit.client_burst_size);
    client_table_set(&limits->publishers, on ? config->ratelimit.client_events_per_second : 0,
                     config->ratelimit.client_events_per_second);
    atomic_store_explicit(&limits->are_on, on, memory_order_relaxed);
}

static void count(struct call_limits *limits, enum call_kind kind, enum limit_scope scope)
{
    atomic_fetch_add_explicit(&limits->refused[kind][scope], 1, memory_order_relaxed);
}

enum error call_limits_admit(struct call_limits *limits, enum call_kind kind,
                             const struct client *client, uint64_t now_ms)
{
    struct client_table *clients = kind == CALL_EVENT ? &limits->publishers : &limits->clients;
    if (client_table_is_on(clients) && !client_table_admit(clients, client, kind, now_ms)) {
        count(limits, kind, SCOPE_CLIENT);
        return ERR_CLIENT_RATE_LIMITED;
    }
    if (rate_limiter_admit(&limits->node[kind], now_ms))
        return ERR_NONE;
    client_table_add_refused(clients, client, now_ms);
    count(limits, kind, SCOPE_NODE);
    return ERR_RATE_LIMITED;
}

/* --- reports ---------------------------------------------------------------------------------- */

struct call_limit_sums {
    uint64_t by_kind[CALL_KINDS];
    uint64_t by_scope[LIMIT_SCOPES];
};

const char *call_kind_word(enum call_kind kind)
{
    static const char *const words[CALL_KINDS] = {
        [CALL_DISCOVERY] = "discovery",
        [CALL_CHANGE] = "change",
        [CALL_HEARTBEAT] = "heartbeat",
        [CALL_EVENT] = "event",
    };
    return words[kind];
}

const char *limit_scope_word(enum limit_scope scope)
{
    return scope == SCOPE_NODE ? "node" : "client";
}

void call_limits_count(const struct call_limits *limits, struct call_limit_counts *out)
{
    for (enum call_kind kind = 0; kind < CALL_KINDS; kind++)
        for (enum limit_scope scope = 0; scope < LIMIT_SCOPES; scope++)
            out->refused[kind][scope] =
                atomic_load_explicit(&limits->refused[kind][scope], memory_order_relaxed);
}

/* Adds up what was refused since the last line. */
static uint64_t add_up(struct call_limits *limits, struct call_limit_sums *sums)
{
    struct call_limit_counts counts;
    call_limits_count(limits, &counts);
    *sums = (struct call_limit_sums){0};
    for (enum call_kind kind = 0; kind < CALL_KINDS; kind++)
        for (enum limit_scope scope = 0; scope < LIMIT_SCOPES; scope++) {
            uint64_t refused = counts.refused[kind][scope] - limits->reported.refused[kind][scope];
            sums->by_kind[kind] += refused;
            sums->by_scope[scope] += refused;
        }
    limits->reported = counts;
    return sums->by_scope[SCOPE_NODE] + sums->by_scope[SCOPE_CLIENT];
}

/* Of all kinds of calls. */
static uint64_t take_heaviest(struct call_limits *limits, char name[CLIENT_NAME_BYTES])
{
    char publisher[CLIENT_NAME_BYTES];
    uint64_t most = client_table_take_heaviest(&limits->clients, name);
    uint64_t most_events = client_table_take_heaviest(&limits->publishers, publisher);
    if (most_events <= most)
        return most;
    memcpy(name, publisher, sizeof(publisher));
    return most_events;
}

/* Returns whether there was something to log. */
static bool log_refused(struct call_limits *limits)
{
    char heaviest[CLIENT_NAME_BYTES] = "";
    struct call_limit_sums sums;
    if (add_up(limits, &sums) == 0)
        return false;
    uint64_t most = take_heaviest(limits, heaviest);
    log_event(LOG_LEVEL_WARN, "rate limits refused requests",
              LOG_NUMBER("heartbeats", sums.by_kind[CALL_HEARTBEAT]),
              LOG_NUMBER("changes", sums.by_kind[CALL_CHANGE]),
              LOG_NUMBER("discovery", sums.by_kind[CALL_DISCOVERY]),
              LOG_NUMBER("events", sums.by_kind[CALL_EVENT]),
              LOG_NUMBER("by_node_limit", sums.by_scope[SCOPE_NODE]),
              LOG_NUMBER("by_client_limit", sums.by_scope[SCOPE_CLIENT]),
              LOG_TEXT("heaviest_client", heaviest), LOG_NUMBER("heaviest_refused", most));
    return true;
}

void call_limits_report(struct call_limits *limits, uint64_t now_ms)
{
    bool is_due = !limits->has_reported || now_ms >= limits->reported_ms + CALL_LIMITS_REPORT_MS;
    if (!is_due || !log_refused(limits))
        return;
    limits->has_reported = true;
    limits->reported_ms = now_ms;
}

void call_limits_flush(struct call_limits *limits)
{
    (void)log_refused(limits);
}
