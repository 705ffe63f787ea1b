/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings from a TOML file (the first byte is even), or from lines KEY=VALUE as of --set and of
 * the environment. A refused value leaves all settings unchanged, and its message begins with the
 * source. Settings that are valid together stay so, and their texts set the same values again.
 */
#include <string.h>

#include "artemis-core/config/config.h"
#include "tests/fuzz/support/fuzz.h"

enum { LINES_MAX = 16, KEY_BYTES = 64, VALUE_BYTES = 1024 };

static const char host_name[] = "fuzz";

static void check_same(const struct config *a, const struct config *b)
{
    for (size_t i = 0; i < config_setting_count; i++)
        assert(config_same(a, b, &config_settings[i]));
}

/* The settings before a value, to compare. */
static void copy_settings(const struct config *from, struct config *to)
{
    struct config_problem problem;
    config_init(to, host_name, 2);
    for (size_t i = 0; i < config_setting_count; i++) {
        const struct toml_value value = config_get(from, &config_settings[i]);
        if (value.type == TOML_TYPE_TEXT && !value.text[0])
            continue; /* not set */
        enum error error = config_set(to, config_settings[i].key, &value, "copy", &problem);
        assert(!error);
    }
    check_same(from, to);
}

static void check_problem(enum error error, const struct config_problem *problem,
                          const char *source)
{
    assert(error == ERR_INVALID_FIELD);
    assert(strncmp(problem->text, source, strlen(source)) == 0);
    assert(text_is_utf8(slice_of(problem->text)));
}

/* --- sources ---------------------------------------------------------------------------------- */

static enum error visit(void *context, const char *key, const struct toml_value *value,
                        uint32_t line)
{
    struct config *config = context;
    struct config before;
    struct config_problem problem = {""};
    char source[32];
    snprintf(source, sizeof(source), "f.toml:%u", line);
    copy_settings(config, &before);
    enum error error = config_set(config, key, value, source, &problem);
    if (error) {
        check_problem(error, &problem, source);
        check_same(config, &before);
    }
    config_free(&before);
    return ERR_NONE; /* the values after it, too */
}

static void read_file(struct config *config, struct slice text)
{
    char message[CONFIG_PROBLEM_BYTES] = "";
    enum error error = toml_read("f.toml", text, visit, config, message, sizeof(message));
    assert(!error || (error == ERR_INVALID_FIELD && strncmp(message, "f.toml:", 7) == 0));
}

static void set_line(struct config *config, struct slice line, const char *source)
{
    char key[KEY_BYTES];
    char value[VALUE_BYTES];
    struct config before;
    struct config_problem problem = {""};
    const char *equals = line.size ? memchr(line.data, '=', line.size) : NULL;
    size_t key_size = equals ? (size_t)(equals - line.data) : 0;
    size_t value_size = equals ? line.size - key_size - 1 : 0;
    if (!equals || key_size >= KEY_BYTES || value_size >= VALUE_BYTES)
        return;
    memcpy(key, line.data, key_size);
    memcpy(value, equals + 1, value_size);
    key[key_size] = value[value_size] = '\0';
    copy_settings(config, &before);
    enum error error = config_set_text(config, key, value, source, &problem);
    if (error) {
        check_problem(error, &problem, source);
        check_same(config, &before);
    }
    config_free(&before);
}

static void read_lines(struct config *config, struct slice text)
{
    for (int i = 0; i < LINES_MAX && text.size > 0; i++) {
        const char *end = memchr(text.data, '\n', text.size);
        size_t size = end ? (size_t)(end - text.data) : text.size;
        set_line(config, (struct slice){text.data, size},
                 i % 2 ? CONFIG_SOURCE_ENVIRONMENT "ARTEMIS_X" : CONFIG_SOURCE_SET);
        size_t taken = end ? size + 1 : size;
        text.data += taken;
        text.size -= taken;
    }
}

/* --- settings that are valid together --------------------------------------------------------- */

/* A default that is derived from other settings is derived again. It may be one that cannot be set:
 * cluster.advertise_addr has the port 0 of a listener. */
static bool is_set(const struct config *config, const struct config_setting *setting)
{
    return strcmp(config_source(config, setting), "default") != 0;
}

static void check_round_trip(const struct config *config)
{
    struct config again;
    struct config_problem problem = {""};
    config_init(&again, host_name, 2);
    for (size_t i = 0; i < config_setting_count; i++) {
        const struct config_setting *setting = &config_settings[i];
        struct toml_value value = config_get(config, setting);
        struct text text = {0};
        if (setting->secret || !is_set(config, setting) ||
            (value.type == TOML_TYPE_TEXT && !value.text[0]))
            continue;
        config_write_text(&text, config, setting);
        enum error error =
            config_set_text(&again, setting->key, text_string(&text), "again", &problem);
        assert(!error && config_same(config, &again, setting));
        text_free(&text);
    }
    enum error error = config_validate(&again, &problem);
    assert(!error);
    check_same(config, &again);
    config_free(&again);
}

static void check_documents(const struct config *config)
{
    struct text json = {0};
    struct json_writer w = jw_to(&json, CASING_SNAKE);
    jw_open(&w, '{');
    for (size_t i = 0; i < config_setting_count; i++) {
        jw_name(&w, config_settings[i].key);
        config_write_json(&w, config, &config_settings[i]);
    }
    jw_close(&w, '}');
    fuzz_check_response(&json);
    struct text warnings = {0};
    config_warn(config, &warnings);
    assert(!text_failed(&warnings));
    assert(text_is_utf8((struct slice){warnings.data, warnings.size}));
    text_free(&warnings);
}

static void check_advertise(struct config *config)
{
    static const char *const addresses[] = {"10.0.0.1", "fd00::1", "10.0.0.2"};
    struct config_problem problem = {""};
    for (size_t count = 0; count <= sizeof(addresses) / sizeof(addresses[0]); count++) {
        struct config_host host = {"fuzz", addresses, count};
        if (config_advertise(config, &host, &problem))
            assert(text_is_utf8(slice_of(problem.text)) && problem.text[0]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config config;
    struct config_problem problem = {""};
    if (size == 0)
        return 0;
    config_init(&config, host_name, 2);
    struct slice text = fuzz_slice(data + 1, size - 1);
    if (data[0] % 2)
        read_lines(&config, text);
    else
        read_file(&config, text);
    enum error error = config_validate(&config, &problem);
    if (error) {
        assert(error == ERR_INVALID_FIELD && text_is_utf8(slice_of(problem.text)));
    } else {
        if (config.auth.tokens.count == 0) /* tokens come from files alone */
            check_round_trip(&config);
        check_documents(&config);
        check_advertise(&config);
    }
    config_free(&config);
    return 0;
}
