/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/call/record_diff.h"

#include <stdlib.h>
#include <string.h>

#include "artemis-core/model/record_order.h"

/* --- copies ------------------------------------------------------------------------------------
 */

static int compare_changes(const struct diff_copy *a, const struct diff_copy *b)
{
    struct record_order x = {a->client_revision, {a->stamp, slice_of(a->origin)}};
    struct record_order y = {b->client_revision, {b->stamp, slice_of(b->origin)}};
    return record_order_compare(x, y);
}

/* Below 0: a is older than b, or it is the same change without the weight. A missing record is
 * older than any. */
static int compare_copies(const struct diff_copy *a, const struct diff_copy *b)
{
    if (!a->known || !b->known)
        return (int)a->known - (int)b->known;
    int order = compare_changes(a, b);
    return order ? order : (int)a->has_weight - (int)b->has_weight;
}

static bool is_live(const struct diff_copy *copy)
{
    return copy->known && !copy->deleted;
}

static bool differ(const struct diff_copy *a, const struct diff_copy *b)
{
    if (!is_live(a) && !is_live(b))
        return false;
    return is_live(a) != is_live(b) || compare_copies(a, b) != 0;
}

bool record_diff_is_live(const struct difference *difference, int side)
{
    return is_live(&difference->copies[side]);
}

bool record_diff_is_newer(const struct difference *difference, int side)
{
    return compare_copies(&difference->copies[side], &difference->copies[!side]) > 0;
}

enum diff_kind record_diff_kind(const struct difference *difference, int *side)
{
    const struct diff_copy *copies = difference->copies;
    for (int i = 0; i < 2; i++)
        if (!is_live(&copies[i])) {
            *side = i;
            return copies[i].known ? DIFF_DELETED : DIFF_LACKS;
        }
    *side = compare_copies(&copies[0], &copies[1]) < 0 ? 0 : 1;
    return compare_changes(&copies[0], &copies[1]) == 0 ? DIFF_WEIGHT : DIFF_OLDER;
}

/* --- memory ----------------------------------------------------------------------------------- */

static void free_item(struct diff_item *item)
{
    instance_unref(item->key);
    free(item->copy.origin);
}

static void free_difference(struct difference *difference)
{
    instance_unref(difference->key);
    free(difference->copies[0].origin);
    free(difference->copies[1].origin);
}

void record_diff_free_list(struct diff_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free_item(&list->items[i]);
    free(list->items);
    *list = (struct diff_list){0};
}

void record_diff_free(struct diff_report *report)
{
    for (size_t i = 0; i < report->count; i++)
        free_difference(&report->items[i]);
    free(report->items);
    *report = (struct diff_report){0};
}

/* Grows the list by one item of `size` bytes. False: out of memory. */
static bool reserve_item(void **items, size_t count, size_t *capacity, size_t size)
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

/* --- differences  */

void record_diff_add(struct diff_list *list, const struct wire_record *record)
{
    struct slice origin = record->stamp.node_id;
    void *items = list->items;
    bool reserved = reserve_item(&items, list->count, &list->capacity, sizeof(*list->items));
    list->items = items;
    struct diff_item item = {
        .key = instance_of_key(wire_record_key(record), 0),
        .copy = {.known = true,
                 .deleted = record->deleted,
                 .has_weight = record->has_weight,
                 .stamp = record->stamp.hlc,
                 .origin = strndup(origin.data ? origin.data : "", origin.size),
                 .client_revision = wire_record_client_revision(record)},
    };
    if (!reserved || !item.key || !item.copy.origin) {
        free_item(&item);
        list->failed = true;
        return;
    }
    list->items[list->count++] = item;
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
    const struct diff_item *x = a;
    const struct diff_item *y = b;
    return compare_keys(x->key, y->key);
}

static void sort_list(struct diff_list *list)
{
    if (list->count > 0)
        qsort(list->items, list->count, sizeof(*list->items), by_key);
}

/* Consumes the items; NULL where a node has no record. */
static void add_difference(struct diff_report *report, struct diff_item *a, struct diff_item *b)
{
    struct difference difference = {
        .key = instance_ref(a ? a->key : b->key),
        .copies = {a ? a->copy : (struct diff_copy){0}, b ? b->copy : (struct diff_copy){0}},
    };
    if (a)
        instance_unref(a->key);
    if (b)
        instance_unref(b->key);
    void *items = report->items;
    bool differs = differ(&difference.copies[0], &difference.copies[1]);
    if (differs && reserve_item(&items, report->count, &report->capacity, sizeof(*report->items))) {
        report->items = items;
        report->items[report->count++] = difference;
        return;
    }
    report->failed |= differs;
    free_difference(&difference);
}

void record_diff_merge(struct diff_list *a, struct diff_list *b, struct diff_report *report)
{
    report->failed |= a->failed || b->failed;
    sort_list(a);
    sort_list(b);
    for (size_t i = 0, j = 0; i < a->count || j < b->count;) {
        int order = i == a->count   ? 1
                    : j == b->count ? -1
                                    : compare_keys(a->items[i].key, b->items[j].key);
        add_difference(report, order <= 0 ? &a->items[i] : NULL, order >= 0 ? &b->items[j] : NULL);
        i += order <= 0;
        j += order >= 0;
    }
    a->count = 0; /* the report owns the items now */
    b->count = 0;
    record_diff_free_list(a);
    record_diff_free_list(b);
}

/* --- confirmation  */

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

/* True if the node that was behind has not changed. */
static bool is_unchanged(const struct difference *first, const struct difference *second)
{
    int behind = compare_copies(&first->copies[0], &first->copies[1]) < 0 ? 0 : 1;
    return compare_copies(&first->copies[behind], &second->copies[behind]) == 0;
}

void record_diff_confirm(struct diff_report *first, struct diff_report *second)
{
    size_t kept = 0;
    sort_by_key(first);
    sort_by_key(second);
    for (size_t i = 0, j = 0; j < second->count; j++) {
        struct difference *item = &second->items[j];
        while (i < first->count && difference_by_key(&first->items[i], item) < 0)
            i++;
        bool again = i < first->count && difference_by_key(&first->items[i], item) == 0;
        if (again && is_unchanged(&first->items[i], item))
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

static int compare_for_display(const void *a, const void *b)
{
    static const enum instance_field order[] = {FIELD_SERVICE, FIELD_GROUP, FIELD_INSTANCE,
                                                FIELD_REGION, FIELD_ZONE};
    int result = 0;
    for (size_t i = 0; i < sizeof order / sizeof *order && result == 0; i++)
        result = compare_part(a, b, order[i]);
    return result;
}

void record_diff_sort(struct diff_report *report)
{
    if (report->count > 0)
        qsort(report->items, report->count, sizeof(*report->items), compare_for_display);
}
