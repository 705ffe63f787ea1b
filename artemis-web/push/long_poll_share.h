/* SPDX-License-Identifier: Apache-2.0
 *
 * long_poll_share - how many long polls a web thread handles in one turn of its loop.
 *
 * A turn handles all requests that are ready. With many clients that follow services which change
 * all the time, these are long polls for the most part, and a heartbeat or a registration would
 * wait for all of their responses. A turn therefore handles only a share of the long polls. The
 * others are deferred: libmicrohttpd calls their handler again in each turn, in the order in which
 * they arrived, until they are in the share of a turn. Other requests are never deferred. The
 * response to a deferred long poll contains the changes up to the turn in which it is handled.
 *
 * Each turn costs one call for each deferred long poll. The share is therefore a part of their
 * number, so that they are handled in LONG_POLL_TURNS turns. It grows with their number at once,
 * and shrinks after LONG_POLL_TURNS turns or when none is left: a part of those that are left would
 * be less in each turn, and the last of them would wait for several times as many turns. A long
 * poll that arrives shortly before the share shrinks is deferred for twice as many at most.
 *
 * A share belongs to one web thread. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
    LONG_POLL_SHARE_MIN = 16, /* long polls of a turn, at least */
    LONG_POLL_TURNS = 12,     /* in which those are handled that one turn has deferred */
};

struct long_poll_share {
    uint32_t left;       /* long polls that this turn may still handle */
    uint32_t deferred;   /* those that it has deferred */
    uint32_t size;       /* of the share of this turn */
    uint32_t turns_left; /* before it shrinks */
};

/* Begins a turn. */
void long_poll_share_begin(struct long_poll_share *share);
/* Whether this turn handles one more long poll; otherwise it is deferred to the next turn. */
bool long_poll_share_take(struct long_poll_share *share);
