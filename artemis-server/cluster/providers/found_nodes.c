/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/cluster/providers/found_nodes.h"

#include <assert.h>

#include "artemis-server/cluster/providers/member_address.h"

uint64_t found_nodes_due_ms(const struct found_node *nodes, size_t count)
{
    uint64_t due_ms = UINT64_MAX;
    for (size_t i = 0; i < count; i++)
        if (nodes[i].keep_until_ms && nodes[i].keep_until_ms < due_ms)
            due_ms = nodes[i].keep_until_ms;
    return due_ms;
}

size_t found_nodes_expired(const struct found_node *nodes, size_t count, uint64_t now_ms)
{
    size_t i = 0;
    while (i < count && (!nodes[i].keep_until_ms || now_ms < nodes[i].keep_until_ms))
        i++;
    return i;
}

void found_nodes_write(const struct found_node *nodes, size_t count, const struct config *config,
                       struct member_list *out)
{
    enum error error = ERR_NONE;
    out->count = 0;
    for (size_t i = 0; i < count && !error; i++)
        error = member_address_add(out, config, nodes[i].url, config->cluster.tls.member_name);
    assert(!error); /* the addresses are valid, and not too many */
}
