/* SPDX-License-Identifier: Apache-2.0
 *
 * events - what is to be told to callbacks, in order, once no lock is held.
 *
 * Changes for watchers and lines for the log share a queue, so a reader sees them in the order in
 * which they happened. An operation that fails half way takes back what it has queued: mark before,
 * events_rewind after. Pure; one thread at a time.
 */
#pragma once

#include "libartemis/record.h"

/* A subscriber, as artemis_watch gives it out. */
struct artemis_watch {
    struct artemis_watch *next; /* of its entry */
    struct artemis_client *client;
    struct entry *entry; /* NULL once it was ended: it is told nothing any more */
    artemis_change_fn *callback;
    void *context;
    unsigned flags;
    unsigned refs; /* by the caller, by each event, while it is being told */
};

struct event {
    struct event *next;
    struct artemis_watch *watch; /* with a reference; NULL: a line for the log */
    enum artemis_change_type type;
    struct record *before, *now; /* with a reference each; either may be NULL */
    int64_t time_ms;
    enum artemis_log_level level;
    char line[];
};

struct events {
    struct event *first;
    struct event *last;
};

MUST_USE enum error events_add_change(struct events *events, struct artemis_watch *watch,
                                      enum artemis_change_type type, struct record *before,
                                      struct record *now, int64_t time_ms);
/* A line that there is no memory for is lost. */
void events_add_line(struct events *events, enum artemis_log_level level, const char *line);

/* Takes back all that was added after `mark`, which was events->last then. */
void events_rewind(struct events *events, struct event *mark);

/* The next, the caller's; NULL: there is none. */
struct event *events_take(struct events *events);
void event_free(struct event *event);

void watch_unref(struct artemis_watch *watch);
