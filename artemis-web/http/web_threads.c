/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/http/web_threads.h"

#include <microhttpd.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "artemis-server/clock.h"
#include "artemis-server/log.h"
#include "artemis-web/connections/loop.h"
#include "artemis-web/http/web_internal.h"
#include "artemis-web/push/long_poll_share.h"
#include "artemis-web/push/push.h"

enum {
    /* The library's buffer for a connection: header and bookkeeping of a request, and the header of
     * its response. The library clears it for each request, so all of it is resident: 10,000 long
     * polls hold 10,000 of it. With the size that malloc stores it takes 12 KiB. */
    CONNECTION_BUFFER_BYTES = REQUEST_HEADER_BYTES_MAX + 1024 - 8,
    THREAD_NAME_BYTES = 16,
    EVENTS_PER_TURN = 64,
    CLOSING_WAIT_MS = 5,
    VERIFIED_PER_TURN = 16, /* about 2 ms */
    /* More threads than cores are used only when each has so many connections: with few, a thread
     * wakes for one request at a time. */
    CONNECTIONS_PER_THREAD = 64,
};

struct web_thread {
    struct web *web;
    const struct web_thread_callbacks *callbacks;
    struct MHD_Daemon *daemon;
    struct loop *loop;
    uint32_t number;              /* among those of its kind */
    int watched;                  /* epoll: struct watch; -1: no TLS */
    _Atomic uint32_t connections; /* passed to this thread and not ended */
    /* Used by its loop alone: */
    struct web_thread_bodies bodies;
    struct long_poll_share long_poll_share;
    bool started_connection;                /* by the socket that is being added */
    struct web_listener *listener;          /* of that socket */
    TAILQ_HEAD(, http_connection) awaiting; /* suspended in their handshake */
    TAILQ_HEAD(, http_connection) closing;  /* upgraded: what is sent last is being forwarded */
    uint32_t closing_count;                 /* upgraded: closed, and not ended by the library yet */
    TAILQ_HEAD(, http_connection)
    tls_connections; /* those that were verified last are at the end */
    uint32_t tls_connection_count;
    uint32_t unverified_count;  /* from the first of them on, that are to be verified again */
    atomic_bool verifies_again; /* set by web_threads_verify_again */
    atomic_bool has_ending;     /* set by web_thread_end_later */
    struct {
        pthread_mutex_t lock;
        TAILQ_HEAD(, http_connection) closing; /* to be closed by the thread */
        TAILQ_HEAD(, http_connection) ending;  /* by web_thread_end_later */
    } _shared;
    TAILQ_HEAD(, http_connection) delayed;
    uint64_t delayed_until_ms; /* the earliest of them */
    struct thread_metrics metrics;
};

struct web_threads {
    uint32_t count;
    uint32_t cores;
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
    bool tls = thread->watched >= 0;
    struct MHD_OptionItem tls_options[] = {
        {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, tls_session_cert_callback()},
        {MHD_OPTION_END, 0, NULL},
    };
    return MHD_start_daemon(
        (tls ? MHD_USE_TLS : 0U) | MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC |
            MHD_USE_TURBO | MHD_ALLOW_UPGRADE | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG,
        0, NULL, NULL, callbacks->on_request, web, MHD_OPTION_EXTERNAL_LOGGER, on_library_log, NULL,
        MHD_OPTION_CONNECTION_LIMIT, library_limit, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_BUFFER_BYTES, MHD_OPTION_URI_LOG_CALLBACK, callbacks->on_target, NULL,
        MHD_OPTION_NOTIFY_CONNECTION, callbacks->on_connection, thread, MHD_OPTION_NOTIFY_COMPLETED,
        callbacks->on_completed, web, MHD_OPTION_ARRAY, tls ? tls_options : tls_options + 1,
        MHD_OPTION_END);
}

/* --- connections ------------------------------------------------------------------------------ */

struct web *web_thread_started_connection(struct web_thread *thread)
{
    thread->started_connection = true;
    return thread->web;
}

struct web_listener *web_thread_listener(const struct web_thread *thread)
{
    return thread->listener;
}

uint32_t web_thread_number(const struct web_thread *thread)
{
    return thread->number;
}

struct web_thread_bodies *web_thread_bodies(struct web_thread *thread)
{
    return &thread->bodies;
}

struct long_poll_share *web_thread_long_poll_share(struct web_thread *thread)
{
    return &thread->long_poll_share;
}

struct thread_metrics *web_thread_metrics(struct web_thread *thread)
{
    return &thread->metrics;
}

void web_thread_ended_connection(struct web_thread *thread, bool upgraded)
{
    if (upgraded && thread->watched >= 0)
        thread->closing_count--;
    atomic_fetch_sub_explicit(&thread->connections, 1, memory_order_relaxed);
}

void web_thread_wake(struct web_thread *thread)
{
    loop_wake(thread->loop);
}

/* --- delayed requests ------------------------------------------------------------------------- */

void web_thread_delay(struct web_thread *thread, struct http_connection *http, uint64_t until_ms)
{
    MHD_suspend_connection(http->request.mhd);
    http->delayed_until_ms = until_ms;
    if (TAILQ_EMPTY(&thread->delayed) || until_ms < thread->delayed_until_ms)
        thread->delayed_until_ms = until_ms;
    TAILQ_INSERT_TAIL(&thread->delayed, http, delayed_link);
}

/* Resumes the requests whose delay has ended by now_ms, and finds the next. */
static void resume_delayed(struct web_thread *thread, uint64_t now_ms)
{
    uint64_t earliest_ms = UINT64_MAX;
    struct http_connection *next;
    for (struct http_connection *http = TAILQ_FIRST(&thread->delayed); http; http = next) {
        next = TAILQ_NEXT(http, delayed_link);
        if (http->delayed_until_ms > now_ms) {
            if (http->delayed_until_ms < earliest_ms)
                earliest_ms = http->delayed_until_ms;
            continue;
        }
        TAILQ_REMOVE(&thread->delayed, http, delayed_link);
        MHD_resume_connection(http->request.mhd);
    }
    thread->delayed_until_ms = earliest_ms;
}

/* --- watched descriptors ---------------------------------------------------------------------- */

bool web_thread_watch(struct web_thread *thread, struct watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    if (watch->is_added && watch->events == events)
        return true;
    int operation = watch->is_added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(thread->watched, operation, watch->fd, &event) != 0)
        return false;
    watch->is_added = true;
    watch->events = events & EPOLLONESHOT ? 0 : events;
    return true;
}

void web_thread_unwatch(struct web_thread *thread, struct watch *watch)
{
    if (watch->is_added)
        epoll_ctl(thread->watched, EPOLL_CTL_DEL, watch->fd, NULL);
    watch->is_added = false;
}

/* One event in each turn: its callback may free other watches. */
static void on_watched(void *context)
{
    struct web_thread *thread = context;
    struct epoll_event event;
    for (int i = 0; i < EVENTS_PER_TURN && epoll_wait(thread->watched, &event, 1, 0) == 1; i++) {
        struct watch *watch = event.data.ptr;
        loop_note_progress();
        watch->on_event(watch);
    }
}

/* --- handshakes ------------------------------------------------------------------------------- */

static void resume_handshake(struct http_connection *http)
{
    TAILQ_REMOVE(&http->thread->awaiting, http, delayed_link);
    MHD_resume_connection(http->request.mhd);
}

static void on_handshake_input(struct watch *watch)
{
    resume_handshake(watch->context);
}

void web_thread_await_input(struct web_thread *thread, struct http_connection *http)
{
    struct watch *watch = &http->tls->handshake_watch;
    watch->fd = http->connection.socket;
    watch->on_event = on_handshake_input;
    watch->context = http;
    if (!web_thread_watch(thread, watch, EPOLLIN | EPOLLRDHUP | EPOLLONESHOT))
        return; /* the library tries again in its next turn */
    TAILQ_INSERT_TAIL(&thread->awaiting, http, delayed_link);
    MHD_suspend_connection(http->request.mhd);
}

/* --- upgraded connections --------------------------------------------------------------------- */

void web_thread_close_upgraded(struct web_thread *thread, struct http_connection *http)
{
    if (thread->watched < 0) {
        MHD_upgrade_action(http->upgraded, MHD_UPGRADE_ACTION_CLOSE);
    } else {
        pthread_mutex_lock(&thread->_shared.lock);
        TAILQ_INSERT_TAIL(&thread->_shared.closing, http, delayed_link);
        pthread_mutex_unlock(&thread->_shared.lock);
    }
    web_thread_wake(thread);
}

void web_thread_end_upgraded(struct web_thread *thread, struct http_connection *http)
{
    TAILQ_REMOVE(&thread->closing, http, delayed_link);
    thread->closing_count++;
    MHD_upgrade_action(http->upgraded, MHD_UPGRADE_ACTION_CLOSE);
}

static void close_upgraded(struct web_thread *thread, bool now)
{
    for (;;) {
        pthread_mutex_lock(&thread->_shared.lock);
        struct http_connection *http = TAILQ_FIRST(&thread->_shared.closing);
        if (http)
            TAILQ_REMOVE(&thread->_shared.closing, http, delayed_link);
        pthread_mutex_unlock(&thread->_shared.lock);
        if (!http)
            return;
        TAILQ_INSERT_TAIL(&thread->closing, http, delayed_link);
        thread->callbacks->on_close(http, now);
    }
}

/* --- connections that the table ends ---------------------------------------------------------- */

void web_thread_end_later(struct web_thread *thread, struct http_connection *http)
{
    pthread_mutex_lock(&thread->_shared.lock);
    if (!http->is_ending)
        TAILQ_INSERT_TAIL(&thread->_shared.ending, http, ending_link);
    http->is_ending = true;
    pthread_mutex_unlock(&thread->_shared.lock);
    atomic_store_explicit(&thread->has_ending, true, memory_order_relaxed);
    web_thread_wake(thread);
}

void web_thread_forget_ending(struct web_thread *thread, struct http_connection *http)
{
    pthread_mutex_lock(&thread->_shared.lock);
    if (http->is_ending)
        TAILQ_REMOVE(&thread->_shared.ending, http, ending_link);
    http->is_ending = false;
    pthread_mutex_unlock(&thread->_shared.lock);
}

static void end_connections(struct web_thread *thread)
{
    atomic_store_explicit(&thread->has_ending, false, memory_order_relaxed);
    for (;;) {
        pthread_mutex_lock(&thread->_shared.lock);
        struct http_connection *http = TAILQ_FIRST(&thread->_shared.ending);
        pthread_mutex_unlock(&thread->_shared.lock);
        if (!http)
            return;
        web_thread_forget_ending(thread, http);
        thread->callbacks->on_end(http);
    }
}

/* --- certificates of clients ------------------------------------------------------------------ */

void web_thread_add_tls(struct web_thread *thread, struct http_connection *http)
{
    TAILQ_INSERT_TAIL(&thread->tls_connections, http, tls->thread_link);
    thread->tls_connection_count++;
}

void web_thread_remove_tls(struct web_thread *thread, struct http_connection *http)
{
    TAILQ_REMOVE(&thread->tls_connections, http, tls->thread_link);
    thread->tls_connection_count--;
}

/* Returns true while some are left for the next turn: other connections do not wait for all. */
static bool verify_some(struct web_thread *thread)
{
    if (atomic_exchange(&thread->verifies_again, false))
        thread->unverified_count = thread->tls_connection_count;
    for (int i = 0; i < VERIFIED_PER_TURN && thread->unverified_count > 0; i++) {
        struct http_connection *http = TAILQ_FIRST(&thread->tls_connections);
        thread->unverified_count--;
        if (!http)
            continue;
        TAILQ_REMOVE(&thread->tls_connections, http, tls->thread_link);
        TAILQ_INSERT_TAIL(&thread->tls_connections, http, tls->thread_link);
        thread->callbacks->on_verify_again(http);
    }
    return thread->unverified_count > 0;
}

void web_threads_verify_again(struct web_threads *threads)
{
    for (uint32_t i = 0; threads && i < threads->count; i++) {
        atomic_store(&threads->threads[i].verifies_again, true);
        web_thread_wake(&threads->threads[i]);
    }
}

/* --- waiting ---------------------------------------------------------------------------------- */

static int before_wait(void *context)
{
    struct web_thread *thread = context;
    engine_wake_replication(thread->web->engine); /* for responses that are not sent completely */
    push_wake_for_long_polls(thread->web->push);
    long_poll_share_begin(&thread->long_poll_share);
    if (atomic_load_explicit(&thread->has_ending, memory_order_relaxed))
        end_connections(thread);
    if (TAILQ_EMPTY(&thread->delayed))
        return -1;
    uint64_t now_ms = clock_now().mono_ms;
    if (thread->delayed_until_ms > now_ms)
        return (int)(thread->delayed_until_ms - now_ms);
    resume_delayed(thread, now_ms);
    return 0; /* the library handles them in the next turn */
}

/* The library ends a closed WebSocket one turn after it has closed it, without an event. */
static int before_wait_with_tls(void *context)
{
    struct web_thread *thread = context;
    close_upgraded(thread, false);
    bool has_unverified = verify_some(thread);
    int wait_ms = before_wait(thread);
    if (has_unverified)
        return 0;
    bool is_long = wait_ms < 0 || wait_ms > CLOSING_WAIT_MS;
    return thread->closing_count > 0 && is_long ? CLOSING_WAIT_MS : wait_ms;
}

/* --- new sockets ------------------------------------------------------------------------------ */

/* On the loop's thread. When the library cannot add the socket, it closes it, after the callbacks
 * for start and end of the connection or without either. */
static void on_new_socket(void *context, int socket, const struct sockaddr *address, socklen_t size,
                          void *listener)
{
    struct web_thread *thread = context;
    thread->listener = listener;
    thread->started_connection = false;
    if (MHD_add_connection(thread->daemon, socket, address, size) == MHD_YES ||
        thread->started_connection)
        return;
    const struct connection_origin from = web_origin(listener, address);
    web_thread_ended_connection(thread, false);
    connections_cancel(&thread->web->connections, &from);
}

static const struct loop_calls loop_calls = {
    .on_socket = on_new_socket,
    .before_wait = before_wait,
};
static const struct loop_calls loop_calls_with_tls = {
    .on_socket = on_new_socket,
    .on_watched = on_watched,
    .before_wait = before_wait_with_tls,
};

static uint32_t connections_of(struct web_thread *thread)
{
    return atomic_load_explicit(&thread->connections, memory_order_relaxed);
}

/* The number of threads that get connections, the first ones. */
static uint32_t count_used(struct web_threads *threads)
{
    uint32_t connections = 1; /* with the new one */
    for (uint32_t i = 0; i < threads->count; i++)
        connections += connections_of(&threads->threads[i]);
    uint32_t used = connections / CONNECTIONS_PER_THREAD;
    if (used < threads->cores)
        used = threads->cores;
    return used < threads->count ? used : threads->count;
}

void web_threads_add(struct web_threads *threads, int socket, const struct sockaddr *address,
                     socklen_t size, struct web_listener *listener)
{
    struct web_thread *chosen = &threads->threads[0];
    uint32_t used = count_used(threads);
    for (uint32_t i = 1; i < used; i++)
        if (connections_of(&threads->threads[i]) < connections_of(chosen))
            chosen = &threads->threads[i];
    atomic_fetch_add_explicit(&chosen->connections, 1, memory_order_relaxed);
    if (loop_add(chosen->loop, socket, address, size, listener))
        return;
    close(socket);
    const struct connection_origin from = web_origin(listener, address);
    web_thread_ended_connection(chosen, false);
    connections_cancel(&chosen->web->connections, &from);
}

/* --- start and stop --------------------------------------------------------------------------- */

static enum error start_thread(struct web *web, const struct web_thread_callbacks *callbacks,
                               bool tls, uint32_t number, struct web_thread *thread)
{
    char name[THREAD_NAME_BYTES];
    snprintf(name, sizeof(name), tls ? "tls-%u" : "web-%u", number);
    thread->web = web;
    thread->number = number;
    TAILQ_INIT(&thread->delayed);
    TAILQ_INIT(&thread->awaiting);
    TAILQ_INIT(&thread->closing);
    TAILQ_INIT(&thread->tls_connections);
    TAILQ_INIT(&thread->_shared.closing);
    TAILQ_INIT(&thread->_shared.ending);
    thread->callbacks = callbacks;
    pthread_mutex_init(&thread->_shared.lock, NULL);
    thread->watched = tls ? epoll_create1(EPOLL_CLOEXEC) : -1;
    if (tls && thread->watched < 0)
        return ERR_SYSTEM;
    thread->daemon = start_daemon(thread, callbacks);
    if (!thread->daemon)
        return ERR_SYSTEM;
    return loop_start(thread->daemon, name, tls ? &loop_calls_with_tls : &loop_calls, thread,
                      thread->watched, &thread->loop);
}

static uint32_t count_cores(void)
{
    cpu_set_t cores;
    return sched_getaffinity(0, sizeof(cores), &cores) == 0 ? (uint32_t)CPU_COUNT(&cores) : 1;
}

enum error web_threads_start(struct web *web, const struct web_thread_callbacks *callbacks,
                             bool tls, struct web_threads **out)
{
    uint32_t count = web->engine->config->server.threads;
    struct web_threads *threads = calloc(1, sizeof(*threads) + count * sizeof(threads->threads[0]));
    if (!threads)
        return ERR_NO_MEMORY;
    threads->count = count;
    threads->cores = count_cores();
    for (uint32_t i = 0; i < count; i++) {
        threads->threads[i].watched = -1;
        metrics_add_thread(&web->metrics, &threads->threads[i].metrics);
    }
    for (uint32_t i = 0; i < count; i++) {
        enum error error = start_thread(web, callbacks, tls, i, &threads->threads[i]);
        if (error) {
            web_threads_stop(threads);
            return error;
        }
    }
    *out = threads;
    return ERR_NONE;
}

static void free_bodies(struct web_thread_bodies *bodies)
{
    for (int i = 0; i < bodies->count; i++)
        MHD_destroy_response(bodies->bodies[i].response);
}

static void resume_all(struct web_thread *thread)
{
    resume_delayed(thread, UINT64_MAX);
    close_upgraded(thread, true);
    while (!TAILQ_EMPTY(&thread->closing))
        thread->callbacks->on_close(TAILQ_FIRST(&thread->closing), true);
    while (!TAILQ_EMPTY(&thread->awaiting))
        resume_handshake(TAILQ_FIRST(&thread->awaiting));
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
            resume_all(thread); /* the library ends them */
        if (thread->daemon)
            MHD_stop_daemon(thread->daemon);
        free_bodies(&thread->bodies);
        loop_free(thread->loop);
        if (thread->watched >= 0)
            close(thread->watched);
    }
    free(threads);
}
