/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/metrics/metrics_events.h"

#include <inttypes.h>

/* clang-format off */
#define EVENT_METRICS(X) \
    X("artemis_event_subscriptions",           "gauge",   get(&hub->subscriptions),        "Subscriptions to topics of events of all WebSockets.") \
    X("artemis_events_published_total",        "counter", get(&hub->counters.published),   "Events that this node accepted from clients, or published itself.") \
    X("artemis_events_refused_total",          "counter", get(&hub->counters.refused),     "Events not published because 1,024 waited for the subscribers of this node, or for its peers.") \
    X("artemis_events_received_total",         "counter", get(&hub->counters.received),    "Events received from peers, each counted once.") \
    X("artemis_events_repeated_total",         "counter", get(&hub->counters.duplicates),  "Events received from peers again, or after later ones, and ignored.") \
    X("artemis_events_missed_total",           "counter", get(&hub->counters.missed),      "Events that a peer has numbered and this node has not received.") \
    X("artemis_events_delivered_total",        "counter", push->events,                    "Events sent or queued to a subscriber, for each subscriber.")
/* clang-format on */

static const char dropped_name[] = "artemis_events_dropped_total";
static const char dropped_description[] =
    "Events dropped for subscribers of this node, by reason: slow-subscriber (for each), "
    "queue-full "
    "(events of peers, when 1,024 wait for the push thread), memory.";

static uint64_t get(_Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void write_head(struct text *out, const char *name, const char *type,
                       const char *description)
{
    text_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, description, name, type);
}

static void write_dropped(struct text *out, const char *reason, uint64_t count)
{
    text_printf(out, "%s{reason=\"%s\"} %" PRIu64 "\n", dropped_name, reason, count);
}

void metrics_write_events(struct engine *engine, const struct push_status *push, struct text *out)
{
    struct event_hub *hub = &engine->event_hub;
#define X(name, type, value, description)                                                          \
    write_head(out, name, type, description);                                                      \
    text_printf(out, "%s %" PRIu64 "\n", name, value);
    EVENT_METRICS(X)
#undef X
    write_head(out, dropped_name, "counter", dropped_description);
    write_dropped(out, "slow-subscriber", push->events_lost);
    write_dropped(out, "queue-full", get(&hub->counters.dropped_full));
    write_dropped(out, "memory", get(&hub->counters.dropped_memory));
}

void metrics_write_events_reference(struct text *out)
{
#define X(name, type, value, description)                                                          \
    text_printf(out, "| `%s` | %s | %s |\n", name, type, description);
    EVENT_METRICS(X)
#undef X
    text_printf(out, "| `%s` | counter | %s |\n", dropped_name, dropped_description);
}
