/* SPDX-License-Identifier: Apache-2.0
 *
 * parser_agreement - whether the reader of ordinary records (artemis-core/codec_hot) says what
 * Jansson
 * says of the same text. Asserts that it does; for its test and its fuzzer.
 */
#pragma once

#include <assert.h>
#include <string.h>

#include "artemis-core/json/codec_internal.h"
#include "artemis-core/json/fast_parser.h"

static inline void hot_check_same_problem(enum error a, const struct field_problem *of_a,
                                          enum error b, const struct field_problem *of_b)
{
    assert(a == b);
    if (!a)
        return;
    assert(strcmp(of_a->field, of_b->field) == 0);
    assert(strcmp(of_a->problem, of_b->problem) == 0);
}

/* Null and absent are the same, to both. */
static inline void hot_check_same_text(const json_t *value, struct slice text)
{
    assert(!value || json_is_null(value) || json_is_string(value));
    assert(json_is_string(value) == (text.data != NULL));
    assert(slice_equal((struct slice){json_string_value(value), json_string_length(value)}, text));
}

static inline void hot_check_same_number(const json_t *value, uint64_t number)
{
    assert(!value || json_is_null(value) || json_is_integer(value));
    assert((uint64_t)json_integer_value(value) == number);
}

static inline struct slice hot_metadata(const struct instance_spec *spec, struct slice name)
{
    for (size_t i = 0; i < spec->metadata_count; i++)
        if (slice_equal(spec->metadata[i].name, name))
            return spec->metadata[i].value;
    return (struct slice){0};
}

static inline void hot_check_same_metadata(json_t *metadata, const struct instance_spec *spec)
{
    assert(!metadata || json_is_null(metadata) || json_is_object(metadata));
    assert(json_object_size(metadata) == spec->metadata_count);
    const char *name;
    json_t *value;
    json_object_foreach(metadata, name, value)
        hot_check_same_text(value, hot_metadata(spec, slice_of(name)));
}

static inline void hot_check_same_members(const json_t *item, const struct fast_record *hot)
{
    bool camel = false;
    for (enum instance_field field = 0; field < TEXT_FIELDS; field++) {
        const struct field_info *info = instance_field_info(field);
        json_t *value;
        char problem[PROBLEM_BYTES];
        enum error error =
            member_get(item, info->name, info->camel, &value, &camel, problem, sizeof(problem));
        assert(!error);
        hot_check_same_text(value, hot->spec.text[field]);
    }
    assert(camel == hot->camel);
    hot_check_same_number(json_object_get(item, "port"), (uint64_t)hot->spec.port);
    hot_check_same_metadata(json_object_get(item, "metadata"), &hot->spec);
    hot_check_same_number(json_object_get(item, "version"), hot->stamp.hlc);
    hot_check_same_number(json_object_get(item, "age_ms"), hot->age_ms);
    hot_check_same_text(json_object_get(item, "origin"), hot->stamp.node_id);
    assert(json_is_true(json_object_get(item, "deleted")) == hot->deleted);
}

/* What comes of it: the instance, and what a peer adds. */
static inline void hot_check_same_outcome(json_t *item, const struct fast_record *hot)
{
    struct instance *a = NULL;
    struct instance *b = NULL;
    struct field_problem of_a = {0};
    struct field_problem of_b = {0};
    bool camel = false;
    enum error error = item_instance(item, &camel, &a, &of_a);
    hot_check_same_problem(error, &of_a, instance_create(&hot->spec, &b, &of_b), &of_b);
    assert(error ? !a && !b : instance_equal(a, b));
    instance_unref(a);
    instance_unref(b);
    struct wire_record record = {0};
    error = item_stamp(item, &record, &of_a);
    hot_check_same_problem(error, &of_a, item_check_stamp(&hot->stamp, &of_b), &of_b);
    assert(record.stamp.hlc == hot->stamp.hlc && record.age_ms == hot->age_ms);
    assert(slice_equal(record.stamp.node_id, hot->stamp.node_id));
    assert(record.deleted == hot->deleted);
}

/* `item`: what Jansson makes of the record, NULL where it refuses. */
static inline void hot_check_item(json_t *item, const struct fast_record *hot)
{
    assert(json_is_object(item));
    hot_check_same_members(item, hot);
    hot_check_same_outcome(item, hot);
    json_t *again = json_loadb(hot->whole.data, hot->whole.size, JSON_REJECT_DUPLICATES, NULL);
    assert(json_equal(again, item));
    json_decref(again);
}

/* The text as a record. True when it is taken. */
static inline bool hot_check_record(struct slice text)
{
    struct fast_record hot;
    if (!fast_record_read(text, &hot))
        return false;
    json_error_t why;
    json_t *item = json_loadb(hot.whole.data, hot.whole.size, JSON_REJECT_DUPLICATES, &why);
    hot_check_item(item, &hot);
    json_decref(item);
    return true;
}

/* The text as a body of keys, or of instances. True when it is taken. */
static inline bool hot_check_body(struct slice body, bool keys, size_t limit)
{
    struct fast_list list;
    if (!fast_list_scan(body, keys, limit, &list))
        return false;
    json_t *root = json_loadb(body.data, body.size, JSON_REJECT_DUPLICATES, NULL);
    assert(json_object_size(root) == 1);
    const char *name = !keys ? "instances" : list.camel_root ? "instanceKeys" : "instance_keys";
    json_t *items = json_object_get(root, name);
    assert(json_array_size(items) == list.count && list.count <= limit);
    /* Backwards too: reading out of order starts again. */
    for (size_t i = 0; i < 2 * list.count; i++) {
        size_t index = i < list.count ? i : 2 * list.count - 1 - i;
        struct fast_record item;
        fast_list_read(&list, index, &item);
        hot_check_item(json_array_get(items, index), &item);
    }
    json_decref(root);
    return true;
}
