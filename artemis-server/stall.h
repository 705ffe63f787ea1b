/* SPDX-License-Identifier: Apache-2.0
 *
 * stall - detects that the whole process did not run for a while: SIGSTOP, a paused virtual
 * machine, swapping.
 *
 * One thread calls stall_tick several times per second; a gap above the limit is a stall. Requests
 * that arrived before its end were queued by the kernel. Their clients may have timed out and
 * written to another node since then, so writes among them must not be executed.
 *
 * Any thread may call the other functions. Times are milliseconds of the monotonic clock.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    STALL_MS_MIN = 2000,         /* shorter gaps are delays of a busy machine */
    STALL_RECENT_MS = 10 * 1000, /* how long after its end requests are checked */
    STALL_RECEIVE_ERROR_MS = 20, /* error of a time of arrival, which the kernel counts in ticks */
};

struct stall {
    _Atomic uint64_t limit_ms; /* see stall_set_limit */
    _Atomic uint64_t ticked_ms;
    _Atomic uint64_t ended_ms; /* of the last stall; 0: none */
    _Atomic uint64_t count;
};

/* The limit is a third of the time-to-live, at least STALL_MS_MIN. */
void stall_init(struct stall *stall, uint64_t ttl_ms, uint64_t now_ms);
/* Changes the limit to that of another time-to-live. */
void stall_set_limit(struct stall *stall, uint64_t ttl_ms);
/* Returns the length of the stall that ends now; 0: none. */
uint64_t stall_tick(struct stall *stall, uint64_t now_ms);
/* Returns true when a stall has ended that stall_tick has not returned yet. */
bool stall_is_unrecorded(const struct stall *stall, uint64_t now_ms);
/* Returns true when requests may be waiting since a stall. */
bool stall_is_recent(const struct stall *stall, uint64_t now_ms);
/* Returns true when a request whose last bytes arrived at received_ms has waited for the end of a
 * stall. */
bool stall_has_queued(const struct stall *stall, uint64_t received_ms, uint64_t now_ms);
