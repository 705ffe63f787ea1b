/* SPDX-License-Identifier: Apache-2.0
 *
 * The nodes of the cluster, which become servers of the client.
 */
#include "libartemis/client/client_loop_internal.h"

#include "libartemis/base/clock.h"

#include <stdlib.h>

/* False: no memory. */
static bool send_request(struct artemis_client *client, size_t server)
{
    struct http_call *call;
    struct call_context *context;
    struct node_list *nodes = malloc(sizeof *nodes);
    if (!nodes || !loop_create_call(&call, &context)) {
        free(nodes);
        return false;
    }
    call->server = server;
    text_append_string(&call->path, NODE_LIST_PATH);
    context->kind = CALL_NODES;
    context->nodes = nodes;
    node_list_start(&context->reader, nodes);
    return loop_start_call(client, call);
}

void loop_start_nodes(struct artemis_client *client, uint64_t now_ms, uint64_t *at_ms)
{
    size_t server = 0;
    uint64_t next_ms = UINT64_MAX;
    struct node_refresh *refresh = &client->shared.refresh;
    if (node_refresh_begin(refresh, now_ms, &server, &next_ms) && !send_request(client, server)) {
        node_refresh_end(refresh, false, now_ms);
        next_ms = refresh->due_ms;
    }
    if (next_ms < *at_ms)
        *at_ms = next_ms;
}

/* The numbers of these servers are not given to others. */
static void mark_busy(const struct artemis_client *client, bool is_busy[SERVER_NUMBERS_MAX])
{
    http_mark_servers(client->http, is_busy);
    is_busy[client->shared.push_server] = true;
    is_busy[client->shared.refresh.server] = true;
    if (client->loop.socket)
        is_busy[push_socket_server(client->loop.socket)] = true;
}

static void use_nodes(struct artemis_client *client, const struct http_call *call)
{
    const struct call_context *context = call->context;
    struct node_urls *list = &client->settings.servers;
    bool is_busy[SERVER_NUMBERS_MAX] = {false};
    size_t added = 0;
    mark_busy(client, is_busy);
    if (!node_urls_update(list, call->server, &context->nodes->nodes, is_busy, &added))
        return;
    for (size_t i = 0; i < list->count; i++) {
        servers_set_use(&client->shared.registry_servers, i, list->each[i].use);
        servers_set_use(&client->shared.push_servers, i, list->each[i].use);
        servers_set_use(&client->shared.event_servers, i, list->each[i].use);
    }
    if (added > 0)
        loop_log(client, ARTEMIS_LOG_INFO, "%s names %zu new node%s",
                 loop_url(client, call->server), added, added == 1 ? "" : "s");
}

/* A server without this path, or with another response, is one of the options alone. */
void loop_apply_nodes(struct artemis_client *client, struct http_call *call, uint64_t now_ms)
{
    const struct call_context *context = call->context;
    node_refresh_end(&client->shared.refresh, call->answered, now_ms);
    if (!context->failed && context->nodes->result.done)
        use_nodes(client, call);
}
