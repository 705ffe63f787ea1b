/* SPDX-License-Identifier: Apache-2.0
 *
 * The client library with servers that name the nodes of their cluster: more of them than the
 * options can have, to a client that only publishes, and to one that does not ask.
 */
#include "libartemis/artemis.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/servers/fake_server.h"
#include "tests/support/wait.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { TIMEOUT_MS = 20000, NODES = 60 };

#define SUCCESS "\"response_status\":{\"error_code\":\"success\"}"
#define NOT_READY                                                                                  \
    "{\"response_status\":{\"error_code\":\"service-unavailable\",\"reason\":\"not-ready\","       \
    "\"error_message\":\"this node is starting\"}}"

/* The first server names itself, and the nodes /n0 to /n59 of the second. Only the last of them
 * publishes. */
struct servers {
    struct fake_server first, second;
    atomic_int node_requests, published_by_first, published_by_last, refused;
    atomic_bool is_learned;
};

static void write_response(char *out, size_t size, const char *status, const char *body)
{
    snprintf(out, size, "HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s", status,
             strlen(body), body);
}

static void write_published(char *out, size_t size)
{
    write_response(out, size, "200 OK",
                   "{" SUCCESS ",\"node_id\":\"n\",\"run\":\"r\",\"number\":1}");
}

static void respond_first(const char *head, char *out, size_t size, void *context)
{
    struct servers *servers = context;
    char body[8192];
    if (strncmp(head, "GET /api/cluster/nodes ", 23) != 0) {
        servers->published_by_first++;
        write_published(out, size);
        return;
    }
    servers->node_requests++;
    size_t used = (size_t)snprintf(body, sizeof body,
                                   "{" SUCCESS ",\"nodes\":[{\"url\":\"%s\",\"status\":\"up\"}",
                                   servers->first.url);
    for (int i = 0; i < NODES; i++)
        used += (size_t)snprintf(body + used, sizeof body - used,
                                 ",{\"url\":\"%s/n%d\",\"status\":\"up\"}", servers->second.url, i);
    snprintf(body + used, sizeof body - used, "]}");
    write_response(out, size, "200 OK", body);
}

static void respond_second(const char *head, char *out, size_t size, void *context)
{
    struct servers *servers = context;
    if (strncmp(head, "POST /n59/api/events/publish ", 29) == 0) {
        servers->published_by_last++;
        write_published(out, size);
        return;
    }
    servers->refused++;
    write_response(out, size, "503 Service Unavailable", NOT_READY);
}

static void on_log(enum artemis_log_level level, const char *message, void *context)
{
    struct servers *servers = context;
    (void)level;
    if (strstr(message, "names 60 new nodes"))
        servers->is_learned = true;
}

static bool is_learned(void *context)
{
    const struct servers *servers = context;
    return servers->is_learned;
}

static struct artemis_client *open_client(struct servers *servers, int nodes_ms)
{
    struct artemis_client *client = NULL;
    struct artemis_problem problem = {.text = ""};
    fake_server_start(&servers->second, respond_second, servers);
    fake_server_start(&servers->first, respond_first, servers);
    const struct artemis_options options = {
        .servers = servers->first.url, .nodes_ms = nodes_ms, .log = on_log, .log_context = servers};
    if (artemis_open(&options, &client, &problem))
        fail_msg("%s", problem.text);
    return client;
}

static void publish(struct artemis_client *client)
{
    struct artemis_problem problem = {.text = ""};
    if (artemis_publish(client, "t", "1", TIMEOUT_MS, NULL, &problem))
        fail_msg("%s", problem.text);
}

static void client_that_only_publishes_uses_every_node(void **state)
{
    static struct servers servers;
    (void)state;
    struct artemis_client *client = open_client(&servers, 0);
    publish(client);
    assert_int_equal(servers.published_by_first, 1);
    assert_true(wait_until(is_learned, &servers, wait_deadline_ms()));
    fake_server_stop(&servers.first);
    publish(client);
    assert_int_equal(servers.published_by_last, 1);
    assert_true(servers.refused >= NODES - 1);
    assert_int_equal(artemis_close(client, TIMEOUT_MS, NULL), ARTEMIS_OK);
    fake_server_stop(&servers.second);
}

static void client_that_does_not_want_nodes_never_asks(void **state)
{
    static struct servers servers;
    (void)state;
    struct artemis_client *client = open_client(&servers, -1);
    const struct artemis_instance one = {
        .service_id = "shop", .instance_id = "s-1", .ip = "10.0.0.1", .port = 80};
    assert_int_equal(artemis_register(client, &one, 0, NULL), ARTEMIS_OK);
    for (int i = 0; i < 10; i++)
        publish(client);
    (void)artemis_close(client, 0, NULL);
    assert_int_equal(servers.node_requests, 0);
    assert_false(servers.is_learned);
    fake_server_stop(&servers.first);
    fake_server_stop(&servers.second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client_that_only_publishes_uses_every_node),
        cmocka_unit_test(client_that_does_not_want_nodes_never_asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
