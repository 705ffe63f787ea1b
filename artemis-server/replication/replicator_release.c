/* SPDX-License-Identifier: Apache-2.0
 *
 * Releases of guards: what an operator releases at this node is released at its peers, too. A peer
 * that is down gets the release if it returns within one time-to-live: for so long the release lets
 * leases be evicted. A peer for which the release has an effect sends it on to its own peers.
 */
#include "artemis-server/replication/replicator_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void replicator_release_guard(struct replicator *replicator, struct slice service_id,
                              uint64_t clock_ms, struct moment now)
{
    uint64_t own_ms = registry_clock_ms(replicator->registry, now);
    uint64_t age_ms = clock_ms < own_ms ? own_ms - clock_ms : 0;
    struct guard_release *release =
        &replicator->releases[replicator->release_count++ % RELEASES_MAX];
    assert(service_id.size <= sizeof(release->service_id));
    release->made_ms = now.mono_ms > age_ms ? now.mono_ms - age_ms : 0;
    release->clock_ms = clock_ms;
    release->id_size = service_id.size;
    if (service_id.size)
        memcpy(release->service_id, service_id.data, service_id.size);
}

/* The next release that the peer lacks; NULL: none that still matters. */
static const struct guard_release *next_release(const struct replicator *replicator,
                                                struct peer *peer, struct moment now)
{
    if (replicator->release_count > peer->releases_sent + RELEASES_MAX)
        peer->releases_sent = replicator->release_count - RELEASES_MAX;
    for (; peer->releases_sent < replicator->release_count; peer->releases_sent++) {
        const struct guard_release *release =
            &replicator->releases[peer->releases_sent % RELEASES_MAX];
        if (now.mono_ms < release->made_ms + registry_ttl_ms(replicator->registry))
            return release;
    }
    return NULL;
}

struct message *release_next(struct replicator *replicator, struct peer *peer, struct moment now)
{
    if (peer->releases_sent == replicator->release_count || peer->is_legacy ||
        peer->in_flight[MESSAGE_RELEASE])
        return NULL;
    const struct guard_release *release = next_release(replicator, peer, now);
    if (!release)
        return NULL;
    char *service_id = malloc(release->id_size + 1);
    struct message *message =
        service_id ? message_create(replicator, peer, MESSAGE_RELEASE, 0, now) : NULL;
    if (!message) {
        free(service_id);
        return NULL;
    }
    memcpy(service_id, release->service_id, release->id_size);
    message->service_id = (struct slice){service_id, release->id_size};
    message->release = peer->releases_sent;
    message->release_clock_ms = release->clock_ms;
    return message;
}

void release_on_result(struct peer *peer, const struct message *message, enum send_result result)
{
    if (result != SEND_RETRYABLE && result != SEND_UNREACHABLE &&
        peer->releases_sent == message->release)
        peer->releases_sent++;
}
