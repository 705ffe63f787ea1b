/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics_peers - the replication part of the metrics page: metrics of this node, and metrics of
 * each peer, labelled with the peer's node id, or with its URL while the id is unknown.
 */
#pragma once

#include "artemis-server/engine.h"

/* Appends the metrics; writes nothing where this node has no peers. */
void metrics_write_peers(struct engine *engine, struct text *out);
/* Appends the rows of these metrics to the Markdown table. */
void metrics_write_peers_reference(struct text *out);
