/* SPDX-License-Identifier: Apache-2.0
 *
 * provider - who says which nodes there are.
 *
 * A provider tells a cluster its members by cluster_update, from start on and whenever they change,
 * until it is stopped. `static` is the list in the settings, which never changes; `memory` is for
 * tests, which set the members themselves. Others (a registry of nodes, DNS, Kubernetes) have the
 * same three functions and threads of their own.
 */
#pragma once

#include "artemis-core/config/config.h"
#include "artemis-server/cluster/topology.h"

struct provider;

struct provider_kind {
    const char *name; /* as in cluster.provider */
    /* Begins to tell `cluster`. On failure *reason is a sentence. */
    enum error (*start)(struct provider *provider, struct cluster *cluster, const char **reason);
    void (*stop)(struct provider *provider); /* may be called twice */
};

struct provider {
    const struct provider_kind *kind;
    struct cluster *cluster;     /* while it runs */
    const struct config *config; /* of `static` */
};

/* The provider that the settings name. */
void provider_init(struct provider *provider, const struct config *config);
/* Starts or stops it, and announces what became of that. */
MUST_USE enum error provider_start(struct provider *provider, struct cluster *cluster);
void provider_stop(struct provider *provider);

/* For tests: members are what was last set. */
void provider_init_memory(struct provider *provider);
void provider_set_members(struct provider *provider, const struct member_list *members,
                          const struct member_list *blocked);
