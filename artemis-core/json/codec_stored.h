/* SPDX-License-Identifier: Apache-2.0
 *
 * codec_stored - the JSON of an instance in the storage of a node.
 *
 * It is the form of the wire, with the status as it was registered, so that people and later
 * versions can read the storage file. A tombstone with a client revision is an object with that
 * member alone. Pure.
 */
#pragma once

#include "artemis-core/json/codec.h"

/* Appends one object. */
void codec_write_stored(struct text *out, const struct instance *instance);
/* Appends one object for a tombstone. */
void codec_write_stored_revision(struct text *out, uint64_t client_revision);
/* Whether this is such an object; then *out is its client revision. */
bool codec_read_stored_revision(struct slice body, uint64_t *out);
/* ERR_INVALID_JSON, ERR_INVALID_FIELD, ERR_NO_MEMORY. */
MUST_USE enum error codec_read_stored(struct slice body, struct instance **out);
