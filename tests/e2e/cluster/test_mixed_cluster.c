/* SPDX-License-Identifier: Apache-2.0
 *
 * A node beside one of the older Rust Artemis: it bootstraps from that node, sends only what that
 * node can read, and stamps what it receives with the time of receipt.
 */
#include "tests/support/client/prometheus.h"
#include "tests/support/servers/cluster.h"
#include "tests/support/servers/legacy_node.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <string.h>

static struct legacy_node *legacy;
static struct server_process ours;
static struct http *http;

static void start_beside(enum legacy_version version, const char *services)
{
    char peers[64];
    legacy = legacy_node_start(version, services);
    snprintf(peers, sizeof peers, "cluster.peers=http://127.0.0.1:%u", legacy_node_port(legacy));
    server_process_start(&ours,
                         (const char *const[]){"--set", "cluster.enabled=true", "--set",
                                               "cluster.bootstrap_grace_secs=0", "--set", peers,
                                               "--set", "replication.anti_entropy_secs=1", NULL},
                         NULL);
    http = http_new(ours.port);
}

static int stop(void **state)
{
    (void)state;
    server_process_stop(&ours);
    http_free(http);
    legacy_node_stop(legacy);
    return 0;
}

static bool is_ready(void *context)
{
    (void)context;
    return http_get(http, "/ready")->status == 200;
}

static void wait_ready(void)
{
    assert_true(wait_until(is_ready, NULL, wait_deadline_ms()));
}

static bool legacy_has(void *context)
{
    return legacy_node_has(legacy, "shop", context);
}

static bool legacy_has_not(void *context)
{
    return !legacy_node_has(legacy, "shop", context);
}

static bool legacy_was_renewed(void *context)
{
    return legacy_node_renewals(legacy, "shop", context) >= 2;
}

/* Sends a replication call as the legacy node does. */
static struct http_response *legacy_call(const char *call, const char *body)
{
    static const char *const fields[] = {"X-Artemis-Replication: true",
                                         "Content-Type: application/json", NULL};
    char path[100];
    snprintf(path, sizeof path, "/api/replication/registry/%s", call);
    return http_send(http, &(struct http_request){.method = "POST",
                                                  .path = path,
                                                  .fields = fields,
                                                  .body = body,
                                                  .body_size = strlen(body)});
}

/* --- tests ------------------------------------------------------------------------------------ */

static void check_bootstrap(void)
{
    wait_ready();
    assert_int_equal(call_count(http, "elder"), 2);
    struct http_response *response = http_get(http, "/api/status/cluster");
    check_json(response, "peers[0].plain", "true");
    check_json(response, "peers[0].health", "'up'");
}

static void node_bootstraps_from_a_snake_case_node(void **state)
{
    (void)state;
    start_beside(LEGACY_SNAKE,
                 "[{'service_id':'elder','instances':["
                 "{'region_id':'local','zone_id':'z','service_id':'elder','instance_id':'e1',"
                 "'ip':'10.0.0.9','port':90,'url':'http://10.0.0.9:90','status':'up'},"
                 "{'region_id':'local','zone_id':'z','service_id':'elder','instance_id':'e2',"
                 "'ip':'10.0.0.8','port':90,'url':'http://10.0.0.8:90','status':'up'}]}]");
    check_bootstrap();
}

static void node_bootstraps_from_a_camel_case_node(void **state)
{
    (void)state;
    start_beside(LEGACY_CAMEL,
                 "[{'serviceId':'elder','instances':["
                 "{'regionId':'local','zoneId':'z','serviceId':'elder','instanceId':'e1',"
                 "'ip':'10.0.0.9','port':90,'url':'http://10.0.0.9:90','status':'up'},"
                 "{'regionId':'local','zoneId':'z','serviceId':'elder','instanceId':'e2',"
                 "'ip':'10.0.0.8','port':90,'url':'http://10.0.0.8:90','status':'up'}]}]");
    check_bootstrap();
}

/* Registers, renews and unregisters here until the legacy node has received all of it. */
static void check_updates(enum legacy_version version)
{
    start_beside(version, NULL);
    wait_ready();
    call_register_many(http, "shop", 5);
    /* An unknown status, a missing group, and nothing but a url. */
    check_status(http_post(http, REGISTER,
                           "{'instances':[{" INSTANCE_FIELDS ",'status':'on-holiday'},"
                           "{'region_id':'lab','zone_id':'zone1','service_id':'shop',"
                           "'instance_id':'u','url':'http://a.lab:81','machine_name':'m',"
                           "'health_check_url':'http://a.lab:81/up'}]}",
                           "shop", "odd"),
                 200, "success", NULL);
    assert_true(wait_until(legacy_has, "i4", wait_deadline_ms()));
    assert_true(wait_until(legacy_has, "odd", wait_deadline_ms()));
    assert_true(wait_until(legacy_has, "u", wait_deadline_ms()));
    int64_t deadline_ms = wait_deadline_ms();
    while (!legacy_was_renewed("i0") && wait_now_ms() < deadline_ms) {
        check_status(call_with_keys(http, HEARTBEAT, "shop", 0, 5), 200, "success", NULL);
        wait_for_time(wait_now_ms() + 20);
    }
    assert_true(legacy_was_renewed("i0"));
    check_status(call_with_keys(http, UNREGISTER, "shop", 0, 5), 200, "success", NULL);
    assert_true(wait_until(legacy_has_not, "i4", wait_deadline_ms()));
    check_json(http_get(http, "/api/status/cluster"), "peers[0].health", "'up'");
}

static void snake_case_node_gets_what_it_can_read(void **state)
{
    (void)state;
    check_updates(LEGACY_SNAKE);
}

static void camel_case_node_gets_what_it_can_read(void **state)
{
    (void)state;
    check_updates(LEGACY_CAMEL);
}

static bool is_incompatible(void *unused)
{
    (void)unused;
    static size_t next;
    call_register_many(http, "shop", ++next % 50); /* something to reject */
    struct http_response *response = http_get(http, "/api/status/cluster");
    return strcmp(check_text(response, "peers[0].health"), "incompatible") == 0;
}

static void node_that_rejects_every_update_is_incompatible(void **state)
{
    (void)state;
    start_beside(LEGACY_REJECTS, NULL);
    wait_ready();
    assert_true(wait_until(is_incompatible, NULL, wait_deadline_ms()));
    struct http_response *response = http_get(http, "/api/status/cluster");
    check_contains(response, "peers[0].last_error", "HTTP 422");
    check_json(response, "nodes_status[1].status", "'down'");
    response = http_get(http, "/metrics");
    assert_true(prometheus_sum(response->body, "artemis_peer_up", "") == 0);
    response = http_get(http, "/api/cluster/up-discovery-nodes");
    check_count(response, "nodes", 1);
}

static void record_of_a_legacy_node_gets_the_time_of_receipt(void **state)
{
    (void)state;
    start_beside(LEGACY_SNAKE, NULL);
    wait_ready();
    check_status(legacy_call("register.json",
                             "{\"instances\":[{\"region_id\":\"local\",\"zone_id\":\"z\","
                             "\"service_id\":\"far\",\"instance_id\":\"f1\",\"ip\":\"10.0.0.9\","
                             "\"port\":90,\"url\":\"http://10.0.0.9:90\",\"status\":\"up\"}]}"),
                 200, "success", NULL);
    assert_int_equal(call_count(http, "far"), 1);
    struct http_response *response = legacy_call(
        "heartbeat.json", "{\"instance_keys\":[{\"region_id\":\"local\",\"zone_id\":\"z\","
                          "\"service_id\":\"far\",\"group_id\":\"\",\"instance_id\":\"f1\"}]}");
    check_status(response, 200, "success", NULL);
    response = legacy_call("unregister.json",
                           "{\"instance_keys\":[{\"region_id\":\"local\",\"zone_id\":\"z\","
                           "\"service_id\":\"far\",\"group_id\":\"\",\"instance_id\":\"f1\"}]}");
    check_status(response, 200, "success", NULL);
    assert_int_equal(call_count(http, "far"), 0);
    assert_false(legacy_node_has(legacy, "far", "f1")); /* it does not get its own record back */
}

/* --- a legacy node and another one ------------------------------------------------------------ */

static struct cluster cluster;

static int stop_cluster(void **state)
{
    (void)state;
    cluster_stop(&cluster);
    legacy_node_stop(legacy);
    return 0;
}

static void check_elder(int node)
{
    struct http_response *response =
        http_get(cluster.http[node], "/api/discovery/service?service_id=elder&status=all");
    check_count(response, "service.instances", 1);
    check_json(response, "service.instances[0].instance_id", "'e1'");
    check_json(response, "service.instances[0].port", "91");
}

/* Node 0 has a newer e1 and the tombstone of e2. It does not respond until node 1, which starts,
 * knows the legacy node. */
static void list_of_a_legacy_node_replaces_nothing(void **state)
{
    (void)state;
    char peers[128];
    legacy = legacy_node_start(
        LEGACY_SNAKE, "[{'service_id':'elder','instances':["
                      "{'region_id':'local','zone_id':'z','service_id':'elder','instance_id':'e1',"
                      "'ip':'10.0.0.9','port':90,'url':'http://10.0.0.9:90','status':'up'},"
                      "{'region_id':'local','zone_id':'z','service_id':'elder','instance_id':'e2',"
                      "'ip':'10.0.0.8','port':90,'url':'http://10.0.0.8:90','status':'up'}]}]");
    cluster_plan(&cluster, 2, (const char *const[]){"replication.anti_entropy_secs=1", NULL});
    cluster_start_node(&cluster, 0, NULL);
    cluster_wait_ready(&cluster, 0);
    check_status(http_post(cluster.http[0], REGISTER,
                           "{'instances':[{'region_id':'local','zone_id':'z','service_id':'elder',"
                           "'instance_id':'e1','ip':'10.0.0.9','port':91}]}"),
                 200, "success", NULL);
    check_status(http_post(cluster.http[0], UNREGISTER,
                           "{'instance_keys':[{'region_id':'local','zone_id':'z',"
                           "'service_id':'elder','instance_id':'e2'}]}"),
                 200, "success", NULL);
    snprintf(peers, sizeof peers, "cluster.peers=http://127.0.0.1:%u,http://127.0.0.1:%u",
             legacy_node_port(legacy), cluster.ports[0]);
    server_process_suspend(&cluster.nodes[0]);
    cluster_start_node(&cluster, 1, peers);
    cluster_wait_health(&cluster, 1, legacy_node_port(legacy), "up");
    server_process_continue(&cluster.nodes[0]);
    cluster_wait_ready(&cluster, 1);
    cluster_wait_agreement(&cluster);
    check_elder(0);
    check_elder(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(node_bootstraps_from_a_snake_case_node, stop),
        cmocka_unit_test_teardown(node_bootstraps_from_a_camel_case_node, stop),
        cmocka_unit_test_teardown(snake_case_node_gets_what_it_can_read, stop),
        cmocka_unit_test_teardown(camel_case_node_gets_what_it_can_read, stop),
        cmocka_unit_test_teardown(node_that_rejects_every_update_is_incompatible, stop),
        cmocka_unit_test_teardown(record_of_a_legacy_node_gets_the_time_of_receipt, stop),
        cmocka_unit_test_teardown(list_of_a_legacy_node_replaces_nothing, stop_cluster),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
