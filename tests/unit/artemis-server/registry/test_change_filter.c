/* SPDX-License-Identifier: Apache-2.0
 *
 * A change as a client with a filter sees it, for each way in which an instance begins or ceases to
 * match.
 */
#include "artemis-server/registry/change_filter.h"

#include "tests/unit/artemis-server/registry/registry_fixture.h"

/* NULL: there is none. */
struct content {
    const char *status, *version, *protocol;
};

static struct instance *make(const struct content *content)
{
    const struct metadata_entry metadata = {SLICE("version"), slice_of(content->version)};
    const struct instance_spec spec = {.text = {[FIELD_REGION] = SLICE("r"),
                                                [FIELD_ZONE] = SLICE("z"),
                                                [FIELD_SERVICE] = SLICE("s"),
                                                [FIELD_INSTANCE] = SLICE("i"),
                                                [FIELD_IP] = SLICE("10.0.0.1"),
                                                [FIELD_PROTOCOL] = slice_of(content->protocol),
                                                [FIELD_STATUS] = slice_of(content->status)},
                                       .metadata = &metadata,
                                       .metadata_count = content->version != NULL};
    struct instance *instance = NULL;
    struct field_problem problem;
    assert_int_equal(instance_create(&spec, &instance, &problem), ERR_NONE);
    return instance;
}

static void put_content(struct registry *registry, const struct content *content)
{
    struct instance *instance = make(content);
    assert_int_equal(registry_register(registry, instance, at_ms(0)), ERR_NONE);
    instance_unref(instance);
}

/* The last change of the registry as the filter sees it; -1: not at all. */
static int seen(struct registry *registry, const struct instance_filter *filter)
{
    struct change change;
    enum change_type type;
    size_t count;
    assert_int_equal(
        registry_changes(registry, registry_revision(registry) - 1, &change, 1, &count), ERR_NONE);
    assert_int_equal(count, 1);
    int result = change_filter_sees(filter, &change, &type) ? (int)type : -1;
    instance_unref(change.instance);
    return result;
}

/* zone z, up, version 3 */
static const struct instance_filter filter = {.statuses = STATUSES_UP,
                                              .zone = {"z", 1},
                                              .metadata = {{{"version", 7}, {"3", 1}}},
                                              .metadata_count = 1};

static void change_is_seen_where_the_instance_matches_before_or_after(void **state)
{
    (void)state;
    static const struct {
        struct content before, after;
        int type; /* -1: not seen */
    } rows[] = {
        {{"up", "3", "a"}, {"up", "3", "b"}, CHANGE_CHANGE},
        {{"down", "3", "a"}, {"up", "3", "a"}, CHANGE_CHANGE},
        {{"up", "2", "a"}, {"up", "3", "a"}, CHANGE_CHANGE},
        {{"up", "3", "a"}, {"down", "3", "a"}, CHANGE_DELETE},
        {{"up", "3", "a"}, {"up", "2", "a"}, CHANGE_DELETE},
        {{"up", "3", "a"}, {"down", NULL, "a"}, CHANGE_DELETE},
        {{"up", "2", "a"}, {"down", "2", "a"}, -1},
        {{"down", "3", "a"}, {"starting", "3", "a"}, -1},
        {{"down", "3", "a"}, {"down", "2", "a"}, -1},
        {{"down", "2", "a"}, {"up", "2", "a"}, -1},
        {{"up", "1", "a"}, {"up", "2", "a"}, CHANGE_DELETE}, /* the old version is not known */
        {{"up", "2", "a"}, {"up", "2", "b"}, CHANGE_DELETE}, /* nor whether it is the same */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct registry *registry = make_registry();
        put_content(registry, &rows[i].before);
        put_content(registry, &rows[i].after);
        assert_int_equal(seen(registry, &filter), rows[i].type);
        struct instance_filter elsewhere = filter;
        elsewhere.zone = SLICE("other");
        assert_int_equal(seen(registry, &elsewhere), -1);
        registry_free(registry);
    }
}

static void new_and_deleted_instances_are_seen_where_they_match(void **state)
{
    (void)state;
    static const struct {
        struct content content;
        bool matches;
    } rows[] = {{{"up", "3", "a"}, true}, {{"down", "3", "a"}, false}, {{"up", "2", "a"}, false}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct registry *registry = make_registry();
        const struct slice parts[KEY_FIELDS] = {
            SLICE("r"), SLICE("z"), SLICE("s"), {0}, SLICE("i")};
        struct instance_key key;
        struct field_problem problem;
        assert_int_equal(instance_key_make(parts, &key, &problem), ERR_NONE);
        put_content(registry, &rows[i].content);
        assert_int_equal(seen(registry, &filter), rows[i].matches ? CHANGE_NEW : -1);
        assert_int_equal(registry_unregister(registry, &key, 0, at_ms(0)), ERR_NONE);
        assert_int_equal(seen(registry, &filter), rows[i].matches ? CHANGE_DELETE : -1);
        registry_free(registry);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(change_is_seen_where_the_instance_matches_before_or_after),
        cmocka_unit_test(new_and_deleted_instances_are_seen_where_they_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
