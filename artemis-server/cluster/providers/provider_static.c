/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/cluster/providers/provider.h"

#include "artemis-server/cluster/providers/member_address.h"

static enum error read_peers(const struct config *config, struct member_list *members)
{
    const struct config_list *peers = &config->cluster.peers;
    enum error error = ERR_NONE;
    for (size_t i = 0; i < peers->count && !error; i++)
        error = member_address_add(members, config, peers->items[i], "");
    return error;
}

enum error provider_static_check(const struct config *config)
{
    struct member_list members = {0};
    return read_peers(config, &members);
}

static enum error start(struct provider *provider, const char **reason)
{
    struct member_list members = {0};
    enum error error = read_peers(provider->config, &members);
    if (error)
        *reason = "cluster.peers: too many addresses, or one that is too long";
    else
        provider_publish(provider, &members, "the settings at the start");
    return error;
}

static void reload(struct provider *provider)
{
    struct member_list members = {0};
    if (!read_peers(provider->config, &members))
        provider_publish(provider, &members, "a reload of the settings");
}

const struct provider_kind provider_static = {"static", start, reload, NULL};
