/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/replication/replication_thread.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "artemis-server/clock.h"
#include "artemis-server/log.h"
#include "artemis-server/replication/commands.h"
#include "artemis-server/replication/peer_client.h"

enum {
    MS_PER_SEC = 1000,
    CLOCK_OFFSET_WARN_MS = 60 * 1000,
    SNAPSHOT_TIMEOUTS = 12, /* a snapshot may take that many times replication.timeout_secs */
    REMOTE_BATCH_MS = 1000, /* default of cluster.remote.batch_ms */
    REFILL_SLACK_MS = 5000, /* beyond the interval of heartbeats */
};

static_assert((int)MEMBERS_MAX == (int)REPLICATOR_PEERS_MAX, "a member is a peer");

struct replication_thread {
    struct replication_thread_options options;
    pthread_t id;
    bool started;
    atomic_bool stop;
    atomic_bool wake_pending;
    struct command_queue commands;
    struct replication_status status;
    /* Of the thread alone: */
    struct peer_client *client;
    struct replicator *replicator;
    struct peer_status peers[MEMBERS_MAX]; /* by their number; url "": free */
    enum bootstrap_phase phase;            /* as last reported */
    uint64_t recompare;                    /* number of the last one that has begun; 0: none */
    uint64_t flush_request;                /* the last one; 0: none */
    uint64_t flushed;                      /* the last one that is complete */
    uint64_t published_ms;
    bool publish_now; /* an important change: do not wait for the interval */
};

/* --- peers ------------------------------------------------------------------------------------ */

/* Updates the view of a peer and logs what changed. */
static void update_peer(struct replication_thread *thread, uint32_t number)
{
    struct peer_status *peer = &thread->peers[number];
    enum peer_health health = peer->view.health;
    uint64_t compared_ms = peer->view.compared_ms;
    bool was_ready = peer->view.is_ready;
    replicator_view(thread->replicator, number, clock_now(), &peer->view);
    if (peer->view.health != health)
        peer_status_log_health(peer);
    if (peer->view.health != health || peer->view.is_ready != was_ready)
        thread->publish_now = true;
    if (peer->view.compared_ms != compared_ms && peer->view.differing)
        log_event(LOG_LEVEL_INFO, "anti-entropy found differences and repairs them",
                  LOG_TEXT("peer", peer->node_id), LOG_TEXT("url", peer->url),
                  LOG_NUMBER("buckets", peer->view.differing));
}

/* Another peer with the same node id; NULL: there is none. */
static struct peer_status *find_same_id(struct replication_thread *thread,
                                        const struct peer_status *peer)
{
    for (uint32_t number = 0; peer->node_id[0] && number < MEMBERS_MAX; number++) {
        struct peer_status *other = &thread->peers[number];
        if (other != peer && other->url[0] && other->view.health != PEER_SELF &&
            strcmp(other->node_id, peer->node_id) == 0)
            return other;
    }
    return NULL;
}

static void update_shared_ids(struct replication_thread *thread, const struct peer_status *changed)
{
    for (uint32_t number = 0; number < MEMBERS_MAX; number++)
        thread->peers[number].shares_node_id = find_same_id(thread, &thread->peers[number]);
    const struct peer_status *other = find_same_id(thread, changed);
    if (other)
        log_event(
            LOG_LEVEL_WARN,
            "two peers have the same node id; set another server.node_id, or remove one of the "
            "two addresses (cluster.peers, or what the membership provider finds)",
            LOG_TEXT("peer", changed->node_id), LOG_TEXT("url", changed->url),
            LOG_TEXT("other_url", other->url));
}

static void set_names(struct replication_thread *thread, struct peer_status *peer,
                      const struct peer_response *response)
{
    bool has_new_id = strcmp(peer->node_id, response->node_id) != 0;
    snprintf(peer->node_id, sizeof(peer->node_id), "%s", response->node_id);
    snprintf(peer->region, sizeof(peer->region), "%s", response->region);
    snprintf(peer->zone, sizeof(peer->zone), "%s", response->zone);
    snprintf(peer->client_url, sizeof(peer->client_url), "%s", response->client_url);
    if (has_new_id && !response->health.is_self)
        update_shared_ids(thread, peer);
}

/* Compares the wall clocks. The HTTP date has whole seconds, and the response was in transit. */
static void note_clock(struct peer_status *peer, uint64_t wall_ms, struct moment now)
{
    int64_t before_ms = peer->clock_offset_ms;
    int64_t offset_ms = wall_ms ? (int64_t)wall_ms - (int64_t)now.wall_ms : 0;
    peer->clock_offset_ms = offset_ms;
    if (llabs(offset_ms) < CLOCK_OFFSET_WARN_MS || llabs(before_ms) >= CLOCK_OFFSET_WARN_MS)
        return;
    log_event(LOG_LEVEL_WARN,
              offset_ms > 0
                  ? "the clock of a peer is ahead of this node's; set the clock that is wrong"
                  : "the clock of a peer is behind this node's; set the clock that is wrong",
              LOG_TEXT("peer", peer->node_id), LOG_TEXT("url", peer->url),
              LOG_NUMBER("difference_secs", (uint64_t)llabs(offset_ms) / MS_PER_SEC));
}

/* --- responses -------------------------------------------------------------------------------- */

/* Responses enter the replicator here and nowhere else. */

static void on_record(void *context, const struct message *message,
                      const struct wire_record *record)
{
    struct replication_thread *thread = context;
    replicator_on_record(thread->replicator, message, record, clock_now());
}

/* A message that is too large is sent again in halves, unless it has one item or is a fetch. */
static void log_rejection(const struct peer_status *peer, const struct peer_response *response)
{
    const struct message *message = response->message;
    bool is_too_large = response->result == SEND_TOO_LARGE;
    bool has_events = message->kind == MESSAGE_EVENTS;
    size_t items = has_events ? message->events.count : message->count;
    const char *text =
        has_events ? "peer rejected events; they are dropped" : "peer rejected records";
    if (is_too_large && items > 1 && message->kind != MESSAGE_FETCH)
        text = "peer rejected a message as too large; it is sent again in halves";
    if ((is_too_large || response->result == SEND_REJECTED) && items && log_admit(LOG_LEVEL_WARN))
        log_event(LOG_LEVEL_WARN, text, LOG_TEXT("peer", peer->node_id), LOG_TEXT("url", peer->url),
                  LOG_TEXT("reason", response->error_text),
                  LOG_NUMBER(has_events ? "events" : "records", items));
}

static void on_response(void *context, const struct peer_response *response)
{
    struct replication_thread *thread = context;
    struct message *message = response->message;
    uint32_t number = message->peer;
    struct peer_status *peer = &thread->peers[number];
    struct moment now = clock_now();
    if (!replicator_is_current(thread->replicator, message)) {
        message_free(message); /* the peer was removed; its number may belong to another now */
        return;
    }
    peer->sent_bytes += response->sent_bytes;
    peer->received_bytes += response->received_bytes;
    peer_status_note_result(peer, message->kind, response->result, response->error_text, now);
    log_rejection(peer, response);
    if (response->has_health) {
        set_names(thread, peer, response);
        note_clock(peer, response->wall_ms, now);
        replicator_on_health(thread->replicator, message, &response->health, now);
    }
    if (response->is_clock_ahead)
        replicator_check_clocks(thread->replicator, now);
    if (response->digests)
        replicator_on_digests(thread->replicator, message, response->digests, now);
    if (response->blocks.size > 0)
        replicator_on_blocks(thread->replicator, message,
                             thread->options.on_blocks(thread->options.context, response->blocks));
    replicator_on_result(thread->replicator, message, response->result, now);
    update_peer(thread, number);
}

/* --- commands --------------------------------------------------------------------------------- */

static uint32_t find_url(const struct replication_thread *thread, const char *url)
{
    uint32_t number = 0;
    while (number < MEMBERS_MAX && strcmp(thread->peers[number].url, url) != 0)
        number++;
    return number;
}

static void apply_topology(struct replication_thread *thread, const struct member_list *topology)
{
    replicator_on_topology(thread->replicator);
    for (uint32_t number = 0; number < MEMBERS_MAX; number++) {
        struct peer_status *peer = &thread->peers[number];
        if (!peer->url[0] || member_list_has(topology, peer->url))
            continue;
        replicator_remove_peer(thread->replicator, number);
        peer_client_cancel(thread->client, number);
        *peer = (struct peer_status){0};
    }
    for (size_t i = 0; i < topology->count; i++) {
        const struct member *member = &topology->items[i];
        uint32_t number = find_url(thread, member->url);
        if (number < MEMBERS_MAX) {
            memcpy(thread->peers[number].name, member->name, sizeof(member->name));
            continue;
        }
        number = find_url(thread, ""); /* a free one: there are as many as members */
        assert(number < MEMBERS_MAX);
        memcpy(thread->peers[number].url, member->url, sizeof(member->url));
        memcpy(thread->peers[number].name, member->name, sizeof(member->name));
        replicator_add_peer(thread->replicator, number, clock_now());
        update_peer(thread, number);
    }
}

static void apply_goodbye(struct replication_thread *thread, const char *node_id)
{
    for (uint32_t number = 0; number < MEMBERS_MAX; number++) {
        struct peer_status *peer = &thread->peers[number];
        if (!peer->url[0] || strcmp(peer->node_id, node_id) != 0)
            continue;
        peer->last_error[0] = '\0';
        replicator_on_goodbye(thread->replicator, number, clock_now());
        update_peer(thread, number);
    }
}

static void report_phase(struct replication_thread *thread, enum bootstrap_phase phase)
{
    thread->phase = phase;
    thread->options.on_phase(thread->options.context, phase, thread->recompare);
}

static void apply_commands(struct replication_thread *thread)
{
    struct command_list list;
    if (!command_queue_take(&thread->commands, &list))
        return;
    if (list.has_topology)
        apply_topology(thread, &list.topology);
    for (size_t i = 0; i < list.goodbye_count; i++)
        apply_goodbye(thread, list.goodbyes[i]);
    if (list.has_releases)
        replicator_set_releases(thread->replicator, &list.releases);
    if (list.recompare) {
        replicator_recompare(thread->replicator, clock_now());
        thread->recompare = list.recompare;
        report_phase(thread, BOOTSTRAP_COPYING);
    }
    if (list.check_clocks)
        replicator_check_clocks(thread->replicator, clock_now());
    if (list.flush)
        replicator_flush(thread->replicator);
    thread->flush_request = list.flush;
    thread->publish_now = true;
}

void replication_thread_on_topology(void *context, const struct cluster_event *event)
{
    struct replication_thread *thread = context;
    if (event->kind != CLUSTER_TOPOLOGY_UPDATED)
        return;
    command_queue_put_topology(&thread->commands, event->topology);
    peer_client_wake(thread->client);
}

void replication_thread_on_goodbye(struct replication_thread *thread, const char *node_id)
{
    command_queue_put_goodbye(&thread->commands, node_id);
    peer_client_wake(thread->client);
}

bool replication_thread_can_put_release(struct replication_thread *thread, struct slice service_id,
                                        uint64_t clock_ms, struct moment now)
{
    return command_queue_can_put_release(&thread->commands, service_id, clock_ms, now.mono_ms);
}

enum error replication_thread_put_release(struct replication_thread *thread,
                                          struct slice service_id, uint64_t clock_ms,
                                          struct moment now)
{
    uint64_t until_ms = registry_release_until_ms(thread->options.registry, clock_ms, now);
    enum error error =
        command_queue_put_release(&thread->commands, service_id, clock_ms, until_ms, now.mono_ms);
    peer_client_wake(thread->client);
    return error;
}

void replication_thread_recompare(struct replication_thread *thread, uint64_t number)
{
    command_queue_put_recompare(&thread->commands, number);
    peer_client_wake(thread->client);
}

void replication_thread_check_clocks(struct replication_thread *thread)
{
    command_queue_put_check_clocks(&thread->commands);
    peer_client_wake(thread->client);
}

void replication_thread_on_blocks(struct replication_thread *thread)
{
    peer_client_wake(thread->client);
}

bool replication_thread_flush(struct replication_thread *thread, uint64_t timeout_ms)
{
    if (!thread->started)
        return true;
    uint64_t deadline_ms = clock_now().mono_ms + timeout_ms;
    uint64_t request = command_queue_put_flush(&thread->commands);
    peer_client_wake(thread->client);
    return replication_status_wait_flushed(&thread->status, request, deadline_ms);
}

/* --- the thread ------------------------------------------------------------------------------- */

/* Moves the events that this node has published to the replicator. */
static void take_events(struct replication_thread *thread)
{
    struct event *events[EVENTS_PER_MESSAGE_MAX];
    struct event_hub *hub = thread->options.events;
    size_t count;
    while (hub && (count = event_hub_take_for_peers(hub, events, EVENTS_PER_MESSAGE_MAX)))
        for (size_t i = 0; i < count; i++)
            replicator_put_event(thread->replicator, events[i]);
}

/* Does all there is to do now. Returns the monotonic time of the next turn. */
static uint64_t run_turn(struct replication_thread *thread)
{
    struct moment now;
    apply_commands(thread);
    if (thread->options.blocks)
        replicator_set_blocks(thread->replicator, blocks_hash(thread->options.blocks));
    take_events(thread);
    do {
        struct message *message;
        now = clock_now();
        replicator_drain_dirty(thread->replicator, now);
        while ((message = replicator_next(thread->replicator, now))) {
            const struct peer_status *peer = &thread->peers[message->peer];
            const struct peer_address address = {.url = peer->url,
                                                 .name = peer->name,
                                                 .is_legacy = peer->view.is_legacy,
                                                 .is_remote = peer->view.is_remote};
            peer_client_send(thread->client, &address, message);
        }
    } while (peer_client_run(thread->client));
    return replicator_due_ms(thread->replicator, now);
}

static void refresh_view(struct replication_thread *thread, struct peer_status *peer,
                         uint32_t number, struct moment now)
{
    bool was_suspect = peer->view.is_suspect;
    replicator_view(thread->replicator, number, now, &peer->view);
    if (peer->view.is_suspect && !was_suspect)
        peer_status_log_suspect(peer);
}

static void publish(struct replication_thread *thread, struct moment now)
{
    struct replicator_stats stats;
    replicator_stats(thread->replicator, &stats);
    for (uint32_t number = 0; number < MEMBERS_MAX; number++)
        if (thread->peers[number].url[0])
            refresh_view(thread, &thread->peers[number], number, now);
    replication_status_publish(&thread->status, thread->peers, &stats, thread->flushed, now);
    thread->published_ms = now.mono_ms;
    thread->publish_now = false;
}

/* Publishes the status, or returns the earlier of due_ms and the time to do so. */
static uint64_t publish_if_due(struct replication_thread *thread, uint64_t due_ms)
{
    struct moment now = clock_now();
    uint64_t next_ms = thread->published_ms + STATUS_INTERVAL_MS;
    if (thread->flushed != thread->flush_request && replicator_is_idle(thread->replicator)) {
        thread->flushed = thread->flush_request;
        thread->publish_now = true;
    }
    if (!thread->publish_now && now.mono_ms < next_ms)
        return due_ms < next_ms ? due_ms : next_ms;
    publish(thread, now);
    return due_ms;
}

static void *run(void *argument)
{
    struct replication_thread *thread = argument;
    while (!atomic_load(&thread->stop)) {
        atomic_store(&thread->wake_pending, false); /* changes from here on wake it again */
        uint64_t due_ms = run_turn(thread);
        enum bootstrap_phase phase = replicator_phase(thread->replicator);
        bool is_new = phase != thread->phase;
        thread->publish_now |= is_new;
        due_ms = publish_if_due(thread, due_ms);
        if (is_new)
            report_phase(thread, phase);
        uint64_t now_ms = clock_now().mono_ms;
        peer_client_wait(thread->client, due_ms > now_ms ? due_ms - now_ms : 0);
    }
    return NULL;
}

/* Of the calling thread: */
static _Thread_local bool defers_wakeups;
static _Thread_local bool has_deferred_wakeup;

/* Called by request threads, thousands of times per second: wakes the thread once per turn. */
static void on_change(void *context)
{
    struct replication_thread *thread = context;
    if (atomic_exchange(&thread->wake_pending, true))
        return;
    if (defers_wakeups)
        has_deferred_wakeup = true;
    else
        peer_client_wake(thread->client);
}

/* The first event waits for the peers. */
static void on_event(void *context)
{
    struct replication_thread *thread = context;
    peer_client_wake(thread->client);
}

void replication_thread_wake_deferred(struct replication_thread *thread)
{
    defers_wakeups = true;
    if (!has_deferred_wakeup)
        return;
    has_deferred_wakeup = false;
    peer_client_wake(thread->client);
}

/* --- create, start and free ------------------------------------------------------------------- */

/* Clients renew each third of the time-to-live; the slack is for those that back off. */
static uint64_t refill_ms(const struct config *config)
{
    uint64_t grace_ms = config->cluster.bootstrap_grace_secs * (uint64_t)MS_PER_SEC;
    uint64_t enough_ms = config->lease.ttl_secs * (uint64_t)MS_PER_SEC / 3 + REFILL_SLACK_MS;
    return enough_ms < grace_ms ? enough_ms : grace_ms;
}

static struct replicator_options
replicator_options_of(const struct replication_thread_options *options, uint64_t seed)
{
    const struct config *config = options->config;
    uint64_t timeout_ms = config->replication.timeout_secs * (uint64_t)MS_PER_SEC;
    struct replicator_options replicator = {
        .batch_size = config->replication.batch_size,
        .batch_interval_ms = config->replication.batch_interval_ms,
        .remote_batch_ms =
            config->cluster.remote.batch_ms ? config->cluster.remote.batch_ms : REMOTE_BATCH_MS,
        .max_retries = config->replication.max_retries,
        .anti_entropy_ms = config->replication.anti_entropy_secs * (uint64_t)MS_PER_SEC,
        .health_interval_ms = config->cluster.health_interval_secs * (uint64_t)MS_PER_SEC,
        .snapshot_timeout_ms = SNAPSHOT_TIMEOUTS * timeout_ms,
        .starts_empty = !options->has_loaded,
        .seed = seed,
    };
    replicator.list_grace_ms = config->cluster.bootstrap_grace_secs * (uint64_t)MS_PER_SEC;
    if (options->has_data)
        return replicator;
    replicator.bootstrap_grace_ms = config->cluster.bootstrap_grace_secs * (uint64_t)MS_PER_SEC;
    replicator.bootstrap_refill_ms = refill_ms(config);
    return replicator;
}

static struct peer_client_options
client_options_of(const struct replication_thread_options *options)
{
    const struct config *config = options->config;
    return (struct peer_client_options){
        .node_id = config->server.node_id,
        .cluster_id = config->cluster.cluster_id,
        .epoch = options->epoch,
        .region = config->server.region,
        .token = config->cluster.token,
        .remote_gzip = config->cluster.remote.gzip,
        .timeout_ms = config->replication.timeout_secs * (uint64_t)MS_PER_SEC,
        .credentials = options->credentials,
        .min_version = config->tls.min_version,
        .blocks = options->blocks,
    };
}

enum error replication_thread_create(const struct replication_thread_options *options,
                                     struct replication_thread **out)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
        return ERR_SYSTEM;
    struct replication_thread *thread = calloc(1, sizeof(*thread));
    if (!thread)
        return ERR_NO_MEMORY;
    thread->options = *options;
    command_queue_init(&thread->commands);
    replication_status_init(&thread->status);
    struct replicator_options replicator = replicator_options_of(options, seed);
    struct peer_client_options client = client_options_of(options);
    struct peer_client_handler handler = {on_record, on_response, thread};
    enum error error =
        replicator_create(&replicator, options->registry, clock_now(), &thread->replicator);
    if (!error)
        error = peer_client_create(&client, options->registry, &handler, &thread->client);
    if (error) {
        replication_thread_free(thread);
        return error;
    }
    registry_set_dirty_notify(options->registry, on_change, thread);
    if (options->events)
        event_hub_set_peers(options->events, on_event, thread);
    *out = thread;
    return ERR_NONE;
}

enum error replication_thread_start(struct replication_thread *thread)
{
    if (pthread_create(&thread->id, NULL, run, thread) != 0)
        return ERR_SYSTEM;
    pthread_setname_np(thread->id, "replication");
    thread->started = true;
    return ERR_NONE;
}

void replication_thread_free(struct replication_thread *thread)
{
    if (!thread)
        return;
    if (thread->started) {
        atomic_store(&thread->stop, true);
        peer_client_wake(thread->client);
        pthread_join(thread->id, NULL);
    }
    registry_set_dirty_notify(thread->options.registry, NULL, NULL);
    if (thread->options.events)
        event_hub_set_peers(thread->options.events, NULL, NULL);
    peer_client_free(thread->client);
    replicator_free(thread->replicator);
    replication_status_free(&thread->status);
    command_queue_free(&thread->commands);
    free(thread);
}

/* --- status ----------------------------------------------------------------------------------- */

size_t replication_thread_peers(struct replication_thread *thread,
                                struct peer_status out[MEMBERS_MAX])
{
    return replication_status_peers(&thread->status, clock_now(), out);
}

void replication_thread_stats(struct replication_thread *thread, struct replicator_stats *stats)
{
    replication_status_stats(&thread->status, stats);
}
