/* SPDX-License-Identifier: Apache-2.0
 *
 * servers - chooses one of several servers for the next request.
 *
 * The current server stays current while it answers. A server that fails is not used for a while
 * (exponential backoff, or longer if it sent Retry-After), and the next usable server becomes the
 * current one: a node that the cluster names, otherwise a server of the options, otherwise one that
 * has failed since its last success. If no server is usable, the one that becomes usable first is
 * current. Servers are known by number only (node_urls.h).
 *
 * Pure. `now_ms` is on the monotonic clock.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "artemis-core/base/text.h"

enum {
    SERVERS_MAX = 32,       /* in the options */
    SERVER_NUMBERS_MAX = 96 /* and those that the cluster names */
};

enum server_use {
    SERVER_OPTION, /* of the options, and not named by the cluster */
    SERVER_NODE,   /* named by the cluster */
    SERVER_GONE,   /* not to be chosen: the cluster names it no more */
};

struct servers {
    size_t count; /* 1 to SERVER_NUMBERS_MAX; one at least is not gone */
    size_t current;
    struct {
        enum server_use use;
        unsigned failures; /* in a row */
        uint64_t not_before_ms;
    } each[SERVER_NUMBERS_MAX];
};

/* True: use server *which now. False: no server is usable before *at_ms. */
bool servers_choose(struct servers *servers, uint64_t now_ms, size_t *which, uint64_t *at_ms);

/* Changes the use of a server. Servers from `count` on are new. */
void servers_set_use(struct servers *servers, size_t which, enum server_use use);

void servers_succeeded(struct servers *servers, size_t which);

/* The pause that the value of a Retry-After field asks for, at most a minute. 0: it is not a number
 * of seconds; dates are not supported. */
uint64_t servers_retry_after_ms(struct slice value);

/* `retry_after_ms` is the pause that the server asked for, 0 if none; `random` is any number. */
void servers_failed(struct servers *servers, size_t which, uint64_t now_ms, uint64_t retry_after_ms,
                    uint64_t random);
