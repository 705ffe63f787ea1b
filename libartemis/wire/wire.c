/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/wire/wire.h"

#include "libartemis/wire/wire_internal.h"
#include "libartemis/wire/wire_text.h"

#include "artemis-core/json/codec_internal.h"
#include "artemis-core/json/fast_parser.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* --- requests and messages of the client ------------------------------------------------------ */

void wire_write_registration(struct text *out, struct instance *const *instances, size_t count)
{
    struct json_writer w = jw_to(out, CASING_SNAKE);
    jw_open(&w, '{');
    jw_name(&w, "instances");
    jw_open(&w, '[');
    for (size_t i = 0; i < count; i++) {
        jw_open(&w, '{');
        codec_write_instance_members(&w, DIALECT_SNAKE, instances[i], true);
        jw_close(&w, '}');
    }
    jw_close(&w, ']');
    jw_close(&w, '}');
}

void wire_write_keys(struct text *out, struct instance *const *instances, size_t count,
                     bool with_revisions)
{
    struct json_writer w = jw_to(out, CASING_SNAKE);
    jw_open(&w, '{');
    jw_name(&w, "instance_keys");
    jw_open(&w, '[');
    for (size_t i = 0; i < count; i++) {
        jw_open(&w, '{');
        for (enum instance_field part = 0; part < KEY_FIELDS; part++) {
            struct slice text = instance_text(instances[i], part);
            if (text.size == 0)
                continue;
            jw_name(&w, instance_field_info(part)->name);
            jw_text(&w, text);
        }
        if (with_revisions && instance_client_revision(instances[i])) {
            jw_name(&w, "revision");
            jw_u64(&w, instance_client_revision(instances[i]));
        }
        jw_close(&w, '}');
    }
    jw_close(&w, ']');
    jw_close(&w, '}');
}

void wire_write_subscribe(struct text *out, const char *service_id, uint64_t revision,
                          const char *epoch)
{
    struct json_writer w = jw_to(out, CASING_SNAKE);
    jw_open(&w, '{');
    jw_name(&w, "type");
    jw_string(&w, "subscribe");
    jw_name(&w, "service_id");
    jw_string(&w, service_id);
    if (*epoch) {
        jw_name(&w, "version");
        jw_u64(&w, revision);
        jw_name(&w, "run");
        jw_raw(&w, slice_of(epoch));
    }
    jw_close(&w, '}');
}

void wire_write_unsubscribe(struct text *out, const char *service_id)
{
    struct json_writer w = jw_to(out, CASING_SNAKE);
    jw_open(&w, '{');
    jw_name(&w, "type");
    jw_string(&w, "unsubscribe");
    jw_name(&w, "service_id");
    jw_string(&w, service_id);
    jw_close(&w, '}');
}

static bool is_unreserved(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

static void append_escaped(struct text *out, struct slice value)
{
    for (size_t i = 0; i < value.size; i++) {
        unsigned char c = (unsigned char)value.data[i];
        if (is_unreserved(c))
            text_append_char(out, (char)c);
        else
            text_printf(out, "%%%02X", c);
    }
}

/* The text in an epoch that is a JSON string; empty for another epoch. */
static struct slice run_of(const char *epoch)
{
    size_t size = strlen(epoch);
    if (size < 3 || epoch[0] != '"' || strchr(epoch, '\\'))
        return (struct slice){0};
    return (struct slice){epoch + 1, size - 2};
}

void wire_read_run(const char *run, char epoch[WIRE_EPOCH_MAX])
{
    size_t size = 0;
    while (is_unreserved((unsigned char)run[size]))
        size++;
    bool is_valid = size > 0 && run[size] == '\0' && size + 3 <= WIRE_EPOCH_MAX;
    epoch[0] = '\0';
    if (is_valid)
        snprintf(epoch, WIRE_EPOCH_MAX, "\"%s\"", run);
}

void wire_write_fetch_path(struct text *out, const char *service_id, uint64_t revision,
                           const char *epoch)
{
    struct slice run = run_of(epoch);
    if (strcmp(service_id, "*") == 0) {
        text_append_string(out, "/api/discovery/services");
        return;
    }
    text_append_string(out, "/api/discovery/service?service_id=");
    append_escaped(out, slice_of(service_id));
    text_append_string(out, "&status=all&delta=1"); /* the response names the run in any case */
    if (run.size == 0 || revision == 0)
        return;
    text_printf(out, "&version=%llu&run=", (unsigned long long)revision);
    append_escaped(out, run);
}

/* --- reading ---------------------------------------------------------------------------------- */

static enum error parse(struct slice body, json_t **root)
{
    char message[MESSAGE_BYTES];
    *root = NULL;
    enum error error = json_read(body.data ? body : SLICE(""), 0, root, message);
    if (!error && !json_is_object(*root))
        error = ERR_INVALID_JSON;
    if (!error)
        return ERR_NONE;
    json_decref(*root);
    *root = NULL;
    return error;
}

const char *wire_text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

uint64_t wire_number_of(const json_t *object, const char *name)
{
    json_int_t number = json_integer_value(json_object_get(object, name));
    return number > 0 ? (uint64_t)number : 0;
}

/* A server may send names in both casings at once. The snake_case names are enough. */
static void drop_camel_names(json_t *item)
{
    for (enum instance_field field = 0; field < TEXT_FIELDS; field++) {
        const struct field_info *info = instance_field_info(field);
        if (strcmp(info->name, info->camel) != 0 && json_object_get(item, info->name))
            json_object_del(item, info->camel);
    }
}

/* Makes space for one more element, and doubles the array if needed. ERR_NO_MEMORY. */
static enum error reserve_one(void **array, size_t count, size_t element_size)
{
    bool is_full = (count & (count - 1)) == 0; /* a power of two, or 0 */
    if (!is_full)
        return ERR_NONE;
    void *larger = realloc(*array, (count > 0 ? 2 * count : 1) * element_size);
    if (!larger)
        return ERR_NO_MEMORY;
    *array = larger;
    return ERR_NONE;
}

/* Takes over the reference of an instance that was created, unless there is an error. *out stays
 * NULL for an invalid one, which is ignored. ERR_NO_MEMORY. */
static enum error share(struct instance *instance, enum error error, struct shared_instance **out)
{
    if (error)
        return error == ERR_NO_MEMORY ? error : ERR_NONE;
    error = shared_instance_create(instance, out);
    instance_unref(instance);
    return error;
}

static enum error read_instance(json_t *item, struct shared_instance **out)
{
    struct instance *instance = NULL;
    struct field_problem problem;
    enum name_casing names = NAMES_NEUTRAL;
    if (!json_is_object(item))
        return ERR_NONE;
    drop_camel_names(item);
    enum error error = item_instance(item, &names, &instance, &problem);
    return share(instance, error, out);
}

static enum error read_fast_instance(const struct fast_record *fast, struct shared_instance **out)
{
    struct instance *instance = NULL;
    struct field_problem problem;
    enum error error = instance_create(&fast->spec, &instance, &problem);
    return share(instance, error, out);
}

/* --- changes ---------------------------------------------------------------------------------- */

int64_t wire_read_time(const char *text)
{
    struct tm tm = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!rest)
        return 0;
    int64_t ms = 0;
    if (*rest == '.') {
        int64_t unit = 100;
        for (rest++; *rest >= '0' && *rest <= '9'; rest++, unit /= 10)
            ms += (*rest - '0') * unit;
    }
    return strcmp(rest, "Z") == 0 ? (int64_t)timegm(&tm) * 1000 + ms : 0;
}

static const struct {
    const char *word;
    enum change_type type;
} change_words[] = {{"new", CHANGE_NEW},
                    {"change", CHANGE_CHANGE},
                    {"delete", CHANGE_DELETE},
                    {"reload", CHANGE_RELOAD}};

/* Reads type and time. False: a change that is ignored. */
static bool read_change_type(const char *word, const char *time, struct push_change *change)
{
    size_t i = 0;
    while (i < sizeof change_words / sizeof *change_words &&
           strcmp(change_words[i].word, word) != 0)
        i++;
    if (i == sizeof change_words / sizeof *change_words)
        return false;
    change->type = change_words[i].type;
    change->time_ms = wire_read_time(time);
    return true;
}

/* --- items ------------------------------------------------------------------------------------ */

/* An item of "instances" or of "changes". An instance has no "change_type". */
struct item {
    bool is_change;
    bool is_known; /* false: it is ignored */
    struct push_change change;
};

static enum error read_tree(json_t *root, struct item *out)
{
    out->is_change = json_object_get(root, "change_type") != NULL;
    if (!out->is_change)
        return read_instance(root, &out->change.instance);
    out->is_known = read_change_type(wire_text_of(root, "change_type"),
                                     wire_text_of(root, "change_time"), &out->change);
    if (!out->is_known || out->change.type == CHANGE_RELOAD)
        return ERR_NONE;
    return read_instance(json_object_get(root, "instance"), &out->change.instance);
}

/* Reads an item of the usual form without a tree. ERR_INVALID_JSON: it has another form. */
static enum error read_usual_item(struct slice text, struct item *out)
{
    struct metadata_entry metadata[METADATA_ENTRIES_MAX];
    struct fast_record fast = {.metadata = metadata};
    struct slice type, time;
    char word[WIRE_WORD_MAX];
    char when[WIRE_WORD_MAX];
    if (fast_record_read(text, &fast) && fast.whole.size == text.size)
        return read_fast_instance(&fast, &out->change.instance);
    if (!fast_change_read(text, &fast, &type, &time) || type.size >= sizeof word ||
        time.size >= sizeof when)
        return ERR_INVALID_JSON;
    out->is_change = true;
    snprintf(word, sizeof word, "%.*s", (int)type.size, type.data);
    snprintf(when, sizeof when, "%.*s", (int)time.size, time.data);
    out->is_known = read_change_type(word, when, &out->change);
    if (!out->is_known || out->change.type == CHANGE_RELOAD)
        return ERR_NONE;
    return read_fast_instance(&fast, &out->change.instance);
}

/* ERR_INVALID_JSON, ERR_NO_MEMORY. */
static enum error read_item(struct slice text, struct item *out)
{
    *out = (struct item){0};
    enum error error = read_usual_item(text, out);
    if (error == ERR_INVALID_JSON) {
        json_t *root = NULL;
        error = parse(text, &root);
        if (!error)
            error = read_tree(root, out);
        json_decref(root);
    }
    bool is_reload = out->is_change && out->is_known && out->change.type == CHANGE_RELOAD;
    if (!error)
        out->is_known = is_reload || out->change.instance;
    return error;
}

/* Appends a change, or counts one that is ignored. ERR_NO_MEMORY. */
static enum error append_change(const struct item *item, struct push_change **changes,
                                size_t *count, size_t *skipped)
{
    void *array = *changes;
    enum error error = reserve_one(&array, *count, sizeof **changes);
    *changes = array;
    bool is_added = !error && item->is_change && item->is_known;
    if (is_added)
        (*changes)[(*count)++] = item->change;
    else
        shared_instance_unref(item->change.instance);
    *skipped += !error && !is_added;
    return error;
}

/* --- responses -------------------------------------------------------------------------------- */

static bool read_failure(const json_t *item, struct wire_failure *failure)
{
    struct slice parts[KEY_FIELDS] = {{0}};
    struct field_problem problem;
    enum name_casing names = NAMES_NEUTRAL;
    if (!json_is_object(item) || item_key_parts(item, &names, parts, &problem) ||
        instance_key_make(parts, &failure->key, &problem))
        return false;
    failure->stored_revision = wire_number_of(item, "stored_revision");
    wire_copy_text(failure->reason, sizeof failure->reason, wire_text_of(item, "reason"));
    wire_copy_text(failure->message, sizeof failure->message, wire_text_of(item, "error_message"));
    return true;
}

/* An item of "failed_instances" or "failed_instance_keys". */
static enum error on_failure(void *context, struct slice text)
{
    struct wire_result *result = context;
    void *failures = result->failures;
    json_t *item = NULL;
    if (result->failure_count == WIRE_FAILURES_MAX)
        return ERR_TOO_MANY_ITEMS;
    enum error error = parse(text, &item);
    if (!error)
        error = reserve_one(&failures, result->failure_count, sizeof *result->failures);
    result->failures = failures;
    if (!error && read_failure(item, &result->failures[result->failure_count]))
        result->failure_count++;
    json_decref(item);
    return error;
}

/* A server with server.default_casing = "camelCase" may respond in camelCase to a request that it
 * rejects before it reads the names in it. */
static enum error read_status(const json_t *root, struct wire_result *result)
{
    const json_t *status = json_object_get(root, "response_status");
    bool camel = !status;
    if (camel)
        status = json_object_get(root, "responseStatus");
    if (!json_is_object(status))
        return ERR_INVALID_JSON;
    const char *code = wire_text_of(status, camel ? "errorCode" : "error_code");
    const char *message = wire_text_of(status, camel ? "errorMessage" : "error_message");
    result->done = strcmp(code, "success") == 0;
    wire_copy_text(result->reason, sizeof result->reason, wire_text_of(status, "reason"));
    wire_copy_text(result->message, sizeof result->message, message);
    return ERR_NONE;
}

void wire_free_result(struct wire_result *result)
{
    free(result->failures);
    *result = (struct wire_result){0};
}

static enum error append_instance(const struct item *item, struct wire_instances *out)
{
    void *instances = out->instances;
    enum error error = reserve_one(&instances, out->count, sizeof(struct shared_instance *));
    out->instances = instances;
    if (!error && item->is_known)
        out->instances[out->count++] = item->change.instance;
    else
        shared_instance_unref(item->change.instance);
    out->skipped += !error && !item->is_known;
    return error;
}

/* An item of "instances" or of "changes". */
static enum error on_fetched(void *context, struct slice text)
{
    struct wire_instances *out = context;
    struct item item;
    enum error error = read_item(text, &item);
    if (error)
        return error;
    return item.is_change ? append_change(&item, &out->changes, &out->change_count, &out->skipped)
                          : append_instance(&item, out);
}

void wire_free_instances(struct wire_instances *out)
{
    for (size_t i = 0; i < out->count; i++)
        shared_instance_unref(out->instances[i]);
    free(out->instances);
    for (size_t i = 0; i < out->change_count; i++)
        shared_instance_unref(out->changes[i].instance);
    free(out->changes);
    wire_free_result(&out->result);
    *out = (struct wire_instances){0};
}

/* --- responses in pieces ---------------------------------------------------------------------- */

void wire_reader_start_result(struct wire_reader *reader, struct wire_result *result)
{
    static const char *const lists[] = {"failed_instances", "failed_instance_keys", NULL};
    *result = (struct wire_result){0};
    *reader = (struct wire_reader){
        .lists = {.lists = lists, .on_item = on_failure, .context = result}, .result = result};
}

void wire_reader_start_published(struct wire_reader *reader, struct wire_result *result,
                                 struct artemis_published *published)
{
    wire_reader_start_result(reader, result);
    reader->published = published;
}

void wire_reader_start_instances(struct wire_reader *reader, struct wire_instances *instances)
{
    static const char *const lists[] = {"instances", "changes", NULL};
    *instances = (struct wire_instances){0};
    *reader =
        (struct wire_reader){.lists = {.lists = lists, .on_item = on_fetched, .context = instances},
                             .result = &instances->result,
                             .instances = instances};
}

enum error wire_reader_feed(struct wire_reader *reader, struct slice piece)
{
    return list_reader_feed(&reader->lists, piece);
}

enum error wire_reader_end(struct wire_reader *reader)
{
    struct slice rest;
    json_t *root = NULL;
    enum error error = list_reader_end(&reader->lists, &rest);
    if (!error)
        error = parse(rest, &root);
    if (!error)
        error = read_status(root, reader->result);
    if (!error && reader->instances) {
        reader->instances->revision = wire_number_of(root, "version");
        reader->instances->is_delta = json_is_array(json_object_get(root, "changes"));
    }
    if (!error && reader->published)
        wire_read_published(root, reader->published);
    json_decref(root);
    return error;
}

void wire_reader_free(struct wire_reader *reader)
{
    list_reader_free(&reader->lists);
}

/* --- pushes ----------------------------------------------------------------------------------- */

/* An item of "changes". */
static enum error on_change(void *context, struct slice text)
{
    struct push_message *message = context;
    struct item item;
    enum error error = read_item(text, &item);
    return error ? error
                 : append_change(&item, &message->changes, &message->count, &message->skipped);
}

/* Keeps the JSON value as it is: it is only sent back. A value that is too long is ignored.
 * ERR_NO_MEMORY. */
static enum error read_epoch(const json_t *epoch, char out[WIRE_EPOCH_MAX])
{
    out[0] = '\0';
    if (!epoch || json_is_null(epoch))
        return ERR_NONE;
    char *dump = json_dumps(epoch, JSON_ENCODE_ANY | JSON_COMPACT);
    if (!dump)
        return ERR_NO_MEMORY;
    if (strlen(dump) < WIRE_EPOCH_MAX)
        wire_copy_text(out, WIRE_EPOCH_MAX, dump);
    free(dump);
    return ERR_NONE;
}

static enum push_type type_of(const char *word)
{
    static const struct {
        const char *word;
        enum push_type type;
    } types[] = {{"subscribed", PUSH_SUBSCRIBED},
                 {"service_change", PUSH_CHANGE},
                 {"pong", PUSH_PONG},
                 {"error", PUSH_ERROR},
                 {"subscribed_topic", PUSH_SUBSCRIBED_TOPIC},
                 {"event", PUSH_EVENT},
                 {"events_lost", PUSH_EVENTS_LOST}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].word, word) == 0)
            return types[i].type;
    return PUSH_OTHER;
}

static void read_push_rest(const json_t *root, struct push_message *message)
{
    message->type = type_of(wire_text_of(root, "type"));
    message->revision = wire_number_of(root, "version");
    message->incomplete = json_is_false(json_object_get(root, "complete"));
    wire_copy_text(message->message, sizeof message->message, wire_text_of(root, "message"));
    const char *reason = wire_text_of(root, "reason");
    message->limited =
        strcmp(reason, "over-limit") == 0 || strcmp(reason, "over-client-limit") == 0;

    struct field_problem problem;
    size_t size = 0;
    char id[ID_BYTES_MAX];
    if (service_id_canonical(slice_of(wire_text_of(root, "service_id")), id, &size, &problem))
        return;
    memcpy(message->service_id, id, size);
    message->service_id[size] = '\0';
}

enum error wire_read_push(struct slice body, struct push_message *message)
{
    static const char *const lists[] = {"changes", NULL};
    struct list_reader reader = {
        .lists = lists, .only_top = true, .on_item = on_change, .context = message};
    struct slice rest;
    json_t *root = NULL;
    *message = (struct push_message){0};
    enum error error = list_reader_feed(&reader, body);
    if (!error)
        error = list_reader_end(&reader, &rest);
    if (!error)
        error = parse(rest, &root);
    if (!error) {
        read_push_rest(root, message);
        error = read_epoch(json_object_get(root, "run"), message->epoch);
    }
    if (!error)
        error = wire_read_topic_message(root, message);
    json_decref(root);
    list_reader_free(&reader);
    if (error)
        wire_free_push(message);
    return error;
}

void wire_free_push(struct push_message *message)
{
    for (size_t i = 0; i < message->count; i++)
        shared_instance_unref(message->changes[i].instance);
    free(message->changes);
    shared_event_unref(message->event);
    *message = (struct push_message){0};
}
