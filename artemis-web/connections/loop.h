/* SPDX-License-Identifier: Apache-2.0
 *
 * loop - one web thread: it waits for events and runs a libmicrohttpd daemon that has no threads.
 *
 * The threads of libmicrohttpd 0.9.75 wait again, with the full timeout, whenever one wait returned
 * exactly 128 events; the connections behind these events are served only after that. A loop waits
 * by itself on the daemon's epoll descriptor and has the daemon process what is ready without
 * waiting, so no request is delayed, at the cost of one system call per turn.
 *
 * Other threads pass new sockets to a loop by loop_add, and call loop_wake after they have resumed
 * or closed a connection of the daemon, which has no inter-thread channel without threads of its
 * own. Everything else that concerns the daemon happens on the loop's thread.
 *
 * One thread starts, stops and frees a loop.
 */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

#include "artemis-core/base/error.h"

struct MHD_Daemon;
struct loop;

/* Called on the loop's thread. */
struct loop_calls {
    /* Takes over a socket that was passed to loop_add, with its `origin`. */
    void (*on_socket)(void *context, int socket, const struct sockaddr *address, socklen_t size,
                      void *origin);
    /* The watched descriptor is readable. */
    void (*on_watched)(void *context);
    /* Before the loop waits for events: returns the maximum wait in ms; -1: without limit. */
    int (*before_wait)(void *context);
};

/* Starts the thread `name` for a daemon with MHD_USE_EPOLL and without internal threads. The daemon
 * stays the caller's, as `calls` and `watched`, a descriptor to wait for (-1: none). ERR_NO_MEMORY,
 * ERR_SYSTEM. */
MUST_USE enum error loop_start(struct MHD_Daemon *daemon, const char *name,
                               const struct loop_calls *calls, void *context, int watched,
                               struct loop **out);
/* Passes a socket and where it comes from to the loop. Any thread may call it before loop_stop.
 * Returns false without memory; the socket then stays the caller's. */
MUST_USE bool loop_add(struct loop *loop, int socket, const struct sockaddr *address,
                       socklen_t size, void *origin);
/* Has the loop process what has changed in the daemon. Any thread may call it before loop_free. The
 * first call before each turn of the loop costs a system call. */
void loop_wake(struct loop *loop);
/* Records that the library has made progress with a connection. Called by the callbacks of
 * the daemon, on any thread. */
void loop_note_progress(void);
/* Passes the remaining sockets to the callback and ends the thread. */
void loop_stop(struct loop *loop);
/* Frees a stopped loop. Accepts NULL. */
void loop_free(struct loop *loop);
