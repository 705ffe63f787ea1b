/* SPDX-License-Identifier: Apache-2.0
 *
 * wait - waits for a condition, with a deadline.
 *
 * A deadline is a point on the monotonic clock in ms. The timeout of a test, wait_timeout_ms, is
 * far longer than any operation needs, and longer if the server is built with a sanitizer. It must
 * not be used to measure speed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

int64_t wait_now_ms(void);

/* Now plus the timeout of a test. */
int64_t wait_deadline_ms(void);
int64_t wait_timeout_ms(void);

/* Whether the binary under test, $ARTEMIS_BINARY, is a sanitizer build, which is several times
 * slower. */
bool wait_slow_build(void);

/* Calls `condition` every few ms until it is true (true) or the deadline passes (false). */
bool wait_until(bool (*condition)(void *context), void *context, int64_t deadline_ms);

/* Returns at that time; for tests of times, such as the end of a lease. */
void wait_for_time(int64_t time_ms);

/* True when reading from `fd` would not block (data, end or error); false at the deadline. */
bool wait_readable(int fd, int64_t deadline_ms);
