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
#include "artemis-web/tls/tls_forward.h"

enum {
    DELAY_MS_MAX = 500, /* limit of the delay of a write, which is two round trips */
    NS_PER_MS = 1000000,
    NS_PER_US = 1000,
};

static struct session *session_of(struct MHD_Connection *mhd)
{
    return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

/* --- connections ------------------------------------------------------------------------------ */

static void await_input(void *context)
{
    struct session *session = context;
    web_thread_await_input(session->thread, session);
}

/* False: no memory. */
static bool start_tls(struct session *session)
{
    const struct tls_connection connection = {
        .socket =
            MHD_get_connection_info(session->request.mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd,
        .gnutls =
            MHD_get_connection_info(session->request.mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION)->tls_session,
        .has_read_all = &session->connection.has_read_all,
        .await_input = await_input,
        .context = session,
    };
    session->tls = tls_session_start(&session->listener->tls, &connection);
    return session->tls != NULL;
}

static void end_tls(struct session *session)
{
    char client[REQUEST_ADDRESS_BYTES] = "";
    if (session->tls->state == TLS_HANDSHAKE) /* it is logged */
        request_address_write(session->request.mhd, client);
    tls_session_end(session->tls, session->connection.timed_out, client);
}

/* Called by a sweep. */
static void refuse_later(struct connection *connection)
{
    struct session *session =
        (struct session *)((char *)connection - offsetof(struct session, connection));
    web_thread_refuse(session->thread, session);
}

/* On the web thread. */
static void on_refuse(struct session *session)
{
    char response[ERROR_RESPONSE_BYTES];
    size_t size = connection_write_end_error(&session->connection, response);
    tls_session_send_last(session->tls, response, size);
    shutdown(session->connection.socket, SHUT_RDWR); /* the library then ends the connection */
}

/* Ends the connection of a client whose certificate is not accepted any more. The shutdown ends a
 * request that is suspended, too, and a WebSocket. */
static void on_verify_again(struct session *session)
{
    char client[REQUEST_ADDRESS_BYTES];
    if (tls_session_verify_again(session->tls))
        return;
    request_address_write(session->request.mhd, client);
    if (log_admit(LOG_LEVEL_INFO))
        log_event(LOG_LEVEL_INFO, "ends a connection: its certificate is not accepted any more",
                  LOG_TEXT("client", client), LOG_TEXT("name", session->tls->client_name),
                  LOG_TEXT("reason", session->tls->reason));
    shutdown(session->connection.socket, SHUT_RDWR);
}

static void free_session(struct session *session)
{
    free(session->request.header);
    free(session);
}

/* NULL: no memory. */
static struct session *create_session(struct web *web, struct web_thread *thread,
                                      struct MHD_Connection *mhd)
{
    struct session *session = calloc(1, sizeof(*session));
    if (!session)
        return NULL;
    session->request.header = calloc(1, sizeof(*session->request.header));
    if (!session->request.header)
        goto out;
    session->request.web = web;
    session->thread = thread;
    session->listener = web_thread_listener(thread);
    session->request.mhd = mhd;
    if (!session->listener->tls.credentials || start_tls(session))
        return session;
out:
    free_session(session);
    return NULL;
}

static void start_session(struct web_thread *thread, struct MHD_Connection *mhd, void **context)
{
    struct web *web = web_thread_started_connection(thread);
    const struct connection_origin from =
        web_origin(web_thread_listener(thread),
                   MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr);
    struct session *session = create_session(web, thread, mhd);
    *context = session;
    if (!session) {
        connections_cancel(&web->connections, &from);
        return;
    }
    connections_add(&web->connections, &session->connection,
                    MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd,
                    &from, from.has_tls ? refuse_later : NULL, clock_now().mono_ms);
    if (from.has_tls)
        web_thread_add_session(thread, session);
}

static void on_connection(void *context, struct MHD_Connection *mhd, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    loop_note_progress();
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        start_session(context, mhd, socket_context);
        return;
    }
    struct session *session = *socket_context;
    web_thread_ended_connection(context, session && session->upgraded);
    if (!session)
        return;
    connections_remove(&session->request.web->connections, &session->connection);
    if (session->tls) {
        web_thread_forget_refused(session->thread, session);
        web_thread_remove_session(session->thread, session);
        end_tls(session);
    }
    text_free(&session->request.body);
    authentication_end(session);
    free_session(session);
}

/* --- calls of the push thread ----------------------------------------------------------------- */

/* A session may end as soon as the library knows, so its thread is read before. */
static void resume(void *const sessions[], size_t count)
{
    struct web_thread *threads[RESUMES_MAX];
    for (size_t i = 0; i < count; i++) {
        struct session *session = sessions[i];
        threads[i] = session->thread;
        MHD_resume_connection(session->request.mhd);
    }
    for (size_t i = 0; i < count; i++)
        web_thread_wake(threads[i]);
}

static void close_upgraded(void *context)
{
    struct session *session = context;
    web_thread_close_upgraded(session->thread, session);
}

/* On the web thread of a WebSocket with TLS. */
static void on_close(struct session *session, bool now)
{
    if (session->tls->forward)
        tls_forward_close(session->tls->forward, now);
    else
        web_thread_end_upgraded(session->thread, session);
}

const struct push_http exchange_push_calls = {.resume = resume, .close = close_upgraded};

/* --- requests --------------------------------------------------------------------------------- */

static enum error handle(struct session *session, struct response *response, const char *url,
                         const char *method, char message[MESSAGE_BYTES])
{
    struct request *request = &session->request;
    enum error error = request->refused;
    if (error) {
        input_describe_error(session, url, method, message);
        return error;
    }
    if (!request->long_poll_done && !request->reload) /* else it was inflated before */
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

static void delay_write(struct session *session)
{
    struct request *request = &session->request;
    uint64_t delay_ms = 2 * connection_round_trip_ms(session->connection.socket);
    if (delay_ms > DELAY_MS_MAX)
        delay_ms = DELAY_MS_MAX;
    request->write_delayed = true;
    atomic_fetch_add_explicit(&session->request.web->metrics.writes_delayed, 1, memory_order_relaxed);
    web_thread_delay(session->thread, session, request->now.mono_ms + delay_ms + 1);
}

/* The client of a request that has waited for the end of a stall may have registered elsewhere. */
static bool has_waited_for_stall(const struct session *session)
{
    const struct stall *stall = &session->request.web->engine->stall;
    uint64_t now_ms = session->request.now.mono_ms;
    return stall_is_recent(stall, now_ms) &&
           stall_has_queued(stall, connection_received_ms(session->connection.socket, now_ms),
                            now_ms);
}

/* Refuses a write that must not be executed. Returns false when it is delayed. */
static bool check_write(struct session *session)
{
    struct request *request = &session->request;
    if (request->refused || request->route->class != ROUTE_WRITE)
        return true;
    if (connection_has_ended(session->connection.socket)) {
        request->refused = ERR_REQUEST_TIMEOUT;
        atomic_fetch_add_explicit(&session->request.web->metrics.writes_dropped, 1, memory_order_relaxed);
        return true;
    }
    if (has_waited_for_stall(session)) {
        request->refused = ERR_NOT_READY;
        return true;
    }
    if (request->write_delayed || !is_suspect(request))
        return true;
    delay_write(session);
    return false;
}

/* --- tokens ----------------------------------------------------------------------------------- */

/* A token may have expired while the body arrived or the request was suspended. A reload that has
 * begun may remove the token itself, and still gets its result. Returns false when the response to
 * a failure is delayed. */
static bool check_token(struct session *session)
{
    struct request *request = &session->request;
    if (!request->refused && (!request->token || request->reload))
        return true;
    if (!request->refused)
        request->refused = authentication_check_again(request);
    if (request->failure_counted || !authentication_has_failed(request->refused))
        return true;
    request->failure_counted = true;
    uint64_t delay_ms = authentication_failed(session, request->refused);
    if (delay_ms)
        web_thread_delay(session->thread, session, request->now.mono_ms + delay_ms);
    return delay_ms == 0;
}

static enum MHD_Result respond(struct session *session, const char *url, const char *method)
{
    struct request *request = &session->request;
    struct web *web = session->request.web;
    char message[MESSAGE_BYTES];
    struct response response;
    enum error outcome;
    message[0] = '\0';
    response_init(&response);
    enum error error = handle(session, &response, url, method, message);
    if (!error && response.kind == RESPONSE_LATER) {
        web_thread_delay(session->thread, session, response.later_ms);
        return MHD_YES;
    }
    /* Before the response is sent, which may take long. A long poll by POST is handled again. */
    bool is_long_poll = !error && response.kind == RESPONSE_LONG_POLL;
    input_release_body(request, is_long_poll && !request->is_get);
    if (is_long_poll) {
        request->has_reservation = false; /* the push thread owns it now */
        MHD_suspend_connection(request->mhd);
        push_add_long_poll(web->push, &response.long_poll, session, session->connection.socket);
        return MHD_YES;
    }
    bool sent = response_send(request, &response, error, message, &outcome);
    if (outcome == ERR_NO_PERMISSION && !request->refused)
        (void)authentication_failed(session, outcome); /* a service that the token does not cover */
    metrics_count(&web->metrics, route_index(web->routes, request->route), outcome, response.status,
                  clock_mono_ns() - request->started_ns);
    if (log_enabled(LOG_LEVEL_DEBUG))
        log_request(request, url, method, outcome, sent);
    return sent ? MHD_YES : MHD_NO;
}

static void *on_target(void *context, const char *target, struct MHD_Connection *mhd)
{
    (void)context;
    struct session *session = session_of(mhd);
    if (session)
        framing_begin(session->request.header, target);
    return NULL;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *mhd, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **request_context)
{
    (void)context;
    struct session *session = session_of(mhd);
    loop_note_progress();
    if (!session)
        return MHD_NO; /* there was no memory for it */
    if (*request_context != session) {
        *request_context = session;
        input_begin(session, mhd, url, method, version);
        if (!input_is_final(session))
            return MHD_YES;
        if (authentication_has_failed(session->request.refused))
            (void)authentication_failed(session, session->request.refused); /* it ends: no delay */
        return respond(session, url, method);
    }
    if (*size > 0) {
        bool more = input_receive(session, data, *size);
        *size = 0;
        return more ? MHD_YES : MHD_NO;
    }
    session->request.now = clock_now();
    input_check_trailers(session);
    if (session->request.long_poll_done)
        session->request.started_ns = clock_mono_ns(); /* without the time that it was suspended */
    if (!connection_serving(&session->request.web->connections, &session->connection,
                            session->request.now.mono_ms))
        return MHD_NO; /* a sweep has ended it, and sent the response if one was due */
    if (!check_token(session) || !check_write(session))
        return MHD_YES;
    return respond(session, url, method);
}

static void on_completed(void *context, struct MHD_Connection *mhd, void **request_context,
                         enum MHD_RequestTerminationCode how)
{
    (void)mhd;
    (void)how;
    struct web *web = context;
    struct session *session = *request_context;
    if (!session)
        return; /* its header was never complete */
    engine_wake_replication(web->engine);
    input_release_body(&session->request, false);
    cached_response_unref(session->sent);
    session->sent = NULL;
    request_end_reload(&session->request);
    if (session->request.has_reservation)
        push_release(web->push);
    session->request.has_reservation = false;
    uint64_t now_ms = clock_mono_ns() / NS_PER_MS;
    if (!session->request.route || session->request.route->class != ROUTE_PEER)
        atomic_store_explicit(&web->served_ms, now_ms, memory_order_relaxed);
    connection_idle(&web->connections, &session->connection, now_ms);
    *request_context = NULL;
}

const struct web_thread_callbacks exchange_callbacks = {
    .on_connection = on_connection,
    .on_target = on_target,
    .on_request = on_request,
    .on_completed = on_completed,
    .on_close = on_close,
    .on_refuse = on_refuse,
    .on_verify_again = on_verify_again,
};
