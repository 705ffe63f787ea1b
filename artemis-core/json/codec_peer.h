/* SPDX-License-Identifier: Apache-2.0
 *
 * codec_peer - what nodes say to each other: records with version, origin and age.
 *
 * Writing appends to a json_writer. Reading takes an answer as it comes, in pieces, and hands out
 * record by record, so that an answer of any length needs the memory of one record. An ordinary one
 * that lies whole in a piece is read in place (codec_hot); of others a small scanner finds where
 * they begin and end, and Jansson reads them.
 *
 * A peer of an older Artemis ("plain") gets no versions and no status it could not read, and every
 * part of a key, as it expects.
 *
 * Pure. A reader belongs to one thread.
 */
#pragma once

#include "artemis-core/json/codec.h"

enum { PEER_RECORD_BYTES_MAX = 256 * 1024 };

/* --- writing ---------------------------------------------------------------------------------- */

void codec_write_peer_instance(struct json_writer *w, const struct wire_record *record, bool plain);
/* The key, of the record's instance, with version, age and deletion. */
void codec_write_peer_key(struct json_writer *w, const struct wire_record *record, bool plain);

/* --- reading ---------------------------------------------------------------------------------- */

/* The list that a record stands in. */
enum peer_list {
    PEER_LIST_INSTANCES, /* instances, also those of services */
    PEER_LIST_KEYS,      /* instance_keys, tombstones */
    PEER_LIST_FAILED,    /* failed_instance_keys, failed_instances: keys */
    PEER_LIST_NUMBERS,   /* digests: see `number` */
    PEER_LISTS,
};

/* One record, borrowed for the call; of keys, only `key` is there. */
typedef void wire_record_read(void *context, enum peer_list list, const struct wire_record *record);
typedef void peer_number_read(void *context, uint64_t number);

struct peer_reader;

/* ERR_NO_MEMORY. */
MUST_USE enum error peer_reader_create(wire_record_read *on_record, peer_number_read *on_number,
                                       void *context, struct peer_reader **out);
void peer_reader_free(struct peer_reader *reader);
/* The next piece. ERR_INVALID_JSON, ERR_NO_MEMORY, ERR_TOO_MANY_ITEMS (a record too long). Records
 * that are invalid are counted and passed over. */
MUST_USE enum error peer_reader_feed(struct peer_reader *reader, struct slice piece);
bool peer_reader_ended(const struct peer_reader *reader); /* the answer is whole */
/* It had "complete":true as its last member. */
bool peer_reader_complete(const struct peer_reader *reader);
uint64_t peer_reader_invalid(const struct peer_reader *reader);
