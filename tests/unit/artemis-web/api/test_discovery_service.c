/* SPDX-License-Identifier: Apache-2.0
 *
 * The response for one service: its content in each dialect, when it is the cached one, and how
 * long it is kept.
 */
#include "artemis-server/registry/registry.h"

#include "artemis-server/registry/registry_internal.h"
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
    registry_validate(registry);
    free_registry(registry);
    return 0;
}

/* Compares with JSON in which single quotes stand for double ones, and V for the revision. */
static void check_body(struct cached_response *response, const char *expected)
{
    struct text json = {0};
    for (const char *c = expected; *c; c++) {
        if (*c == 'V')
            text_append_u64(&json, response->revision);
        else
            text_append_char(&json, *c == '\'' ? '"' : *c);
    }
    assert_int_equal(response->body.size, json.size);
    assert_memory_equal(response->body.data, json.data, json.size);
    text_free(&json);
    cached_response_unref(response);
}

/* --- what it says --- */

static void response_in_snake_case_is_compact_and_leaves_out_what_is_absent(void **state)
{
    (void)state;
    put(registry, "shop", "a", at_ms(0));
    check_body(ask(registry, "shop", at_ms(0)),
               "{'response_status':{'error_code':'success'},'version':V,'service':{"
               "'service_id':'shop','instances':[{'region_id':'region','zone_id':'zone',"
               "'service_id':'shop','instance_id':'a','ip':'10.0.0.1','port':8080,"
               "'url':'http://10.0.0.1:8080','status':'up'}]}}");
}

static void response_in_camel_case_renames_the_fields(void **state)
{
    (void)state;
    put_as(registry, (struct brief){.service = "shop", .id = "a", .group = "g", .machine = "m"},
           at_ms(0));
    check_body(ask_for(registry, "shop", DIALECT_CAMEL, false, at_ms(0)),
               "{'responseStatus':{'errorCode':'success','status':'success','message':''},"
               "'version':V,'service':{'serviceId':'shop','instances':[{'regionId':'region',"
               "'zoneId':'zone','serviceId':'shop','groupId':'g','instanceId':'a',"
               "'machineName':'m','ip':'10.0.0.1','port':8080,'url':'http://10.0.0.1:8080',"
               "'status':'up'}]}}");
}

static void response_for_java_writes_nulls(void **state)
{
    (void)state;
    put(registry, "shop", "a", at_ms(0));
    check_body(ask_for(registry, "shop", DIALECT_JAVA, true, at_ms(0)),
               "{'responseStatus':{'errorCode':'success','errorMessage':null,'reason':null,"
               "'status':'success','message':''},'version':V,'service':{'serviceId':'shop',"
               "'metadata':null,'instances':[{'regionId':'region','zoneId':'zone',"
               "'serviceId':'shop','groupId':null,'instanceId':'a','machineName':null,"
               "'ip':'10.0.0.1','port':8080,'protocol':null,'url':'http://10.0.0.1:8080',"
               "'healthCheckUrl':null,'status':'up','metadata':null}],'logicInstances':[],"
               "'routeRules':null}}");
}

static void response_has_the_revision_of_the_service(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    put(registry, "t", "a", at_ms(0));
    struct cached_response *response = ask(registry, "s", at_ms(0));
    assert_int_equal(response->revision, registry_revision(registry) - 1);
    cached_response_unref(response);
}

static void unknown_service_is_not_found(void **state)
{
    (void)state;
    struct cached_response *response = (struct cached_response *)1;
    put(registry, "s", "a", at_ms(0));
    assert_int_equal(get_service(registry, SLICE("t"), DIALECT_SNAKE, false, at_ms(0), &response),
                     ERR_SERVICE_NOT_FOUND);
    assert_ptr_equal(response, (struct cached_response *)1);
}

static void only_what_is_up_is_shown_unless_all_is_asked_for(void **state)
{
    (void)state;
    static const char *const statuses[] = {"up",      "starting", "down", "unhealthy",
                                           "unknown", "odd",      NULL};
    static const char *const ids[] = {"a", "b", "c", "d", "e", "f", "g"};
    for (int i = 0; i < 7; i++)
        put_as(registry, (struct brief){.service = "s", .id = ids[i], .status = statuses[i]},
               at_ms(0));
    for (enum dialect dialect = 0; dialect < DIALECT_COUNT; dialect++) {
        json_t *up = read_response(ask_for(registry, "s", dialect, false, at_ms(0)));
        json_t *all = read_response(ask_for(registry, "s", dialect, true, at_ms(0)));
        assert_int_equal(json_array_size(instances_of(up)), 2);
        assert_int_equal(json_array_size(instances_of(all)), 7);
        json_decref(up);
        json_decref(all);
    }
}

static void service_with_none_up_has_an_empty_list(void **state)
{
    (void)state;
    put_as(registry, (struct brief){.service = "s", .id = "a", .status = "down"}, at_ms(0));
    json_t *root = read_response(ask(registry, "s", at_ms(0)));
    assert_true(json_is_array(instances_of(root)));
    assert_int_equal(json_array_size(instances_of(root)), 0);
    json_decref(root);
}

static void emptied_service_is_known_until_the_cleanup_and_unknown_after(void **state)
{
    (void)state;
    struct cached_response *response = NULL;
    put(registry, "s", "a", at_ms(0));
    take_out(registry, "s", "a", at_ms(1000));
    cleanup(registry, at_ms(1000 + 60000 - 1));
    json_t *root = read_response(ask(registry, "s", at_ms(1000 + 60000 - 1)));
    assert_true(json_is_array(instances_of(root)));
    assert_int_equal(json_array_size(instances_of(root)), 0);
    json_decref(root);
    cleanup(registry, at_ms(1000 + 60000 + TICK_MS));
    assert_int_equal(
        get_service(registry, SLICE("s"), DIALECT_SNAKE, false, at_ms(61000), &response),
        ERR_SERVICE_NOT_FOUND);
    assert_int_equal(stats_of(registry).services, 0);
}

static void service_that_comes_back_after_the_cleanup_has_a_later_version(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    take_out(registry, "s", "a", at_ms(0));
    uint64_t before = revision_of(registry, "s");
    cleanup(registry, at_ms(60000 + TICK_MS));
    put(registry, "s", "a", at_ms(60000));
    assert_true(revision_of(registry, "s") > before);
}

/* --- when it is the same response --- */

static void response_is_the_same_until_its_service_changes(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    struct cached_response *first = ask(registry, "s", at_ms(0));
    struct cached_response *second = ask(registry, "s", at_ms(1));
    assert_ptr_equal(first, second);
    put(registry, "t", "a", at_ms(2)); /* another service */
    put(registry, "s", "a", at_ms(2)); /* the same content */
    struct cached_response *third = ask(registry, "s", at_ms(3));
    assert_ptr_equal(first, third);
    assert_int_equal(stats_of(registry).responses_built, 1);
    put(registry, "s", "b", at_ms(4));
    struct cached_response *fourth = ask(registry, "s", at_ms(4));
    assert_ptr_not_equal(first, fourth);
    assert_true(fourth->revision > first->revision);
    cached_response_unref(first);
    cached_response_unref(second);
    cached_response_unref(third);
    cached_response_unref(fourth);
}

static void each_kind_of_change_makes_a_new_response(void **state)
{
    (void)state;
    size_t expected[] = {1, 2, 2, 1, 0};
    for (int change = 0; change < 5; change++) {
        if (change == 0)
            put(registry, "s", "a", at_ms(0));
        else if (change == 1)
            put(registry, "s", "b", at_ms(5000));
        else if (change == 2)
            put_as(registry, (struct brief){.service = "s", .id = "b", .port = 1}, at_ms(5000));
        else if (change == 3)
            take_out(registry, "s", "b", at_ms(5000));
        else
            registry_expire(registry, at_ms(TTL_MS + TICK_MS));
        json_t *root = read_response(ask(registry, "s", at_ms(0)));
        assert_int_equal(json_array_size(instances_of(root)), expected[change]);
        json_decref(root);
        assert_int_equal(stats_of(registry).responses_built, change + 1);
    }
}

static void each_dialect_and_filter_has_its_own_response(void **state)
{
    (void)state;
    struct cached_response *responses[DIALECT_COUNT * 2];
    put(registry, "s", "a", at_ms(0));
    for (int i = 0; i < DIALECT_COUNT * 2; i++)
        responses[i] = ask_for(registry, "s", (enum dialect)(i / 2), i % 2, at_ms(0));
    assert_int_equal(stats_of(registry).cached_responses, DIALECT_COUNT * 2);
    for (int i = 0; i < DIALECT_COUNT * 2; i++) {
        struct cached_response *again =
            ask_for(registry, "s", (enum dialect)(i / 2), i % 2, at_ms(0));
        assert_ptr_equal(responses[i], again);
        for (int j = 0; j < i; j++)
            assert_ptr_not_equal(responses[i], responses[j]);
        cached_response_unref(again);
    }
    for (int i = 0; i < DIALECT_COUNT * 2; i++)
        cached_response_unref(responses[i]);
}

static void response_in_use_survives_change_and_registry(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    struct cached_response *response = ask(registry, "s", at_ms(0));
    take_out(registry, "s", "a", at_ms(1));
    cleanup(registry, at_ms(10000000));
    free_registry(registry);
    json_t *root = read_response(response);
    assert_int_equal(json_array_size(instances_of(root)), 1);
    json_decref(root);
    registry = make_registry();
}

static void without_cache_each_response_is_made_again(void **state)
{
    (void)state;
    struct registry_options options = usual_options();
    cache_settings.enabled = false;
    struct registry *plain = make_registry_with(options);
    put(plain, "s", "a", at_ms(0));
    struct cached_response *first = ask(plain, "s", at_ms(0));
    struct cached_response *second = ask(plain, "s", at_ms(0));
    assert_ptr_not_equal(first, second);
    assert_int_equal(first->revision, second->revision);
    assert_int_equal(stats_of(plain).cached_responses, 0);
    assert_int_equal(stats_of(plain).responses_built, 2);
    cached_response_unref(first);
    cached_response_unref(second);
    free_registry(plain);
}

static void unused_response_is_freed_and_used_one_is_kept(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    put(registry, "t", "a", at_ms(0));
    cached_response_unref(ask(registry, "s", at_ms(0)));
    cached_response_unref(ask(registry, "t", at_ms(0)));
    assert_int_equal(stats_of(registry).cached_responses, 2);
    cached_response_unref(ask(registry, "t", at_ms(200000))); /* from the cache */
    cleanup(registry, at_ms(299999));
    assert_int_equal(stats_of(registry).cached_responses, 2);
    cleanup(registry, at_ms(300000 + TICK_MS));
    assert_int_equal(stats_of(registry).cached_responses, 1);
    cleanup(registry, at_ms(499999));
    assert_int_equal(stats_of(registry).cached_responses, 1);
    cleanup(registry, at_ms(500000 + TICK_MS));
    assert_int_equal(stats_of(registry).cached_responses, 0);
    assert_int_equal(shown(registry, "s"), 1);
}

static void response_beyond_the_budget_is_served_but_not_cached(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    put(registry, "t", "a", at_ms(0));
    struct cached_response *first = ask(registry, "s", at_ms(0));
    const size_t bytes = cache_stats(registry).service_bytes;
    assert_int_equal(bytes, sizeof(*first) + first->body.size);
    cached_response_unref(first);
    cleanup(registry, at_ms(300000 + TICK_MS));
    limit_cache(registry, 2 * bytes - 1, 0);
    first = ask(registry, "s", at_ms(300000)); /* "t" takes as much as "s" */
    struct cached_response *second = ask(registry, "t", at_ms(300000));
    assert_int_equal(second->body.size, first->body.size);
    assert_int_equal(second->refs, 1);
    assert_int_equal(stats_of(registry).cached_responses, 1);
    take_out(registry, "s", "a", at_ms(300001));
    cached_response_unref(ask(registry, "t", at_ms(300001)));
    assert_int_equal(stats_of(registry).cached_responses, 1);
    assert_int_equal(cache_stats(registry).service_bytes, bytes);
    cached_response_unref(first);
    cached_response_unref(second);
}

static void bytes_of_responses_count_their_gzip_and_go_with_them(void **state)
{
    (void)state;
    struct slice zipped;
    put_many(registry, "s", 0, 50, at_ms(0));
    struct cached_response *response = ask(registry, "s", at_ms(0));
    const size_t plain = cache_stats(registry).service_bytes;
    assert_int_equal(cached_response_gzip(response, &zipped), ERR_NONE);
    assert_true(cache_stats(registry).service_bytes >= plain + zipped.size);
    put(registry, "s", "i0", at_ms(1)); /* a renewal */
    assert_true(cache_stats(registry).service_bytes >= plain + zipped.size);
    put(registry, "s", "more", at_ms(1));
    assert_int_equal(cache_stats(registry).service_bytes, 0);
    cached_response_unref(response);
    cached_response_unref(ask(registry, "s", at_ms(1)));
    assert_true(cache_stats(registry).service_bytes > 0);
    cleanup(registry, at_ms(300001 + TICK_MS));
    assert_int_equal(cache_stats(registry).service_bytes, 0);
}

/* --- as a part of another response --- */

static void written_service_is_that_of_its_response(void **state)
{
    (void)state;
    struct text text = {0};
    struct json_writer w = jw_to(&text, CASING_SNAKE);
    put(registry, "s", "a", at_ms(0));
    put_as(registry, (struct brief){.service = "s", .id = "b", .status = "down"}, at_ms(0));
    for (int all = 0; all < 2; all++) {
        text_clear(&text);
        w = jw_to(&text, CASING_SNAKE);
        assert_int_equal(
            discovery_write_service(registry, SLICE("s"), DIALECT_SNAKE, plain_filter(all), &w),
            ERR_NONE);
        json_t *part = parse_body((struct slice){text.data, text.size});
        json_t *whole = read_response(ask_for(registry, "s", DIALECT_SNAKE, all, at_ms(0)));
        assert_true(json_equal(part, json_object_get(whole, "service")));
        json_decref(part);
        json_decref(whole);
    }
    text_free(&text);
}

static void unknown_service_is_not_written(void **state)
{
    (void)state;
    struct text text = {0};
    struct json_writer w = jw_to(&text, CASING_SNAKE);
    assert_int_equal(
        discovery_write_service(registry, SLICE("s"), DIALECT_SNAKE, plain_filter(true), &w),
        ERR_SERVICE_NOT_FOUND);
    assert_int_equal(text.size, 0);
    text_free(&text);
}

static void evicted_instance_is_in_no_view(void **state)
{
    (void)state;
    struct instance *instance = NULL;
    put(registry, "s", "a", at_ms(0));
    put(registry, "s", "b", at_ms(1000));
    for (enum dialect dialect = 0; dialect < DIALECT_COUNT; dialect++) { /* all are cached now */
        cached_response_unref(ask_for(registry, "s", dialect, false, at_ms(1000)));
        cached_response_unref(ask_for(registry, "s", dialect, true, at_ms(1000)));
        cached_response_unref(ask_services(registry, dialect, at_ms(1000)));
    }
    registry_expire(registry, at_ms(TTL_MS + TICK_MS));
    for (enum dialect dialect = 0; dialect < DIALECT_COUNT; dialect++) {
        struct cached_response *responses[] = {
            ask_for(registry, "s", dialect, false, at_ms(TTL_MS + TICK_MS)),
            ask_for(registry, "s", dialect, true, at_ms(TTL_MS + TICK_MS)),
            ask_services(registry, dialect, at_ms(TTL_MS + TICK_MS)),
        };
        for (int i = 0; i < 3; i++) {
            json_t *root = read_response(responses[i]);
            char *text = json_dumps(root, JSON_COMPACT);
            assert_null(strstr(text, "d\":\"a\""));
            assert_non_null(strstr(text, "d\":\"b\""));
            free(text);
            json_decref(root);
        }
    }
    for (uint32_t random = 0; random < 4; random++) {
        assert_int_equal(pick_plain(registry, SLICE("s"), true, LOOKUP_RANDOM, random, &instance),
                         ERR_NONE);
        assert_true(slice_equal(instance_text(instance, FIELD_INSTANCE), SLICE("b")));
        instance_unref(instance);
    }
}

/* Renewed every 10 s and swept every tick for ten minutes; then silence. */

static void renewal_keeps_the_cached_response(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    struct cached_response *before = ask(registry, "s", at_ms(0));
    assert_int_equal(renew(registry, "s", "a", at_ms(1000)), ERR_NONE);
    struct cached_response *after = ask(registry, "s", at_ms(1000));
    assert_ptr_equal(before, after);
    cached_response_unref(before);
    cached_response_unref(after);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(evicted_instance_is_in_no_view),
        TEST(renewal_keeps_the_cached_response),
        TEST(response_in_snake_case_is_compact_and_leaves_out_what_is_absent),
        TEST(response_in_camel_case_renames_the_fields),
        TEST(response_for_java_writes_nulls),
        TEST(response_has_the_revision_of_the_service),
        TEST(unknown_service_is_not_found),
        TEST(only_what_is_up_is_shown_unless_all_is_asked_for),
        TEST(service_with_none_up_has_an_empty_list),
        TEST(emptied_service_is_known_until_the_cleanup_and_unknown_after),
        TEST(service_that_comes_back_after_the_cleanup_has_a_later_version),
        TEST(response_is_the_same_until_its_service_changes),
        TEST(each_kind_of_change_makes_a_new_response),
        TEST(each_dialect_and_filter_has_its_own_response),
        TEST(response_in_use_survives_change_and_registry),
        TEST(without_cache_each_response_is_made_again),
        TEST(unused_response_is_freed_and_used_one_is_kept),
        TEST(response_beyond_the_budget_is_served_but_not_cached),
        TEST(bytes_of_responses_count_their_gzip_and_go_with_them),
        TEST(written_service_is_that_of_its_response),
        TEST(unknown_service_is_not_written),
    };
    return cmocka_run_group_tests_name("registry: discovery", tests, NULL, NULL);
}
