/* SPDX-License-Identifier: Apache-2.0
 *
 * fast_parser - reads ordinary records as they lie, without building a tree.
 *
 * Heartbeats are by far the most frequent request, and a node that comes back reads everything its
 * peers hold; Jansson's tree was two thirds of the one, and nearly all of the other. This reader
 * takes records of one shape only: an object of members that we know, each once, in either casing.
 * Texts are strings without escapes, in valid UTF-8; numbers are digits, 18 at most; `metadata` is
 * an object of such strings, without a name given twice; null counts as absent, as everywhere. It
 * looks at the whole record before it says yes. Whatever else there is, from an unknown member to a
 * mistake, it leaves to Jansson. What it takes it reads exactly as Jansson would, which a test and
 * a fuzzer hold it to (docs/decisions/0003-json.md).
 *
 * Whether the values are valid is not its concern: ask instance_create, instance_key_make and
 * item_check_stamp.
 *
 * Not for other rooms than the codec. Pure; allocates nothing; slices point into what was read.
 */
#pragma once

#include "artemis-core/model/instance.h"
#include "artemis-core/model/stamp.h"

/* Belongs where it was read to: `spec` points into it. */
struct fast_record {
    struct instance_spec spec; /* of a key, only those texts */
    struct stamp stamp;        /* this and the rest is what peers add; zero where absent */
    uint64_t age_ms;
    bool deleted;
    bool camel;                                           /* it has a camelCase name */
    struct slice whole;                                   /* the record, for Jansson */
    struct metadata_entry metadata[METADATA_ENTRIES_MAX]; /* beyond the count: unset */
};

/* Reads the record that `text` begins with. False when it is not of that shape, or cut. */
bool fast_record_read(struct slice text, struct fast_record *out);

/* --- bodies ----------------------------------------------------------------------------------- */

/* A body whose single member is a list of such records. */
struct fast_list {
    struct slice body;
    size_t items_at; /* where the first item begins */
    size_t at;       /* where the next one to be read does */
    size_t next;     /* its index */
    size_t count;
    bool camel_root; /* the list is called instanceKeys */
};

/* True when the body is `instance_keys` (`keys`; or instanceKeys) or `instances`, of 1 to `limit`
 * items that can be read; then *out is ready to be read. */
bool fast_list_scan(struct slice body, bool keys, size_t limit, struct fast_list *out);

/* Reads item `index`; cheapest in order. */
void fast_list_read(struct fast_list *list, size_t index, struct fast_record *out);
