/* SPDX-License-Identifier: Apache-2.0
 *
 * Client revisions at real nodes: a request that is executed late, at whatever node, does not
 * replace what its client changed since.
 */
#include "libartemis/artemis.h"

#include "tests/support/client/raw_socket.h"
#include "tests/support/servers/cluster.h"
#include "tests/support/wait.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { NODES = 3, OLD_PORT = 1111, MIDDLE_PORT = 1777, NEW_PORT = 2222, CALL_TIMEOUT_MS = 20000 };

#define WITH_REVISION "{" INSTANCE_FIELDS ",'revision':%d}"

static struct cluster cluster;
static struct artemis_client *client;
static int listener = -1;

static int stop(void **state)
{
    (void)state;
    if (client)
        artemis_close(client, CALL_TIMEOUT_MS, NULL);
    client = NULL;
    if (listener >= 0)
        close(listener);
    listener = -1;
    cluster_stop(&cluster);
    return 0;
}

/* --- helpers ---------------------------------------------------------------------------------- */

static struct http_response *do_register(struct http *http, const char *id, int revision)
{
    return http_post(http, REGISTER, "{'instances':[" WITH_REVISION "]}", "shop", id, revision);
}

static struct http_response *fetch(struct http *http)
{
    return http_get(http, "/api/discovery/service?service_id=shop&status=all");
}

struct wanted {
    struct http *http;
    const char *member;
    json_int_t value;
};

static bool shows_value(void *context)
{
    const struct wanted *wanted = context;
    char path[64];
    snprintf(path, sizeof path, "service.instances[0].%s", wanted->member);
    return check_integer(fetch(wanted->http), path) == wanted->value;
}

static void wait_value(int node, const char *member, json_int_t value)
{
    struct wanted wanted = {cluster.http[node], member, value};
    if (!wait_until(shows_value, &wanted, wait_deadline_ms()))
        fail_msg("node %d does not show %s %lld: %s", node, member, (long long)value,
                 fetch(cluster.http[node])->body);
}

/* --- one node --------------------------------------------------------------------------------- */

static void late_requests_are_refused(void **state)
{
    struct fixture *fixture = *state;
    check_status(do_register(fixture->http, "a", 6), 200, "success", NULL);
    struct http_response *response = do_register(fixture->http, "a", 5);
    check_status(response, 200, "bad-request", "stale-revision");
    check_json(response, "failed_instances[0].reason", "'stale-revision'");
    check_json(response, "failed_instances[0].revision", "5");
    check_json(response, "failed_instances[0].stored_revision", "6");
    check_json(response, "failed_instances[0].error_message",
               "'instances[0].revision: must be above 6, is 5'");
    response = http_post(fixture->http, UNREGISTER,
                         "{'instance_keys':[{'region_id':'lab','zone_id':'zone1','service_id':"
                         "'shop','instance_id':'a','revision':5}]}");
    check_status(response, 200, "bad-request", "stale-revision");
    check_json(response, "failed_instance_keys[0].stored_revision", "6");
    check_json(fetch(fixture->http), "service.instances[0].revision", "6");
}

static void java_clients_get_the_error_of_the_item(void **state)
{
    struct fixture *fixture = *state;
    check_status(do_register(fixture->http, "a", 6), 200, "success", NULL);
    struct http_response *response =
        http_post(fixture->http, "/artemis/api/registry/register.json",
                  "{'instances':[{'regionId':'lab','zoneId':'zone1','serviceId':'shop',"
                  "'instanceId':'a','ip':'10.0.0.1','port':8080,'revision':5}]}");
    check_http(response, 200);
    check_json(response, "failedInstances[0].reason", "'stale-revision'");
    check_json(response, "failedInstances[0].errorCode", "'bad-request'");
    check_json(response, "failedInstances[0].storedRevision", "6");
    check_json(response, "failedInstances[0].instance.revision", "5");
}

static void discovery_shows_a_revision_only_if_the_client_sent_one(void **state)
{
    struct fixture *fixture = *state;
    call_register(fixture->http, "shop", "a");
    check_absent(fetch(fixture->http), "service.instances[0].revision");
    check_status(do_register(fixture->http, "a", 0), 200, "success", NULL); /* as absent */
    check_absent(fetch(fixture->http), "service.instances[0].revision");
    check_status(do_register(fixture->http, "a", 7), 200, "success", NULL);
    check_json(fetch(fixture->http), "service.instances[0].revision", "7");
    call_register(fixture->http, "shop", "a"); /* keeps it */
    check_json(fetch(fixture->http), "service.instances[0].revision", "7");
}

/* --- a cluster -------------------------------------------------------------------------------- */

static void start_cluster(int count)
{
    cluster_start(&cluster, count, (const char *const[]){"replication.anti_entropy_secs=1", NULL});
}

/* A server that accepts connections and sends nothing. */
static uint16_t listen_silently(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 16), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    return ntohs(address.sin_port);
}

/* Reads the request of a client that has closed the connection since. */
static size_t read_request(char *bytes, size_t size)
{
    size_t used = 0;
    ssize_t got;
    assert_true(wait_readable(listener, wait_deadline_ms()));
    int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    while (used < size && wait_readable(fd, wait_deadline_ms()) &&
           (got = recv(fd, bytes + used, size - used, 0)) > 0)
        used += (size_t)got;
    close(fd);
    return used;
}

static void open_client(uint16_t silent_port)
{
    char servers[128];
    struct artemis_problem problem = {.text = ""};
    snprintf(servers, sizeof servers, "http://127.0.0.1:%u,%s", silent_port, cluster.nodes[1].url);
    const struct artemis_options options = {
        .servers = servers, .attempt_timeout_ms = 300, .stay_registered = true};
    if (artemis_open(&options, &client, &problem))
        fail_msg("%s", problem.text);
}

static void register_by_library(uint16_t port)
{
    struct artemis_problem problem = {.text = ""};
    const struct artemis_instance instance = {
        .service_id = "shop", .instance_id = "a", .ip = "10.0.0.1", .port = port};
    if (artemis_register(client, &instance, CALL_TIMEOUT_MS, &problem))
        fail_msg("%s", problem.text);
}

/* A proxy in front of node 0 keeps the request of the client. The client repeats it at node 1, and
 * changes the instance there twice. Then the proxy passes the request on. Node 0 knows the first
 * change only. */
static void late_registration_of_a_library_client_changes_nothing(void **state)
{
    (void)state;
    char request[4096];
    struct raw_socket raw;
    start_cluster(NODES);
    open_client(listen_silently());
    register_by_library(OLD_PORT);
    size_t size = read_request(request, sizeof request);
    assert_non_null(memmem(request, size, "\"revision\":", strlen("\"revision\":")));
    register_by_library(MIDDLE_PORT);
    wait_value(0, "port", MIDDLE_PORT);
    server_process_suspend(&cluster.nodes[0]);
    register_by_library(NEW_PORT);
    wait_for_time(wait_now_ms() + 100); /* the request is later by the clock of either node */
    raw_socket_open(&raw, cluster.ports[0]);
    assert_true(raw_socket_send(&raw, request, size));
    server_process_continue(&cluster.nodes[0]);
    assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
    raw_socket_close(&raw);
    cluster_wait_agreement(&cluster);
    for (int node = 0; node < NODES; node++)
        wait_value(node, "port", NEW_PORT);
}

/* Node 1 does not know the instance when it executes the late request, after node 0 stored the
 * change. */
static void higher_revision_wins_when_nodes_compare_their_records(void **state)
{
    (void)state;
    cluster_plan(&cluster, 2, (const char *const[]){"replication.anti_entropy_secs=1", NULL});
    cluster_start_node(&cluster, 0, NULL);
    cluster_wait_ready(&cluster, 0);
    check_status(do_register(cluster.http[0], "a", 6), 200, "success", NULL);
    server_process_suspend(&cluster.nodes[0]);
    cluster_start_node(&cluster, 1, NULL);
    check_status(http_post(cluster.http[1], REGISTER,
                           "{'instances':[{'region_id':'lab','zone_id':'zone1','service_id':'shop',"
                           "'instance_id':'a','ip':'10.0.0.9','port':1111,'revision':5}]}"),
                 200, "success", NULL);
    server_process_continue(&cluster.nodes[0]);
    cluster_wait_ready(&cluster, 1);
    cluster_wait_agreement(&cluster);
    for (int node = 0; node < 2; node++) {
        wait_value(node, "revision", 6);
        wait_value(node, "port", 8080);
    }
}

static void tombstone_keeps_its_revision_at_a_node_that_starts_later(void **state)
{
    (void)state;
    cluster_plan(&cluster, 2, (const char *const[]){"replication.anti_entropy_secs=1", NULL});
    cluster_start_node(&cluster, 0, NULL);
    cluster_wait_ready(&cluster, 0);
    check_status(do_register(cluster.http[0], "a", 6), 200, "success", NULL);
    check_status(http_post(cluster.http[0], UNREGISTER,
                           "{'instance_keys':[{'region_id':'lab','zone_id':'zone1','service_id':"
                           "'shop','instance_id':'a','revision':7}]}"),
                 200, "success", NULL);
    cluster_start_node(&cluster, 1, NULL);
    cluster_wait_ready(&cluster, 1);
    struct http_response *response = do_register(cluster.http[1], "a", 6);
    check_status(response, 200, "bad-request", "stale-revision");
    check_json(response, "failed_instances[0].stored_revision", "7");
    check_status(do_register(cluster.http[1], "a", 8), 200, "success", NULL);
    wait_value(0, "revision", 8);
}

static int start_one(void **state)
{
    return fixture_start(state, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(late_requests_are_refused, start_one, fixture_stop),
        cmocka_unit_test_setup_teardown(java_clients_get_the_error_of_the_item, start_one,
                                        fixture_stop),
        cmocka_unit_test_setup_teardown(discovery_shows_a_revision_only_if_the_client_sent_one,
                                        start_one, fixture_stop),
        cmocka_unit_test_teardown(late_registration_of_a_library_client_changes_nothing, stop),
        cmocka_unit_test_teardown(higher_revision_wins_when_nodes_compare_their_records, stop),
        cmocka_unit_test_teardown(tombstone_keeps_its_revision_at_a_node_that_starts_later, stop),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
