/* SPDX-License-Identifier: Apache-2.0
 *
 * etcd_response - reads the responses of the JSON gateway of etcd (v3).
 *
 * Keys and values are base64 in JSON, numbers are texts. The responses come from the network: what
 * is not valid is refused, but the keys before the one that is not valid have been passed on.
 *
 * Pure. Functions that return a bool return false where the response is not valid, or memory is
 * missing; their out-arguments are then undefined.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "artemis-core/base/text.h"
#include "artemis-server/cluster/topology.h"

enum { ETCD_TOKEN_BYTES = 4096, ETCD_MESSAGE_BYTES = 160 };

/* A key of a range, or an event of a watch. Borrowed for the call. */
struct etcd_key {
    struct slice key, value;
    uint64_t lease; /* 0: none */
    bool is_deleted;
};

typedef void etcd_key_handler(void *context, const struct etcd_key *key);

/* A line of a watch. Its events are passed to the handler. */
struct etcd_watch_line {
    bool is_compacted;                /* the revision of the request is gone */
    char problem[ETCD_MESSAGE_BYTES]; /* the watch has ended with it; "": it goes on */
};

bool etcd_read_range(struct slice body, etcd_key_handler *on_key, void *context,
                     uint64_t *revision);
bool etcd_read_watch(struct slice line, etcd_key_handler *on_key, void *context,
                     struct etcd_watch_line *out);
/* Of a grant or a renewal. A lease that is gone has a time-to-live of 0. */
bool etcd_read_lease(struct slice body, uint64_t *lease, uint64_t *ttl_secs);
/* The number of members that vote: all but learners. */
bool etcd_read_voters(struct slice body, size_t *voters);
bool etcd_read_token(struct slice body, char out[ETCD_TOKEN_BYTES]);
/* The message of a failed request, in printable ASCII: a field of JSON; "" if it has none. Other
 * texts may repeat a secret of the request. */
void etcd_read_message(struct slice body, char out[ETCD_MESSAGE_BYTES]);
/* The address in the value of a node's key. */
bool etcd_read_url(struct slice value, char out[MEMBER_URL_BYTES]);
