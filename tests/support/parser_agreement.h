/* SPDX-License-Identifier: Apache-2.0
 *
 * parser_agreement - asserts that fast_parser and Jansson read the same from the same text:
 * members, instances, keys, stamps, errors, and the casing of the response. For the test and the
 * fuzzer of fast_parser.
 */
#pragma once

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "artemis-core/base/text_scan.h"
#include "artemis-core/json/codec_internal.h"
#include "artemis-core/json/fast_parser.h"

static inline void agreement_check_problem(enum error a, const struct field_problem *of_a,
                                           enum error b, const struct field_problem *of_b)
{
    assert(a == b);
    if (!a)
        return;
    assert(strcmp(of_a->field, of_b->field) == 0);
    assert(strcmp(of_a->problem, of_b->problem) == 0);
}

/* Null and absent are the same to both. */
static inline void agreement_check_text(const json_t *value, struct slice text)
{
    assert(!value || json_is_null(value) || json_is_string(value));
    assert(json_is_string(value) == (text.data != NULL));
    assert(slice_equal((struct slice){json_string_value(value), json_string_length(value)}, text));
}

static inline void agreement_check_number(const json_t *value, uint64_t number)
{
    assert(!value || json_is_null(value) || json_is_integer(value));
    assert((uint64_t)json_integer_value(value) == number);
}

static inline struct slice agreement_metadata(const struct instance_spec *spec, struct slice name)
{
    for (size_t i = 0; i < spec->metadata_count; i++)
        if (slice_equal(spec->metadata[i].name, name))
            return spec->metadata[i].value;
    return (struct slice){0};
}

static inline void agreement_check_metadata(json_t *metadata, const struct instance_spec *spec)
{
    assert(!metadata || json_is_null(metadata) || json_is_object(metadata));
    assert(json_object_size(metadata) == spec->metadata_count);
    const char *name;
    json_t *value;
    json_object_foreach(metadata, name, value)
        agreement_check_text(value, agreement_metadata(spec, slice_of(name)));
}

static inline void agreement_check_members(const json_t *item, const struct fast_record *fast)
{
    enum name_casing names = NAMES_NEUTRAL;
    for (enum instance_field field = 0; field < TEXT_FIELDS; field++) {
        const struct field_info *info = instance_field_info(field);
        json_t *value;
        char problem[PROBLEM_BYTES];
        enum error error =
            member_get(item, info->name, info->camel, &value, &names, problem, sizeof(problem));
        assert(!error);
        agreement_check_text(value, fast->spec.text[field]);
    }
    assert(names == fast->names);
    agreement_check_number(json_object_get(item, "port"), (uint64_t)fast->spec.port);
    agreement_check_number(json_object_get(item, "weight"), (uint64_t)fast->spec.weight);
    assert(json_is_integer(json_object_get(item, "weight")) == fast->spec.has_weight);
    agreement_check_metadata(json_object_get(item, "metadata"), &fast->spec);
    agreement_check_number(json_object_get(item, "version"), fast->stamp.hlc);
    agreement_check_number(json_object_get(item, "age_ms"), fast->age_ms);
    agreement_check_text(json_object_get(item, "origin"), fast->stamp.node_id);
    assert(json_is_true(json_object_get(item, "deleted")) == fast->deleted);
}

static inline void agreement_check_instance(json_t *item, const struct fast_record *fast)
{
    struct instance *a = NULL;
    struct instance *b = NULL;
    struct field_problem of_a = {0};
    struct field_problem of_b = {0};
    enum name_casing names = NAMES_NEUTRAL;
    enum error error = item_instance(item, &names, &a, &of_a);
    agreement_check_problem(error, &of_a, instance_create(&fast->spec, &b, &of_b), &of_b);
    assert(error ? !a && !b : instance_equal(a, b));
    assert(names == fast->names);
    instance_unref(a);
    instance_unref(b);
}

static inline void agreement_check_key(json_t *item, const struct fast_record *fast)
{
    struct slice parts[KEY_FIELDS] = {0};
    struct field_problem problem;
    enum name_casing names = NAMES_NEUTRAL;
    assert(!item_key_parts(item, &names, parts, &problem));
    for (enum instance_field part = 0; part < KEY_FIELDS; part++)
        assert(slice_equal(parts[part], fast->spec.text[part]));
    assert(names == fast->names);
}

static inline void agreement_check_stamp(json_t *item, const struct fast_record *fast)
{
    struct field_problem of_a = {0};
    struct field_problem of_b = {0};
    struct wire_record record = {0};
    enum error error = item_stamp(item, &record, &of_a);
    agreement_check_problem(error, &of_a, item_check_stamp(&fast->stamp, &of_b), &of_b);
    assert(record.stamp.hlc == fast->stamp.hlc && record.age_ms == fast->age_ms);
    assert(slice_equal(record.stamp.node_id, fast->stamp.node_id));
    assert(record.deleted == fast->deleted && record.has_weight == fast->spec.has_weight);
}

/* `item` is the record as parsed by Jansson; NULL if Jansson rejects it. */
static inline void agreement_check_item(json_t *item, const struct fast_record *fast)
{
    assert(json_is_object(item));
    agreement_check_members(item, fast);
    agreement_check_instance(item, fast);
    agreement_check_key(item, fast);
    agreement_check_stamp(item, fast);
    json_t *again = json_loadb(fast->whole.data, fast->whole.size, JSON_REJECT_DUPLICATES, NULL);
    assert(json_equal(again, item));
    json_decref(again);
}

/* Checks the text as a record. True if fast_parser accepts it. */
static inline bool agreement_check_record(struct slice text)
{
    struct metadata_entry metadata[METADATA_ENTRIES_MAX];
    struct fast_record fast = {.metadata = metadata};
    if (!fast_record_read(text, &fast))
        return false;
    json_t *item = json_loadb(fast.whole.data, fast.whole.size, JSON_REJECT_DUPLICATES, NULL);
    agreement_check_item(item, &fast);
    json_decref(item);
    return true;
}

/* Reads all items of a body and writes the response, in the casing that the body asks for. Returns
 * the casing of the names. */
static inline enum name_casing agreement_respond(struct slice body, bool keys,
                                                 struct text *response)
{
    struct batch *batch = NULL;
    enum name_casing names = NAMES_NEUTRAL;
    char message[MESSAGE_BYTES];
    enum batch_kind kind = keys ? BATCH_OF_KEYS : BATCH_OF_INSTANCES;
    assert(!batch_parse(body, kind, &batch, &names, message));
    for (size_t i = 0; i < batch_count(batch); i++) {
        struct instance *instance = NULL;
        struct instance_key key;
        struct wire_record record = {0};
        enum error error = keys ? batch_key(batch, i, &key) : batch_instance(batch, i, &instance);
        if (!error)
            error = batch_stamp(batch, i, &record);
        if (!error && keys)
            error = batch_fail(batch, i, ERR_INSTANCE_NOT_FOUND, &key);
        assert(error != ERR_NO_MEMORY);
        instance_unref(instance);
    }
    batch_write_response(batch, dialect_choose(false, batch_names(batch), CASING_SNAKE), 0,
                         response);
    assert(!text_failed(response));
    names = batch_names(batch);
    batch_free(batch);
    return names;
}

/* A member that fast_parser does not know sends the same body to Jansson: the responses are
 * equal. */
static inline void agreement_check_response(struct slice body, bool keys)
{
    struct text fast = {0};
    struct text other = {0};
    struct text jansson = {0};
    const char *brace = memchr(body.data, '{', body.size);
    text_append(&other, body.data, (size_t)(brace + 1 - body.data));
    text_append_string(&other, "\"unknown\":0,");
    text_append(&other, brace + 1, body.size - (size_t)(brace + 1 - body.data));
    assert(!text_failed(&other));
    enum name_casing names = agreement_respond(body, keys, &fast);
    enum name_casing names_of_other =
        agreement_respond((struct slice){other.data, other.size}, keys, &jansson);
    assert(names == names_of_other);
    assert(slice_equal((struct slice){fast.data, fast.size},
                       (struct slice){jansson.data, jansson.size}));
    text_free(&fast);
    text_free(&other);
    text_free(&jansson);
}

/* Checks a key that was taken from a list against its record. */
static inline void agreement_check_taken_key(json_t *item, const struct fast_element *taken)
{
    struct fast_record fast = {0};
    struct instance_key key;
    struct field_problem problem;
    struct wire_record expected = {0};
    const struct wire_record *record = &taken->record;
    assert(fast_record_read(taken->whole, &fast) && fast.whole.size == taken->whole.size);
    agreement_check_item(item, &fast);
    enum error error = instance_key_make(fast.spec.text, &key, &problem);
    assert((error != ERR_NONE) == (record->key == NULL));
    if (!error)
        assert(slice_equal(instance_key_packed(&key), instance_key_packed(record->key)));
    fast_record_wire(&fast, &expected);
    assert(taken->names == fast.names && record->stamp.hlc == expected.stamp.hlc);
    assert(slice_equal(record->stamp.node_id, expected.stamp.node_id));
    assert(record->age_ms == expected.age_ms && record->rounds == expected.rounds);
    assert(record->client_revision == expected.client_revision);
    assert(record->deleted == expected.deleted && record->is_guarded == expected.is_guarded);
    assert(record->is_confirming == expected.is_confirming);
}

/* Takes an item of a list, and checks it if `items` is not NULL. */
static inline bool agreement_take(struct fast_list *list, bool keys, json_t *items, size_t index)
{
    size_t size = (size_t)(list->end - list->at) + TEXT_COPY_SLACK;
    struct metadata_entry metadata[METADATA_ENTRIES_MAX];
    struct fast_record fast = {.metadata = metadata};
    struct fast_element taken;
    struct instance_key *key = malloc(size); /* sized so that ASan finds writes behind its end */
    assert(key);
    bool is_taken = keys ? fast_list_take_key(list, key, &taken) : fast_list_take(list, &fast);
    if (is_taken && items && keys)
        agreement_check_taken_key(json_array_get(items, index), &taken);
    else if (is_taken && items)
        agreement_check_item(json_array_get(items, index), &fast);
    free(key);
    return is_taken;
}

/* Takes the items of a body, 1 to `limit`. Returns their number; 0: the body is not accepted. */
static inline size_t agreement_take_all(struct slice body, bool keys, size_t limit, json_t *items,
                                        enum name_casing *names)
{
    struct fast_list list;
    size_t count = 0;
    if (!fast_list_open(body, keys, &list))
        return 0;
    *names = list.names;
    do {
        if (count == limit || !agreement_take(&list, keys, items, count))
            return 0;
        count++;
    } while (fast_list_continues(&list));
    return fast_list_ends(&list) ? count : 0;
}

/* Checks the text as a body of keys, or of instances. True if fast_parser accepts it. */
static inline bool agreement_check_body(struct slice body, bool keys, size_t limit)
{
    enum name_casing names;
    size_t count = agreement_take_all(body, keys, limit, NULL, &names);
    if (count == 0)
        return false;
    json_t *root = json_loadb(body.data, body.size, JSON_REJECT_DUPLICATES, NULL);
    assert(json_object_size(root) == 1);
    const char *name = !keys                  ? "instances"
                       : names == NAMES_CAMEL ? "instanceKeys"
                                              : "instance_keys";
    json_t *items = json_object_get(root, name);
    assert(json_array_size(items) == count);
    size_t again = agreement_take_all(body, keys, limit, items, &names);
    assert(again == count);
    json_decref(root);
    agreement_check_response(body, keys);
    return true;
}
