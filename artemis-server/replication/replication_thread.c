/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/replication/replication_thread.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "artemis-server/clock.h"
#include "artemis-server/log.h"

enum { MS_PER_SEC = 1000, FLUSH_POLL_MS = 5 };

static_assert((int)MEMBERS_MAX == (int)REPLICATOR_PEERS_MAX, "a member is a peer");

struct replication_thread {
    struct replication_thread_options options;
    struct peer_client *client;
    pthread_t id;
    bool started;
    bool ready_reported; /* the thread's own */
    atomic_bool wake_pending;
    atomic_bool stop;
    struct {
        pthread_mutex_t turn; /* of who waits next for the lock */
        pthread_mutex_t lock;
        struct replicator *replicator;
        struct peer_status peers[MEMBERS_MAX]; /* by their number; url "": free */
    } _shared;
};

/* In order of arrival: while a peer's long answer comes in, the thread takes the lock again as soon
 * as it has given it back, and who asks for the state of the cluster would wait till the end. */
static void lock_shared(struct replication_thread *thread)
{
    pthread_mutex_lock(&thread->_shared.turn);
    pthread_mutex_lock(&thread->_shared.lock);
    pthread_mutex_unlock(&thread->_shared.turn);
}

/* --- peers ------------------------------------------------------------------------------------ */

const char *peer_health_word(enum peer_health health)
{
    static const char *const words[] = {
        [PEER_NEW] = "new",           [PEER_UP] = "up",
        [PEER_DOWN] = "down",         [PEER_WRONG_CLUSTER] = "stranger",
        [PEER_DUPLICATE_ID] = "twin", [PEER_SELF] = "self",
    };
    return words[health];
}

/* What an operator must know without asking. */
static void log_peer_health(const struct peer_status *peer, enum peer_health health)
{
    const char *node = peer->node_id[0] ? peer->node_id : "(unknown)";
    switch (health) {
    case PEER_UP:
        log_line(LOG_LEVEL_INFO, "peer %s at %s: up%s", node, peer->url,
                 peer->view.is_legacy ? ", an older Artemis: taken and told without versions" : "");
        return;
    case PEER_DOWN:
        log_line(LOG_LEVEL_WARN, "peer %s at %s: down: %s", node, peer->url,
                 peer->last_error[0] ? peer->last_error : "it leaves");
        return;
    case PEER_WRONG_CLUSTER:
        log_line(LOG_LEVEL_ERROR,
                 "peer %s at %s: refused: it is of another cluster (cluster.cluster_id)", node,
                 peer->url);
        return;
    case PEER_DUPLICATE_ID:
        log_line(LOG_LEVEL_ERROR,
                 "peer at %s: refused: it calls itself %s, as this node does (server.node_id)",
                 peer->url, node);
        return;
    case PEER_SELF:
        log_line(LOG_LEVEL_INFO, "peer at %s: this node itself, left out", peer->url);
        return;
    case PEER_NEW:
        return;
    }
}

/* Looks at a peer after something happened; logs what changed. The lock is held. */
static void refresh(struct replication_thread *thread, uint32_t number)
{
    struct peer_status *peer = &thread->_shared.peers[number];
    enum peer_health before = peer->view.health;
    uint64_t compared_ms = peer->view.compared_ms;
    replicator_view(thread->_shared.replicator, number, clock_now(), &peer->view);
    if (peer->view.health != before)
        log_peer_health(peer, peer->view.health);
    if (peer->view.compared_ms != compared_ms && peer->view.differing)
        log_line(LOG_LEVEL_INFO, "peer %s at %s: caught up, %u of %d digests had differed",
                 peer->node_id, peer->url, peer->view.differing, DIGEST_BUCKETS);
}

static void set_last_error(struct peer_status *peer, const char *error_text)
{
    snprintf(peer->last_error, sizeof(peer->last_error), "%s", error_text);
    peer->last_error_wall_ms = clock_now().wall_ms;
}

/* The thread calls this from peer_client_run, with the lock held. */
static void on_response(void *context, const struct peer_response *response)
{
    struct replication_thread *thread = context;
    struct replicator *replicator = thread->_shared.replicator;
    uint32_t number = response->message->peer;
    struct peer_status *peer = &thread->_shared.peers[number];
    struct moment now = clock_now();
    if (response->result != SEND_DELIVERED)
        set_last_error(peer, response->error_text);
    bool is_refusal = response->result == SEND_REJECTED || response->result == SEND_TOO_LARGE;
    if (is_refusal && response->message->count)
        log_limited(LOG_LEVEL_WARN, "peer %s at %s refused %zu records: %s", peer->node_id,
                    peer->url, response->message->count, response->error_text);
    if (response->has_health) {
        snprintf(peer->node_id, sizeof(peer->node_id), "%s", response->node_id);
        snprintf(peer->region, sizeof(peer->region), "%s", response->region);
        snprintf(peer->zone, sizeof(peer->zone), "%s", response->zone);
        replicator_on_health(replicator, response->message, &response->health, now);
    }
    replicator_on_result(replicator, response->message, response->result, now);
    refresh(thread, number);
}

static uint32_t number_of(const struct replication_thread *thread, const char *url)
{
    uint32_t number = 0;
    while (number < MEMBERS_MAX && strcmp(thread->_shared.peers[number].url, url) != 0)
        number++;
    return number;
}

void replication_thread_on_topology(void *context, const struct cluster_event *event)
{
    struct replication_thread *thread = context;
    if (event->kind != CLUSTER_TOPOLOGY_UPDATED)
        return;
    lock_shared(thread);
    for (size_t i = 0; i < event->left->count; i++) {
        uint32_t number = number_of(thread, event->left->urls[i]);
        if (number == MEMBERS_MAX)
            continue;
        replicator_remove_peer(thread->_shared.replicator, number);
        thread->_shared.peers[number] = (struct peer_status){0};
    }
    for (size_t i = 0; i < event->joined->count; i++) {
        uint32_t number = number_of(thread, ""); /* there is one: no more members than places */
        assert(number < MEMBERS_MAX);
        snprintf(thread->_shared.peers[number].url, MEMBER_URL_BYTES, "%s", event->joined->urls[i]);
        replicator_add_peer(thread->_shared.replicator, number, clock_now());
    }
    pthread_mutex_unlock(&thread->_shared.lock);
    peer_client_wake(thread->client);
}

void replication_thread_on_goodbye(struct replication_thread *thread, const char *node_id)
{
    lock_shared(thread);
    for (uint32_t number = 0; number < MEMBERS_MAX; number++) {
        struct peer_status *peer = &thread->_shared.peers[number];
        if (!peer->url[0] || strcmp(peer->node_id, node_id) != 0)
            continue;
        peer->last_error[0] = '\0';
        replicator_on_goodbye(thread->_shared.replicator, number, clock_now());
        refresh(thread, number);
    }
    pthread_mutex_unlock(&thread->_shared.lock);
}

/* --- the thread ------------------------------------------------------------------------------- */

/* All there is to do now. The lock is held. Returns when there is something to do again. */
static uint64_t work(struct replication_thread *thread)
{
    struct replicator *replicator = thread->_shared.replicator;
    struct moment now;
    do {
        struct message *message;
        now = clock_now();
        replicator_drain_dirty(replicator, now);
        while ((message = replicator_next(replicator, now))) {
            const struct peer_status *peer = &thread->_shared.peers[message->peer];
            peer_client_send(thread->client, peer->url, peer->view.is_legacy, message);
        }
    } while (peer_client_run(thread->client));
    return replicator_due_ms(replicator, now);
}

static void *run(void *argument)
{
    struct replication_thread *thread = argument;
    while (!atomic_load(&thread->stop)) {
        atomic_store(&thread->wake_pending, false); /* what is noted from here on wakes us again */
        lock_shared(thread);
        uint64_t due_ms = work(thread);
        bool ready = replicator_is_ready(thread->_shared.replicator);
        pthread_mutex_unlock(&thread->_shared.lock);
        if (ready && !thread->ready_reported) {
            thread->ready_reported = true;
            thread->options.on_ready(thread->options.context);
        }
        uint64_t now_ms = clock_now().mono_ms;
        peer_client_wait(thread->client, due_ms > now_ms ? due_ms - now_ms : 0);
    }
    return NULL;
}

/* A request thread has made a change; it may be one of thousands a second. */
static void on_change(void *context)
{
    struct replication_thread *thread = context;
    if (!atomic_exchange(&thread->wake_pending, true))
        peer_client_wake(thread->client);
}

/* --- life ------------------------------------------------------------------------------------- */

static struct replicator_options options_of(const struct config *config, uint64_t seed)
{
    return (struct replicator_options){
        .batch_size = config->replication.batch_size,
        .batch_interval_ms = config->replication.batch_interval_ms,
        .max_retries = config->replication.max_retries,
        .anti_entropy_ms = config->replication.anti_entropy_secs * (uint64_t)MS_PER_SEC,
        .health_interval_ms = config->cluster.health_interval_secs * (uint64_t)MS_PER_SEC,
        .seed = seed,
    };
}

enum error replication_thread_create(const struct replication_thread_options *options,
                                     struct replication_thread **out)
{
    const struct config *config = options->config;
    uint64_t seed;
    if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
        return ERR_SYSTEM;
    struct replication_thread *thread = calloc(1, sizeof(*thread));
    if (!thread)
        return ERR_NO_MEMORY;
    thread->options = *options;
    pthread_mutex_init(&thread->_shared.turn, NULL);
    pthread_mutex_init(&thread->_shared.lock, NULL);
    struct replicator_options replicator_options = options_of(config, seed);
    struct peer_client_options client = {
        .node_id = config->server.node_id,
        .cluster_id = config->cluster.cluster_id,
        .epoch = options->epoch,
        .region = config->server.region,
        .timeout_ms = config->replication.timeout_secs * (uint64_t)MS_PER_SEC,
    };
    enum error error = replicator_create(&replicator_options, options->registry, clock_now(),
                                         &thread->_shared.replicator);
    if (!error)
        error = peer_client_create(&client, options->registry, thread->_shared.replicator,
                                   on_response, thread, &thread->client);
    if (error) {
        replication_thread_free(thread);
        return error;
    }
    registry_on_change(options->registry, on_change, thread);
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

bool replication_thread_flush(struct replication_thread *thread, uint64_t timeout_ms)
{
    uint64_t deadline_ms = clock_now().mono_ms + timeout_ms;
    bool idle;
    do {
        lock_shared(thread);
        replicator_flush(thread->_shared.replicator);
        idle = replicator_is_idle(thread->_shared.replicator);
        pthread_mutex_unlock(&thread->_shared.lock);
        if (idle)
            return true;
        peer_client_wake(thread->client);
        usleep(FLUSH_POLL_MS * 1000);
    } while (clock_now().mono_ms < deadline_ms);
    return false;
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
    registry_on_change(thread->options.registry, NULL, NULL);
    peer_client_free(thread->client);
    replicator_free(thread->_shared.replicator);
    pthread_mutex_destroy(&thread->_shared.lock);
    pthread_mutex_destroy(&thread->_shared.turn);
    free(thread);
}

/* --- looking in ------------------------------------------------------------------------------- */

size_t replication_thread_peers(struct replication_thread *thread,
                                struct peer_status out[MEMBERS_MAX])
{
    size_t count = 0;
    lock_shared(thread);
    for (uint32_t number = 0; number < MEMBERS_MAX; number++) {
        if (!thread->_shared.peers[number].url[0])
            continue;
        refresh(thread, number);
        if (thread->_shared.peers[number].view.health != PEER_SELF)
            out[count++] = thread->_shared.peers[number];
    }
    pthread_mutex_unlock(&thread->_shared.lock);
    return count;
}

void replication_thread_stats(struct replication_thread *thread, struct replicator_stats *stats)
{
    lock_shared(thread);
    replicator_stats(thread->_shared.replicator, stats);
    pthread_mutex_unlock(&thread->_shared.lock);
}
