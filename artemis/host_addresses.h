/* SPDX-License-Identifier: Apache-2.0
 *
 * host_addresses - lists the addresses at which other hosts can reach this one.
 *
 * Included are the IPv4 and IPv6 addresses of running interfaces, as numeric text without brackets,
 * each once. Loopback and link-local addresses are excluded. The list ends after
 * HOST_ADDRESSES_MAX.
 *
 * Thread-safe; allocates nothing that outlives the call.
 */
#pragma once

#include <netinet/in.h>

#include "artemis-core/base/error.h"

enum { HOST_ADDRESSES_MAX = 16 };

struct host_addresses {
    size_t count;
    const char *items[HOST_ADDRESSES_MAX]; /* point into `texts`: do not copy the struct */
    char texts[HOST_ADDRESSES_MAX][INET6_ADDRSTRLEN];
};

/* ERR_SYSTEM: errno is set. */
MUST_USE enum error host_addresses_list(struct host_addresses *out);
