/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/replication/status.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

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

void peer_status_note_result(struct peer_status *peer, enum message_kind kind,
                             enum send_result result, const char *error_text, struct moment now)
{
    bool was_silent =
        peer->last_error_result == SEND_RETRYABLE || peer->last_error_result == SEND_UNREACHABLE;
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
