/* SPDX-License-Identifier: Apache-2.0
 *
 * shutdown - the time limits of a shutdown, and the thread that watches them.
 *
 * The main thread shuts the node down, in phases, and waits in them. A thread of this module
 * therefore takes the signals meanwhile. A second SIGTERM or SIGINT hurries: each phase ends
 * hurried_ms later at most. When peers and storage are not done at storage_ms, because the disk
 * does not respond, the log says so. When the shutdown is not done at all_ms, or hurried_all_ms
 * after the second signal, the process ends with an error line and exit code 1.
 */
#pragma once

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* From the start of the shutdown, except as stated. */
struct shutdown_limits {
    uint64_t requests_ms;    /* for requests that have been received */
    uint64_t peers_ms;       /* for the changes that peers lack; from the end of the requests */
    uint64_t storage_ms;     /* for requests, peers and the last commit together */
    uint64_t all_ms;         /* for everything */
    uint64_t hurried_ms;     /* of each phase, after a second signal */
    uint64_t hurried_all_ms; /* for everything, after a second signal */
};
/* 30 s, 20 s, 60 s, 120 s; 1 s and 10 s. */
extern const struct shutdown_limits shutdown_limits;

struct shutdown_watch {
    const sigset_t *signals; /* blocked in all threads */
    struct shutdown_limits limits;
    uint64_t started_ms;
    atomic_bool is_hurried; /* by a second signal */
    atomic_bool has_ended;
    pthread_t thread;
    bool is_started;
};

/* Starts to watch the shutdown that begins. Without memory for a thread it is not watched. */
void shutdown_watch_start(struct shutdown_watch *watch, const struct shutdown_limits *limits,
                          const sigset_t *signals);
/* The shutdown has ended. */
void shutdown_watch_stop(struct shutdown_watch *watch);

/* When the thread has to act next: the first limit of the shutdown that lies ahead.
 * *is_last: the process ends then. second_signal_ms is 0 if there was none. */
uint64_t shutdown_next_limit_ms(const struct shutdown_limits *limits, uint64_t started_ms,
                                uint64_t second_signal_ms, uint64_t now_ms, bool *is_last);
