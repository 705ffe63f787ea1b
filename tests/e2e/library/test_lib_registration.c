/* SPDX-License-Identifier: Apache-2.0
 *
 * The client library with real servers: instances are registered, stay registered across restarts
 * and with other servers, and are unregistered on request. No call exceeds its timeout.
 */
#include "libartemis/artemis.h"

#include "tests/support/client/calls.h"
#include "tests/support/servers/cluster.h"
#include "tests/support/wait.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TIMEOUT_MS = 20000 }; /* far more than any call needs */

static struct artemis_client *client;
static struct server_process server;
static struct http *http;

/* The lease is 2 s, so that a missing heartbeat is noticed soon. */
static int start(void **state)
{
    (void)state;
    server_process_start(&server, (const char *const[]){"--set", "lease.ttl_secs=2", NULL}, NULL);
    http = http_new(server.port);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    if (client)
        assert_int_equal(artemis_close(client, TIMEOUT_MS, NULL), ARTEMIS_OK);
    client = NULL;
    http_free(http);
    http = NULL;
    server_process_stop(&server);
    return 0;
}

static void open_client(const char *servers, struct artemis_options options)
{
    struct artemis_problem problem = {.text = ""};
    options.servers = servers;
    if (!options.heartbeat_ms)
        options.heartbeat_ms = 300;
    if (artemis_open(&options, &client, &problem))
        fail_msg("%s", problem.text);
}

static struct artemis_instance instance_of(const char *id)
{
    return (struct artemis_instance){
        .service_id = "shop", .instance_id = id, .ip = "10.0.0.1", .port = 80};
}

static void register_one(const char *id)
{
    struct artemis_problem problem = {.text = ""};
    struct artemis_instance instance = instance_of(id);
    if (artemis_register(client, &instance, TIMEOUT_MS, &problem))
        fail_msg("%s", problem.text);
}

struct seen {
    struct http *http;
    int count;
};

static bool shows_count(void *context)
{
    const struct seen *seen = context;
    return call_count(seen->http, "shop") == seen->count;
}

static void wait_count(int count)
{
    struct seen seen = {.http = http, .count = count};
    assert_true(wait_until(shows_count, &seen, wait_deadline_ms()));
}

/* A port without a server. */
static uint16_t free_port(int *fd, bool listens)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(*fd, (struct sockaddr *)&address, size), 0);
    if (listens)
        assert_int_equal(listen(*fd, 100), 0);
    assert_int_equal(getsockname(*fd, (struct sockaddr *)&address, &size), 0);
    return ntohs(address.sin_port);
}

/* --- one server ------------------------------------------------------------------------------- */

static void registered_with_all_fields(void **state)
{
    (void)state;
    const struct artemis_metadata metadata[] = {{"b", "2"}, {"a", "1"}};
    const struct artemis_instance instance = {
        .region_id = "eu",
        .zone_id = "z7",
        .service_id = "Shop",
        .group_id = "blue",
        .instance_id = "s-1",
        .ip = "10.0.0.1",
        .port = 80,
        .url = "https://shop",
        .status = "starting",
        .machine_name = "m",
        .protocol = "grpc",
        .health_check_url = "http://h",
        .metadata = metadata,
        .metadata_count = 2,
        .weight = 0,
        .has_weight = true,
    };
    open_client(server.url, (struct artemis_options){0});
    assert_int_equal(artemis_register(client, &instance, TIMEOUT_MS, NULL), ARTEMIS_OK);
    struct http_response *response =
        http_get(http, "/api/discovery/service?service_id=shop&status=all");
    assert_true(check_integer(response, "service.instances[0].revision") > 0); /* by the clock */
    json_object_del(check_find(response->json, "service.instances[0]"), "revision");
    check_json(response, "service.instances[0]",
               "{'region_id':'eu','zone_id':'z7','service_id':'shop','group_id':'blue',"
               "'instance_id':'s-1','ip':'10.0.0.1','port':80,'url':'https://shop',"
               "'status':'starting','machine_name':'m','protocol':'grpc',"
               "'health_check_url':'http://h','metadata':{'a':'1','b':'2'},'weight':0}");
    assert_int_equal(artemis_set_status(client, &instance, "down", TIMEOUT_MS, NULL), ARTEMIS_OK);
    response = http_get(http, "/api/discovery/service?service_id=shop&status=all");
    check_json(response, "service.instances[0].status", "'down'");
    check_json(response, "service.instances[0].weight", "0");
}

static void lease_is_renewed_until_unregister(void **state)
{
    (void)state;
    open_client(server.url, (struct artemis_options){.zone_id = "z9"});
    register_one("s-1");
    json_int_t version = call_version(http);
    int64_t start_ms = wait_now_ms();
    wait_for_time(start_ms + 5000); /* more than two leases */
    assert_int_equal(call_count(http, "shop"), 1);
    assert_true(call_version(http) == version); /* it was never evicted */
    struct artemis_instance key = instance_of("s-1");
    assert_int_equal(artemis_unregister(client, &key, TIMEOUT_MS, NULL), ARTEMIS_OK);
    assert_int_equal(call_count(http, "shop"), 0);
    assert_int_equal(artemis_unregister(client, &key, TIMEOUT_MS, NULL), ARTEMIS_UNKNOWN);
}

static void restarted_server_gets_the_instances_again(void **state)
{
    (void)state;
    uint16_t port = server.port;
    open_client(server.url, (struct artemis_options){0});
    register_one("s-1");
    register_one("s-2");
    http_free(http);
    server_process_kill(&server);
    server_process_start_at(&server, port, NULL, NULL);
    http = http_new(port);
    wait_count(2);
}

/* Counts per state, and whether the server lost the instance. */
struct event_log {
    atomic_int counts[4];
    atomic_int unknown;
    atomic_int complete; /* events whose fields are all there */
};

static void on_event(const struct artemis_registration_event *event, void *context)
{
    struct event_log *events = context;
    bool is_failure = event->state == ARTEMIS_RETRYING || event->state == ARTEMIS_REJECTED;
    events->unknown += strcmp(event->reason, "instance-not-found") == 0;
    events->complete += strcmp(event->instance->instance_id, "s-1") == 0 &&
                        strncmp(event->server, "http://127.0.0.1:", 17) == 0 &&
                        (*event->message != '\0') == is_failure;
    events->counts[event->state]++;
}

struct expected_event {
    struct event_log *events;
    enum artemis_registration_state state;
    int count;
};

static bool has_events(void *context)
{
    const struct expected_event *expected = context;
    return expected->events->counts[expected->state] == expected->count;
}

static void wait_events(struct event_log *events, enum artemis_registration_state state, int count)
{
    struct expected_event expected = {events, state, count};
    assert_true(wait_until(has_events, &expected, wait_deadline_ms()));
}

static void events_report_what_happens_to_a_registration(void **state)
{
    (void)state;
    struct event_log events = {0};
    uint16_t port = server.port;
    open_client(server.url, (struct artemis_options){.on_registration = on_event,
                                                     .registration_context = &events});
    register_one("s-1");
    wait_events(&events, ARTEMIS_RENEWED, 1);
    http_free(http);
    server_process_kill(&server);
    wait_events(&events, ARTEMIS_RETRYING, 1);
    assert_int_equal(events.counts[ARTEMIS_REGISTERED], 1);
    server_process_start_at(&server, port, NULL, NULL);
    http = http_new(port);
    wait_events(&events, ARTEMIS_REGISTERED, 2);
    wait_events(&events, ARTEMIS_RENEWED, 2);
    assert_int_equal(events.unknown, 1);
    assert_int_equal(events.counts[ARTEMIS_REJECTED], 0);
    assert_int_equal(events.complete, 5);
}

static void heartbeats_keep_an_instance_of_another_program(void **state)
{
    (void)state;
    struct event_log events = {0};
    struct artemis_problem problem;
    struct artemis_instance key = {
        .service_id = "shop", .instance_id = "s-1", .region_id = "lab", .zone_id = "zone1"};
    open_client(server.url, (struct artemis_options){.on_registration = on_event,
                                                     .registration_context = &events});
    assert_int_equal(artemis_heartbeat(client, &key, TIMEOUT_MS, &problem), ARTEMIS_REFUSED);
    wait_events(&events, ARTEMIS_REJECTED, 1);
    assert_int_equal(call_count(http, "shop"), -1);
    call_register(http, "shop", "s-1");
    assert_int_equal(artemis_heartbeat(client, &key, TIMEOUT_MS, NULL), ARTEMIS_OK);
    wait_for_time(wait_now_ms() + 3000); /* more than a lease */
    assert_int_equal(call_count(http, "shop"), 1);
    assert_int_equal(artemis_set_status(client, &key, "down", TIMEOUT_MS, NULL), ARTEMIS_UNKNOWN);
    check_json(http_get(http, "/api/discovery/service?service_id=shop"), "service.instances[0].ip",
               "'10.0.0.1'");
    assert_int_equal(artemis_unregister(client, &key, TIMEOUT_MS, NULL), ARTEMIS_OK);
    assert_int_equal(call_count(http, "shop"), 0);
    wait_events(&events, ARTEMIS_RENEWED, 1);
}

static void status_and_content_change(void **state)
{
    (void)state;
    struct artemis_instance instance = instance_of("s-1");
    open_client(server.url, (struct artemis_options){0});
    assert_int_equal(artemis_set_status(client, &instance, "down", TIMEOUT_MS, NULL),
                     ARTEMIS_UNKNOWN);
    register_one("s-1");
    assert_int_equal(artemis_set_status(client, &instance, "down", TIMEOUT_MS, NULL), ARTEMIS_OK);
    assert_int_equal(call_count(http, "shop"), 0);
    assert_int_equal(artemis_set_status(client, &instance, "up", TIMEOUT_MS, NULL), ARTEMIS_OK);
    instance.port = 81;
    assert_int_equal(artemis_register(client, &instance, TIMEOUT_MS, NULL), ARTEMIS_OK);
    check_json(http_get(http, "/api/discovery/service?service_id=shop"),
               "service.instances[0].port", "81");
}

static void close_unregisters_unless_stay_registered(void **state)
{
    (void)state;
    open_client(server.url, (struct artemis_options){0});
    register_one("s-1");
    assert_int_equal(artemis_close(client, TIMEOUT_MS, NULL), ARTEMIS_OK);
    assert_int_equal(call_count(http, "shop"), 0);
    open_client(server.url, (struct artemis_options){.stay_registered = true});
    register_one("s-1");
    assert_int_equal(artemis_close(client, TIMEOUT_MS, NULL), ARTEMIS_OK);
    client = NULL;
    assert_int_equal(call_count(http, "shop"), 1);
}

static void invalid_arguments_are_refused_by_name(void **state)
{
    (void)state;
    struct artemis_problem problem;
    open_client(server.url, (struct artemis_options){0});
    struct artemis_instance wrong = {.service_id = "shop", .ip = "10.0.0.1"};
    assert_int_equal(artemis_register(client, &wrong, TIMEOUT_MS, &problem), ARTEMIS_INVALID);
    assert_string_equal(problem.text, "instance.instance_id: is required");
    wrong = (struct artemis_instance){.service_id = "shop", .instance_id = "s-1"};
    assert_int_equal(artemis_register(client, &wrong, TIMEOUT_MS, &problem), ARTEMIS_INVALID);
    assert_non_null(strstr(problem.text, "instance.url"));
    wrong = instance_of("\xff");
    assert_int_equal(artemis_register(client, &wrong, TIMEOUT_MS, &problem), ARTEMIS_INVALID);
    assert_string_equal(problem.text, "instance.instance_id: must be UTF-8");
    wrong = instance_of("s-1");
    assert_int_equal(artemis_register(client, &wrong, -1, &problem), ARTEMIS_INVALID);
    assert_non_null(strstr(problem.text, "timeout_ms"));
    assert_int_equal(artemis_register(client, NULL, 0, &problem), ARTEMIS_INVALID);
    assert_int_equal(artemis_register(NULL, &wrong, 0, &problem), ARTEMIS_INVALID);
    assert_int_equal(artemis_open(NULL, &client, &problem), ARTEMIS_INVALID);
    assert_int_equal(call_count(http, "shop"), -1);
}

static void many_instances_stay_registered(void **state)
{
    (void)state;
    enum { COUNT = 1500 }; /* more than fit one request */
    char id[16];
    open_client(server.url, (struct artemis_options){0});
    for (int i = 0; i < COUNT; i++) {
        snprintf(id, sizeof id, "s-%d", i);
        struct artemis_instance instance = instance_of(id);
        assert_int_equal(artemis_register(client, &instance, 0, NULL), ARTEMIS_OK);
    }
    wait_count(COUNT);
    wait_for_time(wait_now_ms() + 3000);
    assert_int_equal(call_count(http, "shop"), COUNT);
}

/* --- several servers -------------------------------------------------------------------------- */

static struct cluster nodes;

static int stop_nodes(void **state)
{
    (void)state;
    if (client)
        (void)artemis_close(client, 1000, NULL);
    client = NULL;
    cluster_stop(&nodes);
    return 0;
}

static void next_server_takes_over_and_the_lease_is_renewed(void **state)
{
    (void)state;
    char servers[128];
    cluster_start(&nodes, 2, (const char *const[]){"lease.ttl_secs=3", NULL});
    snprintf(servers, sizeof servers, "%s,%s", nodes.nodes[0].url, nodes.nodes[1].url);
    open_client(servers, (struct artemis_options){0});
    register_one("s-1");
    cluster_wait_count(&nodes, "shop", 1);
    json_int_t version = call_version(nodes.http[1]);
    cluster_kill_node(&nodes, 0);
    wait_for_time(wait_now_ms() + 5000);
    assert_int_equal(call_count(nodes.http[1], "shop"), 1);
    assert_true(call_version(nodes.http[1]) == version); /* it was never evicted */
}

/* --- unreachable servers ---------------------------------------------------------------------- */

static void check_in_time(int64_t start_ms, int timeout_ms)
{
    int64_t took_ms = wait_now_ms() - start_ms;
    assert_true(took_ms >= timeout_ms);
    assert_true(took_ms < timeout_ms + wait_timeout_ms());
}

static void never(const struct artemis_change *change, void *context)
{
    (void)change;
    (void)context;
    abort();
}

static void check_timeouts(const char *servers, const char *why)
{
    struct artemis_problem problem = {.text = ""};
    struct artemis_instance instance = instance_of("s-1");
    const struct artemis_service *service = NULL;
    struct artemis_watch *watch = NULL;
    open_client(servers, (struct artemis_options){.attempt_timeout_ms = 100});
    int64_t start_ms = wait_now_ms();
    assert_int_equal(artemis_register(client, &instance, 400, &problem), ARTEMIS_TIMED_OUT);
    check_in_time(start_ms, 400);
    assert_non_null(strstr(problem.text, why));
    assert_non_null(strstr(problem.text, "not done in 400 ms"));
    start_ms = wait_now_ms();
    assert_int_equal(artemis_discover(client, "shop", 400, &service, &problem), ARTEMIS_TIMED_OUT);
    check_in_time(start_ms, 400);
    assert_non_null(strstr(problem.text, why));
    assert_int_equal(artemis_discover(client, "shop", 0, &service, NULL), ARTEMIS_TIMED_OUT);
    start_ms = wait_now_ms();
    assert_int_equal(artemis_watch(client, "shop", 0, never, NULL, 300, &watch, &problem),
                     ARTEMIS_TIMED_OUT);
    check_in_time(start_ms, 300);
    start_ms = wait_now_ms();
    assert_int_equal(artemis_unregister(client, &instance, 200, &problem), ARTEMIS_TIMED_OUT);
    check_in_time(start_ms, 200);
    start_ms = wait_now_ms();
    enum artemis_error error = artemis_close(client, 100, &problem);
    client = NULL;
    assert_true(error == ARTEMIS_OK || error == ARTEMIS_TIMED_OUT);
    check_in_time(start_ms, 0);
}

static void timeouts_hold_when_a_server_never_responds(void **state)
{
    (void)state;
    char url[64];
    int fd;
    snprintf(url, sizeof url, "http://127.0.0.1:%u", free_port(&fd, true));
    check_timeouts(url, url);
    close(fd);
}

static void timeouts_hold_when_no_server_listens(void **state)
{
    (void)state;
    char url[64];
    int fd;
    snprintf(url, sizeof url, "http://127.0.0.1:%u", free_port(&fd, false));
    check_timeouts(url, url);
    close(fd);
}

static void server_that_starts_later_is_used(void **state)
{
    (void)state;
    char servers[128];
    int fds[2];
    uint16_t silent = free_port(&fds[0], true);
    uint16_t port = free_port(&fds[1], false);
    snprintf(servers, sizeof servers, "http://127.0.0.1:%u,http://127.0.0.1:%u", silent, port);
    open_client(servers, (struct artemis_options){.attempt_timeout_ms = 200});
    struct artemis_instance instance = instance_of("s-1");
    assert_int_equal(artemis_register(client, &instance, 300, NULL), ARTEMIS_TIMED_OUT);
    close(fds[1]);
    server_process_start_at(&server, port, NULL, NULL);
    http = http_new(port);
    wait_count(1); /* the client kept trying */
    close(fds[0]);
    assert_int_equal(artemis_close(client, TIMEOUT_MS, NULL), ARTEMIS_OK);
    client = NULL;
    assert_int_equal(call_count(http, "shop"), 0);
    http_free(http);
    http = NULL;
    server_process_stop(&server);
}

/* --- many threads ----------------------------------------------------------------------------- */

enum { THREADS = 8, ROUNDS = 25 };

static atomic_int failures; /* only the main thread can fail the test */

static void expect_done(enum artemis_error error)
{
    failures += error != ARTEMIS_OK;
}

static void *use_all_calls(void *context)
{
    const char *id = context;
    struct artemis_instance instance = instance_of(id);
    for (int round = 0; round < ROUNDS && !failures; round++) {
        const struct artemis_service *service = NULL;
        expect_done(artemis_register(client, &instance, TIMEOUT_MS, NULL));
        expect_done(artemis_discover(client, "shop", TIMEOUT_MS, &service, NULL));
        if (!service)
            break;
        (void)artemis_pick(service, round % 2 ? ARTEMIS_RANDOM : ARTEMIS_ROUND_ROBIN);
        artemis_service_free(artemis_service_ref(service));
        artemis_service_free(service);
        expect_done(artemis_set_status(client, &instance, "down", TIMEOUT_MS, NULL));
        expect_done(artemis_unregister(client, &instance, TIMEOUT_MS, NULL));
    }
    expect_done(artemis_register(client, &instance, TIMEOUT_MS, NULL));
    return NULL;
}

static void many_threads_use_one_client(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    char ids[THREADS][8];
    open_client(server.url, (struct artemis_options){0});
    for (int i = 0; i < THREADS; i++) {
        snprintf(ids[i], sizeof ids[i], "s-%d", i);
        assert_int_equal(pthread_create(&threads[i], NULL, use_all_calls, ids[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(failures, 0);
    assert_int_equal(call_count(http, "shop"), THREADS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(registered_with_all_fields),
        TEST(lease_is_renewed_until_unregister),
        TEST(restarted_server_gets_the_instances_again),
        TEST(events_report_what_happens_to_a_registration),
        TEST(heartbeats_keep_an_instance_of_another_program),
        TEST(status_and_content_change),
        TEST(close_unregisters_unless_stay_registered),
        TEST(invalid_arguments_are_refused_by_name),
        TEST(many_instances_stay_registered),
        TEST(many_threads_use_one_client),
        cmocka_unit_test_teardown(next_server_takes_over_and_the_lease_is_renewed, stop_nodes),
        cmocka_unit_test(timeouts_hold_when_a_server_never_responds),
        cmocka_unit_test(timeouts_hold_when_no_server_listens),
        cmocka_unit_test(server_that_starts_later_is_used),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
