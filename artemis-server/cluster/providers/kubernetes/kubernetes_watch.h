/* SPDX-License-Identifier: Apache-2.0
 *
 * kubernetes_watch - decides when a collection of the Kubernetes API is listed, and when watched.
 *
 * A collection is listed once, then watched from the version of the list. A watch that ends or
 * loses its connection is resumed from the version of its last event or bookmark. A watch that is
 * refused, or ends with an error, leads to another list; at once, and without a failure, where the
 * version was too old (410). After a failure the next request waits: backoff.h, or for as long as
 * the server demands.
 *
 * Pure. Times are monotonic milliseconds. Not thread-safe.
 */
#pragma once

#include "artemis-server/cluster/providers/kubernetes/kubernetes_messages.h"

enum {
    KUBERNETES_RETRY_MS = 1000,      /* the least time between the starts of two requests */
    KUBERNETES_RETRY_MAX_MS = 60000, /* the most that a server can demand */
    /* A watch that has run for this time was not refused. Longer than connecting may take. */
    KUBERNETES_STEADY_MS = 4000,
};

enum kubernetes_request { KUBERNETES_NONE, KUBERNETES_LIST, KUBERNETES_WATCH };

struct kubernetes_watch {
    bool is_listed;     /* `version` can be watched */
    bool is_refreshing; /* a list is wanted although a watch runs */
    enum kubernetes_request running;
    enum kubernetes_request failing; /* since its last failure it has not succeeded */
    char version[KUBERNETES_VERSION_BYTES];
    uint64_t started_ms; /* the last request */
    uint64_t due_ms;     /* the next one */
    unsigned failures;   /* in a row */
};

/* The request that is due. KUBERNETES_LIST while a watch runs: the watch is ended first, by
 * kubernetes_watch_cancelled. */
enum kubernetes_request kubernetes_watch_next(const struct kubernetes_watch *watch,
                                              uint64_t now_ms);
/* When kubernetes_watch_next will return one; UINT64_MAX: only after a response. */
uint64_t kubernetes_watch_due_ms(const struct kubernetes_watch *watch);
/* Wants a list, also while a watch runs. */
void kubernetes_watch_refresh(struct kubernetes_watch *watch);

void kubernetes_watch_started(struct kubernetes_watch *watch, enum kubernetes_request request,
                              uint64_t now_ms);
void kubernetes_watch_cancelled(struct kubernetes_watch *watch);
/* The request that runs was aborted, and all is listed again at once. */
void kubernetes_watch_restart(struct kubernetes_watch *watch, uint64_t now_ms);
void kubernetes_watch_listed(struct kubernetes_watch *watch, const char *version, uint64_t now_ms);
/* Call it as time passes: a watch may have run for KUBERNETES_STEADY_MS. */
void kubernetes_watch_tick(struct kubernetes_watch *watch, uint64_t now_ms);
/* An event or a bookmark. */
void kubernetes_watch_moved(struct kubernetes_watch *watch, const char *version);
/* The watch has ended, or lost its connection, after a response with status 2xx. */
void kubernetes_watch_ended(struct kubernetes_watch *watch, uint64_t now_ms);
/* The request has failed with this status of HTTP or of an ERROR event. 0: there was no response;
 * -1: it cannot be read. `wait_ms` is what the server demands, 0: nothing. False: the version was
 * too old, which is no failure. */
bool kubernetes_watch_failed(struct kubernetes_watch *watch, int64_t status, uint64_t wait_ms,
                             uint64_t random, uint64_t now_ms);

/* How long to wait after that many failures in a row: what the server demands, within
 * KUBERNETES_RETRY_MAX_MS, or backoff_ms. */
uint64_t kubernetes_retry_ms(unsigned failures, uint64_t wait_ms, uint64_t random);
