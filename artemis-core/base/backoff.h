/* SPDX-License-Identifier: Apache-2.0
 *
 * backoff - how long to wait before a failed call is tried again.
 *
 * The wait is 100 ms after the first failure and doubles with each further one, up to 10 s. A
 * random part of up to half is subtracted, so that callers that failed together do not retry
 * together.
 *
 * Pure and thread-safe. The caller supplies the random number.
 */
#pragma once

#include <stdint.h>

enum { BACKOFF_FIRST_MS = 100, BACKOFF_MAX_MS = 10000 };

/* The wait in ms after `failures` failures in a row (0 counts as 1). `random` is any number; 0
 * gives the longest wait. */
uint64_t backoff_ms(unsigned failures, uint64_t random);
