/* SPDX-License-Identifier: Apache-2.0
 *
 * bootstrap_fixture - what the tests of bootstrap share: a rig without peers, and peers that are
 * ready or starting.
 */
#pragma once

#include "tests/unit/artemis-server/replication/replicator_fixture.h"

static inline int set_up(void **state)
{
    (void)state;
    rig_open();
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    rig_close();
    return 0;
}

static inline bool is_ready(void)
{
    pump();
    return replicator_is_ready(rig.replicator);
}

static inline void join_with(uint32_t peer, struct health_response health)
{
    join(peer);
    respond_health(peer, health);
}

static const struct health_response ready = {.is_ready = true};
static const struct health_response starting = {.is_ready = false};
