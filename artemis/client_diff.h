/* SPDX-License-Identifier: Apache-2.0
 *
 * client_diff - on which keys two nodes disagree.
 *
 * Each node's keys go into a `diff_list`, bucket by bucket; client_diff_merge keeps what differs
 * and lets go of the rest, so that memory holds the differences and one stretch of keys. Two nodes
 * disagree on a key when an instance lives on at least one of them and the other has another
 * version of it, has it deleted, or does not know it. What neither has alive is no disagreement,
 * whatever they remember of it.
 *
 * A change is at one node before it is at the other, so a difference counts only once it is
 * confirmed: when a second look finds it too, and the side that is behind has not moved meanwhile.
 *
 * Pure. Failures of memory stay in `failed` of what was being filled.
 */
#pragma once

#include "artemis-core/model/wire_record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a node says of a key. */
struct diff_word {
    bool known;
    bool deleted;
    uint64_t stamp; /* of its version; 0: it named none */
    char *origin;   /* owned; NULL: unknown */
};

struct diff_entry {
    struct instance *key; /* an instance that is nothing but its key; one reference */
    struct diff_word word;
};

struct diff_list {
    struct diff_entry *entries;
    size_t count, capacity;
    bool failed;
};

struct difference {
    struct instance *key;
    struct diff_word words[2]; /* of the first node, of the second */
};

struct diff_report {
    struct difference *items;
    size_t count, capacity;
    bool failed;
};

enum diff_kind {
    DIFF_LACKS,   /* one side does not know the key */
    DIFF_DELETED, /* one side has it deleted */
    DIFF_OLDER,   /* it lives at both; one side has an older version */
};

/* Adds what a node said of a key. */
void client_diff_hear(struct diff_list *list, const struct wire_record *record);
/* Adds what the two disagree on to the report; empties both lists. */
void client_diff_merge(struct diff_list *a, struct diff_list *b, struct diff_report *report);
/* Takes out of `second` what `first` does not confirm. Sorts both, by key. */
void client_diff_confirm(struct diff_report *first, struct diff_report *second);
/* By service, group, instance, region, zone: for people. */
void client_diff_sort(struct diff_report *report);

/* What it is, and in *side which node is the one that lacks, has deleted, or is older: 0 or 1. */
enum diff_kind client_diff_kind(const struct difference *difference, int *side);
/* Of a DIFF_DELETED: is the deletion the later word? */
bool client_diff_is_newer(const struct difference *difference, int side);
/* Does the key live at this side? */
bool client_diff_lives(const struct difference *difference, int side);

void client_diff_free_list(struct diff_list *list);
void client_diff_free(struct diff_report *report);
