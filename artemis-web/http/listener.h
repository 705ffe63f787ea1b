/* SPDX-License-Identifier: Apache-2.0
 *
 * listener - a bound, listening TCP socket from an address that people write: HOST:PORT,
 * [IPv6]:PORT.
 */
#pragma once

#include <stddef.h>

#include "artemis-core/base/error.h"

/* *socket is the caller's, non-blocking; `bound` gets the numeric address with the real port. On
 * failure *problem is a sentence for people. ERR_INVALID_FIELD, ERR_SYSTEM. */
MUST_USE enum error listener_open(const char *address, int *socket, char *bound, size_t bound_size,
                                  char *problem, size_t problem_size);
