/* SPDX-License-Identifier: Apache-2.0
 *
 * Which instances match a filter, their order with a near place, and how its parts are read.
 */
#include "artemis-core/model/instance_filter.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/cmocka_all.h"

struct place {
    const char *id, *region, *zone, *status;
    const char *meta[4]; /* name, value, ...; NULL: the end */
};

static struct instance *make(const struct place *place)
{
    struct metadata_entry metadata[2];
    size_t count = 0;
    for (; count < 2 && place->meta[count * 2]; count++)
        metadata[count] = (struct metadata_entry){slice_of(place->meta[count * 2]),
                                                  slice_of(place->meta[count * 2 + 1])};
    const struct instance_spec spec = {
        .text = {[FIELD_REGION] = slice_of(place->region),
                 [FIELD_ZONE] = slice_of(place->zone),
                 [FIELD_SERVICE] = SLICE("s"),
                 [FIELD_INSTANCE] = slice_of(place->id),
                 [FIELD_IP] = SLICE("10.0.0.1"),
                 [FIELD_STATUS] = slice_of(place->status)},
        .metadata = metadata,
        .metadata_count = count,
    };
    struct instance *instance = NULL;
    struct field_problem problem;
    assert_int_equal(instance_create(&spec, &instance, &problem), ERR_NONE);
    return instance;
}

static struct instance_filter filter_all(void)
{
    return (struct instance_filter){.statuses = STATUSES_ALL};
}

static void add_metadata(struct instance_filter *filter, const char *name, const char *value)
{
    char problem[PROBLEM_BYTES];
    const struct metadata_entry entry = {slice_of(name), slice_of(value)};
    assert_int_equal(instance_filter_add_metadata(filter, entry, problem), ERR_NONE);
}

/* --- reading ---------------------------------------------------------------------------------- */

static void statuses_are_words_with_commas_between(void **state)
{
    (void)state;
    static const struct {
        const char *words;
        unsigned statuses; /* 0: refused */
    } rows[] = {
        {"up", 1u << STATUS_UP},
        {"all", STATUSES_ALL},
        {"down", 1u << STATUS_DOWN},
        {"up,starting", 1u << STATUS_UP | 1u << STATUS_STARTING},
        {"unknown", 1u << STATUS_UNKNOWN | 1u << STATUS_OTHER},
        {"down,down,unhealthy", 1u << STATUS_DOWN | 1u << STATUS_UNHEALTHY},
        {"up,all", STATUSES_ALL},
        {"", 0},
        {",", 0},
        {"up,", 0},
        {",up", 0},
        {"up, down", 0},
        {"UP", 0},
        {"gone", 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        unsigned statuses = 77;
        char problem[PROBLEM_BYTES] = "";
        enum error error =
            instance_filter_read_statuses(slice_of(rows[i].words), &statuses, problem);
        assert_int_equal(error, rows[i].statuses ? ERR_NONE : ERR_INVALID_FIELD);
        assert_int_equal(statuses, rows[i].statuses ? rows[i].statuses : 77);
        assert_int_equal(problem[0] == '\0', !error);
    }
}

static void near_place_is_a_region_and_a_zone(void **state)
{
    (void)state;
    char problem[PROBLEM_BYTES];
    struct instance_filter filter = filter_all();
    assert_int_equal(instance_filter_read_near(SLICE("eu/a/b"), &filter, problem), ERR_NONE);
    assert_true(slice_equal(filter.near_region, SLICE("eu")));
    assert_true(slice_equal(filter.near_zone, SLICE("a/b")));
    static const char *const bad[] = {"", "/", "eu", "eu/", "/a"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        char expected[PROBLEM_BYTES];
        snprintf(expected, sizeof(expected),
                 "must be REGION/ZONE, of 1 to 255 bytes each, is \"%s\"", bad[i]);
        assert_int_equal(instance_filter_read_near(slice_of(bad[i]), &filter, problem),
                         ERR_INVALID_FIELD);
        assert_string_equal(problem, expected);
        assert_true(slice_equal(filter.near_region, SLICE("eu")));
    }
}

static void texts_that_are_too_long_are_refused(void **state)
{
    (void)state;
    char problem[PROBLEM_BYTES];
    char text[2 * ID_BYTES_MAX + 3];
    struct slice out = {0};
    struct instance_filter filter = filter_all();
    memset(text, 'x', sizeof(text));
    assert_int_equal(instance_filter_read_id((struct slice){text, ID_BYTES_MAX}, &out, problem),
                     ERR_NONE);
    assert_int_equal(instance_filter_read_id((struct slice){text, ID_BYTES_MAX + 1}, &out, problem),
                     ERR_INVALID_FIELD);
    assert_int_equal(instance_filter_read_id(SLICE(""), &out, problem), ERR_INVALID_FIELD);
    text[ID_BYTES_MAX] = '/';
    const struct slice longest = {text, 2 * ID_BYTES_MAX + 1};
    assert_int_equal(instance_filter_read_near(longest, &filter, problem), ERR_NONE);
    const struct slice longer = {text, 2 * ID_BYTES_MAX + 2};
    assert_int_equal(instance_filter_read_near(longer, &filter, problem), ERR_INVALID_FIELD);
}

static void metadata_is_limited_and_given_once(void **state)
{
    (void)state;
    char problem[PROBLEM_BYTES];
    char names[FILTER_METADATA_MAX + 1][8];
    char text[FILTER_METADATA_BYTES_MAX];
    struct instance_filter filter = filter_all();
    memset(text, 'x', sizeof(text));
    struct metadata_entry entry = {SLICE("a"), {text, sizeof(text)}};
    assert_int_equal(instance_filter_add_metadata(&filter, entry, problem), ERR_INVALID_FIELD);
    assert_string_equal(
        problem, "names and values of metadata must be at most 1024 bytes together, are 1025");
    entry.value.size = 0;
    entry.name.size = 0;
    assert_int_equal(instance_filter_add_metadata(&filter, entry, problem), ERR_INVALID_FIELD);
    for (int i = FILTER_METADATA_MAX; i-- > 0;) {
        snprintf(names[i], sizeof(names[i]), "n%d", i);
        add_metadata(&filter, names[i], "v");
    }
    assert_int_equal(filter.metadata_count, FILTER_METADATA_MAX);
    for (int i = 0; i < FILTER_METADATA_MAX; i++)
        assert_true(slice_equal(filter.metadata[i].name, slice_of(names[i]))); /* sorted */
    entry = (struct metadata_entry){SLICE("n0"), SLICE("w")};
    assert_int_equal(instance_filter_add_metadata(&filter, entry, problem), ERR_INVALID_FIELD);
    assert_string_equal(problem, "must be given once, is \"n0\"");
    entry.name = SLICE("z");
    assert_int_equal(instance_filter_add_metadata(&filter, entry, problem), ERR_INVALID_FIELD);
    assert_string_equal(problem, "at most 8 entries of the metadata may be given");
}

/* --- matching --------------------------------------------------------------------------------- */

static bool matches(const struct instance_filter *filter, const struct place *place)
{
    struct instance *instance = make(place);
    bool result = instance_filter_matches(filter, instance);
    instance_unref(instance);
    return result;
}

static void instance_matches_all_that_is_given(void **state)
{
    (void)state;
    const struct place place = {"i", "eu", "a", "down", {"version", "3", "stage", ""}};
    struct instance_filter filter = filter_all();
    assert_true(matches(&filter, &place));
    filter.statuses = STATUSES_UP;
    assert_false(matches(&filter, &place));
    filter.statuses = 1u << STATUS_DOWN;
    filter.region = SLICE("eu");
    filter.zone = SLICE("a");
    add_metadata(&filter, "version", "3");
    add_metadata(&filter, "stage", "");
    assert_true(matches(&filter, &place));
    filter.zone = SLICE("A");
    assert_false(matches(&filter, &place));
    filter.zone = SLICE("a");
    filter.region = SLICE("e");
    assert_false(matches(&filter, &place));
    filter.region = SLICE("eu");
    add_metadata(&filter, "owner", "me");
    assert_false(matches(&filter, &place));
    filter.metadata_count = 0;
    add_metadata(&filter, "version", "33");
    assert_false(matches(&filter, &place));
    filter.metadata_count = 0;
    add_metadata(&filter, "Version", "3");
    assert_false(matches(&filter, &place));
}

static void status_that_is_not_known_counts_as_unknown(void **state)
{
    (void)state;
    const struct place place = {"i", "eu", "a", "on holiday", {NULL}};
    char problem[PROBLEM_BYTES];
    struct instance_filter filter = filter_all();
    assert_true(matches(&filter, &place));
    assert_int_equal(instance_filter_read_statuses(SLICE("unknown"), &filter.statuses, problem),
                     ERR_NONE);
    assert_true(matches(&filter, &place));
    assert_int_equal(instance_filter_read_statuses(SLICE("up,down,starting,unhealthy"),
                                                   &filter.statuses, problem),
                     ERR_NONE);
    assert_false(matches(&filter, &place));
}

/* --- order ------------------------------------------------------------------------------------ */

static void nearest_instances_come_first(void **state)
{
    (void)state;
    static const struct place places[] = {
        {"far1", "us", "a", NULL, {NULL}},    {"zone1", "eu", "a", NULL, {NULL}},
        {"region1", "eu", "b", NULL, {NULL}}, {"down", "eu", "a", "down", {NULL}},
        {"far2", "ap", "b", NULL, {NULL}},    {"zone2", "eu", "a", NULL, {NULL}},
    };
    enum { COUNT = sizeof(places) / sizeof(*places) };
    struct instance *instances[COUNT];
    struct near_counts near;
    struct instance_filter filter = {
        .statuses = STATUSES_UP, .near_region = SLICE("eu"), .near_zone = SLICE("a")};
    for (size_t i = 0; i < COUNT; i++)
        instances[i] = make(&places[i]);
    assert_int_equal(instance_filter_apply(&filter, instances, COUNT, &near), 5);
    assert_true(near.is_given);
    assert_int_equal(near.count[NEAR_ZONE], 2);
    assert_int_equal(near.count[NEAR_REGION], 1);
    assert_int_equal(near.count[NEAR_BEYOND], 2);
    static const char *const order[COUNT] = {"zone", "zone", "region", "far", "far", "down"};
    for (size_t i = 0; i < COUNT; i++) {
        struct slice id = instance_text(instances[i], FIELD_INSTANCE);
        assert_memory_equal(id.data, order[i], strlen(order[i]));
    }
    filter.near_region.size = 0;
    assert_int_equal(instance_filter_apply(&filter, instances, COUNT, &near), 5);
    assert_false(near.is_given);
    assert_int_equal(instance_filter_apply(&filter, NULL, 0, &near), 0);
    for (size_t i = 0; i < COUNT; i++)
        instance_unref(instances[i]);
}

/* --- text ------------------------------------------------------------------------------------- */

static void check_read_back(const struct instance_filter *filter, struct slice key)
{
    struct instance_filter read;
    char again[FILTER_KEY_BYTES_MAX];
    instance_filter_of_key(key, &read);
    assert_int_equal(read.statuses, filter->statuses);
    assert_true(slice_equal(read.zone, filter->zone));
    assert_true(slice_equal(read.region, filter->region));
    assert_true(slice_equal(read.near_region, filter->near_region));
    assert_true(slice_equal(read.near_zone, filter->near_zone));
    assert_int_equal(read.metadata_count, filter->metadata_count);
    for (size_t i = 0; i < read.metadata_count; i++) {
        assert_true(slice_equal(read.metadata[i].name, filter->metadata[i].name));
        assert_true(slice_equal(read.metadata[i].value, filter->metadata[i].value));
    }
    assert_true(slice_equal((struct slice){again, instance_filter_key(&read, again)}, key));
}

static void filters_have_the_same_text_only_if_they_select_alike(void **state)
{
    (void)state;
    enum { COUNT = 11 };
    struct instance_filter filters[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        filters[i] = filter_all();
    filters[0].statuses = STATUSES_UP;
    filters[1].region = SLICE("a");
    filters[2].zone = SLICE("a");
    filters[3].near_region = SLICE("a");
    filters[3].near_zone = SLICE("bc");
    filters[4].near_region = SLICE("ab");
    filters[4].near_zone = SLICE("c");
    add_metadata(&filters[5], "a", "bc");
    add_metadata(&filters[6], "ab", "c");
    add_metadata(&filters[7], "a", "");
    add_metadata(&filters[8], "a", "");
    add_metadata(&filters[8], "b", "");
    /* Its value contains what the text of filters[8] has after the first name. */
    static const char value[] = "n\0\0bv\0";
    filters[10].metadata[0] = (struct metadata_entry){SLICE("a"), {value, sizeof(value)}};
    filters[10].metadata_count = 1;
    char keys[COUNT][FILTER_KEY_BYTES_MAX];
    size_t sizes[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        sizes[i] = instance_filter_key(&filters[i], keys[i]);
        check_read_back(&filters[i], (struct slice){keys[i], sizes[i]});
        for (size_t k = 0; k < i; k++)
            assert_false(
                slice_equal((struct slice){keys[i], sizes[i]}, (struct slice){keys[k], sizes[k]}));
    }
    struct instance_filter other = filter_all();
    add_metadata(&other, "b", "");
    add_metadata(&other, "a", "");
    size_t size = instance_filter_key(&other, keys[0]);
    assert_true(slice_equal((struct slice){keys[0], size}, (struct slice){keys[8], sizes[8]}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statuses_are_words_with_commas_between),
        cmocka_unit_test(near_place_is_a_region_and_a_zone),
        cmocka_unit_test(texts_that_are_too_long_are_refused),
        cmocka_unit_test(metadata_is_limited_and_given_once),
        cmocka_unit_test(instance_matches_all_that_is_given),
        cmocka_unit_test(status_that_is_not_known_counts_as_unknown),
        cmocka_unit_test(nearest_instances_come_first),
        cmocka_unit_test(filters_have_the_same_text_only_if_they_select_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
