/* SPDX-License-Identifier: Apache-2.0
 *
 * clock - the clocks and the random source of the library. No other file reads a clock.
 *
 * Thread-safe.
 */
#pragma once

#include <stdint.h>

uint64_t client_clock_ms(void);      /* CLOCK_MONOTONIC, in milliseconds */
int64_t client_clock_wall_ms(void);  /* milliseconds since 1970, UTC; only for labels */
uint64_t client_clock_wall_us(void); /* microseconds since 1970, UTC; for client revisions */
uint64_t client_clock_random(void);  /* for jitter and frame masks; not for secrets */
