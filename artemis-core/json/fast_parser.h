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
 * and item_check_stamp do. Only the keys of a list are validated and packed while they are read.
 *
 * Internal to the codec. Pure; allocates nothing; slices point into the parsed text.
 */
#pragma once

#include "artemis-core/json/casing.h"
#include "artemis-core/model/instance.h"
#include "artemis-core/model/stamp.h"
#include "artemis-core/model/wire_record.h"

struct fast_record {
    struct instance_spec spec; /* of a key: only its texts, the client revision and
                                  has_weight are used */
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

/* Parses a change as servers push it, which is the whole text: its instance, change_type and
 * change_time, in this order. out->metadata as above. */
bool fast_change_read(struct slice text, struct fast_record *instance, struct slice *type,
                      struct slice *time);

/* Copies what peers add. */
static inline void fast_record_wire(const struct fast_record *fast, struct wire_record *record)
{
    record->stamp = fast->stamp;
    record->age_ms = fast->age_ms;
    record->client_revision = fast->spec.client_revision;
    record->has_weight = fast->spec.has_weight;
    record->deleted = fast->deleted;
    record->is_guarded = fast->guarded;
    record->is_confirming = fast->confirming;
    record->rounds = fast->rounds;
}

/* --- bodies ----------------------------------------------------------------------------------- */

/* A body whose only member is a list of such records. Its items are taken in order:
 *
 *     fast_list_open, then
 *     fast_list_take or fast_list_take_key, while fast_list_continues, then
 *     fast_list_ends
 *
 * If one of them fails, the body is not of the usual form. */
struct fast_list {
    const char *at;         /* of the next item */
    const char *end;        /* of the body */
    enum name_casing names; /* of the name of the list */
};

/* An item that was taken. */
struct fast_element {
    struct slice whole;        /* its JSON */
    struct wire_record record; /* its key (NULL: not valid), and what peers add */
    enum name_casing names;
};

/* True if the list is `instance_keys` or `instanceKeys` (if `keys`), or `instances` (if not). */
bool fast_list_open(struct slice body, bool keys, struct fast_list *out);
bool fast_list_take(struct fast_list *list, struct fast_record *out);
/* Takes an item of a list of keys, which has no metadata. Its key is validated and packed to `key`:
 * at most as many bytes are written there as the item has, and TEXT_COPY_SLACK more. A key that
 * is not valid is taken, too; instance_key_make says why. */
bool fast_list_take_key(struct fast_list *list, struct instance_key *key, struct fast_element *out);
/* Whether another item follows. */
bool fast_list_continues(struct fast_list *list);
/* Whether the body is complete after the last item. */
bool fast_list_ends(const struct fast_list *list);
