/* SPDX-License-Identifier: Apache-2.0
 *
 * Clients behave as the contract asks: they renew several times per TTL, register again when a
 * heartbeat is refused, and use another node when theirs does not respond. A client has one call
 * at a time: it sees the response, or its time-out, before the next call.
 */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    RETRY_MS = 400,
    TOGGLE_MS = 30, /* at most, until the next change */
};

static struct slice numbered(char buffer[16], char letter, uint32_t number)
{
    return (struct slice){buffer, (size_t)snprintf(buffer, 16, "%c%u", letter, number)};
}

struct instance *client_instance(const struct sim_client *client, uint32_t content,
                                 uint64_t revision)
{
    char service[16];
    char id[16];
    struct instance_spec spec = {.port = 1 + content % 60000,
                                 .weight = content % 3 * 100,
                                 .has_weight = true,
                                 .client_revision = revision};
    struct field_problem problem;
    struct instance *instance;
    spec.text[FIELD_REGION] = SLICE("r");
    spec.text[FIELD_ZONE] = SLICE("z");
    spec.text[FIELD_SERVICE] = numbered(service, 's', client->id % 7);
    spec.text[FIELD_INSTANCE] = numbered(id, 'i', client->id);
    spec.text[FIELD_IP] = SLICE("10.0.0.1");
    if (instance_create(&spec, &instance, &problem))
        abort();
    return instance;
}

static struct instance_key key_of(uint32_t number)
{
    char service[16];
    char id[16];
    struct slice parts[KEY_FIELDS] = {0};
    struct field_problem problem;
    struct instance_key key;
    parts[FIELD_REGION] = SLICE("r");
    parts[FIELD_ZONE] = SLICE("z");
    parts[FIELD_SERVICE] = numbered(service, 's', number % 7);
    parts[FIELD_INSTANCE] = numbered(id, 'i', number);
    if (instance_key_make(parts, &key, &problem))
        abort();
    return key;
}

bool client_is_steady(const struct sim *sim, const struct sim_client *client, uint64_t for_ms)
{
    return client->wanted && !client->dead && client->acknowledged &&
           sim->now_ms - client->since_ms >= for_ms && sim->now_ms - client->failed_ms >= for_ms;
}

/* Changes that only a crashed node had are lost, unless it has stored them. A client notices a lost
 * registration at its next heartbeat, and never notices a lost change of content. */
void clients_note_crash(struct sim *sim, const struct sim_node *node, bool is_clean)
{
    enum { LONGEST_SILENCE_MS = 90000 };
    for (uint32_t i = 0; i < sim->client_count; i++) {
        struct sim_client *client = &sim->clients[i];
        if (client->ack_node != node->id || sim->now_ms - client->ack_ms >= LONGEST_SILENCE_MS)
            continue;
        if (is_clean || store_has_committed(sim, node, client->ack_ms))
            client->ack_node_restarted = true;
        else
            client->ack_node_crashed = true;
    }
}

void clients_note_left(struct sim *sim, const struct sim_node *node, uint32_t peer)
{
    for (uint32_t i = 0; i < sim->client_count; i++)
        if (sim->clients[i].ack_node == node->id)
            sim->clients[i].ack_node = peer;
}

static void change_content(struct sim_client *client, uint32_t content)
{
    client->content = content;
    client->revision++;
}

/* --- results ---------------------------------------------------------------------------------- */

static void note_acknowledged(struct sim *sim, struct sim_client *client,
                              const struct sim_call *call)
{
    const struct sim_node *node = &sim->nodes[call->node];
    client->ack_node = call->node;
    client->ack_ms = sim->now_ms;
    client->ack_node_crashed = node->life != call->node_life; /* while the response travelled */
    client->ack_node_restarted = false;
    client->ack_node_isolated = false;
    client->ack_node_clock_late = call->clock_late;
    client->revision_forgotten = false;
    sim->counts.late += call->clock_late;
}

/* The call failed. Its effect is not known: the client repeats it at another node, a registration
 * with newer content. */
static void move_after_failure(struct sim *sim, struct sim_client *client,
                               const struct sim_call *call)
{
    client->failed_ms = sim->now_ms;
    client->since_ms = sim->now_ms;
    client->node = node_for_client(sim);
    if (call->result == CALL_TIMEOUT && call->kind == CALL_REGISTER)
        change_content(client, client->content + 1);
}

static void on_registered(struct sim *sim, struct sim_client *client, const struct sim_call *call)
{
    client->acknowledged = true;
    client->since_ms = sim->now_ms;
    note_acknowledged(sim, client, call);
}

static void on_unregistered(struct sim *sim, struct sim_client *client, const struct sim_call *call)
{
    client->acknowledged = false;
    client->wanted = false;
    client->is_leaving = false;
    client->ended_ms = sim->now_ms;
    note_acknowledged(sim, client, call);
}

void client_on_result(struct sim *sim, const struct sim_call *call)
{
    struct sim_client *client = &sim->clients[call->client];
    client->call = 0;
    if (client->dead)
        return;
    if (call->result == CALL_REFUSED || call->result == CALL_TIMEOUT ||
        call->result == CALL_NOT_READY) {
        move_after_failure(sim, client, call);
    } else if (call->result == CALL_STALE) {
        client->failed_ms = sim->now_ms;
        client->revision += 1000; /* above the stored one, which the node names */
    } else if (call->result == CALL_UNKNOWN) {
        client->failed_ms = sim->now_ms;
        call_send(sim, client, CALL_REGISTER);
    } else if (call->kind == CALL_REGISTER) {
        on_registered(sim, client, call);
    } else if (call->kind == CALL_UNREGISTER) {
        on_unregistered(sim, client, call);
    }
}

void client_die(struct sim *sim, struct sim_client *client)
{
    client->dead = true;
    client->ended_ms = sim->now_ms;
    sim_log(sim, "i%u dies", client->id);
}

/* --- changes ---------------------------------------------------------------------------------- */

/* As a health check that goes down and up again: another node each time, an earlier content. */
static void toggle(struct sim *sim, struct sim_client *client)
{
    change_content(client, sim->settings.toggles_grow ? client->content + 1 : client->content ^ 1);
    if (sim_chance(sim, 80))
        client->node = node_for_client(sim);
    call_send(sim, client, CALL_REGISTER);
}

/* As a process that registers all of its instances: some clients change at one node, with one
 * request. */
static void change_many(struct sim *sim, struct sim_client *client)
{
    struct sim_client *chosen[BATCH_MAX] = {client};
    uint32_t count = 1;
    change_content(client, client->content + 1);
    for (uint32_t id = 0; id < sim->client_count && count < BATCH_MAX; id++) {
        struct sim_client *other = &sim->clients[id];
        if (other == client || !other->wanted || other->dead || other->is_leaving || other->call ||
            !sim_chance(sim, 50))
            continue;
        change_content(other, other->content + 1);
        other->since_ms = sim->now_ms;
        chosen[count++] = other;
    }
    call_register_all(sim, chosen, count);
}

/* Sometimes changes, unregisters, moves or dies instead of renewing; not in the last part. */
static bool change_something(struct sim *sim, struct sim_client *client)
{
    if (sim->now_ms > sim_quiet_ms(sim) || !sim_chance(sim, sim->settings.actions_percent))
        return false;
    uint64_t choice = sim_random(sim, 16);
    if (sim->settings.toggles && choice < 13) {
        toggle(sim, client);
    } else if (choice < 1) {
        change_many(sim, client);
    } else if (choice < 5) {
        change_content(client, client->content + 1);
        call_send(sim, client, CALL_REGISTER);
    } else if (choice < 9) {
        client->is_leaving = true;
        client->revision++;
        call_send(sim, client, CALL_UNREGISTER);
    } else if (choice < 14) { /* as behind a load balancer */
        client->node = node_for_client(sim);
        client->since_ms = sim->now_ms;
    } else {
        client_die(sim, client);
    }
    return true;
}

static void return_to(struct sim *sim, struct sim_client *client)
{
    client->wanted = true;
    client->dead = false;
    client->acknowledged = false;
    change_content(client, client->content + 1000);
    client->since_ms = sim->now_ms;
    call_send(sim, client, CALL_REGISTER);
}

void client_visit(struct sim *sim, uint32_t node, bool leaves)
{
    for (uint32_t id = 0; id < sim->client_count; id++) {
        struct sim_client *client = &sim->clients[id];
        if (client->wanted)
            continue;
        client->node = node;
        return_to(sim, client);
        if (!leaves)
            return;
        client->is_leaving = true;
        client->revision++;
        call_send(sim, client, CALL_UNREGISTER);
        return;
    }
}

void clients_unregister(struct sim *sim, uint32_t node, uint32_t count)
{
    for (uint32_t id = 0; id < sim->client_count && count; id++) {
        struct sim_client *client = &sim->clients[id];
        if (!client->wanted || client->dead || !client->acknowledged || client->call)
            continue;
        client->node = node;
        client->is_leaving = true;
        client->revision++;
        call_send(sim, client, CALL_UNREGISTER);
        count--;
    }
}

/* A client that unregistered or died returns some time later, except in the last part. */
static void maybe_return(struct sim *sim, struct sim_client *client)
{
    bool is_quiet = sim->now_ms > sim_quiet_ms(sim);
    if (is_quiet || !sim->settings.returns || sim->now_ms - client->ended_ms < 3000 ||
        !sim_chance(sim, 8))
        return;
    if (!node_is_running(&sim->nodes[client->node])) {
        client->node = node_for_client(sim);
        return;
    }
    return_to(sim, client);
}

/* The time until the next turn. */
static uint64_t interval_ms(struct sim *sim, const struct sim_client *client)
{
    if (client->failed_ms == sim->now_ms)
        return RETRY_MS;
    bool is_quiet = sim->now_ms > sim_quiet_ms(sim);
    if (sim->settings.toggles && !is_quiet && sim_chance(sim, 60))
        return 2 + sim_random(sim, TOGGLE_MS);
    return CALL_INTERVAL_MS;
}

static void on_turn(struct sim *sim, void *context, uint32_t id, uint32_t b)
{
    (void)context;
    (void)b;
    struct sim_client *client = &sim->clients[id];
    if (client->call) { /* it waits for the response */
        sim_at(sim->now_ms + 1 + sim_random(sim, RETRY_MS), on_turn, NULL, id, 0);
        return;
    }
    if (!client->wanted || client->dead)
        maybe_return(sim, client);
    else if (client->is_leaving)
        call_send(sim, client, CALL_UNREGISTER);
    else if (!client->acknowledged)
        call_send(sim, client, CALL_REGISTER);
    else if (!change_something(sim, client))
        call_send(sim, client, CALL_HEARTBEAT);
    uint64_t next_ms = interval_ms(sim, client);
    sim_at(sim->now_ms + next_ms - sim_random(sim, next_ms / 8 + 1), on_turn, NULL, id, 0);
}

void clients_start(struct sim *sim)
{
    for (uint32_t id = 0; id < sim->client_count; id++) {
        sim->clients[id] = (struct sim_client){
            .id = id,
            .key = key_of(id),
            .wanted = true,
            .revision = 1,
            .node = node_for_client(sim),
            .since_ms = sim->now_ms,
        };
        sim_at(sim->now_ms + sim_random(sim, 5000), on_turn, NULL, id, 0);
    }
}
