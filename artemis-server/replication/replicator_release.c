/* SPDX-License-Identifier: Apache-2.0
 *
 * Releases of guards: what an operator releases at this node is released at its peers, too. A peer
 * that is down gets the release if it returns within one time-to-live: for so long the release lets
 * leases be evicted. A peer sends a release of all guards on to its own peers, and one of a
 * service if it has an effect. A peer whose list of releases is full refuses the release, and gets
 * it again a little later; it is not down for that, and gets all other messages meanwhile.
 */
#include "artemis-server/replication/replicator_internal.h"

#include <stdlib.h>
#include <string.h>

enum { RELEASE_RETRY_MS = 200 };

void replicator_set_releases(struct replicator *replicator, const struct release_list *list)
{
    replicator->releases = *list;
}

struct message *release_next(struct replicator *replicator, struct peer *peer, struct moment now)
{
    if (peer->releases_sent > replicator->releases.last || peer->is_legacy ||
        peer->in_flight[MESSAGE_RELEASE] || now.mono_ms < peer->release_due_ms)
        return NULL;
    const struct guard_release *release =
        release_list_next(&replicator->releases, peer->releases_sent, now.mono_ms);
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
    message->release = release->number;
    message->release_clock_ms = release->clock_ms;
    return message;
}

void release_on_result(struct peer *peer, const struct message *message, enum send_result result,
                       struct moment now)
{
    bool is_over = result == SEND_DELIVERED || result == SEND_REJECTED || result == SEND_TOO_LARGE;
    if (is_over)
        peer->releases_sent = message->release + 1;
    else
        peer->release_due_ms = now.mono_ms + RELEASE_RETRY_MS;
}
