/* SPDX-License-Identifier: Apache-2.0
 *
 * codec_peer - the JSON of messages between nodes: records with stamp and age.
 *
 * Writing appends a record to a json_writer. A legacy peer gets no stamps, no status that it cannot
 * decode, and every part of a key, even an empty one. Legacy versions read snake_case or camelCase
 * and reject a body in the other: an instance carries both spellings; keys are in the casing of the
 * writer, so that the caller can send one list of each.
 *
 * Reading takes a response in pieces, as it arrives, and passes on record by record. So a response
 * of any length needs the memory of one record. A record of the usual form that is complete in one
 * piece is parsed in place by fast_parser. For all others a scanner finds where they begin and end,
 * and Jansson parses them.
 *
 * Pure. A reader belongs to one thread.
 */
#pragma once

#include "artemis-core/json/codec.h"

enum {
    PEER_RECORD_BYTES_MAX = 256 * 1024,
    /* Of the response with the records of given keys. It has them in the order of the request.
     * Records beyond the limit are left out, and the peer asks again for all after the last one.
     * 1,000 of the largest usual records fit. */
    PEER_FETCH_BYTES_MAX = 16 * 1024 * 1024,
};

/* --- writing ---------------------------------------------------------------------------------- */

void codec_write_peer_instance(struct json_writer *w, const struct wire_record *record,
                               bool legacy);
/* Writes the key with stamp, age and deletion; and with the weight, if record->has_weight. */
void codec_write_peer_key(struct json_writer *w, const struct wire_record *record, bool legacy);

/* --- reading ---------------------------------------------------------------------------------- */

/* The list that contains a record. */
enum peer_list {
    PEER_LIST_INSTANCES, /* instances, also of services */
    PEER_LIST_KEYS,      /* instance_keys, tombstones */
    PEER_LIST_FAILED,    /* failed_instance_keys, failed_instances: keys */
    PEER_LIST_NUMBERS,   /* digests: numbers, not records */
    PEER_LISTS,
};

/* Called for each record, which is borrowed for the call. Records of keys have only `key`. */
typedef void wire_record_read(void *context, enum peer_list list, const struct wire_record *record);
typedef void peer_number_read(void *context, uint64_t number);

struct peer_reader;

/* `context` is passed to the callbacks; on_number may be NULL. ERR_NO_MEMORY. */
MUST_USE enum error peer_reader_create(wire_record_read *on_record, peer_number_read *on_number,
                                       void *context, struct peer_reader **out);
void peer_reader_free(struct peer_reader *reader);
/* Reads the next piece. Invalid records are counted and skipped. ERR_INVALID_JSON, ERR_NO_MEMORY,
 * ERR_TOO_MANY_ITEMS (a record of more than PEER_RECORD_BYTES_MAX). */
MUST_USE enum error peer_reader_feed(struct peer_reader *reader, struct slice piece);
bool peer_reader_ended(
    const struct peer_reader *reader); /* whether the response is complete JSON */
/* Whether it ended with the member "complete":true. */
bool peer_reader_complete(const struct peer_reader *reader);
uint64_t peer_reader_invalid(const struct peer_reader *reader);
