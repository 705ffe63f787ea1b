/* SPDX-License-Identifier: Apache-2.0
 *
 * The membership provider `registry`: nodes find each other in the store, through any seed.
 *
 * A thread registers this node in the reserved service of member_records.h, renews its lease each
 * third of the time-to-live, and looks a few times a second whether the service has changed. The
 * topology has the seeds and the registered nodes. Replication does the rest: a seed gets the
 * record of a node that joins, this node gets those of the others with its snapshot, and each
 * comparison with a member that is new repairs both.
 */
#include "artemis-server/cluster/providers/provider.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "artemis-server/clock.h"
#include "artemis-server/cluster/providers/member_address.h"
#include "artemis-server/cluster/providers/member_records.h"
#include "artemis-server/log.h"
#include "artemis-server/registry/registry_replication.h"

enum {
    MS_PER_SEC = 1000,
    LOOK_MS = 200,    /* between two looks at the revision of the service */
    REREAD_MS = 1000, /* between two readings where it has not changed: seeds may have responded */
    RENEWALS = 3,     /* in a time-to-live */
};

struct nodes {
    struct provider *provider;
    pthread_t thread;
    pthread_mutex_t lock; /* of the next four */
    pthread_cond_t on_stop;
    bool is_leaving, is_stopping;
    struct member_list seeds;
    /* Of the thread alone: */
    struct instance *own;
    struct instance_key own_key;
    bool is_unregistered;          /* for good */
    uint64_t renew_ms, read_ms;    /* when it is due */
    uint64_t revision;             /* of the service when it was read */
    size_t left_out;               /* registered nodes beyond MEMBERS_MAX */
    struct member_list read_seeds; /* of the last reading */
    struct member_list members;    /* the last published */
    struct registry_members last;  /* the last records that have other nodes */
    struct peer_status peers[MEMBERS_MAX];
    const char *seed_ids[MEMBERS_MAX]; /* in `peers` */
};

static const struct provider_node *node_of(const struct nodes *nodes)
{
    return nodes->provider->node;
}

/* --- this node -------------------------------------------------------------------------------- */

/* Registers this node, which is a renewal where its record is there already. */
static void renew(struct nodes *nodes, struct moment now)
{
    struct registry *registry = node_of(nodes)->registry;
    enum error error = registry_register(registry, nodes->own, now);
    nodes->renew_ms = now.mono_ms + registry_lease_options(registry).ttl_ms / RENEWALS;
    if (error)
        provider_fail(nodes->provider, error_info(error)->message);
    else if (nodes->left_out > 0)
        provider_fail(nodes->provider, "more nodes have registered than a topology can have");
    else
        provider_recover(nodes->provider);
}

/* The record is gone after a silence that ended the lease, or where a peer had a later tombstone of
 * this node from before its restart. */
static bool needs_renewal(const struct nodes *nodes, uint64_t now_ms)
{
    return now_ms >= nodes->renew_ms ||
           !registry_has_instance(node_of(nodes)->registry, instance_key_packed(&nodes->own_key));
}

/* A node that joins while this one shuts down does not know this one: it copies the others, which
 * must have the unregistration then. So it is the first step of a shutdown. */
static void unregister(struct nodes *nodes)
{
    if (nodes->is_unregistered)
        return;
    nodes->is_unregistered = true;
    if (registry_unregister(node_of(nodes)->registry, &nodes->own_key, 0, clock_now()))
        log_line(LOG_LEVEL_WARN,
                 "this node was not unregistered as a member; its record ends with its lease");
}

/* --- the others ------------------------------------------------------------------------------- */

/* The ids of the seeds that have responded. */
static size_t read_seed_ids(struct nodes *nodes, const struct member_list *seeds)
{
    const struct provider_node *node = node_of(nodes);
    size_t peers = node->peers(node->context, nodes->peers);
    size_t count = 0;
    for (size_t i = 0; i < peers; i++)
        if (nodes->peers[i].node_id[0] && member_list_has(seeds, nodes->peers[i].url))
            nodes->seed_ids[count++] = nodes->peers[i].node_id;
    return count;
}

static const char *reason_of(const struct member_list *members, const struct member_list *before,
                             bool has_other_seeds)
{
    if (has_other_seeds)
        return "cluster.seeds has changed";
    for (size_t i = 0; i < members->count; i++)
        if (!member_list_has(before, members->items[i].url))
            return "a node has registered";
    return "a node has left, or was silent for lease.ttl_secs";
}

/* A node that leaves by a shutdown leaves a tombstone; one that is evicted does not. */
static bool has_left(void *context, struct slice packed_key)
{
    const struct nodes *nodes = context;
    struct record_copy copy;
    if (!registry_read_key(node_of(nodes)->registry, packed_key, &copy))
        return false;
    bool has_left = copy.deleted;
    record_copy_unref(&copy);
    return has_left;
}

/* The members of the last list that may still run, where no other node is registered any more. */
static struct member_list members_of_before(struct nodes *nodes,
                                            const struct registry_members *records)
{
    struct member_list before = nodes->members;
    if (!member_records_have_others(nodes->provider->config, records))
        member_records_remove_left(&nodes->last, has_left, nodes, &before);
    return before;
}

/* Takes over the records. */
static void keep_records(struct nodes *nodes, struct registry_members *records)
{
    if (!member_records_have_others(nodes->provider->config, records)) {
        registry_members_free(records);
        return;
    }
    registry_members_free(&nodes->last);
    nodes->last = *records;
}

static void read_members(struct nodes *nodes, uint64_t now_ms)
{
    struct registry_members records;
    struct member_list seeds;
    struct member_list members;
    nodes->read_ms = now_ms + REREAD_MS;
    pthread_mutex_lock(&nodes->lock);
    seeds = nodes->seeds;
    pthread_mutex_unlock(&nodes->lock);
    enum error error =
        registry_members(node_of(nodes)->registry, slice_of(MEMBER_SERVICE), true, &records);
    if (error == ERR_NO_MEMORY) {
        provider_fail(nodes->provider, error_info(error)->message);
        return;
    }
    nodes->revision = records.revision;
    bool has_other_seeds = !member_list_equal(&seeds, &nodes->read_seeds);
    nodes->read_seeds = seeds;
    const struct member_list before = members_of_before(nodes, &records);
    const struct member_sources sources = {
        .config = nodes->provider->config,
        .records = &records,
        .seeds = &seeds,
        .seed_ids = nodes->seed_ids,
        .seed_id_count = read_seed_ids(nodes, &seeds),
        .before = &before,
    };
    nodes->left_out = member_records_read(&sources, &members);
    keep_records(nodes, &records);
    if (member_list_equal(&members, &nodes->members))
        return;
    const char *reason = reason_of(&members, &nodes->members, has_other_seeds);
    nodes->members = members;
    provider_publish(nodes->provider, &members, reason);
}

/* --- the thread ------------------------------------------------------------------------------- */

static bool is_leaving(struct nodes *nodes)
{
    pthread_mutex_lock(&nodes->lock);
    bool is_leaving = nodes->is_leaving;
    pthread_mutex_unlock(&nodes->lock);
    return is_leaving;
}

/* Waits for LOOK_MS, or until the node leaves. True: the provider is being stopped. */
static bool wait_for_stop(struct nodes *nodes)
{
    uint64_t end_ms = clock_now().mono_ms + LOOK_MS;
    struct timespec end = {.tv_sec = (time_t)(end_ms / MS_PER_SEC),
                           .tv_nsec = (long)(end_ms % MS_PER_SEC) * 1000000};
    int error = 0;
    pthread_mutex_lock(&nodes->lock);
    while (!nodes->is_stopping && nodes->is_leaving == nodes->is_unregistered && !error)
        error = pthread_cond_timedwait(&nodes->on_stop, &nodes->lock, &end);
    bool is_stopping = nodes->is_stopping;
    pthread_mutex_unlock(&nodes->lock);
    return is_stopping;
}

static void *run(void *argument)
{
    struct nodes *nodes = argument;
    struct registry *registry = node_of(nodes)->registry;
    do {
        struct moment now = clock_now();
        if (is_leaving(nodes))
            unregister(nodes);
        else if (needs_renewal(nodes, now.mono_ms))
            renew(nodes, now);
        uint64_t revision = registry_service_revision(registry, slice_of(MEMBER_SERVICE));
        if (revision != nodes->revision || now.mono_ms >= nodes->read_ms)
            read_members(nodes, now.mono_ms);
    } while (!wait_for_stop(nodes));
    return NULL;
}

/* --- the provider ----------------------------------------------------------------------------- */

static enum error read_seeds(const struct config *config, struct member_list *seeds)
{
    enum error error = ERR_NONE;
    for (size_t i = 0; i < config->cluster.seeds.count && !error; i++)
        error = member_address_add(seeds, config, config->cluster.seeds.items[i],
                                   config->cluster.tls.member_name);
    return error;
}

enum error provider_registry_check(const struct config *config)
{
    struct member_list seeds = {0};
    return read_seeds(config, &seeds);
}

static void free_nodes(struct nodes *nodes)
{
    instance_unref(nodes->own);
    registry_members_free(&nodes->last);
    pthread_mutex_destroy(&nodes->lock);
    pthread_cond_destroy(&nodes->on_stop);
    free(nodes);
}

static struct nodes *create_nodes(struct provider *provider)
{
    struct nodes *nodes = calloc(1, sizeof(*nodes));
    pthread_condattr_t attributes;
    if (!nodes)
        return NULL;
    nodes->provider = provider;
    pthread_mutex_init(&nodes->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&nodes->on_stop, &attributes);
    pthread_condattr_destroy(&attributes);
    return nodes;
}

static void leave(struct provider *provider)
{
    struct nodes *nodes = provider->state;
    pthread_mutex_lock(&nodes->lock);
    nodes->is_leaving = true;
    pthread_cond_signal(&nodes->on_stop);
    pthread_mutex_unlock(&nodes->lock);
}

static enum error start(struct provider *provider, const char **reason)
{
    struct nodes *nodes = create_nodes(provider);
    *reason = "this node cannot be registered as a member";
    if (!nodes)
        return ERR_NO_MEMORY;
    enum error error = read_seeds(provider->config, &nodes->seeds);
    if (!error)
        error = member_record_create(provider->config, provider->node->peer_url, &nodes->own);
    if (!error)
        error = instance_key_unpack(instance_packed_key(nodes->own), &nodes->own_key);
    if (!error) {
        nodes->members = nodes->read_seeds = nodes->seeds;
        provider_publish(provider, &nodes->members, "the seeds");
        error = pthread_create(&nodes->thread, NULL, run, nodes) == 0 ? ERR_NONE : ERR_SYSTEM;
    }
    if (error) {
        free_nodes(nodes);
        return error;
    }
    pthread_setname_np(nodes->thread, "members");
    provider->state = nodes;
    provider->leave = leave;
    return ERR_NONE;
}

static void reload(struct provider *provider)
{
    struct nodes *nodes = provider->state;
    struct member_list seeds = {0};
    if (read_seeds(provider->config, &seeds))
        return;
    pthread_mutex_lock(&nodes->lock);
    nodes->seeds = seeds;
    pthread_mutex_unlock(&nodes->lock);
}

/* The peers get the unregistration before the goodbye. */
static void stop(struct provider *provider)
{
    struct nodes *nodes = provider->state;
    pthread_mutex_lock(&nodes->lock);
    nodes->is_stopping = true;
    pthread_cond_signal(&nodes->on_stop);
    pthread_mutex_unlock(&nodes->lock);
    pthread_join(nodes->thread, NULL);
    unregister(nodes);
    provider->state = NULL;
    free_nodes(nodes);
}

const struct provider_kind provider_registry = {"registry", start, reload, stop};
