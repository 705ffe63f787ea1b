/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/api/handlers.h"

#include "artemis-web/web.h"

enum error handle_health(struct request *request, struct response *response,
                         char message[MESSAGE_BYTES])
{
    (void)request;
    (void)message;
    response->content_type = "text/plain; charset=utf-8";
    response->identity_headers = true;
    text_append_string(&response->body, "OK");
    return ERR_NONE;
}

/* True: the response says that fewer nodes are up than cluster.expected_nodes. */
static bool refuse_under_replicated(struct request *request, struct response *response)
{
    struct cluster_size size = engine_cluster_size(request->engine);
    if (!cluster_size_is_low(size))
        return false;
    response->outcome = ERR_NOT_READY;
    response->status = 503;
    text_printf(&response->body,
                "under-replicated: %u of %u nodes are up and ready (cluster.expected_nodes)",
                size.nodes_up, size.nodes_expected);
    return true;
}

enum error handle_ready(struct request *request, struct response *response,
                        char message[MESSAGE_BYTES])
{
    struct slice strict = {0};
    enum error error = request_query(request, "strict", &strict, message);
    if (error)
        return error;
    enum node_state state = engine_state(request->engine);
    response->content_type = "text/plain; charset=utf-8";
    response->identity_headers = true;
    if (state == NODE_READY && engine_is_drained(request->engine)) {
        response->outcome = ERR_DRAINING;
        response->status = 503;
        text_printf(&response->body, "%s: an operator drains this node; it goes on serving",
                    error_info(ERR_DRAINING)->reason);
        return ERR_NONE;
    }
    if (state == NODE_READY && strict.data && refuse_under_replicated(request, response))
        return ERR_NONE;
    if (state == NODE_READY) {
        text_append_string(&response->body, "READY");
        return ERR_NONE;
    }
    response->outcome = state == NODE_STARTING ? ERR_NOT_READY : ERR_DRAINING;
    response->status = 503;
    const struct error_info *why = error_info(response->outcome);
    text_printf(&response->body, "%s: %s", why->reason, why->message);
    return ERR_NONE;
}

enum error handle_metrics(struct request *request, struct response *response,
                          char message[MESSAGE_BYTES])
{
    (void)message;
    response->content_type = "text/plain; version=0.0.4; charset=utf-8";
    web_write_metrics(request->web, request->now, &response->body);
    return ERR_NONE;
}
