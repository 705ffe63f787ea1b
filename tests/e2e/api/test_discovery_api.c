/* SPDX-License-Identifier: Apache-2.0
 *
 * Discovery in snake_case (CONTRACT 3): service, services, services-delta, lookup.
 */
#include "tests/support/client/calls.h"

#include <string.h>

#define SERVICE "/api/discovery/service"
#define DELTA   "/api/discovery/services-delta"
#define LOOKUP  "/api/discovery/lookup"

static int start(void **state)
{
    return fixture_start(state, NULL);
}

static void register_with_status(struct http *http, const char *service_id, const char *instance_id,
                                 const char *status)
{
    check_status(http_post(http, REGISTER, "{'instances':[{" INSTANCE_FIELDS ",'status':'%s'}]}",
                           service_id, instance_id, status),
                 200, "success", NULL);
}

static void unregister(struct http *http, const char *service_id, const char *instance_id)
{
    check_status(
        http_post(http, UNREGISTER, "{'instance_keys':[" KEY "]}", service_id, instance_id), 200,
        "success", NULL);
}

/* --- service ---------------------------------------------------------------------------------- */

static void service_is_found_by_get_and_by_post(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register(http, "shop", "i1");
    static const char *const configs[] = {
        "{'discovery_config':{'service_id':'shop'}}",
        "{'discovery_config':{'service_id':'SHOP','region_id':'lab','zone_id':'zone1'}}",
        "{'discovery_config':{'service_id':'shop','region_id':'elsewhere','zone_id':'other'}}",
    };
    json_int_t version = call_version(http);
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        struct http_response *response = http_post(http, SERVICE, "%s", configs[i]);
        check_status(response, 200, "success", NULL);
        check_json(response, "service.service_id", "'shop'");
        check_count(response, "service.instances", 1);
        assert_int_equal(check_integer(response, "version"), version);
    }
    struct http_response *response =
        http_get(http, SERVICE "?service_id=Shop&region_id=elsewhere&zone_id=other");
    check_status(response, 200, "success", NULL);
    check_json(response, "response_status", "{'error_code':'success'}");
    check_count(response, "service.instances", 1);
    assert_int_equal(check_integer(response, "version"), version);
}

static void service_unknown_is_a_bad_request_without_service(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    struct http_response *response = http_get(http, SERVICE "?service_id=nowhere");
    check_status(response, 200, "bad-request", "service-not-found");
    check_contains(response, "response_status.error_message", "nowhere");
    check_absent(response, "service");
    response = http_post(http, SERVICE, "{'discovery_config':{'service_id':'nowhere'}}");
    check_status(response, 200, "bad-request", "service-not-found");
    check_absent(response, "service");
}

static void service_lists_only_instances_that_are_up(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    static const char *const words[] = {"starting", "up", "down", "unhealthy", "unknown", "mine"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        register_with_status(http, "mood", words[i], words[i]);
    }
    struct http_response *response = http_get(http, SERVICE "?service_id=mood");
    check_count(response, "service.instances", 1);
    check_json(response, "service.instances[0].instance_id", "'up'");
    check_count(http_get(http, SERVICE "?service_id=mood&status=all"), "service.instances", 6);
    response =
        http_post(http, SERVICE, "{'discovery_config':{'service_id':'mood','status':'all'}}");
    check_count(response, "service.instances", 6);
}

static void service_without_an_up_instance_has_an_empty_list(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    register_with_status(http, "asleep", "i1", "down");
    struct http_response *response = http_get(http, SERVICE "?service_id=asleep");
    check_status(response, 200, "success", NULL);
    check_json(response, "service", "{'service_id':'asleep','instances':[]}");
}

static void service_without_instances_stays_known(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register(http, "left", "i1");
    unregister(http, "left", "i1");
    struct http_response *response = http_get(http, SERVICE "?service_id=left");
    check_status(response, 200, "success", NULL);
    check_json(response, "service", "{'service_id':'left','instances':[]}");
}

static void service_version_grows_only_with_changes_of_the_service(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register(http, "mine", "i1");
    json_int_t version = check_integer(http_get(http, SERVICE "?service_id=mine"), "version");
    assert_true(version > 0);
    call_register(http, "other", "i1");
    assert_int_equal(check_integer(http_get(http, SERVICE "?service_id=mine"), "version"), version);
    call_register(http, "mine", "i2");
    assert_true(check_integer(http_get(http, SERVICE "?service_id=mine"), "version") > version);
}

/* --- services --------------------------------------------------------------------------------- */

static void services_lists_instances_of_every_status(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register(http, "a", "i1");
    register_with_status(http, "a", "i2", "down");
    register_with_status(http, "b", "i1", "unhealthy");
    struct http_response *response = http_get(http, "/api/discovery/services");
    check_status(response, 200, "success", NULL);
    assert_true(check_integer(response, "version") > 0);
    check_count(response, "services", 2);
    bool a_first = strcmp(check_text(response, "services[0].service_id"), "a") == 0;
    check_count(response, a_first ? "services[0].instances" : "services[1].instances", 2);
    check_count(response, a_first ? "services[1].instances" : "services[0].instances", 1);
    check_status(http_post(http, "/api/discovery/services", "{}"), 200, "success", NULL);
    response = http_post(http, "/api/discovery/services", "{'region_id':'x','zone_id':'y'}");
    check_count(response, "services", 2);
}

static void services_of_an_empty_registry_is_an_empty_list(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    struct http_response *response = http_get(http, "/api/discovery/services");
    check_status(response, 200, "success", NULL);
    check_json(response, "services", "[]");
    assert_true(check_integer(response, "version") >= 0);
}

/* --- services-delta --------------------------------------------------------------------------- */

static void delta_since_the_newest_version_is_empty(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register(http, "shop", "i1");
    json_int_t version = call_version(http);
    struct http_response *response =
        http_get(http, DELTA "?version=%" JSON_INTEGER_FORMAT, version);
    check_status(response, 200, "success", NULL);
    check_json(response, "delta", "{}");
    assert_int_equal(check_integer(response, "version"), version);
}

/* RFC 3339 in UTC: 2026-02-14T08:00:00Z, with or without a fraction. */
static void check_time(const char *text)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd";
    for (size_t i = 0; i < sizeof form - 1; i++) {
        bool fits = form[i] == 'd' ? text[i] >= '0' && text[i] <= '9' : text[i] == form[i];
        if (!fits) {
            fail_msg("\"%s\" is no time of RFC 3339", text);
        }
    }
    const char *rest = text + sizeof form - 1;
    rest += *rest == '.' ? 1 + strspn(rest + 1, "0123456789") : 0;
    assert_true(strcmp(rest, "Z") == 0 || strcmp(rest, "+00:00") == 0);
}

static void delta_lists_new_changed_and_deleted_instances(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register(http, "old", "i1");
    call_register(http, "old", "i2");
    json_int_t version = call_version(http);
    register_with_status(http, "old", "i1", "down");
    unregister(http, "old", "i2");
    call_register(http, "fresh", "i1");
    json_int_t newest = call_version(http);
    for (int by_post = 0; by_post <= 1; by_post++) {
        struct http_response *response =
            by_post ? http_post(http, DELTA, "{'version':%" JSON_INTEGER_FORMAT "}", version)
                    : http_get(http, DELTA "?version=%" JSON_INTEGER_FORMAT, version);
        check_status(response, 200, "success", NULL);
        assert_int_equal(check_integer(response, "version"), newest);
        check_count(response, "delta", 2);
        check_count(response, "delta.old", 2);
        check_json(response, "delta.old[0].change_type", "'change'");
        check_json(response, "delta.old[0].instance.instance_id", "'i1'");
        check_json(response, "delta.old[0].instance.status", "'down'");
        check_json(response, "delta.old[1].change_type", "'delete'");
        check_json(response, "delta.old[1].instance.instance_id", "'i2'");
        check_count(response, "delta.fresh", 1);
        check_json(response, "delta.fresh[0].change_type", "'new'");
        check_json(response, "delta.fresh[0].instance.url", "'http://10.0.0.1:8080'");
        check_time(check_text(response, "delta.fresh[0].change_time"));
    }
}

static void delta_since_an_unknown_version_is_gone(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register(http, "shop", "i1");
    json_int_t versions[] = {0, 1, call_version(http) + 1000000};
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        struct http_response *response =
            http_post(http, DELTA, "{'version':%" JSON_INTEGER_FORMAT "}", versions[i]);
        check_status(response, 200, "bad-request", "version-gone");
        check_absent(response, "delta");
    }
}

/* --- lookup ----------------------------------------------------------------------------------- */

static void lookup_of_a_list_responds_in_order(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register(http, "a", "i1");
    call_register(http, "b", "i1");
    register_with_status(http, "b", "i2", "down");
    struct http_response *response =
        http_post(http, LOOKUP,
                  "{'discovery_configs':[{'service_id':'B'},{'service_id':'nowhere'},"
                  "{'service_id':'a','region_id':'x'},{'service_id':'b','status':'all'}]}");
    check_status(response, 200, "success", NULL);
    check_count(response, "services", 4);
    check_json(response, "services[0].service_id", "'b'");
    check_count(response, "services[0].instances", 1);
    check_json(response, "services[1].service_id", "'nowhere'");
    check_count(response, "services[1]", 2);
    check_count(response, "services[1].instances", 0);
    check_json(response, "services[2].service_id", "'a'");
    check_count(response, "services[2].instances", 1);
    check_count(response, "services[3].instances", 2);
}

static void lookup_round_robin_returns_each_instance_in_turn(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    int visits[3] = {0};
    call_register_many(http, "ring", 3);
    register_with_status(http, "ring", "i9", "down");
    for (int i = 0; i < 9; i++) {
        struct http_response *response = http_post(
            http, LOOKUP, "{'discovery_config':{'service_id':'ring'},'strategy':'round-robin'}");
        check_http(response, 200);
        check_json(response, "success", "true");
        check_json(response, "instance.service_id", "'ring'");
        visits[(check_text(response, "instance.instance_id")[1] - '0') % 3]++;
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(visits[i], 3);
    }
}

static void lookup_random_returns_an_instance_that_is_up(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    static const char *const strategies[] = {",'strategy':'random'", ""};
    call_register(http, "one", "i1");
    register_with_status(http, "one", "i2", "down");
    for (int i = 0; i < 20; i++) {
        struct http_response *response = http_post(
            http, LOOKUP, "{'discovery_config':{'service_id':'ONE'}%s}", strategies[i % 2]);
        check_http(response, 200);
        check_json(response, "success", "true");
        check_json(response, "instance.instance_id", "'i1'");
        check_absent(response, "message");
    }
}

static void lookup_without_a_match_is_404(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    register_with_status(http, "asleep", "i1", "down");
    static const char *const names[] = {"nowhere", "asleep"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct http_response *response =
            http_post(http, LOOKUP, "{'discovery_config':{'service_id':'%s'}}", names[i]);
        check_http(response, 404);
        check_json(response, "success", "false");
        check_contains(response, "message", names[i]);
        check_absent(response, "instance");
    }
}

static void lookup_with_unknown_strategy_is_refused(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register(http, "one", "i1");
    struct http_response *response =
        http_post(http, LOOKUP, "{'discovery_config':{'service_id':'one'},'strategy':'nearest'}");
    check_status(response, 400, "bad-request", "invalid-field");
    check_contains(response, "response_status.error_message", "strategy");
    check_contains(response, "response_status.error_message", "nearest");
}

/* By query: without a strategy the list of the one service, with one the instance. */
static void lookup_by_get_without_a_strategy_is_a_list(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register(http, "a", "i1");
    register_with_status(http, "a", "i2", "down");
    struct http_response *response = http_get(http, LOOKUP "?service_id=A&region_id=x&strategy=");
    check_status(response, 200, "success", NULL);
    check_count(response, "", 2);
    check_count(response, "services", 1);
    check_json(response, "services[0].service_id", "'a'");
    check_count(response, "services[0].instances", 1);
    response = http_get(http, LOOKUP "?service_id=a&status=all");
    check_count(response, "services[0].instances", 2);
    response = http_get(http, LOOKUP "?service_id=nowhere");
    check_status(response, 200, "success", NULL);
    check_json(response, "services", "[{'service_id':'nowhere','instances':[]}]");
    response = http_get(http, LOOKUP "?serviceId=a");
    check_json(response, "responseStatus.errorCode", "'success'");
    check_json(response, "services[0].instances[0].instanceId", "'i1'");
}

static void lookup_by_get_with_a_strategy_is_one_instance(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    int visits[2] = {0};
    call_register_many(http, "ring", 2);
    register_with_status(http, "asleep", "i9", "down");
    for (int i = 0; i < 4; i++) {
        struct http_response *response =
            http_get(http, LOOKUP "?service_id=ring&strategy=round-robin");
        check_http(response, 200);
        check_json(response, "success", "true");
        visits[(check_text(response, "instance.instance_id")[1] - '0') % 2]++;
    }
    assert_int_equal(visits[0], 2);
    struct http_response *response = http_get(http, LOOKUP "?serviceId=ring&strategy=random");
    check_json(response, "instance.serviceId", "'ring'");
    response = http_get(http, LOOKUP "?service_id=asleep&strategy=random");
    check_http(response, 404);
    check_json(response, "success", "false");
    check_contains(response, "message", "asleep");
    response = http_get(http, LOOKUP "?service_id=asleep&strategy=random&status=all");
    check_json(response, "instance.instance_id", "'i9'");
    response = http_get(http, "/artemis" LOOKUP ".json?serviceId=nowhere&strategy=random");
    check_http(response, 200);
    check_json(response, "success", "false");
}

static void lookup_by_get_with_a_wrong_query_is_refused(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    static const struct {
        const char *query, *problem;
    } rows[] = {
        {"", "service_id: is required"},
        {"?service_id=", "service_id: "},
        {"?service_id=a&strategy=nearest",
         "strategy: must be random, round-robin, weighted or consistent-hash, is "},
        {"?service_id=a&status=gone", "status: must be all, or some of up, "},
        {"?service_id=a&serviceId=b", "service_id: is given twice"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct http_response *response = http_get(http, LOOKUP "%s", rows[i].query);
        bool camel = strstr(rows[i].query, "serviceId") != NULL;
        check_status(response, 400, "bad-request", "invalid-field");
        check_contains(response,
                       camel ? "responseStatus.errorMessage" : "response_status.error_message",
                       rows[i].problem);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, fixture_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(service_is_found_by_get_and_by_post),
        TEST(service_unknown_is_a_bad_request_without_service),
        TEST(service_lists_only_instances_that_are_up),
        TEST(service_without_an_up_instance_has_an_empty_list),
        TEST(service_without_instances_stays_known),
        TEST(service_version_grows_only_with_changes_of_the_service),
        TEST(services_lists_instances_of_every_status),
        TEST(services_of_an_empty_registry_is_an_empty_list),
        TEST(delta_since_the_newest_version_is_empty),
        TEST(delta_lists_new_changed_and_deleted_instances),
        TEST(delta_since_an_unknown_version_is_gone),
        TEST(lookup_of_a_list_responds_in_order),
        TEST(lookup_round_robin_returns_each_instance_in_turn),
        TEST(lookup_random_returns_an_instance_that_is_up),
        TEST(lookup_without_a_match_is_404),
        TEST(lookup_with_unknown_strategy_is_refused),
        TEST(lookup_by_get_without_a_strategy_is_a_list),
        TEST(lookup_by_get_with_a_strategy_is_one_instance),
        TEST(lookup_by_get_with_a_wrong_query_is_refused),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
