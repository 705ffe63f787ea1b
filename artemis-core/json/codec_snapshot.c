/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/json/codec_snapshot.h"

#include <stdio.h>
#include <string.h>

#include "artemis-core/json/codec_internal.h"
#include "artemis-core/json/codec_peer.h"
#include "artemis-core/json/fast_parser.h"

/* --- writing ---------------------------------------------------------------------------------- */

void codec_write_snapshot_head(struct text *out, const struct snapshot_head *head, uint64_t wall_ms)
{
    struct json_writer w = jw_to(out, CASING_SNAKE);
    jw_open(&w, '{');
    jw_name(&w, "artemis_snapshot");
    jw_u64(&w, SNAPSHOT_FORMAT);
    jw_name(&w, "cluster_id");
    jw_string(&w, head->cluster_id);
    jw_name(&w, "node_id");
    jw_string(&w, head->node_id);
    jw_name(&w, "time");
    jw_rfc3339(&w, wall_ms);
    jw_close(&w, '}');
    text_append_char(out, '\n');
}

void codec_write_snapshot_record(struct text *out, const struct wire_record *record)
{
    struct json_writer w = jw_to(out, CASING_SNAKE);
    if (record->instance)
        codec_write_peer_instance(&w, record, false);
    else
        codec_write_peer_key(&w, record, false);
    text_append_char(out, '\n');
}

void codec_write_snapshot_end(struct text *out, uint64_t instances, uint64_t tombstones)
{
    struct json_writer w = jw_to(out, CASING_SNAKE);
    jw_open(&w, '{');
    jw_name(&w, "complete");
    jw_bool(&w, true);
    jw_name(&w, "instances");
    jw_u64(&w, instances);
    jw_name(&w, "tombstones");
    jw_u64(&w, tombstones);
    jw_close(&w, '}');
    text_append_char(out, '\n');
}

/* --- records ---------------------------------------------------------------------------------- */

static enum error check_stamp(const struct stamp *stamp, struct field_problem *problem)
{
    if (stamp->hlc)
        return item_check_stamp(stamp, problem);
    problem->field = "version";
    snprintf(problem->problem, PROBLEM_BYTES, "is required");
    return ERR_INVALID_FIELD;
}

static enum error check_fast(const struct fast_record *fast, struct field_problem *problem)
{
    struct instance *instance = NULL;
    struct instance_key key;
    enum error error = check_stamp(&fast->stamp, problem);
    if (error)
        return error;
    if (fast->deleted)
        return instance_key_make(fast->spec.text, &key, problem);
    error = instance_create(&fast->spec, &instance, problem);
    instance_unref(instance);
    return error;
}

static enum error check_item(json_t *item, bool *deleted, struct field_problem *problem)
{
    struct wire_record record = {0};
    struct instance_key key;
    struct slice parts[KEY_FIELDS] = {0};
    enum name_casing names = NAMES_NEUTRAL;
    enum error error = item_stamp(item, &record, problem);
    if (!error)
        error = check_stamp(&record.stamp, problem);
    *deleted = record.deleted;
    if (!error && record.deleted) {
        error = item_key_parts(item, &names, parts, problem);
        if (!error)
            error = instance_key_make(parts, &key, problem);
    } else if (!error) {
        error = item_instance(item, &names, &record.instance, problem);
        instance_unref(record.instance);
    }
    return error;
}

/* --- the first and the last line -------------------------------------------------------------- */

static void copy_text(const json_t *root, const char *name, char out[ID_BYTES_MAX + 1])
{
    const char *text = json_string_value(json_object_get(root, name));
    snprintf(out, ID_BYTES_MAX + 1, "%s", text ? text : "");
}

static enum error check_head(struct snapshot_check *check, const json_t *root,
                             char message[MESSAGE_BYTES])
{
    const json_t *format = json_object_get(root, "artemis_snapshot");
    if (!json_is_integer(format)) {
        snprintf(message, MESSAGE_BYTES, "is not the first line of a snapshot file of Artemis");
        return ERR_INVALID_FIELD;
    }
    if (json_integer_value(format) != SNAPSHOT_FORMAT) {
        snprintf(message, MESSAGE_BYTES,
                 "artemis_snapshot: must be %d, is %lld; use a later version of artemis",
                 SNAPSHOT_FORMAT, (long long)json_integer_value(format));
        return ERR_INVALID_FIELD;
    }
    copy_text(root, "cluster_id", check->head.cluster_id);
    copy_text(root, "node_id", check->head.node_id);
    return ERR_NONE;
}

static enum error check_count(const json_t *root, const char *name, uint64_t count,
                              char message[MESSAGE_BYTES])
{
    const json_t *value = json_object_get(root, name);
    if (json_is_integer(value) && (uint64_t)json_integer_value(value) == count)
        return ERR_NONE;
    snprintf(message, MESSAGE_BYTES, "%s: must be %llu, the number of lines above; is %lld", name,
             (unsigned long long)count, (long long)json_integer_value(value));
    return ERR_INVALID_FIELD;
}

static enum error check_last(struct snapshot_check *check, const json_t *root,
                             char message[MESSAGE_BYTES])
{
    enum error error = check_count(root, "instances", check->instances, message);
    if (!error)
        error = check_count(root, "tombstones", check->tombstones, message);
    check->is_complete = !error;
    return error;
}

/* --- lines ------------------------------------------------------------------------------------ */

static void explain(const struct field_problem *problem, char message[MESSAGE_BYTES])
{
    snprintf(message, MESSAGE_BYTES, "%s%s%s", problem->field ? problem->field : "",
             problem->field ? ": " : "", problem->problem);
}

static void count_record(struct snapshot_check *check, bool deleted)
{
    check->tombstones += deleted;
    check->instances += !deleted;
}

static enum error check_document(struct snapshot_check *check, json_t *root,
                                 enum snapshot_line *kind, char message[MESSAGE_BYTES])
{
    struct field_problem problem = {0};
    bool deleted = false;
    if (check->lines == 1) {
        *kind = SNAPSHOT_HEAD;
        return check_head(check, root, message);
    }
    if (json_is_true(json_object_get(root, "complete"))) {
        *kind = SNAPSHOT_END;
        return check_last(check, root, message);
    }
    *kind = SNAPSHOT_RECORD;
    enum error error = check_item(root, &deleted, &problem);
    if (error)
        explain(&problem, message);
    else
        count_record(check, deleted);
    return error;
}

/* A line of the usual form. False: Jansson must read it. */
static bool check_in_place(struct snapshot_check *check, struct slice line)
{
    struct metadata_entry metadata[METADATA_ENTRIES_MAX];
    struct fast_record fast = {.metadata = metadata};
    struct field_problem problem;
    if (check->lines == 1 || !fast_record_read(line, &fast) || fast.whole.size != line.size ||
        check_fast(&fast, &problem))
        return false;
    count_record(check, fast.deleted);
    return true;
}

enum error snapshot_check_line(struct snapshot_check *check, struct slice line,
                               enum snapshot_line *kind, char message[MESSAGE_BYTES])
{
    check->lines++;
    if (check->is_complete) {
        snprintf(message, MESSAGE_BYTES, "follows the last line of the snapshot");
        return ERR_INVALID_FIELD;
    }
    *kind = SNAPSHOT_RECORD;
    if (check_in_place(check, line))
        return ERR_NONE;
    struct document document;
    char problem[MESSAGE_BYTES];
    enum error error = document_open(line, &document, problem);
    if (error == ERR_NO_MEMORY)
        return error;
    if (error && check->lines == 1)
        snprintf(message, MESSAGE_BYTES, "is not the first line of a snapshot file of Artemis");
    else if (error)
        snprintf(message, MESSAGE_BYTES, "is not a JSON object");
    else
        error = check_document(check, document.root, kind, message);
    document_close(&document);
    return error;
}

enum error snapshot_check_end(const struct snapshot_check *check, char message[MESSAGE_BYTES])
{
    if (check->is_complete)
        return ERR_NONE;
    snprintf(message, MESSAGE_BYTES, "%s",
             check->lines ? "the file ends without its last line" : "the file is empty");
    return ERR_INVALID_JSON;
}
