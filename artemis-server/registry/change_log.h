/* SPDX-License-Identifier: Apache-2.0
 *
 * change_log - the latest changes of this node, and the revision that numbers them.
 *
 * Every change takes the next revision: a number that only grows. The first one of a run is the
 * wall clock in microseconds, so that a restart goes on above what it gave out before (a node would
 * have to make a million changes a second all its life to overtake its clock). A revision from
 * before the restart is therefore older than the log, and so "gone": its owner fetches all again.
 *
 * A ring of fixed size, and with a limit to the instances it keeps in memory; the oldest changes
 * make room. An append cannot fail. Thread-safe: one lock of its own, below the locks of the shards
 * (a shard's lock may be guarded while appending, never the other way round). Holds a reference to
 * each instance in it.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "artemis-core/base/moment.h"
#include "artemis-core/json/codec.h"

enum { CHANGE_LOG_BYTES_MAX = 64 * 1024 * 1024 };

struct change {
    struct instance *instance;
    enum change_type type;
    uint64_t wall_ms;
};

/* Called when there is a change that somebody awaits. Must be short. */
typedef void change_log_wakeup(void *context);

struct change_log {
    uint32_t capacity; /* a power of two; constant */
    struct {
        pthread_mutex_t lock;
        struct change *ring; /* by revision modulo capacity */
        uint64_t first;      /* the revision of the oldest change in the ring */
        size_t bytes;        /* of the instances in it */
    } _shared;
    _Atomic uint64_t revision; /* of the newest change; written under the lock */
    /* Who waits for the next change, if anybody does. */
    change_log_wakeup *wake; /* constant, like its context */
    void *wake_context;
    pthread_mutex_t wakeup_lock; /* guarded while the waker is called; below all other locks */
    _Atomic uint64_t wake_after;
};

MUST_USE enum error change_log_init(struct change_log *log, uint32_t capacity, struct moment now);
void change_log_free(struct change_log *log);

/* Takes the next revision for a change and returns it. */
uint64_t change_log_append(struct change_log *log, struct instance *instance, enum change_type type,
                           struct moment now);
uint64_t change_log_revision(const struct change_log *log);
uint32_t change_log_size(struct change_log *log); /* changes in the ring */

/* All changes after `revision`, oldest first, in an array with references that change_list_free
 * drops. *newest is the revision of the last one. ERR_VERSION_GONE, ERR_NO_MEMORY. */
MUST_USE enum error change_log_since(struct change_log *log, uint64_t revision, struct change **out,
                                     size_t *count, uint64_t *newest);
/* At most `max` changes after `revision`, oldest first, with references that are the caller's; the
 * first of them has the revision after `revision`, and so on. ERR_VERSION_GONE. */
MUST_USE enum error change_log_read(struct change_log *log, uint64_t revision, struct change *out,
                                    size_t max, size_t *count);
void change_list_free(struct change *changes, size_t count);

/* Has the waker called once, soon after there is a change after `revision`. False: there is one
 * already. For one thread; the waker is set before others use the log. */
MUST_USE bool change_log_arm_wakeup(struct change_log *log, uint64_t revision);
/* Ends the awaiting. The waker is not under way any more when this returns, nor will it be. */
void change_log_disarm_wakeup(struct change_log *log);
/* Calls the waker if somebody awaits what was appended. For those who have appended, when they hold
 * no lock any more. */
void change_log_wake(struct change_log *log);
