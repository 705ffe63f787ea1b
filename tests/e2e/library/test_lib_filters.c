/* SPDX-License-Identifier: Apache-2.0
 *
 * Filters of the client library with a real server: a filtered service and a filtered watch see
 * only what matches, also after pushes.
 */
#include "libartemis/artemis.h"

#include "tests/support/client/calls.h"
#include "tests/support/client/watch_log.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <string.h>

enum { TIMEOUT_MS = 20000 };

static struct artemis_client *client;
static struct http *http; /* of the fixture */
static struct watch_log changes;

static int start(void **state)
{
    if (fixture_start(state, NULL))
        return -1;
    const struct fixture *fixture = *state;
    const struct artemis_options options = {.servers = fixture->server.url};
    http = fixture->http;
    assert_int_equal(artemis_open(&options, &client, NULL), ARTEMIS_OK);
    watch_log_init(&changes);
    return 0;
}

static int stop(void **state)
{
    assert_int_equal(artemis_close(client, 0, NULL), ARTEMIS_OK);
    watch_log_free(&changes);
    return fixture_stop(state);
}

static void put(const char *id, const char *zone, const char *status, const char *color)
{
    check_status(http_post(http, REGISTER,
                           "{'instances':[{'region_id':'eu','zone_id':'%s','service_id':'shop',"
                           "'instance_id':'%s','ip':'10.0.0.1','port':80,'status':'%s',"
                           "'metadata':{'color':'%s'}}]}",
                           zone, id, status, color),
                 200, "success", NULL);
}

static const struct artemis_service *discover_filtered(const struct artemis_filter *filter)
{
    const struct artemis_service *service = NULL;
    struct artemis_problem problem = {.text = ""};
    if (artemis_discover_filtered(client, "shop", filter, TIMEOUT_MS, &service, &problem))
        fail_msg("%s", problem.text);
    return service;
}

/* The ids of what a filter selects, in their order. */
static bool selects(const struct artemis_filter *filter, const char *expected)
{
    char ids[256] = "";
    const struct artemis_service *service = discover_filtered(filter);
    for (size_t i = 0; i < service->instance_count; i++)
        snprintf(ids + strlen(ids), sizeof ids - strlen(ids), "%s ",
                 service->instances[i]->instance_id);
    artemis_service_free(service);
    return strcmp(ids, expected) == 0;
}

static bool selects_last(void *context)
{
    return selects(context, "s-5 ");
}

static void filtered_service_has_what_matches_also_after_pushes(void **state)
{
    (void)state;
    const struct artemis_metadata red = {"color", "red"};
    const struct artemis_filter in_a = {.zone_id = "a"};
    const struct artemis_filter in_red = {.metadata = &red, .metadata_count = 1};
    const struct artemis_filter down = {.status = "down,starting"};
    put("s-1", "a", "up", "red");
    put("s-2", "b", "up", "red");
    put("s-3", "a", "down", "blue");
    assert_true(selects(&in_a, "s-1 "));
    assert_true(selects(&in_red, "s-1 s-2 "));
    assert_true(selects(&down, "s-3 "));
    put("s-1", "a", "starting", "red");
    put("s-4", "a", "up", "blue");
    put("s-2", "b", "up", "blue");
    put("s-5", "c", "up", "red");
    assert_true(wait_until(selects_last, (void *)(uintptr_t)&in_red, wait_deadline_ms()));
    assert_true(selects(&in_a, "s-4 "));
    assert_true(selects(&down, "s-1 s-3 "));
}

static void near_instances_come_first_and_are_picked(void **state)
{
    (void)state;
    const struct artemis_filter near_b = {.near_region_id = "eu", .near_zone_id = "b"};
    const struct artemis_filter near_us = {.near_region_id = "us", .near_zone_id = "b"};
    put("s-1", "a", "up", "red");
    put("s-2", "b", "up", "red");
    put("s-3", "b", "up", "red");
    call_register(http, "shop", "far");
    assert_true(selects(&near_b, "s-2 s-3 s-1 far "));
    const struct artemis_service *service = discover_filtered(&near_b);
    assert_int_equal(service->near.zone, 2);
    assert_int_equal(service->near.region, 1);
    assert_int_equal(service->near.beyond, 1);
    const char *expected[] = {"s-2", "s-3"};
    for (int i = 0; i < 6; i++) /* round robin continues in the next call */ {
        artemis_service_free(service);
        service = discover_filtered(&near_b);
        assert_string_equal(artemis_pick(service, ARTEMIS_ROUND_ROBIN)->instance_id,
                            expected[i % 2]);
        assert_int_equal(artemis_pick(service, ARTEMIS_RANDOM)->zone_id[0], 'b');
    }
    artemis_service_free(service);
    service = discover_filtered(&near_us);
    assert_int_equal(service->near.beyond, 4);
    assert_int_equal(service->near.zone + service->near.region, 0);
    assert_non_null(artemis_pick(service, ARTEMIS_RANDOM));
    artemis_service_free(service);
}

static void filtered_watch_reports_what_begins_and_ends_to_match(void **state)
{
    (void)state;
    char zone[] = "a";
    const struct artemis_filter filter = {.zone_id = zone, .status = "up"};
    struct artemis_watch *up = NULL;
    put("s-1", "a", "up", "red");
    put("s-2", "b", "up", "red");
    put("s-3", "a", "down", "red");
    assert_int_equal(artemis_watch_filtered(client, "shop", &filter, ARTEMIS_WATCH_CURRENT,
                                            watch_log_on_change, &changes, TIMEOUT_MS, &up, NULL),
                     ARTEMIS_OK);
    zone[0] = 'b'; /* the watch has a copy */
    watch_log_wait(&changes, "+s-1 ");
    put("s-3", "a", "up", "red");    /* begins to match */
    put("s-2", "b", "down", "red");  /* never matches */
    put("s-1", "a", "up", "blue");   /* matches before and after */
    put("s-3", "a", "down", "blue"); /* ends to match */
    put("s-3", "a", "down", "red");
    put("s-4", "a", "up", "red");
    watch_log_wait(&changes, "+s-1 +s-3 ~s-1 -s-3 +s-4 ");
    artemis_unwatch(up);
}

static void invalid_filters_are_named(void **state)
{
    (void)state;
    struct artemis_problem problem;
    const struct artemis_service *service = NULL;
    struct artemis_watch *none = NULL;
    const struct artemis_metadata twice[] = {{"a", "1"}, {"a", "2"}};
    const struct {
        struct artemis_filter filter;
        const char *problem;
    } rows[] = {
        {{.status = "gone"}, "filter.status: must be all, or some of "},
        {{.near_zone_id = "a"}, "filter.near_zone_id: near_region_id and near_zone_id belong"},
        {{.metadata = twice, .metadata_count = 2}, "filter.metadata: must be given once"},
        {{.reserved = {twice}}, "filter.reserved: must be zero; initialize the filter with {0}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(artemis_discover_filtered(client, "shop", &rows[i].filter, TIMEOUT_MS,
                                                   &service, &problem),
                         ARTEMIS_INVALID);
        assert_int_equal(strncmp(problem.text, rows[i].problem, strlen(rows[i].problem)), 0);
        assert_int_equal(artemis_watch_filtered(client, "shop", &rows[i].filter, 0,
                                                watch_log_on_change, &changes, TIMEOUT_MS, &none,
                                                &problem),
                         ARTEMIS_INVALID);
    }
    assert_int_equal(
        artemis_discover_filtered(client, "shop", NULL, TIMEOUT_MS, &service, &problem),
        ARTEMIS_INVALID);
    assert_string_equal(problem.text, "filter: is required");
    assert_null(service);
    assert_null(none);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(filtered_service_has_what_matches_also_after_pushes),
        TEST(near_instances_come_first_and_are_picked),
        TEST(filtered_watch_reports_what_begins_and_ends_to_match),
        TEST(invalid_filters_are_named),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
