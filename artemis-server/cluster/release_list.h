/* SPDX-License-Identifier: Apache-2.0
 *
 * release_list - the releases of guards that peers may still need.
 *
 * A release lets leases be evicted for one time-to-live, so it is kept for as long. One that is
 * made later replaces an earlier one of the same service. A release of all guards replaces the
 * earlier ones of single services. A release that another one covers is not added. A release that
 * does not fit is refused: none is dropped in favour of another.
 *
 * Releases are numbered in the order in which they were added. A peer that has the releases up to a
 * number gets the ones after it.
 *
 * Pure. Times are monotonic milliseconds of this node. Not thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "artemis-core/base/error.h"
#include "artemis-core/base/text.h"
#include "artemis-core/model/instance.h"

enum { RELEASES_MAX = 256 };

/* An operator has released a guard. */
struct guard_release {
    char service_id[ID_BYTES_MAX];
    size_t id_size;    /* 0: all guards */
    uint64_t clock_ms; /* when it was made, on the clock of the cluster */
    uint64_t until_ms; /* when it ends */
    uint64_t number;
};

/* Zero-initialized is empty. */
struct release_list {
    struct guard_release items[RELEASES_MAX]; /* sorted by number */
    size_t count;
    uint64_t last; /* the number of the newest; 0: there was none */
};

/* Whether release_list_put takes this release. */
bool release_list_can_put(const struct release_list *list, struct slice service_id,
                          uint64_t clock_ms, uint64_t now_ms);
/* Adds a release, unless it has ended or is covered. An empty id means all guards.
 * ERR_TOO_MANY_RELEASES changes nothing. */
MUST_USE enum error release_list_put(struct release_list *list, struct slice service_id,
                                     uint64_t clock_ms, uint64_t until_ms, uint64_t now_ms);
/* The first release with this number or a higher one that has not ended; NULL: none. */
const struct guard_release *release_list_next(const struct release_list *list, uint64_t number,
                                              uint64_t now_ms);
