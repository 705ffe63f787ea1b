/* SPDX-License-Identifier: Apache-2.0
 *
 * fast_parser - parses instances and keys of the usual form in place, without building a tree.
 *
 * Most requests are heartbeats, and a node that bootstraps parses everything that its peers hold;
 * building a tree with Jansson took two thirds of the time of a heartbeat and most of a bootstrap.
 * This parser accepts records of one form only:
 *   - an object of known members, each at most once, in either casing;
 *   - texts are strings without escapes, in valid UTF-8;
 *   - numbers are 1 to 18 digits;
 *   - `metadata` is an object of such strings, without a name given twice;
 *   - null counts as absent.
 * It rejects everything else, valid or not, and the caller uses Jansson instead. It reads what it
 * accepts exactly as the Jansson path does; a test and a differential fuzzer check that
 * (docs/decisions/0003-json.md). It does not validate values: instance_create, instance_key_make
 * and item_check_stamp do.
 *
 * Internal to the codec. Pure; allocates nothing; slices point into the parsed text.
 */
#pragma once

#include "artemis-core/json/casing.h"
#include "artemis-core/model/instance.h"
#include "artemis-core/model/stamp.h"
#include "artemis-core/model/wire_record.h"

struct fast_record {
    struct instance_spec spec; /* of a key: only its texts and the client revision are used */
    struct stamp stamp;        /* added by peers, as the next five; zero if absent */
    uint64_t age_ms;
    uint64_t rounds;
    bool deleted;
    bool guarded;
    bool confirming;
    enum name_casing names;
    struct slice whole; /* the JSON of the record */
    /* Set by the caller: METADATA_ENTRIES_MAX entries, to which spec.metadata points afterwards.
     * NULL: a record with metadata is rejected. */
    struct metadata_entry *metadata;
};

/* Parses the record at the start of `text`. False if it is not of that form, or truncated. */
bool fast_record_read(struct slice text, struct fast_record *out);

/* Copies what peers add. */
static inline void fast_record_wire(const struct fast_record *fast, struct wire_record *record)
{
    record->stamp = fast->stamp;
    record->age_ms = fast->age_ms;
    record->client_revision = fast->spec.client_revision;
    record->deleted = fast->deleted;
    record->is_guarded = fast->guarded;
    record->is_confirming = fast->confirming;
    record->rounds = fast->rounds;
}

/* --- bodies ----------------------------------------------------------------------------------- */

/* A body whose only member is a list of such records. */
struct fast_list {
    struct slice body;
    size_t items_at; /* offset of the first item */
    size_t at;       /* offset of item `next` */
    size_t next;     /* index of the item to read next */
    size_t count;
    enum name_casing names; /* of the name of the list */
};

/* Checks the whole body. True if its list is `instance_keys` or `instanceKeys` (if `keys`), whose
 * items have no metadata, or `instances` (if not), with 1 to `limit` items that can be parsed; then
 * *out is filled. The first kept_max items of a list of keys are stored in `kept`. If there are
 * more, *last holds the last one. Neither need be read again. */
bool fast_list_scan(struct slice body, bool keys, size_t limit, struct fast_record *kept,
                    size_t kept_max, struct fast_list *out, struct fast_record *last);

/* Parses item `index`. Reading in ascending order is the fastest. Items of `instance_keys` need no
 * out->metadata. */
void fast_list_read(struct fast_list *list, size_t index, struct fast_record *out);
