/* SPDX-License-Identifier: Apache-2.0
 *
 * The reader of ordinary heartbeat bodies against Jansson: whatever it takes, Jansson takes too,
 * and finds the same parts in the same places.
 */
#include "artemis-core/codec_hot.h"

#include <jansson.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

enum { LIMIT = 1000 };

static void check_item(const json_t *item, const struct hot_item *hot)
{
    const struct slice *parts = hot->parts;
    const json_t *version = json_object_get(item, "version");
    const json_t *age = json_object_get(item, "age_ms");
    const json_t *origin = json_object_get(item, "origin");
    size_t members = (size_t)(version != NULL) + (age != NULL) + (origin != NULL);
    assert(!version || json_is_integer(version));
    assert(!age || json_is_integer(age));
    assert((uint64_t)json_integer_value(version) == hot->version.stamp);
    assert((uint64_t)json_integer_value(age) == hot->age_ms);
    assert(!origin || slice_equal(slice_of(json_string_value(origin)), hot->version.origin));
    for (enum instance_field field = 0; field < KEY_FIELDS; field++) {
        const json_t *value = json_object_get(item, instance_field_info(field)->name);
        if (!value)
            value = json_object_get(item, instance_field_info(field)->camel);
        assert((value != NULL) == (parts[field].data != NULL));
        if (!value)
            continue;
        assert(slice_equal((struct slice){json_string_value(value), json_string_length(value)},
                           parts[field]));
        members++;
    }
    assert(members == json_object_size(item));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice body = {(const char *)data, size};
    struct hot_keys keys;
    if (!hot_keys_scan(body, LIMIT, &keys))
        return 0;
    json_t *root = json_loadb(body.data, body.size, JSON_REJECT_DUPLICATES, NULL);
    assert(root && json_object_size(root) == 1);
    const json_t *list = json_object_get(root, keys.camel_root ? "instanceKeys" : "instance_keys");
    assert(json_array_size(list) == keys.count);
    for (size_t i = 0; i < keys.count; i++) {
        struct hot_item item;
        bool camel = false;
        hot_keys_read(&keys, i, &item, &camel);
        check_item(json_array_get(list, i), &item);
    }
    json_decref(root);
    return 0;
}
