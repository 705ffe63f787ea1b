/* SPDX-License-Identifier: Apache-2.0
 *
 * A random instance that is written in any dialect and read again is the same, with texts of every
 * length up to the limits and characters of every size. The seed is fixed.
 */
#include "artemis-core/json/codec.h"

#include <stdlib.h>
#include <string.h>

#include "tests/support/cmocka_all.h"

enum { ROUNDS = 2000, TEXTS_BYTES = 16 * 1024 };

/* Holds the texts of one spec. */
struct spec_buffer {
    char bytes[TEXTS_BYTES + METADATA_BYTES_MAX];
    size_t used;
    struct metadata_entry metadata[METADATA_ENTRIES_MAX];
};

static size_t random_below(size_t limit)
{
    return (size_t)rand() % limit;
}

/* A random text of at most `bytes_max` bytes: quotes, long characters, nothing that is refused. */
static struct slice random_text(struct spec_buffer *buffer, size_t bytes_max)
{
    static const char *const characters[] = {
        "a",       "Z", "\"", "\\", "/", "'", "{", "\xC3\xBC", "\xE2\x82\xAC", "\xF0\x9F\x98\x80",
        "\xC2\xA0"};
    size_t wanted = 1 + random_below(random_below(4) ? 20 : bytes_max);
    if (wanted > bytes_max)
        wanted = bytes_max;
    struct slice text = {buffer->bytes + buffer->used, 0};
    for (;;) {
        const char *c = characters[random_below(sizeof(characters) / sizeof(characters[0]))];
        if (text.size + strlen(c) > wanted)
            break;
        memcpy(buffer->bytes + buffer->used, c, strlen(c));
        buffer->used += strlen(c);
        text.size += strlen(c);
    }
    if (text.size == 0) {
        buffer->bytes[buffer->used++] = 'x';
        text.size = 1;
    }
    return text;
}

static void random_metadata(struct spec_buffer *buffer, struct instance_spec *spec)
{
    char name = 'a';
    size_t left = METADATA_BYTES_MAX;
    spec->metadata = buffer->metadata;
    spec->metadata_count = random_below(10);
    for (size_t i = 0; i < spec->metadata_count; i++) {
        struct metadata_entry *entry = &buffer->metadata[i];
        buffer->bytes[buffer->used] = name++; /* no name twice */
        entry->name = (struct slice){buffer->bytes + buffer->used++, 1};
        entry->value = random_below(5) ? random_text(buffer, left / 10) : SLICE("");
        left -= 1 + entry->value.size;
    }
}

static struct instance_spec random_spec(struct spec_buffer *buffer)
{
    static const char *const words[] = {"", "up", "starting", "down", "unhealthy", "unknown"};
    struct instance_spec spec = {.port = (int64_t)random_below(PORT_MAX + 1)};
    if (random_below(2))
        spec.client_revision = CLIENT_REVISION_MAX >> random_below(63);
    spec.has_weight = random_below(2);
    spec.weight = (int64_t)random_below(WEIGHT_MAX + 1);
    buffer->used = 0;
    for (enum instance_field field = 0; field < TEXT_FIELDS; field++) {
        const struct field_info *info = instance_field_info(field);
        if (info->required || random_below(2))
            spec.text[field] = random_text(buffer, info->bytes_max);
    }
    if (random_below(2))
        spec.text[FIELD_STATUS] = slice_of(words[random_below(6)]);
    if (random_below(3) == 0)
        spec.text[FIELD_GROUP] = SLICE("default");
    if (!spec.text[FIELD_IP].size && !spec.text[FIELD_URL].size)
        spec.text[FIELD_IP] = random_below(2) ? SLICE("10.0.0.1") : SLICE("2001:db8::1");
    random_metadata(buffer, &spec);
    return spec;
}

static struct instance *made(const struct instance_spec *spec)
{
    struct instance *instance = NULL;
    struct field_problem problem = {"none", ""};
    if (instance_create(spec, &instance, &problem))
        fail_msg("%s: %s", problem.field, problem.problem);
    return instance;
}

static struct instance *through_json(const struct instance *instance, enum dialect dialect)
{
    struct text body = {0};
    struct json_writer w = jw_to(&body, dialect_casing(dialect));
    jw_open(&w, '{');
    jw_name(&w, "instances");
    jw_open(&w, '[');
    codec_write_instance(&w, dialect, instance);
    jw_close(&w, ']');
    jw_close(&w, '}');
    struct batch *batch = NULL;
    enum name_casing names = NAMES_NEUTRAL;
    char message[MESSAGE_BYTES] = "";
    if (batch_parse((struct slice){body.data, body.size}, BATCH_OF_INSTANCES, &batch, &names,
                    message))
        fail_msg("%s in %s", message, text_string(&body));
    struct instance *again = NULL;
    if (batch_instance(batch, 0, &again))
        fail_msg("refused: %s", text_string(&body));
    assert_int_equal(batch_names(batch), dialect == DIALECT_SNAKE ? NAMES_SNAKE : NAMES_CAMEL);
    batch_free(batch);
    text_free(&body);
    return again;
}

/* To all but Java, a status that we do not know is shown as "unknown", and so comes back. */
static void check_round_trip(const struct instance_spec *spec, enum dialect dialect)
{
    struct instance_spec shown = *spec;
    struct instance *instance = made(spec);
    if (instance_status(instance) == STATUS_OTHER && dialect != DIALECT_JAVA)
        shown.text[FIELD_STATUS] = SLICE("unknown");
    struct instance *expected = made(&shown);
    struct instance *again = through_json(instance, dialect);
    assert_true(instance_equal(again, expected));
    instance_unref(again);
    instance_unref(expected);
    instance_unref(instance);
}

static void random_instances_in_each_dialect(void **state)
{
    (void)state;
    static struct spec_buffer buffer;
    srand(1);
    for (int i = 0; i < ROUNDS; i++) {
        struct instance_spec spec = random_spec(&buffer);
        for (enum dialect dialect = 0; dialect < DIALECT_COUNT; dialect++)
            check_round_trip(&spec, dialect);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_instances_in_each_dialect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
