/* SPDX-License-Identifier: Apache-2.0
 *
 * The responses to batches.
 */
#include <stdlib.h>

#include "artemis-core/json/codec_batch_internal.h"

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
        write_member(w, item, "weight", "weight");
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
