/* SPDX-License-Identifier: Apache-2.0
 *
 * Events of topics between nodes: each subscriber at each node gets each event once, in the order
 * of its publisher; what happens when nodes restart, are stopped, or are of an earlier version.
 */
#include "tests/support/client/websocket_client.h"
#include "tests/support/servers/cluster.h"
#include "tests/support/servers/fake_server.h"
#include "tests/support/wait.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PUBLISH   "/api/events/publish"
#define SUBSCRIBE "{'type':'subscribe_topic','topic':'%s'}"
#define EVENTS    "/api/replication/registry/events"
#define RUN       "00000000000000aa"

enum { NODES = 3 };

static const char *const settings[] = {"cluster.health_interval_secs=1", "lease.ttl_secs=600",
                                       "ratelimit.client_events_per_second=0", NULL};
static struct cluster cluster;
static struct websocket_client subscribers[NODES];

static int start(void **state)
{
    (void)state;
    cluster_start(&cluster, NODES, settings);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    cluster_stop(&cluster);
    return 0;
}

static void subscribe(int node, const char *topic)
{
    websocket_client_open(&subscribers[node], cluster.ports[node], "/ws");
    websocket_client_send_json(&subscribers[node], SUBSCRIBE, topic);
    check_json(websocket_client_next(&subscribers[node]), "type", "'subscribed_topic'");
}

static void unsubscribe(int node)
{
    websocket_client_close(&subscribers[node]);
}

static void publish(int node, const char *topic, int payload)
{
    check_status(
        http_post(cluster.http[node], PUBLISH, "{'topic':'%s','payload':%d}", topic, payload), 200,
        "success", NULL);
}

static void check_event(int node, int payload)
{
    struct http_response *event = websocket_client_next(&subscribers[node]);
    check_json(event, "type", "'event'");
    assert_int_equal(check_integer(event, "payload"), payload);
}

/* Nothing waits for a subscriber. */
static void check_quiet(int node)
{
    websocket_client_send_json(&subscribers[node], "{'type':'ping'}");
    check_json(websocket_client_next(&subscribers[node]), "type", "'pong'");
}

static double metric_sum(int node, const char *prefix)
{
    double sum = 0;
    struct http_response *page = http_get(cluster.http[node], "/metrics");
    for (const char *line = page->body; (line = strstr(line, prefix)); line++) {
        const char *value = strchr(line, ' ');
        if (line == page->body || line[-1] == '\n')
            sum += strtod(value, NULL);
    }
    return sum;
}

struct wanted {
    int node;
    const char *prefix;
    double value;
};

static bool has_value(void *context)
{
    const struct wanted *wanted = context;
    return metric_sum(wanted->node, wanted->prefix) >= wanted->value;
}

static void wait_metric(int node, const char *prefix, double value)
{
    struct wanted wanted = {node, prefix, value};
    if (!wait_until(has_value, &wanted, wait_deadline_ms()))
        fail_msg("node %d: %s is %g", node, prefix, metric_sum(node, prefix));
}

/* --- nodes that are well ---------------------------------------------------------------------- */

static void event_reaches_the_subscribers_of_all_nodes_once_and_in_order(void **state)
{
    (void)state;
    enum { COUNT = 60 };
    int last[NODES][NODES] = {{0}}; /* at a node: the last number from each publisher */
    double dropped[NODES];          /* events of the start, when the peers were not up */
    double received[NODES];
    for (int node = 0; node < NODES; node++) {
        subscribe(node, "orders");
        dropped[node] = metric_sum(node, "artemis_peer_events_dropped_total{");
        received[node] = metric_sum(node, "artemis_events_received_total");
    }
    for (int i = 1; i <= COUNT; i++)
        for (int node = 0; node < NODES; node++)
            publish(node, "orders", node * 1000 + i);
    for (int node = 0; node < NODES; node++) {
        for (int i = 0; i < COUNT * NODES; i++) {
            int payload = (int)check_integer(websocket_client_next(&subscribers[node]), "payload");
            assert_int_equal(payload % 1000, ++last[node][payload / 1000]);
        }
        check_quiet(node);
        unsubscribe(node);
    }
    for (int node = 0; node < NODES; node++) {
        wait_metric(node, "artemis_peer_events_delivered_total{", 2 * COUNT);
        assert_int_equal(metric_sum(node, "artemis_events_received_total"),
                         received[node] + 2 * COUNT);
        assert_int_equal(metric_sum(node, "artemis_events_missed_total"), 0);
        assert_int_equal(metric_sum(node, "artemis_events_repeated_total"), 0);
        assert_int_equal(metric_sum(node, "artemis_peer_events_dropped_total{"), dropped[node]);
    }
}

/* --- what peers send -------------------------------------------------------------------------- */

static struct http_response *peer_post(int node, const char *body)
{
    char text[1024];
    snprintf(text, sizeof text, "%s", body);
    for (char *c = text; *c; c++)
        if (*c == '\'')
            *c = '"';
    return cluster_peer_call(cluster.http[node], "POST", EVENTS, text);
}

static struct http_response *peer_event(int node, const char *run, int number)
{
    char body[512];
    snprintf(body, sizeof body,
             "{'run':'%s','events':[{'number':%d,'time_ms':1,'topic':'t','payload':'%d'}]}", run,
             number, number);
    return peer_post(node, body);
}

/* A message that is repeated, that arrives late, or that is of an earlier process. */
static void message_of_a_peer_delivers_nothing_twice(void **state)
{
    (void)state;
    static const int numbers[] = {1, 1, 3, 2, 3, 4};
    subscribe(0, "t");
    subscribe(1, "t");
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        check_status(peer_event(0, RUN, numbers[i]), 200, "success", NULL);
    check_status(peer_event(0, "00000000000000bb", 1), 200, "success", NULL);
    check_status(peer_event(0, RUN, 4), 200, "success", NULL);
    check_event(0, 1);
    check_event(0, 3);
    check_event(0, 4);
    check_event(0, 1);
    check_quiet(0);
    check_quiet(1); /* it was not forwarded */
    unsubscribe(0);
    unsubscribe(1);
}

static void message_that_is_no_list_of_events_is_refused(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "",
        "{'run':'" RUN "'}",
        "{'events':[]}",
        "{'run':'" RUN "','to_run':'" RUN "','events':[]}", /* another process */
        "{'run':'" RUN "','events':[{'number':9,'time_ms':1,'topic':'T','payload':'1'}]}",
        "{'run':'" RUN "','events':[{'number':9,'time_ms':1,'topic':'t','payload':'1'},1]}",
        "{'run':'" RUN "','events':[{'number':9,'time_ms':1,'topic':'t','payload':1}]}",
        "{'run':'" RUN "','events':[{'number':9,'time_ms':1,'topic':'t','payload':'1}'}]}",
        "{'run':'" RUN "','events':[{'number':-9,'time_ms':1,'topic':'t','payload':'1'}]}",
    };
    subscribe(0, "t");
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        check_status(peer_post(0, bodies[i]), 400, "bad-request", "invalid-field");
    check_status(http_post(cluster.http[0], EVENTS, "{}"), 400, "bad-request", "not-a-peer");
    check_quiet(0);
    unsubscribe(0);
}

/* --- nodes that restart or do not respond ----------------------------------------------------- */

static void restarted_nodes_deliver_what_is_published_afterwards(void **state)
{
    (void)state;
    subscribe(0, "t");
    subscribe(2, "t");
    publish(1, "t", 1);
    check_event(0, 1);
    check_event(2, 1);
    cluster_kill_node(&cluster, 1);
    cluster_wait_health(&cluster, 0, cluster.ports[1], "down");
    cluster_wait_health(&cluster, 2, cluster.ports[1], "down");
    double dropped = metric_sum(0, "artemis_peer_events_dropped_total{");
    publish(0, "t", 2); /* the others get it */
    check_event(0, 2);
    check_event(2, 2);
    wait_metric(0, "artemis_peer_events_dropped_total{", dropped + 1);
    cluster_start_node(&cluster, 1, NULL);
    cluster_wait_ready(&cluster, 1);
    for (int node = 0; node < NODES; node++)
        for (int peer = 0; peer < NODES; peer++)
            if (node != peer)
                cluster_wait_health(&cluster, node, cluster.ports[peer], "up");
    subscribe(1, "t");
    publish(1, "t", 3); /* it numbers its events from 1 again */
    publish(1, "t", 4);
    for (int node = 0; node < NODES; node++) {
        check_event(node, 3);
        check_event(node, 4);
    }
    publish(0, "t", 5);
    for (int node = 0; node < NODES; node++) {
        check_event(node, 5);
        check_quiet(node);
        unsubscribe(node);
    }
}

/* It is stopped for longer than a message may take, so that messages are sent again. */
static void stopped_node_does_not_delay_others_and_delivers_nothing_twice(void **state)
{
    (void)state;
    enum { COUNT = 20 };
    subscribe(0, "t");
    subscribe(1, "t");
    subscribe(2, "t");
    kill(cluster.nodes[2].pid, SIGSTOP);
    for (int i = 1; i <= COUNT; i++) {
        publish(0, "t", i);
        check_event(1, i);
    }
    wait_metric(0, "artemis_replication_failures_total{", 1);
    kill(cluster.nodes[2].pid, SIGCONT);
    cluster_wait_health(&cluster, 0, cluster.ports[2], "up");
    publish(0, "t", COUNT + 1);
    int last = 0;
    while (last <= COUNT) { /* those that were dropped while it was down are missing */
        int payload = (int)check_integer(websocket_client_next(&subscribers[2]), "payload");
        assert_true(payload > last);
        last = payload;
    }
    for (int i = 1; i <= COUNT + 1; i++)
        check_event(0, i);
    check_quiet(0);
    check_quiet(2);
    for (int node = 0; node < NODES; node++)
        unsubscribe(node);
}

/* --- an older node ---------------------------------------------------------------------------- */

static void respond_as_older_node(const char *head, char *response, size_t size, void *context)
{
    (void)context;
    bool is_health = strncmp(head, "GET /health ", 12) == 0;
    const char *body = is_health ? "OK" : "{}";
    snprintf(response, size,
             "HTTP/1.1 %s\r\nContent-Length: 2\r\nX-Artemis-Node: older\r\n"
             "X-Artemis-Cluster: artemis\r\nX-Artemis-State: ready\r\n"
             "X-Artemis-Run: 0000000000000001\r\n\r\n%s",
             strstr(head, "/events ") ? "404 Not Found" : "200 OK", body);
}

static void older_node_without_the_path_stays_up(void **state)
{
    (void)state;
    struct fake_server older;
    cluster_plan(&cluster, 2, settings);
    fake_server_start_at(&older, cluster.ports[0], respond_as_older_node, NULL, NULL);
    cluster_start_node(&cluster, 1, NULL);
    cluster_wait_health(&cluster, 1, cluster.ports[0], "up");
    cluster_wait_ready(&cluster, 1);
    double dropped = metric_sum(1, "artemis_peer_events_dropped_total{");
    for (int i = 1; i <= 3; i++) {
        publish(1, "t", i);
        wait_metric(1, "artemis_peer_events_dropped_total{", dropped + i);
    }
    cluster_wait_health(&cluster, 1, cluster.ports[0], "up");
    assert_int_equal(metric_sum(1, "artemis_peer_events_delivered_total{"), 0);
    cluster_stop(&cluster);
    fake_server_stop(&older);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(event_reaches_the_subscribers_of_all_nodes_once_and_in_order),
        cmocka_unit_test(message_of_a_peer_delivers_nothing_twice),
        cmocka_unit_test(message_that_is_no_list_of_events_is_refused),
        cmocka_unit_test(restarted_nodes_deliver_what_is_published_afterwards),
        cmocka_unit_test(stopped_node_does_not_delay_others_and_delivers_nothing_twice),
    };
    const struct CMUnitTest older[] = {
        cmocka_unit_test(older_node_without_the_path_stays_up),
    };
    int failures = cmocka_run_group_tests(tests, start, stop);
    return server_process_finish(failures + cmocka_run_group_tests(older, NULL, NULL));
}
