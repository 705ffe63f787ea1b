/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/connections/loop.h"

#include <limits.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

enum {
    /* The library asks for another turn at once while a connection of its ready list can do
     * nothing, because the header of a chunk exceeds its buffer. After this many turns without a
     * callback the loop pauses before each, until the sweep ends the connection and then the
     * library's timeout (web_thread_end_later). A header of the maximum size takes about 50
     * turns. */
    IDLE_TURNS_MAX = 256,
    IDLE_PAUSE_MS = 5,
};

struct new_socket {
    STAILQ_ENTRY(new_socket) link;
    int socket;
    void *origin;
    socklen_t peer_size;
    struct sockaddr_storage address;
};

STAILQ_HEAD(new_sockets, new_socket);

struct loop {
    struct MHD_Daemon *daemon;
    const struct loop_calls *calls;
    void *context;
    pthread_t thread;
    int epoll;   /* the daemon's */
    int wakeup;  /* eventfd: new sockets, a change in the daemon, or a stop */
    int watched; /* of the caller; -1: none */
    unsigned idle_turns;
    _Atomic bool stopping;
    _Atomic bool wake_pending; /* `wakeup` is signalled for a turn that has not begun */
    struct {
        pthread_mutex_t lock;
        struct new_sockets new_sockets;
    } _shared;
};

static _Thread_local bool has_progressed;

void loop_note_progress(void)
{
    has_progressed = true;
}

/* --- the thread ------------------------------------------------------------------------------- */

/* How long to wait for events: -1 for ever, 0 not at all. */
static int timeout_ms(struct loop *loop)
{
    MHD_UNSIGNED_LONG_LONG ms; /* above 0: only for a connection that the table has ended */
    bool is_due = MHD_get_timeout(loop->daemon, &ms) == MHD_YES;
    if (!is_due || ms > 0 || has_progressed)
        loop->idle_turns = 0;
    else if (++loop->idle_turns > IDLE_TURNS_MAX)
        ms = IDLE_PAUSE_MS;
    if (!is_due)
        return -1;
    return ms < INT_MAX ? (int)ms : INT_MAX;
}

/* Whether only the daemon has work: the library asks its own descriptor again in each turn. */
static bool has_nothing_else(struct loop *loop)
{
    return loop->watched < 0 && !atomic_load_explicit(&loop->wake_pending, memory_order_relaxed);
}

/* Returns whether another thread has woken the loop: new sockets may have come. */
static bool wait_for_events(struct loop *loop)
{
    struct pollfd fds[] = {
        {.fd = loop->epoll, .events = POLLIN},
        {.fd = loop->wakeup, .events = POLLIN},
        {.fd = loop->watched, .events = POLLIN},
    };
    nfds_t count = loop->watched < 0 ? 2 : 3;
    int max_ms = loop->calls->before_wait(loop->context);
    int wait_ms = timeout_ms(loop);
    if (max_ms >= 0 && (wait_ms < 0 || max_ms < wait_ms))
        wait_ms = max_ms;
    has_progressed = false;
    if (wait_ms == 0 && has_nothing_else(loop))
        return false;
    int ready = poll(fds, count, wait_ms);
    bool woken = ready > 0 && fds[1].revents;
    if (woken) {
        eventfd_t ignored;
        (void)eventfd_read(loop->wakeup, &ignored);
        (void)atomic_exchange(&loop->wake_pending, false); /* the turn sees what came before */
    }
    if (loop->watched >= 0 && fds[2].revents)
        loop->calls->on_watched(loop->context);
    return woken;
}

static void take_new_sockets(struct loop *loop)
{
    struct new_sockets taken = STAILQ_HEAD_INITIALIZER(taken);
    pthread_mutex_lock(&loop->_shared.lock);
    STAILQ_CONCAT(&taken, &loop->_shared.new_sockets);
    pthread_mutex_unlock(&loop->_shared.lock);
    struct new_socket *socket;
    while ((socket = STAILQ_FIRST(&taken))) {
        STAILQ_REMOVE_HEAD(&taken, link);
        loop->calls->on_socket(loop->context, socket->socket, (struct sockaddr *)&socket->address,
                               socket->peer_size, socket->origin);
        free(socket);
    }
}

static void *run(void *argument)
{
    struct loop *loop = argument;
    while (!atomic_load_explicit(&loop->stopping, memory_order_acquire)) {
        if (wait_for_events(loop))
            take_new_sockets(loop);
        (void)MHD_run(loop->daemon);
    }
    return NULL;
}

/* --- other threads ---------------------------------------------------------------------------- */

enum error loop_start(struct MHD_Daemon *daemon, const char *name, const struct loop_calls *calls,
                      void *context, int watched, struct loop **out)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);
    struct loop *loop = calloc(1, sizeof(*loop));
    if (!loop)
        return ERR_NO_MEMORY;
    loop->daemon = daemon;
    loop->calls = calls;
    loop->context = context;
    loop->epoll = info ? info->epoll_fd : -1;
    loop->watched = watched;
    loop->wakeup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    STAILQ_INIT(&loop->_shared.new_sockets);
    pthread_mutex_init(&loop->_shared.lock, NULL);
    if (loop->epoll < 0 || loop->wakeup < 0 ||
        pthread_create(&loop->thread, NULL, run, loop) != 0) {
        loop_free(loop);
        return ERR_SYSTEM;
    }
    pthread_setname_np(loop->thread, name);
    *out = loop;
    return ERR_NONE;
}

bool loop_add(struct loop *loop, int socket, const struct sockaddr *address, socklen_t size,
              void *origin)
{
    struct new_socket *added = malloc(sizeof(*added));
    if (!added)
        return false;
    *added = (struct new_socket){.socket = socket, .origin = origin, .peer_size = size};
    memcpy(&added->address, address, size);
    pthread_mutex_lock(&loop->_shared.lock);
    bool wake = STAILQ_EMPTY(&loop->_shared.new_sockets);
    STAILQ_INSERT_TAIL(&loop->_shared.new_sockets, added, link);
    pthread_mutex_unlock(&loop->_shared.lock);
    if (wake)
        loop_wake(loop);
    return true;
}

void loop_wake(struct loop *loop)
{
    if (!atomic_exchange(&loop->wake_pending, true))
        (void)eventfd_write(loop->wakeup, 1);
}

void loop_stop(struct loop *loop)
{
    atomic_store_explicit(&loop->stopping, true, memory_order_release);
    loop_wake(loop);
    pthread_join(loop->thread, NULL);
    take_new_sockets(loop);
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    if (loop->wakeup >= 0)
        close(loop->wakeup);
    pthread_mutex_destroy(&loop->_shared.lock);
    free(loop);
}
