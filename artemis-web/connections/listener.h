/* SPDX-License-Identifier: Apache-2.0
 *
 * listener - opens a listening TCP socket for an address of the form HOST:PORT or [IPv6]:PORT.
 */
#pragma once

#include <stddef.h>

#include "artemis-core/base/error.h"

/* Connections that may wait to be accepted. */
enum { LISTENER_BACKLOG = 4096 };

/* Binds and listens. The caller owns *socket, which is non-blocking. `key` is the setting of the
 * address, for messages. `bound` receives the numeric address with the actual port. On failure
 * *problem receives a message for the operator. ERR_INVALID_FIELD (the address cannot be parsed or
 * resolved), ERR_SYSTEM. */
MUST_USE enum error listener_open(const char *key, const char *address, int *socket, char *bound,
                                  size_t bound_size, char *problem, size_t problem_size);
