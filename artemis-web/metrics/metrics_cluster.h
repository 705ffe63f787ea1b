/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics_cluster - the part of the metrics page about the members of the cluster and the providers
 * that find them.
 */
#pragma once

#include "artemis-server/engine.h"

/* Appends the metrics; nothing where the node does not replicate. */
void metrics_write_cluster(struct engine *engine, struct text *out);
/* Appends the rows of these metrics to the Markdown table. */
void metrics_write_cluster_reference(struct text *out);
