/* SPDX-License-Identifier: Apache-2.0
 *
 * The loop's connection to the server that pushes, and the service caches that depend on it.
 */
#include "libartemis/client/client_loop_internal.h"

#include "libartemis/base/clock.h"

#include <stdlib.h>
#include <string.h>

enum { SOCKET_RETRY_MS = 60000 };

/* --- connection ------------------------------------------------------------------------------- */

static void push_failed(struct artemis_client *client, size_t server, uint64_t retry_after_ms,
                        const char *problem)
{
    const char *text = loop_set_problem(client, client->shared.push_problem, server, problem);
    servers_failed(&client->shared.push_servers, server, client_clock_ms(), retry_after_ms,
                   client_clock_random());
    if (!client->shared.push_failing)
        loop_log(client, ARTEMIS_LOG_WARNING, "no changes from %s; retrying", text);
    client->shared.push_failing = true;
    client->shared.polling = false;
    cache_sync_disconnected(&client->shared.sync);
    topic_sync_disconnected(&client->shared.topics);
}

static void push_connected(struct artemis_client *client, size_t server, bool polls)
{
    servers_succeeded(&client->shared.push_servers, server);
    node_refresh_on_response(&client->shared.refresh, server);
    client->shared.push_servers.current = server;
    client->shared.push_server = server;
    client->shared.polling = polls;
    client->shared.socket_retry_ms = client_clock_ms() + SOCKET_RETRY_MS;
    client->shared.push_failing = false;
    client->loop.limit_logged = false;
    loop_log(client, ARTEMIS_LOG_INFO,
             polls ? "polling %s, which has no WebSocket" : "receiving changes from %s",
             loop_url(client, server));
    cache_sync_connected(&client->shared.sync, polls, client_clock_ms());
    topic_sync_connected(&client->shared.topics, polls);
}

void loop_drop_socket(struct artemis_client *client)
{
    push_socket_free(client->loop.socket);
    client->loop.socket = NULL;
}

/* The status says that the path does not exist: an older server. Statuses for permission, overload
 * or errors do not. */
static bool has_no_push(int status)
{
    return status < 500 && status != 401 && status != 403 && status != 408 && status != 429;
}

static void on_socket_end(struct artemis_client *client, enum push_state state)
{
    struct push_socket *socket = client->loop.socket;
    size_t server = push_socket_server(socket);
    bool is_older = state == PUSH_REFUSED && has_no_push(push_socket_status(socket));
    if (is_older && client->shared.polling)
        client->shared.socket_retry_ms = client_clock_ms() + SOCKET_RETRY_MS;
    else if (is_older)
        push_connected(client, server, true);
    else
        push_failed(client, server, push_socket_retry_after_ms(socket),
                    push_socket_problem(socket));
    loop_drop_socket(client);
}

/* A message of the server; without the lock. Messages that are not JSON are ignored. */
static void on_message(void *context, struct slice text)
{
    struct artemis_client *client = context;
    struct pending_push *push = calloc(1, sizeof *push);
    enum error error = push ? wire_read_push(text, &push->message) : ERR_NO_MEMORY;
    if (error) {
        client->loop.push_lost |= error == ERR_NO_MEMORY;
        free(push);
        return;
    }
    STAILQ_INSERT_TAIL(&client->loop.pushes, push, link);
}

static void open_socket(struct artemis_client *client, uint64_t now_ms, uint64_t *at_ms)
{
    size_t server = client->shared.push_server;
    uint64_t ready_ms = client->shared.socket_retry_ms;
    bool ready = client->shared.polling
                     ? now_ms >= ready_ms
                     : servers_choose(&client->shared.push_servers, now_ms, &server, &ready_ms);
    if (ready && push_socket_open(client->http, &client->settings, server, now_ms, on_message,
                                  client, &client->loop.socket)) {
        ready = false;
        ready_ms = now_ms + NO_MEMORY_PAUSE_MS;
    }
    client->loop.socket_state = PUSH_CONNECTING;
    if (!ready && ready_ms < *at_ms)
        *at_ms = ready_ms;
}

static void log_skipped(struct artemis_client *client, const char *url, size_t count)
{
    if (count > 0)
        loop_log(client, ARTEMIS_LOG_WARNING, "%s sent %zu invalid instance%s, ignored here", url,
                 count, count == 1 ? "" : "s");
}

static void apply_pushes(struct artemis_client *client)
{
    struct pending_push *push;
    const char *url = loop_url(client, push_socket_server(client->loop.socket));
    while ((push = STAILQ_FIRST(&client->loop.pushes))) {
        STAILQ_REMOVE_HEAD(&client->loop.pushes, link);
        bool is_limited = push->message.type == PUSH_ERROR && push->message.limited;
        if (push->message.type == PUSH_ERROR && !(is_limited && client->loop.limit_logged))
            loop_log(client, ARTEMIS_LOG_WARNING, "%s: %s", url, push->message.message);
        client->loop.limit_logged |= is_limited;
        log_skipped(client, url, push->message.skipped);
        topic_sync_push(&client->shared.topics, &push->message, client_clock_ms());
        cache_sync_push(&client->shared.sync, &push->message, client_clock_ms(),
                        client_clock_wall_ms());
        free(push);
    }
}

void loop_apply_socket(struct artemis_client *client, enum push_state state)
{
    if (!client->loop.socket)
        return;
    if (state == PUSH_OPEN && client->loop.socket_state != PUSH_OPEN)
        push_connected(client, push_socket_server(client->loop.socket), false);
    client->loop.socket_state = state;
    apply_pushes(client);
    if (state == PUSH_REFUSED || state == PUSH_LOST) {
        on_socket_end(client, state);
    } else if (client->loop.push_lost) {
        push_failed(client, push_socket_server(client->loop.socket), 0, "out of memory");
        loop_drop_socket(client);
    }
    client->loop.push_lost = false;
}

/* --- service caches and topics ---------------------------------------------------------------- */

static bool perform(struct artemis_client *client, struct sync_action *action)
{
    if (text_failed(&action->message) || text_failed(&action->path))
        return false;
    bool is_message = action->message.size > 0;
    if (is_message && client->loop.socket)
        return !push_socket_send(client->loop.socket,
                                 (struct slice){action->message.data, action->message.size});
    return loop_start_fetch(client, action);
}

static void start_topics(struct artemis_client *client, uint64_t now_ms, uint64_t *at_ms)
{
    struct text message;
    uint64_t next_ms = UINT64_MAX;
    while (topic_sync_next(&client->shared.topics, now_ms, &message, &next_ms)) {
        bool is_sent =
            !text_failed(&message) &&
            !push_socket_send(client->loop.socket, (struct slice){message.data, message.size});
        text_free(&message);
        if (is_sent)
            continue;
        push_failed(client, client->shared.push_server, 0, "out of memory");
        loop_drop_socket(client);
    }
    if (next_ms < *at_ms)
        *at_ms = next_ms;
}

void loop_start_sync(struct artemis_client *client, uint64_t now_ms, uint64_t *at_ms)
{
    struct sync_action action;
    uint64_t next_ms = UINT64_MAX;
    bool is_needed =
        !LIST_EMPTY(&client->shared.sync.caches) || !LIST_EMPTY(&client->shared.topics.topics);
    if (is_needed && !client->loop.socket)
        open_socket(client, now_ms, at_ms);
    while (cache_sync_next(&client->shared.sync, now_ms, &action, &next_ms)) {
        bool performed = perform(client, &action);
        text_free(&action.message);
        text_free(&action.path);
        if (performed)
            continue;
        push_failed(client, client->shared.push_server, 0, "out of memory");
        loop_drop_socket(client);
    }
    if (next_ms < *at_ms)
        *at_ms = next_ms;
    start_topics(client, now_ms, at_ms);
}

void loop_apply_fetch(struct artemis_client *client, struct http_call *call, uint64_t now_ms)
{
    struct cache_sync *sync = &client->shared.sync;
    struct call_context *context = call->context;
    const struct wire_result *result = &context->instances.result;
    bool is_current = sync->connected && call->server == client->shared.push_server;
    if (!is_current)
        return; /* the connection was lost meanwhile */
    if (context->failed) {
        push_failed(client, call->server, call->retry_after_ms, context->problem);
        loop_drop_socket(client);
        return;
    }
    bool succeeded =
        context->unchanged || result->done || strcmp(result->reason, "service-not-found") == 0;
    const struct fetched_header header = {.etag = call->etag, .run = call->run};
    if (succeeded)
        cache_sync_fetched(sync, context->id, context->generation,
                           context->unchanged ? NULL : &context->instances, &header, now_ms,
                           client_clock_wall_ms());
    else
        cache_sync_refused(sync, context->id, context->generation, result->message, now_ms);
}
