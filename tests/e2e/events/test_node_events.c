/* SPDX-License-Identifier: Apache-2.0
 *
 * The events that a node publishes itself: members of the cluster, and guards.
 */
#include "tests/support/client/calls.h"
#include "tests/support/client/websocket_client.h"
#include "tests/support/temp_folder.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <string.h>

#define SETTINGS                                                                                   \
    "[server]\nlisten_addr = \"127.0.0.1:0\"\nnode_id = \"n1\"\n"                                  \
    "[lease]\nttl_secs = 2\n[cluster]\nenabled = true\nbootstrap_grace_secs = 0\npeers = [%s]\n"

enum { INSTANCES = 60 };

static struct temp_folder folder;
static struct server_process server;
static struct http *http;
static struct websocket_client client;

static const char *write_peers(const char *peers)
{
    char text[512];
    snprintf(text, sizeof text, SETTINGS, peers);
    return temp_folder_write(&folder, "artemis.toml", text);
}

static bool is_ready(void *unused)
{
    (void)unused;
    return http_get(http, "/ready")->status == 200;
}

static int start(void **state)
{
    (void)state;
    temp_folder_make(&folder);
    server_process_start(&server, (const char *const[]){"--config", write_peers(""), NULL}, NULL);
    http = http_new(server.port);
    assert_true(wait_until(is_ready, NULL, wait_deadline_ms()));
    websocket_client_open(&client, server.port, "/ws");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    websocket_client_close(&client);
    http_free(http);
    server_process_stop(&server);
    temp_folder_remove(&folder);
    return 0;
}

static void subscribe(const char *topic)
{
    websocket_client_send_json(&client, "{'type':'subscribe_topic','topic':'%s'}", topic);
    check_json(websocket_client_next(&client), "type", "'subscribed_topic'");
}

static struct http_response *next_event(const char *kind)
{
    struct http_response *event = websocket_client_next(&client);
    check_json(event, "type", "'event'");
    assert_string_equal(check_text(event, "payload.kind"), kind);
    return event;
}

static void set_peers(const char *peers)
{
    write_peers(peers);
    check_status(http_post(http, "/api/admin/reload", "{}"), 200, "success", NULL);
}

static void members_that_join_and_leave_are_events(void **state)
{
    (void)state;
    subscribe("artemis.cluster");
    set_peers("\"127.0.0.1:1\",\"127.0.0.1:2\"");
    check_json(next_event("joined"), "payload.url", "'http://127.0.0.1:1'");
    check_json(next_event("joined"), "payload.url", "'http://127.0.0.1:2'");
    check_json(&client.message, "payload.members", "2");
    check_json(&client.message, "topic", "'artemis.cluster'");
    check_json(&client.message, "node_id", "'n1'");
    set_peers("\"127.0.0.1:1\"");
    check_json(next_event("left"), "payload.url", "'http://127.0.0.1:2'");
    check_contains(&client.message, "payload.reason", "static");
}

/* One of the node and one of the service, in any order. */
static void check_guards(const char *kind)
{
    int services = 0;
    for (int i = 0; i < 2; i++) {
        struct http_response *event = next_event(kind);
        check_json(event, "topic", "'artemis.guard'");
        services += strcmp(check_text(event, "payload.service_id"), "s") == 0;
    }
    assert_int_equal(services, 1);
}

static void guards_that_engage_and_are_released_are_events(void **state)
{
    (void)state;
    subscribe("artemis.guard");
    call_register_many(http, "s", INSTANCES);
    check_guards("engaged"); /* nobody renews them */
    check_status(http_post(http, "/api/status/leases/release", "{}"), 200, "success", NULL);
    check_guards("released");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(members_that_join_and_leave_are_events, start, stop),
        cmocka_unit_test_setup_teardown(guards_that_engage_and_are_released_are_events, start,
                                        stop),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
