/* SPDX-License-Identifier: Apache-2.0
 *
 * codec_hot - reads the ordinary heartbeat body without building a tree.
 *
 * Heartbeats are by far the most frequent request, and Jansson's tree was two thirds of what one
 * cost. This reader takes bodies of one shape only: an object whose single member is
 * `instance_keys` (or `instanceKeys`), a list of objects that hold key fields, each once, as plain
 * ASCII strings without escapes; and what peers add: `version` and `age_ms`, numbers of at most 18
 * digits, and `origin`. It looks at the whole body before it says yes; whatever else there is, from
 * an unknown member to a mistake, it leaves to Jansson. What it takes it reads exactly as Jansson
 * would, which a test and a fuzzer hold it to (docs/decisions/0003-json.md).
 *
 * Not for other rooms than the codec. Pure; allocates nothing; slices point into the body.
 */
#pragma once

#include "artemis-core/instance.h"
#include "artemis-core/version.h"

struct hot_keys {
    struct slice body;
    size_t items_at; /* where the first item begins */
    size_t at;       /* where the next one to be read does */
    size_t next;     /* its index */
    size_t count;
    bool camel_root; /* the list is called instanceKeys */
};

struct hot_item {
    struct slice parts[KEY_FIELDS]; /* absent ones are empty slices */
    struct version version;         /* zero where it is absent */
    uint64_t age_ms;
    struct slice whole; /* the item as it lies, for Jansson */
};

/* True when the body is of that shape, with at most `limit` items; then *out is ready to be
 * read. */
bool hot_keys_scan(struct slice body, size_t limit, struct hot_keys *out);

/* Reads item `index`; cheapest in order. Sets *camel when it has a camelCase name. */
void hot_keys_read(struct hot_keys *keys, size_t index, struct hot_item *out, bool *camel);
