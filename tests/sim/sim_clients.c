/* SPDX-License-Identifier: Apache-2.0
 *
 * Clients behave as the contract asks: they renew several times per TTL, register again when a
 * heartbeat is refused, and use another node when theirs does not respond.
 */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    CALL_INTERVAL_MS = TTL_MS / 4,
    RETRY_MS = 400,
    LATE_MS = 100, /* less than a client needs to move to another node */
};

static struct slice numbered(char buffer[16], char letter, uint32_t number)
{
    return (struct slice){buffer, (size_t)snprintf(buffer, 16, "%c%u", letter, number)};
}

struct instance *client_instance(const struct sim_client *client, uint32_t content)
{
    char service[16];
    char id[16];
    struct instance_spec spec = {.port = 1 + content % 60000};
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

struct instance_key client_key(const struct sim_client *client)
{
    char service[16];
    char id[16];
    struct slice parts[KEY_FIELDS] = {0};
    struct field_problem problem;
    struct instance_key key;
    parts[FIELD_REGION] = SLICE("r");
    parts[FIELD_ZONE] = SLICE("z");
    parts[FIELD_SERVICE] = numbered(service, 's', client->id % 7);
    parts[FIELD_INSTANCE] = numbered(id, 'i', client->id);
    if (instance_key_make(parts, &key, &problem))
        abort();
    return key;
}

bool client_is_steady(const struct sim *sim, const struct sim_client *client, uint64_t for_ms)
{
    return client->wanted && !client->dead && client->acknowledged &&
           sim->now_ms - client->since_ms >= for_ms && sim->now_ms - client->failed_ms >= for_ms;
}

/* Changes that only a crashed node had are lost. A client notices a lost registration at its next
 * heartbeat, and never notices a lost change of content. */
void clients_note_crash(struct sim *sim, const struct sim_node *node)
{
    enum { LONGEST_SILENCE_MS = 90000 };
    for (uint32_t i = 0; i < sim->client_count; i++) {
        struct sim_client *client = &sim->clients[i];
        if (client->ack_node == node->id && sim->now_ms - client->ack_ms < LONGEST_SILENCE_MS)
            client->ack_node_crashed = true;
    }
}

static void note_acknowledged(struct sim *sim, struct sim_client *client)
{
    client->ack_node = client->node;
    client->ack_ms = sim->now_ms;
    client->ack_node_crashed = false;
    client->ack_node_isolated = false;
    client->ack_node_clock_late = node_hlc_lag_ms(sim, &sim->nodes[client->node]) > LATE_MS;
    sim->counts.late += client->ack_node_clock_late;
}

/* --- calls ------------------------------------------------------------------------------------ */

static bool call_reaches_node(struct sim *sim, struct sim_client *client)
{
    if (node_is_running(&sim->nodes[client->node]))
        return true;
    client->failed_ms = sim->now_ms;
    client->since_ms = sim->now_ms;
    client->node = (uint32_t)sim_random(sim, sim->node_count);
    return false;
}

static void call_register(struct sim *sim, struct sim_client *client)
{
    struct sim_node *node = &sim->nodes[client->node];
    struct instance *instance = client_instance(client, client->content);
    if (registry_register(node->registry, instance, node_now(sim, node)))
        abort();
    instance_unref(instance);
    sim->counts.registrations++;
    client->acknowledged = true;
    client->since_ms = sim->now_ms;
    note_acknowledged(sim, client);
    sim_log(sim, "i%u registers content %u at %s", client->id, client->content, node->name);
    node_work(sim, node);
}

static void call_heartbeat(struct sim *sim, struct sim_client *client)
{
    struct sim_node *node = &sim->nodes[client->node];
    struct instance_key key = client_key(client);
    sim->counts.heartbeats++;
    if (!registry_renew(node->registry, &key, node_now(sim, node)))
        return;
    sim->counts.refused++;
    sim_log(sim, "i%u is unknown at %s", client->id, node->name);
    client->failed_ms = sim->now_ms;
    call_register(sim, client);
}

static void call_unregister(struct sim *sim, struct sim_client *client)
{
    struct sim_node *node = &sim->nodes[client->node];
    struct instance_key key = client_key(client);
    registry_unregister(node->registry, &key, node_now(sim, node));
    sim->counts.unregistrations++;
    client->acknowledged = false;
    client->wanted = false;
    client->ended_ms = sim->now_ms;
    note_acknowledged(sim, client);
    sim_log(sim, "i%u unregisters at %s", client->id, node->name);
    node_work(sim, node);
}

/* --- changes ---------------------------------------------------------------------------------- */

/* Sometimes changes, unregisters, moves or dies instead of renewing; not in the last part. */
static bool change_something(struct sim *sim, struct sim_client *client)
{
    uint64_t choice = sim_random(sim, 100);
    if (sim->now_ms > WORLD_EPOCH_MS + FAULTS_MS + RECOVERY_MS - QUIET_MS || choice >= 16)
        return false;
    if (choice < 5) {
        client->content++;
        call_register(sim, client);
    } else if (choice < 9) {
        call_unregister(sim, client);
    } else if (choice < 14) { /* as behind a load balancer */
        client->node = (uint32_t)sim_random(sim, sim->node_count);
        client->since_ms = sim->now_ms;
    } else {
        client->dead = true;
        client->ended_ms = sim->now_ms;
        sim_log(sim, "i%u dies", client->id);
    }
    return true;
}

/* A client that unregistered or died returns some time later, except in the last part. */
static void maybe_return(struct sim *sim, struct sim_client *client)
{
    bool quiet = sim->now_ms > WORLD_EPOCH_MS + FAULTS_MS + RECOVERY_MS - QUIET_MS;
    if (quiet || sim->now_ms - client->ended_ms < 3000 || !sim_chance(sim, 8) ||
        !call_reaches_node(sim, client))
        return;
    client->wanted = true;
    client->dead = false;
    client->content += 1000;
    call_register(sim, client);
}

static void on_call(struct sim *sim, void *context, uint32_t id, uint32_t b)
{
    (void)context;
    (void)b;
    struct sim_client *client = &sim->clients[id];
    uint64_t next_ms = CALL_INTERVAL_MS;
    if (!client->wanted || client->dead)
        maybe_return(sim, client);
    else if (!call_reaches_node(sim, client))
        next_ms = RETRY_MS;
    else if (!client->acknowledged)
        call_register(sim, client);
    else if (!change_something(sim, client))
        call_heartbeat(sim, client);
    sim_at(sim->now_ms + next_ms - sim_random(sim, next_ms / 8), on_call, NULL, id, 0);
}

void clients_start(struct sim *sim)
{
    for (uint32_t id = 0; id < sim->client_count; id++) {
        sim->clients[id] = (struct sim_client){
            .id = id,
            .wanted = true,
            .node = (uint32_t)sim_random(sim, sim->node_count),
            .since_ms = sim->now_ms,
        };
        sim_at(sim->now_ms + sim_random(sim, 5000), on_call, NULL, id, 0);
    }
}
