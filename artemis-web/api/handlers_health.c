/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/api/handlers.h"

#include "artemis-web/http/web_internal.h"

enum error handle_health(struct request *request, struct response *reply,
                         char message[MESSAGE_BYTES])
{
    (void)request;
    (void)message;
    reply->content_type = "text/plain; charset=utf-8";
    reply->identity_headers = true;
    text_append_string(&reply->body, "OK");
    return ERR_NONE;
}

enum error handle_ready(struct request *request, struct response *reply,
                        char message[MESSAGE_BYTES])
{
    (void)message;
    enum node_state state = engine_state(request->engine);
    reply->content_type = "text/plain; charset=utf-8";
    reply->identity_headers = true;
    if (state == NODE_READY) {
        text_append_string(&reply->body, "READY");
        return ERR_NONE;
    }
    reply->outcome = state == NODE_STARTING ? ERR_NOT_READY : ERR_DRAINING;
    reply->status = 503;
    const struct error_info *why = error_info(reply->outcome);
    text_printf(&reply->body, "%s: %s", why->reason, why->message);
    return ERR_NONE;
}

enum error handle_metrics(struct request *request, struct response *reply,
                          char message[MESSAGE_BYTES])
{
    (void)message;
    reply->content_type = "text/plain; version=0.0.4; charset=utf-8";
    metrics_write(&request->web->metrics, request->engine, &request->web->connections,
                  request->web->push, request->now, &reply->body);
    return ERR_NONE;
}
