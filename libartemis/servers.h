/* SPDX-License-Identifier: Apache-2.0
 *
 * servers - which of several servers to turn to now.
 *
 * One is the current, and stays so while it answers. When it fails it is left alone for a while
 * (backoff, or as long as it asks for), and the next that is not left alone becomes the current; if
 * all are, the one whose time comes first. The room knows servers by number only.
 *
 * Pure. `now_ms` is on the monotonic clock.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SERVERS_MAX = 32 };

struct servers {
    size_t count; /* 1 to SERVERS_MAX */
    size_t current;
    struct {
        unsigned failures; /* in a row */
        uint64_t not_before_ms;
    } each[SERVERS_MAX];
};

/* True: turn to *which now. False: to none before *at_ms. */
bool servers_choose(struct servers *servers, uint64_t now_ms, size_t *which, uint64_t *at_ms);

void servers_succeeded(struct servers *servers, size_t which);

/* `wait_ms` is what the server asked for, 0 for nothing; `random` any number. */
void servers_failed(struct servers *servers, size_t which, uint64_t now_ms, uint64_t wait_ms,
                    uint64_t random);
