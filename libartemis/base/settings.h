/* SPDX-License-Identifier: Apache-2.0
 *
 * settings - the validated options of a client: copied, with defaults filled in.
 *
 * Only the list of servers changes after settings_read. Pure. A zeroed struct is empty.
 */
#pragma once

#include "libartemis/artemis.h"

#include "libartemis/base/node_urls.h"

struct settings {
    struct node_urls servers;
    char *region_id;
    char *zone_id;
    char *authorization; /* NULL: none */
    char *cacert;        /* PEM files; NULL: none */
    char *cert;
    char *key;
    uint64_t heartbeat_ms;
    uint64_t attempt_timeout_ms;
    uint64_t ping_ms;
    uint64_t poll_ms;
    uint64_t nodes_ms;         /* or NODES_NEVER */
    size_t response_bytes_max; /* decoded */
    bool stay_registered;
    artemis_log_fn *log; /* NULL: no log */
    void *log_context;
    artemis_registration_fn *on_registration; /* NULL: no events */
    void *registration_context;
};

/* ARTEMIS_INVALID, ARTEMIS_NO_MEMORY, with *problem; *settings is empty then. */
ARTEMIS_MUST_USE enum artemis_error settings_read(struct settings *settings,
                                                  const struct artemis_options *options,
                                                  struct artemis_problem *problem);
void settings_free(struct settings *settings);
