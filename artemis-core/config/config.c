/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/config/config.h"

#include "artemis-core/base/suggest.h"
#include "artemis-core/config/config_tokens.h"
#include "artemis-core/config/config_value.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "artemis-core/config/config_problem.h"

enum { EDITS_MAX = 3, SHOWN_BYTES = 512 };

/* --- the table -------------------------------------------------------------------------------- */

static const struct config_setting *settings_end(void)
{
    return config_settings + config_setting_count;
}

const struct config_setting *config_find(const char *key)
{
    for (const struct config_setting *setting = config_settings; setting < settings_end();
         setting++)
        if (strcmp(setting->key, key) == 0)
            return setting;
    return NULL;
}

bool config_has_section(struct slice section)
{
    for (const struct config_setting *setting = config_settings; setting < settings_end();
         setting++)
        if (strncmp(setting->key, section.data, section.size) == 0 &&
            setting->key[section.size] == '.')
            return true;
    return slice_equal(section, SLICE("auth"));
}

static const void *field(const struct config *config, const struct config_setting *setting)
{
    return (const char *)config + setting->offset;
}

struct toml_value config_get(const struct config *config, const struct config_setting *setting)
{
    return config_value_load(setting, field(config, setting));
}

/* --- sources ---------------------------------------------------------------------------------- */

const char *config_source(const struct config *config, const struct config_setting *setting)
{
    const char *source = config->sources[setting - config_settings];
    return source[0] ? source : "default";
}

/* Keeps the end of a source that is too long. Replaces invalid UTF-8, because the source is written
 * as JSON. */
static void set_source(struct config *config, const struct config_setting *setting,
                       const char *source)
{
    char *to = config->sources[setting - config_settings];
    size_t size = strlen(source);
    if (size < CONFIG_SOURCE_BYTES)
        memcpy(to, source, size + 1);
    else
        snprintf(to, CONFIG_SOURCE_BYTES, "...%s", source + size - (CONFIG_SOURCE_BYTES - 4));
    if (text_is_utf8(slice_of(to)))
        return;
    for (; *to; to++)
        if ((unsigned char)*to >= 0x80)
            *to = '?';
}

/* --- error messages --------------------------------------------------------------------------- */

static void describe(char *out, size_t size, const struct toml_value *value)
{
    switch (value->type) {
    case TOML_TYPE_TEXT:
        text_quote(out, size, slice_of(value->text));
        return;
    case TOML_TYPE_INTEGER:
        snprintf(out, size, "%" PRId64, value->integer);
        return;
    case TOML_TYPE_BOOLEAN:
        snprintf(out, size, "%s", value->boolean ? "true" : "false");
        return;
    case TOML_TYPE_LIST:
        snprintf(out, size, "a list of %zu", value->count);
        return;
    case TOML_TYPE_TABLE:
        snprintf(out, size, "a table");
        return;
    case TOML_TYPE_OTHER:
        snprintf(out, size, "%s", value->text);
        return;
    }
}

/* --- corrections ------------------------------------------------------------------------------ */

static bool is_from(const char *source, const char *beginning)
{
    return strncmp(source, beginning, strlen(beginning)) == 0;
}

void config_variable(const char *key, char out[CONFIG_VARIABLE_BYTES])
{
    int length = snprintf(out, CONFIG_VARIABLE_BYTES, "ARTEMIS_%s", key);
    for (int i = 0; i < length && i < CONFIG_VARIABLE_BYTES - 1; i++)
        out[i] = out[i] == '.' ? '_' : (char)toupper((unsigned char)out[i]);
}

const struct config_setting *config_find_variable(struct slice name)
{
    char variable[CONFIG_VARIABLE_BYTES];
    const size_t prefix = strlen("ARTEMIS_");
    for (const struct config_setting *setting = config_settings; setting < settings_end();
         setting++) {
        config_variable(setting->key, variable);
        if (slice_equal(slice_of(variable + prefix), name))
            return setting;
    }
    return NULL;
}

/* Writes a setting in the syntax of its source: "60" (in a file), "ARTEMIS_LEASE_TTL_SECS=60" or
 * "--set lease.ttl_secs=60". */
static void write_for_source(char *out, size_t size, const char *source, const char *key,
                             const char *value)
{
    char variable[CONFIG_VARIABLE_BYTES];
    config_variable(key, variable);
    if (is_from(source, CONFIG_SOURCE_ENVIRONMENT))
        snprintf(out, size, "%s=%s", variable, value);
    else if (is_from(source, CONFIG_SOURCE_SET))
        snprintf(out, size, "--set %s=%s", key, value);
    else
        snprintf(out, size, "%s", value); /* in a file: only numbers and booleans get here */
}

/* Whether a text is a whole number in another form: 60.0, "60", " 60 ", 6e1. */
static bool whole_number(const char *text, char *out, size_t size)
{
    char *end = NULL;
    double number = strtod(text, &end);
    if (end == text || end[strspn(end, " \t")] != '\0' || !(number >= 0 && number < 1e15) ||
        number != (double)(uint64_t)number)
        return false;
    snprintf(out, size, "%" PRIu64, (uint64_t)number);
    return true;
}

/* The text without its quotes, which in the environment and --set are part of the value. */
static bool unquoted(const char *text, char *out, size_t size)
{
    size_t length = strlen(text);
    if (length < 2 || (text[0] != '"' && text[0] != '\'') || text[length - 1] != text[0])
        return false;
    snprintf(out, size, "%.*s", (int)(length - 2), text + 1);
    return true;
}

/* Writes the allowed value that an invalid one was probably meant to be. False: none found. */
static bool correct_value(const struct config_setting *setting, const struct toml_value *value,
                          char *out, size_t size)
{
    static const char float_words[] = "the number ";
    union {
        char text[CONFIG_TEXT_BYTES];
        uint64_t number;
    } unused;
    char bare[CONFIG_TEXT_BYTES];
    bool is_text = value->type == TOML_TYPE_TEXT;
    bool is_float = value->type == TOML_TYPE_OTHER && is_from(value->text, float_words);
    if (setting->secret || setting->type == CONFIG_LIST || (!is_text && !is_float))
        return false;
    const char *text = is_float ? value->text + strlen(float_words) : value->text;
    if (strlen(text) >= sizeof(bare))
        return false;
    if (!unquoted(text, bare, sizeof(bare)))
        snprintf(bare, sizeof(bare), "%s", text);
    bool is_number = setting->type == CONFIG_NUMBER || setting->type == CONFIG_SIZE;
    if (!is_number || !whole_number(bare, out, size))
        snprintf(out, size, "%s", bare);
    struct toml_value better = config_value_parse(setting, out);
    return config_value_store(setting, &better, &unused) == ERR_NONE;
}

static enum error invalid_value(const struct config_setting *setting,
                                const struct toml_value *value, const char *source,
                                struct config_problem *problem)
{
    char shown[SHOWN_BYTES] = "***";
    struct text allowed = {0};
    struct toml_value invalid = config_value_invalid_part(setting, value);
    config_write_allowed(&allowed, setting);
    if (!setting->secret)
        describe(shown, sizeof(shown), &invalid);
    char corrected[CONFIG_TEXT_BYTES];
    char written[CONFIG_TEXT_BYTES + CONFIG_VARIABLE_BYTES];
    bool in_file = !is_from(source, CONFIG_SOURCE_ENVIRONMENT) && !is_from(source, "--");
    bool quoted = setting->type == CONFIG_TEXT || setting->type == CONFIG_CHOICE;
    bool known =
        !(in_file && quoted) && correct_value(setting, &invalid, corrected, sizeof(corrected));
    if (known)
        write_for_source(written, sizeof(written), source, setting->key, corrected);
    config_problem_set(problem, "%s: %s: must be %s%s, is %s%s%s", source, setting->key,
                       config_value_article(setting), text_string(&allowed), shown,
                       known ? "; write " : "", known ? written : "");
    text_free(&allowed);
    return ERR_INVALID_FIELD;
}

static const char *last_part(const char *key)
{
    const char *dot = strrchr(key, '.');
    return dot ? dot + 1 : key;
}

/* Whether `beginning` is `key` without its end: `lease.ttl` for `lease.ttl_secs`. */
static bool begins_with(const char *key, const char *beginning)
{
    const char *part = last_part(beginning);
    return part > beginning && *part && strncmp(key, beginning, strlen(beginning)) == 0;
}

/* The closest key within a few edits, or the only key with the same last part. */
const char *config_nearest(const char *key)
{
    const char *best = NULL;
    /* More edits than half of the letters make another word. */
    size_t most = (strlen(last_part(key)) + 1) / 2;
    size_t best_edits = (most < EDITS_MAX ? most : EDITS_MAX) + 1;
    if (strlen(key) > SUGGEST_WORD_MAX)
        return NULL;
    for (const struct config_setting *setting = config_settings; setting < settings_end();
         setting++) {
        size_t count = begins_with(setting->key, key) ? 1 : suggest_distance(key, setting->key);
        if (count < best_edits) {
            best = setting->key;
            best_edits = count;
        }
    }
    if (best)
        return best;
    for (const struct config_setting *setting = config_settings; setting < settings_end();
         setting++) {
        if (strcmp(last_part(setting->key), last_part(key)) != 0)
            continue;
        if (best)
            return NULL;
        best = setting->key;
    }
    return best;
}

static enum error unknown_key(const char *key, const struct toml_value *value, const char *source,
                              struct config_problem *problem)
{
    char shown[SHOWN_BYTES];
    if (config_has_section(slice_of(key))) {
        describe(shown, sizeof(shown), value);
        return config_problem_set(problem, "%s: %s: must be a section, [%s], is %s", source, key,
                                  key, shown);
    }
    text_quote(shown, sizeof(shown), slice_of(key));
    const char *near = config_nearest(key);
    char variable[CONFIG_VARIABLE_BYTES];
    if (near && is_from(source, CONFIG_SOURCE_ENVIRONMENT)) {
        config_variable(near, variable);
        near = variable;
    }
    if (near)
        return config_problem_set(problem, "%s: unknown setting %s; did you mean %s?", source,
                                  shown, near);
    return config_problem_set(problem,
                              "%s: unknown setting %s; all are listed by: artemis config reference",
                              source, shown);
}

/* A table of an array, such as [[lease]], where something else belongs. */
static enum error set_array_of_tables(struct config *config, const char *key, const char *source,
                                      struct config_problem *problem)
{
    const struct toml_value tables = {.type = TOML_TYPE_OTHER, .text = "a list of tables"};
    char *name = strndup(key, strcspn(key, "["));
    if (!name) {
        config_problem_set(problem, "%s: %s", source, error_info(ERR_NO_MEMORY)->message);
        return ERR_NO_MEMORY;
    }
    enum error code = config_set(config, name, &tables, source, problem);
    free(name);
    return code;
}

/* --- setting ---------------------------------------------------------------------------------- */

enum error config_set(struct config *config, const char *key, const struct toml_value *value,
                      const char *source, struct config_problem *problem)
{
    const struct config_setting *setting = config_find(key);
    if (config_tokens_has_key(key))
        return config_tokens_set(config, key, value, source, problem);
    if (!setting && key[0] != '"' && strchr(key, '['))
        return set_array_of_tables(config, key, source, problem);
    if (!setting && value->type == TOML_TYPE_TABLE && config_has_section(slice_of(key)))
        return ERR_NONE;
    if (!setting)
        return unknown_key(key, value, source, problem);
    enum error code = config_value_store(setting, value, (char *)config + setting->offset);
    if (code == ERR_INVALID_FIELD)
        return invalid_value(setting, value, source, problem);
    if (code != ERR_NONE) {
        config_problem_set(problem, "%s: %s: %s", source, key, error_info(code)->message);
        return code;
    }
    set_source(config, setting, source);
    return ERR_NONE;
}

struct text_reader {
    struct config *config;
    const char *key;
    const char *source;
    struct config_problem *problem;
    bool check_only; /* check that the document is one list, without setting it */
};

static enum error out_of_memory(const struct text_reader *reader)
{
    config_problem_set(reader->problem, "%s: %s: out of memory", reader->source, reader->key);
    return ERR_NO_MEMORY;
}

static enum error visit_array(void *context, const char *key, const struct toml_value *value,
                              uint32_t line)
{
    const struct text_reader *reader = context;
    (void)line;
    if (strcmp(key, "value") != 0)
        return config_problem_set(reader->problem, "%s: %s: there is more than the list",
                                  reader->source, reader->key);
    if (reader->check_only)
        return ERR_NONE;
    return config_set(reader->config, reader->key, value, reader->source, reader->problem);
}

static enum error read_array(struct text_reader *reader, struct slice document, bool check_only)
{
    char toml_problem[256] = "";
    reader->check_only = check_only;
    enum error code =
        toml_read("list", document, visit_array, reader, toml_problem, sizeof(toml_problem));
    if (toml_problem[0])
        config_problem_set(reader->problem, "%s: %s: %s", reader->source, reader->key,
                           toml_problem);
    return code;
}

static enum error set_array(struct text_reader *reader, const char *text)
{
    struct text document = {0};
    text_append_string(&document, "value = ");
    text_append_string(&document, text);
    if (text_failed(&document)) {
        text_free(&document);
        return out_of_memory(reader);
    }
    struct slice slice = {document.data, document.size};
    enum error code = read_array(reader, slice, true);
    if (code == ERR_NONE)
        code = read_array(reader, slice, false);
    text_free(&document);
    return code;
}

static char *trim(char *text)
{
    text += strspn(text, " \t");
    for (size_t size = strlen(text); size > 0 && strchr(" \t", text[size - 1]); size--)
        text[size - 1] = '\0';
    return text;
}

/* Keeps one item more than allowed, so that config_set rejects the list. */
static enum error set_commas(const struct text_reader *reader, const char *text)
{
    const char *items[CONFIG_LIST_MAX + 1];
    struct toml_value value = {.type = TOML_TYPE_LIST, .items = items};
    char *copy = strdup(text);
    if (!copy)
        return out_of_memory(reader);
    char *rest = *trim(copy) ? copy : NULL;
    while (rest && value.count <= CONFIG_LIST_MAX)
        items[value.count++] = trim(strsep(&rest, ","));
    enum error code =
        config_set(reader->config, reader->key, &value, reader->source, reader->problem);
    free(copy);
    return code;
}

/* Whether a text is a TOML array. "[::1]:8080" is an address: a colon comes before any quote. */
static bool is_array(const char *text)
{
    text += strspn(text, " \t");
    return text[0] == '[' && text[1 + strcspn(text + 1, ":\"',]")] != ':';
}

enum error config_set_text(struct config *config, const char *key, const char *text,
                           const char *source, struct config_problem *problem)
{
    const struct config_setting *setting = config_find(key);
    struct toml_value value = {.type = TOML_TYPE_TEXT, .text = text};
    struct text_reader reader = {config, key, source, problem, false};
    if (setting && setting->type == CONFIG_LIST)
        return is_array(text) ? set_array(&reader, text) : set_commas(&reader, text);
    if (setting)
        value = config_value_parse(setting, text);
    return config_set(config, key, &value, source, problem);
}

/* --- initialization --------------------------------------------------------------------------- */

void config_init(struct config *config, const char *host_name, uint32_t cores)
{
    *config = (struct config){0};
    for (const struct config_setting *setting = config_settings; setting < settings_end();
         setting++) {
        if (!setting->default_value || setting->type == CONFIG_LIST)
            continue;
        struct toml_value value = config_value_parse(setting, setting->default_value);
        enum error code = config_value_store(setting, &value, (char *)config + setting->offset);
        assert(code == ERR_NONE); /* defaults of the table are valid */
        (void)code;
    }
    const struct config_setting *node_id = config_find("server.node_id");
    const struct config_setting *threads = config_find("server.threads");
    struct toml_value name = {.type = TOML_TYPE_TEXT, .text = host_name};
    if (config_value_store(node_id, &name, config->server.node_id) != ERR_NONE)
        snprintf(config->server.node_id, CONFIG_TEXT_BYTES, "localhost");
    config->server.threads = cores < threads->min   ? (uint32_t)threads->min
                             : cores > threads->max ? (uint32_t)threads->max
                                                    : cores;
}

void config_free(struct config *config)
{
    if (!config)
        return;
    for (const struct config_setting *setting = config_settings; setting < settings_end();
         setting++) {
        if (setting->type != CONFIG_LIST)
            continue;
        struct config_list *list = (void *)((char *)config + setting->offset);
        free(list->items);
        *list = (struct config_list){0};
    }
    config_tokens_free(config);
}

/* --- showing ---------------------------------------------------------------------------------- */

bool config_same(const struct config *a, const struct config *b,
                 const struct config_setting *setting)
{
    struct toml_value x = config_get(a, setting);
    struct toml_value y = config_get(b, setting);
    if (x.type == TOML_TYPE_TEXT)
        return strcmp(x.text, y.text) == 0;
    if (x.integer != y.integer || x.boolean != y.boolean || x.count != y.count)
        return false;
    for (size_t i = 0; i < x.count; i++)
        if (strcmp(x.items[i], y.items[i]) != 0)
            return false;
    return true;
}

/* Secrets are texts. That none is set is no secret. */
static bool is_hidden(const struct config_setting *setting, const struct toml_value *value)
{
    return setting->secret && value->type == TOML_TYPE_TEXT && value->text[0];
}

void config_write_text(struct text *out, const struct config *config,
                       const struct config_setting *setting)
{
    struct toml_value value = config_get(config, setting);
    if (is_hidden(setting, &value))
        text_append_string(out, "***");
    else if (setting->type == CONFIG_SIZE)
        config_value_write_size(out, (uint64_t)value.integer);
    else if (value.type == TOML_TYPE_INTEGER)
        text_append_u64(out, (uint64_t)value.integer);
    else if (value.type == TOML_TYPE_BOOLEAN)
        text_append_string(out, value.boolean ? "true" : "false");
    else if (value.type == TOML_TYPE_TEXT)
        text_append_string(out, value.text);
    for (size_t i = 0; i < value.count; i++)
        text_printf(out, "%s%s", i > 0 ? "," : "", value.items[i]);
}

void config_write_json(struct json_writer *out, const struct config *config,
                       const struct config_setting *setting)
{
    struct toml_value value = config_get(config, setting);
    if (is_hidden(setting, &value))
        jw_string(out, "***");
    else if (value.type == TOML_TYPE_INTEGER)
        jw_u64(out, (uint64_t)value.integer);
    else if (value.type == TOML_TYPE_BOOLEAN)
        jw_bool(out, value.boolean);
    else if (value.type == TOML_TYPE_TEXT)
        jw_string(out, value.text);
    else {
        jw_open(out, '[');
        for (size_t i = 0; i < value.count; i++)
            jw_string(out, value.items[i]);
        jw_close(out, ']');
    }
}

enum error config_copy(struct config *to, const struct config *from,
                       const struct config_setting *setting)
{
    struct config_problem problem;
    struct toml_value value = config_get(from, setting);
    return config_set(to, setting->key, &value, config_source(from, setting), &problem);
}
