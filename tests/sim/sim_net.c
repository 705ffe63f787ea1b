/* SPDX-License-Identifier: Apache-2.0
 *
 * A message carries a copy of the sender's records at the time of sending; so does the response.
 * Either can be lost, late or repeated. The sender stops waiting after its timeout.
 */
#include "tests/sim/sim.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "artemis-server/replication/peer_requests.h"

enum { NAME_BYTES = 16 };

struct wire_item {
    struct instance *instance; /* a reference; for a key only the key counts */
    uint64_t stamp;
    uint32_t origin; /* node number */
    uint64_t age_ms;
    bool deleted;
    bool is_guarded;
    bool is_confirming;
    uint64_t rounds;
};

struct wire_list {
    struct wire_item *items;
    size_t count;
    size_t capacity;
};

/* A message in transit. To and from a legacy node it carries no stamps. Freed when no event
 * refers to it any more. */
struct transfer {
    unsigned users;          /* events that refer to it */
    struct message *message; /* NULL: its result is delivered */
    bool is_legacy;
    enum message_kind kind;
    struct bucket_set buckets;
    uint32_t from, from_life, to;
    uint64_t sent_clock_ms;     /* the HLC of the sender, */
    uint64_t response_clock_ms; /* and that of the receiver; 0: a legacy node */
    uint64_t sent_ms;           /* in the time of the world */
    uint64_t release_clock_ms;  /* of a release of all guards */
    struct wire_list items;
    struct wire_list response;
    uint64_t digests[DIGEST_BUCKETS];
    struct text events; /* the body of a request with events */
    struct health_response health;
    enum send_result result; /* of the response */
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
        .origin = node_number(record->stamp.node_id),
        .age_ms = record->age_ms,
        .deleted = record->deleted,
        .is_guarded = record->is_guarded,
        .is_confirming = record->is_confirming,
        .rounds = record->rounds,
    };
}

static void add_state(struct wire_list *list, const struct registry *registry,
                      struct record_copy *state, struct moment now)
{
    struct wire_record record = registry_wire_record(registry, state, now);
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
    static char names[NODES_MAX][NAME_BYTES];
    char *name = names[item->origin];
    int size = snprintf(name, NAME_BYTES, "n%u", item->origin);
    return (struct wire_record){
        .instance = item->instance,
        .stamp = {item->stamp, {name, (size_t)size}},
        .age_ms = item->age_ms,
        .has_weight = instance_weight(item->instance) != WEIGHT_DEFAULT,
        .deleted = item->deleted,
        .is_guarded = item->is_guarded,
        .is_confirming = item->is_confirming,
        .rounds = item->rounds,
    };
}

/* Adds the time since that clock of another node to all ages, max_ms at most, and returns it. */
static uint64_t add_transit(struct wire_list *list, const struct registry *registry,
                            uint64_t clock_ms, uint64_t max_ms, struct moment now)
{
    uint64_t transit_ms = registry_transit_ms(registry, clock_ms, now);
    if (transit_ms > max_ms)
        transit_ms = max_ms;
    for (size_t i = 0; i < list->count; i++)
        list->items[i].age_ms += transit_ms;
    return transit_ms;
}

static void remove_stamps(struct wire_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        list->items[i].stamp = 0;
}

static void release(struct transfer *transfer)
{
    if (--transfer->users)
        return;
    assert(!transfer->message);
    clear(&transfer->items);
    clear(&transfer->response);
    text_free(&transfer->events);
    free(transfer);
}

/* --- the receiver ----------------------------------------------------------------------------- */

static void serve_renewals(struct transfer *transfer, struct sim_node *node, struct moment now)
{
    for (size_t i = 0; i < transfer->items.count; i++) {
        struct wire_record record = as_record(&transfer->items.items[i]);
        if (registry_apply_renewal(node->registry, &record, now) == ERR_INSTANCE_NOT_FOUND)
            add(&transfer->response, &record, record.instance);
    }
}

/* A response beyond the limit leaves out the last records. */
static void serve_fetch(const struct sim *sim, struct transfer *transfer, struct sim_node *node,
                        struct moment now)
{
    for (size_t i = 0; i < transfer->items.count; i++) {
        struct record_copy state;
        if (sim->response_max && transfer->response.count == sim->response_max)
            return;
        struct slice key = instance_packed_key(transfer->items.items[i].instance);
        if (!registry_read_key(node->registry, key, &state))
            continue;
        if (!state.deleted)
            add_state(&transfer->response, node->registry, &state, now);
        record_copy_unref(&state);
    }
}

static void serve_lease_check(struct transfer *transfer, struct sim_node *node, struct moment now)
{
    for (size_t i = 0; i < transfer->items.count; i++) {
        struct instance *instance = transfer->items.items[i].instance;
        struct wire_record record;
        struct node_id *id;
        if (!registry_respond_lease_check(node->registry, instance_packed_key(instance), now,
                                          &record, &id))
            continue;
        add(&transfer->response, &record, instance);
        node_id_unref(id);
    }
}

static void serve_list(struct transfer *transfer, struct sim_node *node, struct moment now)
{
    struct record_copy *states;
    size_t count;
    if (registry_list_buckets(node->registry, &transfer->buckets, &states, &count))
        abort();
    for (size_t i = 0; i < count; i++) {
        add_state(&transfer->response, node->registry, &states[i], now);
        record_copy_unref(&states[i]);
    }
    free(states);
}

static void serve_snapshot(struct transfer *transfer, struct sim_node *node, struct moment now)
{
    struct registry_cursor cursor = {0};
    char buffer[ID_BYTES_MAX];
    struct slice id;
    struct record_copy *states;
    size_t count;
    if (!replicator_is_ready(node->replicator)) {
        transfer->result = SEND_RETRYABLE; /* 503 */
        return;
    }
    do {
        if (registry_snapshot_next(node->registry, &cursor, buffer, &id, &states, &count))
            abort();
        for (size_t i = 0; i < count; i++) {
            add_state(&transfer->response, node->registry, &states[i], now);
            record_copy_unref(&states[i]);
        }
        free(states);
    } while (count);
}

static void serve_changes(struct sim *sim, struct transfer *transfer, struct sim_node *node,
                          struct moment now)
{
    for (size_t i = 0; i < transfer->items.count; i++) {
        struct wire_record record = as_record(&transfer->items.items[i]);
        enum error error = transfer->kind == MESSAGE_REGISTER
                               ? registry_apply(node->registry, &record, now)
                               : registry_apply_unregister(node->registry, &record, now);
        sim->counts.refused_stamps += error == ERR_VERSION_AHEAD;
        if (error == ERR_VERSION_AHEAD)
            replicator_check_clocks(node->replicator, now);
        assert(!error || error == ERR_VERSION_AHEAD);
    }
}

/* Refuses an update that was in transit for too long. A repeated message has the ages of the first
 * one, so they are added to and restored. */
static void serve_update(struct sim *sim, struct transfer *transfer, struct sim_node *node,
                         struct moment now)
{
    uint64_t transit_ms =
        add_transit(&transfer->items, node->registry, transfer->sent_clock_ms, UINT64_MAX, now);
    if (transit_ms > TIMEOUT_MS)
        transfer->result = SEND_RETRYABLE; /* 408 */
    else if (transfer->kind == MESSAGE_RENEW)
        serve_renewals(transfer, node, now);
    else
        serve_changes(sim, transfer, node, now);
    for (size_t i = 0; i < transfer->items.count; i++)
        transfer->items.items[i].age_ms -= transit_ms;
}

static void serve_release(const struct transfer *transfer, struct sim_node *node, struct moment now)
{
    struct slice all = {0};
    (void)registry_apply_release(node->registry, all, transfer->release_clock_ms, now);
    node_put_release(node, transfer->release_clock_ms, now);
}

/* As serve_update. */
static void serve_events(struct sim *sim, struct transfer *transfer, struct sim_node *node,
                         struct moment now)
{
    uint64_t transit_ms = registry_transit_ms(node->registry, transfer->sent_clock_ms, now);
    struct slice body = {transfer->events.data, transfer->events.size};
    transfer->result = transit_ms > TIMEOUT_MS
                           ? SEND_RETRYABLE
                           : events_serve(sim, node, &sim->nodes[transfer->from], body);
}

static void serve(struct sim *sim, struct transfer *transfer, struct sim_node *node)
{
    struct moment now = node_now(sim, node);
    transfer->result = SEND_DELIVERED;
    transfer->response_clock_ms = transfer->is_legacy ? 0 : registry_clock_ms(node->registry, now);
    clear(&transfer->response);
    switch (transfer->kind) {
    case MESSAGE_HEALTH:
        transfer->health = (struct health_response){
            .is_self = transfer->from == transfer->to,
            .is_legacy = transfer->is_legacy,
            .is_leaving = node->is_leaving,
            .is_remote = node->region != sim->nodes[transfer->from].region,
            .is_ready = replicator_is_ready(node->replicator),
            .is_comparing = !node->is_ready && node->ready_ms >= node->started_ms,
            .started_empty = !transfer->is_legacy && !node->has_loaded,
            .epoch = (uint64_t)node->id << 32 | node->life,
            .clock_ms = registry_clock_ms(node->registry, now),
            .members_clock_ms = registry_members_clock_ms(node->registry, now),
            .highest_hlc = registry_highest_hlc(node->registry, now)};
        if (transfer->is_legacy)
            transfer->health.clock_ms = transfer->health.members_clock_ms =
                transfer->health.highest_hlc = transfer->health.epoch = 0;
        return;
    case MESSAGE_REGISTER:
    case MESSAGE_UNREGISTER:
    case MESSAGE_RENEW:
        serve_update(sim, transfer, node, now);
        return;
    case MESSAGE_LEASE_CHECK:
        serve_lease_check(transfer, node, now);
        return;
    case MESSAGE_FETCH:
        serve_fetch(sim, transfer, node, now);
        return;
    case MESSAGE_DIGEST:
        registry_digests(node->registry, transfer->digests);
        return;
    case MESSAGE_LIST:
        serve_list(transfer, node, now);
        return;
    case MESSAGE_SNAPSHOT:
        serve_snapshot(transfer, node, now);
        return;
    case MESSAGE_RELEASE:
        serve_release(transfer, node, now);
        return;
    case MESSAGE_EVENTS:
        serve_events(sim, transfer, node, now);
        return;
    case MESSAGE_BLOCKS:
    case MESSAGE_GOODBYE:
    case MESSAGE_KINDS:
        return;
    }
}

/* --- transit ---------------------------------------------------------------------------------- */

static uint64_t travel_ms(struct sim *sim, uint32_t from, uint32_t to)
{
    uint64_t ms = 1 + sim_random(sim, TRAVEL_MS) + sim->links[from][to].delay_ms;
    if (sim_chance(sim, 10))
        ms += sim_random(sim, sim->delay_max_ms + 1);
    if (from != to && sim_chance(sim, sim->settings.late_messages_percent))
        ms += sim_random(sim, LATE_MAX_MS);
    return ms;
}

static bool gets_through(struct sim *sim, uint32_t from, uint32_t to)
{
    bool lost = from != to && (!link_works(sim, from, to) || sim_chance(sim, sim->loss_percent));
    sim->counts.lost += lost;
    return !lost;
}

static void finish(struct sim *sim, struct transfer *transfer, enum send_result result)
{
    struct sim_node *node = &sim->nodes[transfer->from];
    struct message *message = transfer->message;
    transfer->message = NULL;
    if (node->life == transfer->from_life)
        replicator_on_result(node->replicator, message, result, node_now(sim, node));
    else
        message_free(message); /* its sender crashed */
    node_work(sim, node);
}

static void on_timeout(struct sim *sim, void *context, uint32_t a, uint32_t b)
{
    (void)a;
    (void)b;
    struct transfer *transfer = context;
    struct sim_node *node = &sim->nodes[transfer->from];
    if (transfer->message && node->paused && node->life == transfer->from_life) {
        sim_at(sim->now_ms + 50, on_timeout, transfer, 0,
               0); /* noticed when the process continues */
        return;
    }
    if (transfer->message)
        finish(sim, transfer, SEND_RETRYABLE);
    release(transfer);
}

static void deliver_response(struct sim *sim, struct transfer *transfer, struct sim_node *node)
{
    struct moment now = node_now(sim, node);
    if (transfer->result == SEND_UNREACHABLE)
        return;
    if (transfer->kind != MESSAGE_HEALTH &&
        !registry_observe_clock(node->registry, transfer->response_clock_ms, now))
        replicator_check_clocks(node->replicator, now);
    (void)add_transit(&transfer->response, node->registry, transfer->response_clock_ms,
                      sim->now_ms - transfer->sent_ms, now);
    if (transfer->result != SEND_DELIVERED)
        return;
    if (transfer->kind == MESSAGE_HEALTH)
        replicator_on_health(node->replicator, transfer->message, &transfer->health, now);
    if (transfer->kind == MESSAGE_DIGEST)
        replicator_on_digests(node->replicator, transfer->message, transfer->digests, now);
    for (size_t i = 0; i < transfer->response.count; i++) {
        struct wire_record record = as_record(&transfer->response.items[i]);
        replicator_on_record(node->replicator, transfer->message, &record, now);
    }
}

static void on_response(struct sim *sim, void *context, uint32_t a, uint32_t b)
{
    (void)a;
    (void)b;
    struct transfer *transfer = context;
    struct sim_node *node = &sim->nodes[transfer->from];
    if (transfer->message && node->paused && node->life == transfer->from_life) {
        sim_at(sim->now_ms + 50, on_response, transfer, 0, 0);
        return;
    }
    if (transfer->message) {
        if (node->life == transfer->from_life)
            deliver_response(sim, transfer, node);
        finish(sim, transfer, transfer->result);
    }
    release(transfer);
}

static void on_arrival(struct sim *sim, void *context, uint32_t a, uint32_t b)
{
    (void)a;
    (void)b;
    struct transfer *transfer = context;
    struct sim_node *node = &sim->nodes[transfer->to];
    if (node->running && node->paused) { /* stays in the socket until the process continues */
        sim_at(sim->now_ms + 50, on_arrival, transfer, 0, 0);
        return;
    }
    if (node->running) {
        serve(sim, transfer, node);
        if (transfer->is_legacy)
            remove_stamps(&transfer->response);
        node_work(sim, node);
    } else {
        transfer->result = SEND_UNREACHABLE;
    }
    if (gets_through(sim, transfer->to, transfer->from)) {
        transfer->users++;
        sim_at(sim->now_ms + travel_ms(sim, transfer->to, transfer->from), on_response, transfer, 0,
               0);
    }
    release(transfer);
}

void net_send(struct sim *sim, struct sim_node *from, struct message *message)
{
    struct transfer *transfer = calloc(1, sizeof(*transfer));
    if (!transfer)
        abort();
    /* The peer client notices by its rate that a snapshot stalls. */
    bool has_timeout = message->timeout_ms && message->kind != MESSAGE_SNAPSHOT;
    uint64_t timeout_ms = has_timeout ? message->timeout_ms : TIMEOUT_MS;
    transfer->message = message;
    transfer->kind = message->kind;
    transfer->buckets = message->buckets;
    transfer->from = from->id;
    transfer->from_life = from->life;
    transfer->to = message->peer;
    for (size_t i = 0; i < message->count; i++)
        add_state(&transfer->items, from->registry, &message->items[i], node_now(sim, from));
    if (message->kind == MESSAGE_EVENTS)
        peer_request_write_body(message, from->registry, false, node_now(sim, from),
                                &transfer->events);
    transfer->is_legacy = from->is_legacy || sim->nodes[message->peer].is_legacy;
    transfer->sent_ms = sim->now_ms;
    transfer->release_clock_ms = message->release_clock_ms;
    transfer->sent_clock_ms = registry_clock_ms(from->registry, node_now(sim, from));
    if (transfer->is_legacy) {
        remove_stamps(&transfer->items);
        transfer->sent_clock_ms = 0;
    }
    sim->counts.messages++;
    transfer->users = 1;
    sim_at(sim->now_ms + timeout_ms, on_timeout, transfer, 0, 0);
    if (!gets_through(sim, transfer->from, transfer->to))
        return;
    transfer->users++;
    uint64_t arrival_ms = sim->now_ms + travel_ms(sim, transfer->from, transfer->to);
    sim_at(arrival_ms, on_arrival, transfer, 0, 0);
    if (sim_chance(sim, sim->repeat_percent)) {
        sim->counts.repeated++;
        transfer->users++;
        sim_at(arrival_ms + sim_random(sim, 2000), on_arrival, transfer, 0, 0);
    }
}

bool net_drop(sim_event *call, void *context)
{
    if (call != on_timeout && call != on_arrival && call != on_response)
        return false;
    struct transfer *transfer = context;
    if (transfer->message)
        message_free(transfer->message);
    transfer->message = NULL;
    release(transfer);
    return true;
}
