/* SPDX-License-Identifier: Apache-2.0
 *
 * view_event - prints the events of topics that libartemis delivers, as text and as JSON.
 *
 * All text is escaped for a terminal. Pure but for the stream. Arguments are borrowed.
 */
#pragma once

#include "artemis-core/base/error.h"
#include "libartemis/artemis.h"

#include <stdio.h>

/* Prints time, topic, publisher and payload, separated by two blanks, on a line. */
void view_event(const struct artemis_event *event, FILE *out);
/* Prints {"topic","node_id","run","number","time","payload"} on a line. ERR_NO_MEMORY: nothing was
 * printed. */
MUST_USE enum error view_event_json(const struct artemis_event *event, FILE *out);
/* Prints an error line for events that were lost. */
void view_events_lost(const struct artemis_event *event, FILE *out);
