/* SPDX-License-Identifier: Apache-2.0
 *
 * codec_json - what the files of the codec share: reading members of a Jansson object in either
 * casing. Not for other rooms.
 */
#pragma once

#include <jansson.h>

#include "artemis-core/codec.h"

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

/* `value` as JSON for a message, cut short; `out` is always terminated. */
void json_excerpt(const json_t *value, char *out, size_t out_size);
