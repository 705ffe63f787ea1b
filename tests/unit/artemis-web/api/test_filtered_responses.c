/* SPDX-License-Identifier: Apache-2.0
 *
 * Responses to requests with a filter: what they contain, that they are cached, that no number of
 * filters displaces other responses, and that changes keep a filtered list right.
 */
#include "tests/unit/artemis-web/api/discovery_fixture.h"

static struct registry *registry;

static int set_up(void **state)
{
    (void)state;
    registry = make_registry();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free_registry(registry);
    return 0;
}

/* --- instances and filters -------------------------------------------------------------------- */

struct place {
    const char *service, *id, *region, *zone, *status, *color;
};

static struct instance *make(struct place place)
{
    const struct metadata_entry color = {SLICE("color"), slice_of(place.color)};
    const struct instance_spec spec = {
        .text = {[FIELD_REGION] = slice_of(place.region ? place.region : "eu"),
                 [FIELD_ZONE] = slice_of(place.zone),
                 [FIELD_SERVICE] = slice_of(place.service),
                 [FIELD_INSTANCE] = slice_of(place.id),
                 [FIELD_IP] = SLICE("10.0.0.1"),
                 [FIELD_STATUS] = slice_of(place.status)},
        .metadata = &color,
        .metadata_count = place.color != NULL,
    };
    struct instance *instance = NULL;
    struct field_problem problem;
    assert_int_equal(instance_create(&spec, &instance, &problem), ERR_NONE);
    return instance;
}

static void put_at(struct place place)
{
    struct instance *instance = make(place);
    assert_int_equal(registry_register(registry, instance, at_ms(0)), ERR_NONE);
    instance_unref(instance);
}

static void remove_at(const char *service, const char *id, const char *zone)
{
    const struct slice parts[KEY_FIELDS] = {
        SLICE("eu"), slice_of(zone), slice_of(service), {0}, slice_of(id)};
    struct instance_key key;
    struct field_problem problem;
    assert_int_equal(instance_key_make(parts, &key, &problem), ERR_NONE);
    assert_int_equal(registry_unregister(registry, &key, 0, at_ms(0)), ERR_NONE);
}

static struct instance_filter of_zone(const char *zone)
{
    return (struct instance_filter){.statuses = STATUSES_UP, .zone = slice_of(zone)};
}

static struct instance_filter of_color(const char *color)
{
    struct instance_filter filter = {.statuses = STATUSES_UP, .metadata_count = 1};
    filter.metadata[0] = (struct metadata_entry){SLICE("color"), slice_of(color)};
    return filter;
}

static struct instance_filter near(const char *region, const char *zone)
{
    return (struct instance_filter){
        .statuses = STATUSES_UP, .near_region = slice_of(region), .near_zone = slice_of(zone)};
}

static struct cached_response *ask_filtered(const char *service,
                                            const struct instance_filter *filter, struct moment now)
{
    struct service_view view = discovery_filtered_view(DIALECT_SNAKE, filter);
    struct cached_response *response = NULL;
    assert_int_equal(
        response_cache_get(open_cache(registry), slice_of(service), &view, now, &response),
        ERR_NONE);
    return response;
}

static struct cached_response *ask_all_filtered(const struct instance_filter *filter,
                                                struct moment now)
{
    struct all_services_view view = discovery_all_services_filtered_view(DIALECT_SNAKE, filter);
    struct cached_response *response = NULL;
    assert_int_equal(response_cache_get_all(open_cache(registry), &view, now, &response), ERR_NONE);
    return response;
}

/* The ids of instances, with blanks between. */
static void check_ids(const json_t *instances, const char *expected)
{
    struct text text = {0};
    const json_t *instance;
    size_t i;
    json_array_foreach(instances, i, instance) text_printf(
        &text, "%s%s", i ? " " : "", json_string_value(json_object_get(instance, "instance_id")));
    assert_string_equal(text_string(&text), expected);
    text_free(&text);
}

static void check_filtered(const struct instance_filter *filter, const char *expected)
{
    json_t *root = read_response(ask_filtered("s", filter, at_ms(0)));
    check_ids(instances_of(root), expected);
    json_decref(root);
}

static void check_near(const json_t *object, const char *expected)
{
    char *near_text = json_dumps(json_object_get(object, "near"), JSON_COMPACT);
    assert_string_equal(near_text, expected);
    free(near_text);
}

/* --- content ---------------------------------------------------------------------------------- */

static void response_has_the_instances_that_match(void **state)
{
    (void)state;
    put_at((struct place){"s", "1", "eu", "a", NULL, "red"});
    put_at((struct place){"s", "2", "eu", "b", NULL, "red"});
    put_at((struct place){"s", "3", "us", "a", "down", "blue"});
    struct instance_filter filter = of_zone("a");
    check_filtered(&filter, "1");
    filter.statuses = STATUSES_ALL;
    check_filtered(&filter, "1 3");
    filter.region = SLICE("us");
    check_filtered(&filter, "3");
    filter = of_color("red");
    check_filtered(&filter, "1 2");
    filter = of_color("green");
    check_filtered(&filter, "");
    json_t *root = read_response(ask_filtered("s", &filter, at_ms(0)));
    assert_null(json_object_get(json_object_get(root, "service"), "near"));
    json_decref(root);
}

static void near_counts_say_where_instances_are(void **state)
{
    (void)state;
    put_at((struct place){"s", "far", "us", "a", NULL, NULL});
    put_at((struct place){"s", "same region", "eu", "b", NULL, NULL});
    put_at((struct place){"s", "same zone", "eu", "a", NULL, NULL});
    struct instance_filter filter = near("eu", "a");
    json_t *root = read_response(ask_filtered("s", &filter, at_ms(0)));
    check_ids(instances_of(root), "same zone same region far");
    check_near(json_object_get(root, "service"), "{\"zone\":1,\"region\":1,\"beyond\":1}");
    json_decref(root);
    filter = near("ap", "a");
    root = read_response(ask_filtered("s", &filter, at_ms(0)));
    check_near(json_object_get(root, "service"), "{\"zone\":0,\"region\":0,\"beyond\":3}");
    json_decref(root);
}

static void services_without_a_match_are_left_out(void **state)
{
    (void)state;
    put_at((struct place){"s", "1", "eu", "a", NULL, NULL});
    put_at((struct place){"t", "2", "eu", "b", NULL, NULL});
    struct instance_filter filter = of_zone("b");
    json_t *root = read_response(ask_all_filtered(&filter, at_ms(0)));
    const json_t *services = json_object_get(root, "services");
    assert_int_equal(json_array_size(services), 1);
    check_ids(json_object_get(json_array_get(services, 0), "instances"), "2");
    json_decref(root);
    filter = near("eu", "a");
    root = read_response(ask_all_filtered(&filter, at_ms(0)));
    services = json_object_get(root, "services");
    assert_int_equal(json_array_size(services), 2);
    json_decref(root);
}

static void pick_is_one_of_the_nearest(void **state)
{
    (void)state;
    struct near_counts counts;
    struct instance *instance = NULL;
    struct instance_filter filter = near("eu", "a");
    put_at((struct place){"s", "far", "us", "a", NULL, "red"});
    put_at((struct place){"s", "region", "eu", "b", NULL, "red"});
    put_at((struct place){"s", "zone", "eu", "a", NULL, NULL});
    put_at((struct place){"s", "down", "eu", "a", "down", "red"});
    static const struct {
        const char *color, *expected;
        size_t counts[NEARNESS_COUNT];
    } rows[] = {{NULL, "zone", {1, 1, 1}}, {"red", "region", {0, 1, 1}}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        filter.metadata_count = rows[i].color != NULL;
        filter.metadata[0] = (struct metadata_entry){SLICE("color"), slice_of(rows[i].color)};
        for (uint32_t random = 0; random < 20; random++) {
            struct lookup_choice choice = {random % LOOKUP_STRATEGIES, SLICE("key")};
            assert_int_equal(
                registry_pick(registry, SLICE("s"), &filter, &choice, random, &instance, &counts),
                ERR_NONE);
            assert_true(
                slice_equal(instance_text(instance, FIELD_INSTANCE), slice_of(rows[i].expected)));
            assert_memory_equal(counts.count, rows[i].counts, sizeof(counts.count));
            instance_unref(instance);
        }
    }
    filter.zone = SLICE("nowhere");
    assert_int_equal(registry_pick(registry, SLICE("s"), &filter, &(struct lookup_choice){0}, 1,
                                   &instance, &counts),
                     ERR_INSTANCE_NOT_FOUND);
}

/* Those that match are the last one that is evaluated once, and the first one beyond. */
static void pick_finds_each_match_of_a_large_service(void **state)
{
    (void)state;
    enum { COUNT = PICK_EVALUATED_MAX + 2, PICKS = 64 };
    static const char *const found[] = {"last", "beyond"};
    for (int i = 0; i < COUNT; i++) {
        char id[16];
        snprintf(id, sizeof(id), "%d", i);
        bool is_match = i == PICK_EVALUATED_MAX - 1 || i == PICK_EVALUATED_MAX;
        const char *name = found[i == PICK_EVALUATED_MAX];
        put_at((struct place){"s", is_match ? name : id, "eu", "a", NULL, is_match ? "red" : NULL});
    }
    struct instance_filter filters[] = {of_color("red"), near("eu", "a")};
    filters[1].metadata_count = 1;
    filters[1].metadata[0] = filters[0].metadata[0];
    for (int i = 0; i < 2 * LOOKUP_STRATEGIES; i++) {
        unsigned picked = 0;
        for (uint32_t pick = 0; pick < PICKS; pick++) {
            char key[16];
            struct near_counts counts;
            struct instance *instance = NULL;
            snprintf(key, sizeof(key), "%u", pick);
            struct lookup_choice choice = {(enum lookup_strategy)(i / 2), slice_of(key)};
            assert_int_equal(registry_pick(registry, SLICE("s"), &filters[i % 2], &choice,
                                           pick * 0x9E3779B9, &instance, &counts),
                             ERR_NONE);
            struct slice id = instance_text(instance, FIELD_INSTANCE);
            assert_true(slice_equal(id, slice_of(found[0])) || slice_equal(id, slice_of(found[1])));
            picked |= 1u << slice_equal(id, slice_of(found[1]));
            instance_unref(instance);
        }
        assert_int_equal(picked, 3);
    }
}

static void round_robin_gives_each_its_turn_also_between_other_filters(void **state)
{
    (void)state;
    enum { TURNS = 10 };
    static const char *const zones[] = {"a", "b"};
    const struct lookup_choice choice = {.strategy = LOOKUP_ROUND_ROBIN};
    put_at((struct place){"s", "a1", "eu", "a", NULL, NULL});
    put_at((struct place){"s", "a2", "eu", "a", NULL, NULL});
    put_at((struct place){"s", "b1", "eu", "b", NULL, NULL});
    put_at((struct place){"s", "b2", "eu", "b", NULL, NULL});
    unsigned counts[2][2] = {{0}};
    for (int i = 0; i < TURNS * 2; i++) {
        struct instance_filter filter = near("eu", zones[i % 2]);
        struct instance *instance = NULL;
        struct near_counts unused;
        assert_int_equal(
            registry_pick(registry, SLICE("s"), &filter, &choice, 0, &instance, &unused), ERR_NONE);
        const char *id = instance_text(instance, FIELD_INSTANCE).data;
        assert_int_equal(id[0], *zones[i % 2]);
        counts[i % 2][id[1] - '1']++;
        instance_unref(instance);
    }
    for (int zone = 0; zone < 2; zone++)
        for (int number = 0; number < 2; number++)
            assert_int_equal(counts[zone][number], TURNS / 2);
}

/* --- cache ------------------------------------------------------------------------------------ */

static void filtered_response_is_cached_until_the_service_changes(void **state)
{
    (void)state;
    put_at((struct place){"s", "1", "eu", "a", NULL, NULL});
    const struct instance_filter filter = of_zone("a");
    const struct instance_filter other = of_zone("b");
    struct cached_response *first = ask_filtered("s", &filter, at_ms(0));
    struct cached_response *second = ask_filtered("s", &filter, at_ms(0));
    struct cached_response *third = ask_filtered("s", &other, at_ms(0));
    assert_ptr_equal(first, second);
    assert_ptr_not_equal(first, third);
    assert_true(cache_stats(registry).filtered_bytes > 0);
    assert_int_equal(cache_stats(registry).service_bytes, 0);
    cached_response_unref(second);
    cached_response_unref(third);
    put_at((struct place){"s", "2", "eu", "b", NULL, NULL});
    assert_int_equal(cache_stats(registry).filtered_bytes, 0);
    second = ask_filtered("s", &filter, at_ms(0));
    assert_ptr_not_equal(first, second);
    registry_validate(registry);
    cleanup(registry, at_ms(cache_settings.expiry_ms + 1000));
    assert_int_equal(cache_stats(registry).filtered_bytes, 0);
    cached_response_unref(first);
    cached_response_unref(second);
}

static void many_filters_displace_no_plain_response_and_need_little_memory(void **state)
{
    (void)state;
    put_at((struct place){"s", "1", "eu", "a", NULL, NULL});
    struct cached_response *plain = ask(registry, "s", at_ms(0));
    struct cached_response *services = ask_services(registry, DIALECT_SNAKE, at_ms(0));
    const struct instance_filter used = of_zone("a");
    struct cached_response *popular = ask_filtered("s", &used, at_ms(0));
    struct cached_response *popular_all = ask_all_filtered(&used, at_ms(0));
    uint64_t bytes = 0;
    for (unsigned i = 0; i < 1000; i++) {
        char zone[16];
        snprintf(zone, sizeof(zone), "zone%04u", i);
        const struct instance_filter filter = of_zone(zone);
        cached_response_unref(ask_filtered("s", &filter, at_ms(i + 1)));
        cached_response_unref(ask_all_filtered(&filter, at_ms(i + 1)));
        if (i == 100)
            bytes = cache_stats(registry).filtered_bytes;
        assert_true(i < 100 || cache_stats(registry).filtered_bytes <= bytes);
        /* One that is in use stays. */
        struct cached_response *again = ask_filtered("s", &used, at_ms(i + 1));
        assert_ptr_equal(again, popular);
        cached_response_unref(again);
        again = ask_all_filtered(&used, at_ms(i + 1));
        assert_ptr_equal(again, popular_all);
        cached_response_unref(again);
    }
    registry_validate(registry);
    struct cached_response *again = ask(registry, "s", at_ms(1001));
    assert_ptr_equal(again, plain);
    cached_response_unref(again);
    again = ask_services(registry, DIALECT_SNAKE, at_ms(1001));
    assert_ptr_equal(again, services);
    cached_response_unref(again);
    cached_response_unref(plain);
    cached_response_unref(services);
    cached_response_unref(popular);
    cached_response_unref(popular_all);
}

static void filtered_responses_beyond_the_budget_are_served_but_not_cached(void **state)
{
    (void)state;
    const struct instance_filter filter = of_zone("a");
    put_at((struct place){"s", "1", "eu", "a", NULL, NULL});
    cache_settings.filtered_bytes_max = 1;
    limit_cache(registry, 0, 0);
    struct cached_response *response = ask_filtered("s", &filter, at_ms(0));
    assert_int_equal(response->refs, 1);
    cached_response_unref(response);
    response = ask_all_filtered(&filter, at_ms(0));
    assert_int_equal(response->refs, 1);
    cached_response_unref(response);
    assert_int_equal(cache_stats(registry).filtered_bytes, 0);
    struct cached_response *plain = ask(registry, "s", at_ms(0));
    assert_int_equal(plain->refs, 2); /* has a budget of its own */
    cached_response_unref(plain);
}

static enum error try_filtered(const char *zone, bool all)
{
    const struct instance_filter filter = of_zone(zone);
    struct service_view view = discovery_filtered_view(DIALECT_SNAKE, &filter);
    struct all_services_view all_view =
        discovery_all_services_filtered_view(DIALECT_SNAKE, &filter);
    struct cached_response *response = NULL;
    enum error error =
        all ? response_cache_get_all(open_cache(registry), &all_view, at_ms(0), &response)
            : response_cache_get(open_cache(registry), SLICE("s"), &view, at_ms(0), &response);
    cached_response_unref(response);
    return error;
}

/* Each of many clients can ask for another filter, and not read the response. */
static void filtered_responses_that_live_are_limited(void **state)
{
    (void)state;
    const struct instance_filter filter = of_zone("a");
    cache_settings.filtered_living_bytes_max = 1;
    put_at((struct place){"s", "1", "eu", "a", NULL, NULL});
    for (int all = 0; all < 2; all++) {
        struct cached_response *unread =
            all ? ask_all_filtered(&filter, at_ms(0)) : ask_filtered("s", &filter, at_ms(0));
        assert_int_equal(try_filtered("b", false), ERR_OVERLOADED);
        assert_int_equal(try_filtered("b", true), ERR_OVERLOADED);
        assert_int_equal(try_filtered("a", all), ERR_NONE); /* the same one */
        cached_response_unref(ask(registry, "s", at_ms(0)));
        cached_response_unref(ask_services(registry, DIALECT_SNAKE, at_ms(0)));
        put_at((struct place){"s", "1", "eu", "a", NULL, all ? "red" : "blue"});
        response_cache_cleanup(open_cache(registry), at_ms(0));
        assert_int_equal(cache_stats(registry).filtered_bytes, 0);
        assert_int_equal(try_filtered("b", false), ERR_OVERLOADED); /* it is still unread */
        cached_response_unref(unread);
        assert_int_equal(cache_stats(registry).filtered_living_bytes, 0);
    }
}

static void disabled_cache_keeps_no_filtered_response(void **state)
{
    (void)state;
    const struct instance_filter filter = of_zone("a");
    put_at((struct place){"s", "1", "eu", "a", NULL, NULL});
    cache_settings.enabled = false;
    cached_response_unref(ask_filtered("s", &filter, at_ms(0)));
    cached_response_unref(ask_all_filtered(&filter, at_ms(0)));
    assert_int_equal(cache_stats(registry).filtered_bytes, 0);
}

static void outdated_responses_with_all_services_are_evicted(void **state)
{
    (void)state;
    const struct instance_filter filter = of_zone("a");
    put_at((struct place){"s", "1", "eu", "a", NULL, NULL});
    struct cached_response *first = ask_all_filtered(&filter, at_ms(0));
    put_at((struct place){"s", "2", "eu", "a", NULL, NULL});
    struct cached_response *second = ask_all_filtered(&filter, at_ms(0));
    assert_ptr_not_equal(first, second);
    assert_int_equal(first->refs, 1);
    cleanup(registry, at_ms(cache_settings.expiry_ms));
    assert_int_equal(second->refs, 1);
    assert_int_equal(cache_stats(registry).filtered_bytes, 0);
    cached_response_unref(first);
    cached_response_unref(second);
}

/* --- deltas ----------------------------------------------------------------------------------- */

static struct cached_response *ask_delta(const struct instance_filter *filter, uint64_t since)
{
    struct service_view view = discovery_filtered_view(DIALECT_SNAKE, filter);
    struct cached_response *response = NULL;
    enum error error = response_cache_get_delta(open_cache(registry), SLICE("s"), &view, since,
                                                at_ms(0), &response);
    assert_true(error == ERR_NONE || error == ERR_VERSION_GONE);
    return response;
}

static void check_delta(const struct instance_filter *filter, uint64_t since, const char *expected)
{
    struct text text = {0};
    json_t *root = read_response(ask_delta(filter, since));
    const json_t *change;
    size_t i;
    json_array_foreach(json_object_get(root, "changes"), i, change) text_printf(
        &text, "%s%s %s", i ? ", " : "", json_string_value(json_object_get(change, "change_type")),
        json_string_value(json_object_get(json_object_get(change, "instance"), "instance_id")));
    assert_string_equal(text_string(&text), expected);
    text_free(&text);
    json_decref(root);
}

static void delta_has_what_enters_and_leaves_the_filter(void **state)
{
    (void)state;
    static const char *const ids[] = {"1", "2", "3", "4", "5", "6", "7", "8"};
    for (size_t i = 0; i < 8; i++)
        put_at((struct place){"s", ids[i], "eu", i < 6 ? "a" : "b", NULL, "red"});
    uint64_t since = revision_of(registry, "s");
    put_at((struct place){"s", "1", "eu", "a", NULL, "blue"}); /* leaves red */
    put_at((struct place){"s", "7", "eu", "b", NULL, "blue"}); /* leaves red, in b */
    put_at((struct place){"s", "9", "eu", "a", NULL, "blue"}); /* is new, and blue */
    put_at((struct place){"s", "9", "eu", "a", NULL, "red"});  /* enters red */
    put_at((struct place){"s", "2", "eu", "a", "down", "red"});
    remove_at("s", "3", "a");
    struct instance_filter filter = of_color("red");
    check_delta(&filter, since, "delete 1, delete 7, change 9, delete 2, delete 3");
    filter.zone = SLICE("b");
    check_delta(&filter, since, "delete 7");
    filter = of_color("blue");
    check_delta(&filter, since, "change 1, change 7, new 9, delete 9");
    struct cached_response *first = ask_delta(&filter, since);
    struct cached_response *second = ask_delta(&filter, since);
    assert_ptr_equal(first, second);
    cached_response_unref(first);
    cached_response_unref(second);
}

/* A client that applies the deltas of its filter. */
struct follower {
    struct instance_filter filter;
    uint64_t version;
    bool has[20]; /* by the number that is the id of an instance */
};

static void apply(struct follower *follower, struct cached_response *response)
{
    json_t *root = read_response(response);
    const json_t *changes = json_object_get(root, "changes");
    const json_t *item;
    size_t i;
    follower->version = (uint64_t)json_integer_value(json_object_get(root, "version"));
    if (!changes)
        memset(follower->has, 0, sizeof(follower->has));
    json_array_foreach(changes ? changes : instances_of(root), i, item)
    {
        const char *type = json_string_value(json_object_get(item, "change_type"));
        const json_t *instance = type ? json_object_get(item, "instance") : item;
        const char *id = json_string_value(json_object_get(instance, "instance_id"));
        follower->has[atoi(id)] = !type || strcmp(type, "delete") != 0;
    }
    json_decref(root);
}

static void poll(struct follower *follower)
{
    struct cached_response *response =
        follower->version ? ask_delta(&follower->filter, follower->version) : NULL;
    apply(follower, response ? response : ask_filtered("s", &follower->filter, at_ms(0)));
}

static void followers_that_apply_deltas_have_the_filtered_list(void **state)
{
    (void)state;
    static const char *const zones[] = {"a", "b"};
    static const char *const colors[] = {"red", "blue", NULL};
    static const char *const statuses[] = {"up", "up", "down", "starting"};
    uint64_t seed = 42;
    struct follower followers[] = {{.filter = of_zone("a")},
                                   {.filter = of_color("red")},
                                   {.filter = {.statuses = 1u << STATUS_DOWN}}};
    followers[1].filter.statuses = STATUSES_ALL;
    for (unsigned round = 0; round < 2000; round++) {
        unsigned number = (unsigned)random_below(&seed, 20);
        char id[8];
        snprintf(id, sizeof(id), "%u", number);
        if (random_below(&seed, 4) == 0 && round > 0)
            remove_at("s", id, zones[number % 2]);
        else
            put_at((struct place){"s", id, "eu", zones[number % 2],
                                  statuses[random_below(&seed, 4)],
                                  colors[random_below(&seed, 3)]});
        struct follower *follower = &followers[random_below(&seed, 3)];
        poll(follower);
        struct follower fresh = {.filter = follower->filter};
        apply(&fresh, ask_filtered("s", &fresh.filter, at_ms(0)));
        assert_int_equal(follower->version, fresh.version);
        assert_memory_equal(follower->has, fresh.has, sizeof(fresh.has));
    }
    assert_true(cache_stats(registry).deltas_built > 500);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(response_has_the_instances_that_match),
        TEST(near_counts_say_where_instances_are),
        TEST(services_without_a_match_are_left_out),
        TEST(pick_is_one_of_the_nearest),
        TEST(pick_finds_each_match_of_a_large_service),
        TEST(round_robin_gives_each_its_turn_also_between_other_filters),
        TEST(filtered_response_is_cached_until_the_service_changes),
        TEST(many_filters_displace_no_plain_response_and_need_little_memory),
        TEST(filtered_responses_beyond_the_budget_are_served_but_not_cached),
        TEST(filtered_responses_that_live_are_limited),
        TEST(disabled_cache_keeps_no_filtered_response),
        TEST(outdated_responses_with_all_services_are_evicted),
        TEST(delta_has_what_enters_and_leaves_the_filter),
        TEST(followers_that_apply_deltas_have_the_filtered_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
