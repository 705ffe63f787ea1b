/* SPDX-License-Identifier: Apache-2.0
 *
 * A message travels as a copy of what its sender knew when it sent it; so does the answer. Either
 * may be lost, come late, or come twice. The sender gives up after its timeout.
 */
#include "tests/sim/sim.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct wire_item {
    struct instance *instance; /* a reference; of a key, only that counts */
    uint64_t stamp;
    uint32_t origin; /* the number of a node */
    uint64_t age_ms;
    bool deleted;
};

struct wire_list {
    struct wire_item *items;
    size_t count;
    size_t capacity;
};

/* A message and what becomes of it. Freed when nobody looks at it any more. */
struct flight {
    unsigned users;          /* events that will look at it */
    struct message *message; /* NULL: its fate is known */
    enum message_kind kind;
    struct bucket_set buckets;
    uint32_t from, from_life, to;
    struct wire_list said;
    struct wire_list answer;
    uint64_t digests[DIGEST_BUCKETS];
    struct health_answer health;
    enum send_result fate; /* of the answer */
};

/* --- lists ------------------------------------------------------------------------------------ */

static void add(struct wire_list *list, const struct wire_record *record, struct instance *instance)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 16;
        list->items = realloc(list->items, list->capacity * sizeof(*list->items));
        if (!list->items)
            abort();
    }
    list->items[list->count++] = (struct wire_item){
        .instance = instance_ref(instance),
        .stamp = record->stamp.hlc,
        .origin = record->stamp.node_id.size ? (uint32_t)(record->stamp.node_id.data[1] - '0') : 0,
        .age_ms = record->age_ms,
        .deleted = record->deleted,
    };
}

static void add_state(struct wire_list *list, const struct registry *registry,
                      struct peer_state *state, struct moment now)
{
    struct wire_record record = registry_tell(registry, state, now);
    add(list, &record, state->instance);
}

static void clear(struct wire_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        instance_unref(list->items[i].instance);
    free(list->items);
    *list = (struct wire_list){0};
}

static struct wire_record as_record(const struct wire_item *item)
{
    static const char *const names[NODES_MAX] = {"n0", "n1", "n2", "n3", "n4", "n5", "n6"};
    return (struct wire_record){
        .instance = item->instance,
        .stamp = {item->stamp, {names[item->origin], 2}},
        .age_ms = item->age_ms,
        .deleted = item->deleted,
    };
}

static void let_go(struct flight *flight)
{
    if (--flight->users)
        return;
    assert(!flight->message);
    clear(&flight->said);
    clear(&flight->answer);
    free(flight);
}

/* --- the receiver ----------------------------------------------------------------------------- */

static void serve_renewals(struct flight *flight, struct sim_node *node, struct moment now)
{
    for (size_t i = 0; i < flight->said.count; i++) {
        struct wire_record record = as_record(&flight->said.items[i]);
        if (registry_apply_renewal(node->registry, &record, now) == ERR_INSTANCE_NOT_FOUND)
            add(&flight->answer, &record, record.instance);
    }
}

static void serve_keys(struct flight *flight, struct sim_node *node, struct moment now)
{
    for (size_t i = 0; i < flight->said.count; i++) {
        struct peer_state state;
        struct slice key = instance_packed_key(flight->said.items[i].instance);
        if (!registry_read(node->registry, key, &state))
            continue;
        bool lives = !state.deleted && now.mono_ms < state.touched_ms + TTL_MS;
        if (flight->kind == MESSAGE_FETCH ? !state.deleted : lives)
            add_state(&flight->answer, node->registry, &state, now);
        peer_state_drop(&state);
    }
}

static void serve_list(struct flight *flight, struct sim_node *node, struct moment now)
{
    struct peer_state *states;
    size_t count;
    if (registry_list_buckets(node->registry, &flight->buckets, &states, &count))
        abort();
    for (size_t i = 0; i < count; i++) {
        add_state(&flight->answer, node->registry, &states[i], now);
        peer_state_drop(&states[i]);
    }
    free(states);
}

static void serve_snapshot(struct flight *flight, struct sim_node *node, struct moment now)
{
    struct registry_cursor cursor = {0};
    char room[ID_BYTES_MAX];
    struct slice id;
    struct peer_state *states;
    size_t count;
    if (!replicator_is_ready(node->replica)) {
        flight->fate = SEND_RETRYABLE; /* 503 */
        return;
    }
    do {
        if (registry_walk(node->registry, &cursor, room, &id, &states, &count))
            abort();
        for (size_t i = 0; i < count; i++) {
            add_state(&flight->answer, node->registry, &states[i], now);
            peer_state_drop(&states[i]);
        }
        free(states);
    } while (count);
}

static void serve_changes(struct flight *flight, struct sim_node *node, struct moment now)
{
    for (size_t i = 0; i < flight->said.count; i++) {
        struct wire_record record = as_record(&flight->said.items[i]);
        enum error error = flight->kind == MESSAGE_REGISTER
                               ? registry_apply(node->registry, &record, now)
                               : registry_apply_unregister(node->registry, &record, now);
        assert(!error);
    }
}

static void serve(struct sim *sim, struct flight *flight, struct sim_node *node)
{
    struct moment now = node_now(sim, node);
    flight->fate = SEND_DELIVERED;
    clear(&flight->answer);
    switch (flight->kind) {
    case MESSAGE_HEALTH:
        flight->health = (struct health_answer){.is_self = flight->from == flight->to,
                                                .is_ready = replicator_is_ready(node->replica),
                                                .clock_ms = registry_clock_ms(node->registry, now)};
        return;
    case MESSAGE_REGISTER:
    case MESSAGE_UNREGISTER:
        serve_changes(flight, node, now);
        return;
    case MESSAGE_RENEW:
        serve_renewals(flight, node, now);
        return;
    case MESSAGE_LEASE_CHECK:
    case MESSAGE_FETCH:
        serve_keys(flight, node, now);
        return;
    case MESSAGE_DIGEST:
        registry_digests(node->registry, flight->digests);
        return;
    case MESSAGE_LIST:
        serve_list(flight, node, now);
        return;
    case MESSAGE_SNAPSHOT:
        serve_snapshot(flight, node, now);
        return;
    case MESSAGE_GOODBYE:
    case MESSAGE_KINDS:
        return;
    }
}

/* --- the way ---------------------------------------------------------------------------------- */

static uint64_t travel_ms(struct sim *sim)
{
    uint64_t ms = 1 + sim_random(sim, 20);
    return sim_chance(sim, 10) ? ms + sim_random(sim, sim->delay_max_ms + 1) : ms;
}

static bool gets_through(struct sim *sim, uint32_t from, uint32_t to)
{
    bool lost = from != to && (sim->links[from][to].cut || sim_chance(sim, sim->loss_percent));
    sim->counts.lost += lost;
    return !lost;
}

static void conclude(struct sim *sim, struct flight *flight, enum send_result fate)
{
    struct sim_node *node = &sim->nodes[flight->from];
    struct message *message = flight->message;
    flight->message = NULL;
    if (node->life == flight->from_life)
        replicator_done(node->replica, message, fate, node_now(sim, node));
    else
        replicator_drop_message(message); /* its sender is gone */
    node_work(sim, node);
}

static void on_timeout(struct sim *sim, void *context, uint32_t a, uint32_t b)
{
    (void)a;
    (void)b;
    struct flight *flight = context;
    struct sim_node *node = &sim->nodes[flight->from];
    if (flight->message && node->paused && node->life == flight->from_life) {
        sim_at(sim->now_ms + 50, on_timeout, flight, 0, 0); /* it notices when it goes on */
        return;
    }
    if (flight->message)
        conclude(sim, flight, SEND_RETRYABLE);
    let_go(flight);
}

static void hear_answer(struct sim *sim, struct flight *flight, struct sim_node *node)
{
    struct moment now = node_now(sim, node);
    if (flight->fate != SEND_DELIVERED)
        return;
    if (flight->kind == MESSAGE_HEALTH)
        replicator_on_health(node->replica, flight->message, &flight->health, now);
    if (flight->kind == MESSAGE_DIGEST)
        replicator_on_digests(node->replica, flight->message, flight->digests, now);
    for (size_t i = 0; i < flight->answer.count; i++) {
        struct wire_record record = as_record(&flight->answer.items[i]);
        replicator_on_record(node->replica, flight->message, &record, now);
    }
}

static void on_answer(struct sim *sim, void *context, uint32_t a, uint32_t b)
{
    (void)a;
    (void)b;
    struct flight *flight = context;
    struct sim_node *node = &sim->nodes[flight->from];
    if (flight->message && node->paused && node->life == flight->from_life) {
        sim_at(sim->now_ms + 50, on_answer, flight, 0, 0);
        return;
    }
    if (flight->message) {
        if (node->life == flight->from_life)
            hear_answer(sim, flight, node);
        conclude(sim, flight, flight->fate);
    }
    let_go(flight);
}

static void on_arrival(struct sim *sim, void *context, uint32_t a, uint32_t b)
{
    (void)a;
    (void)b;
    struct flight *flight = context;
    struct sim_node *node = &sim->nodes[flight->to];
    if (node->running && node->paused) { /* it lies in the socket until the process goes on */
        sim_at(sim->now_ms + 50, on_arrival, flight, 0, 0);
        return;
    }
    if (node->running) {
        serve(sim, flight, node);
        node_work(sim, node);
    } else {
        flight->fate = SEND_UNREACHABLE;
    }
    if (gets_through(sim, flight->to, flight->from)) {
        flight->users++;
        sim_at(sim->now_ms + travel_ms(sim), on_answer, flight, 0, 0);
    }
    let_go(flight);
}

void net_send(struct sim *sim, struct sim_node *from, struct message *message)
{
    struct flight *flight = calloc(1, sizeof(*flight));
    if (!flight)
        abort();
    uint64_t timeout_ms = message->timeout_ms ? message->timeout_ms : TIMEOUT_MS;
    flight->message = message;
    flight->kind = message->kind;
    flight->buckets = message->buckets;
    flight->from = from->id;
    flight->from_life = from->life;
    flight->to = message->peer;
    for (size_t i = 0; i < message->count; i++)
        add_state(&flight->said, from->registry, &message->items[i], node_now(sim, from));
    sim->counts.messages++;
    flight->users = 1;
    sim_at(sim->now_ms + timeout_ms, on_timeout, flight, 0, 0);
    if (!gets_through(sim, flight->from, flight->to))
        return;
    flight->users++;
    sim_at(sim->now_ms + travel_ms(sim), on_arrival, flight, 0, 0);
    if (sim_chance(sim, sim->repeat_percent)) {
        sim->counts.repeated++;
        flight->users++;
        sim_at(sim->now_ms + travel_ms(sim) + sim_random(sim, 2000), on_arrival, flight, 0, 0);
    }
}

void net_drop(sim_event *call, void *context)
{
    if (call != on_timeout && call != on_arrival && call != on_answer)
        return;
    struct flight *flight = context;
    if (flight->message)
        replicator_drop_message(flight->message);
    flight->message = NULL;
    let_go(flight);
}
