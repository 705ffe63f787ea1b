/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/http/web_threads.h"

#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "artemis-server/clock.h"
#include "artemis-server/log.h"
#include "artemis-web/connections/loop.h"
#include "artemis-web/http/web_internal.h"

enum {
    /* The library's buffer for a connection: header and bookkeeping of a request, and the header of
     * its response. The library clears it for each request, so all of it is resident: 10,000 long
     * polls hold 10,000 of it. */
    CONNECTION_BUFFER_BYTES = REQUEST_HEADER_BYTES_MAX + 1024,
    THREAD_NAME_BYTES = 16,
};

struct web_thread {
    struct web *web;
    struct MHD_Daemon *daemon;
    struct loop *loop;
    _Atomic uint32_t connections; /* passed to this thread and not ended */
    /* Used by its loop alone: */
    bool started_connection; /* by the socket that is being added */
    TAILQ_HEAD(, session) delayed;
    uint64_t delayed_until_ms; /* the earliest of them */
};

struct web_threads {
    uint32_t count;
    struct web_thread threads[];
};

static void on_library_log(void *context, const char *format, va_list arguments)
{
    (void)context;
    if (!log_enabled(LOG_LEVEL_DEBUG))
        return;
    char reason[512];
    vsnprintf(reason, sizeof(reason), format, arguments);
    log_event(LOG_LEVEL_DEBUG, "libmicrohttpd", LOG_TEXT("reason", reason));
}

static struct MHD_Daemon *start_daemon(struct web_thread *thread,
                                       const struct web_thread_callbacks *callbacks)
{
    struct web *web = thread->web;
    /* connections.h keeps the limit of all threads; the library's must only be above it. */
    unsigned library_limit = web->connections.limit * 2 + 64;
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC | MHD_USE_TURBO | MHD_ALLOW_UPGRADE |
            MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG,
        0, NULL, NULL, callbacks->on_request, web, MHD_OPTION_EXTERNAL_LOGGER, on_library_log, NULL,
        MHD_OPTION_CONNECTION_LIMIT, library_limit, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_BUFFER_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECS,
        MHD_OPTION_URI_LOG_CALLBACK, callbacks->on_target, NULL, MHD_OPTION_NOTIFY_CONNECTION,
        callbacks->on_connection, thread, MHD_OPTION_NOTIFY_COMPLETED, callbacks->on_completed, web,
        MHD_OPTION_END);
}

/* --- connections ------------------------------------------------------------------------------ */

struct web *web_thread_started_connection(struct web_thread *thread)
{
    thread->started_connection = true;
    return thread->web;
}

void web_thread_ended_connection(struct web_thread *thread)
{
    atomic_fetch_sub_explicit(&thread->connections, 1, memory_order_relaxed);
}

void web_thread_wake(struct web_thread *thread)
{
    loop_wake(thread->loop);
}

/* --- delayed requests ------------------------------------------------------------------------- */

void web_thread_delay(struct web_thread *thread, struct session *session, uint64_t until_ms)
{
    MHD_suspend_connection(session->request.mhd);
    session->delayed_until_ms = until_ms;
    if (TAILQ_EMPTY(&thread->delayed) || until_ms < thread->delayed_until_ms)
        thread->delayed_until_ms = until_ms;
    TAILQ_INSERT_TAIL(&thread->delayed, session, delayed_link);
}

/* Resumes the requests whose delay is over by now_ms, and finds the next. */
static void resume_delayed(struct web_thread *thread, uint64_t now_ms)
{
    uint64_t earliest_ms = UINT64_MAX;
    struct session *next;
    for (struct session *session = TAILQ_FIRST(&thread->delayed); session; session = next) {
        next = TAILQ_NEXT(session, delayed_link);
        if (session->delayed_until_ms > now_ms) {
            if (session->delayed_until_ms < earliest_ms)
                earliest_ms = session->delayed_until_ms;
            continue;
        }
        TAILQ_REMOVE(&thread->delayed, session, delayed_link);
        MHD_resume_connection(session->request.mhd);
    }
    thread->delayed_until_ms = earliest_ms;
}

static int before_wait(void *context)
{
    struct web_thread *thread = context;
    if (TAILQ_EMPTY(&thread->delayed))
        return -1;
    uint64_t now_ms = clock_now().mono_ms;
    if (thread->delayed_until_ms > now_ms)
        return (int)(thread->delayed_until_ms - now_ms);
    resume_delayed(thread, now_ms);
    return 0; /* the library handles them in the next turn */
}

/* --- new sockets ------------------------------------------------------------------------------ */

/* On the loop's thread. When the library cannot add the socket, it closes it, after the callbacks
 * for start and end of the connection or without either. */
static void on_new_socket(void *context, int socket, const struct sockaddr *address, socklen_t size)
{
    struct web_thread *thread = context;
    thread->started_connection = false;
    if (MHD_add_connection(thread->daemon, socket, address, size) == MHD_YES ||
        thread->started_connection)
        return;
    web_thread_ended_connection(thread);
    connections_cancel(&thread->web->connections);
}

static const struct loop_calls loop_calls = {.on_socket = on_new_socket,
                                             .before_wait = before_wait};

void web_threads_add(struct web_threads *threads, int socket, const struct sockaddr *address,
                     socklen_t size)
{
    struct web_thread *chosen = &threads->threads[0];
    uint32_t fewest = UINT32_MAX;
    for (uint32_t i = 0; i < threads->count; i++) {
        struct web_thread *thread = &threads->threads[i];
        uint32_t count = atomic_load_explicit(&thread->connections, memory_order_relaxed);
        if (count < fewest) {
            fewest = count;
            chosen = thread;
        }
    }
    atomic_fetch_add_explicit(&chosen->connections, 1, memory_order_relaxed);
    if (loop_add(chosen->loop, socket, address, size))
        return;
    close(socket);
    web_thread_ended_connection(chosen);
    connections_cancel(&chosen->web->connections);
}

/* --- start and stop --------------------------------------------------------------------------- */

static enum error start_thread(struct web *web, const struct web_thread_callbacks *callbacks,
                               uint32_t number, struct web_thread *thread)
{
    char name[THREAD_NAME_BYTES];
    snprintf(name, sizeof(name), "web-%u", number);
    thread->web = web;
    TAILQ_INIT(&thread->delayed);
    thread->daemon = start_daemon(thread, callbacks);
    if (!thread->daemon)
        return ERR_SYSTEM;
    return loop_start(thread->daemon, name, &loop_calls, thread, &thread->loop);
}

enum error web_threads_start(struct web *web, const struct web_thread_callbacks *callbacks,
                             struct web_threads **out)
{
    uint32_t count = web->engine->config->server.threads;
    struct web_threads *threads = calloc(1, sizeof(*threads) + count * sizeof(threads->threads[0]));
    if (!threads)
        return ERR_NO_MEMORY;
    threads->count = count;
    for (uint32_t i = 0; i < count; i++) {
        enum error error = start_thread(web, callbacks, i, &threads->threads[i]);
        if (error) {
            web_threads_stop(threads);
            return error;
        }
    }
    *out = threads;
    return ERR_NONE;
}

void web_threads_stop(struct web_threads *threads)
{
    if (!threads)
        return;
    for (uint32_t i = 0; i < threads->count; i++) {
        struct web_thread *thread = &threads->threads[i];
        if (thread->loop)
            loop_stop(thread->loop);
        if (thread->daemon)
            resume_delayed(thread, UINT64_MAX); /* the library ends them */
        if (thread->daemon)
            MHD_stop_daemon(thread->daemon);
        loop_free(thread->loop);
    }
    free(threads);
}
