/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/cluster/providers/membership.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "artemis-core/base/text.h"
#include "artemis-server/clock.h"
#include "artemis-server/log.h"

enum { MS_PER_SEC = 1000, REASON_BYTES = 320, SIGNAL_POLL_MS = 100 };

/* --- what providers publish ------------------------------------------------------------------- */

/* The members of a list whose address is blocked. */
static void find_blocked(const struct membership *membership, const struct member_list *members,
                         struct member_list *out)
{
    out->count = 0;
    for (size_t i = 0; membership->blocks && i < members->count; i++)
        if (blocks_has_address(membership->blocks, members->items[i].url))
            out->items[out->count++] = members->items[i];
}

static bool has_all_lists(const struct membership *membership)
{
    for (size_t i = 0; i < membership->count; i++)
        if (!membership->parts[i].status.has_published)
            return false;
    return true;
}

/* Merges the lists and publishes the topology. The lock is held. An empty list is no topology
 * before all providers have published theirs: the members may be in the one that is missing, and
 * the node would be ready without the data of the cluster. */
static void publish(struct membership *membership, const char *reason)
{
    struct member_list topology = {0};
    struct member_list blocked;
    size_t left_out = 0;
    for (size_t i = 0; i < membership->count; i++)
        left_out += member_list_merge(&topology, &membership->parts[i].members);
    if (left_out > 0 && membership->left_out == 0)
        log_event(LOG_LEVEL_ERROR, "too many members; those beyond the limit are left out",
                  LOG_NUMBER("limit", MEMBERS_MAX), LOG_NUMBER("left_out", left_out));
    membership->left_out = left_out;
    find_blocked(membership, &topology, &blocked);
    membership->has_topology |= topology.count > 0 || has_all_lists(membership);
    if (!membership->has_topology)
        return;
    cluster_update(membership->cluster, &topology, &blocked, reason);
}

static struct membership_part *part_of(struct membership *membership,
                                       const struct provider *provider)
{
    size_t i = 0;
    while (&membership->parts[i].provider != provider)
        i++;
    assert(i < membership->count);
    return &membership->parts[i];
}

static void on_members(struct provider *provider, const struct member_list *members,
                       const char *reason)
{
    struct membership *membership = provider->owner;
    char text[REASON_BYTES];
    pthread_mutex_lock(&membership->lock);
    struct membership_part *part = part_of(membership, provider);
    part->status.has_published = true;
    part->status.members = members->count;
    part->members = *members;
    snprintf(text, sizeof(text), "%s: %s", part->status.name, reason);
    publish(membership, text);
    pthread_cond_broadcast(&membership->on_first);
    pthread_mutex_unlock(&membership->lock);
}

static void end_failure(struct membership *membership, struct provider_status *status)
{
    if (status->problem[0])
        cluster_publish_state(membership->cluster, CLUSTER_PROVIDER_RECOVERED, status->name);
    status->problem[0] = '\0';
}

static void note_failure(struct membership *membership, struct provider_status *status,
                         const char *problem)
{
    char reason[REASON_BYTES];
    status->failures++;
    if (!status->problem[0]) {
        status->failing_since_wall_ms = clock_now().wall_ms;
        snprintf(reason, sizeof(reason), "%s: %s", status->name, problem);
        text_drop_partial(reason);
        cluster_publish_state(membership->cluster, CLUSTER_PROVIDER_FAILED, reason);
    }
    snprintf(status->problem, sizeof(status->problem), "%s", problem);
    text_drop_partial(status->problem);
}

static void on_failure(struct provider *provider, const char *problem)
{
    struct membership *membership = provider->owner;
    pthread_mutex_lock(&membership->lock);
    struct provider_status *status = &part_of(membership, provider)->status;
    if (problem)
        note_failure(membership, status, problem);
    else
        end_failure(membership, status);
    pthread_cond_broadcast(&membership->on_first);
    pthread_mutex_unlock(&membership->lock);
}

static void on_warning(struct provider *provider, const char *text)
{
    struct membership *membership = provider->owner;
    pthread_mutex_lock(&membership->lock);
    struct provider_status *status = &part_of(membership, provider)->status;
    snprintf(status->warning, sizeof(status->warning), "%s", text);
    text_drop_partial(status->warning);
    pthread_mutex_unlock(&membership->lock);
    if (text[0])
        log_event(LOG_LEVEL_WARN, "membership provider warns",
                  LOG_TEXT("provider", provider->kind->name), LOG_TEXT("reason", text));
}

/* --- the providers ---------------------------------------------------------------------------- */

static void add(struct membership *membership, const struct provider_kind *kind,
                const struct config *config, const struct provider_node *node)
{
    struct membership_part *part = &membership->parts[membership->count++];
    part->status.name = kind->name;
    part->provider = (struct provider){.kind = kind,
                                       .config = config,
                                       .node = node,
                                       .owner = membership,
                                       .on_members = on_members,
                                       .on_failure = on_failure,
                                       .on_warning = on_warning};
}

void membership_init_with(struct membership *membership, const struct provider_kind *const kinds[],
                          size_t count, const struct config *config,
                          const struct provider_node *node)
{
    pthread_condattr_t attributes;
    memset(membership, 0, sizeof(*membership));
    pthread_mutex_init(&membership->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&membership->on_first, &attributes);
    pthread_condattr_destroy(&attributes);
    assert(count <= PROVIDERS_MAX);
    for (size_t i = 0; i < count; i++)
        add(membership, kinds[i], config, node);
}

static const struct provider_kind *const all_kinds[] = {&provider_static,   &provider_dns,
                                                        &provider_registry, &provider_etcd,
                                                        &provider_consul,   &provider_kubernetes};
enum { KINDS = sizeof(all_kinds) / sizeof(all_kinds[0]) };

void membership_init(struct membership *membership, const struct config *config,
                     const struct provider_node *node)
{
    const struct provider_kind *kinds[PROVIDERS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < KINDS; i++)
        if (config_has_provider(config, all_kinds[i]->name))
            kinds[count++] = all_kinds[i];
    membership_init_with(membership, kinds, count, config, node);
}

void membership_free(struct membership *membership)
{
    pthread_mutex_destroy(&membership->lock);
    pthread_cond_destroy(&membership->on_first);
}

/* --- start and stop --------------------------------------------------------------------------- */

static bool has_first(const struct membership *membership)
{
    for (size_t i = 0; i < membership->count; i++)
        if (!membership->parts[i].status.has_published && !membership->parts[i].status.failures)
            return false;
    return true;
}

/* The main thread starts the membership before it takes signals, which are blocked and wait. */
static bool is_to_end(void)
{
    sigset_t pending;
    return sigpending(&pending) == 0 &&
           (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1);
}

/* A node that begins its bootstrap before it knows a member would be ready without the data of the
 * cluster. */
static void wait_for_first(struct membership *membership)
{
    uint64_t now_ms = clock_now().mono_ms;
    uint64_t deadline_ms = now_ms + PROVIDERS_START_MS;
    pthread_mutex_lock(&membership->lock);
    while (!has_first(membership) && now_ms < deadline_ms && !is_to_end()) {
        uint64_t step_ms = now_ms + SIGNAL_POLL_MS;
        struct timespec step = {.tv_sec = (time_t)(step_ms / MS_PER_SEC),
                                .tv_nsec = (long)(step_ms % MS_PER_SEC) * 1000000};
        pthread_cond_timedwait(&membership->on_first, &membership->lock, &step);
        now_ms = clock_now().mono_ms;
    }
    pthread_mutex_unlock(&membership->lock);
}

static void stop_first(struct membership *membership, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (membership->parts[i].provider.kind->stop)
            membership->parts[i].provider.kind->stop(&membership->parts[i].provider);
}

static void set_cluster(struct membership *membership, struct cluster *cluster)
{
    pthread_mutex_lock(&membership->lock);
    membership->cluster = cluster;
    pthread_mutex_unlock(&membership->lock);
}

enum error membership_start(struct membership *membership, struct cluster *cluster)
{
    const char *reason = "the membership provider cannot start";
    enum error error = ERR_NONE;
    size_t started = 0;
    set_cluster(membership, cluster);
    while (started < membership->count && !error) {
        struct provider *provider = &membership->parts[started].provider;
        error = provider->kind->start(provider, &reason);
        started += !error;
    }
    if (error) {
        stop_first(membership, started);
        set_cluster(membership, NULL);
        cluster_publish_state(cluster, CLUSTER_STARTUP_FAILED, reason);
        return error;
    }
    wait_for_first(membership);
    cluster_publish_state(cluster, CLUSTER_STARTUP, NULL);
    return ERR_NONE;
}

void membership_leave(struct membership *membership)
{
    for (size_t i = 0; membership->cluster && i < membership->count; i++)
        if (membership->parts[i].provider.leave)
            membership->parts[i].provider.leave(&membership->parts[i].provider);
}

void membership_stop(struct membership *membership)
{
    if (!membership->cluster)
        return;
    stop_first(membership, membership->count);
    cluster_publish_state(membership->cluster, CLUSTER_SHUTDOWN, NULL);
    set_cluster(membership, NULL);
}

/* --- reload and status ------------------------------------------------------------------------ */

enum error membership_check(const struct config *config)
{
    enum error error = provider_static_check(config);
    return error ? error : provider_registry_check(config);
}

bool membership_has_same_providers(const struct config *config, const struct config *loaded)
{
    for (size_t i = 0; i < KINDS; i++)
        if (config_has_provider(config, all_kinds[i]->name) !=
            config_has_provider(loaded, all_kinds[i]->name))
            return false;
    return true;
}

void membership_reload(struct membership *membership)
{
    for (size_t i = 0; membership->cluster && i < membership->count; i++)
        if (membership->parts[i].provider.kind->reload)
            membership->parts[i].provider.kind->reload(&membership->parts[i].provider);
}

void membership_on_blocks(struct membership *membership, const char *reason)
{
    pthread_mutex_lock(&membership->lock);
    if (membership->cluster)
        publish(membership, reason);
    pthread_mutex_unlock(&membership->lock);
}

size_t membership_status(struct membership *membership, struct provider_status out[PROVIDERS_MAX])
{
    pthread_mutex_lock(&membership->lock);
    for (size_t i = 0; i < membership->count; i++)
        out[i] = membership->parts[i].status;
    pthread_mutex_unlock(&membership->lock);
    return membership->count;
}
