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
    struct peer_client *transport;
    pthread_t id;
    bool started;
    bool told_ready; /* the thread's own */
    atomic_bool woken;
    atomic_bool stop;
    struct {
        pthread_mutex_t turn; /* of who waits next for the lock */
        pthread_mutex_t lock;
        struct replicator *replica;
        struct peer_status peers[MEMBERS_MAX]; /* by their number; url "": free */
    } _shared;
};

/* In order of arrival: while a peer's long answer comes in, the thread takes the lock again as soon
 * as it has given it back, and who asks for the state of the cluster would wait till the end. */
static void lock_shared(struct replication_thread *worker)
{
    pthread_mutex_lock(&worker->_shared.turn);
    pthread_mutex_lock(&worker->_shared.lock);
    pthread_mutex_unlock(&worker->_shared.turn);
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
static void log_health(const struct peer_status *peer, enum peer_health health)
{
    const char *node = peer->node_id[0] ? peer->node_id : "(unknown)";
    switch (health) {
    case PEER_UP:
        log_line(LOG_LEVEL_INFO, "peer %s at %s: up%s", node, peer->url,
                 peer->view.is_legacy ? ", an older Artemis: taken and told without versions" : "");
        return;
    case PEER_DOWN:
        log_line(LOG_LEVEL_WARN, "peer %s at %s: down: %s", node, peer->url,
                 peer->problem[0] ? peer->problem : "it leaves");
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
static void refresh(struct replication_thread *worker, uint32_t number)
{
    struct peer_status *peer = &worker->_shared.peers[number];
    enum peer_health before = peer->view.health;
    uint64_t compared_ms = peer->view.compared_ms;
    replicator_view(worker->_shared.replica, number, clock_now(), &peer->view);
    if (peer->view.health != before)
        log_health(peer, peer->view.health);
    if (peer->view.compared_ms != compared_ms && peer->view.differing)
        log_line(LOG_LEVEL_INFO, "peer %s at %s: caught up, %u of %d digests had differed",
                 peer->node_id, peer->url, peer->view.differing, DIGEST_BUCKETS);
}

static void note_problem(struct peer_status *peer, const char *problem)
{
    snprintf(peer->problem, sizeof(peer->problem), "%s", problem);
    peer->problem_wall_ms = clock_now().wall_ms;
}

/* The thread calls this from peer_client_run, with the lock held. */
static void on_delivered(void *context, const struct delivery *delivery)
{
    struct replication_thread *worker = context;
    struct replicator *replica = worker->_shared.replica;
    uint32_t number = delivery->message->peer;
    struct peer_status *peer = &worker->_shared.peers[number];
    struct moment now = clock_now();
    if (delivery->fate != SEND_DELIVERED)
        note_problem(peer, delivery->problem);
    bool is_refusal = delivery->fate == SEND_REJECTED || delivery->fate == SEND_TOO_LARGE;
    if (is_refusal && delivery->message->count)
        log_seldom(LOG_LEVEL_WARN, "peer %s at %s refused %zu records: %s", peer->node_id,
                   peer->url, delivery->message->count, delivery->problem);
    if (delivery->has_health) {
        snprintf(peer->node_id, sizeof(peer->node_id), "%s", delivery->node_id);
        snprintf(peer->region, sizeof(peer->region), "%s", delivery->region);
        snprintf(peer->zone, sizeof(peer->zone), "%s", delivery->zone);
        replicator_on_health(replica, delivery->message, &delivery->health, now);
    }
    replicator_done(replica, delivery->message, delivery->fate, now);
    refresh(worker, number);
}

static uint32_t number_of(const struct replication_thread *worker, const char *url)
{
    uint32_t number = 0;
    while (number < MEMBERS_MAX && strcmp(worker->_shared.peers[number].url, url) != 0)
        number++;
    return number;
}

void replication_thread_on_cluster(void *context, const struct cluster_event *event)
{
    struct replication_thread *worker = context;
    if (event->kind != CLUSTER_TOPOLOGY_UPDATED)
        return;
    lock_shared(worker);
    for (size_t i = 0; i < event->left->count; i++) {
        uint32_t number = number_of(worker, event->left->urls[i]);
        if (number == MEMBERS_MAX)
            continue;
        replicator_leave(worker->_shared.replica, number);
        worker->_shared.peers[number] = (struct peer_status){0};
    }
    for (size_t i = 0; i < event->joined->count; i++) {
        uint32_t number = number_of(worker, ""); /* there is one: no more members than places */
        assert(number < MEMBERS_MAX);
        snprintf(worker->_shared.peers[number].url, MEMBER_URL_BYTES, "%s", event->joined->urls[i]);
        replicator_join(worker->_shared.replica, number, clock_now());
    }
    pthread_mutex_unlock(&worker->_shared.lock);
    peer_client_wake(worker->transport);
}

void replication_thread_peer_leaves(struct replication_thread *worker, const char *node_id)
{
    lock_shared(worker);
    for (uint32_t number = 0; number < MEMBERS_MAX; number++) {
        struct peer_status *peer = &worker->_shared.peers[number];
        if (!peer->url[0] || strcmp(peer->node_id, node_id) != 0)
            continue;
        peer->problem[0] = '\0';
        replicator_peer_leaves(worker->_shared.replica, number, clock_now());
        refresh(worker, number);
    }
    pthread_mutex_unlock(&worker->_shared.lock);
}

/* --- the thread ------------------------------------------------------------------------------- */

/* All there is to do now. The lock is held. Returns when there is something to do again. */
static uint64_t work(struct replication_thread *worker)
{
    struct replicator *replica = worker->_shared.replica;
    struct moment now;
    do {
        struct message *message;
        now = clock_now();
        replicator_gather(replica, now);
        while ((message = replicator_next(replica, now))) {
            const struct peer_status *peer = &worker->_shared.peers[message->peer];
            peer_client_send(worker->transport, peer->url, peer->view.is_legacy, message);
        }
    } while (peer_client_run(worker->transport));
    return replicator_due_ms(replica, now);
}

static void *run(void *argument)
{
    struct replication_thread *worker = argument;
    while (!atomic_load(&worker->stop)) {
        atomic_store(&worker->woken, false); /* what is noted from here on wakes us again */
        lock_shared(worker);
        uint64_t due_ms = work(worker);
        bool ready = replicator_is_ready(worker->_shared.replica);
        pthread_mutex_unlock(&worker->_shared.lock);
        if (ready && !worker->told_ready) {
            worker->told_ready = true;
            worker->options.on_ready(worker->options.context);
        }
        uint64_t now_ms = clock_now().mono_ms;
        peer_client_wait(worker->transport, due_ms > now_ms ? due_ms - now_ms : 0);
    }
    return NULL;
}

/* A request thread has made a change; it may be one of thousands a second. */
static void on_change(void *context)
{
    struct replication_thread *worker = context;
    if (!atomic_exchange(&worker->woken, true))
        peer_client_wake(worker->transport);
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
    struct replication_thread *worker = calloc(1, sizeof(*worker));
    if (!worker)
        return ERR_NO_MEMORY;
    worker->options = *options;
    pthread_mutex_init(&worker->_shared.turn, NULL);
    pthread_mutex_init(&worker->_shared.lock, NULL);
    struct replicator_options how = options_of(config, seed);
    struct peer_client_options transport = {
        .node_id = config->server.node_id,
        .cluster_id = config->cluster.cluster_id,
        .run_id = options->run_id,
        .region = config->server.region,
        .timeout_ms = config->replication.timeout_secs * (uint64_t)MS_PER_SEC,
    };
    enum error error =
        replicator_create(&how, options->registry, clock_now(), &worker->_shared.replica);
    if (!error)
        error = peer_client_create(&transport, options->registry, worker->_shared.replica,
                                   on_delivered, worker, &worker->transport);
    if (error) {
        replication_thread_free(worker);
        return error;
    }
    registry_on_change(options->registry, on_change, worker);
    *out = worker;
    return ERR_NONE;
}

enum error replication_thread_start(struct replication_thread *worker)
{
    if (pthread_create(&worker->id, NULL, run, worker) != 0)
        return ERR_SYSTEM;
    pthread_setname_np(worker->id, "replication");
    worker->started = true;
    return ERR_NONE;
}

bool replication_thread_flush(struct replication_thread *worker, uint64_t timeout_ms)
{
    uint64_t deadline_ms = clock_now().mono_ms + timeout_ms;
    bool idle;
    do {
        lock_shared(worker);
        replicator_drain(worker->_shared.replica);
        idle = replicator_is_idle(worker->_shared.replica);
        pthread_mutex_unlock(&worker->_shared.lock);
        if (idle)
            return true;
        peer_client_wake(worker->transport);
        usleep(FLUSH_POLL_MS * 1000);
    } while (clock_now().mono_ms < deadline_ms);
    return false;
}

void replication_thread_free(struct replication_thread *worker)
{
    if (!worker)
        return;
    if (worker->started) {
        atomic_store(&worker->stop, true);
        peer_client_wake(worker->transport);
        pthread_join(worker->id, NULL);
    }
    registry_on_change(worker->options.registry, NULL, NULL);
    peer_client_free(worker->transport);
    replicator_free(worker->_shared.replica);
    pthread_mutex_destroy(&worker->_shared.lock);
    pthread_mutex_destroy(&worker->_shared.turn);
    free(worker);
}

/* --- looking in ------------------------------------------------------------------------------- */

size_t replication_thread_peers(struct replication_thread *worker,
                                struct peer_status out[MEMBERS_MAX])
{
    size_t count = 0;
    lock_shared(worker);
    for (uint32_t number = 0; number < MEMBERS_MAX; number++) {
        if (!worker->_shared.peers[number].url[0])
            continue;
        refresh(worker, number);
        if (worker->_shared.peers[number].view.health != PEER_SELF)
            out[count++] = worker->_shared.peers[number];
    }
    pthread_mutex_unlock(&worker->_shared.lock);
    return count;
}

void replication_thread_stats(struct replication_thread *worker, struct replicator_stats *stats)
{
    lock_shared(worker);
    replicator_stats(worker->_shared.replica, stats);
    pthread_mutex_unlock(&worker->_shared.lock);
}
