/* SPDX-License-Identifier: Apache-2.0
 *
 * settings - the options of a client, checked, copied, and with their defaults filled in.
 *
 * Pure, but that libcurl takes the URLs apart. settings_free takes zeros.
 */
#pragma once

#include "libartemis/artemis.h"

#include "libartemis/servers.h"

struct settings {
    char *urls[SERVERS_MAX];    /* what paths like /api/... and /ws are appended to */
    bool loopback[SERVERS_MAX]; /* this machine: no proxy has a say */
    size_t url_count;
    char *region_id;
    char *zone_id;
    char *authorization; /* NULL: none */
    uint64_t heartbeat_ms;
    uint64_t attempt_timeout_ms;
    uint64_t ping_ms;
    uint64_t poll_ms;
    bool stay_registered;
    artemis_log_fn *log; /* NULL: nobody */
    void *log_context;
};

/* ARTEMIS_INVALID, ARTEMIS_NO_MEMORY, with *problem; *settings is then empty. */
ARTEMIS_MUST_USE enum artemis_error settings_read(struct settings *settings,
                                                  const struct artemis_options *options,
                                                  struct artemis_problem *problem);
void settings_free(struct settings *settings);
