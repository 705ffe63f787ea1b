/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/json/codec.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "artemis-core/json/codec_internal.h"
#include "artemis-core/json/fast_parser.h"

enum {
    EXCERPT_BYTES = 80,
    KEPT_MAX = 128,    /* parsed keys; those after them are parsed twice */
    KEY_BYTES_MIN = 64 /* of a key with its four names */
};

struct failure {
    size_t index;
    enum error error;
    char *message;            /* owned */
    uint64_t stored_revision; /* of ERR_STALE_REVISION */
    struct document item;     /* if the batch is `fast` */
};

/* A body of the usual form is parsed in place by fast_parser. Then documents are made only of items
 * that fail, because the response repeats their fields. */
struct batch {
    bool fast;                  /* parsed by fast_parser, not by Jansson */
    struct fast_list fast_list; /* if fast */
    size_t fast_record_end;     /* index of `fast_record` plus 1; 0: none parsed */
    struct fast_record *kept;   /* the first keys, parsed; behind the batch */
    size_t kept_max;
    struct document document; /* without a root if fast */
    json_t *list;             /* if not fast; borrowed from `document` */
    bool keys;                /* the items are keys, not instances */
    struct failure *failures;
    size_t failure_count;
    size_t failure_capacity;
    struct fast_record fast_record;   /* the item parsed last */
    struct metadata_entry metadata[]; /* of fast_record; none in a batch of keys */
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

static enum error open_batch(struct batch *batch, struct slice body, enum batch_kind kind,
                             char message[MESSAGE_BYTES])
{
    bool keys = kind == BATCH_OF_KEYS;
    if (fast_list_scan(body, keys, BATCH_ITEMS_MAX, batch->kept, batch->kept_max, &batch->fast_list,
                       &batch->fast_record)) {
        batch->fast = true;
        if (batch->fast_list.count > batch->kept_max)
            batch->fast_record_end = batch->fast_list.count;
        batch->keys = keys;
        batch->document.names = batch->fast_list.names;
        return ERR_NONE;
    }
    enum error error = document_open(body, &batch->document, message);
    return error ? error : find_list(batch, kind, message);
}

/* How many parsed keys a batch keeps. A single one needs no memory for it. */
static size_t kept_max(struct slice body, enum batch_kind kind)
{
    size_t count = body.size / KEY_BYTES_MIN;
    if (kind != BATCH_OF_KEYS || count < 2)
        return 0;
    return count < KEPT_MAX ? count : KEPT_MAX;
}

enum error batch_parse(struct slice body, enum batch_kind kind, struct batch **out,
                       enum name_casing *names, char message[MESSAGE_BYTES])
{
    size_t entries = kind == BATCH_OF_KEYS ? 0 : METADATA_ENTRIES_MAX;
    size_t kept = kept_max(body, kind);
    struct batch *batch =
        malloc(sizeof(*batch) + entries * sizeof(*batch->metadata) + kept * sizeof(*batch->kept));
    if (!batch)
        return ERR_NO_MEMORY;
    memset(batch, 0, offsetof(struct batch, fast_record)); /* the parser sets the rest */
    batch->fast_record.metadata = entries ? batch->metadata : NULL;
    batch->kept = kept ? (void *)batch->metadata : NULL; /* keys have no metadata */
    batch->kept_max = kept;
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
    document_close(&batch->document);
    free(batch);
}

size_t batch_count(const struct batch *batch)
{
    return batch->fast ? batch->fast_list.count : json_array_size(batch->list);
}

enum name_casing batch_names(const struct batch *batch)
{
    return batch->document.names;
}

/* --- failures --------------------------------------------------------------------------------- */

static const struct fast_record *read_fast(struct batch *batch, size_t index)
{
    assert(index < batch->fast_list.count);
    if (index < batch->kept_max)
        return &batch->kept[index];
    if (batch->fast_record_end != index + 1)
        fast_list_read(&batch->fast_list, index, &batch->fast_record);
    batch->fast_record_end = index + 1;
    return &batch->fast_record;
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
    if (batch->fast && document_open(read_fast(batch, index)->whole, &item, unused))
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

enum error batch_instance(struct batch *batch, size_t index, struct instance **out)
{
    struct field_problem problem = {0};
    enum error error;
    if (batch->fast) {
        const struct fast_record *fast = read_fast(batch, index);
        name_casing_add(&batch->document.names, fast->names);
        error = instance_create(&fast->spec, out, &problem);
    } else {
        json_t *item;
        error = item_object(batch, index, &item);
        if (error)
            return error;
        error = item_instance(item, &batch->document.names, out, &problem);
    }
    return error == ERR_INVALID_FIELD ? add_invalid_field(batch, index, &problem) : error;
}

/* The key of an item, if the batch is `fast`. */
static enum error fast_key(struct batch *batch, size_t index, struct instance_key *out,
                           struct field_problem *problem)
{
    const struct fast_record *fast = read_fast(batch, index);
    name_casing_add(&batch->document.names, fast->names);
    return fast->spec.is_plain ? instance_key_make_plain(fast->spec.text, out, problem)
                               : instance_key_make(fast->spec.text, out, problem);
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
        *out = read_fast(batch, index)->spec.client_revision;
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
        const struct fast_record *fast = read_fast(batch, index);
        fast_record_wire(fast, record);
        error = item_check_stamp(&record->stamp, &problem);
    } else {
        error = item_object(batch, index, &item);
        if (!error)
            error = item_stamp(item, record, &problem);
    }
    return error == ERR_INVALID_FIELD ? add_invalid_field(batch, index, &problem) : error;
}

/* --- the response ----------------------------------------------------------------------------- */

static void write_member(struct json_writer *w, const json_t *item, const char *snake,
                         const char *camel)
{
    const json_t *value = json_object_get(item, snake);
    if (!value || json_is_null(value))
        value = json_object_get(item, camel);
    if (!value || json_is_null(value))
        return;
    char *dump = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    if (!dump) {
        w->out->failed = true;
        return;
    }
    jw_name(w, snake);
    jw_raw(w, slice_of(dump));
    free(dump);
}

/* Writes the known members of the item as the client sent them. */
static void write_sent_members(struct json_writer *w, const struct batch *batch, const json_t *item)
{
    if (!json_is_object(item))
        return;
    enum instance_field end = batch->keys ? KEY_FIELDS : TEXT_FIELDS;
    for (enum instance_field field = 0; field < end; field++)
        write_member(w, item, instance_field_info(field)->name, instance_field_info(field)->camel);
    if (!batch->keys) {
        write_member(w, item, "port", "port");
        write_member(w, item, "metadata", "metadata");
    }
    write_member(w, item, "revision", "revision");
}

/* camelCase responses repeat a failed instance as a member `instance`; `brief`: only there. */
static void write_failure(struct json_writer *w, const struct batch *batch, enum dialect dialect,
                          const struct failure *failure, bool brief)
{
    const json_t *item =
        batch->fast ? failure->item.root : json_array_get(batch->list, failure->index);
    const struct error_info *info = error_info(failure->error);
    bool nested = dialect != DIALECT_SNAKE && !batch->keys && json_is_object(item);
    jw_open(w, '{');
    if (!(nested && brief))
        write_sent_members(w, batch, item);
    jw_name(w, "error_code");
    jw_string(w, dialect == DIALECT_JAVA ? info->java_code : info->code);
    jw_name(w, "error_message");
    jw_string(w, failure->message);
    jw_name(w, "reason");
    jw_string(w, info->reason);
    if (failure->stored_revision) {
        jw_name(w, "stored_revision");
        jw_u64(w, failure->stored_revision);
    }
    if (nested) {
        jw_name(w, "instance");
        jw_open(w, '{');
        write_sent_members(w, batch, item);
        jw_close(w, '}');
    }
    jw_close(w, '}');
}

static void write_batch_status(struct json_writer *w, const struct batch *batch,
                               enum dialect dialect)
{
    const struct failure *first = &batch->failures[0];
    struct text message = {0};
    text_append_string(&message, first->message);
    if (batch->failure_count > 1)
        text_printf(&message, " (the first of %zu failures in %zu items)", batch->failure_count,
                    batch_count(batch));
    codec_write_status(w, dialect, first->error, text_string(&message), true);
    if (text_failed(&message))
        w->out->failed = true;
    text_free(&message);
}

/* Writes the failures that fit. One that does not fit is omitted by itself, so that it cannot hide
 * those after it. */
static void write_failures(struct json_writer *w, const struct batch *batch, enum dialect dialect,
                           size_t bytes_max)
{
    enum { CLOSING_BYTES = 2 };
    jw_open(w, '[');
    for (size_t i = 0; i < batch->failure_count; i++) {
        struct json_writer before = *w;
        size_t size = w->out->size;
        write_failure(w, batch, dialect, &batch->failures[i], bytes_max != 0);
        if (bytes_max == 0 || w->out->size + CLOSING_BYTES <= bytes_max)
            continue;
        *w = before;
        w->out->size = size;
    }
    jw_close(w, ']');
}

#define CONSTANT(literal)                                                                          \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }
/* The responses to batches without failures, which are most. */
#define JAVA_STATUS                                                                                \
    "{\"responseStatus\":{\"errorCode\":\"success\",\"errorMessage\":null,\"reason\":null,"        \
    "\"status\":\"success\",\"message\":\"\"}"
static const struct slice successes[DIALECT_COUNT] = {
    [DIALECT_SNAKE] = CONSTANT("{\"response_status\":{\"error_code\":\"success\"}}"),
    [DIALECT_CAMEL] =
        CONSTANT("{\"responseStatus\":{\"errorCode\":\"success\",\"status\":\"success\","
                 "\"message\":\"\"}}"),
    [DIALECT_JAVA] = CONSTANT(JAVA_STATUS ",\"failedInstances\":null}"),
};
static const struct slice java_success_of_keys =
    CONSTANT(JAVA_STATUS ",\"failedInstanceKeys\":null}");

struct slice batch_success(const struct batch *batch, enum dialect dialect)
{
    if (batch->failure_count)
        return (struct slice){0};
    bool java_keys = dialect == DIALECT_JAVA && batch->keys;
    return java_keys ? java_success_of_keys : successes[dialect];
}

void batch_write_response(const struct batch *batch, enum dialect dialect, size_t bytes_max,
                          struct text *out)
{
    if (batch->failure_count == 0) {
        text_append_slice(out, batch_success(batch, dialect));
        return;
    }
    struct json_writer w = jw_to(out, dialect_casing(dialect));
    jw_open(&w, '{');
    write_batch_status(&w, batch, dialect);
    jw_name(&w, batch->keys ? "failed_instance_keys" : "failed_instances");
    write_failures(&w, batch, dialect, bytes_max);
    jw_close(&w, '}');
}
