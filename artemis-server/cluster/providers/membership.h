/* SPDX-License-Identifier: Apache-2.0
 *
 * membership - runs the membership providers of a node and merges their lists into the topology.
 *
 * cluster.provider names the providers. The topology has the members of all their lists; the list
 * of a provider counts from its first publication on. A provider that fails keeps its last list;
 * the failure is logged once, and shown in the status and the metrics until the provider works
 * again.
 *
 * The main thread starts and stops the membership; the reload thread checks the settings and
 * reloads it. Any thread may call membership_on_blocks and membership_status. The lock is held
 * while the topology is published, so that lists are published in the order in which they came.
 */
#pragma once

#include <pthread.h>

#include "artemis-server/cluster/blocks.h"
#include "artemis-server/cluster/providers/provider.h"

enum {
    PROVIDERS_MAX = 8,
    PROVIDER_PROBLEM_BYTES = 256,
    PROVIDERS_START_MS = 5000, /* how long the start waits for the first list of each provider */
};

struct provider_status {
    const char *name;
    bool has_published;
    size_t members;                       /* in its last list */
    char problem[PROVIDER_PROBLEM_BYTES]; /* "": it does not fail */
    char warning[PROVIDER_PROBLEM_BYTES]; /* what should be changed; "": nothing */
    uint64_t failing_since_wall_ms;       /* while it fails */
    uint64_t failures;                    /* since the start */
};

struct membership_part {
    struct provider provider;
    struct provider_status status;
    struct member_list members;
};

struct membership {
    struct cluster *cluster; /* NULL unless it runs */
    struct blocks *blocks;   /* borrowed; NULL: there is no block list */
    pthread_mutex_t lock;    /* of the lists and the status */
    pthread_cond_t on_first; /* a provider has published or failed */
    size_t count;
    struct membership_part parts[PROVIDERS_MAX];
    size_t left_out;   /* members beyond MEMBERS_MAX */
    bool has_topology; /* one has been published; an empty one only with the lists of all */
};

/* The providers that cluster.provider names. */
void membership_init(struct membership *membership, const struct config *config,
                     const struct provider_node *node);
/* These providers, at most PROVIDERS_MAX. */
void membership_init_with(struct membership *membership, const struct provider_kind *const kinds[],
                          size_t count, const struct config *config,
                          const struct provider_node *node);
void membership_free(struct membership *membership); /* after membership_stop */

/* Starts the providers, and waits until each has published or failed, for PROVIDERS_START_MS at
 * most; a SIGTERM or SIGINT that the process blocks ends the wait. Publishes CLUSTER_STARTUP, or
 * CLUSTER_STARTUP_FAILED; then none of them runs. */
MUST_USE enum error membership_start(struct membership *membership, struct cluster *cluster);
/* The node begins to shut down: it leaves the lists of the other nodes where it is registered, and
 * follows the topology until membership_stop. Not during start or stop. */
void membership_leave(struct membership *membership);
/* Publishes CLUSTER_SHUTDOWN. A second call has no effect. */
void membership_stop(struct membership *membership);
/* Whether the providers accept the settings: ERR_TOO_MANY_ITEMS, ERR_INVALID_FIELD. */
MUST_USE enum error membership_check(const struct config *config);
/* Whether both have the same cluster.provider. A reload with another one is refused: the running
 * providers would read lists that are not meant for them, and lose all members. */
bool membership_has_same_providers(const struct config *config, const struct config *loaded);
/* Has running providers read the settings again; they were checked. Not during start or stop. */
void membership_reload(struct membership *membership);

/* The block list has changed; `reason` says how. Members whose address is blocked are not in the
 * topology. */
void membership_on_blocks(struct membership *membership, const char *reason);

/* Copies the status of each provider. Returns their number. */
size_t membership_status(struct membership *membership, struct provider_status out[PROVIDERS_MAX]);
