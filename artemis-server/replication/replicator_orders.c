/* SPDX-License-Identifier: Apache-2.0
 *
 * What operators order, and all nodes carry out: releases of guards, and blocks of nodes.
 *
 * Releases of guards: what an operator releases at this node is released at its peers, too. A peer
 * that is down gets the release if it returns within one time-to-live: for that time the release
 * lets leases be evicted. A peer sends a release of all guards on to its own peers, and one of a
 * service if it has an effect. A peer whose list of releases is full refuses the release, and gets
 * it again a little later; it is not down for that, and gets all other messages meanwhile.
 *
 * Block lists: two nodes whose lists have different hashes exchange them. The one that finds it
 * sends its own and gets that of the other, so that both have all entries then.
 *
 * A node that more peers refuse, because it is blocked, than ready peers accept sends nothing to
 * any peer and says so in its health responses: a peer that starts and has no list yet would take
 * its changes. Any host at the address of a member can say that it refuses a node; it does not keep
 * that node from the others while one of them is ready. Two nodes that are blocked accept each
 * other; the peers that refuse them are more.
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

/* --- blocks ----------------------------------------------------------------------------------- */

void replicator_set_blocks(struct replicator *replicator, uint64_t hash)
{
    if (replicator->blocks_hash == hash)
        return;
    replicator->blocks_hash = hash;
    for (uint32_t i = 0; i < REPLICATOR_PEERS_MAX; i++)
        replicator->peers[i].blocks_due = true;
}

void replicator_on_blocks(struct replicator *replicator, const struct message *message,
                          uint64_t hash)
{
    if (replicator_is_current(replicator, message))
        replicator->peers[message->peer].blocks_hash = hash;
}

void blocks_on_health(struct peer *peer, const struct health_response *health)
{
    peer->is_blocking = health->is_blocking;
    peer->has_blocks = health->has_blocks;
    peer->blocks_hash = health->blocks_hash;
    peer->blocks_due = true;
}

void blocks_on_change(struct replicator *replicator)
{
    unsigned refusing = 0;
    unsigned accepting = 0;
    for (uint32_t i = 0; i < REPLICATOR_PEERS_MAX; i++) {
        const struct peer *peer = &replicator->peers[i];
        refusing += peer->joined && peer->health == PEER_BLOCKED && peer->is_blocking;
        accepting += peer->joined && peer->health == PEER_UP && peer->is_ready;
    }
    replicator->stats.is_blocked = refusing > accepting;
}

struct message *blocks_next(struct replicator *replicator, struct peer *peer, struct moment now)
{
    if (!peer->blocks_due || !peer->has_blocks || peer->in_flight[MESSAGE_BLOCKS] ||
        peer->blocks_hash == replicator->blocks_hash)
        return NULL;
    peer->blocks_due = false;
    return message_create(replicator, peer, MESSAGE_BLOCKS, 0, now);
}
