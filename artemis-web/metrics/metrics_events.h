/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics_events - the part of the metrics page about events of topics.
 */
#pragma once

#include "artemis-server/engine.h"
#include "artemis-web/push/push.h"

void metrics_write_events(struct engine *engine, const struct push_status *push, struct text *out);
/* Appends the rows of the documentation. */
void metrics_write_events_reference(struct text *out);
