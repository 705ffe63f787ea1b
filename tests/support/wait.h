/* SPDX-License-Identifier: Apache-2.0
 *
 * wait - for a condition, with a deadline; never for a guess.
 *
 * A deadline is a point on the monotonic clock in ms. `wait_patience_ms` is what a test gives a
 * thing before it calls it broken: far more than it needs, and more again where the server under
 * test is built with a sanitizer. It never decides whether something was fast enough.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

int64_t wait_now_ms(void);

/* From now until patience ends. */
int64_t wait_deadline_ms(void);
int64_t wait_patience_ms(void);

/* Is the binary under test, $ARTEMIS_BINARY, a sanitizer build? Such a one is several times slower.
 */
bool wait_slow_build(void);

/* Asks `condition` every few ms until it says true (true) or the deadline has passed (false). */
bool wait_until(bool (*condition)(void *context), void *context, int64_t deadline_ms);

/* Comes back at that time: for tests about time itself, such as the end of a lease. */
void wait_for_time(int64_t time_ms);

/* True once reading from `fd` would not block (data, end or error); false at the deadline. */
bool wait_readable(int fd, int64_t deadline_ms);
