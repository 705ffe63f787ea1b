/* SPDX-License-Identifier: Apache-2.0
 *
 * provider - the interface of a membership provider: a source of the list of members.
 *
 * From start to stop a provider calls provider_publish with its whole list whenever it has changed,
 * provider_fail when it cannot read it, or a part of it, and provider_recover when it can again. A
 * failure changes no list. With provider_warn it reports what an operator should change. It
 * publishes or fails soon after its start, and may do so before start returns. Any thread may call
 * these, one at a time for each provider. membership.h runs the providers and merges their lists.
 *
 * A provider with I/O has a thread of its own, and a pure module that decides.
 */
#pragma once

#include "artemis-core/config/config.h"
#include "artemis-server/cluster/topology.h"
#include "artemis-server/replication/status.h"

struct provider;

/* This node. Everything is borrowed. */
struct provider_node {
    struct registry *registry;
    const char *peer_url; /* where peers reach it; set before the start */
    /* Copies the status of the peers and returns their number. */
    size_t (*peers)(void *context, struct peer_status out[MEMBERS_MAX]);
    void *context;
};

struct provider_kind {
    const char *name; /* in cluster.provider */
    /* Starts to publish. On failure *reason is set to a sentence. */
    enum error (*start)(struct provider *provider, const char **reason);
    /* The settings have changed; they were checked. NULL: none of them concerns the provider. */
    void (*reload)(struct provider *provider);
    /* After it returns, nothing is published. NULL: there is nothing to stop. */
    void (*stop)(struct provider *provider);
};

struct provider {
    const struct provider_kind *kind;
    const struct config *config;      /* borrowed */
    const struct provider_node *node; /* borrowed */
    void *state;                      /* of the provider */
    /* Set by `start`: the node begins to shut down, and still follows the others until `stop`.
     * NULL: that has no effect. */
    void (*leave)(struct provider *provider);
    void *owner; /* the membership, which sets these three calls */
    void (*on_members)(struct provider *provider, const struct member_list *members,
                       const char *reason);
    void (*on_failure)(struct provider *provider, const char *problem); /* NULL: it has ended */
    void (*on_warning)(struct provider *provider, const char *text);    /* "": it has ended */
};

/* `reason` says in a few words what has changed the list. */
static inline void provider_publish(struct provider *provider, const struct member_list *members,
                                    const char *reason)
{
    provider->on_members(provider, members, reason);
}

/* `problem` says for operators what fails. */
static inline void provider_fail(struct provider *provider, const char *problem)
{
    provider->on_failure(provider, problem);
}

/* Without a failure before, it has no effect. */
static inline void provider_recover(struct provider *provider)
{
    provider->on_failure(provider, NULL);
}

/* `text` says for operators what works but should be changed; "": nothing any more. */
static inline void provider_warn(struct provider *provider, const char *text)
{
    provider->on_warning(provider, text);
}

extern const struct provider_kind provider_static;   /* cluster.peers */
extern const struct provider_kind provider_dns;      /* cluster.dns.names */
extern const struct provider_kind provider_registry; /* cluster.seeds, and the nodes in the store */
extern const struct provider_kind provider_etcd;     /* cluster.etcd */
extern const struct provider_kind provider_consul;   /* cluster.consul */
extern const struct provider_kind provider_kubernetes; /* cluster.kubernetes.service */
/* Whether `static` accepts cluster.peers: ERR_TOO_MANY_ITEMS; ERR_INVALID_FIELD: an address is too
 * long. */
MUST_USE enum error provider_static_check(const struct config *config);
/* The same for `registry` and cluster.seeds. */
MUST_USE enum error provider_registry_check(const struct config *config);
