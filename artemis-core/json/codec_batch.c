/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/json/codec.h"

#include <assert.h>
#include <sanitizer/asan_interface.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "artemis-core/base/text_scan.h"
#include "artemis-core/json/codec_batch_internal.h"

enum {
    EXCERPT_BYTES = 80,
    ITEM_BYTES = 64,             /* of an item with the four names of a key */
    ALIGNMENT = alignof(void *), /* of instances in the memory of a batch */
};

/* --- the list --------------------------------------------------------------------------------- */

static const char *list_name(bool keys, enum name_casing names)
{
    return !keys ? "instances" : names == NAMES_CAMEL ? "instanceKeys" : "instance_keys";
}

static enum error find_list(struct batch *batch, enum batch_kind kind, char message[MESSAGE_BYTES])
{
    struct document *document = &batch->document;
    char problem[PROBLEM_BYTES];
    json_t *list = NULL;
    if (kind == BATCH_OF_KEYS) {
        enum error error = member_get(document->root, "instance_keys", "instanceKeys", &list,
                                      &document->names, problem, sizeof(problem));
        if (error) {
            snprintf(message, MESSAGE_BYTES, "instance_keys: %s", problem);
            return error;
        }
        batch->keys = list != NULL;
    }
    if (!list)
        list = json_object_get(document->root, "instances");
    const char *name = list_name(batch->keys, document->names);
    if (!list || json_is_null(list)) {
        snprintf(message, MESSAGE_BYTES, "%s: is required",
                 kind == BATCH_OF_KEYS ? "instance_keys (or instances)" : "instances");
        return ERR_INVALID_FIELD;
    }
    if (!json_is_array(list)) {
        char excerpt[EXCERPT_BYTES];
        json_excerpt(list, excerpt, sizeof(excerpt));
        snprintf(message, MESSAGE_BYTES, "%s: must be a list, is %s", name, excerpt);
        return ERR_INVALID_FIELD;
    }
    if (json_array_size(list) > BATCH_ITEMS_MAX) {
        snprintf(message, MESSAGE_BYTES, "%s: must be at most %d items, has %zu", name,
                 BATCH_ITEMS_MAX, json_array_size(list));
        return ERR_TOO_MANY_ITEMS;
    }
    batch->list = list;
    return ERR_NONE;
}

/* Makes space for one more item. A body of many small ones needs more than was allocated with the
 * batch. ERR_INVALID_JSON: there are too many. ERR_NO_MEMORY. */
static enum error grow_items(struct batch *batch)
{
    if (batch->count == BATCH_ITEMS_MAX)
        return ERR_INVALID_JSON;
    struct fast_element *items = malloc(BATCH_ITEMS_MAX * sizeof(*items));
    if (!items)
        return ERR_NO_MEMORY;
    if (batch->count)
        memcpy(items, batch->items, batch->count * sizeof(*items));
    batch->items = items;
    batch->capacity = BATCH_ITEMS_MAX;
    return ERR_NONE;
}

/* The names of an item include those of the items before it, which are read first. */
static void add_names_before(const struct batch *batch, struct fast_element *item)
{
    if (item > batch->items)
        name_casing_add(&item->names, item[-1].names);
}

/* Takes a key, and packs it to *packed. */
static enum error scan_key(struct batch *batch, struct fast_list *list, char **packed)
{
    enum error error = batch->count < batch->capacity ? ERR_NONE : grow_items(batch);
    if (error)
        return error;
    struct fast_element *item = &batch->items[batch->count];
    if (!fast_list_take_key(list, (struct instance_key *)(void *)*packed, item))
        return ERR_INVALID_JSON;
    batch->count++;
    add_names_before(batch, item);
    if (item->record.key) /* the next one is aligned, too */
        *packed += (instance_key_packed(item->record.key).size + 1) & ~(size_t)1;
    return ERR_NONE;
}

/* Takes an instance, and creates it in *packed if it is valid. It is smaller than its JSON, so
 * there is memory for all instances. If it is not created, batch_instance finds out why. */
static enum error scan_instance(struct batch *batch, struct fast_list *list,
                                struct metadata_entry metadata[METADATA_ENTRIES_MAX], char **packed)
{
    struct fast_record fast;
    enum error error = batch->count < batch->capacity ? ERR_NONE : grow_items(batch);
    fast.metadata = metadata;
    if (error)
        return error;
    if (!fast_list_take(list, &fast))
        return ERR_INVALID_JSON;
    struct fast_element *item = &batch->items[batch->count++];
    *item = (struct fast_element){.whole = fast.whole, .names = fast.names};
    fast_record_wire(&fast, &item->record);
    add_names_before(batch, item);
    if (fast.deleted) /* its key is all that is read */
        return ERR_NONE;
    size_t size_max = fast.whole.size / ALIGNMENT * ALIGNMENT;
    item->record.instance = instance_create_in(&fast.spec, *packed, size_max);
    if (item->record.instance)
        *packed += (instance_size(item->record.instance) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return ERR_NONE;
}

/* Takes the items of a body of the usual form. ERR_INVALID_JSON: it has another form.
 * ERR_NO_MEMORY. */
static enum error scan(struct batch *batch, struct slice body)
{
    struct metadata_entry metadata[METADATA_ENTRIES_MAX];
    char *packed = (char *)(batch->items + batch->capacity);
    struct fast_list list;
    enum error error = ERR_NONE;
    if (!fast_list_open(body, batch->keys, &list))
        return ERR_INVALID_JSON;
    batch->document.names = list.names;
    do {
        error = batch->keys ? scan_key(batch, &list, &packed)
                            : scan_instance(batch, &list, metadata, &packed);
    } while (!error && fast_list_continues(&list));
    return error || fast_list_ends(&list) ? error : ERR_INVALID_JSON;
}

static void free_items(struct batch *batch)
{
    if (batch->items != batch->memory)
        free(batch->items);
    batch->count = 0;
    batch->items = batch->memory;
}

static enum error open_batch(struct batch *batch, struct slice body, enum batch_kind kind,
                             char message[MESSAGE_BYTES])
{
    batch->keys = kind == BATCH_OF_KEYS;
    enum error error = scan(batch, body);
    batch->fast = error == ERR_NONE;
    if (error != ERR_INVALID_JSON)
        return error;
    free_items(batch);
    batch->keys = false;
    error = document_open(body, &batch->document, message);
    return error ? error : find_list(batch, kind, message);
}

/* Each thread has memory for one small batch, as of a heartbeat: such a request allocates nothing.
 * AddressSanitizer treats it as memory of malloc. */
static _Thread_local struct {
    alignas(max_align_t) char bytes[1024];
    bool is_used;
} small_batch;

static struct batch *allocate_batch(size_t bytes)
{
    if (bytes > sizeof(small_batch.bytes) || small_batch.is_used)
        return malloc(bytes);
    small_batch.is_used = true;
    ASAN_POISON_MEMORY_REGION(small_batch.bytes, sizeof(small_batch.bytes));
    ASAN_UNPOISON_MEMORY_REGION(small_batch.bytes, bytes);
    return (struct batch *)(void *)small_batch.bytes;
}

static void release_batch(struct batch *batch)
{
    if ((char *)batch != small_batch.bytes) {
        free(batch);
        return;
    }
    small_batch.is_used = false;
    ASAN_POISON_MEMORY_REGION(small_batch.bytes, sizeof(small_batch.bytes));
}

enum error batch_parse(struct slice body, enum batch_kind kind, struct batch **out,
                       enum name_casing *names, char message[MESSAGE_BYTES])
{
    size_t capacity = body.size / ITEM_BYTES;
    if (capacity > BATCH_ITEMS_MAX)
        capacity = BATCH_ITEMS_MAX;
    size_t packed_bytes = body.size + TEXT_COPY_SLACK;
    struct batch *batch =
        allocate_batch(sizeof(*batch) + capacity * sizeof(*batch->memory) + packed_bytes);
    if (!batch)
        return ERR_NO_MEMORY;
    memset(batch, 0, sizeof(*batch));
    batch->items = batch->memory;
    batch->capacity = capacity;
    enum error error = open_batch(batch, body, kind, message);
    *names = batch->document.names;
    if (error)
        batch_free(batch);
    else
        *out = batch;
    return error;
}

void batch_free(struct batch *batch)
{
    if (!batch)
        return;
    for (size_t i = 0; i < batch->failure_count; i++) {
        free(batch->failures[i].message);
        document_close(&batch->failures[i].item);
    }
    free(batch->failures);
    free_items(batch);
    document_close(&batch->document);
    release_batch(batch);
}

size_t batch_count(const struct batch *batch)
{
    return batch->fast ? batch->count : json_array_size(batch->list);
}

enum name_casing batch_names(const struct batch *batch)
{
    return batch->document.names;
}

/* --- failures --------------------------------------------------------------------------------- */

void batch_note_names(struct batch *batch, size_t index)
{
    if (batch->fast)
        name_casing_add(&batch->document.names, batch->items[index].names);
}

static const struct fast_element *fast_element(const struct batch *batch, size_t index)
{
    assert(index < batch->count);
    return &batch->items[index];
}

static enum error add_failure(struct batch *batch, size_t index, enum error error,
                              const char *message)
{
    if (batch->failure_count == batch->failure_capacity) {
        size_t capacity = batch->failure_capacity ? batch->failure_capacity * 2 : 4;
        struct failure *grown = realloc(batch->failures, capacity * sizeof(*grown));
        if (!grown)
            return ERR_NO_MEMORY;
        batch->failures = grown;
        batch->failure_capacity = capacity;
    }
    struct document item = {0};
    char unused[MESSAGE_BYTES];
    if (batch->fast && document_open(fast_element(batch, index)->whole, &item, unused))
        return ERR_NO_MEMORY; /* Jansson accepts what fast_parser accepts */
    char *copy = strdup(message);
    if (!copy) {
        document_close(&item);
        return ERR_NO_MEMORY;
    }
    batch->failures[batch->failure_count++] =
        (struct failure){.index = index, .error = error, .message = copy, .item = item};
    return ERR_NONE;
}

/* The name of a field in the casing of the body. */
static const char *name_in_casing(const struct batch *batch, const char *field,
                                  char buffer[EXCERPT_BYTES])
{
    if (batch->document.names != NAMES_CAMEL)
        return field;
    buffer[jw_camel(buffer, field)] = '\0';
    return buffer;
}

enum error batch_fail_field(struct batch *batch, size_t index, enum error error,
                            const struct field_problem *problem)
{
    char buffer[EXCERPT_BYTES];
    char message[MESSAGE_BYTES];
    const char *list = list_name(batch->keys, batch->document.names);
    if (problem->field)
        snprintf(message, sizeof(message), "%s[%zu].%s: %s", list, index,
                 name_in_casing(batch, problem->field, buffer), problem->problem);
    else
        snprintf(message, sizeof(message), "%s[%zu]: %s", list, index, problem->problem);
    return add_failure(batch, index, error, message);
}

/* Records an invalid field of an item, and returns ERR_INVALID_FIELD. */
static enum error add_invalid_field(struct batch *batch, size_t index,
                                    const struct field_problem *problem)
{
    enum error error = batch_fail_field(batch, index, ERR_INVALID_FIELD, problem);
    return error ? error : ERR_INVALID_FIELD;
}

enum error batch_fail(struct batch *batch, size_t index, enum error error,
                      const struct instance_key *key)
{
    struct text message = {0};
    batch_note_names(batch, index);
    text_printf(&message, "%s[%zu]: ", list_name(batch->keys, batch->document.names), index);
    for (enum instance_field part = 0; key && part < KEY_FIELDS; part++) {
        struct slice text = instance_key_part(key, part);
        if (text.size == 0)
            continue;
        if (part > 0)
            text_append_char(&message, '/');
        text_append_slice(&message, text);
    }
    text_append_string(&message, key ? ": " : "");
    text_append_string(&message, error_info(error)->message);
    if (error == ERR_INSTANCE_NOT_FOUND)
        text_append_string(&message, "; register it again");
    const char *full_message = text_string(&message);
    enum error added =
        text_failed(&message) ? ERR_NO_MEMORY : add_failure(batch, index, error, full_message);
    text_free(&message);
    return added;
}

enum error batch_fail_stale(struct batch *batch, size_t index, uint64_t given, uint64_t stored)
{
    char message[MESSAGE_BYTES];
    snprintf(message, sizeof(message), "%s[%zu].revision: must be above %llu, is %llu",
             list_name(batch->keys, batch->document.names), index, (unsigned long long)stored,
             (unsigned long long)given);
    enum error error = add_failure(batch, index, ERR_STALE_REVISION, message);
    if (!error)
        batch->failures[batch->failure_count - 1].stored_revision = stored;
    return error;
}

enum error batch_outcome(const struct batch *batch)
{
    return batch->failure_count ? batch->failures[0].error : ERR_NONE;
}

size_t batch_failure_count(const struct batch *batch)
{
    return batch->failure_count;
}

struct batch_failure batch_failure(const struct batch *batch, size_t number)
{
    const struct failure *failure = &batch->failures[number];
    return (struct batch_failure){failure->index, failure->error, failure->message};
}

/* --- items ------------------------------------------------------------------------------------ */

/* ERR_INVALID_FIELD, already recorded, if the item is not an object. */
static enum error item_object(struct batch *batch, size_t index, json_t **out)
{
    json_t *item = json_array_get(batch->list, index);
    assert(item);
    if (!json_is_object(item)) {
        struct field_problem problem = {0};
        char excerpt[EXCERPT_BYTES];
        json_excerpt(item, excerpt, sizeof(excerpt));
        snprintf(problem.problem, PROBLEM_BYTES, "must be an object, is %s", excerpt);
        return add_invalid_field(batch, index, &problem);
    }
    *out = item;
    return ERR_NONE;
}

/* Parses an item again: it is not valid, or it is read in another way than at first. */
static void read_again(const struct batch *batch, size_t index, struct fast_record *out)
{
    bool taken = fast_record_read(fast_element(batch, index)->whole, out);
    assert(taken);
}

static enum error fast_instance(struct batch *batch, size_t index, struct instance **out,
                                struct field_problem *problem)
{
    struct metadata_entry metadata[METADATA_ENTRIES_MAX];
    struct fast_record fast = {.metadata = metadata};
    struct instance *created = batch_created_instance(batch, index);
    if (created) {
        struct instance *kept = instance_keep(created);
        if (!kept)
            return ERR_NO_MEMORY;
        *out = kept;
        return ERR_NONE;
    }
    read_again(batch, index, &fast);
    return instance_create(&fast.spec, out, problem);
}

enum error batch_instance(struct batch *batch, size_t index, struct instance **out)
{
    struct field_problem problem = {0};
    enum error error;
    if (batch->fast) {
        batch_note_names(batch, index);
        error = fast_instance(batch, index, out, &problem);
    } else {
        json_t *item;
        error = item_object(batch, index, &item);
        if (error)
            return error;
        error = item_instance(item, &batch->document.names, out, &problem);
    }
    return error == ERR_INVALID_FIELD ? add_invalid_field(batch, index, &problem) : error;
}

struct instance *batch_created_instance(const struct batch *batch, size_t index)
{
    return batch->fast ? fast_element(batch, index)->record.instance : NULL;
}

const struct instance_key *batch_packed_key(const struct batch *batch, size_t index)
{
    return batch->fast ? fast_element(batch, index)->record.key : NULL;
}

bool batch_packed_record(const struct batch *batch, size_t index, struct wire_record *record)
{
    struct field_problem ignored;
    const struct instance_key *key = batch_packed_key(batch, index);
    if (!key || item_check_stamp(&fast_element(batch, index)->record.stamp, &ignored))
        return false;
    record->key = key;
    record->instance = NULL;
    wire_record_copy_stamp(record, &fast_element(batch, index)->record);
    return true;
}

static enum error fast_key(struct batch *batch, size_t index, struct instance_key *out,
                           struct field_problem *problem)
{
    struct metadata_entry metadata[METADATA_ENTRIES_MAX];
    struct fast_record fast = {.metadata = metadata};
    batch_note_names(batch, index);
    const struct instance_key *key = batch_packed_key(batch, index);
    if (key) {
        struct slice packed = instance_key_packed(key);
        memcpy(out, packed.data, packed.size);
        return ERR_NONE;
    }
    read_again(batch, index, &fast);
    return instance_key_make(fast.spec.text, out, problem);
}

static enum error document_key(struct batch *batch, size_t index, struct instance_key *out,
                               struct field_problem *problem)
{
    struct slice parts[KEY_FIELDS] = {0};
    json_t *item;
    enum error error = item_object(batch, index, &item);
    if (error)
        return error;
    error = item_key_parts(item, &batch->document.names, parts, problem);
    if (!error)
        error = instance_key_make(parts, out, problem);
    return error == ERR_INVALID_FIELD ? add_invalid_field(batch, index, problem) : error;
}

enum error batch_key(struct batch *batch, size_t index, struct instance_key *out)
{
    struct field_problem problem;
    problem.field = NULL;
    problem.problem[0] = '\0';
    if (!batch->fast)
        return document_key(batch, index, out, &problem);
    enum error error = fast_key(batch, index, out, &problem);
    return error == ERR_INVALID_FIELD ? add_invalid_field(batch, index, &problem) : error;
}

enum error batch_client_revision(struct batch *batch, size_t index, uint64_t *out)
{
    json_t *item;
    struct field_problem problem = {0};
    *out = 0;
    if (batch->fast) {
        *out = fast_element(batch, index)->record.client_revision;
        return ERR_NONE;
    }
    enum error error = item_object(batch, index, &item);
    if (error)
        return error;
    error = item_client_revision(item, out, &problem);
    return error ? add_invalid_field(batch, index, &problem) : ERR_NONE;
}

enum error batch_stamp(struct batch *batch, size_t index, struct wire_record *record)
{
    json_t *item;
    struct field_problem problem = {0};
    enum error error;
    if (batch->fast) {
        wire_record_copy_stamp(record, &fast_element(batch, index)->record);
        error = item_check_stamp(&record->stamp, &problem);
    } else {
        error = item_object(batch, index, &item);
        if (!error)
            error = item_stamp(item, record, &problem);
    }
    return error == ERR_INVALID_FIELD ? add_invalid_field(batch, index, &problem) : error;
}
