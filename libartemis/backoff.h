/* SPDX-License-Identifier: Apache-2.0
 *
 * backoff - how long to leave alone what failed: 100 ms, doubled with each further failure up to
 * 10 s, less a random part of up to half, lest all clients of a server that fell come back at once.
 *
 * Pure.
 */
#pragma once

#include <stdint.h>

enum { BACKOFF_FIRST_MS = 100, BACKOFF_MAX_MS = 10000 };

/* After so many failures in a row (at least 1). `random` is any number. */
uint64_t backoff_ms(unsigned failures, uint64_t random);
