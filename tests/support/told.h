/* SPDX-License-Identifier: Apache-2.0
 *
 * told - what a watch of the client library was told, as text: "+a-1 ~a-1 -a-1 " for an instance
 * that came, changed and went. For callbacks in one thread and a test that waits in another.
 */
#pragma once

#include "libartemis/artemis.h"

#include <pthread.h>
#include <stdbool.h>

enum { TOLD_BYTES = 4096 };

struct told {
    pthread_mutex_t lock;
    char text[TOLD_BYTES];
    int count;
};

void told_begin(struct told *told);
void told_end(struct told *told);

/* A callback for artemis_watch; the context is the told. */
void told_change(const struct artemis_change *change, void *context);

/* Waits until it is exactly this; fails the test when it is something else at the deadline. */
void told_wait(struct told *told, const char *expected);
/* Waits until so many changes were told. */
void told_wait_count(struct told *told, int count);
/* It is exactly this now. */
void told_check(struct told *told, const char *expected);
void told_forget(struct told *told);
