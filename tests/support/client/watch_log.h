/* SPDX-License-Identifier: Apache-2.0
 *
 * watch_log - the changes that a watch of libartemis reported, as text: "+a-1 ~a-1 -a-1 " for an
 * instance that was added, changed and deleted. The callback runs in one thread, the test waits in
 * another.
 */
#pragma once

#include "libartemis/artemis.h"

#include <pthread.h>
#include <stdbool.h>

enum { WATCH_LOG_BYTES = 4096 };

struct watch_log {
    pthread_mutex_t lock;
    char text[WATCH_LOG_BYTES];
    int count;
};

void watch_log_init(struct watch_log *log);
void watch_log_free(struct watch_log *log);

/* A callback for artemis_watch; the context is the watch_log. */
void watch_log_on_change(const struct artemis_change *change, void *context);

/* Waits until the text equals `expected`; fails the test at the deadline. */
void watch_log_wait(struct watch_log *log, const char *expected);
/* Waits until `count` changes were reported. */
void watch_log_wait_count(struct watch_log *log, int count);
/* Compares the text now. */
void watch_log_check(struct watch_log *log, const char *expected);
void watch_log_clear(struct watch_log *log);
