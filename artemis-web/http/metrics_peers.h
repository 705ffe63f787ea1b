/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics_peers - the part of the metrics page that tells of replication: numbers of this node, and
 * of each peer, labelled by its name.
 */
#pragma once

#include "artemis-server/engine.h"

/* Appends the metrics; nothing where this node stands alone. */
void metrics_write_peers(struct engine *engine, struct text *out);
/* Appends their rows of the reference. */
void metrics_write_peers_reference(struct text *out);
