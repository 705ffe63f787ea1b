/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/base/node_refresh.h"

enum { RETRY_MS = 1000 };

void node_refresh_on_response(struct node_refresh *refresh, size_t server)
{
    refresh->is_silent = false;
    if (refresh->interval_ms == NODES_NEVER || (refresh->has_server && refresh->server == server))
        return;
    refresh->has_server = true;
    refresh->server = server;
    refresh->due_ms = 0;
}

void node_refresh_on_publication(struct node_refresh *refresh, size_t server)
{
    if (!refresh->has_server || refresh->is_silent)
        node_refresh_on_response(refresh, server);
}

bool node_refresh_begin(struct node_refresh *refresh, uint64_t now_ms, size_t *server,
                        uint64_t *at_ms)
{
    *at_ms = refresh->has_server && !refresh->is_asking ? refresh->due_ms : UINT64_MAX;
    if (*at_ms > now_ms)
        return false;
    refresh->is_asking = true;
    refresh->asked = refresh->server;
    *server = refresh->server;
    return true;
}

void node_refresh_end(struct node_refresh *refresh, bool has_response, uint64_t now_ms)
{
    bool is_short = !has_response && refresh->interval_ms > RETRY_MS;
    refresh->is_asking = false;
    if (refresh->asked != refresh->server)
        return;
    refresh->is_silent = !has_response;
    refresh->due_ms = now_ms + (is_short ? RETRY_MS : refresh->interval_ms);
}
