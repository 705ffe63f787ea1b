/* SPDX-License-Identifier: Apache-2.0
 *
 * wire_internal - what the files of wire share: wire.c (instances), wire_events.c (events of
 * topics).
 */
#pragma once

#include "libartemis/wire/wire.h"

#include <jansson.h>

/* The text of a member; "" if it is absent or no text. */
const char *wire_text_of(const json_t *object, const char *name);
/* The number of a member; 0 if it is absent, no number, or negative. */
uint64_t wire_number_of(const json_t *object, const char *name);
/* "2026-02-14T08:00:00.123Z" in ms since 1970; 0 for other text. */
int64_t wire_read_time(const char *text);

/* Reads what messages about topics have: the topic, the number of lost events, the event. An
 * invalid event is NULL. ERR_NO_MEMORY. */
MUST_USE enum error wire_read_topic_message(const json_t *root, struct push_message *message);
/* Reads the response to a publication. */
void wire_read_published(const json_t *root, struct artemis_published *published);
