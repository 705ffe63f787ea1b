/* SPDX-License-Identifier: Apache-2.0
 *
 * The client library with real servers: a discovered service is kept up to date by pushes and stays
 * known when no server answers; a watch misses nothing and reports nothing twice across restarts
 * and changes of server.
 */
#include "libartemis/artemis.h"

#include "tests/support/client/calls.h"
#include "tests/support/client/watch_log.h"
#include "tests/support/servers/cluster.h"
#include "tests/support/wait.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { TIMEOUT_MS = 20000 };

static struct server_process server;
static struct http *http;
static struct artemis_client *client;
static struct watch_log changes;

static void open_client(const char *servers)
{
    struct artemis_problem problem = {.text = ""};
    const struct artemis_options options = {
        .servers = servers, .attempt_timeout_ms = 1000, .ping_ms = 500};
    if (artemis_open(&options, &client, &problem))
        fail_msg("%s", problem.text);
}

static int start(void **state)
{
    (void)state;
    server_process_start(&server, NULL, NULL);
    http = http_new(server.port);
    open_client(server.url);
    watch_log_init(&changes);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    assert_int_equal(artemis_close(client, 0, NULL), ARTEMIS_OK);
    http_free(http);
    server_process_stop(&server);
    watch_log_free(&changes);
    return 0;
}

static void unregister(struct http *from, const char *service_id, const char *id)
{
    check_status(http_post(from, UNREGISTER, "{'instance_keys':[" KEY "]}", service_id, id), 200,
                 "success", NULL);
}

static const struct artemis_service *discover(const char *service_id)
{
    const struct artemis_service *service = NULL;
    struct artemis_problem problem = {.text = ""};
    if (artemis_discover(client, service_id, TIMEOUT_MS, &service, &problem))
        fail_msg("%s", problem.text);
    return service;
}

struct expected {
    const char *service_id;
    size_t count;
    bool stale;
};

static bool is_as_expected(void *context)
{
    const struct expected *expected = context;
    const struct artemis_service *service = discover(expected->service_id);
    bool met = service->instance_count == expected->count && service->stale == expected->stale;
    artemis_service_free(service);
    return met;
}

static void wait_discovered(const char *service_id, size_t count, bool stale)
{
    struct expected expected = {.service_id = service_id, .count = count, .stale = stale};
    assert_true(wait_until(is_as_expected, &expected, wait_deadline_ms()));
}

static struct artemis_watch *watch(const char *service_id, unsigned flags)
{
    struct artemis_watch *watch = NULL;
    struct artemis_problem problem = {.text = ""};
    if (artemis_watch(client, service_id, flags, watch_log_on_change, &changes, TIMEOUT_MS, &watch,
                      &problem))
        fail_msg("%s", problem.text);
    return watch;
}

/* --- discover --------------------------------------------------------------------------------- */

static void discovered_service_is_kept_up_to_date_by_pushes(void **state)
{
    (void)state;
    call_register(http, "shop", "s-1");
    const struct artemis_service *service = discover("SHOP");
    assert_string_equal(service->service_id, "shop");
    assert_int_equal(service->instance_count, 1);
    assert_false(service->stale);
    assert_int_equal(artemis_service_age_ms(service), 0);
    assert_string_equal(service->instances[0]->instance_id, "s-1");
    assert_string_equal(service->instances[0]->url, "http://10.0.0.1:8080");
    assert_string_equal(service->instances[0]->group_id, "");
    assert_string_equal(service->instances[0]->status, "up");
    call_register(http, "shop", "s-2");
    wait_discovered("shop", 2, false);
    unregister(http, "shop", "s-1");
    unregister(http, "shop", "s-2");
    wait_discovered("shop", 0, false);
    assert_int_equal(service->instance_count, 1); /* a returned service does not change */
    artemis_service_free(service);
}

static void later_calls_do_not_use_the_network(void **state)
{
    (void)state;
    call_register(http, "shop", "s-1");
    artemis_service_free(discover("shop"));
    server_process_signal(&server, SIGSTOP);
    for (int i = 0; i < 100; i++) {
        const struct artemis_service *service = NULL;
        assert_int_equal(artemis_discover(client, "shop", 0, &service, NULL), ARTEMIS_OK);
        assert_int_equal(service->instance_count, 1);
        artemis_service_free(service);
    }
    server_process_signal(&server, SIGCONT);
}

static void unknown_service_is_empty_until_it_registers(void **state)
{
    (void)state;
    artemis_service_free(discover("later"));
    wait_discovered("later", 0, false);
    call_register(http, "later", "l-1");
    wait_discovered("later", 1, false);
}

static void only_instances_that_are_up_unless_all_are_requested(void **state)
{
    (void)state;
    const struct artemis_service *service = NULL;
    call_register(http, "shop", "s-1");
    check_http(http_post(http, REGISTER, "{'instances':[{" INSTANCE_FIELDS ",'status':'down'}]}",
                         "shop", "s-2"),
               200);
    wait_discovered("shop", 1, false);
    assert_int_equal(artemis_discover_all(client, "shop", TIMEOUT_MS, &service, NULL), ARTEMIS_OK);
    assert_int_equal(service->instance_count, 2);
    artemis_service_free(service);
    wait_discovered("*", 1, false);
}

static void known_state_is_stale_when_the_server_ends(void **state)
{
    (void)state;
    call_register(http, "shop", "s-1");
    wait_discovered("shop", 1, false);
    uint16_t port = server.port;
    server_process_kill(&server);
    wait_discovered("shop", 1, true);
    const struct artemis_service *service = discover("shop");
    int64_t age_ms = artemis_service_age_ms(service);
    assert_true(age_ms >= 0);
    wait_for_time(wait_now_ms() + 50);
    assert_true(artemis_service_age_ms(service) >= age_ms + 50);
    artemis_service_free(service);
    http_free(http);
    server_process_start_at(&server, port, NULL, NULL);
    http = http_new(port);
    wait_discovered("shop", 0, false);
}

/* A stopped server accepts connections but sends nothing: the missing pongs reveal it. */
static void server_that_hangs_is_detected(void **state)
{
    (void)state;
    call_register(http, "shop", "s-1");
    wait_discovered("shop", 1, false);
    server_process_signal(&server, SIGSTOP);
    wait_discovered("shop", 1, true);
    server_process_signal(&server, SIGCONT);
    wait_discovered("shop", 1, false);
}

static void round_robin_continues_after_changes(void **state)
{
    (void)state;
    int seen[3] = {0};
    for (int i = 0; i < 3; i++) {
        char id[] = {'s', '-', (char)('0' + i), '\0'};
        call_register(http, "shop", id);
    }
    wait_discovered("shop", 3, false);
    for (int i = 0; i < 30; i++) {
        const struct artemis_service *service = discover("shop");
        const struct artemis_instance *one = artemis_pick(service, ARTEMIS_ROUND_ROBIN);
        seen[one->instance_id[2] - '0']++;
        assert_non_null(artemis_pick(service, ARTEMIS_RANDOM));
        (void)artemis_pick(service, ARTEMIS_ROUND_ROBIN);
        artemis_service_free(service);
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(seen[i], 10);
    const struct artemis_service *empty = discover("nobody");
    assert_null(artemis_pick(empty, ARTEMIS_ROUND_ROBIN));
    assert_null(artemis_pick(empty, ARTEMIS_WEIGHTED));
    assert_null(artemis_pick_by_key(empty, "key"));
    artemis_service_free(empty);
}

static void register_weight(const char *id, int weight)
{
    check_status(http_post(http, REGISTER, "{'instances':[{" INSTANCE_FIELDS ",'weight':%d}]}",
                           "shop", id, weight),
                 200, "success", NULL);
}

static void library_and_server_find_the_same_instance_for_a_key(void **state)
{
    (void)state;
    static const int weights[] = {100, 1, 0, 250, 1000};
    for (int i = 0; i < 5; i++) {
        char id[] = {'s', '-', (char)('0' + i), '\0'};
        register_weight(id, weights[i]);
    }
    wait_discovered("shop", 5, false);
    const struct artemis_service *service = discover("shop");
    for (int i = 0; i < 40; i++) {
        char key[16];
        snprintf(key, sizeof key, "user-%d", i);
        struct http_response *response = http_get(
            http, "/api/discovery/lookup?service_id=shop&strategy=consistent-hash&hash_key=%s",
            key);
        assert_string_equal(artemis_pick_by_key(service, key)->instance_id,
                            check_text(response, "instance.instance_id"));
    }
    artemis_service_free(service);
}

static void weighted_picks_follow_the_weights(void **state)
{
    (void)state;
    int seen[3] = {0};
    register_weight("s-0", 300);
    register_weight("s-1", 100);
    register_weight("s-2", 0);
    wait_discovered("shop", 3, false);
    const struct artemis_service *service = discover("shop");
    for (int i = 0; i < 4000; i++)
        seen[artemis_pick(service, ARTEMIS_WEIGHTED)->instance_id[2] - '0']++;
    assert_in_range(seen[0], 2800, 3200);
    assert_int_equal(seen[0] + seen[1], 4000);
    artemis_service_free(service);
}

/* --- watch ------------------------------------------------------------------------------------ */

static void changes_are_reported_in_order(void **state)
{
    (void)state;
    call_register(http, "shop", "s-1");
    struct artemis_watch *shop_watch = watch("shop", 0);
    call_register(http, "shop", "s-2");
    call_register(http, "other", "o-1");
    check_http(http_post(http, REGISTER, "{'instances':[{" INSTANCE_FIELDS ",'status':'down'}]}",
                         "shop", "s-1"),
               200);
    unregister(http, "shop", "s-2");
    watch_log_wait(&changes, "+s-2 ~s-1 -s-2 ");
    artemis_unwatch(shop_watch);
    call_register(http, "shop", "s-9");
    wait_discovered("shop", 1, false);
    watch_log_check(&changes, "+s-2 ~s-1 -s-2 ");
}

static void watch_current_reports_existing_instances_first(void **state)
{
    (void)state;
    call_register(http, "shop", "s-1");
    struct artemis_watch *first = watch("shop", ARTEMIS_WATCH_CURRENT);
    watch_log_wait(&changes, "+s-1 ");
    struct artemis_watch *second = watch("shop", ARTEMIS_WATCH_CURRENT);
    watch_log_wait(&changes, "+s-1 +s-1 ");
    artemis_unwatch(second);
    call_register(http, "shop", "s-2");
    watch_log_wait(&changes, "+s-1 +s-1 +s-2 ");
    artemis_unwatch(first);
}

static void star_watches_all_services(void **state)
{
    (void)state;
    struct artemis_watch *all_watch = watch("*", 0);
    struct artemis_watch *shop_watch = watch("shop", 0);
    call_register(http, "a", "a-1");
    call_register(http, "b", "b-1");
    watch_log_wait(&changes, "+a-1 +b-1 ");
    watch_log_clear(&changes);
    call_register(http, "shop", "s-1"); /* reported once to each of both */
    watch_log_wait(&changes, "+s-1 +s-1 ");
    unregister(http, "a", "a-1");
    watch_log_wait(&changes, "+s-1 +s-1 -a-1 ");
    artemis_unwatch(all_watch);
    artemis_unwatch(shop_watch);
}

static int start_with_camel_case(void **state)
{
    (void)state;
    server_process_start(
        &server, (const char *const[]){"--set", "server.default_casing=camelCase", NULL}, NULL);
    http = http_new(server.port);
    open_client(server.url);
    watch_log_init(&changes);
    return 0;
}

/* The request for all services has no name, so its response is in camelCase. */
static void default_casing_of_the_server_makes_no_difference(void **state)
{
    call_register(http, "first", "f-1");
    struct artemis_watch *all_watch = watch("*", ARTEMIS_WATCH_CURRENT);
    watch_log_wait(&changes, "+f-1 ");
    artemis_unwatch(all_watch);
    watch_log_clear(&changes);
    star_watches_all_services(state);
}

static void restart_is_reported_as_differences(void **state)
{
    (void)state;
    call_register(http, "shop", "s-1");
    call_register(http, "shop", "s-2");
    call_register(http, "shop", "s-3");
    struct artemis_watch *shop_watch = watch("shop", 0);
    server_process_signal(&server,
                          SIGSTOP); /* no server answers until the new one has its instances */
    uint16_t port = server.port;
    http_free(http);
    server_process_kill(&server);
    server_process_start_at(&server, port, NULL, NULL);
    http = http_new(port);
    check_http(http_post(http, REGISTER,
                         "{'instances':[{" INSTANCE_FIELDS "},{" INSTANCE_FIELDS
                         ",'status':'down'},{" INSTANCE_FIELDS "}]}",
                         "shop", "s-1", "shop", "s-2", "shop", "s-4"),
               200);
    wait_discovered("shop", 2, false);
    call_register(http, "shop", "s-5"); /* after all others */
    watch_log_wait_count(&changes, 4);
    /* The client may connect before or after the registrations: its final state is correct, and
     * each step was reported. */
    struct artemis_watch *check = NULL;
    struct watch_log now;
    watch_log_init(&now);
    assert_int_equal(artemis_watch(client, "shop", ARTEMIS_WATCH_CURRENT, watch_log_on_change, &now,
                                   TIMEOUT_MS, &check, NULL),
                     ARTEMIS_OK);
    watch_log_wait(&now, "+s-1 +s-2 +s-4 +s-5 ");
    artemis_unwatch(check);
    artemis_unwatch(shop_watch);
    watch_log_free(&now);
}

static void same_state_after_a_lost_connection_is_not_reported(void **state)
{
    (void)state;
    call_register(http, "shop", "s-1");
    struct artemis_watch *shop_watch = watch("shop", 0);
    artemis_service_free(discover("shop"));
    server_process_signal(&server, SIGSTOP);
    wait_discovered("shop", 1, true);
    server_process_signal(&server, SIGCONT);
    wait_discovered("shop", 1, false);
    call_register(http, "shop", "s-2");
    watch_log_wait(&changes, "+s-2 ");
    artemis_unwatch(shop_watch);
}

static struct cluster nodes;

static int stop_nodes(void **state)
{
    (void)state;
    (void)artemis_close(client, 0, NULL);
    cluster_stop(&nodes);
    watch_log_free(&changes);
    return 0;
}

static void other_node_takes_over_and_nothing_is_missed_or_reported_twice(void **state)
{
    (void)state;
    char servers[128];
    cluster_start(&nodes, 2, NULL);
    snprintf(servers, sizeof servers, "%s,%s", nodes.nodes[0].url, nodes.nodes[1].url);
    watch_log_init(&changes);
    open_client(servers);
    call_register(nodes.http[0], "shop", "s-1");
    call_register(nodes.http[0], "shop", "s-2");
    cluster_wait_count(&nodes, "shop", 2);
    struct artemis_watch *shop_watch = watch("shop", 0);
    cluster_kill_node(&nodes, 0);
    call_register(nodes.http[1], "shop", "s-3");
    unregister(nodes.http[1], "shop", "s-1");
    wait_discovered("shop", 2, false);
    call_register(nodes.http[1], "shop", "s-4");
    watch_log_wait_count(&changes, 3);
    wait_discovered("shop", 3, false);
    /* The first two may be reported in either order, as differences. */
    assert_true(strcmp(changes.text, "+s-3 -s-1 +s-4 ") == 0 ||
                strcmp(changes.text, "-s-1 +s-3 +s-4 ") == 0);
    artemis_unwatch(shop_watch);
}

/* --- callbacks -------------------------------------------------------------------------------- */

struct caller {
    struct watch_log *changes;
    struct artemis_watch *self;
    size_t seen;
    enum artemis_error closed;
    int calls;
};

/* A callback whose calls need the network, so that the client must keep running meanwhile. */
static void call_within(const struct artemis_change *change, void *context)
{
    struct caller *caller = context;
    const struct artemis_service *service = NULL;
    const struct artemis_instance instance = {
        .service_id = "made", .instance_id = "m-1", .ip = "10.0.0.1"};
    caller->closed = artemis_close(client, 0, NULL);
    if (artemis_register(client, &instance, TIMEOUT_MS, NULL) == ARTEMIS_OK &&
        artemis_discover(client, "made", TIMEOUT_MS, &service, NULL) == ARTEMIS_OK)
        caller->seen = service->instance_count;
    artemis_service_free(service);
    caller->calls++;
    watch_log_on_change(change, caller->changes);
    artemis_unwatch(caller->self); /* no more callbacks */
}

static void callback_may_call_the_client(void **state)
{
    (void)state;
    struct caller caller = {.changes = &changes};
    assert_int_equal(
        artemis_watch(client, "shop", 0, call_within, &caller, TIMEOUT_MS, &caller.self, NULL),
        ARTEMIS_OK);
    call_register_many(http, "shop", 3);
    watch_log_wait_count(&changes, 1);
    wait_discovered("shop", 3, false);
    const struct artemis_instance key = {
        .service_id = "made", .instance_id = "m-1", .ip = "10.0.0.1"};
    assert_int_equal(artemis_unregister(client, &key, TIMEOUT_MS, NULL), ARTEMIS_OK);
    assert_int_equal(caller.calls, 1);
    assert_int_equal(caller.seen, 1);
    assert_int_equal(caller.closed, ARTEMIS_INVALID);
}

struct slow {
    pthread_mutex_t lock;
    bool running, ended;
};

static void sleep_in_callback(const struct artemis_change *change, void *context)
{
    struct slow *slow = context;
    (void)change;
    pthread_mutex_lock(&slow->lock);
    slow->running = true;
    pthread_mutex_unlock(&slow->lock);
    wait_for_time(wait_now_ms() + 300);
    pthread_mutex_lock(&slow->lock);
    slow->ended = true;
    pthread_mutex_unlock(&slow->lock);
}

static bool is_running(void *context)
{
    struct slow *slow = context;
    pthread_mutex_lock(&slow->lock);
    bool running = slow->running;
    pthread_mutex_unlock(&slow->lock);
    return running;
}

static void unwatch_waits_for_a_running_callback(void **state)
{
    (void)state;
    struct slow slow = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct artemis_watch *shop_watch = NULL;
    assert_int_equal(
        artemis_watch(client, "shop", 0, sleep_in_callback, &slow, TIMEOUT_MS, &shop_watch, NULL),
        ARTEMIS_OK);
    call_register(http, "shop", "s-1");
    assert_true(wait_until(is_running, &slow, wait_deadline_ms()));
    artemis_unwatch(shop_watch);
    assert_true(slow.ended);
}

static void invalid_arguments_are_named(void **state)
{
    (void)state;
    struct artemis_problem problem;
    const struct artemis_service *service = NULL;
    struct artemis_watch *one = NULL;
    assert_int_equal(artemis_discover(client, "", 10, &service, &problem), ARTEMIS_INVALID);
    assert_non_null(strstr(problem.text, "service_id"));
    assert_int_equal(artemis_discover(client, NULL, 10, &service, &problem), ARTEMIS_INVALID);
    assert_int_equal(artemis_discover(client, "\xff", 10, &service, &problem), ARTEMIS_INVALID);
    assert_int_equal(artemis_discover(client, "a", 10, NULL, &problem), ARTEMIS_INVALID);
    assert_int_equal(artemis_discover(client, "a", ARTEMIS_TIMEOUT_MAX_MS + 1, &service, NULL),
                     ARTEMIS_INVALID);
    assert_int_equal(
        artemis_watch(client, "a", 6, watch_log_on_change, &changes, 10, &one, &problem),
        ARTEMIS_INVALID);
    assert_non_null(strstr(problem.text, "flags"));
    assert_int_equal(artemis_watch(client, "a", 0, NULL, &changes, 10, &one, &problem),
                     ARTEMIS_INVALID);
    artemis_unwatch(NULL);
    artemis_service_free(NULL);
    assert_int_equal(artemis_close(NULL, 0, NULL), ARTEMIS_OK);
    assert_null(service);
    assert_null(one);
}

static void watches_end_with_their_client(void **state)
{
    (void)state;
    (void)watch("shop", 0);
    (void)watch("*", ARTEMIS_WATCH_CURRENT);
    call_register_many(http, "shop", 50); /* some callbacks may be queued when it is closed */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(discovered_service_is_kept_up_to_date_by_pushes),
        TEST(later_calls_do_not_use_the_network),
        TEST(unknown_service_is_empty_until_it_registers),
        TEST(only_instances_that_are_up_unless_all_are_requested),
        TEST(known_state_is_stale_when_the_server_ends),
        TEST(server_that_hangs_is_detected),
        TEST(round_robin_continues_after_changes),
        TEST(library_and_server_find_the_same_instance_for_a_key),
        TEST(weighted_picks_follow_the_weights),
        TEST(changes_are_reported_in_order),
        TEST(watch_current_reports_existing_instances_first),
        TEST(star_watches_all_services),
        cmocka_unit_test_setup_teardown(default_casing_of_the_server_makes_no_difference,
                                        start_with_camel_case, stop),
        TEST(restart_is_reported_as_differences),
        TEST(same_state_after_a_lost_connection_is_not_reported),
        cmocka_unit_test_teardown(other_node_takes_over_and_nothing_is_missed_or_reported_twice,
                                  stop_nodes),
        TEST(callback_may_call_the_client),
        TEST(unwatch_waits_for_a_running_callback),
        TEST(invalid_arguments_are_named),
        TEST(watches_end_with_their_client),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
