/* SPDX-License-Identifier: Apache-2.0
 *
 * When two instances have the same identity (by the packed key), and when they are equal. All
 * spellings of one identity have one packed key, and different identities have different ones,
 * wherever the parts of a key end.
 */
#include "artemis-core/model/instance.h"

#include <stdlib.h>
#include <string.h>

#include "tests/support/cmocka_all.h"

static struct instance_key key_of(const char *region, const char *zone, const char *service,
                                  const char *group, const char *instance)
{
    struct slice parts[KEY_FIELDS] = {slice_of(region), slice_of(zone), slice_of(service),
                                      slice_of(group), slice_of(instance)};
    struct instance_key key;
    struct field_problem problem;
    enum error error = instance_key_make(parts, &key, &problem);
    if (error)
        fail_msg("%s: %s", problem.field, problem.problem);
    return key;
}

static bool same_key(const struct instance_key *a, const struct instance_key *b)
{
    return slice_equal(instance_key_packed(a), instance_key_packed(b));
}

static struct instance *made(const struct instance_spec *spec)
{
    struct instance *instance = NULL;
    struct field_problem problem;
    assert_int_equal(instance_create(spec, &instance, &problem), ERR_NONE);
    return instance;
}

static struct instance_spec full_spec(void)
{
    return (struct instance_spec){
        .text = {SLICE("r"), SLICE("z"), SLICE("s"), SLICE("g"), SLICE("i"), SLICE("10.0.0.1"),
                 SLICE("http://u"), SLICE("odd"), SLICE("m"), SLICE("p"), SLICE("h")},
        .port = 80,
    };
}

/* --- keys ------------------------------------------------------------------------------------- */

static void equal_keys(void **state)
{
    (void)state;
    struct instance_key key = key_of("lab", "zone1", "orders", NULL, "i1");
    const struct instance_key same[] = {
        key_of("lab", "zone1", "orders", "", "i1"),
        key_of("lab", "zone1", "orders", "default", "i1"),
        key_of("lab", "zone1", "ORDERS", NULL, "i1"),
        key_of("lab", "zone1", "oRdErS", "default", "i1"),
    };
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
        assert_true(same_key(&same[i], &key));
}

static void different_keys(void **state)
{
    (void)state;
    struct instance_key key = key_of("ab", "cd", "ef", "gh", "ij");
    const struct instance_key others[] = {
        key_of("a", "bcd", "ef", "gh", "ij"),   key_of("abc", "d", "ef", "gh", "ij"),
        key_of("ab", "c", "def", "gh", "ij"),   key_of("ab", "cde", "f", "gh", "ij"),
        key_of("ab", "cd", "e", "fgh", "ij"),   key_of("ab", "cd", "efg", "h", "ij"),
        key_of("ab", "cd", "ef", "g", "hij"),   key_of("ab", "cd", "ef", "ghi", "j"),
        key_of("ab", "cd", "efgh", NULL, "ij"), key_of("ab", "cd", "ef", NULL, "ghij"),
        key_of("ab", "cd", "ef", "gh", "ijk"),  key_of("AB", "cd", "ef", "gh", "ij"),
        key_of("ab", "CD", "ef", "gh", "ij"),   key_of("ab", "cd", "ef", "GH", "ij"),
        key_of("ab", "cd", "ef", "gh", "IJ"),   key_of("ab", "cd", "ef", "Default", "ij"),
    };
    const size_t count = sizeof(others) / sizeof(others[0]);
    for (size_t i = 0; i < count; i++) {
        assert_false(same_key(&others[i], &key));
        for (size_t k = 0; k < i; k++)
            assert_false(same_key(&others[i], &others[k]));
    }
}

static void service_is_lowered_in_ascii_only(void **state)
{
    (void)state;
    struct instance_key key = key_of("LAB", "Zone", "Orders-\xC3\x84@[Z", "Grp", "I1");
    static const char *const parts[] = {"LAB", "Zone", "orders-\xC3\x84@[z", "Grp", "I1"};
    for (enum instance_field part = 0; part < KEY_FIELDS; part++)
        assert_true(slice_equal(instance_key_part(&key, part), slice_of(parts[part])));
}

static void group_of_no_group_is_empty(void **state)
{
    (void)state;
    static const char *const groups[] = {NULL, "", "default"};
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        struct instance_key key = key_of("r", "z", "s", groups[i], "i");
        assert_int_equal(instance_key_part(&key, FIELD_GROUP).size, 0);
    }
}

static void key_of_an_instance_equals_the_key_of_its_parts(void **state)
{
    (void)state;
    struct instance_spec spec = full_spec();
    spec.text[FIELD_SERVICE] = SLICE("SvC");
    spec.text[FIELD_GROUP] = SLICE("default");
    struct instance *instance = made(&spec);
    struct instance_key key = key_of("r", "z", "sVc", NULL, "i");
    assert_true(slice_equal(instance_packed_key(instance), instance_key_packed(&key)));
    instance_unref(instance);
}

static void key_of_the_longest_parts(void **state)
{
    (void)state;
    char part[ID_BYTES_MAX + 1];
    memset(part, 'k', ID_BYTES_MAX);
    part[ID_BYTES_MAX] = '\0';
    struct instance_key key = key_of(part, part, part, part, part);
    for (enum instance_field field = 0; field < KEY_FIELDS; field++)
        assert_true(slice_equal(instance_key_part(&key, field), slice_of(part)));
    assert_int_equal(instance_key_packed(&key).size, sizeof(key.end) + 5 * ID_BYTES_MAX);
}

static void key_parts_are_validated(void **state)
{
    (void)state;
    char longest[ID_BYTES_MAX + 1];
    memset(longest, 'k', sizeof(longest));
    for (enum instance_field part = 0; part < KEY_FIELDS; part++) {
        bool required = part != FIELD_GROUP;
        const struct slice wrong[] = {
            {longest, sizeof(longest)}, SLICE("a\x01"), SLICE("\xC2\x80"), {0}, {"", 0}};
        for (size_t i = 0; i < (required ? 5 : 3); i++) {
            struct slice parts[KEY_FIELDS] = {SLICE("r"), SLICE("z"), SLICE("s"), SLICE("g"),
                                              SLICE("i")};
            struct instance_key key = {.end = {7}};
            struct field_problem problem;
            parts[part] = wrong[i];
            assert_int_equal(instance_key_make(parts, &key, &problem), ERR_INVALID_FIELD);
            assert_string_equal(problem.field, instance_field_info(part)->name);
            assert_int_equal(key.end[0], 7); /* left alone */
        }
    }
}

/* --- service ids alone ------------------------------------------------------------------------ */

static void service_id_is_validated_and_lowered(void **state)
{
    (void)state;
    char out[ID_BYTES_MAX];
    size_t size = 0;
    struct field_problem problem;
    assert_int_equal(service_id_canonical(SLICE("My.Svc"), out, &size, &problem), ERR_NONE);
    assert_true(slice_equal((struct slice){out, size}, SLICE("my.svc")));
    char longest[ID_BYTES_MAX + 1];
    memset(longest, 'K', sizeof(longest));
    assert_int_equal(
        service_id_canonical((struct slice){longest, ID_BYTES_MAX}, out, &size, &problem),
        ERR_NONE);
    assert_int_equal(size, ID_BYTES_MAX);
    const struct slice wrong[] = {{longest, sizeof(longest)}, SLICE("a\n"), {0}, {"", 0}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        size = 99;
        assert_int_equal(service_id_canonical(wrong[i], out, &size, &problem), ERR_INVALID_FIELD);
        assert_string_equal(problem.field, "service_id");
        assert_int_equal(size, 99);
    }
}

/* --- equality --------------------------------------------------------------------------------- */

static void equal_to_a_copy_of_itself(void **state)
{
    (void)state;
    const struct metadata_entry entries[] = {{SLICE("a"), SLICE("1")}, {SLICE("b"), SLICE("2")}};
    struct instance_spec spec = full_spec();
    spec.metadata = entries;
    spec.metadata_count = 2;
    struct instance *a = made(&spec);
    struct instance *b = made(&spec);
    assert_true(instance_equal(a, a));
    assert_true(instance_equal(a, b));
    instance_unref(a);
    instance_unref(b);
}

static void unequal_by_any_field(void **state)
{
    (void)state;
    struct instance_spec spec = full_spec();
    struct instance *base = made(&spec);
    for (enum instance_field field = 0; field < TEXT_FIELDS; field++) {
        spec = full_spec();
        spec.text[field] = SLICE("x"); /* often of the same length */
        struct instance *other = made(&spec);
        if (instance_equal(base, other))
            fail_msg("a change of %s is not seen", instance_field_info(field)->name);
        instance_unref(other);
    }
    spec = full_spec();
    spec.port = 81;
    struct instance *other = made(&spec);
    assert_false(instance_equal(base, other));
    instance_unref(other);
    instance_unref(base);
}

static void unequal_by_metadata(void **state)
{
    (void)state;
    const struct metadata_entry variants[][2] = {
        {{SLICE("a"), SLICE("bc")}, {SLICE("d"), SLICE("e")}},
        {{SLICE("ab"), SLICE("c")}, {SLICE("d"), SLICE("e")}},
        {{SLICE("a"), SLICE("bd")}, {SLICE("c"), SLICE("e")}},
        {{SLICE("a"), SLICE("bc")}, {SLICE("d"), SLICE("f")}},
    };
    struct instance *made_of[4];
    for (size_t i = 0; i < 4; i++) {
        struct instance_spec spec = full_spec();
        spec.metadata = variants[i];
        spec.metadata_count = 2;
        made_of[i] = made(&spec);
        for (size_t k = 0; k < i; k++)
            assert_false(instance_equal(made_of[i], made_of[k]));
    }
    for (size_t i = 0; i < 4; i++)
        instance_unref(made_of[i]);
}

/* Text moved between neighbouring fields is another content, though the bytes are the same. */
static void unequal_when_text_moves_to_the_next_field(void **state)
{
    (void)state;
    for (enum instance_field field = FIELD_MACHINE_NAME; field < TEXT_FIELDS - 1; field++) {
        struct instance_spec spec = full_spec();
        spec.text[field] = SLICE("ab");
        spec.text[field + 1] = SLICE("c");
        struct instance *a = made(&spec);
        spec.text[field] = SLICE("a");
        spec.text[field + 1] = SLICE("bc");
        struct instance *b = made(&spec);
        assert_false(instance_equal(a, b));
        instance_unref(a);
        instance_unref(b);
    }
}

/* What says the same is the same content: registering it is a renewal, not a change. */
static void equal_after_canonicalization(void **state)
{
    (void)state;
    static const struct {
        enum instance_field field;
        const char *one;
        const char *other;
    } cases[] = {
        {FIELD_SERVICE, "svc", "SVC"}, {FIELD_GROUP, NULL, "default"},
        {FIELD_GROUP, "", "default"},  {FIELD_STATUS, NULL, "up"},
        {FIELD_STATUS, "", "up"},      {FIELD_MACHINE_NAME, NULL, ""},
        {FIELD_URL, NULL, ""},         {FIELD_URL, NULL, "http://10.0.0.1:80"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct instance_spec spec = full_spec();
        spec.text[cases[i].field] = slice_of(cases[i].one);
        struct instance *a = made(&spec);
        spec.text[cases[i].field] = slice_of(cases[i].other);
        struct instance *b = made(&spec);
        if (!instance_equal(a, b))
            fail_msg("case %zu: not equal", i);
        instance_unref(a);
        instance_unref(b);
    }
}

/* "An optional url that says what ip and port say counts as absent" (instance.h), for IPv6 too. */
static void equal_with_the_derived_url_of_ipv6(void **state)
{
    (void)state;
    static const char *const ips[] = {"::1", "[::1]"};
    for (size_t i = 0; i < 2; i++) {
        struct instance_spec spec = full_spec();
        spec.text[FIELD_IP] = slice_of(ips[i]);
        spec.text[FIELD_URL] = (struct slice){0};
        struct instance *a = made(&spec);
        spec.text[FIELD_URL] = SLICE("http://[::1]:80");
        struct instance *b = made(&spec);
        assert_true(instance_equal(a, b));
        instance_unref(a);
        instance_unref(b);
    }
}

/* A word we do not know, "unknown" itself, and "up" are three things. */
static void unequal_by_status(void **state)
{
    (void)state;
    static const char *const words[] = {"up", "unknown", "odd", "UP", "starting"};
    struct instance *made_of[5];
    for (size_t i = 0; i < 5; i++) {
        struct instance_spec spec = full_spec();
        spec.text[FIELD_STATUS] = slice_of(words[i]);
        made_of[i] = made(&spec);
        for (size_t k = 0; k < i; k++)
            assert_false(instance_equal(made_of[i], made_of[k]));
    }
    for (size_t i = 0; i < 5; i++)
        instance_unref(made_of[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_keys),
        cmocka_unit_test(different_keys),
        cmocka_unit_test(service_is_lowered_in_ascii_only),
        cmocka_unit_test(group_of_no_group_is_empty),
        cmocka_unit_test(key_of_an_instance_equals_the_key_of_its_parts),
        cmocka_unit_test(key_of_the_longest_parts),
        cmocka_unit_test(key_parts_are_validated),
        cmocka_unit_test(service_id_is_validated_and_lowered),
        cmocka_unit_test(equal_to_a_copy_of_itself),
        cmocka_unit_test(unequal_by_any_field),
        cmocka_unit_test(unequal_by_metadata),
        cmocka_unit_test(unequal_when_text_moves_to_the_next_field),
        cmocka_unit_test(equal_after_canonicalization),
        cmocka_unit_test(equal_with_the_derived_url_of_ipv6),
        cmocka_unit_test(unequal_by_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
