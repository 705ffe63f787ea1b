/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/replication/status.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "artemis-server/log.h"

void replication_status_init(struct replication_status *status)
{
    pthread_condattr_t attributes;
    status->peer_count = 0;
    status->stats = (struct replicator_stats){0};
    status->flushed = status->published_ms = 0;
    pthread_mutex_init(&status->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&status->on_flushed, &attributes);
    pthread_condattr_destroy(&attributes);
}

void replication_status_free(struct replication_status *status)
{
    pthread_cond_destroy(&status->on_flushed);
    pthread_mutex_destroy(&status->lock);
}

void replication_status_publish(struct replication_status *status,
                                const struct peer_status peers[MEMBERS_MAX],
                                const struct replicator_stats *stats, uint64_t flushed,
                                struct moment now)
{
    pthread_mutex_lock(&status->lock);
    status->peer_count = 0;
    for (size_t i = 0; i < MEMBERS_MAX; i++)
        if (peers[i].url[0] && peers[i].view.health != PEER_SELF)
            status->peers[status->peer_count++] = peers[i];
    status->stats = *stats;
    status->published_ms = now.mono_ms;
    if (status->flushed != flushed)
        pthread_cond_broadcast(&status->on_flushed);
    status->flushed = flushed;
    pthread_mutex_unlock(&status->lock);
}

size_t replication_status_peers(struct replication_status *status, struct moment now,
                                struct peer_status out[MEMBERS_MAX])
{
    pthread_mutex_lock(&status->lock);
    size_t count = status->peer_count;
    uint64_t age_ms = now.mono_ms > status->published_ms ? now.mono_ms - status->published_ms : 0;
    memcpy(out, status->peers, count * sizeof(*out));
    pthread_mutex_unlock(&status->lock);
    for (size_t i = 0; i < count; i++)
        if (out[i].view.has_unacknowledged)
            out[i].view.oldest_ms += age_ms;
    return count;
}

void replication_status_stats(struct replication_status *status, struct replicator_stats *stats)
{
    pthread_mutex_lock(&status->lock);
    *stats = status->stats;
    pthread_mutex_unlock(&status->lock);
}

bool replication_status_wait_flushed(struct replication_status *status, uint64_t request,
                                     uint64_t deadline_ms)
{
    struct timespec deadline = {.tv_sec = (time_t)(deadline_ms / 1000),
                                .tv_nsec = (long)(deadline_ms % 1000) * 1000000};
    int error = 0;
    pthread_mutex_lock(&status->lock);
    while (status->flushed < request && !error)
        error = pthread_cond_timedwait(&status->on_flushed, &status->lock, &deadline);
    bool flushed = status->flushed >= request;
    pthread_mutex_unlock(&status->lock);
    return flushed;
}

static void log_peer(enum log_level level, const char *message, const struct peer_status *peer,
                     const char *reason)
{
    log_event(level, message, LOG_TEXT("peer", peer->node_id), LOG_TEXT("url", peer->url),
              LOG_TEXT("reason", reason));
}

void peer_status_log_health(const struct peer_status *peer)
{
    switch (peer->view.health) {
    case PEER_UP:
        log_peer(LOG_LEVEL_INFO,
                 peer->view.is_legacy ? "peer is up; it is an older Artemis and gets no stamps"
                                      : "peer is up",
                 peer, NULL);
        return;
    case PEER_DOWN:
        log_peer(LOG_LEVEL_WARN,
                 peer->view.is_failing
                     ? "peer is down: it responds to health checks, and every other message fails; "
                       "the next attempt is in a second"
                     : "peer is down; its health is checked every second",
                 peer, peer->last_error[0] ? peer->last_error : "it shuts down");
        return;
    case PEER_INCOMPATIBLE:
        log_peer(LOG_LEVEL_ERROR,
                 "peer is incompatible: it rejects every update; the next attempt is in a minute",
                 peer, peer->last_error);
        return;
    case PEER_UNAUTHORIZED:
        log_peer(LOG_LEVEL_ERROR,
                 "peer refuses the token of this node; set cluster.token to the secret of a token "
                 "with the role peer; the next attempt is in 30 s",
                 peer, peer->last_error);
        return;
    case PEER_WRONG_CLUSTER:
        log_peer(LOG_LEVEL_ERROR, "peer has another cluster.cluster_id; nothing is sent to it",
                 peer, NULL);
        return;
    case PEER_DUPLICATE_ID:
        log_peer(
            LOG_LEVEL_ERROR,
            "peer has the server.node_id of this node; nothing is sent to it until one of them "
            "is changed",
            peer, NULL);
        return;
    case PEER_BLOCKED:
        log_peer(LOG_LEVEL_ERROR,
                 peer->view.is_blocking
                     ? "peer refuses this node, which an operator has blocked there; nothing is "
                       "sent to it until `artemis cluster unblock`"
                     : "peer is blocked; nothing is sent to it until `artemis cluster unblock`",
                 peer, NULL);
        return;
    case PEER_SELF:
        log_peer(LOG_LEVEL_INFO, "peer is this node itself; it is excluded", peer, NULL);
        return;
    case PEER_NEW:
        return;
    }
}

void peer_status_log_suspect(const struct peer_status *peer)
{
    log_peer(LOG_LEVEL_WARN, "peer is suspect: it does not respond; messages are sent again", peer,
             peer->last_error);
}

void peer_status_note_result(struct peer_status *peer, enum message_kind kind,
                             enum send_result result, const char *error_text, struct moment now)
{
    bool was_silent =
        peer->last_error_result == SEND_RETRYABLE || peer->last_error_result == SEND_UNREACHABLE;
    if (result == SEND_DELIVERED && kind == MESSAGE_HEALTH && peer->view.is_failing)
        return; /* it says nothing of what fails */
    if (result == SEND_DELIVERED) {
        if (was_silent || peer->last_error_kind == kind)
            peer->last_error[0] = '\0';
        return;
    }
    snprintf(peer->last_error, sizeof(peer->last_error), "%s", error_text);
    peer->last_error_wall_ms = now.wall_ms;
    peer->last_error_result = result;
    peer->last_error_kind = kind;
}

const char *peer_health_word(const struct peer_view *view)
{
    static const char *const words[] = {
        [PEER_NEW] = "new",
        [PEER_UP] = "up",
        [PEER_DOWN] = "down",
        [PEER_INCOMPATIBLE] = "incompatible",
        [PEER_UNAUTHORIZED] = "unauthorized",
        [PEER_WRONG_CLUSTER] = "stranger",
        [PEER_DUPLICATE_ID] = "twin",
        [PEER_BLOCKED] = "blocked",
        [PEER_SELF] = "self",
    };
    return view->is_suspect ? "suspect" : words[view->health];
}
