/* SPDX-License-Identifier: Apache-2.0
 *
 * codec_blocks - the JSON of a block list, between nodes and in the file of a node:
 *
 *     {"blocks":[{"node_id":"n3","address":"10.0.0.9:8080","blocked":true,"clock_ms":1,
 *                 "origin":"n1","by":"ada","reason":"..."}]}
 *
 * Equal lists have equal texts. Pure.
 */
#pragma once

#include "artemis-core/json/codec.h"
#include "artemis-core/model/block_list.h"

enum { BLOCKS_JSON_BYTES_MAX = 1024 * 1024 }; /* each byte of all texts with an escape */

/* Appends the whole object. */
void codec_write_blocks(struct text *out, const struct block_list *list);
/* Reads the object of another node. Entries that are not valid are left out: their texts are too
 * long, empty where they must not be, or have control characters. ERR_INVALID_JSON,
 * ERR_INVALID_FIELD, ERR_TOO_MANY_ITEMS (all fill *message), ERR_NO_MEMORY. */
MUST_USE enum error codec_read_blocks(struct slice body, struct block_list *out,
                                      char message[MESSAGE_BYTES]);
/* Whether a text of an entry has no control characters, and fits with its end into `size`. */
bool block_text_is_valid(struct slice text, size_t size);
