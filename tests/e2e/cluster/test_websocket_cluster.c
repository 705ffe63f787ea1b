/* SPDX-License-Identifier: Apache-2.0
 *
 * Subscribers of a cluster: every node pushes the changes of all nodes, and a client that moves to
 * another node misses no change, whether it subscribes with its version or polls by HTTP.
 */
#include "tests/support/client/raw_socket.h"
#include "tests/support/client/websocket_client.h"
#include "tests/support/servers/cluster.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <string.h>

#define SUBSCRIBE "{'type':'subscribe','service_id':'%s'}"

static const char *const settings[] = {"cluster.health_interval_secs=1", "lease.ttl_secs=600",
                                       NULL};
static struct cluster cluster;

/* The position of a subscriber when it disconnects. */
struct place {
    long long version;
    char run[32];
};

static int start(void **state)
{
    (void)state;
    cluster_start(&cluster, 3, settings);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    cluster_stop(&cluster);
    return 0;
}

static struct place subscribe(struct websocket_client *client, int node, const char *service_id)
{
    struct place place = {0};
    websocket_client_open(client, cluster.ports[node], "/ws");
    websocket_client_send_json(client, SUBSCRIBE, service_id);
    struct http_response *response = websocket_client_next(client);
    check_json(response, "type", "'subscribed'");
    place.version = check_integer(response, "version");
    snprintf(place.run, sizeof place.run, "%s", check_text(response, "run"));
    return place;
}

static void subscribe_from(struct websocket_client *client, int node, const char *service_id,
                           const struct place *place)
{
    websocket_client_open(client, cluster.ports[node], "/ws");
    websocket_client_send_json(client,
                               "{'type':'subscribe','service_id':'%s','version':%lld,'run':'%s'}",
                               service_id, place->version, place->run);
    check_json(websocket_client_next(client), "type", "'subscribed'");
}

static void unregister(int node, const char *service_id, const char *instance_id)
{
    check_status(http_post(cluster.http[node], UNREGISTER, "{'instance_keys':[" KEY "]}",
                           service_id, instance_id),
                 200, "success", NULL);
}

static struct http_response *next_change(struct websocket_client *client, const char *instance_id,
                                         const char *type)
{
    struct http_response *pushed = websocket_client_next(client);
    check_json(pushed, "type", "'service_change'");
    assert_string_equal(check_text(pushed, "changes[0].instance.instance_id"), instance_id);
    assert_string_equal(check_text(pushed, "changes[0].change_type"), type);
    return pushed;
}

static void change_at_one_node_is_pushed_by_all(void **state)
{
    (void)state;
    struct websocket_client clients[3];
    for (int node = 0; node < 3; node++)
        subscribe(&clients[node], node, "everywhere");
    call_register(cluster.http[0], "everywhere", "i1");
    for (int node = 0; node < 3; node++)
        next_change(&clients[node], "i1", "new");
    unregister(1, "everywhere", "i1");
    for (int node = 0; node < 3; node++) {
        next_change(&clients[node], "i1", "delete");
        websocket_client_check_quiet(&clients[node]); /* each change once */
        websocket_client_close(&clients[node]);
    }
}

static void change_at_one_node_ends_a_long_poll_at_another(void **state)
{
    (void)state;
    struct raw_socket raw;
    call_register(cluster.http[0], "waited-for", "i1");
    cluster_wait_count(&cluster, "waited-for", 1);
    struct http_response *response =
        http_get(cluster.http[1], "/api/discovery/service?service_id=waited-for&wait=0s");
    raw_socket_open(&raw, cluster.ports[1]);
    raw_socket_sendf(
        &raw,
        "GET /api/discovery/service?service_id=waited-for&version=%lld&run=%s&wait=60s "
        "HTTP/1.1\r\nHost: a\r\n\r\n",
        (long long)check_integer(response, "version"), http_field(response, "X-Artemis-Run"));
    call_wait_metric(cluster.http[1], "artemis_waiting_requests", 1);
    call_register(cluster.http[2], "waited-for", "i2");
    assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
    check_count(&raw.response, "service.instances", 2);
    raw_socket_close(&raw);
}

static void client_that_moves_to_another_node_misses_no_change(void **state)
{
    (void)state;
    struct websocket_client client;
    struct place place = subscribe(&client, 0, "moved");
    call_register(cluster.http[0], "moved", "i1");
    next_change(&client, "i1", "new");
    call_register(cluster.http[0], "moved", "i2");
    place.version = check_integer(next_change(&client, "i2", "new"), "version");
    websocket_client_close(&client);
    /* While it is disconnected, one instance leaves and one registers. */
    unregister(1, "moved", "i1");
    call_register(cluster.http[1], "moved", "i3");
    cluster_wait_agreement(&cluster);
    subscribe_from(&client, 1, "moved", &place);
    struct http_response *pushed = next_change(&client, "reload", "reload");
    check_count(pushed, "changes", 3);
    for (int i = 1; i < 3; i++) {
        char path[64];
        snprintf(path, sizeof path, "changes[%d].instance.instance_id", i);
        const char *id = check_text(pushed, path);
        assert_true(strcmp(id, "i2") == 0 || strcmp(id, "i3") == 0);
    }
    call_register(cluster.http[2], "moved", "i4");
    next_change(&client, "i4", "new");
    websocket_client_close(&client);
}

static void client_that_returns_to_its_node_gets_the_missed_changes_only(void **state)
{
    (void)state;
    struct websocket_client client;
    struct place place = subscribe(&client, 2, "back");
    call_register(cluster.http[0], "back", "i1");
    place.version = check_integer(next_change(&client, "i1", "new"), "version");
    websocket_client_close(&client);
    subscribe_from(&client, 2, "back", &place);
    websocket_client_check_quiet(&client);
    websocket_client_close(&client);
    call_register(cluster.http[0], "back", "i2");
    cluster_wait_count(&cluster, "back", 2);
    struct http_response *delta =
        http_get(cluster.http[2], "/api/discovery/services-delta?version=%lld", place.version);
    check_status(delta, 200, "success", NULL);
    check_count(delta, "delta.back", 1);
    check_json(delta, "delta.back[0].instance.instance_id", "'i2'");
    place.version = check_integer(delta, "version");
    subscribe_from(&client, 2, "back", &place);
    websocket_client_check_quiet(&client);
    call_register(cluster.http[0], "back", "i3");
    next_change(&client, "i3", "new");
    websocket_client_close(&client);
}

static void subscriber_of_a_killed_node_continues_at_another(void **state)
{
    (void)state;
    struct websocket_client client;
    struct place place = subscribe(&client, 0, "survivor");
    call_register(cluster.http[0], "survivor", "i1");
    place.version = check_integer(next_change(&client, "i1", "new"), "version");
    cluster_wait_count(&cluster, "survivor", 1);
    cluster_kill_node(&cluster, 0);
    assert_int_equal(websocket_client_receive(&client, wait_deadline_ms()), GOT_END);
    websocket_client_close(&client);
    subscribe_from(&client, 1, "survivor", &place);
    struct http_response *pushed = next_change(&client, "reload", "reload");
    check_count(pushed, "changes", 2);
    check_json(pushed, "changes[1].instance.instance_id", "'i1'");
    call_register(cluster.http[2], "survivor", "i2");
    next_change(&client, "i2", "new");
    websocket_client_close(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(change_at_one_node_is_pushed_by_all),
        cmocka_unit_test(change_at_one_node_ends_a_long_poll_at_another),
        cmocka_unit_test(client_that_moves_to_another_node_misses_no_change),
        cmocka_unit_test(client_that_returns_to_its_node_gets_the_missed_changes_only),
        cmocka_unit_test(subscriber_of_a_killed_node_continues_at_another), /* the last */
    };
    return server_process_finish(cmocka_run_group_tests(tests, start, stop));
}
