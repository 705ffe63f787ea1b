/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/client/client_loop.h"

#include "libartemis/base/clock.h"
#include "libartemis/client/client_loop_internal.h"

#include <stdarg.h>
#include <stdio.h>

enum {
    LINE_BYTES = 640,
    CALLBACKS_MS_MAX = 50,    /* in one turn; a callback that runs longer ends its turn */
    CALLBACKS_QUEUED = 10000, /* while more are queued, no pushes are read */
};

/* --- log -------------------------------------------------------------------------------------- */

void loop_log(struct artemis_client *client, enum artemis_log_level level, const char *format, ...)
{
    char line[LINE_BYTES];
    if (!client->settings.log)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    callback_queue_add_log(&client->shared.sync.callbacks, level, line);
}

const char *loop_url(const struct artemis_client *client, size_t server)
{
    return client->settings.servers.each[server].url;
}

const char *loop_set_problem(const struct artemis_client *client, char out[CLIENT_PROBLEM_MAX],
                             size_t server, const char *problem)
{
    snprintf(out, CLIENT_PROBLEM_MAX, "%.160s: %.300s", loop_url(client, server), problem);
    return out;
}

/* --- turns ------------------------------------------------------------------------------------ */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void wait_for_event(struct artemis_client *client, uint64_t at_ms)
{
    struct curl_waitfd fd;
    uint64_t socket_ms = UINT64_MAX;
    bool has_fd = client->loop.socket && push_socket_wants(client->loop.socket, &fd, &socket_ms);
    at_ms = earlier(at_ms, socket_ms);
    uint64_t now_ms = client_clock_ms();
    http_wait(client->http, has_fd ? &fd : NULL, at_ms > now_ms ? at_ms - now_ms : 0);
}

void loop_turn(struct artemis_client *client, uint64_t until_ms)
{
    pthread_mutex_lock(&client->lock);
    uint64_t now_ms = client_clock_ms();
    uint64_t at_ms = until_ms;
    bool may_read = client->shared.sync.callbacks.count < CALLBACKS_QUEUED;
    loop_start_registry_request(client, now_ms, &at_ms);
    loop_start_publication(client, now_ms, &at_ms);
    loop_start_sync(client, now_ms, &at_ms);
    loop_start_nodes(client, now_ms, &at_ms);
    pthread_mutex_unlock(&client->lock);

    http_run(client->http);
    if (!http_has_work(client->http))
        wait_for_event(client, at_ms);
    http_run(client->http);
    enum push_state state = PUSH_CONNECTING;
    if (client->loop.socket)
        state = push_socket_run(client->loop.socket, client_clock_ms(), may_read);
    struct http_calls calls;
    loop_take_calls(client, &calls);

    pthread_mutex_lock(&client->lock);
    loop_apply_socket(client, state);
    loop_apply_calls(client, &calls);
    pthread_cond_broadcast(&client->changed);
    pthread_mutex_unlock(&client->lock);
}

/* --- callbacks -------------------------------------------------------------------------------- */

static void report_registration(const struct artemis_client *client,
                                const struct queued_callback *callback)
{
    const struct artemis_registration_event event = {
        .state = callback->state,
        .instance = &callback->now->view,
        .server = callback->server,
        .reason = callback->reason,
        .message = callback->text,
    };
    client->settings.on_registration(&event, client->settings.registration_context);
}

static void report_topic_event(const struct queued_callback *callback)
{
    const struct artemis_subscription *subscription = callback->subscription;
    struct artemis_event event = {
        .type = ARTEMIS_EVENTS_LOST,
        .topic = subscription->name,
        .payload = "",
        .node_id = "",
        .run = "",
        .lost = callback->lost,
    };
    if (callback->topic_event)
        event = callback->topic_event->view;
    subscription->callback(&event, subscription->context);
}

static void call_back(const struct artemis_client *client, const struct queued_callback *callback)
{
    if (callback->kind == CALLBACK_TOPIC_EVENT) {
        report_topic_event(callback);
        return;
    }
    if (callback->kind == CALLBACK_LOG) {
        client->settings.log(callback->level, callback->text, client->settings.log_context);
        return;
    }
    if (callback->kind == CALLBACK_REGISTRATION) {
        report_registration(client, callback);
        return;
    }
    const struct shared_instance *now = callback->now ? callback->now : callback->before;
    const struct artemis_change change = {
        .type = callback->type,
        .instance = &now->view,
        .previous = callback->before ? &callback->before->view : NULL,
        .time_ms = callback->time_ms,
    };
    callback->watch->callback(&change, callback->watch->context);
}

/* The watch or subscription of the callback; NULL: none. */
static const void *owner_of(const struct queued_callback *callback)
{
    return callback->watch ? (const void *)callback->watch : callback->subscription;
}

/* False: its watch or subscription has ended. */
static bool is_wanted(const struct queued_callback *callback)
{
    return (!callback->watch || callback->watch->cache) &&
           (!callback->subscription || callback->subscription->topic);
}

/* False: callbacks are left for the next turn. */
static bool make_callbacks(struct artemis_client *client)
{
    struct queued_callback *callback;
    uint64_t end_ms = client_clock_ms() + CALLBACKS_MS_MAX;
    pthread_mutex_lock(&client->lock);
    while (!client->shared.stopping && client_clock_ms() < end_ms &&
           (callback = callback_queue_take(&client->shared.sync.callbacks))) {
        bool wanted = is_wanted(callback);
        client->shared.running = owner_of(callback);
        pthread_mutex_unlock(&client->lock);
        if (wanted)
            call_back(client, callback);
        pthread_mutex_lock(&client->lock);
        client->shared.running = NULL;
        queued_callback_free(callback);
        pthread_cond_broadcast(&client->changed);
    }
    bool is_empty = client->shared.sync.callbacks.count == 0;
    pthread_mutex_unlock(&client->lock);
    return is_empty;
}

static bool is_stopping(struct artemis_client *client)
{
    pthread_mutex_lock(&client->lock);
    bool stopping = client->shared.stopping;
    pthread_mutex_unlock(&client->lock);
    return stopping;
}

void *loop_run(void *context)
{
    struct artemis_client *client = context;
    pthread_mutex_lock(&client->lock);
    client->shared.loop_thread = pthread_self();
    client->shared.thread_known = true;
    pthread_mutex_unlock(&client->lock);
    for (bool is_idle = true; !is_stopping(client);) {
        loop_turn(client, is_idle ? UINT64_MAX : 0);
        is_idle = make_callbacks(client);
    }
    return NULL;
}

void loop_free(struct artemis_client *client)
{
    loop_cancel_calls(client);
    loop_drop_socket(client);
    http_free(client->http);
}
