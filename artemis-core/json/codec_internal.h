/* SPDX-License-Identifier: Apache-2.0
 *
 * codec_internal - reads members of a Jansson object in either casing.
 *
 * Shared by the files of the codec and by libartemis/wire, which reads responses.
 */
#pragma once

#include <jansson.h>

#include "artemis-core/json/codec.h"

struct document {
    json_t *root;
    enum name_casing names;
};

/* As document_parse, into a document of the caller. document_close frees its content. */
MUST_USE enum error document_open(struct slice body, struct document *document,
                                  char message[MESSAGE_BYTES]);
void document_close(struct document *document);

/* Finds a member by either name; null counts as absent. *out is NULL if it is absent. Adds the
 * casing of the names that are present to *names. ERR_INVALID_FIELD (fills `problem`) if both names
 * are present. */
MUST_USE enum error member_get(const json_t *object, const char *snake, const char *name_camel,
                               json_t **out, enum name_casing *names, char *problem,
                               size_t problem_size);

/* Read an item of a list. Add the casing of all its names, of the key or not, to *names. Slices
 * are borrowed from the item. ERR_INVALID_FIELD (fills *problem); ERR_NO_MEMORY. */
MUST_USE enum error item_instance(json_t *item, enum name_casing *names, struct instance **out,
                                  struct field_problem *problem);
MUST_USE enum error item_key_parts(const json_t *item, enum name_casing *names,
                                   struct slice parts[KEY_FIELDS], struct field_problem *problem);
/* *out is unchanged if the item has none. ERR_INVALID_FIELD (fills *problem). */
MUST_USE enum error item_client_revision(const json_t *item, uint64_t *out,
                                         struct field_problem *problem);
/* Reads what a peer adds: stamp, age, deletion; and the client revision. ERR_INVALID_FIELD (fills
 * *problem). */
MUST_USE enum error item_stamp(const json_t *item, struct wire_record *record,
                               struct field_problem *problem);
MUST_USE enum error item_check_stamp(const struct stamp *stamp, struct field_problem *problem);

/* Writes `value` as JSON for a message, truncated. `out` is always zero-terminated. */
void json_excerpt(const json_t *value, char *out, size_t out_size);
