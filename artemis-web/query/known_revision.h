/* SPDX-License-Identifier: Apache-2.0
 *
 * known_revision - the revision that a client already has: `version` and `run` on the wire, in the
 * query or in the body.
 *
 * `run` names the epoch that the revision belongs to. Without it the revision counts as one of this
 * node, as clients of earlier releases do not send it.
 */
#pragma once

#include "artemis-web/query/query.h"

struct known_revision {
    bool given; /* there is a `version` */
    uint64_t revision;
    bool names_epoch; /* there is a `run` */
    bool other_epoch; /* `run` names another epoch than this node's */
};

/* Both add to *known, which begins as zero. ERR_INVALID_FIELD with *message. */
MUST_USE enum error known_revision_from_query(const struct request *request,
                                              const struct query *query,
                                              struct known_revision *known,
                                              char message[MESSAGE_BYTES]);
MUST_USE enum error known_revision_from_body(struct request *request, struct document *document,
                                             struct known_revision *known,
                                             char message[MESSAGE_BYTES]);
