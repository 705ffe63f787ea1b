/* SPDX-License-Identifier: Apache-2.0
 *
 * member_records - how a node is written into the store as a member, and how the members are read
 * from it.
 *
 * Each node is an instance of a reserved service, MEMBER_SERVICE: its instance id is the node id,
 * its url the address for peers. Clients cannot change this service (registry_calls.h); it is
 * replicated, renewed and evicted like any other.
 *
 * Pure.
 */
#pragma once

#include "artemis-core/config/config.h"
#include "artemis-core/model/instance.h"
#include "artemis-server/cluster/topology.h"
#include "artemis-server/registry/registry.h"

#include <string.h>

#define MEMBER_SERVICE "artemis.nodes"

/* Whether a canonical service id is the reserved one. */
static inline bool member_service_is(struct slice service_id)
{
    return service_id.size == sizeof(MEMBER_SERVICE) - 1 &&
           memcmp(service_id.data, MEMBER_SERVICE, sizeof(MEMBER_SERVICE) - 1) == 0;
}

/* Creates the instance of this node. ERR_INVALID_FIELD, ERR_NO_MEMORY. */
MUST_USE enum error member_record_create(const struct config *config, const char *peer_url,
                                         struct instance **out);

/* Whether a node other than this one is registered. */
bool member_records_have_others(const struct config *config,
                                const struct registry_members *records);

/* Whether the node of a record has left by a shutdown. */
typedef bool member_has_left(void *context, struct slice packed_key);
/* Removes the members whose nodes have left by a shutdown: those of `records`, of an earlier
 * reading, for which has_left returns true. */
void member_records_remove_left(const struct registry_members *records, member_has_left *has_left,
                                void *context, struct member_list *members);

/* The sources of the list of members. Everything is borrowed. */
struct member_sources {
    const struct config *config;
    const struct registry_members *records; /* of MEMBER_SERVICE */
    const struct member_list *seeds;
    const char *const *seed_ids; /* node ids of seeds that have responded */
    size_t seed_id_count;
    const struct member_list *before; /* the last list */
};

/* The seeds and the registered nodes. This node is left out, and so is a node that is a seed under
 * another address: the seed stays. Where no other node is registered, those of the last list stay,
 * so that a node that was isolated finds the others again; remove those that have left first.
 * Records without the address of a peer are left out. Where there are more than MEMBERS_MAX,
 * members of the last list stay: records that a hostile peer adds displace none. Returns the number
 * of nodes that are left out because the list is full. */
size_t member_records_read(const struct member_sources *sources, struct member_list *out);
