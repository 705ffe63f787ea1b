/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP requests of the loop: registry requests, and fetches of services.
 */
#include "libartemis/client/client_loop_internal.h"

#include "libartemis/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- start ------------------------------------------------------------------------------------ */

static void free_context(struct call_context *context)
{
    wire_reader_free(&context->reader);
    wire_free_result(&context->result);
    wire_free_instances(&context->instances);
    if (context->nodes)
        wire_free_result(&context->nodes->result);
    free(context->nodes);
    free(context);
}

static enum error read_body(void *context, struct slice piece)
{
    struct call_context *call_context = context;
    return wire_reader_feed(&call_context->reader, piece);
}

bool loop_create_call(struct http_call **call, struct call_context **context)
{
    *call = calloc(1, sizeof **call);
    *context = calloc(1, sizeof **context);
    if (*call && *context) {
        (*call)->context = *context;
        (*call)->on_body = read_body;
        return true;
    }
    free(*call);
    free(*context);
    return false;
}

bool loop_start_call(struct artemis_client *client, struct http_call *call)
{
    if (!http_start(client->http, call))
        return true;
    free_context(call->context);
    http_call_free(call);
    return false;
}

static void write_request(const struct registry_request *request, struct http_call *call)
{
    static const char *const paths[] = {[REGISTRY_REGISTER] = "/api/registry/register",
                                        [REGISTRY_HEARTBEAT] = "/api/registry/heartbeat",
                                        [REGISTRY_UNREGISTER] = "/api/registry/unregister"};
    text_append_string(&call->path, paths[request->call]);
    if (request->call == REGISTRY_REGISTER)
        wire_write_registration(&call->body, request->instances, request->count);
    else
        wire_write_keys(&call->body, request->instances, request->count,
                        request->call == REGISTRY_UNREGISTER);
}

static bool send_registry_request(struct artemis_client *client, size_t server,
                                  const struct registry_request *request)
{
    struct http_call *call;
    struct call_context *context;
    if (!loop_create_call(&call, &context))
        return false;
    call->server = server;
    write_request(request, call);
    context->request = *request;
    wire_reader_start_result(&context->reader, &context->result);
    return loop_start_call(client, call);
}

void loop_start_registry_request(struct artemis_client *client, uint64_t now_ms, uint64_t *at_ms)
{
    struct registrations *registrations = &client->shared.registrations;
    struct registry_request request;
    size_t server = 0;
    uint64_t next_ms = UINT64_MAX;
    if (registrations_is_empty(registrations) || registrations->in_flight)
        return;
    if (servers_choose(&client->shared.registry_servers, now_ms, &server, &next_ms) &&
        registrations_next(registrations, now_ms, &request, &next_ms)) {
        if (send_registry_request(client, server, &request))
            return;
        registrations_failed(registrations, &request, "", &(struct registry_report){0});
        next_ms = now_ms + NO_MEMORY_PAUSE_MS;
    }
    if (next_ms < *at_ms)
        *at_ms = next_ms;
}

/* Fetches go to the server that pushes, whose revisions are comparable. */
bool loop_start_fetch(struct artemis_client *client, struct sync_action *action)
{
    struct http_call *call;
    struct call_context *context;
    if (!loop_create_call(&call, &context))
        return false;
    call->server = client->shared.push_server;
    call->path = action->path;
    action->path = (struct text){0};
    snprintf(call->if_none_match, sizeof call->if_none_match, "%s", action->etag);
    context->kind = CALL_FETCH;
    context->generation = action->generation;
    memcpy(context->id, action->id, sizeof context->id);
    wire_reader_start_instances(&context->reader, &context->instances);
    return loop_start_call(client, call);
}

/* --- responses -------------------------------------------------------------------------------- */

static const char *describe(enum error error)
{
    switch (error) {
    case ERR_NO_MEMORY:
        return "out of memory";
    case ERR_BODY_TOO_LARGE:
    case ERR_TOO_MANY_ITEMS:
        return "the response is over a limit of this client";
    default:
        return "the response is not from an Artemis server";
    }
}

/* The body was read as it arrived. */
static void finish_response(struct http_call *call)
{
    struct call_context *context = call->context;
    const struct wire_result *result = context->reader.result;
    context->unchanged = call->answered && call->status == 304;
    if (context->unchanged)
        return;
    enum error error = call->body_error;
    if (!error && call->answered)
        error = wire_reader_end(&context->reader);
    context->readable = call->answered && !error;
    context->failed = !call->answered || error || call->status >= 500 || call->status == 429 ||
                      call->status == 408;
    if (!call->answered)
        snprintf(context->problem, sizeof context->problem, "%s", call->problem);
    else if (error)
        snprintf(context->problem, sizeof context->problem, "%s (HTTP status %d)", describe(error),
                 call->status);
    else
        snprintf(context->problem, sizeof context->problem, "%.*s", HTTP_PROBLEM_MAX - 1,
                 result->message);
}

void loop_take_calls(struct artemis_client *client, struct http_calls *calls)
{
    struct http_call *call;
    struct http_call *last = NULL; /* the one for the nodes, which may end the use of servers */
    TAILQ_INIT(calls);
    while ((call = http_take(client->http))) {
        const struct call_context *context = call->context;
        finish_response(call);
        if (context->kind == CALL_NODES)
            last = call;
        else
            TAILQ_INSERT_TAIL(calls, call, link);
    }
    if (last)
        TAILQ_INSERT_TAIL(calls, last, link);
}

struct event_context {
    struct artemis_client *client;
    size_t server;
};

static bool queue_event(void *context, const struct registry_event *from)
{
    const struct event_context *event_context = context;
    struct artemis_client *client = event_context->client;
    struct shared_instance *instance = NULL;
    if (shared_instance_create(from->instance, &instance))
        return false;
    if (from->identity_only)
        instance->view.url = "";
    const struct artemis_registration_event event = {
        .state = from->state,
        .server = loop_url(client, event_context->server),
        .reason = from->reason,
        .message = from->message,
    };
    if (!callback_queue_add_event(&client->shared.sync.callbacks, &event, instance))
        return true;
    shared_instance_unref(instance);
    return false;
}

static struct registry_report new_report(struct event_context *context)
{
    bool is_wanted = context->client->settings.on_registration;
    return (struct registry_report){.on_event = is_wanted ? queue_event : NULL, .context = context};
}

static void registry_failed(struct artemis_client *client, struct http_call *call, uint64_t now_ms)
{
    struct call_context *context = call->context;
    struct event_context event_context = {client, call->server};
    struct registry_report report = new_report(&event_context);
    const char *problem =
        loop_set_problem(client, client->shared.registry_problem, call->server, context->problem);
    servers_failed(&client->shared.registry_servers, call->server, now_ms, call->retry_after_ms,
                   client_clock_random());
    if (!client->shared.registry_failing)
        loop_log(client, ARTEMIS_LOG_WARNING, "heartbeats failed: %s; retrying", problem);
    client->shared.registry_failing = true;
    registrations_failed(&client->shared.registrations, &context->request, context->problem,
                         &report);
}

static void apply_registry_response(struct artemis_client *client, struct http_call *call,
                                    uint64_t now_ms)
{
    const char *url = loop_url(client, call->server);
    struct call_context *context = call->context;
    struct event_context event_context = {client, call->server};
    struct registry_report report = new_report(&event_context);
    if (context->failed) {
        registry_failed(client, call, now_ms);
        return;
    }
    servers_succeeded(&client->shared.registry_servers, call->server);
    node_refresh_on_response(&client->shared.refresh, call->server);
    if (client->shared.registry_failing)
        loop_log(client, ARTEMIS_LOG_INFO, "heartbeats go to %s", url);
    client->shared.registry_failing = false;
    registrations_answered(&client->shared.registrations, &context->request, &context->result,
                           now_ms, &report);
    if (report.unknown > 0)
        loop_log(client, ARTEMIS_LOG_INFO,
                 "%s does not know %zu instance%s of this client; registering again", url,
                 report.unknown, report.unknown == 1 ? "" : "s");
    if (report.refused[0])
        loop_log(client, ARTEMIS_LOG_WARNING, "%s refused: %s", url, report.refused);
}

void loop_apply_calls(struct artemis_client *client, struct http_calls *calls)
{
    static void (*const apply[])(struct artemis_client *, struct http_call *, uint64_t) = {
        [CALL_REGISTRY] = apply_registry_response,
        [CALL_FETCH] = loop_apply_fetch,
        [CALL_PUBLISH] = loop_apply_publication,
        [CALL_NODES] = loop_apply_nodes,
    };
    uint64_t now_ms = client_clock_ms();
    struct http_call *call;
    while ((call = TAILQ_FIRST(calls))) {
        struct call_context *context = call->context;
        TAILQ_REMOVE(calls, call, link);
        apply[context->kind](client, call, now_ms);
        free_context(context);
        http_call_free(call);
    }
}

void loop_cancel_calls(struct artemis_client *client)
{
    struct http_call *call;
    http_cancel_all(client->http);
    while ((call = http_take(client->http))) {
        struct call_context *context = call->context;
        if (context->kind == CALL_REGISTRY)
            registrations_failed(&client->shared.registrations, &context->request, "",
                                 &(struct registry_report){0});
        free_context(context);
        http_call_free(call);
    }
}
