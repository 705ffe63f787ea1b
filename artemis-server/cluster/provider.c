/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/cluster/provider.h"

#include <stdio.h>
#include <string.h>

/* --- static ----------------------------------------------------------------------------------- */

/* Peers with TLS need no scheme, as others. */
static enum error add_peer(struct member_list *members, const struct config *config,
                           const char *address)
{
    char url[MEMBER_URL_BYTES];
    bool has_scheme = strstr(address, "://") != NULL;
    snprintf(url, sizeof(url), "%s%s", config->cluster.tls.cert[0] && !has_scheme ? "https://" : "",
             address);
    return member_list_add(members, url);
}

static enum error read_peers(const struct config *config, struct member_list *members)
{
    const struct config_list *peers = &config->cluster.peers;
    enum error error = ERR_NONE;
    for (size_t i = 0; i < peers->count && !error; i++)
        error = add_peer(members, config, peers->items[i]);
    return error;
}

static enum error start_static(struct provider *provider, struct cluster *cluster,
                               const char **reason)
{
    struct member_list members = {0};
    enum error error = read_peers(provider->config, &members);
    if (error)
        *reason = "cluster.peers: too many addresses, or one that is too long";
    else
        cluster_update(cluster, &members, NULL);
    return error;
}

enum error provider_check(const struct config *config)
{
    struct member_list members = {0};
    return read_peers(config, &members);
}

void provider_reload(struct provider *provider)
{
    struct member_list members = {0};
    if (provider->cluster && provider->config && !read_peers(provider->config, &members))
        cluster_update(provider->cluster, &members, NULL);
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
