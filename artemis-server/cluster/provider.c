/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/cluster/provider.h"

/* --- static ----------------------------------------------------------------------------------- */

static enum error start_static(struct provider *provider, struct cluster *cluster,
                               const char **reason)
{
    struct member_list members = {0};
    const struct config_list *peers = &provider->config->cluster.peers;
    for (size_t i = 0; i < peers->count; i++) {
        enum error error = member_list_add(&members, peers->items[i]);
        if (error) {
            *reason = "cluster.peers: too many addresses, or one that is too long";
            return error;
        }
    }
    cluster_update(cluster, &members, NULL);
    return ERR_NONE;
}

/* --- memory ----------------------------------------------------------------------------------- */

static enum error start_memory(struct provider *provider, struct cluster *cluster,
                               const char **reason)
{
    (void)provider;
    (void)cluster;
    (void)reason;
    return ERR_NONE;
}

void provider_set_members(struct provider *provider, const struct member_list *members,
                          const struct member_list *blocked)
{
    if (provider->cluster)
        cluster_update(provider->cluster, members, blocked);
}

/* --- start and stop --------------------------------------------------------------------------- */

static void stop_nothing(struct provider *provider)
{
    (void)provider;
}

static const struct provider_kind static_kind = {"static", start_static, stop_nothing};
static const struct provider_kind memory_kind = {"memory", start_memory, stop_nothing};

void provider_init(struct provider *provider, const struct config *config)
{
    *provider = (struct provider){.kind = &static_kind, .config = config};
}

void provider_init_memory(struct provider *provider)
{
    *provider = (struct provider){.kind = &memory_kind};
}

enum error provider_start(struct provider *provider, struct cluster *cluster)
{
    const char *reason = "the membership provider cannot start";
    provider->cluster = cluster;
    enum error error = provider->kind->start(provider, cluster, &reason);
    if (error)
        provider->cluster = NULL;
    cluster_publish_state(cluster, error ? CLUSTER_STARTUP_FAILED : CLUSTER_STARTUP,
                          error ? reason : NULL);
    return error;
}

void provider_stop(struct provider *provider)
{
    if (!provider->cluster)
        return;
    provider->kind->stop(provider);
    cluster_publish_state(provider->cluster, CLUSTER_SHUTDOWN, NULL);
    provider->cluster = NULL;
}
