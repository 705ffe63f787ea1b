/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls of clients. In most worlds a call is executed at once. Where calls travel, a request or a
 * response can be late, also after the client has closed the connection, or arrive twice; and a
 * paused node executes what is in its sockets when it continues. A request can have registrations
 * of several clients: a list of calls, of which the first stands for the request.
 */
#include "tests/sim/sim.h"

#include <assert.h>
#include <stdlib.h>

enum { CALL_TRAVEL_MS = 10, QUEUE_RETRY_MS = 50 };

static struct sim_call *copy(const struct sim_call *call)
{
    struct sim_call *to = malloc(sizeof(*to));
    if (!to)
        abort();
    *to = *call;
    to->next = call->next ? copy(call->next) : NULL;
    return to;
}

static void free_call(struct sim_call *call)
{
    while (call) {
        struct sim_call *next = call->next;
        free(call);
        call = next;
    }
}

/* Whether a client still waits for the request. */
static bool is_awaited(const struct sim *sim, const struct sim_call *call)
{
    return sim->clients[call->client].call == call->number;
}

/* --- the node --------------------------------------------------------------------------------- */

/* The result of a registration or unregistration. */
static void note_change(struct sim *sim, struct sim_call *call, enum error error,
                        uint64_t *count_done)
{
    if (error == ERR_STALE_REVISION) {
        sim->counts.stale_calls++;
        call->result = CALL_STALE;
        sim_log(sim, "i%u: revision %llu is stale at n%u", call->client,
                (unsigned long long)call->revision, call->node);
        return;
    }
    if (error)
        abort();
    struct sim_client *client = &sim->clients[call->client];
    const struct sim_node *node = &sim->nodes[call->node];
    client->changed_ms = sim->now_ms;
    client->changed_node = node->id;
    client->changed_hlc_ms = node_stamps_ms(sim, node);
    ++*count_done;
}

/* A revision is known while the record or its tombstone is kept. After the lease has ended at this
 * node, a late call is executed (docs/REPLICATION.md). */
static bool is_forgotten(const struct sim_client *client, const struct sim_call *call,
                         const struct sim_node *node)
{
    struct record_copy copy;
    if (call->number == client->call || !call->revision)
        return false;
    if (!registry_read_key(node->registry, instance_key_packed(&client->key), &copy))
        return true;
    record_copy_unref(&copy);
    return false;
}

/* Invariant 2: what is acknowledged is there. */
static void check_registered(struct sim *sim, const struct sim_call *call,
                             const struct sim_node *node)
{
    uint32_t content = content_at(node, &sim->clients[call->client]);
    if (call->result == CALL_DONE && content != 1 + call->content % 60000)
        sim_fail(sim, 2, (int)call->client, "%s acknowledged content %u of i%u, and has %u",
                 node->name, 1 + call->content % 60000, call->client, content);
}

static void execute_register(struct sim *sim, struct sim_call *call, struct sim_node *node)
{
    struct instance *instances[BATCH_MAX];
    enum error errors[BATCH_MAX];
    uint32_t count = 0;
    for (struct sim_call *one = call; one; one = one->next) {
        struct sim_client *client = &sim->clients[one->client];
        client->revision_forgotten |= is_forgotten(client, one, node);
        instances[count++] = client_instance(client, one->content, one->revision);
        sim_log(sim, "i%u registers content %u at %s", one->client, one->content, node->name);
    }
    if (count == 1)
        errors[0] = registry_register(node->registry, instances[0], node_now(sim, node));
    else
        registry_register_all(node->registry, instances, count, node_now(sim, node), errors);
    sim->counts.batches += count > 1;
    for (uint32_t i = 0; call; call = call->next, i++) {
        instance_unref(instances[i]);
        note_change(sim, call, errors[i], &sim->counts.registrations);
        check_registered(sim, call, node);
    }
}

static void execute_unregister(struct sim *sim, struct sim_call *call, struct sim_node *node)
{
    struct instance_key key = sim->clients[call->client].key;
    sim_log(sim, "i%u unregisters at %s", call->client, node->name);
    note_change(sim, call,
                registry_unregister(node->registry, &key, call->revision, node_now(sim, node)),
                &sim->counts.unregistrations);
}

static void refuse(struct sim *sim, struct sim_call *call, struct sim_node *node)
{
    sim->counts.not_ready++;
    for (; call; call = call->next) {
        call->result = CALL_NOT_READY;
        node->refused_ms[call->client] = sim->now_ms;
        sim_log(sim, "i%u: %s is not ready", call->client, node->name);
    }
}

static void execute_heartbeat(struct sim *sim, struct sim_call *call, struct sim_node *node)
{
    struct instance_key key = sim->clients[call->client].key;
    sim->counts.heartbeats++;
    sim_log(sim, "i%u renews at %s", call->client, node->name);
    if (registry_renew(node->registry, &key, node_now(sim, node)) == ERR_NONE)
        return;
    if (replicator_phase(node->replicator) == BOOTSTRAP_COPYING) {
        refuse(sim, call, node);
        return;
    }
    sim->counts.refused++;
    call->result = CALL_UNKNOWN;
    sim_log(sim, "i%u is unknown at %s", call->client, node->name);
}

/* The HTTP layer drops a write whose client has closed the connection; this is a model of it. The
 * FIN follows a segment that the kernel delivers late within one round trip, and the layer waits
 * that long before it executes a write on a connection that was silent. */
static bool is_dropped(struct sim *sim, const struct sim_call *call)
{
    uint64_t closed_ms = call->sent_ms + sim->settings.call_timeout_ms + CALL_TRAVEL_MS;
    if (call->is_repeated || call->kind == CALL_HEARTBEAT || sim->now_ms < closed_ms ||
        sim->settings.executes_closed_calls)
        return false;
    sim->counts.dropped_calls++;
    sim_log(sim, "i%u: n%u drops call %u, whose connection is closed", call->client, call->node,
            call->number);
    return true;
}

/* The HTTP layer refuses a write that was queued in a stall; this is a model of it. */
static bool was_in_stall(const struct sim_call *call, const struct sim_node *node)
{
    return call->kind != CALL_HEARTBEAT && call->queued_ms && call->queued_ms <= node->stalled_ms;
}

/* Without a revision only the HLC orders the changes of a client at different nodes, and it agrees
 * no better than to the time that the fastest message between two nodes takes. So a change may lose
 * against an earlier one if the node's stamps are far behind: after a start, or while only another
 * node knows the stamp of a member that was ahead and has crashed. The same is possible if the
 * client made the earlier one at another node so short a time ago that the HLC here does not show
 * it yet. No node can know better: the message about the earlier change has not arrived. */
static bool is_clock_late(const struct sim *sim, const struct sim_client *client,
                          const struct sim_node *node)
{
    bool is_too_soon =
        client->changed_node != node->id && node_stamps_ms(sim, node) <= client->changed_hlc_ms;
    return is_too_soon || node_stamps_lag_ms(sim, node) > CLOCKS_APART_MS;
}

static void begin(struct sim *sim, struct sim_call *call, const struct sim_node *node)
{
    struct sim_client *client = &sim->clients[call->client];
    call->result = CALL_DONE;
    call->clock_late = is_clock_late(sim, client, node);
    call->node_life = node->life;
    if (call->number != client->call) {
        sim->counts.late_calls++;
        sim_log(sim, "i%u timed out with call %u, which %s executes now", call->client,
                call->number, node->name);
    }
}

/* What the HTTP layer does with a request that it has read. */
static void execute(struct sim *sim, struct sim_call *call, struct sim_node *node)
{
    if (was_in_stall(call, node)) {
        refuse(sim, call, node);
        return;
    }
    for (struct sim_call *one = call; one; one = one->next)
        begin(sim, one, node);
    if (call->kind == CALL_REGISTER)
        execute_register(sim, call, node);
    else if (call->kind == CALL_UNREGISTER)
        execute_unregister(sim, call, node);
    else
        execute_heartbeat(sim, call, node);
    for (; call; call = call->next)
        if (call->result == CALL_DONE)
            sim->clients[call->client].touched_ms = sim->now_ms;
}

/* --- transit ---------------------------------------------------------------------------------- */

static uint64_t travel_ms(struct sim *sim)
{
    uint64_t ms = 1 + sim_random(sim, CALL_TRAVEL_MS);
    return sim_chance(sim, sim->settings.late_calls_percent) ? ms + sim_random(sim, LATE_MAX_MS)
                                                             : ms;
}

static void set_result(struct sim_call *call, enum call_result result)
{
    for (; call; call = call->next)
        call->result = result;
}

static void report(struct sim *sim, const struct sim_call *call)
{
    for (; call; call = call->next)
        if (is_awaited(sim, call))
            client_on_result(sim, call);
}

static void on_response(struct sim *sim, void *context, uint32_t a, uint32_t b)
{
    (void)a;
    (void)b;
    report(sim, context);
    free_call(context);
}

static void on_request(struct sim *sim, void *context, uint32_t a, uint32_t b)
{
    (void)a;
    (void)b;
    struct sim_call *call = context;
    struct sim_node *node = &sim->nodes[call->node];
    if (node->running && node->paused) { /* stays in the socket until the process continues */
        if (!call->queued_ms)
            call->queued_ms = sim->now_ms;
        sim_at(sim->now_ms + QUEUE_RETRY_MS, on_request, call, 0, 0);
        return;
    }
    if (node->running && is_dropped(sim, call)) {
        free_call(call);
        return;
    }
    set_result(call, CALL_REFUSED);
    if (node_accepts_calls(node)) {
        execute(sim, call, node);
        node_work(sim, node);
    }
    sim_at(sim->now_ms + travel_ms(sim), on_response, call, 0, 0);
}

static void on_timeout(struct sim *sim, void *context, uint32_t a, uint32_t b)
{
    (void)a;
    (void)b;
    struct sim_call *call = context;
    if (is_awaited(sim, call)) {
        sim->counts.timeouts++;
        sim_log(sim, "i%u: call %u to n%u times out", call->client, call->number, call->node);
    }
    set_result(call, CALL_TIMEOUT);
    report(sim, call);
    free_call(call);
}

static void execute_now(struct sim *sim, struct sim_call *call)
{
    struct sim_node *node = &sim->nodes[call->node];
    set_result(call, CALL_REFUSED);
    if (node_accepts_calls(node))
        execute(sim, call, node);
    report(sim, call);
    if (call->result == CALL_DONE && call->kind != CALL_HEARTBEAT)
        node_work(sim, node);
}

static uint64_t choose_revision(struct sim *sim, const struct sim_client *client,
                                enum call_kind kind)
{
    uint32_t percent = kind == CALL_HEARTBEAT ? 0 : sim->settings.revisions_percent;
    return percent && sim_chance(sim, percent) ? client->revision : 0;
}

static struct sim_call make_call(struct sim *sim, struct sim_client *client, enum call_kind kind)
{
    client->call = ++client->calls;
    if (kind != CALL_HEARTBEAT)
        client->acknowledged = false;
    return (struct sim_call){.kind = kind,
                             .client = client->id,
                             .number = client->call,
                             .node = client->node,
                             .content = client->content,
                             .revision = choose_revision(sim, client, kind),
                             .sent_ms = sim->now_ms};
}

static void send(struct sim *sim, struct sim_call call)
{
    enum call_kind kind = call.kind;
    if (!sim->settings.calls_travel) {
        execute_now(sim, &call);
        return;
    }
    sim_at(sim->now_ms + sim->settings.call_timeout_ms, on_timeout, copy(&call), 0, 0);
    sim_at(sim->now_ms + travel_ms(sim), on_request, copy(&call), 0, 0);
    call.is_repeated = true;
    if (kind != CALL_HEARTBEAT && sim_chance(sim, sim->settings.repeated_calls_percent))
        sim_at(sim->now_ms + travel_ms(sim) + sim_random(sim, LATE_MAX_MS / 4), on_request,
               copy(&call), 0, 0);
}

void call_send(struct sim *sim, struct sim_client *client, enum call_kind kind)
{
    send(sim, make_call(sim, client, kind));
}

void call_register_all(struct sim *sim, struct sim_client *const clients[], uint32_t count)
{
    struct sim_call calls[BATCH_MAX];
    assert(count > 0 && count <= BATCH_MAX);
    for (uint32_t i = 0; i < count; i++) {
        clients[i]->node = clients[0]->node;
        calls[i] = make_call(sim, clients[i], CALL_REGISTER);
        if (i > 0)
            calls[i - 1].next = &calls[i];
    }
    send(sim, calls[0]);
}

bool call_drop(sim_event *call, void *context)
{
    if (call != on_timeout && call != on_request && call != on_response)
        return false;
    free_call(context);
    return true;
}
