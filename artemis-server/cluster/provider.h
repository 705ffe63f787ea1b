/* SPDX-License-Identifier: Apache-2.0
 *
 * provider - the source of the member list.
 *
 * From start to stop, a membership provider calls cluster_update with the members whenever they
 * change. `static` takes the list in cluster.peers, which a reload may change; `memory` takes what
 * a test sets. Providers with a thread of their own have the same two functions.
 */
#pragma once

#include "artemis-core/config/config.h"
#include "artemis-server/cluster/topology.h"

struct provider;

struct provider_kind {
    const char *name; /* the value of cluster.provider */
    /* Starts to update `cluster`. On failure *reason is set to a sentence. */
    enum error (*start)(struct provider *provider, struct cluster *cluster, const char **reason);
    void (*stop)(struct provider *provider); /* a second call has no effect */
};

struct provider {
    const struct provider_kind *kind;
    struct cluster *cluster;     /* NULL unless it runs */
    const struct config *config; /* of `static` */
};

/* The provider that cluster.provider names. */
void provider_init(struct provider *provider, const struct config *config);
/* Starts and stops the provider; publishes CLUSTER_STARTUP, CLUSTER_STARTUP_FAILED or
 * CLUSTER_SHUTDOWN. */
MUST_USE enum error provider_start(struct provider *provider, struct cluster *cluster);
void provider_stop(struct provider *provider);
/* Whether `static` accepts cluster.peers: ERR_TOO_MANY_ITEMS; ERR_INVALID_FIELD: an address is too
 * long. */
MUST_USE enum error provider_check(const struct config *config);
/* Has a running `static` provider read cluster.peers again; it was checked. Not while it starts or
 * stops. */
void provider_reload(struct provider *provider);

/* For tests: the members are those last set. */
void provider_init_memory(struct provider *provider);
void provider_set_members(struct provider *provider, const struct member_list *members,
                          const struct member_list *blocked);
