/* SPDX-License-Identifier: Apache-2.0
 *
 * Filters of discovery (CONTRACT 3): region, zone, near, meta.KEY, status; and the parameters that
 * each path accepts.
 */
#include "tests/support/client/calls.h"
#include "tests/support/client/raw_socket.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <string.h>

#define SERVICE  "/api/discovery/service"
#define SERVICES "/api/discovery/services"
#define DELTA    "/api/discovery/services-delta"
#define LOOKUP   "/api/discovery/lookup"
#define ITEM                                                                                       \
    "{'region_id':'%s','zone_id':'%s','service_id':'shop','instance_id':'%s','ip':'10.0.0.1',"     \
    "'port':80,'status':'%s','metadata':{'version':'%s','stage':'%s'}}"

static void put(struct http *http, const char *place[6])
{
    check_status(http_post(http, REGISTER, "{'instances':[" ITEM "]}", place[0], place[1], place[2],
                           place[3], place[4], place[5]),
                 200, "success", NULL);
}

static int start(void **state)
{
    static const char *instances[][6] = {
        {"eu", "a", "eu-a", "up", "3", "test"},       {"eu", "b", "eu-b", "up", "3", "live"},
        {"us", "a", "us-a", "up", "2", "live"},       {"us", "b", "us-b", "down", "3", "live"},
        {"us", "c", "us-c", "starting", "2", "live"},
    };
    if (fixture_start(state, (const char *const[]){"--set", "lease.ttl_secs=3600", NULL}))
        return -1;
    struct http *http = ((struct fixture *)*state)->http;
    for (size_t i = 0; i < sizeof instances / sizeof *instances; i++)
        put(http, instances[i]);
    call_register(http, "bank", "bank-1");
    return 0;
}

/* The ids of the instances in an array, with commas between, in their order. */
static void check_ids(const json_t *instances, const char *expected)
{
    char ids[256] = "";
    const json_t *instance;
    size_t i;
    json_array_foreach(instances, i, instance)
    {
        const char *id = json_string_value(json_object_get(instance, "instance_id"));
        snprintf(ids + strlen(ids), sizeof ids - strlen(ids), "%s%s", i ? "," : "", id ? id : "?");
    }
    assert_string_equal(ids, expected);
}

/* Some of the instances, in any order. */
static void check_set(const struct http_response *response, const char *path, const char *expected)
{
    const json_t *instances = check_find(response->json, path);
    char rest[256];
    const char *id;
    size_t count = 0;
    snprintf(rest, sizeof rest, "%s", expected);
    char *at = rest;
    while ((id = strsep(&at, ",")) && *id) {
        const json_t *instance;
        size_t i;
        bool found = false;
        json_array_foreach(instances, i, instance) found |=
            strcmp(json_string_value(json_object_get(instance, "instance_id")), id) == 0;
        if (!found)
            fail_msg("%s is missing in %s", id, response->body);
        count++;
    }
    if (json_array_size(instances) != count)
        fail_msg("expected %s in %s", expected, response->body);
}

/* --- what matches ----------------------------------------------------------------------------- */

static const struct {
    const char *query, *up, *all; /* of `shop`: by default, and with every status */
} rows[] = {
    {"zone=a", "eu-a,us-a", "eu-a,us-a"},
    {"region=us", "us-a", "us-a,us-b,us-c"},
    {"region=us&zone=b", "", "us-b"},
    {"meta.version=3", "eu-a,eu-b", "eu-a,eu-b,us-b"},
    {"meta.version=3&meta.stage=live", "eu-b", "eu-b,us-b"},
    {"meta.stage=live&zone=a&meta.version=2", "us-a", "us-a"},
    {"meta.owner=", "", ""},
    {"zone=nowhere", "", ""},
    {"status=up", "eu-a,eu-b,us-a", "eu-a,eu-b,us-a"},
    {"status=down,starting", "us-b,us-c", "us-b,us-c"},
    {"status=starting&region=us", "us-c", "us-c"},
    {"status=all", "eu-a,eu-b,us-a,us-b,us-c", "eu-a,eu-b,us-a,us-b,us-c"},
};

static void service_has_what_matches(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    for (int again = 0; again < 2; again++) /* the second time from the cache */
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            struct http_response *response =
                http_get(http, SERVICE "?service_id=shop&%s", rows[i].query);
            check_status(response, 200, "success", NULL);
            check_set(response, "service.instances", rows[i].up);
            check_absent(response, "service.near");
        }
}

static void filters_apply_to_post_services_and_lookup(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char path[128];
        snprintf(path, sizeof path, SERVICE "?%s", rows[i].query);
        check_set(http_post(http, path, "{'discovery_config':{'service_id':'shop'}}"),
                  "service.instances", rows[i].up);
        struct http_response *response = http_get(http, SERVICES "?%s", rows[i].query);
        check_status(response, 200, "success", NULL);
        bool is_bank = strcmp(check_text(response, "services[0].service_id"), "bank") == 0;
        check_set(response, is_bank ? "services[1].instances" : "services[0].instances",
                  rows[i].all);
        check_set(http_get(http, LOOKUP "?service_id=shop&%s", rows[i].query),
                  "services[0].instances", rows[i].up);
        snprintf(path, sizeof path, LOOKUP "?%s", rows[i].query);
        response = http_post(http, path,
                             "{'discovery_configs':[{'service_id':'bank','status':'down'},"
                             "{'service_id':'shop'},{'service_id':'none'}]}");
        check_count(response, "services", 3);
        check_count(response, "services[0].instances", 0); /* its own status counts */
        check_set(response, "services[1].instances", rows[i].up);
        response = http_get(http, LOOKUP "?service_id=shop&strategy=round-robin&%s", rows[i].query);
        check_http(response, *rows[i].up ? 200 : 404);
        check_json(response, "success", *rows[i].up ? "true" : "false");
    }
}

static void discovery_config_filters_nothing_by_its_place(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    check_set(http_get(http, SERVICE "?service_id=shop&region_id=eu&zone_id=a"),
              "service.instances", "eu-a,eu-b,us-a");
    check_set(
        http_post(http, SERVICE,
                  "{'discovery_config':{'service_id':'shop','region_id':'eu','zone_id':'a'}}"),
        "service.instances", "eu-a,eu-b,us-a");
}

static void java_clients_get_every_status_unless_they_choose(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    struct http_response *response =
        http_get(http, "/artemis" SERVICE ".json?serviceId=shop&regionId=eu&zone=b&region=us");
    check_count(response, "service.instances", 1);
    check_json(response, "service.instances[0].instanceId", "'us-b'");
    response = http_get(http, "/artemis" SERVICE ".json?serviceId=shop&region=us&status=up");
    check_count(response, "service.instances", 1);
    check_json(response, "service.instances[0].instanceId", "'us-a'");
}

/* --- near ------------------------------------------------------------------------------------- */

static void near_orders_by_distance_and_counts(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    struct http_response *response =
        http_get(http, SERVICE "?service_id=shop&status=all&near=us%%2Fc&zone=a");
    check_ids(check_find(response->json, "service.instances"), "us-a,eu-a");
    check_json(response, "service.near", "{'zone':0,'region':1,'beyond':1}");
    response = http_get(http, SERVICE "?service_id=shop&near=eu/a");
    check_ids(check_find(response->json, "service.instances"), "eu-a,eu-b,us-a");
    check_json(response, "service.near", "{'zone':1,'region':1,'beyond':1}");
    response = http_get(http, SERVICES "?near=eu/b&zone=b&status=up");
    check_json(response, "services[0].near", "{'zone':1,'region':0,'beyond':0}");
    response = http_get(http, LOOKUP "?service_id=shop&near=ap/x&region=us");
    check_json(response, "services[0].near", "{'zone':0,'region':0,'beyond':1}");
    for (int i = 0; i < 8; i++) {
        response = http_get(http, LOOKUP "?service_id=shop&near=eu/a&meta.stage=live&strategy=%s",
                            i % 2 ? "random" : "round-robin");
        check_json(response, "instance.instance_id", "'eu-b'");
        check_json(response, "near", "{'zone':0,'region':1,'beyond':1}");
    }
}

/* --- parameters ------------------------------------------------------------------------------- */

static void unknown_parameter_is_refused_by_its_name(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    static const struct {
        const char *path, *problem;
    } refused[] = {
        {SERVICE "?service_id=shop&zon=a", "no parameter \"zon\"; it has service_id, zone, near, "},
        {SERVICE "?zon=a", "no parameter \"zon\""},
        {SERVICE "?service_id=shop&metaversion=3", "no parameter \"metaversion\""},
        {SERVICE "?service_id=shop&strategy=random", "no parameter \"strategy\""},
        {SERVICES "?service_id=shop", "no parameter \"service_id\""},
        {DELTA "?version=1&zone=a",
         "no parameter \"zone\"; it has version, run, region_id, zone_id"},
        {LOOKUP "?service_id=shop&wait=1s", "no parameter \"wait\""},
        {SERVICE "?service_id=shop&zone=", "zone: must be 1 to 255 bytes"},
        {SERVICE "?service_id=shop&near=eu", "near: must be REGION/ZONE"},
        {SERVICE "?service_id=shop&meta.=1", "meta.KEY: must name an entry"},
        {SERVICE "?service_id=shop&meta.a=1&meta.a=2", "meta.KEY: must be given once, is \"a\""},
        {SERVICE "?service_id=shop&zone=a&zone=b", "zone: is given twice"},
        {SERVICE "?service_id=shop&zone=%ff", "zone: must be valid UTF-8"},
        {SERVICE "?service_id=shop&meta.%ff=1", "no parameter "},
        {SERVICE "?service_id=shop&status=up,gone", "status: must be all, or some of up, "},
        {SERVICE "?service_id=shop&meta.1=&meta.2=&meta.3=&meta.4=&meta.5=&meta.6=&meta.7=&meta.8=&"
                 "meta.9=",
         "meta.KEY: may be given at most 8 times"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct http_response *response = http_get(http, "%s", refused[i].path);
        check_status(response, 400, "bad-request", "invalid-field");
        check_contains(response, "response_status.error_message", refused[i].problem);
    }
    struct http_response *response = http_post(http, SERVICE "?service_id=shop&zone=a",
                                               "{'discovery_config':{'service_id':'shop'}}");
    check_status(response, 400, "bad-request", "invalid-field");
    check_contains(response, "response_status.error_message", "no parameter \"service_id\"");
}

/* What clients of the other implementations and of earlier releases send. */
static void known_clients_are_accepted(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    static const char *const paths[] = {
        SERVICE ".json?serviceId=shop&regionId=default&zoneId=default",
        SERVICE "?service_id=shop&region_id=lab&zone_id=zone1",
        SERVICE "?service_id=shop&status=all&delta=1",
        SERVICE "?service_id=shop&status=all&delta=1&version=1&run=x",
        SERVICE "?service_id=shop&version=0&wait=0s",
        SERVICE "?SERVICEID=shop",
        SERVICE "?service_id=shop&",
        SERVICE "?&service_id=shop",
        SERVICES,
        SERVICES ".json?regionId=lab&zoneId=zone1",
        SERVICES "?version=0&wait=1s&run=x&delta=1",
        DELTA "?version=1&regionId=lab&zoneId=z",
        LOOKUP "?strategy=random&service_id=shop",
        "/artemis" SERVICE ".json?serviceId=shop&regionId=lab&zoneId=zone1",
        "/artemis" SERVICES ".json?regionId=lab&zoneId=zone1",
    };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        check_http(http_get(http, "%s", paths[i]), 200);
}

/* --- versions --------------------------------------------------------------------------------- */

static void filtered_response_has_an_etag(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    char etag[128];
    struct http_response *response = http_get(http, SERVICE "?service_id=shop&zone=a");
    snprintf(etag, sizeof etag, "If-None-Match: %s", http_field(response, "ETag"));
    const struct http_request request = {
        .method = "GET",
        .path = SERVICE "?service_id=shop&zone=a",
        .fields = (const char *const[]){etag, NULL},
    };
    check_http(http_send(http, &request), 304);
    put(http, (const char *[]){"eu", "a", "eu-a", "up", "4", "test"});
    check_http(http_send(http, &request), 200);
}

static void delta_has_what_enters_and_leaves(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    char run[64];
    struct http_response *response =
        http_get(http, SERVICE "?service_id=shop&meta.stage=live&delta=1");
    check_set(response, "service.instances", "eu-b,us-a");
    json_int_t version = check_integer(response, "version");
    snprintf(run, sizeof run, "%s", http_field(response, "X-Artemis-Run"));
    put(http, (const char *[]){"eu", "a", "eu-a", "up", "3", "live"});
    put(http, (const char *[]){"eu", "b", "eu-b", "up", "3", "test"});
    response =
        http_get(http, SERVICE "?service_id=shop&meta.stage=live&delta=1&run=%s&version=%lld", run,
                 (long long)version);
    check_count(response, "changes", 2);
    check_json(response, "changes[0].change_type", "'change'");
    check_json(response, "changes[0].instance.instance_id", "'eu-a'");
    check_json(response, "changes[1].change_type", "'delete'");
    check_json(response, "changes[1].instance.instance_id", "'eu-b'");
    response = http_get(http, SERVICE "?service_id=shop&zone=c&delta=1&run=%s&version=%lld", run,
                        (long long)version);
    check_count(response, "changes", 0);
    response = http_get(http, SERVICE "?service_id=shop&near=eu/a&delta=1&run=%s&version=%lld", run,
                        (long long)version);
    check_count(response, "service.instances", 3); /* changes have no order */
}

static void long_poll_with_a_filter_ends_with_the_filtered_list(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket raw;
    json_int_t version =
        check_integer(http_get(fixture->http, SERVICE "?service_id=shop&zone=b"), "version");
    raw_socket_open(&raw, fixture->server.port);
    raw_socket_sendf(&raw,
                     "GET " SERVICE "?service_id=shop&zone=b&version=%lld&wait=60s HTTP/1.1\r\n"
                     "Host: a\r\n\r\n",
                     (long long)version);
    call_wait_metric(fixture->http, "artemis_waiting_requests", 1);
    put(fixture->http, (const char *[]){"us", "b", "us-b", "up", "3", "live"});
    assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
    check_set(&raw.response, "service.instances", "eu-b,us-b");
    raw_socket_close(&raw);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, fixture_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(service_has_what_matches),
        TEST(filters_apply_to_post_services_and_lookup),
        TEST(discovery_config_filters_nothing_by_its_place),
        TEST(java_clients_get_every_status_unless_they_choose),
        TEST(near_orders_by_distance_and_counts),
        TEST(unknown_parameter_is_refused_by_its_name),
        TEST(known_clients_are_accepted),
        TEST(filtered_response_has_an_etag),
        TEST(delta_has_what_enters_and_leaves),
        TEST(long_poll_with_a_filter_ends_with_the_filtered_list),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
