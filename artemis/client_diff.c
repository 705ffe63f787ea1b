/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/client_diff.h"

#include <stdlib.h>
#include <string.h>

/* --- words ------------------------------------------------------------------------------------ */

/* Below 0: a is behind b. What is not known is behind everything. */
static int compare_words(const struct diff_word *a, const struct diff_word *b)
{
    if (!a->known || !b->known)
        return (int)a->known - (int)b->known;
    struct stamp x = {a->stamp, slice_of(a->origin)};
    struct stamp y = {b->stamp, slice_of(b->origin)};
    return stamp_compare(x, y);
}

static bool lives(const struct diff_word *word)
{
    return word->known && !word->deleted;
}

static bool disagree(const struct diff_word *a, const struct diff_word *b)
{
    if (!lives(a) && !lives(b))
        return false;
    return lives(a) != lives(b) || compare_words(a, b) != 0;
}

bool client_diff_lives(const struct difference *difference, int side)
{
    return lives(&difference->words[side]);
}

bool client_diff_is_newer(const struct difference *difference, int side)
{
    return compare_words(&difference->words[side], &difference->words[!side]) > 0;
}

enum diff_kind client_diff_kind(const struct difference *difference, int *side)
{
    const struct diff_word *words = difference->words;
    for (int i = 0; i < 2; i++)
        if (!lives(&words[i])) {
            *side = i;
            return words[i].known ? DIFF_DELETED : DIFF_LACKS;
        }
    *side = compare_words(&words[0], &words[1]) < 0 ? 0 : 1;
    return DIFF_OLDER;
}

/* --- memory ----------------------------------------------------------------------------------- */

static void free_entry(struct diff_entry *entry)
{
    instance_unref(entry->key);
    free(entry->word.origin);
}

static void free_difference(struct difference *difference)
{
    instance_unref(difference->key);
    free(difference->words[0].origin);
    free(difference->words[1].origin);
}

void client_diff_free_list(struct diff_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free_entry(&list->entries[i]);
    free(list->entries);
    *list = (struct diff_list){0};
}

void client_diff_free(struct diff_report *report)
{
    for (size_t i = 0; i < report->count; i++)
        free_difference(&report->items[i]);
    free(report->items);
    *report = (struct diff_report){0};
}

/* Room for one more of `size` bytes; false without memory. */
static bool make_room(void **items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return true;
    size_t larger = *capacity ? *capacity * 2 : 64;
    void *moved = realloc(*items, larger * size);
    if (!moved)
        return false;
    *items = moved;
    *capacity = larger;
    return true;
}

/* --- what differs ----------------------------------------------------------------------------- */

void client_diff_hear(struct diff_list *list, const struct wire_record *record)
{
    struct slice origin = record->stamp.node_id;
    void *entries = list->entries;
    bool room = make_room(&entries, list->count, &list->capacity, sizeof(*list->entries));
    list->entries = entries;
    struct diff_entry entry = {
        .key = instance_of_key(wire_record_key(record)),
        .word = {true, record->deleted, record->stamp.hlc,
                 strndup(origin.data ? origin.data : "", origin.size)},
    };
    if (!room || !entry.key || !entry.word.origin) {
        free_entry(&entry);
        list->failed = true;
        return;
    }
    list->entries[list->count++] = entry;
}

static int compare_keys(const struct instance *a, const struct instance *b)
{
    struct slice x = instance_packed_key(a);
    struct slice y = instance_packed_key(b);
    int order = memcmp(x.data, y.data, x.size < y.size ? x.size : y.size);
    return order ? order : (x.size > y.size) - (x.size < y.size);
}

static int by_key(const void *a, const void *b)
{
    const struct diff_entry *x = a;
    const struct diff_entry *y = b;
    return compare_keys(x->key, y->key);
}

static void sort_list(struct diff_list *list)
{
    if (list->count > 0)
        qsort(list->entries, list->count, sizeof(*list->entries), by_key);
}

/* Takes the entries over; NULL where a side does not know the key. */
static void note(struct diff_report *report, struct diff_entry *a, struct diff_entry *b)
{
    struct difference difference = {
        .key = instance_ref(a ? a->key : b->key),
        .words = {a ? a->word : (struct diff_word){0}, b ? b->word : (struct diff_word){0}},
    };
    if (a)
        instance_unref(a->key);
    if (b)
        instance_unref(b->key);
    void *items = report->items;
    bool differ = disagree(&difference.words[0], &difference.words[1]);
    if (differ && make_room(&items, report->count, &report->capacity, sizeof(*report->items))) {
        report->items = items;
        report->items[report->count++] = difference;
        return;
    }
    report->failed |= differ;
    free_difference(&difference);
}

void client_diff_merge(struct diff_list *a, struct diff_list *b, struct diff_report *report)
{
    report->failed |= a->failed || b->failed;
    sort_list(a);
    sort_list(b);
    for (size_t i = 0, j = 0; i < a->count || j < b->count;) {
        int order = i == a->count   ? 1
                    : j == b->count ? -1
                                    : compare_keys(a->entries[i].key, b->entries[j].key);
        note(report, order <= 0 ? &a->entries[i] : NULL, order >= 0 ? &b->entries[j] : NULL);
        i += order <= 0;
        j += order >= 0;
    }
    a->count = 0; /* the report has what they held */
    b->count = 0;
    client_diff_free_list(a);
    client_diff_free_list(b);
}

/* --- the second look -------------------------------------------------------------------------- */

static int difference_by_key(const void *a, const void *b)
{
    const struct difference *x = a;
    const struct difference *y = b;
    return compare_keys(x->key, y->key);
}

static void sort_by_key(struct diff_report *report)
{
    if (report->count > 0)
        qsort(report->items, report->count, sizeof(*report->items), difference_by_key);
}

/* Is the side that was behind still where it was? */
static bool stands_still(const struct difference *first, const struct difference *second)
{
    int behind = compare_words(&first->words[0], &first->words[1]) < 0 ? 0 : 1;
    return compare_words(&first->words[behind], &second->words[behind]) == 0;
}

void client_diff_confirm(struct diff_report *first, struct diff_report *second)
{
    size_t kept = 0;
    sort_by_key(first);
    sort_by_key(second);
    for (size_t i = 0, j = 0; j < second->count; j++) {
        struct difference *item = &second->items[j];
        while (i < first->count && difference_by_key(&first->items[i], item) < 0)
            i++;
        bool again = i < first->count && difference_by_key(&first->items[i], item) == 0;
        if (again && stands_still(&first->items[i], item))
            second->items[kept++] = *item;
        else
            free_difference(item);
    }
    second->count = kept;
}

static int compare_part(const struct difference *a, const struct difference *b,
                        enum instance_field part)
{
    struct slice x = instance_text(a->key, part);
    struct slice y = instance_text(b->key, part);
    int order =
        memcmp(x.data ? x.data : "", y.data ? y.data : "", x.size < y.size ? x.size : y.size);
    return order ? order : (x.size > y.size) - (x.size < y.size);
}

static int for_people(const void *a, const void *b)
{
    static const enum instance_field order[] = {FIELD_SERVICE, FIELD_GROUP, FIELD_INSTANCE,
                                                FIELD_REGION, FIELD_ZONE};
    int result = 0;
    for (size_t i = 0; i < sizeof order / sizeof *order && result == 0; i++)
        result = compare_part(a, b, order[i]);
    return result;
}

void client_diff_sort(struct diff_report *report)
{
    if (report->count > 0)
        qsort(report->items, report->count, sizeof(*report->items), for_people);
}
