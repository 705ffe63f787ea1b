/* SPDX-License-Identifier: Apache-2.0
 *
 * shutdown - watches a shutdown: a second signal hurries it, and its time is limited.
 *
 * The main thread shuts the node down, in phases with time limits of their own, and waits in them.
 * A thread of this module therefore takes the signals meanwhile. A shutdown that takes longer than
 * SHUTDOWN_SECS_MAX, because the disk does not respond, ends with an error line and exit code 1.
 */
#pragma once

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { SHUTDOWN_SECS_MAX = 120 };

struct shutdown_watch {
    const sigset_t *signals; /* blocked in all threads */
    atomic_bool is_hurried;  /* by a second signal */
    atomic_bool has_ended;
    pthread_t thread;
    bool is_started;
};

/* Starts to watch the shutdown that begins. Without memory for a thread it is not watched. */
void shutdown_watch_start(struct shutdown_watch *watch, const sigset_t *signals);
/* The shutdown has ended. */
void shutdown_watch_stop(struct shutdown_watch *watch);
