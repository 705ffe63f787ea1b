/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/api/handlers.h"

#include "artemis-web/http/web_internal.h"
#include "artemis-web/metrics/metrics_tls.h"

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

enum error handle_ready(struct request *request, struct response *response,
                        char message[MESSAGE_BYTES])
{
    (void)message;
    enum node_state state = engine_state(request->engine);
    response->content_type = "text/plain; charset=utf-8";
    response->identity_headers = true;
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

static uint64_t count_unprotected(struct engine *engine)
{
    uint64_t count = 0;
    pthread_mutex_lock(&engine->settings_lock); /* tokens protect a listener */
    for (enum config_listener i = 0; i < CONFIG_LISTENERS; i++)
        count += !config_listener_is_protected(engine->config, i);
    pthread_mutex_unlock(&engine->settings_lock);
    return count;
}

static void write_tls(struct request *request, struct text *out)
{
    struct web *web = request->web;
    struct tls_counters *counters = &web->tls_counters;
    const struct tls_metrics values = {
        .unprotected = count_unprotected(request->engine),
        .established = atomic_load_explicit(&counters->established, memory_order_relaxed),
        .failed = atomic_load_explicit(&counters->failed, memory_order_relaxed),
        .timed_out = atomic_load_explicit(&counters->timed_out, memory_order_relaxed),
        .client = web->credentials,
        .peer = request->engine->peer_credentials,
    };
    metrics_write_tls(&values, request->now, out);
}

enum error handle_metrics(struct request *request, struct response *response,
                          char message[MESSAGE_BYTES])
{
    (void)message;
    response->content_type = "text/plain; version=0.0.4; charset=utf-8";
    metrics_write(&request->web->metrics, request->engine, &request->web->connections,
                  request->web->push, request->now, &response->body);
    write_tls(request, &response->body);
    return ERR_NONE;
}
