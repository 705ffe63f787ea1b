/* SPDX-License-Identifier: Apache-2.0
 *
 * servers - chooses one of several servers for the next request.
 *
 * The current server stays current while it answers. A server that fails is not used for a while
 * (exponential backoff, or longer if it sent Retry-After), and the next usable server becomes the
 * current one. If no server is usable, the one that becomes usable first is current. Servers are
 * known by number only.
 *
 * Pure. `now_ms` is on the monotonic clock.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "artemis-core/base/text.h"

enum { SERVERS_MAX = 32 };

struct servers {
    size_t count; /* 1 to SERVERS_MAX */
    size_t current;
    struct {
        unsigned failures; /* in a row */
        uint64_t not_before_ms;
    } each[SERVERS_MAX];
};

/* True: use server *which now. False: no server is usable before *at_ms. */
bool servers_choose(struct servers *servers, uint64_t now_ms, size_t *which, uint64_t *at_ms);

void servers_succeeded(struct servers *servers, size_t which);

/* The pause that the value of a Retry-After field asks for, at most a minute. 0: it is not a number
 * of seconds; dates are not supported. */
uint64_t servers_retry_after_ms(struct slice value);

/* `retry_after_ms` is the pause that the server asked for, 0 if none; `random` is any number. */
void servers_failed(struct servers *servers, size_t which, uint64_t now_ms, uint64_t retry_after_ms,
                    uint64_t random);
