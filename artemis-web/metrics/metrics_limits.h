/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics_limits - the part of the metrics page about rate limits and quotas.
 */
#pragma once

#include "artemis-server/engine.h"

/* Appends the metrics. */
void metrics_write_limits(struct engine *engine, struct text *out);
/* Appends the rows of these metrics to the Markdown table. */
void metrics_write_limits_reference(struct text *out);
