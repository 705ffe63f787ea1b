/* SPDX-License-Identifier: Apache-2.0
 *
 * Events of topics. Each node publishes some from time to time, as a client would at its HTTP
 * interface, and subscribes to all. They go through the hub, the replicator and the real bodies of
 * requests.
 *
 * Invariant 9, for each publisher and each other node:
 *   - a node gets an event at most once, and in the order of the publisher, also over restarts;
 *   - the publisher has counted each event as delivered, dropped or waiting;
 *   - what it counts as delivered has arrived, and a node has counted the events that it missed;
 *   - after the faults nothing is lost between nodes that reach each other. All events have
 *     arrived when there was time for a round trip for each, and for messages that are too large.
 */
#include "tests/sim/sim.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "artemis-server/replication/peer_requests.h"

enum {
    INTERVAL_MS = 90000, /* between two turns of a publisher, at most */
    BURST_MAX = 8,
    SMALL_LIMIT = 2,            /* events in a request to a node with a small limit */
    TAKEN_MAX = 64,             /* events of one call of the hub */
    HALVINGS = 4,               /* until a message of BURST_MAX or more is small enough */
    FAILED_MS = 3 * TIMEOUT_MS, /* until what failed during the faults is sent again */
};

/* A request and its response after the faults, at most. */
static uint64_t round_trip_ms(const struct sim *sim, uint32_t a, uint32_t b)
{
    return 2 * (TRAVEL_MS + RECOVERY_DELAY_MS) + sim->links[a][b].delay_ms +
           sim->links[b][a].delay_ms;
}

/* When a node publishes for the last time. Its slowest peer gets these events before the end. */
static uint64_t last_ms(const struct sim *sim, uint32_t from)
{
    uint64_t slowest_ms = 0;
    for (uint32_t to = 0; to < sim->node_count; to++)
        if (round_trip_ms(sim, from, to) > slowest_ms)
            slowest_ms = round_trip_ms(sim, from, to);
    uint64_t burst_ms = (BURST_MAX + HALVINGS) * slowest_ms;
    return sim_end_ms(sim) - 2 * CHECK_INTERVAL_MS - FAILED_MS - burst_ms;
}

static uint64_t epoch_of(const struct sim_node *node)
{
    return (uint64_t)node->id << 32 | node->life;
}

static void wake(void *context)
{
    (void)context; /* the caller takes the events */
}

/* --- a node ----------------------------------------------------------------------------------- */

void events_node_start(struct sim *sim, struct sim_node *node)
{
    (void)sim;
    node->events = calloc(1, sizeof(*node->events));
    if (!node->events)
        abort();
    snprintf(node->run, sizeof(node->run), "%016" PRIx64, epoch_of(node));
    node->published = 0;
    node->admitted = 0;
    node->has_late_events = false;
    event_hub_init(node->events, node->name, node->run);
    atomic_store(&node->events->subscriptions, 1);
    event_hub_set_local(node->events, wake, NULL);
    event_hub_set_peers(node->events, wake, NULL);
}

/* A peer that is added has its counters at zero. */
void events_note_peer(struct sim *sim, const struct sim_node *node, uint32_t peer)
{
    struct sim_event_pair *pair = &sim->event_pairs[node->id][peer];
    pair->before = node->published;
    pair->arrived = 0;
    pair->due_ms = 0;
}

static struct event *take(struct sim_node *node)
{
    struct event *event;
    return event_hub_take_local(node->events, &event, 1) ? event : NULL;
}

/* The last part of the run that events_node_start has written. */
static uint32_t life_of(struct slice run)
{
    char digits[EVENT_RUN_BYTES];
    snprintf(digits, sizeof(digits), "%.*s", (int)run.size, run.data);
    return (uint32_t)strtoull(digits, NULL, 16);
}

/* An event of another node, for the subscribers of this one. */
static void on_event(struct sim *sim, struct sim_node *node, const struct event *event)
{
    uint32_t from = node_number(event->node_id);
    uint32_t life = life_of(event->run);
    struct sim_event_pair *pair = &sim->event_pairs[from][node->id];
    bool is_first = pair->life != life || pair->receiver_life != node->life;
    sim->counts.events_arrived++;
    pair->arrived++;
    if (life < pair->life) {
        node->has_late_events = true;
        return;
    }
    if (pair->life == life && event->number <= pair->number)
        sim_fail(sim, 9, -1, "%s got event %llu of n%u after event %llu", node->name,
                 (unsigned long long)event->number, from, (unsigned long long)pair->number);
    node->admitted += is_first ? 1 : event->number - pair->number;
    pair->life = life;
    pair->receiver_life = node->life;
    pair->number = event->number;
}

static void deliver(struct sim *sim, struct sim_node *node)
{
    struct event *event;
    while ((event = take(node))) {
        if (!slice_equal(event->node_id, slice_of(node->name)))
            on_event(sim, node, event);
        event_unref(event);
    }
}

void events_for_peers(struct sim_node *node)
{
    struct event *events[TAKEN_MAX];
    size_t count;
    while ((count = event_hub_take_for_peers(node->events, events, TAKEN_MAX)))
        for (size_t i = 0; i < count; i++)
            replicator_put_event(node->replicator, events[i]);
}

/* Some nodes accept only small requests, as with a low server.max_body_bytes. */
static bool has_small_limit(const struct sim_node *node)
{
    return node->id % 3 == 2;
}

/* The request of a peer, as the handler executes it. */
enum send_result events_serve(struct sim *sim, struct sim_node *node, const struct sim_node *from,
                              struct slice body)
{
    struct event_message *events;
    char message[MESSAGE_BYTES];
    if (node->is_legacy)
        return SEND_REJECTED;
    if (event_message_read_peer(body, &events, message))
        abort();
    struct slice to_run = event_message_to_run(events);
    bool is_too_large = has_small_limit(node) && event_message_count(events) > SMALL_LIMIT;
    bool is_for_earlier = to_run.size && !slice_equal(to_run, slice_of(node->run));
    if (!is_for_earlier && !is_too_large &&
        event_hub_receive(node->events, slice_of(from->name), events, node_now(sim, node)))
        abort();
    event_message_free(events);
    deliver(sim, node);
    if (is_too_large)
        return SEND_TOO_LARGE;
    return is_for_earlier ? SEND_REJECTED : SEND_DELIVERED;
}

/* --- publishing ------------------------------------------------------------------------------- */

/* An event is due at each peer after those that wait before it. */
static void note_due(struct sim *sim, uint32_t from)
{
    for (uint32_t to = 0; to < sim->node_count; to++) {
        struct sim_event_pair *pair = &sim->event_pairs[from][to];
        if (pair->due_ms < sim->now_ms)
            pair->due_ms = sim->now_ms;
        pair->due_ms += round_trip_ms(sim, from, to);
    }
}

static void publish(struct sim *sim, struct sim_node *node)
{
    uint64_t number;
    if (event_hub_publish(node->events, SLICE("t"), SLICE("1"), node_now(sim, node), &number))
        abort();
    node->published = number;
    sim->counts.events_published++;
    note_due(sim, node->id);
    deliver(sim, node);
}

static void on_turn(struct sim *sim, void *context, uint32_t id, uint32_t b)
{
    struct sim_node *node = &sim->nodes[id];
    uint64_t end_ms = last_ms(sim, id);
    uint64_t next_ms = sim->now_ms + 1 + sim_random(sim, INTERVAL_MS);
    for (uint64_t n = 1 + sim_random(sim, BURST_MAX); n && node_accepts_calls(node); n--) {
        if (!node->is_legacy)
            publish(sim, node);
        if (sim_chance(sim, 25))
            node_work(sim, node);
    }
    node_work(sim, node);
    if (sim->now_ms < end_ms)
        sim_at(next_ms < end_ms ? next_ms : end_ms, on_turn, context, id, b);
}

void events_start(struct sim *sim)
{
    for (uint32_t id = 0; id < sim->node_count; id++)
        sim_at(sim->now_ms + 1 + sim_random(sim, INTERVAL_MS), on_turn, NULL, id, 0);
}

/* --- invariants ------------------------------------------------------------------------------- */

/* The peer has all events, if it could be reached. */
static bool are_sent(const struct sim *sim, uint32_t from, uint32_t to)
{
    uint64_t halvings_ms = HALVINGS * round_trip_ms(sim, from, to);
    uint64_t due_ms = sim->event_pairs[from][to].due_ms + halvings_ms + FAILED_MS;
    return sim->now_ms >= sim_end_ms(sim) && sim->now_ms >= due_ms;
}

static void check_peer(struct sim *sim, const struct sim_node *node, uint32_t peer,
                       const struct peer_view *view)
{
    const struct sim_event_pair *pair = &sim->event_pairs[node->id][peer];
    uint64_t counted = view->events_delivered + view->events_waiting;
    for (int reason = 0; reason < EVENT_DROPS; reason++) {
        counted += view->events_dropped[reason];
        sim->counts.events_dropped += view->events_dropped[reason];
    }
    uint64_t sent = node->published - pair->before;
    bool is_idle = view->health == PEER_UP && are_sent(sim, node->id, peer);
    uint64_t in_flight_max = is_idle ? 0 : EVENTS_PER_MESSAGE_MAX;
    if (counted > sent || sent - counted > in_flight_max)
        sim_fail(sim, 9, -1, "%s has published %llu events, and counted %llu of them for n%u",
                 node->name, (unsigned long long)sent, (unsigned long long)counted, peer);
    if (view->events_delivered > pair->arrived)
        sim_fail(sim, 9, -1, "%s counts %llu events as delivered, of which n%u got %llu",
                 node->name, (unsigned long long)view->events_delivered, peer,
                 (unsigned long long)pair->arrived);
}

void events_check_peer(struct sim *sim, const struct sim_node *node, uint32_t peer,
                       const struct peer_view *view)
{
    if (peer != node->id && is_in(node->topology, peer) && !node->is_legacy)
        check_peer(sim, node, peer, view);
}

void events_node_end(struct sim *sim, struct sim_node *node)
{
    const struct event_counters *counters = &node->events->counters;
    uint64_t counted = atomic_load(&counters->received) + atomic_load(&counters->missed);
    if (counted != node->admitted && !node->has_late_events)
        sim_fail(sim, 9, -1, "%s counts %llu events of its peers, which numbered %llu", node->name,
                 (unsigned long long)counted, (unsigned long long)node->admitted);
    sim->counts.events_missed += atomic_load(&counters->missed);
    event_hub_free(node->events);
    free(node->events);
    node->events = NULL;
}

/* In both directions, since before the last events were published. */
static bool is_steady_link(const struct sim *sim, uint32_t from, uint32_t to)
{
    uint64_t there_ms = sim->connected_since_ms[from][to];
    uint64_t back_ms = sim->connected_since_ms[to][from];
    uint64_t since_ms = there_ms > back_ms ? there_ms : back_ms;
    return there_ms && back_ms && since_ms + PEER_UP_MS <= last_ms(sim, from);
}

void events_end(struct sim *sim)
{
    for (uint32_t from = 0; from < sim->node_count; from++) {
        const struct sim_node *node = &sim->nodes[from];
        for (uint32_t to = 0; to < sim->node_count; to++) {
            const struct sim_event_pair *pair = &sim->event_pairs[from][to];
            if (from != to && !node->is_legacy && !sim->nodes[to].is_legacy && node->published &&
                are_sent(sim, from, to) && is_steady_link(sim, from, to) &&
                (pair->life != node->life || pair->number != node->published))
                sim_fail(sim, 9, -1, "n%u did not get event %llu of n%u", to,
                         (unsigned long long)node->published, from);
        }
    }
}
