/* SPDX-License-Identifier: Apache-2.0
 *
 * codec_internal - what the files of the codec share: reading members of a Jansson object in either
 * casing. Not for other rooms, but for the other end of the wire, libartemis/wire.
 */
#pragma once

#include <jansson.h>

#include "artemis-core/json/codec.h"

struct document {
    json_t *root;
    bool camel;
};

/* Reads as document_parse, into a document of the caller. document_close frees what it holds. */
MUST_USE enum error document_open(struct slice body, struct document *document,
                                  char message[MESSAGE_BYTES]);
void document_close(struct document *document);

/* The member by either name; null counts as absent. Sets *camel when the camelCase name was used.
 * ERR_INVALID_FIELD when both are there. `*out` is NULL for absent. */
MUST_USE enum error member_get(const json_t *object, const char *snake, const char *name_camel,
                               json_t **out, bool *camel, char *problem, size_t problem_size);

/* What an item of a list says. *camel is set when it has a camelCase name. Slices borrow from the
 * item. ERR_INVALID_FIELD with *problem; ERR_NO_MEMORY. */
MUST_USE enum error item_instance(json_t *item, bool *camel, struct instance **out,
                                  struct field_problem *problem);
MUST_USE enum error item_key_parts(const json_t *item, bool *camel, struct slice parts[KEY_FIELDS],
                                   struct field_problem *problem);
/* The version, age and deletion that a peer adds. */
MUST_USE enum error item_stamp(const json_t *item, struct wire_record *record,
                               struct field_problem *problem);
MUST_USE enum error item_check_stamp(const struct stamp *version, struct field_problem *problem);

/* `value` as JSON for a message, cut short; `out` is always terminated. */
void json_excerpt(const json_t *value, char *out, size_t out_size);
