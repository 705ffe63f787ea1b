/* SPDX-License-Identifier: Apache-2.0
 *
 * A node that does not run for longer than a third of the time-to-live (SIGSTOP): writes that were
 * queued meanwhile are not executed, and a node of a cluster compares itself with its peers before
 * it serves discovery again.
 */
#include "tests/support/client/raw_socket.h"
#include "tests/support/servers/cluster.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STALL_MS = 3500 }; /* a third of the time-to-live is 3 s */

static void send_call(struct raw_socket *raw, const char *path, int port)
{
    char body[512];
    int size = snprintf(body, sizeof body,
                        "{\"instances\":[{\"region_id\":\"lab\",\"zone_id\":\"zone1\","
                        "\"service_id\":\"web\",\"instance_id\":\"i1\",\"ip\":\"10.0.0.1\","
                        "\"port\":%d}]}",
                        port);
    assert_true(raw_socket_sendf(raw,
                                 "POST %s HTTP/1.1\r\nHost: test\r\nContent-Type: "
                                 "application/json\r\nContent-Length: %d\r\n\r\n%s",
                                 path, size, body));
}

static void check_response(struct raw_socket *raw, int status)
{
    assert_int_equal(raw_socket_read(raw, wait_deadline_ms()), RAW_RESPONSE);
    assert_int_equal(raw->response.status, status);
}

static void check_refused(struct raw_socket *raw)
{
    check_response(raw, 503);
    check_json(&raw->response, "response_status.reason", "'not-ready'");
    assert_string_equal(http_field(&raw->response, "Retry-After"), "1");
}

/* The first attempts may be taken for queued ones: the kernel counts arrival times in ticks. */
static bool registers(void *context)
{
    struct raw_socket *raw = context;
    send_call(raw, REGISTER, 82);
    assert_int_equal(raw_socket_read(raw, wait_deadline_ms()), RAW_RESPONSE);
    return raw->response.status == 200;
}

static int start_single(void **state)
{
    return fixture_start(state, (const char *const[]){"--set", "lease.ttl_secs=9", NULL});
}

/* The clients are alive and wait: the connections alone say nothing about them. */
static void writes_that_were_queued_in_a_stall_are_refused(void **state)
{
    struct fixture *fixture = *state;
    enum { REGISTERING, UNREGISTERING, RENEWING, FRESH, COUNT };
    static const char *const paths[COUNT] = {REGISTER, UNREGISTER, HEARTBEAT, REGISTER};
    struct raw_socket clients[COUNT];
    for (int i = 0; i < FRESH; i++) {
        raw_socket_open(&clients[i], fixture->server.port);
        send_call(&clients[i], REGISTER, 80);
        check_response(&clients[i], 200);
    }
    server_process_suspend(&fixture->server);
    raw_socket_open(&clients[FRESH], fixture->server.port);
    for (int i = 0; i < COUNT; i++)
        send_call(&clients[i], paths[i], 81);
    usleep(STALL_MS * 1000);
    server_process_continue(&fixture->server);
    check_refused(&clients[REGISTERING]);
    check_refused(&clients[UNREGISTERING]);
    check_response(&clients[RENEWING], 200);
    check_refused(&clients[FRESH]);
    call_wait_metric(fixture->http, "artemis_stalls_total", 1);
    struct http_response *response =
        http_get(fixture->http, "/api/discovery/service?service_id=web");
    check_json(response, "service.instances[0].port", "80");
    if (!wait_until(registers, &clients[REGISTERING], wait_deadline_ms()))
        fail_msg("the node accepts no registration after the stall");
    for (int i = 0; i < COUNT; i++)
        raw_socket_close(&clients[i]);
}

static struct cluster cluster;

struct expected {
    int node, port;
};

static bool shows_port(void *context)
{
    struct expected *expected = context;
    struct http_response *response =
        http_get(cluster.http[expected->node], "/api/discovery/service?service_id=web");
    if (response->status != 200)
        return false;
    json_t *port = check_find(response->json, "service.instances[0].port");
    return json_integer_value(port) == expected->port;
}

static void wait_port(int node, int port)
{
    struct expected expected = {node, port};
    if (!wait_until(shows_port, &expected, wait_deadline_ms()))
        fail_msg("node %d does not show port %d", node + 1, port);
}

static void register_port(int node, int port)
{
    struct http_response *response = http_post(
        cluster.http[node], REGISTER,
        "{'instances':[{'region_id':'lab','zone_id':'zone1','service_id':'web','instance_id':'i1',"
        "'ip':'10.0.0.1','port':%d}]}",
        port);
    check_status(response, 200, "success", NULL);
}

/* Finding 1 of the test of real delays: the client's request at node 1 times out, and it registers
 * newer content at node 2. */
static void request_queued_in_a_stall_does_not_replace_newer_content_elsewhere(void **state)
{
    (void)state;
    struct raw_socket late;
    cluster_start(&cluster, 3, (const char *const[]){"lease.ttl_secs=9", NULL});
    register_port(0, 80);
    for (int node = 0; node < 3; node++)
        wait_port(node, 80);
    raw_socket_open(&late, cluster.ports[0]);
    server_process_suspend(&cluster.nodes[0]);
    send_call(&late, REGISTER, 81);
    usleep(STALL_MS * 1000);
    register_port(1, 82);
    server_process_continue(&cluster.nodes[0]);
    check_refused(&late);
    call_wait_metric(cluster.http[0], "artemis_stalls_total", 1);
    /* It serves the content of its peers or nothing. */
    struct http_response *response =
        http_get(cluster.http[0], "/api/discovery/service?service_id=web");
    if (response->status == 200)
        check_json(response, "service.instances[0].port", "82");
    else
        assert_int_equal(response->status, 503);
    cluster_wait_ready(&cluster, 0);
    for (int node = 0; node < 3; node++)
        wait_port(node, 82);
    raw_socket_close(&late);
    char *log = server_process_stop_and_read_log(&cluster.nodes[0]);
    assert_non_null(strstr(log, "ready again after a stall"));
    free(log);
    cluster_stop(&cluster);
}

static bool is_comparing(void *context)
{
    const char *state = http_field(http_get(cluster.http[0], "/health"), "X-Artemis-State");
    (void)context;
    return state && strcmp(state, "comparing") == 0;
}

/* A starting node waits for such a peer: it has data. */
static void node_that_compares_itself_says_so(void **state)
{
    (void)state;
    cluster_start(&cluster, 2, (const char *const[]){"lease.ttl_secs=9", NULL});
    for (int node = 0; node < 2; node++)
        server_process_suspend(&cluster.nodes[node]);
    usleep(STALL_MS * 1000);
    server_process_continue(&cluster.nodes[0]); /* its peer does not respond */
    bool was_comparing = wait_until(is_comparing, NULL, wait_deadline_ms());
    server_process_continue(&cluster.nodes[1]);
    assert_true(was_comparing);
    for (int node = 0; node < 2; node++)
        cluster_wait_ready(&cluster, node);
    cluster_stop(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writes_that_were_queued_in_a_stall_are_refused,
                                        start_single, fixture_stop),
        cmocka_unit_test(request_queued_in_a_stall_does_not_replace_newer_content_elsewhere),
        cmocka_unit_test(node_that_compares_itself_says_so),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
