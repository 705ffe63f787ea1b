/* SPDX-License-Identifier: Apache-2.0
 *
 * client_keep - keeps a lease alive until SIGINT or SIGTERM: what --every means.
 *
 * A heartbeat, a pause, and so on. What cannot be helped now (nobody answers, the node is not
 * ready, over the rate limit) is tried again, sooner than the next heartbeat would be; it is told
 * when it begins, when it becomes something else and when it is over, not at every attempt. When
 * the server does not know the lease, the instance is registered again if the command knows how;
 * else this ends, as it does with every refusal that trying again does not mend.
 *
 * A signal that comes during a call takes effect after it, 10 s later at most (client_http). At the
 * end the instance stays registered until its lease ends, unless --unregister was given: a restart
 * of the keeper is no reason to take an instance out.
 *
 * client_keep blocks, and blocks both signals for the whole process. The rest is pure.
 */
#pragma once

#include "artemis/client/client_call.h"
#include "artemis/client/client_key.h"
#include "artemis/cmd/client_args.h"

#include <jansson.h>
#include <stdbool.h>

/* Rows for a command's table. */
/* clang-format off */
#define CLIENT_KEEP_OPTIONS                                                                        \
    {.name = "every", .value = "SECS", .min = 1, .max = 86400,                                     \
     .description = "keep it registered; seconds between heartbeats"},                                 \
    {.name = "unregister", .description = "with --every: unregister the instance at the end"}
/* clang-format on */

/* Keeps the instance of SERVICE and INSTANCE, with the pause of --every. `registration` is the body
 * of its registration, borrowed, which is sent first; NULL: send heartbeats only. Returns an exit
 * code: CLIENT_DONE when a signal ended it. */
int client_keep(const struct client_args *args, const struct client_key *key, json_t *registration);

enum keep_state {
    KEEP_NEW,  /* nothing was answered yet */
    KEEP_WELL, /* done */
    KEEP_AWAY, /* may be done later */
    KEEP_LOST, /* the server does not know the lease */
    KEEP_OVER, /* refused for good */
};

/* What an response means. Once it was well, a server that answers nonsense is taken to be away. */
enum keep_state client_keep_judge(const struct client_result *result, bool was_well);
/* Seconds until the next call. */
long client_keep_pause(enum keep_state state, long every_secs);
