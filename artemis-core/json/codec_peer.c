/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/json/codec_peer.h"

#include <stdlib.h>
#include <string.h>

#include "artemis-core/json/codec_internal.h"
#include "artemis-core/json/fast_parser.h"

/* --- writing ---------------------------------------------------------------------------------- */

static void write_stamp(struct json_writer *w, const struct wire_record *record)
{
    if (record->stamp.hlc) {
        jw_name(w, "version");
        jw_u64(w, record->stamp.hlc);
        jw_name(w, "origin");
        jw_text(w, record->stamp.node_id);
    }
    jw_name(w, "age_ms");
    jw_u64(w, record->age_ms);
    if (record->deleted) {
        jw_name(w, "deleted");
        jw_bool(w, true);
    }
    if (record->is_guarded) {
        jw_name(w, "guarded");
        jw_bool(w, true);
    }
    if (record->is_confirming) {
        jw_name(w, "confirming");
        jw_bool(w, true);
        jw_name(w, "rounds");
        jw_u64(w, record->rounds);
    }
}

/* Repeats the members whose names have two spellings in camelCase. */
static void write_camel_members(struct json_writer *w, const struct instance *instance)
{
    static const enum instance_field fields[] = {
        FIELD_REGION,   FIELD_ZONE,         FIELD_SERVICE,          FIELD_GROUP,
        FIELD_INSTANCE, FIELD_MACHINE_NAME, FIELD_HEALTH_CHECK_URL,
    };
    enum casing casing = w->casing;
    w->casing = CASING_CAMEL;
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        struct slice text = instance_text(instance, fields[i]);
        if (text.size == 0)
            continue;
        jw_name(w, instance_field_info(fields[i])->name);
        jw_text(w, text);
    }
    w->casing = casing;
}

void codec_write_peer_instance(struct json_writer *w, const struct wire_record *record, bool legacy)
{
    jw_open(w, '{');
    codec_write_instance_members(w, DIALECT_SNAKE, record->instance, !legacy);
    if (legacy)
        write_camel_members(w, record->instance);
    else
        write_stamp(w, record);
    jw_close(w, '}');
}

void codec_write_peer_key(struct json_writer *w, const struct wire_record *record, bool legacy)
{
    jw_open(w, '{');
    for (enum instance_field part = 0; part < KEY_FIELDS; part++) {
        struct slice text = record->instance ? instance_text(record->instance, part)
                                             : instance_key_part(record->key, part);
        if (text.size == 0 && !legacy)
            continue;
        jw_name(w, instance_field_info(part)->name);
        jw_text(w, text);
    }
    uint64_t client_revision = wire_record_client_revision(record);
    if (client_revision && !legacy) {
        jw_name(w, "revision");
        jw_u64(w, client_revision);
    }
    if (!legacy)
        write_stamp(w, record);
    if (record->has_weight && record->instance && !legacy)
        codec_write_weight(w, record->instance);
    jw_close(w, '}');
}

/* --- reading: state --------------------------------------------------------------------------- */

enum { DEPTH_MAX = 16, NAME_BYTES = 32 };

struct peer_reader {
    wire_record_read *on_record;
    peer_number_read *on_number;
    void *context;
    int depth;                /* number of open brackets */
    char brackets[DEPTH_MAX]; /* the open brackets */
    int list_at[DEPTH_MAX];   /* enum peer_list of each open array; PEER_LISTS: not of interest */
    bool in_string;
    bool escaped;
    int record_depth;      /* depth of the record that is being read; 0: none */
    struct text record;    /* its bytes so far */
    char name[NAME_BYTES]; /* the last string, which is a member's name if a colon follows */
    size_t name_size;
    char word[NAME_BYTES]; /* the number or literal that is being read */
    size_t word_size;
    bool last_is_complete; /* the last member of the root is "complete" */
    bool complete;
    bool ended;
    uint64_t invalid;
};

enum error peer_reader_create(wire_record_read *on_record, peer_number_read *on_number,
                              void *context, struct peer_reader **out)
{
    struct peer_reader *reader = calloc(1, sizeof(*reader));
    if (!reader)
        return ERR_NO_MEMORY;
    reader->on_record = on_record;
    reader->on_number = on_number;
    reader->context = context;
    *out = reader;
    return ERR_NONE;
}

void peer_reader_free(struct peer_reader *reader)
{
    if (!reader)
        return;
    text_free(&reader->record);
    free(reader);
}

static bool is_named(const struct peer_reader *reader, const char *name)
{
    return slice_equal((struct slice){reader->name, reader->name_size}, slice_of(name));
}

static enum peer_list list_by_name(const struct peer_reader *reader)
{
    static const struct {
        const char *name;
        enum peer_list list;
    } lists[] = {
        {"instances", PEER_LIST_INSTANCES},
        {"instance_keys", PEER_LIST_KEYS},
        {"instanceKeys", PEER_LIST_KEYS},
        {"tombstones", PEER_LIST_KEYS},
        {"failed_instance_keys", PEER_LIST_FAILED},
        {"failedInstanceKeys", PEER_LIST_FAILED},
        {"failed_instances", PEER_LIST_FAILED},
        {"failedInstances", PEER_LIST_FAILED},
        {"digests", PEER_LIST_NUMBERS},
    };
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        if (is_named(reader, lists[i].name))
            return lists[i].list;
    return PEER_LISTS;
}

/* --- reading: records ------------------------------------------------------------------------- */

/* Passes on a record, or counts it if it is invalid. */
static enum error deliver(struct peer_reader *reader, enum peer_list list,
                          const struct wire_record *record, enum error error)
{
    if (!error)
        reader->on_record(reader->context, list, record);
    instance_unref(record->instance);
    if (error != ERR_INVALID_FIELD)
        return error;
    reader->invalid++;
    return ERR_NONE;
}

static enum error read_fast(struct peer_reader *reader, enum peer_list list,
                            const struct fast_record *fast)
{
    struct wire_record record = {0};
    fast_record_wire(fast, &record);
    struct field_problem problem;
    struct instance_key key;
    enum error error = item_check_stamp(&record.stamp, &problem);
    if (!error && list == PEER_LIST_INSTANCES) {
        error = instance_create(&fast->spec, &record.instance, &problem);
    } else if (!error) {
        error = instance_key_make(fast->spec.text, &key, &problem);
        record.key = &key;
    }
    return deliver(reader, list, &record, error);
}

static enum error read_item(struct peer_reader *reader, enum peer_list list, json_t *item)
{
    struct wire_record record = {0};
    struct field_problem problem;
    struct instance_key key;
    enum name_casing names = NAMES_NEUTRAL;
    enum error error = item_stamp(item, &record, &problem);
    if (!error && list == PEER_LIST_INSTANCES) {
        error = item_instance(item, &names, &record.instance, &problem);
    } else if (!error) {
        struct slice parts[KEY_FIELDS] = {0};
        error = item_key_parts(item, &names, parts, &problem);
        if (!error)
            error = instance_key_make(parts, &key, &problem);
        record.key = &key;
    }
    return deliver(reader, list, &record, error);
}

static enum error read_record(struct peer_reader *reader, enum peer_list list, struct slice text)
{
    struct metadata_entry metadata[METADATA_ENTRIES_MAX];
    struct fast_record fast = {.metadata = metadata};
    if (fast_record_read(text, &fast))
        return read_fast(reader, list, &fast);
    char message[MESSAGE_BYTES];
    struct document document;
    enum error error = document_open(text, &document, message);
    if (error)
        return error;
    error = read_item(reader, list, document.root);
    document_close(&document);
    return error;
}

static enum error end_record(struct peer_reader *reader)
{
    if (text_failed(&reader->record))
        return ERR_NO_MEMORY;
    enum error error = read_record(reader, (enum peer_list)reader->list_at[reader->depth - 1],
                                   (struct slice){reader->record.data, reader->record.size});
    text_clear(&reader->record);
    return error;
}

/* --- reading: the scanner --------------------------------------------------------------------- */

static void end_word(struct peer_reader *reader)
{
    if (reader->word_size == 0)
        return;
    reader->word[reader->word_size] = '\0';
    reader->word_size = 0;
    if (reader->depth == 1)
        reader->complete = reader->last_is_complete && strcmp(reader->word, "true") == 0;
    else if (reader->list_at[reader->depth - 1] == PEER_LIST_NUMBERS && reader->on_number)
        reader->on_number(reader->context, strtoull(reader->word, NULL, 10));
}

static bool begins_record(const struct peer_reader *reader, char c)
{
    if (c != '{' || reader->in_string || reader->record_depth || reader->depth == 0)
        return false;
    int list = reader->list_at[reader->depth - 1];
    return list != PEER_LISTS && list != PEER_LIST_NUMBERS;
}

static enum error open_bracket(struct peer_reader *reader, char c)
{
    if (reader->depth == DEPTH_MAX)
        return ERR_INVALID_JSON;
    if (begins_record(reader, c))
        reader->record_depth = reader->depth + 1;
    reader->brackets[reader->depth] = c;
    reader->list_at[reader->depth] = c == '[' ? (int)list_by_name(reader) : PEER_LISTS;
    reader->depth++;
    reader->name_size = 0;
    return ERR_NONE;
}

static enum error close_bracket(struct peer_reader *reader, char c)
{
    end_word(reader);
    if (reader->depth == 0 || reader->brackets[reader->depth - 1] != (c == '}' ? '{' : '['))
        return ERR_INVALID_JSON;
    enum error error = ERR_NONE;
    reader->depth--;
    if (reader->record_depth == reader->depth + 1) {
        error = end_record(reader);
        reader->record_depth = 0;
        reader->name_size = 0;
    }
    if (reader->depth == 0)
        reader->ended = true;
    return error;
}

static void string_char(struct peer_reader *reader, char c)
{
    if (reader->escaped) {
        reader->escaped = false;
    } else if (c == '\\') {
        reader->escaped = true;
    } else if (c == '"') {
        reader->in_string = false;
        return;
    }
    if (reader->name_size < NAME_BYTES)
        reader->name[reader->name_size++] = c;
}

static enum error plain_char(struct peer_reader *reader, char c)
{
    switch (c) {
    case '"':
        reader->in_string = true;
        reader->name_size = 0;
        return ERR_NONE;
    case '{':
    case '[':
        return open_bracket(reader, c);
    case '}':
    case ']':
        return close_bracket(reader, c);
    case ':':
        if (reader->depth == 1) {
            reader->last_is_complete = is_named(reader, "complete");
            reader->complete = false;
        }
        return ERR_NONE;
    case ',':
    case ' ':
    case '\t':
    case '\r':
    case '\n':
        end_word(reader);
        return ERR_NONE;
    default:
        if (reader->word_size == NAME_BYTES - 1)
            return ERR_INVALID_JSON;
        reader->word[reader->word_size++] = c;
        return reader->depth ? ERR_NONE : ERR_INVALID_JSON;
    }
}

/* Appends bytes of a piece to the record that is being read. */
static enum error append_to_record(struct peer_reader *reader, const char *data, size_t size)
{
    if (reader->record.size + size > PEER_RECORD_BYTES_MAX)
        return ERR_TOO_MANY_ITEMS;
    text_append(&reader->record, data, size);
    return ERR_NONE;
}

/* Parses a record at the start of `rest` in place, if it is complete and of the usual form. *taken
 * is its size; 0: the scanner must read it. */
static enum error read_in_place(struct peer_reader *reader, struct slice rest, size_t *taken)
{
    enum { RECORD_DEPTH = 2 }; /* a record and its metadata */
    struct metadata_entry metadata[METADATA_ENTRIES_MAX];
    struct fast_record fast = {.metadata = metadata};
    *taken = 0;
    if (reader->word_size || reader->depth + RECORD_DEPTH > DEPTH_MAX)
        return ERR_NONE;
    if (rest.size > PEER_RECORD_BYTES_MAX)
        rest.size = PEER_RECORD_BYTES_MAX;
    if (!fast_record_read(rest, &fast))
        return ERR_NONE;
    *taken = fast.whole.size;
    reader->name_size = 0;
    return read_fast(reader, (enum peer_list)reader->list_at[reader->depth - 1], &fast);
}

enum error peer_reader_feed(struct peer_reader *reader, struct slice piece)
{
    enum error error = ERR_NONE;
    size_t kept = 0; /* offset of the first byte of the record that is not appended yet */
    for (size_t i = 0; i < piece.size && !error; i++) {
        char c = piece.data[i];
        size_t taken = 0;
        if (begins_record(reader, c))
            error = read_in_place(reader, (struct slice){piece.data + i, piece.size - i}, &taken);
        if (error || taken) {
            i += taken - 1;
            continue;
        }
        bool in_record = reader->record_depth != 0;
        bool ends =
            in_record && !reader->in_string && c == '}' && reader->depth == reader->record_depth;
        if (ends)
            error = append_to_record(reader, piece.data + kept, i + 1 - kept);
        if (!error && reader->in_string)
            string_char(reader, c);
        else if (!error)
            error = plain_char(reader, c);
        if (!in_record && reader->record_depth)
            kept = i;
    }
    if (!error && reader->record_depth)
        error = append_to_record(reader, piece.data + kept, piece.size - kept);
    return error;
}

bool peer_reader_ended(const struct peer_reader *reader)
{
    return reader->ended;
}

bool peer_reader_complete(const struct peer_reader *reader)
{
    return reader->ended && reader->complete;
}

uint64_t peer_reader_invalid(const struct peer_reader *reader)
{
    return reader->invalid;
}
