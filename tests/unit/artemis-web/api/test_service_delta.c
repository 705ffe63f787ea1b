/* SPDX-License-Identifier: Apache-2.0
 *
 * The changes of one service since a revision: what they contain, when the whole service is needed
 * instead, and that clients that apply them have the list of the server.
 */
#include "tests/unit/artemis-web/api/discovery_fixture.h"

static struct registry *registry;

static int set_up_with(uint32_t capacity)
{
    struct registry_options options = usual_options();
    options.change_log_capacity = capacity;
    registry = make_registry_with(options);
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    return set_up_with(64);
}

static int set_up_long(void **state)
{
    (void)state;
    return set_up_with(16384);
}

static int set_up_short(void **state)
{
    (void)state;
    return set_up_with(8);
}

static int tear_down(void **state)
{
    (void)state;
    free_registry(registry);
    return 0;
}

static enum error get_delta(const char *service, bool all_statuses, uint64_t since,
                            struct cached_response **out)
{
    struct service_view view = discovery_service_view(DIALECT_SNAKE, all_statuses);
    return response_cache_get_delta(open_cache(registry), slice_of(service), &view, since, at_ms(0),
                                    out);
}

/* The changes of a service as "new a, delete b". */
static void check_delta_of(const char *service, bool all_statuses, uint64_t since,
                           const char *expected)
{
    struct cached_response *response = NULL;
    struct text text = {0};
    assert_int_equal(get_delta(service, all_statuses, since, &response), ERR_NONE);
    assert_int_equal(response->revision, revision_of(registry, service));
    json_t *root = read_response(response);
    const json_t *change;
    size_t i;
    json_array_foreach(json_object_get(root, "changes"), i, change) text_printf(
        &text, "%s%s %s", i ? ", " : "", json_string_value(json_object_get(change, "change_type")),
        json_string_value(json_object_get(json_object_get(change, "instance"), "instance_id")));
    assert_string_equal(text_string(&text), expected);
    assert_int_equal(json_integer_value(json_object_get(root, "version")),
                     revision_of(registry, service));
    assert_null(json_object_get(root, "service"));
    text_free(&text);
    json_decref(root);
}

static void check_delta(uint64_t since, const char *expected)
{
    check_delta_of("s", true, since, expected);
}

static void check_gone(uint64_t since)
{
    struct cached_response *response = NULL;
    assert_int_equal(get_delta("s", true, since, &response), ERR_VERSION_GONE);
    assert_null(response);
}

static void put_status(const char *id, const char *status)
{
    put_as(registry, (struct brief){.service = "s", .id = id, .status = status}, at_ms(0));
}

/* --- content ---------------------------------------------------------------------------------- */

static void delta_has_the_changes_of_its_service_in_order(void **state)
{
    (void)state;
    put_many(registry, "s", 0, 4, at_ms(0));
    put(registry, "t", "1", at_ms(0));
    uint64_t since = revision_of(registry, "s");
    put(registry, "t", "2", at_ms(0));
    put(registry, "s", "a", at_ms(0));
    put_as(registry, (struct brief){.service = "t", .id = "2", .port = 1}, at_ms(0));
    put_as(registry, (struct brief){.service = "s", .id = "i1", .port = 1}, at_ms(0));
    take_out(registry, "s", "i2", at_ms(0));
    check_delta(since, "new a, change i1, delete i2");
    check_delta(since + 2, "new a, change i1, delete i2"); /* of the other service */
    check_delta(since + 3, "change i1, delete i2");
    check_delta(revision_of(registry, "s"), "");
    check_delta(registry_revision(registry), "");
}

static void delta_has_evictions(void **state)
{
    (void)state;
    put_many(registry, "s", 0, 3, at_ms(0));
    put(registry, "s", "b", at_ms(5000));
    uint64_t since = revision_of(registry, "s");
    assert_int_equal(renew_many(registry, "s", 1, 3, at_ms(5000)), 2);
    registry_expire(registry, at_ms(TTL_MS + TICK_MS));
    check_delta(since, "delete i0");
}

static void instance_that_is_not_up_is_deleted_from_the_list_of_those_that_are(void **state)
{
    (void)state;
    put_many(registry, "s", 0, 8, at_ms(0));
    uint64_t since = revision_of(registry, "s");
    put_status("i1", "down");
    put_status("starts", "starting");
    put_status("i1", "up");
    put_status("starts", "up");
    take_out(registry, "s", "i2", at_ms(0));
    check_delta_of("s", false, since, "delete i1, change i1, change starts, delete i2");
    check_delta_of("s", true, since, "change i1, new starts, change i1, change starts, delete i2");
}

/* --- the whole service is needed -------------------------------------------------------------- */

static void changes_that_the_log_has_dropped_are_gone(void **state)
{
    (void)state;
    put_many(registry, "s", 0, 20, at_ms(0)); /* of which the log has 8 */
    uint64_t last = revision_of(registry, "s");
    check_delta(last - 8, "new i12, new i13, new i14, new i15, new i16, new i17, new i18, new i19");
    check_gone(last - 9);
    check_gone(1);
}

static void quiet_service_has_its_changes_in_a_log_full_of_others(void **state)
{
    (void)state;
    put_many(registry, "s", 0, 4, at_ms(0));
    uint64_t since = revision_of(registry, "s");
    put_many(registry, "others", 0, 100, at_ms(0));
    put(registry, "s", "a", at_ms(0));
    check_delta(since, "new a");
    check_gone(since - 1);
    put_many(registry, "others", 100, 107, at_ms(0));
    check_delta(since, "new a");
    put(registry, "others", "one more", at_ms(0));
    check_delta(since, "new a"); /* cached */
    check_gone(since + 1);
}

static void changes_before_a_service_was_forgotten_are_gone(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    uint64_t first = revision_of(registry, "s");
    take_out(registry, "s", "a", at_ms(0));
    cleanup(registry, at_ms(600000));
    assert_int_equal(revision_of(registry, "s"), 0);
    struct cached_response *response = NULL;
    assert_int_equal(get_delta("s", true, first, &response), ERR_SERVICE_NOT_FOUND);
    put_many(registry, "s", 0, 4, at_ms(600000));
    check_gone(first);
    check_gone(first + 1);
    check_delta(revision_of(registry, "s") - 1, "new i3");
}

static void more_changes_than_instances_are_not_sent(void **state)
{
    (void)state;
    put_many(registry, "s", 0, 2, at_ms(0));
    uint64_t since = revision_of(registry, "s");
    put_status("i0", "down");
    put_status("i0", "up");
    check_delta(since, "change i0, change i0");
    put_status("i0", "down");
    check_gone(since);
    check_delta(since + 1, "change i0, change i0");
    assert_int_equal(cache_stats(registry).deltas_gone, 1);
}

/* An instance of more than 2 KiB. */
static void put_wide(unsigned number)
{
    char id[16];
    static char text[1025] = "http://";
    memset(text + 7, 'm', sizeof text - 8);
    snprintf(id, sizeof id, "i%u", number);
    const struct instance_spec spec = {
        .text = {[FIELD_REGION] = SLICE("region"),
                 [FIELD_ZONE] = SLICE("zone"),
                 [FIELD_SERVICE] = SLICE("s"),
                 [FIELD_INSTANCE] = slice_of(id),
                 [FIELD_IP] = SLICE("10.0.0.1"),
                 [FIELD_URL] = slice_of(text),
                 [FIELD_MACHINE_NAME] = slice_of(text)},
        .port = 1,
    };
    struct instance *instance = NULL;
    struct field_problem problem;
    assert_int_equal(instance_create(&spec, &instance, &problem), ERR_NONE);
    assert_int_equal(registry_register(registry, instance, at_ms(0)), ERR_NONE);
    instance_unref(instance);
}

static void delta_has_a_limited_number_of_changes(void **state)
{
    (void)state;
    put_many(registry, "s", 0, SERVICE_DELTA_CHANGES_MAX + 2, at_ms(0));
    uint64_t last = revision_of(registry, "s");
    struct cached_response *response = NULL;
    assert_int_equal(get_delta("s", true, last - SERVICE_DELTA_CHANGES_MAX, &response), ERR_NONE);
    cached_response_unref(response);
    check_gone(last - SERVICE_DELTA_CHANGES_MAX - 1);
}

static void delta_has_a_limited_number_of_bytes(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SERVICE_DELTA_CHANGES_MAX; i++)
        put_wide(i);
    uint64_t last = revision_of(registry, "s");
    struct cached_response *response = NULL;
    assert_int_equal(get_delta("s", true, last - SERVICE_DELTA_CHANGES_MAX / 2, &response),
                     ERR_NONE);
    cached_response_unref(response);
    check_gone(last - SERVICE_DELTA_CHANGES_MAX + 1);
    assert_int_equal(cache_stats(registry).deltas_gone, 1);
}

/* Also those that are in no cache any more, because clients still read them. */
static void deltas_that_live_are_limited_together(void **state)
{
    (void)state;
    cache_settings.deltas_bytes_max = 1;
    put_many(registry, "s", 0, 4, at_ms(0));
    uint64_t since = revision_of(registry, "s");
    put(registry, "s", "a", at_ms(0));
    struct cached_response *read_slowly = NULL;
    struct slice gzip;
    assert_int_equal(get_delta("s", true, since, &read_slowly), ERR_NONE);
    uint64_t bytes = cache_stats(registry).delta_bytes;
    assert_int_equal(bytes, read_slowly->body.size);
    assert_int_equal(cached_response_gzip(read_slowly, &gzip), ERR_NONE);
    assert_int_equal(cache_stats(registry).delta_bytes, bytes + gzip.size);
    check_gone(since - 1);
    put(registry, "s", "b", at_ms(0)); /* evicts it */
    check_gone(since);
    cached_response_unref(read_slowly);
    assert_int_equal(cache_stats(registry).delta_bytes, 0);
    check_delta(since, "new a, new b");
}

/* --- cache ------------------------------------------------------------------------------------ */

static void clients_at_one_revision_share_a_delta(void **state)
{
    (void)state;
    put_many(registry, "s", 0, 4, at_ms(0));
    uint64_t since = revision_of(registry, "s");
    put(registry, "s", "a", at_ms(0));
    struct cached_response *first = NULL;
    struct cached_response *second = NULL;
    assert_int_equal(get_delta("s", true, since, &first), ERR_NONE);
    assert_int_equal(get_delta("s", true, since, &second), ERR_NONE);
    assert_ptr_equal(first, second);
    cached_response_unref(second);
    assert_int_equal(get_delta("s", false, since, &second), ERR_NONE);
    assert_ptr_not_equal(first, second);
    cached_response_unref(second);
    put(registry, "s", "b", at_ms(0)); /* `first` is still readable */
    assert_int_equal(get_delta("s", true, since, &second), ERR_NONE);
    assert_ptr_not_equal(first, second);
    assert_int_equal(cache_stats(registry).deltas_built, 3);
    registry_validate(registry);
    cached_response_unref(first);
    cached_response_unref(second);
}

static void oldest_delta_is_displaced(void **state)
{
    (void)state;
    enum { SINCES = 20, KEPT = 8 };
    put_many(registry, "s", 0, 30, at_ms(0));
    uint64_t last = revision_of(registry, "s");
    for (unsigned back = 1; back <= SINCES; back++) {
        struct cached_response *response = NULL;
        assert_int_equal(get_delta("s", true, last - back, &response), ERR_NONE);
        cached_response_unref(response);
        assert_int_equal(stats_of(registry).cached_responses, back < KEPT ? back : KEPT);
        registry_validate(registry);
    }
    struct cached_response *response = NULL;
    assert_int_equal(get_delta("s", true, last - SINCES, &response), ERR_NONE);
    cached_response_unref(response);
    assert_int_equal(cache_stats(registry).deltas_built, SINCES);
}

static void unused_deltas_are_evicted(void **state)
{
    (void)state;
    put_many(registry, "s", 0, 4, at_ms(0));
    check_delta(revision_of(registry, "s") - 1, "new i3");
    check_delta(revision_of(registry, "s") - 2, "new i2, new i3");
    assert_true(cache_stats(registry).service_bytes > 0);
    cleanup(registry, at_ms(299000));
    assert_int_equal(stats_of(registry).cached_responses, 2);
    cleanup(registry, at_ms(301000));
    assert_int_equal(stats_of(registry).cached_responses, 0);
    assert_int_equal(cache_stats(registry).service_bytes, 0);
    registry_validate(registry);
}

static void delta_over_the_budget_is_sent_uncached(void **state)
{
    (void)state;
    limit_cache(registry, 1, 1);
    put_many(registry, "s", 0, 4, at_ms(0));
    check_delta(revision_of(registry, "s") - 1, "new i3");
    check_delta(revision_of(registry, "s") - 1, "new i3");
    assert_int_equal(cache_stats(registry).deltas_built, 2);
    assert_int_equal(stats_of(registry).cached_responses, 0);
}

/* --- clients ---------------------------------------------------------------------------------- */

enum { IDS = 12, CLIENTS = 6 };

/* What a client has of a service: the port of each instance; 0: it does not have it. */
struct follower {
    bool all_statuses;
    uint64_t version;
    int ports[IDS];
};

static void apply_instance(struct follower *follower, const json_t *instance, bool is_delete)
{
    const char *id = json_string_value(json_object_get(instance, "instance_id"));
    int port = (int)json_integer_value(json_object_get(instance, "port"));
    follower->ports[id[0] - 'a'] = is_delete ? 0 : port;
}

static void apply_whole(struct follower *follower, const json_t *instances)
{
    const json_t *item;
    size_t i;
    memset(follower->ports, 0, sizeof follower->ports);
    json_array_foreach(instances, i, item) apply_instance(follower, item, false);
}

static void apply_changes(struct follower *follower, const json_t *changes)
{
    const json_t *item;
    size_t i;
    json_array_foreach(changes, i, item)
    {
        const char *type = json_string_value(json_object_get(item, "change_type"));
        apply_instance(follower, json_object_get(item, "instance"), strcmp(type, "delete") == 0);
    }
}

static struct cached_response *whole_of(bool all_statuses)
{
    struct cached_response *response = NULL;
    enum error error =
        get_service(registry, SLICE("s"), DIALECT_SNAKE, all_statuses, at_ms(0), &response);
    assert_true(error == ERR_NONE || error == ERR_SERVICE_NOT_FOUND);
    return response;
}

/* Polls as the handler does. Returns true when it was a delta. */
static bool poll_once(struct follower *follower)
{
    struct cached_response *response = NULL;
    enum error error = follower->version
                           ? get_delta("s", follower->all_statuses, follower->version, &response)
                           : ERR_VERSION_GONE;
    bool is_delta = error == ERR_NONE;
    if (!is_delta)
        response = whole_of(follower->all_statuses);
    if (!response) { /* not known (any more) */
        follower->version = 0;
        memset(follower->ports, 0, sizeof follower->ports);
        return false;
    }
    json_t *root = read_response(response);
    if (is_delta)
        apply_changes(follower, json_object_get(root, "changes"));
    else
        apply_whole(follower, instances_of(root));
    follower->version = (uint64_t)json_integer_value(json_object_get(root, "version"));
    json_decref(root);
    return is_delta;
}

static void check_follower(const struct follower *follower)
{
    struct follower expected = {0};
    struct cached_response *response = whole_of(follower->all_statuses);
    if (response) {
        json_t *root = read_response(response);
        apply_whole(&expected, instances_of(root));
        json_decref(root);
    }
    assert_memory_equal(follower->ports, expected.ports, sizeof expected.ports);
}

static void change_at_random(uint64_t *seed, uint64_t now_ms)
{
    static const char *const statuses[] = {"up", "up", "up", "down", "starting"};
    char id[2] = {(char)('a' + random_below(seed, IDS)), '\0'};
    switch (random_below(seed, 10)) {
    case 0:
        put(registry, "t", id, at_ms(now_ms));
        break;
    case 1:
    case 2:
        take_out(registry, "s", id, at_ms(now_ms));
        break;
    case 3: /* all leave; sometimes the service is forgotten */
        for (id[0] = 'a'; id[0] < 'a' + IDS && random_below(seed, 4) == 0; id[0]++)
            take_out(registry, "s", id, at_ms(now_ms));
        cleanup(registry, at_ms(now_ms));
        break;
    default:
        put_as(registry,
               (struct brief){.service = "s",
                              .id = id,
                              .status = statuses[random_below(seed, 5)],
                              .port = (int)random_below(seed, 1000) + 1},
               at_ms(now_ms));
    }
}

static void clients_that_apply_deltas_have_the_list(void **state)
{
    (void)state;
    struct follower followers[CLIENTS] = {0};
    uint64_t seed = 7;
    unsigned deltas = 0;
    for (unsigned round = 0; round < 4000; round++) {
        uint64_t now_ms = round * 100ull;
        change_at_random(&seed, now_ms);
        struct follower *follower = &followers[random_below(&seed, CLIENTS)];
        follower->all_statuses = (follower - followers) % 2;
        if (random_below(&seed, 3) == 0)
            continue;
        deltas += poll_once(follower);
        check_follower(follower);
    }
    assert_true(deltas > 400);
    registry_validate(registry);
}

#define TEST(name)       cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_SHORT(name) cmocka_unit_test_setup_teardown(name, set_up_short, tear_down)
#define TEST_LONG(name)  cmocka_unit_test_setup_teardown(name, set_up_long, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(delta_has_the_changes_of_its_service_in_order),
        TEST(delta_has_evictions),
        TEST(instance_that_is_not_up_is_deleted_from_the_list_of_those_that_are),
        TEST_SHORT(changes_that_the_log_has_dropped_are_gone),
        TEST_SHORT(quiet_service_has_its_changes_in_a_log_full_of_others),
        TEST(changes_before_a_service_was_forgotten_are_gone),
        TEST(more_changes_than_instances_are_not_sent),
        TEST_LONG(delta_has_a_limited_number_of_changes),
        TEST_LONG(delta_has_a_limited_number_of_bytes),
        TEST(deltas_that_live_are_limited_together),
        TEST(clients_at_one_revision_share_a_delta),
        TEST(oldest_delta_is_displaced),
        TEST(unused_deltas_are_evicted),
        TEST(delta_over_the_budget_is_sent_uncached),
        TEST(clients_that_apply_deltas_have_the_list),
        TEST_SHORT(clients_that_apply_deltas_have_the_list),
    };
    return cmocka_run_group_tests_name("delta of a service", tests, NULL, NULL);
}
