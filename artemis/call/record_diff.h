/* SPDX-License-Identifier: Apache-2.0
 *
 * record_diff - finds the keys whose records differ between two nodes.
 *
 * The caller adds the records of each node to a `diff_list`, bucket by bucket. record_diff_merge
 * keeps the differences and frees the rest, so memory holds the differences and the keys of a few
 * buckets. A key differs when an instance is live on at least one node, and the other node has
 * another content, a tombstone, or no record. Equal stamps name the same content but for the
 * weight, which a node of an earlier version drops. A key that is live on neither node does not
 * count.
 *
 * A change reaches one node before the other, so a difference counts only when it is confirmed: a
 * second comparison finds it again, and the node that is behind has not changed in between.
 *
 * Pure. Allocation failures are recorded in `failed` of the object that was being filled.
 */
#pragma once

#include "artemis-core/model/wire_record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The copy of a record that a node holds. */
struct diff_copy {
    bool known;
    bool deleted;
    bool has_weight; /* not the default */
    uint64_t stamp;  /* 0: the node reported none */
    char *origin;    /* owned; NULL: unknown */
    uint64_t client_revision;
};

struct diff_item {
    struct instance *key; /* instance that holds only the key; owns one reference */
    struct diff_copy copy;
};

struct diff_list {
    struct diff_item *items;
    size_t count, capacity;
    bool failed;
};

struct difference {
    struct instance *key;
    struct diff_copy copies[2]; /* of the first node, of the second */
};

struct diff_report {
    struct difference *items;
    size_t count, capacity;
    bool failed;
};

enum diff_kind {
    DIFF_LACKS,   /* one node has no record */
    DIFF_DELETED, /* one node has a tombstone */
    DIFF_OLDER,   /* live on both; one node has an older record */
    DIFF_WEIGHT,  /* live on both with equal stamps; one node lacks the weight */
};

/* Adds a record of a node. */
void record_diff_add(struct diff_list *list, const struct wire_record *record);
/* Adds the differences to the report; empties both lists. */
void record_diff_merge(struct diff_list *a, struct diff_list *b, struct diff_report *report);
/* Removes from `second` what `first` does not confirm. Sorts both by key. */
void record_diff_confirm(struct diff_report *first, struct diff_report *second);
/* Sorts by service, group, instance, region, zone, for display. */
void record_diff_sort(struct diff_report *report);

/* The kind of difference. *side is the node that has no record, a tombstone, the older record, or
 * no weight: 0 or 1. */
enum diff_kind record_diff_kind(const struct difference *difference, int *side);
/* For DIFF_DELETED: true if the deletion is later than the other node's record. */
bool record_diff_is_newer(const struct difference *difference, int side);
/* True if the instance is live on this node. */
bool record_diff_is_live(const struct difference *difference, int side);

void record_diff_free_list(struct diff_list *list);
void record_diff_free(struct diff_report *report);
