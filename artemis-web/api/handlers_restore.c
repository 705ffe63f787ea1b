/* SPDX-License-Identifier: Apache-2.0
 *
 * Merges records of a snapshot file (artemis snapshot restore) by their stamps. The response counts
 * the records that were taken and lists the others by their index.
 */
#include "artemis-web/api/handlers.h"

#include <stdio.h>
#include <stdlib.h>

struct restore {
    struct registry *registry;
    struct moment now;
    struct batch *batch;
    bool dry_run;
    size_t results[RESTORE_RESULTS]; /* number of records of each */
    unsigned char *result_of; /* enum restore_result of each record; RESTORE_RESULTS: refused */
};

/* Merges an instance, or a tombstone, which is marked `deleted`. ERR_INVALID_FIELD: recorded in the
 * batch. */
static enum error merge(const struct restore *restore, size_t index, enum restore_result *result)
{
    struct instance_key key;
    struct wire_record record = {0};
    enum error error = batch_stamp(restore->batch, index, &record);
    if (!error)
        error = record.deleted ? batch_key(restore->batch, index, &key)
                               : batch_instance(restore->batch, index, &record.instance);
    if (error)
        return error;
    record.key = record.deleted ? &key : NULL;
    error = registry_restore(restore->registry, &record, restore->dry_run, restore->now, result);
    instance_unref(record.instance);
    if (error && error != ERR_NO_MEMORY)
        error = batch_fail(restore->batch, index, error, NULL) ? ERR_NO_MEMORY : ERR_INVALID_FIELD;
    return error;
}

static enum error merge_all(struct restore *restore)
{
    for (size_t i = 0; i < batch_count(restore->batch); i++) {
        enum restore_result result = RESTORE_RESULTS;
        enum error error = merge(restore, i, &result);
        if (error && error != ERR_INVALID_FIELD)
            return error;
        restore->result_of[i] = (unsigned char)result;
        if (!error)
            restore->results[result]++;
    }
    return ERR_NONE;
}

static void write_indexes(struct json_writer *w, const struct restore *restore, const char *name,
                          enum restore_result result)
{
    if (!restore->results[result])
        return;
    jw_name(w, name);
    jw_open(w, '[');
    for (size_t i = 0; i < batch_count(restore->batch); i++)
        if (restore->result_of[i] == result)
            jw_u64(w, i);
    jw_close(w, ']');
}

static void write_refused(struct json_writer *w, const struct batch *batch)
{
    if (!batch_failure_count(batch))
        return;
    jw_name(w, "refused");
    jw_open(w, '[');
    for (size_t i = 0; i < batch_failure_count(batch); i++) {
        struct batch_failure failure = batch_failure(batch, i);
        jw_open(w, '{');
        jw_name(w, "index");
        jw_u64(w, failure.index);
        jw_name(w, "error_message");
        jw_string(w, failure.message);
        jw_name(w, "reason");
        jw_string(w, error_info(failure.error)->reason);
        jw_close(w, '}');
    }
    jw_close(w, ']');
}

static void write_response(const struct restore *restore, struct response *response)
{
    const struct batch *batch = restore->batch;
    struct json_writer w = jw_to(&response->body, CASING_SNAKE);
    jw_open(&w, '{');
    codec_write_status(&w, DIALECT_SNAKE, batch_outcome(batch),
                       batch_failure_count(batch) ? batch_failure(batch, 0).message : NULL, true);
    jw_name(&w, "taken");
    jw_u64(&w, restore->results[RESTORE_TAKEN]);
    write_indexes(&w, restore, "newer", RESTORE_NEWER);
    write_indexes(&w, restore, "ended", RESTORE_ENDED);
    write_refused(&w, batch);
    jw_close(&w, '}');
    response->outcome = batch_outcome(batch);
    response->status = 200;
}

static void audit_restore(const struct restore *restore, const struct request *request,
                          enum error error)
{
    char object[32];
    char after[128];
    snprintf(object, sizeof(object), "%zu records", batch_count(restore->batch));
    snprintf(after, sizeof(after), "%zu taken, %zu newer, %zu ended, %zu refused",
             restore->results[RESTORE_TAKEN], restore->results[RESTORE_NEWER],
             restore->results[RESTORE_ENDED], batch_failure_count(restore->batch));
    const struct audit_event event = {.action = "restore", .object = object, .after = after};
    if (!restore->dry_run)
        request_audit(request, event, error);
}

static enum error read_dry_run(struct request *request, bool *dry_run, char message[MESSAGE_BYTES])
{
    struct slice word = SLICE("false");
    enum error error = request_query(request, "dry_run", &word, message);
    if (error)
        return error;
    *dry_run = slice_equal(word, SLICE("true"));
    if (*dry_run || slice_equal(word, SLICE("false")))
        return ERR_NONE;
    char quoted[160];
    text_quote(quoted, sizeof(quoted), word);
    snprintf(message, MESSAGE_BYTES, "dry_run: must be true or false, is %s", quoted);
    return ERR_INVALID_FIELD;
}

enum error handle_peer_restore(struct request *request, struct response *response,
                               char message[MESSAGE_BYTES])
{
    struct restore restore = {.registry = request->engine->registry, .now = request->now};
    enum name_casing names;
    enum error error = read_dry_run(request, &restore.dry_run, message);
    if (!error)
        error =
            batch_parse(request_body(request), BATCH_OF_INSTANCES, &restore.batch, &names, message);
    if (error)
        return error;
    restore.result_of = malloc(batch_count(restore.batch) + 1);
    error = restore.result_of ? merge_all(&restore) : ERR_NO_MEMORY;
    if (!error)
        write_response(&restore, response);
    audit_restore(&restore, request, error);
    free(restore.result_of);
    batch_free(restore.batch);
    return error;
}
