/* SPDX-License-Identifier: Apache-2.0
 *
 * Lookups of one instance by weight and by key (CONTRACT 3), by GET and POST.
 */
#include "tests/support/client/calls.h"

#include <stdio.h>
#include <string.h>

#define LOOKUP "/api/discovery/lookup"

enum { INSTANCES = 4, KEYS = 60 };

static int start(void **state)
{
    return fixture_start(state, NULL);
}

/* Instances i0, i1... with these weights; a weight of -1 is an instance that is down. */
static void register_weights(struct http *http, const int weights[INSTANCES])
{
    for (int i = 0; i < INSTANCES; i++) {
        char id[8];
        snprintf(id, sizeof id, "i%d", i);
        check_status(http_post(http, REGISTER,
                               "{'instances':[{" INSTANCE_FIELDS ",'weight':%d,'status':'%s'}]}",
                               "shop", id, weights[i] < 0 ? 100 : weights[i],
                               weights[i] < 0 ? "down" : "up"),
                     200, "success", NULL);
    }
}

static int number_of(const struct http_response *response)
{
    check_http(response, 200);
    check_json(response, "success", "true");
    return check_text(response, "instance.instance_id")[1] - '0';
}

static void count_weighted(struct http *http, int counts[INSTANCES])
{
    memset(counts, 0, INSTANCES * sizeof *counts);
    for (int i = 0; i < 400; i++)
        counts[number_of(http_get(http, LOOKUP "?service_id=shop&strategy=weighted"))]++;
}

static int find_key(struct http *http, int key)
{
    return number_of(http_get(
        http, LOOKUP "?service_id=shop&strategy=consistent-hash&hash_key=user%%20%d", key));
}

static void find_keys(struct http *http, int found[KEYS])
{
    for (int key = 0; key < KEYS; key++)
        found[key] = find_key(http, key);
}

static void weighted_lookup_follows_the_weights(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    int counts[INSTANCES];
    register_weights(http, (const int[INSTANCES]){300, 100, 0, -1});
    count_weighted(http, counts);
    assert_in_range(counts[0], 240, 360); /* 300 +- 7 standard deviations */
    assert_int_equal(counts[0] + counts[1], 400);
    register_weights(http, (const int[INSTANCES]){0, 0, 0, -1});
    count_weighted(http, counts);
    for (int i = 0; i < 3; i++)
        assert_in_range(counts[i], 66, 200);
    assert_int_equal(counts[3], 0);
}

static void key_has_one_instance_until_that_leaves(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    int before[KEYS], after[KEYS], moved = 0;
    register_weights(http, (const int[INSTANCES]){100, 100, 100, 100});
    find_keys(http, before);
    find_keys(http, after);
    assert_memory_equal(before, after, sizeof before);
    register_weights(http, (const int[INSTANCES]){100, 100, -1, 100});
    find_keys(http, after);
    for (int key = 0; key < KEYS; key++) {
        assert_int_equal(after[key] == before[key], before[key] != 2);
        moved += before[key] == 2;
    }
    assert_in_range(moved, 1, KEYS - 1);
    register_weights(http, (const int[INSTANCES]){100, 100, 100, 100});
    find_keys(http, after);
    assert_memory_equal(before, after, sizeof before);
}

static void instance_without_a_weight_gets_no_keys(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    int found[KEYS], counts[INSTANCES] = {0};
    register_weights(http, (const int[INSTANCES]){0, 100, 0, 100});
    find_keys(http, found);
    for (int key = 0; key < KEYS; key++)
        assert_int_equal(found[key] % 2, 1);
    register_weights(http, (const int[INSTANCES]){0, 0, 0, 0});
    find_keys(http, found);
    for (int key = 0; key < KEYS; key++)
        counts[found[key]]++;
    for (int i = 0; i < INSTANCES; i++)
        assert_true(counts[i] > 0);
}

static void query_and_body_find_the_same(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    register_weights(http, (const int[INSTANCES]){100, 100, 100, 100});
    for (int key = 0; key < 10; key++) {
        int expected = find_key(http, key);
        assert_int_equal(number_of(http_post(http, LOOKUP,
                                             "{'discovery_config':{'service_id':'shop'},"
                                             "'strategy':'consistent-hash','hash_key':'user %d'}",
                                             key)),
                         expected);
        struct http_response *response = http_get(
            http, LOOKUP "?serviceId=SHOP&strategy=consistent-hash&hashKey=user%%20%d", key);
        assert_int_equal(check_text(response, "instance.instanceId")[1] - '0', expected);
        response = http_post(http, "/artemis" LOOKUP ".json",
                             "{'discoveryConfig':{'serviceId':'shop'},"
                             "'strategy':'consistent-hash','hashKey':'user %d'}",
                             key);
        assert_int_equal(check_text(response, "instance.instanceId")[1] - '0', expected);
    }
}

static void invalid_choice_is_refused(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    static const char unknown[] =
        "strategy: must be random, round-robin, weighted or consistent-hash, is \\\"best\\\"";
    static const char without_key[] = "hash_key: is required with consistent-hash";
    register_weights(http, (const int[INSTANCES]){100, 100, 100, 100});
    static const struct {
        const char *query;
        const char *members;
        const char *message;
    } cases[] = {
        {"strategy=best&hash_key=k", "'strategy':'best'", unknown},
        {"strategy=consistent-hash", "'strategy':'consistent-hash'", without_key},
        {"strategy=consistent-hash&hash_key=", "'strategy':'consistent-hash','hash_key':''",
         without_key},
        {"strategy=consistent-hash&hash_key=k&hashKey=k", "'strategy':'weighted','hash_key':7",
         NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int is_body = 0; is_body < 2; is_body++) {
            struct http_response *response =
                is_body ? http_post(http, LOOKUP, "{'discovery_config':{'service_id':'shop'},%s}",
                                    cases[i].members)
                        : http_get(http, LOOKUP "?service_id=shop&%s", cases[i].query);
            check_status(response, 400, "bad-request", "invalid-field");
            if (cases[i].message)
                assert_non_null(strstr(response->body, cases[i].message));
        }
    }
}

static void service_without_instances_is_not_found(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    static const char *const strategies[] = {"weighted", "consistent-hash"};
    register_weights(http, (const int[INSTANCES]){-1, -1, -1, -1});
    for (int i = 0; i < 2; i++) {
        struct http_response *response =
            http_get(http, LOOKUP "?service_id=shop&strategy=%s&hash_key=k", strategies[i]);
        check_http(response, 404);
        check_json(response, "success", "false");
        check_json(response, "reason", "'instance-not-found'");
        response =
            http_get(http, LOOKUP "?service_id=nowhere&strategy=%s&hash_key=k", strategies[i]);
        check_http(response, 404);
        check_json(response, "reason", "'service-not-found'");
        number_of(http_get(http, LOOKUP "?service_id=shop&status=all&strategy=%s&hash_key=k",
                           strategies[i]));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, fixture_stop)
    const struct CMUnitTest tests[] = {
        TEST(weighted_lookup_follows_the_weights),
        TEST(key_has_one_instance_until_that_leaves),
        TEST(instance_without_a_weight_gets_no_keys),
        TEST(query_and_body_find_the_same),
        TEST(invalid_choice_is_refused),
        TEST(service_without_instances_is_not_found),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
