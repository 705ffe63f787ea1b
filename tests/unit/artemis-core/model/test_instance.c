/* SPDX-License-Identifier: Apache-2.0
 *
 * Each rule of the Instance table in CONTRACT 1 at its limits, with its message; and an accepted
 * instance can be read back. Identity and equality: test_instance_key.c.
 */
#include "artemis-core/model/instance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"
#include "tests/unit/artemis-core/model/instance_fixture.h"

#define EURO "\xE2\x82\xAC"

static void check_rejected(const struct instance_spec *spec, const char *field, const char *message)
{
    struct instance *instance = NULL;
    struct field_problem problem;
    assert_int_equal(instance_create(spec, &instance, &problem), ERR_INVALID_FIELD);
    assert_null(instance);
    assert_string_equal(problem.field, field);
    assert_string_equal(problem.problem, message);
}

static void check_text(const struct instance *instance, enum instance_field field,
                       const char *expected)
{
    struct slice text = instance_text(instance, field);
    if (!slice_equal(text, slice_of(expected)))
        fail_msg("%s should be \"%s\", is \"%.*s\"", instance_field_info(field)->name, expected,
                 (int)text.size, text.data);
}

static void check_url(const struct instance_spec *spec, const char *expected)
{
    struct text url = {0};
    struct instance *instance = made(spec);
    instance_append_url(instance, &url);
    assert_string_equal(text_string(&url), expected);
    text_free(&url);
    instance_unref(instance);
}

/* --- texts ------------------------------------------------------------------------------------ */

static void names_match_the_contract(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *camel;
        bool required;
        uint16_t bytes_max;
    } expected[TEXT_FIELDS] = {
        {"region_id", "regionId", true, 255},
        {"zone_id", "zoneId", true, 255},
        {"service_id", "serviceId", true, 255},
        {"group_id", "groupId", false, 255},
        {"instance_id", "instanceId", true, 255},
        {"ip", "ip", false, 255},
        {"url", "url", false, 1024},
        {"status", "status", false, 32},
        {"machine_name", "machineName", false, 1024},
        {"protocol", "protocol", false, 1024},
        {"health_check_url", "healthCheckUrl", false, 1024},
    };
    for (enum instance_field field = 0; field < TEXT_FIELDS; field++) {
        const struct field_info *info = instance_field_info(field);
        assert_string_equal(info->name, expected[field].name);
        assert_string_equal(info->camel, expected[field].camel);
        assert_int_equal(info->name_size, strlen(info->name));
        assert_int_equal(info->camel_size, strlen(info->camel));
        assert_int_equal(info->required, expected[field].required);
        assert_int_equal(info->bytes_max, expected[field].bytes_max);
    }
}

static void required_text_missing(void **state)
{
    (void)state;
    for (enum instance_field field = 0; field < TEXT_FIELDS; field++) {
        if (!instance_field_info(field)->required)
            continue;
        struct instance_spec spec = good_spec();
        spec.text[field] = (struct slice){0};
        check_rejected(&spec, instance_field_info(field)->name, "is required");
    }
}

static void required_text_empty(void **state)
{
    (void)state;
    for (enum instance_field field = 0; field < TEXT_FIELDS; field++) {
        if (!instance_field_info(field)->required)
            continue;
        struct instance_spec spec = good_spec();
        spec.text[field] = SLICE("");
        check_rejected(&spec, instance_field_info(field)->name, "must be 1 to 255 bytes, is \"\"");
    }
}

static void optional_text_empty_is_absent(void **state)
{
    (void)state;
    for (enum instance_field field = 0; field < TEXT_FIELDS; field++) {
        if (instance_field_info(field)->required || field == FIELD_IP)
            continue;
        struct instance_spec spec = good_spec();
        struct instance *without = made(&spec);
        spec.text[field] = SLICE("");
        struct instance *empty = made(&spec);
        assert_true(instance_equal(without, empty));
        instance_unref(without);
        instance_unref(empty);
    }
}

static void text_at_its_limit(void **state)
{
    (void)state;
    char value[1024];
    memset(value, 'x', sizeof(value));
    for (enum instance_field field = 0; field < TEXT_FIELDS; field++) {
        struct instance_spec spec = good_spec();
        spec.text[field] = (struct slice){value, instance_field_info(field)->bytes_max};
        struct instance *instance = made(&spec);
        assert_true(slice_equal(instance_text(instance, field), spec.text[field]));
        instance_unref(instance);
    }
}

static void text_one_byte_over_its_limit(void **state)
{
    (void)state;
    char value[1025];
    memset(value, 'x', sizeof(value));
    for (enum instance_field field = 0; field < TEXT_FIELDS; field++) {
        const struct field_info *info = instance_field_info(field);
        struct instance_spec spec = good_spec();
        unsigned size = info->bytes_max + 1u;
        spec.text[field] = (struct slice){value, size};
        char shown[128];
        text_quote(shown, sizeof(shown), spec.text[field]);
        char message[256];
        snprintf(message, sizeof(message), "must be %s%u bytes, is %u bytes: %s",
                 info->required ? "1 to " : "at most ", size - 1, size, shown);
        check_rejected(&spec, info->name, message);
    }
}

/* The limits are bytes, not characters: 85 times three bytes fit, and one more does not. */
static void text_of_long_characters(void **state)
{
    (void)state;
    char value[86 * 3 + 1] = "";
    for (int i = 0; i < 86; i++)
        strcat(value, EURO);
    struct instance_spec spec = good_spec();
    spec.text[FIELD_SERVICE] = (struct slice){value, 255};
    struct instance *instance = made(&spec);
    assert_true(slice_equal(instance_text(instance, FIELD_SERVICE), spec.text[FIELD_SERVICE]));
    instance_unref(instance);
    spec.text[FIELD_SERVICE] = (struct slice){value, 258};
    struct field_problem problem;
    assert_int_equal(instance_create(&spec, &instance, &problem), ERR_INVALID_FIELD);
    /* 64 bytes are shown, but for the half of a character at their end. */
    value[21 * 3] = '\0';
    char message[512];
    snprintf(message, sizeof(message),
             "must be 1 to 255 bytes, is 258 bytes: \"%s\"... (258 bytes)", value);
    assert_string_equal(problem.problem, message);
}

static void control_characters_in_each_text(void **state)
{
    (void)state;
    const struct {
        struct slice value;
        const char *message;
    } cases[] = {
        {SLICE("\x01"), "has 0x01 at byte 0: \"\\x01\""},
        {SLICE("a\nb"), "has 0x0a at byte 1: \"a\\x0ab\""},
        {SLICE("ab\x1f"), "has 0x1f at byte 2: \"ab\\x1f\""},
        {SLICE("a\0"), "has 0x00 at byte 1: \"a\\x00\""},
        {SLICE("a\x7f"), "has 0x7f at byte 1: \"a\\x7f\""},
    };
    for (enum instance_field field = 0; field < TEXT_FIELDS; field++) {
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            struct instance_spec spec = good_spec();
            spec.text[field] = cases[i].value;
            char message[256];
            snprintf(message, sizeof(message), "must not contain control characters, %s",
                     cases[i].message);
            check_rejected(&spec, instance_field_info(field)->name, message);
        }
    }
}

/* C1 is two bytes in UTF-8. A message that shows such a text must not bring it to a terminal. */
static void c1_control_characters_in_each_text(void **state)
{
    (void)state;
    static const char *const values[] = {"a\xC2\x80", "\xC2\x85z", "a\xC2\x9F", "\xC2\x9B"};
    for (enum instance_field field = 0; field < TEXT_FIELDS; field++) {
        for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
            struct instance_spec spec = good_spec();
            spec.text[field] = slice_of(values[i]);
            struct instance *instance = NULL;
            struct field_problem problem;
            assert_int_equal(instance_create(&spec, &instance, &problem), ERR_INVALID_FIELD);
            assert_string_equal(problem.field, instance_field_info(field)->name);
            assert_non_null(strstr(problem.problem, "must not contain control characters"));
            assert_null(strchr(problem.problem, '\xC2'));
        }
    }
}

static void other_characters_in_each_text(void **state)
{
    (void)state;
    static const char *const values[] = {
        " ",
        "~",
        "\"\\/<>&",
        "\xC2\xA0", /* the first after C1 */
        "\xC3\x80",
        EURO "\xC3\xBC",
        "\xF0\x9F\x98\x80",
    };
    for (enum instance_field field = 0; field < TEXT_FIELDS; field++) {
        for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
            struct instance_spec spec = good_spec();
            spec.text[field] = slice_of(values[i]);
            struct instance *instance = made(&spec);
            check_text(instance, field, values[i]);
            instance_unref(instance);
        }
    }
}

/* --- port ------------------------------------------------------------------------------------- */

static void port_bounds(void **state)
{
    (void)state;
    static const struct {
        int64_t port;
        const char *message;
    } cases[] = {
        {0, NULL},
        {1, NULL},
        {65535, NULL},
        {65536, "must be 0 to 65535, is 65536"},
        {-1, "must be 0 to 65535, is -1"},
        {70000, "must be 0 to 65535, is 70000"},
        {65536 + 80, "must be 0 to 65535, is 65616"},
        {INT64_MAX, "must be 0 to 65535, is 9223372036854775807"},
        {INT64_MIN, "must be 0 to 65535, is -9223372036854775808"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct instance_spec spec = good_spec();
        spec.port = cases[i].port;
        if (cases[i].message) {
            check_rejected(&spec, "port", cases[i].message);
            continue;
        }
        struct instance *instance = made(&spec);
        assert_int_equal(instance_port(instance), cases[i].port);
        instance_unref(instance);
    }
}

/* --- url and ip ------------------------------------------------------------------------------- */

static void url_or_ip_is_required(void **state)
{
    (void)state;
    struct instance_spec spec = good_spec();
    spec.text[FIELD_IP] = (struct slice){0};
    check_rejected(&spec, "url", "is required where ip is missing");
    spec.text[FIELD_IP] = SLICE("");
    spec.text[FIELD_URL] = SLICE("");
    check_rejected(&spec, "url", "is required where ip is missing");
    spec.text[FIELD_URL] = SLICE("http://a");
    instance_unref(made(&spec));
}

static void url_is_given_or_derived(void **state)
{
    (void)state;
    static const struct {
        const char *ip;
        int64_t port;
        const char *url;
        const char *answered;
    } cases[] = {
        {"10.0.0.1", 8080, NULL, "http://10.0.0.1:8080"},
        {"10.0.0.1", 0, NULL, "http://10.0.0.1:0"},
        {"host.example", 65535, NULL, "http://host.example:65535"},
        {"::1", 80, NULL, "http://[::1]:80"},
        {"2001:db8::a", 1, "", "http://[2001:db8::a]:1"},
        {"[::1]", 80, NULL, "http://[::1]:80"},
        {"10.0.0.1", 80, "https://a/b", "https://a/b"},
        {NULL, 80, "http://a", "http://a"},
        {"10.0.0.1", 80, "http://10.0.0.1:80", "http://10.0.0.1:80"},
        {"10.0.0.1", 80, "http://10.0.0.1", "http://10.0.0.1"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct instance_spec spec = good_spec();
        spec.text[FIELD_IP] = slice_of(cases[i].ip);
        spec.text[FIELD_URL] = slice_of(cases[i].url);
        spec.port = cases[i].port;
        check_url(&spec, cases[i].answered);
    }
}

/* --- status ----------------------------------------------------------------------------------- */

static void status_of_each_name(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        enum instance_status status;
        const char *shown;
        const char *kept;
    } cases[] = {
        {NULL, STATUS_UP, "up", ""},
        {"", STATUS_UP, "up", ""},
        {"up", STATUS_UP, "up", ""},
        {"starting", STATUS_STARTING, "starting", ""},
        {"down", STATUS_DOWN, "down", ""},
        {"unhealthy", STATUS_UNHEALTHY, "unhealthy", ""},
        {"unknown", STATUS_UNKNOWN, "unknown", ""},
        {"draining", STATUS_OTHER, "unknown", "draining"},
        {"UP", STATUS_OTHER, "unknown", "UP"},
        {"up ", STATUS_OTHER, "unknown", "up "},
        {"12345678901234567890123456789012", STATUS_OTHER, "unknown",
         "12345678901234567890123456789012"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct instance_spec spec = good_spec();
        spec.text[FIELD_STATUS] = slice_of(cases[i].word);
        struct instance *instance = made(&spec);
        assert_int_equal(instance_status(instance), cases[i].status);
        assert_true(slice_equal(instance_status_name(cases[i].status), slice_of(cases[i].shown)));
        check_text(instance, FIELD_STATUS, cases[i].kept);
        instance_unref(instance);
    }
}

/* --- metadata --------------------------------------------------------------------------------- */

/* `count` entries of `size` bytes each, name and value together. */
static struct metadata_entry *metadata_of(size_t count, size_t size)
{
    static char bytes[METADATA_BYTES_MAX + 1];
    memset(bytes, 'm', sizeof(bytes));
    struct metadata_entry *entries = calloc(count, sizeof(*entries));
    for (size_t i = 0; i < count; i++)
        entries[i] = (struct metadata_entry){{bytes, 1}, {bytes, size - 1}};
    return entries;
}

static void check_metadata(size_t count, size_t size, const char *message)
{
    struct instance_spec spec = good_spec();
    struct metadata_entry *entries = metadata_of(count, size);
    spec.metadata = entries;
    spec.metadata_count = count;
    if (message) {
        check_rejected(&spec, "metadata", message);
    } else {
        struct instance *instance = made(&spec);
        assert_int_equal(instance_metadata_count(instance), count);
        instance_unref(instance);
    }
    free(entries);
}

static void metadata_limits(void **state)
{
    (void)state;
    check_metadata(1, 1, NULL);
    check_metadata(64, 10, NULL);
    check_metadata(65, 10, "must have at most 64 entries, has 65");
    check_metadata(1, 8192, NULL);
    check_metadata(64, 128, NULL);
    check_metadata(1, 8193, "must be at most 8192 bytes together, is 8193");
    check_metadata(64, 129, "must be at most 8192 bytes together, is 8256");
}

static void metadata_with_an_empty_name(void **state)
{
    (void)state;
    const struct metadata_entry entry = {SLICE(""), SLICE("x")};
    struct instance_spec spec = good_spec();
    spec.metadata = &entry;
    spec.metadata_count = 1;
    check_rejected(&spec, "metadata", "must not have an empty name");
}

static void metadata_reads_back_by_name(void **state)
{
    (void)state;
    const struct metadata_entry entries[] = {
        {SLICE("b"), SLICE("1")}, {SLICE("a"), SLICE("")}, {SLICE(EURO "\n"), SLICE("\"x\"")}};
    struct instance_spec spec = good_spec();
    spec.metadata = entries;
    spec.metadata_count = 3;
    struct instance *instance = made(&spec);
    struct metadata_entry entry;
    size_t cursor = 0;
    static const size_t by_name[] = {1, 0, 2};
    for (size_t i = 0; i < 3; i++) {
        assert_true(instance_next_metadata(instance, &cursor, &entry));
        assert_true(slice_equal(entry.name, entries[by_name[i]].name));
        assert_true(slice_equal(entry.value, entries[by_name[i]].value));
    }
    assert_false(instance_next_metadata(instance, &cursor, &entry));
    instance_unref(instance);
}

static void metadata_of_every_size_reads_back(void **state)
{
    (void)state;
    static const size_t sizes[] = {0,   1,   127, 128,  129,
                                   255, 256, 257, 2048, METADATA_BYTES_MAX - 1};
    static char bytes[METADATA_BYTES_MAX];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)('a' + i % 26);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        const struct slice text = {bytes, sizes[i]};
        const struct metadata_entry as_value = {SLICE("n"), text};
        const struct metadata_entry as_name = {text, SLICE("v")};
        struct instance_spec spec = good_spec();
        struct metadata_entry entry;
        for (int name = 0; name < (sizes[i] ? 2 : 1); name++) {
            const struct metadata_entry *sent = name ? &as_name : &as_value;
            size_t cursor = 0;
            spec.metadata = sent;
            spec.metadata_count = 1;
            spec.client_revision = 7;
            struct instance *instance = made(&spec);
            assert_true(instance_next_metadata(instance, &cursor, &entry));
            assert_true(slice_equal(entry.name, sent->name));
            assert_true(slice_equal(entry.value, sent->value));
            assert_false(instance_next_metadata(instance, &cursor, &entry));
            assert_int_equal(instance_client_revision(instance), 7);
            instance_unref(instance);
        }
    }
}

static void metadata_of_an_instance_without(void **state)
{
    (void)state;
    struct instance_spec spec = good_spec();
    struct instance *instance = made(&spec);
    struct metadata_entry entry;
    size_t cursor = 0;
    assert_int_equal(instance_metadata_count(instance), 0);
    assert_false(instance_next_metadata(instance, &cursor, &entry));
    instance_unref(instance);
}

/* --- the whole -------------------------------------------------------------------------------- */

static void every_field_reads_back(void **state)
{
    (void)state;
    struct instance_spec spec = {
        .text = {SLICE("r"), SLICE("z"), SLICE("s"), SLICE("g"), SLICE("i"), SLICE("ip"),
                 SLICE("u"), SLICE("odd"), SLICE("m"), SLICE("p"), SLICE("h")},
        .port = 7,
    };
    struct instance *instance = made(&spec);
    for (enum instance_field field = 0; field < TEXT_FIELDS; field++)
        assert_true(slice_equal(instance_text(instance, field), spec.text[field]));
    assert_int_equal(instance_port(instance), 7);
    instance_unref(instance);
}

/* The largest that is valid: every field at its limit. */
static void every_field_at_its_limit(void **state)
{
    (void)state;
    static char value[1024];
    memset(value, 'v', sizeof(value));
    struct instance_spec spec = {.port = 65535};
    for (enum instance_field field = 0; field < TEXT_FIELDS; field++)
        spec.text[field] = (struct slice){value, instance_field_info(field)->bytes_max};
    struct metadata_entry *entries = metadata_of(64, 128);
    spec.metadata = entries;
    spec.metadata_count = 64;
    struct instance *instance = made(&spec);
    for (enum instance_field field = 0; field < TEXT_FIELDS; field++)
        assert_true(slice_equal(instance_text(instance, field), spec.text[field]));
    struct metadata_entry entry;
    size_t count = 0;
    for (size_t cursor = 0; instance_next_metadata(instance, &cursor, &entry); count++)
        assert_int_equal(entry.value.size, 127);
    assert_int_equal(count, 64);
    instance_unref(instance);
    free(entries);
}

static void references_are_counted(void **state)
{
    (void)state;
    long live = failing_malloc_live();
    struct instance_spec spec = good_spec();
    struct instance *instance = made(&spec);
    assert_ptr_equal(instance_ref(instance), instance);
    instance_unref(instance);
    check_text(instance, FIELD_REGION, "lab");
    instance_unref(instance);
    assert_int_equal(failing_malloc_live(), live);
    instance_unref(NULL);
}

static void create_without_memory(void **state)
{
    (void)state;
    struct instance_spec spec = good_spec();
    struct instance *instance = NULL;
    struct field_problem problem;
    long live = failing_malloc_live();
    failing_malloc_after(1);
    assert_int_equal(instance_create(&spec, &instance, &problem), ERR_NO_MEMORY);
    assert_true(failing_malloc_happened());
    assert_null(instance);
    failing_malloc_after(2); /* it is one allocation */
    assert_int_equal(instance_create(&spec, &instance, &problem), ERR_NONE);
    assert_false(failing_malloc_happened());
    instance_unref(instance);
    assert_int_equal(failing_malloc_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_match_the_contract),
        cmocka_unit_test(required_text_missing),
        cmocka_unit_test(required_text_empty),
        cmocka_unit_test(optional_text_empty_is_absent),
        cmocka_unit_test(text_at_its_limit),
        cmocka_unit_test(text_one_byte_over_its_limit),
        cmocka_unit_test(text_of_long_characters),
        cmocka_unit_test(control_characters_in_each_text),
        cmocka_unit_test(c1_control_characters_in_each_text),
        cmocka_unit_test(other_characters_in_each_text),
        cmocka_unit_test(port_bounds),
        cmocka_unit_test(url_or_ip_is_required),
        cmocka_unit_test(url_is_given_or_derived),
        cmocka_unit_test(status_of_each_name),
        cmocka_unit_test(metadata_limits),
        cmocka_unit_test(metadata_with_an_empty_name),
        cmocka_unit_test(metadata_reads_back_by_name),
        cmocka_unit_test(metadata_of_every_size_reads_back),
        cmocka_unit_test(metadata_of_an_instance_without),
        cmocka_unit_test(every_field_reads_back),
        cmocka_unit_test(every_field_at_its_limit),
        cmocka_unit_test(references_are_counted),
        cmocka_unit_test(create_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
