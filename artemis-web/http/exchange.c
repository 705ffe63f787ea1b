/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/http/exchange.h"

#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "artemis-server/clock.h"
#include "artemis-server/log.h"
#include "artemis-web/connections/loop.h"
#include "artemis-web/http/authentication.h"
#include "artemis-web/http/input.h"
#include "artemis-web/http/response.h"
#include "artemis-web/http/routes.h"
#include "artemis-web/http/web_internal.h"
#include "artemis-web/push/long_poll_share.h"
#include "artemis-web/tls/tls_forward.h"

enum {
    NS_PER_MS = 1000000,
    NS_PER_US = 1000,
};

static struct http_connection *http_connection_of(struct MHD_Connection *mhd)
{
    return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

/* --- connections ------------------------------------------------------------------------------ */

static void await_input(void *context)
{
    struct http_connection *http = context;
    web_thread_await_input(http->thread, http);
}

/* False: no memory. */
static bool start_tls(struct http_connection *http)
{
    const struct tls_connection connection = {
        .socket = MHD_get_connection_info(http->request.mhd, MHD_CONNECTION_INFO_CONNECTION_FD)
                      ->connect_fd,
        .gnutls = MHD_get_connection_info(http->request.mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION)
                      ->tls_session,
        .has_read_all = &http->connection.has_read_all,
        .await_input = await_input,
        .context = http,
    };
    http->tls = tls_session_start(&http->listener->tls, &connection);
    return http->tls != NULL;
}

static void end_tls(struct http_connection *http)
{
    char client[REQUEST_ADDRESS_BYTES] = "";
    if (http->tls->state == TLS_HANDSHAKE) /* it is logged */
        request_address_write(http->request.mhd, client);
    tls_session_end(http->tls, http->connection.timed_out, client);
}

/* Called by a sweep. */
static void end_later(struct connection *connection)
{
    struct http_connection *http =
        (struct http_connection *)((char *)connection -
                                   offsetof(struct http_connection, connection));
    web_thread_end_later(http->thread, http);
}

/* On the web thread. The library notices the shutdown, or else ends the connection at its timeout
 * (connections.h). */
static void on_end(struct http_connection *http)
{
    char response[ERROR_RESPONSE_BYTES];
    if (http->tls && http->connection.end_error) {
        size_t size = connection_write_end_error(&http->connection, response);
        tls_session_send_last(http->tls, response, size);
        shutdown(http->connection.socket, SHUT_RDWR);
    }
    MHD_set_connection_option(http->request.mhd, MHD_CONNECTION_OPTION_TIMEOUT,
                              (unsigned)ENDED_SECS);
}

/* Ends the connection of a client whose certificate is not accepted any more. The shutdown ends a
 * request that is suspended, too, and a WebSocket. */
static void on_verify_again(struct http_connection *http)
{
    char client[REQUEST_ADDRESS_BYTES];
    if (tls_session_verify_again(http->tls))
        return;
    request_address_write(http->request.mhd, client);
    if (log_admit(LOG_LEVEL_INFO))
        log_event(LOG_LEVEL_INFO, "ends a connection: its certificate is not accepted any more",
                  LOG_TEXT("client", client), LOG_TEXT("name", http->tls->client_name),
                  LOG_TEXT("reason", http->tls->reason));
    shutdown(http->connection.socket, SHUT_RDWR);
}

static void free_connection(struct http_connection *http)
{
    free(http->request.header);
    free(http);
}

/* NULL: no memory. */
static struct http_connection *create_connection(struct web *web, struct web_thread *thread,
                                                 struct MHD_Connection *mhd)
{
    struct http_connection *http = calloc(1, sizeof(*http));
    if (!http)
        return NULL;
    http->request.header = calloc(1, sizeof(*http->request.header));
    if (!http->request.header)
        goto out;
    http->request.web = web;
    http->thread = thread;
    http->listener = web_thread_listener(thread);
    http->request.mhd = mhd;
    if (!http->listener->tls.credentials || start_tls(http))
        return http;
out:
    free_connection(http);
    return NULL;
}

static void start_connection(struct web_thread *thread, struct MHD_Connection *mhd, void **context)
{
    struct web *web = web_thread_started_connection(thread);
    const struct connection_origin from =
        web_origin(web_thread_listener(thread),
                   MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr);
    struct http_connection *http = create_connection(web, thread, mhd);
    *context = http;
    if (!http) {
        connections_cancel(&web->connections, &from);
        return;
    }
    connections_add(&web->connections, &http->connection,
                    MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd,
                    &from, end_later, web_thread_number(thread), clock_now().mono_ms);
    if (from.has_tls)
        web_thread_add_tls(thread, http);
}

static void on_connection(void *context, struct MHD_Connection *mhd, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    loop_note_progress();
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        start_connection(context, mhd, socket_context);
        return;
    }
    struct http_connection *http = *socket_context;
    web_thread_ended_connection(context, http && http->upgraded);
    if (!http)
        return;
    connections_remove(&http->request.web->connections, &http->connection);
    web_thread_forget_ending(http->thread, http);
    if (http->tls) {
        web_thread_remove_tls(http->thread, http);
        end_tls(http);
    }
    text_free(&http->request.body);
    authentication_end(http);
    free_connection(http);
}

/* --- calls of the push thread ----------------------------------------------------------------- */

/* A http may end as soon as the library knows, so its thread is read before. */
static void resume(void *const connections[], size_t count)
{
    struct web_thread *threads[RESUMES_MAX];
    for (size_t i = 0; i < count; i++) {
        struct http_connection *http = connections[i];
        threads[i] = http->thread;
        MHD_resume_connection(http->request.mhd);
    }
    for (size_t i = 0; i < count; i++)
        web_thread_wake(threads[i]);
}

static void close_upgraded(void *context)
{
    struct http_connection *http = context;
    web_thread_close_upgraded(http->thread, http);
}

/* On the web thread of a WebSocket with TLS. */
static void on_close(struct http_connection *http, bool now)
{
    if (http->tls->forward)
        tls_forward_close(http->tls->forward, now);
    else
        web_thread_end_upgraded(http->thread, http);
}

const struct push_http exchange_push_calls = {.resume = resume, .close = close_upgraded};

/* --- requests --------------------------------------------------------------------------------- */

static enum error handle(struct http_connection *http, struct response *response, const char *url,
                         const char *method, char message[MESSAGE_BYTES])
{
    struct request *request = &http->request;
    enum error error = request->refused;
    if (error) {
        input_describe_error(http, url, method, message);
        return error;
    }
    bool was_inflated = request->long_poll_done || request->is_deferred || request->reload;
    if (!was_inflated)
        error = request_inflate(request, message);
    return error ? error : request->route->handle(request, response, message);
}

static void log_request(const struct request *request, const char *url, const char *method,
                        enum error outcome, bool sent)
{
    char client[REQUEST_ADDRESS_BYTES];
    request_address_write(request->mhd, client);
    log_event(LOG_LEVEL_DEBUG, "request", LOG_TEXT("client", client), LOG_TEXT("method", method),
              LOG_TEXT("path", url), LOG_TEXT("outcome", error_info(outcome)->code),
              LOG_TEXT("problem", sent ? NULL : "the response was not sent"),
              LOG_NUMBER("duration_us", (clock_mono_ns() - request->started_ns) / NS_PER_US));
}

/* --- writes of clients that are gone ---------------------------------------------------------- */

/* A client that times out registers at another node. Its first request may still arrive; executing
 * it would undo the later one. Therefore a write whose client has closed the connection is dropped.
 * A client that has only shut its sending side down cannot be distinguished; it gets the error.
 *
 * After a silence the kernel may have delivered the request first, and the end of the connection
 * follows one round trip later. Such a write is delayed and then checked again. */
static bool is_suspect(const struct request *request)
{
    uint64_t transfer_ms = request->now.mono_ms - request->started_ns / NS_PER_MS;
    return request->was_silent || transfer_ms > SILENT_MS;
}

static void delay_write(struct http_connection *http)
{
    struct request *request = &http->request;
    uint64_t delay_ms = connection_end_delay_ms(http->connection.socket);
    request->write_delayed = true;
    atomic_fetch_add_explicit(&http->request.web->metrics.writes_delayed, 1, memory_order_relaxed);
    web_thread_delay(http->thread, http, request->now.mono_ms + delay_ms + 1);
}

/* The client of a request that has waited for the end of a stall may have registered elsewhere. */
static bool has_waited_for_stall(const struct http_connection *http)
{
    const struct stall *stall = &http->request.web->engine->stall;
    uint64_t now_ms = http->request.now.mono_ms;
    return stall_is_recent(stall, now_ms) &&
           stall_has_queued(stall, connection_received_ms(http->connection.socket, now_ms), now_ms);
}

/* Refuses a write that must not be executed. Returns false when it is delayed. */
static bool check_write(struct http_connection *http)
{
    struct request *request = &http->request;
    if (request->refused || request->route->class != ROUTE_WRITE)
        return true;
    if (connection_has_ended(http->connection.socket)) {
        request->refused = ERR_REQUEST_TIMEOUT;
        atomic_fetch_add_explicit(&http->request.web->metrics.writes_dropped, 1,
                                  memory_order_relaxed);
        return true;
    }
    if (has_waited_for_stall(http)) {
        request->refused = ERR_NOT_READY;
        return true;
    }
    if (request->write_delayed || !is_suspect(request))
        return true;
    delay_write(http);
    return false;
}

/* --- tokens ----------------------------------------------------------------------------------- */

/* A token may have expired while the body arrived or the request was suspended. A reload that has
 * begun may remove the token itself, and still gets its result. Returns false when the response to
 * a failure is delayed. */
static bool check_token(struct http_connection *http)
{
    struct request *request = &http->request;
    if (!request->refused && (!request->token || request->reload))
        return true;
    if (!request->refused)
        request->refused = authentication_check_again(request);
    if (request->failure_counted || !authentication_has_failed(request->refused))
        return true;
    request->failure_counted = true;
    uint64_t delay_ms = authentication_failed(http, request->refused);
    if (delay_ms)
        web_thread_delay(http->thread, http, request->now.mono_ms + delay_ms);
    return delay_ms == 0;
}

/* --- deferred long polls ---------------------------------------------------------------------- */

static void count_deferred(struct http_connection *http)
{
    metrics_add(&web_thread_metrics(http->thread)->long_polls_deferred, 1);
}

/* Whether the request is a long poll that was deferred or suspended, and is not in the share of
 * this turn. */
static bool is_deferred_again(struct http_connection *http)
{
    struct request *request = &http->request;
    if (!request->is_deferred && !request->long_poll_done)
        return false;
    if (long_poll_share_take(request->long_poll_share))
        return false;
    if (!request->is_deferred) {
        count_deferred(http);
        request->started_ns = clock_mono_ns(); /* with the turns, without the suspension */
    }
    request->is_deferred = true;
    return true;
}

/* --- responses -------------------------------------------------------------------------------- */

static enum MHD_Result respond(struct http_connection *http, const char *url, const char *method)
{
    struct request *request = &http->request;
    struct web *web = http->request.web;
    char message[MESSAGE_BYTES];
    struct response response;
    enum error outcome;
    message[0] = '\0';
    response_init(&response);
    enum error error = handle(http, &response, url, method, message);
    if (!error && response.kind == RESPONSE_DEFERRED) {
        count_deferred(http);
        return MHD_YES; /* without a response: the library calls again in the next turn */
    }
    if (!error && response.kind == RESPONSE_LATER) {
        web_thread_delay(http->thread, http, response.later_ms);
        return MHD_YES;
    }
    /* Before the response is sent, which may take long. A long poll by POST is handled again. */
    bool is_long_poll = !error && response.kind == RESPONSE_LONG_POLL;
    input_release_body(request, is_long_poll && !request->is_get);
    if (is_long_poll) {
        request->has_reservation = false; /* the push thread owns it now */
        request->is_deferred = false;
        MHD_suspend_connection(request->mhd);
        push_add_long_poll(web->push, &response.long_poll, http, http->connection.socket);
        return MHD_YES;
    }
    bool sent = response_send(request, &response, error, message, &outcome);
    if (outcome == ERR_NO_PERMISSION && !request->refused)
        (void)authentication_failed(http, outcome); /* a service that the token does not cover */
    metrics_count(web_thread_metrics(http->thread), route_index(web->routes, request->route),
                  outcome, response.status, clock_mono_ns() - request->started_ns);
    if (log_enabled(LOG_LEVEL_DEBUG))
        log_request(request, url, method, outcome, sent);
    return sent ? MHD_YES : MHD_NO;
}

static void *on_target(void *context, const char *target, struct MHD_Connection *mhd)
{
    (void)context;
    struct http_connection *http = http_connection_of(mhd);
    if (http)
        framing_begin(http->request.header, target);
    return NULL;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *mhd, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **request_context)
{
    (void)context;
    struct http_connection *http = http_connection_of(mhd);
    loop_note_progress();
    if (!http)
        return MHD_NO; /* there was no memory for it */
    if (*request_context != http) {
        *request_context = http;
        input_begin(http, mhd, url, method, version);
        if (!input_is_final(http))
            return MHD_YES;
        if (authentication_has_failed(http->request.refused))
            (void)authentication_failed(http, http->request.refused); /* it ends: no delay */
        return respond(http, url, method);
    }
    if (*size > 0) {
        bool more = input_receive(http, data, *size);
        *size = 0;
        return more ? MHD_YES : MHD_NO;
    }
    if (is_deferred_again(http))
        return MHD_YES;
    http->request.now = clock_now();
    input_check_trailers(http);
    if (http->request.long_poll_done && !http->request.is_deferred)
        http->request.started_ns = clock_mono_ns(); /* without the time that it was suspended */
    if (!connection_serving(&http->connection, http->request.now.mono_ms))
        return MHD_NO; /* a sweep has ended it, and sent the response if one was due */
    if (!check_token(http) || !check_write(http))
        return MHD_YES;
    return respond(http, url, method);
}

/* All threads share the time, so it is written once in a millisecond. */
static void note_served(struct web *web, uint64_t now_ms)
{
    if (atomic_load_explicit(&web->served_ms, memory_order_relaxed) != now_ms)
        atomic_store_explicit(&web->served_ms, now_ms, memory_order_relaxed);
}

static void on_completed(void *context, struct MHD_Connection *mhd, void **request_context,
                         enum MHD_RequestTerminationCode how)
{
    (void)mhd;
    (void)how;
    struct web *web = context;
    struct http_connection *http = *request_context;
    if (!http)
        return; /* its header was never complete */
    engine_wake_replication(web->engine);
    input_release_body(&http->request, false);
    cached_response_unref(http->sent);
    http->sent = NULL;
    request_end_reload(&http->request);
    if (http->request.has_reservation)
        push_release(web->push);
    http->request.has_reservation = false;
    uint64_t now_ms = clock_mono_ns() / NS_PER_MS;
    if (!http->request.route || http->request.route->class != ROUTE_PEER)
        note_served(web, now_ms);
    connection_idle(&http->connection, now_ms);
    *request_context = NULL;
}

const struct web_thread_callbacks exchange_callbacks = {
    .on_connection = on_connection,
    .on_target = on_target,
    .on_request = on_request,
    .on_completed = on_completed,
    .on_close = on_close,
    .on_end = on_end,
    .on_verify_again = on_verify_again,
};
