/* SPDX-License-Identifier: Apache-2.0
 *
 * callback_queue - callbacks that the client's thread will make, in order, when it holds no lock.
 *
 * Changes for watches and lines for the log share one queue, so callers get them in the order in
 * which they happened. An operation that fails half-way removes what it queued: it takes a mark
 * first (callback_queue_mark) and calls callback_queue_rewind. Pure; one thread at a time.
 */
#pragma once

#include "libartemis/base/shared_instance.h"

#include <sys/queue.h>

/* What artemis_watch returns. */
struct artemis_watch {
    LIST_ENTRY(artemis_watch) link; /* in the watches of its service cache */
    struct artemis_client *client;
    struct service_cache *cache; /* NULL after the watch has ended: no more callbacks */
    artemis_change_fn *callback;
    void *context;
    unsigned flags;
    unsigned refs; /* of the caller, the service cache, and each queued callback */
};

struct queued_callback {
    TAILQ_ENTRY(queued_callback) link;
    struct artemis_watch *watch; /* a reference; NULL: a line for the log */
    enum artemis_change_type type;
    struct shared_instance *before, *now; /* a reference each; either may be NULL */
    int64_t time_ms;
    enum artemis_log_level level;
    char line[];
};

TAILQ_HEAD(callback_queue, queued_callback);

/* ERR_NO_MEMORY. */
MUST_USE enum error callback_queue_add_change(struct callback_queue *queue,
                                              struct artemis_watch *watch,
                                              enum artemis_change_type type,
                                              struct shared_instance *before,
                                              struct shared_instance *now, int64_t time_ms);
/* A line is dropped when there is no memory for it. */
void callback_queue_add_log(struct callback_queue *queue, enum artemis_log_level level,
                            const char *line);

/* The last callback; NULL if the queue is empty. */
struct queued_callback *callback_queue_mark(const struct callback_queue *queue);
/* Removes all callbacks that were added after `mark`. */
void callback_queue_rewind(struct callback_queue *queue, struct queued_callback *mark);

/* Removes and returns the first callback, which the caller then owns; NULL if there is none. */
struct queued_callback *callback_queue_take(struct callback_queue *queue);
void queued_callback_free(struct queued_callback *item);

/* Releases a reference; takes NULL. */
void watch_unref(struct artemis_watch *watch);
