/* SPDX-License-Identifier: Apache-2.0
 *
 * clock - the only place of the library that reads one. Any thread.
 */
#pragma once

#include <stdint.h>

uint64_t client_clock_ms(void);     /* monotonic, as CLOCK_MONOTONIC */
int64_t client_clock_wall_ms(void); /* since 1970, UTC: labels only */
uint64_t client_clock_random(void); /* for jitter; not for secrets */
