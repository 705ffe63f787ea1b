/* SPDX-License-Identifier: Apache-2.0
 *
 * change_log - the latest changes of this node, numbered by revisions.
 *
 * Every change takes the next revision (`version` for clients), a number that only grows. It is not
 * the stamp, which orders changes between nodes (stamp.h). The revisions of an epoch begin at the
 * wall clock in microseconds, or at the stored floor if that is higher, so that a restarted node
 * continues above the revisions of its last epoch. Without storage that fails if the wall clock was
 * set back, or if the node made more than a million changes a second. A revision from before the
 * restart is older than the log, and so "gone": the client fetches everything again.
 *
 * The log is a ring of fixed capacity. The oldest changes are dropped when the ring is full,
 * when the instances exceed CHANGE_LOG_BYTES_MAX, and by change_log_trim, which returns the memory
 * of the empty part of the ring too. An append cannot fail. The log references the instances in it.
 *
 * Each change has the revision of the one before it of the same service. The changes of a service
 * are therefore read at the cost of their number, however many others the log has.
 *
 * Thread-safe. Its lock comes after the lock of a shard, which may be held while appending.
 */
#pragma once

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "artemis-core/base/moment.h"
#include "artemis-core/json/codec.h"

enum {
    CHANGE_WALL_BITS = 56,
    CHANGE_LOG_BYTES_MAX = 64 * 1024 * 1024, /* of the instances in the log */
    CHANGE_LOG_KEEP_MS = 10 * 60 * 1000,     /* change_log_trim drops older changes */
    CHANGE_LOG_KEEP_BYTES = 1024 * 1024,     /* change_log_trim keeps this much, however old */
};

/* `old_status` and `other_texts` are those of CHANGE_CHANGE; change_filter.h needs them. */
struct change {
    struct instance *instance;
    uint64_t type : 4;        /* enum change_type */
    uint64_t old_status : 3;  /* of the instance that was replaced */
    uint64_t other_texts : 1; /* its common texts (protocol, metadata) differ */
    uint64_t wall_ms : CHANGE_WALL_BITS;
};
static_assert(sizeof(struct change) == 16, "the ring has 65,536 of them");

/* Called once there is a change after the revision of change_log_arm_wakeup. Must be short. */
typedef void change_log_wakeup(void *context);

struct change_log {
    uint32_t capacity; /* a power of two; constant */
    struct {
        pthread_mutex_t lock;
        struct change *ring; /* by revision modulo capacity */
        uint64_t *before;    /* the revision of the service before each change; 0: it was new */
        uint64_t first;      /* the revision of the oldest change in the ring */
        size_t bytes;        /* of the instances in it */
    } _shared;
    _Atomic uint64_t revision; /* of the newest change; written under the lock */
    change_log_wakeup *wake;   /* constant, like its context */
    void *wake_context;
    pthread_mutex_t wakeup_lock; /* held during the call of wake; the last in the lock order */
    _Atomic uint64_t wake_after; /* the armed revision */
};

/* Revisions are above `floor`, whatever the wall clock says. */
MUST_USE enum error change_log_init(struct change_log *log, uint32_t capacity, uint64_t floor,
                                    struct moment now);
void change_log_free(struct change_log *log);

/* Appends a change and returns its revision. `before` is the revision of the service until now; 0:
 * the service is new. */
uint64_t change_log_append(struct change_log *log, uint64_t before, struct instance *instance,
                           enum change_type type, struct moment now);
/* The same for a CHANGE_CHANGE: `instance` has replaced `old`. */
uint64_t change_log_replace(struct change_log *log, uint64_t before, struct instance *instance,
                            const struct instance *old, struct moment now);
uint64_t change_log_revision(const struct change_log *log);
/* The number of changes in the log, and the bytes of their instances. */
void change_log_usage(struct change_log *log, uint64_t *size, uint64_t *bytes);
/* Drops old changes from a large log. */
void change_log_trim(struct change_log *log, struct moment now);

/* All changes after `revision`, oldest first, in an array for change_list_free. *newest is the
 * revision of the last one. ERR_VERSION_GONE, ERR_NO_MEMORY. */
MUST_USE enum error change_log_since(struct change_log *log, uint64_t revision, struct change **out,
                                     size_t *count, uint64_t *newest);
/* The changes of one service after `since`, oldest first, in an array for change_list_free. `last`
 * is the revision of its latest change. ERR_VERSION_GONE: the log does not have all of them, or
 * they are more than `max`; ERR_NO_MEMORY. */
MUST_USE enum error change_log_of_service(struct change_log *log, uint64_t last, uint64_t since,
                                          size_t max, struct change **out, size_t *count);
/* At most `max` changes after `revision`, oldest first, with references for the caller. Their
 * revisions follow `revision` without a gap. ERR_VERSION_GONE. */
MUST_USE enum error change_log_read(struct change_log *log, uint64_t revision, struct change *out,
                                    size_t max, size_t *count);
void change_list_free(struct change *changes, size_t count);

/* Arms the wakeup: it is called once, soon after there is a change after `revision`. False: there
 * is one already. For one thread; the wakeup is set before other threads use the log. */
MUST_USE bool change_log_arm_wakeup(struct change_log *log, uint64_t revision);
/* Disarms the wakeup. When this returns it is not being called and will not be. */
void change_log_disarm_wakeup(struct change_log *log);
/* Calls the wakeup if it is armed for an older revision. To be called after an append, without a
 * lock. */
void change_log_wake(struct change_log *log);
