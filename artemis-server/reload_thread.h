/* SPDX-License-Identifier: Apache-2.0
 *
 * reload_thread - the thread that reads files for a running node: settings that are reloaded, and
 * certificates that may have changed.
 *
 * Reading a file blocks for as long as its file system does not respond. No other thread of a
 * running node reads these files: a caller adds a reload and waits for its end, or asks later
 * whether it has ended.
 * Reloads run one after the other, in the order in which they were added; RELOADS_MAX of them may
 * wait.
 *
 * Any thread may add reloads. The main thread starts and stops.
 */
#pragma once

#include "artemis-server/reload.h"

enum {
    RELOADS_MAX = 16,
    RELOAD_TICK_MS = 1000,
    RELOAD_WAIT_MS = 8 * 1000, /* for which a caller should wait for the end of a reload */
};

struct reload_thread;
struct reload_job;

/* Called by the thread; they may block. */
struct reload_calls {
    enum error (*reload)(void *context, const struct audit_origin *origin,
                         struct reload_report *report);
    void (*tick)(void *context); /* every RELOAD_TICK_MS */
    void *context;
};

/* ERR_NO_MEMORY, ERR_SYSTEM (no thread). */
MUST_USE enum error reload_thread_start(const struct reload_calls *calls,
                                        struct reload_thread **out);
/* Adds a reload. *out is released with reload_job_release; `out` is NULL for a caller that does not
 * wait for the end. ERR_DRAINING: the thread is stopping. ERR_OVERLOADED: too many reloads wait.
 * ERR_NO_MEMORY. */
MUST_USE enum error reload_thread_add(struct reload_thread *thread,
                                      const struct audit_origin *origin, struct reload_job **out);
/* Refuses reloads from now on, and ends the waiting ones. Does not wait for the one that runs; its
 * callers do not either. */
void reload_thread_refuse(struct reload_thread *thread);
/* The same, and waits for the end of the thread. False: it still blocks after timeout_ms; it may
 * use what `calls` use until the process ends, and must not be freed. */
MUST_USE bool reload_thread_stop(struct reload_thread *thread, uint64_t timeout_ms);
/* Frees one that has stopped. Every job has been released. Accepts NULL. */
void reload_thread_free(struct reload_thread *thread);

/* Waits for the end of a reload, for timeout_ms at most. False: it has not ended. Otherwise *error
 * is its result, and the caller owns *report: after ERR_DRAINING the node shuts down. */
MUST_USE bool reload_job_wait(struct reload_job *job, uint64_t timeout_ms, enum error *error,
                              struct reload_report *report);
/* The caller does not wait any more. The reload still runs to its end. */
void reload_job_release(struct reload_job *job);
