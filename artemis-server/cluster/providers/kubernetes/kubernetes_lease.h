/* SPDX-License-Identifier: Apache-2.0
 *
 * kubernetes_lease - decides when this node reads, creates and renews its Lease.
 *
 * It is renewed each third of its duration. A Lease that has changed or is gone is read again, and
 * then replaced or created: the name has the node id, so that its last holder was this node under
 * another address, or before a restart.
 *
 * Pure. Times are monotonic milliseconds. Not thread-safe.
 */
#pragma once

#include "artemis-server/cluster/providers/kubernetes/kubernetes_messages.h"

enum kubernetes_lease_step { KUBERNETES_READ, KUBERNETES_CREATE, KUBERNETES_REPLACE };

struct kubernetes_lease {
    char name[KUBERNETES_NAME_BYTES];
    uint64_t ttl_ms;
    enum kubernetes_lease_step step; /* the next one, or the one that runs */
    bool is_running;
    bool may_exist; /* a request to write it was sent */
    char version[KUBERNETES_VERSION_BYTES];
    uint64_t due_ms;
    unsigned failures; /* in a row, conflicts included */
};

/* The name of the Lease of a node: SERVICE.NODE_ID. Characters other than a-z, 0-9 and dashes
 * become dashes, and the name then ends with a part of the digest of the node id. */
void kubernetes_lease_name(const char *service, const char *node_id,
                           char out[KUBERNETES_NAME_BYTES]);

/* The request that runs was aborted: the Lease is read again, and renewed. */
void kubernetes_lease_restart(struct kubernetes_lease *lease, uint64_t now_ms);
bool kubernetes_lease_is_due(const struct kubernetes_lease *lease, uint64_t now_ms);
void kubernetes_lease_started(struct kubernetes_lease *lease);
/* The response to the step: a Lease with this version. */
void kubernetes_lease_on_response(struct kubernetes_lease *lease, const char *version,
                                  uint64_t now_ms);
/* Another status of HTTP; 0: no response. `wait_ms` as in kubernetes_watch_failed. True: it is a
 * failure that operators should see; false: the Lease is gone, is there already, or has changed. */
bool kubernetes_lease_on_failure(struct kubernetes_lease *lease, int64_t status, uint64_t wait_ms,
                                 uint64_t random, uint64_t now_ms);
