/* SPDX-License-Identifier: Apache-2.0
 *
 * Nodes that find each other by an API server of Kubernetes, which is not a real one: nodes join,
 * leave and die; the server is lost, forgets versions, drops watches, and wants another token.
 */
#include "tests/support/parallel.h"
#include "tests/support/servers/api/kubernetes_api.h"
#include "tests/support/servers/cluster.h"
#include "tests/support/servers/member_node.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SETTINGS_BYTES = 320 };

static struct kubernetes_api api;
static struct member_node nodes[MEMBER_NODES_MAX];
static uint16_t peer_port;

static int tear_down(void **state)
{
    (void)state;
    member_node_stop_all(nodes);
    kubernetes_api_free(&api);
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    peer_port = cluster_choose_port();
    kubernetes_api_init(&api, peer_port, false);
    return 0;
}

static int set_up_tls(void **state)
{
    (void)state;
    peer_port = cluster_choose_port();
    kubernetes_api_init(&api, peer_port, true);
    return 0;
}

static void start_node_with(int number, const char *lease)
{
    char server[SETTINGS_BYTES];
    char folder[SETTINGS_BYTES];
    const char *settings[] = {"cluster.provider=kubernetes",
                              "cluster.kubernetes.service=artemis",
                              server,
                              folder,
                              lease,
                              NULL};
    snprintf(server, sizeof server, "cluster.kubernetes.api_server=%s", api.http.url);
    snprintf(folder, sizeof folder, "cluster.kubernetes.account_dir=%s", api.http.folder.path);
    member_node_start(nodes, number, peer_port, settings);
}

static void start_node(int number)
{
    start_node_with(number, "cluster.kubernetes.lease_secs=15");
}

static struct kubernetes_pod pod_of(int number)
{
    struct kubernetes_pod pod = {.zone = "zone-a"};
    snprintf(pod.name, sizeof pod.name, "node%d", number);
    snprintf(pod.address, sizeof pod.address, "127.0.0.%d", number + 1);
    return pod;
}

/* A pod that is not ready, as each one at its start. */
static void put_pod(int number)
{
    struct kubernetes_pod pod = pod_of(number);
    kubernetes_api_put_pod(&api, &pod);
}

static void start_two_nodes(void)
{
    put_pod(1);
    put_pod(2);
    start_node(1);
    start_node(2);
    member_node_wait_mesh(nodes);
}

static bool has_lease(void *context)
{
    return kubernetes_api_has_lease(&api, context);
}

static bool has_no_lease(void *context)
{
    return !kubernetes_api_has_lease(&api, context);
}

static void wait_lease(char *name, bool exists)
{
    if (!wait_until(exists ? has_lease : has_no_lease, name, wait_deadline_ms()))
        fail_msg("the Lease %s %s", name, exists ? "is missing" : "is still there");
}

/* --- join and leave --------------------------------------------------------------------------- */

static void nodes_find_each_other_and_replicate(void **state)
{
    (void)state;
    kubernetes_api_start(&api);
    start_two_nodes();
    struct http_response *response = http_get(nodes[1].http, "/api/status/cluster");
    check_json(response, "membership.members", "2");
    check_json(response, "membership.providers[0].name", "'kubernetes'");
    check_json(response, "membership.providers[0].state", "'up'");
    call_register(nodes[1].http, "shop", "i0");
    call_register(nodes[2].http, "shop", "i1");
    member_node_wait_count(nodes, "shop", 2);
    wait_lease("artemis.node1", true);
    wait_lease("artemis.node2", true);
}

static void pods_join_and_leave_over_tls(void **state)
{
    (void)state;
    kubernetes_api_start(&api);
    start_two_nodes();
    call_register_many(nodes[1].http, "shop", 50);
    put_pod(3);
    start_node(3);
    member_node_wait_ready(&nodes[3]);
    assert_int_equal(call_count(nodes[3].http, "shop"), 50); /* copied before it was ready */
    member_node_wait_peers(&nodes[1], "node2 node3");
    member_node_wait_peers(&nodes[3], "node1 node2");
    /* The endpoint of a pod that shuts down stays for a while. */
    struct kubernetes_pod pod = pod_of(1);
    pod.is_terminating = true;
    kubernetes_api_put_pod(&api, &pod);
    member_node_wait_peers(&nodes[2], "node3");
    member_node_stop(&nodes[1]);
    kubernetes_api_remove_pod(&api, "node1");
    wait_lease("artemis.node1", false);
    call_register(nodes[3].http, "late", "i0");
    member_node_wait_count(nodes, "late", 1);
    member_node_wait_peers(&nodes[3], "node2");
}

static void node_that_shuts_down_leaves_before_its_endpoint(void **state)
{
    (void)state;
    kubernetes_api_start(&api);
    put_pod(3);
    start_node(3);
    put_pod(1);
    start_node(1);
    member_node_wait_peers(&nodes[1], "node3");
    member_node_stop(&nodes[3]);
    wait_lease("artemis.node3", false);
    member_node_wait_peers(&nodes[1], "");
    start_node(3); /* the container is started again in the same pod */
    member_node_wait_peers(&nodes[1], "node3");
}

static void dead_node_leaves_although_its_endpoint_stays(void **state)
{
    (void)state;
    kubernetes_api_start(&api);
    for (int i = 1; i <= 2; i++) {
        put_pod(i);
        start_node_with(i, "cluster.kubernetes.lease_secs=3");
    }
    member_node_wait_peers(&nodes[1], "node2");
    wait_lease("artemis.node2", true);
    member_node_kill(&nodes[2]);
    member_node_wait_peers(&nodes[1], "");
    assert_true(kubernetes_api_has_lease(&api, "artemis.node2"));
    start_node_with(2, "cluster.kubernetes.lease_secs=3");
    member_node_wait_mesh(nodes);
}

/* --- failures --------------------------------------------------------------------------------- */

static bool has_problem(void *context)
{
    return strstr(member_node_wait_provider(&nodes[1], "failing"), context) != NULL;
}

static void wait_problem(char *text)
{
    if (!wait_until(has_problem, text, wait_deadline_ms()))
        fail_msg("the problem is: %s", member_node_wait_provider(&nodes[1], "failing"));
}

static void lost_server_changes_nothing(void **state)
{
    (void)state;
    kubernetes_api_start(&api);
    start_two_nodes();
    kubernetes_api_stop(&api);
    wait_problem("endpointslices"); /* a request for a Lease may have failed first */
    member_node_wait_peers(&nodes[1], "node2");
    member_node_wait_ready(&nodes[1]);
    call_register(nodes[1].http, "shop", "i0");
    member_node_wait_count(nodes, "shop", 1);
    assert_non_null(strstr(http_get(nodes[1].http, "/metrics")->body,
                           "artemis_cluster_provider_up{provider=\"kubernetes\"} 0\n"));
    put_pod(3);
    kubernetes_api_start(&api);
    start_node(3);
    member_node_wait_peers(&nodes[1], "node2 node3");
    assert_string_equal(member_node_wait_provider(&nodes[1], "up"), "");
}

static void dropped_watch_is_resumed(void **state)
{
    (void)state;
    kubernetes_api_start(&api);
    start_two_nodes();
    unsigned lists = json_api_count(&api.http, &api.lists[API_SLICES]);
    unsigned watches = json_api_count(&api.http, &api.watches[API_SLICES]);
    kubernetes_api_drop_watches(&api);
    put_pod(3);
    start_node(3);
    member_node_wait_peers(&nodes[1], "node2 node3");
    member_node_wait_peers(&nodes[2], "node1 node3");
    json_api_wait_above(&api.http, &api.watches[API_SLICES], watches + 2);
    assert_int_equal(json_api_count(&api.http, &api.lists[API_SLICES]), lists + 1); /* node 3 */
    assert_string_equal(member_node_wait_provider(&nodes[1], "up"), "");
}

static void check_forgotten_version(void)
{
    kubernetes_api_start(&api);
    start_two_nodes();
    unsigned lists = json_api_count(&api.http, &api.lists[API_SLICES]);
    kubernetes_api_stop(&api);
    kubernetes_api_forget(&api);
    put_pod(3);
    kubernetes_api_forget(&api);
    kubernetes_api_start(&api);
    json_api_wait_above(&api.http, &api.lists[API_SLICES], lists + 1);
    start_node(3);
    member_node_wait_peers(&nodes[1], "node2 node3");
    member_node_wait_peers(&nodes[2], "node1 node3");
    assert_string_equal(member_node_wait_provider(&nodes[1], "up"), "");
}

static void forgotten_version_leads_to_a_list(void **state)
{
    (void)state;
    check_forgotten_version();
}

static void forgotten_version_in_an_event_leads_to_a_list(void **state)
{
    (void)state;
    api.is_gone_event = true;
    check_forgotten_version();
}

static void replaced_token_is_read(void **state)
{
    (void)state;
    kubernetes_api_start(&api);
    start_two_nodes();
    unsigned rejected = json_api_count(&api.http, &api.rejected_tokens);
    kubernetes_api_rotate_token(&api);
    kubernetes_api_drop_watches(&api);
    put_pod(3);
    start_node(3);
    member_node_wait_peers(&nodes[1], "node2 node3");
    assert_int_equal(json_api_count(&api.http, &api.rejected_tokens), rejected);
}

static void write_server(char text[4 * SETTINGS_BYTES], const char *host, unsigned port)
{
    snprintf(text, 4 * SETTINGS_BYTES,
             "[cluster.kubernetes]\nservice = \"artemis\"\napi_server = \"http://%s:%u\"\n"
             "account_dir = \"%s\"\nlease_secs = %d\n",
             host, port, api.http.folder.path, strcmp(host, "localhost") == 0 ? 3 : 15);
}

static void reloaded_server_keeps_the_lease(void **state)
{
    (void)state;
    static const char file[] = "artemis.toml";
    char text[4 * SETTINGS_BYTES];
    kubernetes_api_start(&api);
    put_pod(1);
    put_pod(2);
    start_node(2);
    write_server(text, "127.0.0.1", 1); /* nobody listens there */
    member_node_start_with(nodes, 1, peer_port, temp_folder_write(&api.http.folder, file, text),
                           (const char *const[]){"cluster.provider=kubernetes", NULL});
    member_node_wait_provider(&nodes[1], "failing");
    write_server(text, "127.0.0.1", api.http.port);
    member_node_reload(&nodes[1], &api.http.folder, file, text);
    member_node_wait_mesh(nodes);
    wait_lease("artemis.node1", true);
    unsigned lists = json_api_count(&api.http, &api.lists[API_SLICES]);
    write_server(text, "localhost", api.http.port); /* and another duration of the Lease */
    member_node_reload(&nodes[1], &api.http.folder, file, text);
    json_api_wait_above(&api.http, &api.lists[API_SLICES], lists);
    put_pod(3);
    start_node(3);
    member_node_wait_mesh(nodes);
    assert_true(kubernetes_api_has_lease(&api, "artemis.node1"));
    assert_null(strstr(http_get(nodes[2].http, "/api/cluster/events")->body, "\"kind\":\"left\""));
    assert_string_equal(member_node_wait_provider(&nodes[1], "up"), "");
}

/* The reload names a folder that is mounted only later. Until then the node works as before. */
static void reloaded_folder_is_used_as_soon_as_it_is_there(void **state)
{
    (void)state;
    static const char file[] = "artemis.toml";
    char text[4 * SETTINGS_BYTES];
    kubernetes_api_start(&api);
    put_pod(1);
    put_pod(2);
    start_node(2);
    write_server(text, "127.0.0.1", api.http.port);
    member_node_start_with(nodes, 1, peer_port, temp_folder_write(&api.http.folder, file, text),
                           (const char *const[]){"cluster.provider=kubernetes", NULL});
    member_node_wait_mesh(nodes);
    snprintf(text, sizeof text,
             "[cluster.kubernetes]\nservice = \"artemis\"\napi_server = \"http://localhost:%u\"\n"
             "account_dir = \"%s/later\"\n",
             api.http.port, api.http.folder.path);
    member_node_reload(&nodes[1], &api.http.folder, file, text);
    wait_problem("cluster.kubernetes.account_dir has no file with the namespace");
    member_node_wait_mesh(nodes);
    unsigned lists = json_api_count(&api.http, &api.lists[API_SLICES]);
    temp_folder_write(&api.http.folder, "later/ca.crt", "");
    temp_folder_write(&api.http.folder, "later/token", api.token);
    temp_folder_write(&api.http.folder, "later/namespace", "prod");
    assert_string_equal(member_node_wait_provider(&nodes[1], "up"), "");
    json_api_wait_above(&api.http, &api.lists[API_SLICES], lists);
    put_pod(3);
    start_node(3);
    member_node_wait_mesh(nodes);
}

static void errors_are_named_and_end(void **state)
{
    (void)state;
    kubernetes_api_set_status(&api, API_SLICES, 403);
    kubernetes_api_start(&api);
    put_pod(1);
    put_pod(2);
    start_node_with(1, "cluster.kubernetes.lease_secs=3");
    wait_problem("lacks the verb \"list\" for endpointslices (discovery.k8s.io) in the namespace "
                 "prod");
    kubernetes_api_set_status(&api, API_SLICES, 429);
    start_node(2);
    kubernetes_api_set_status(&api, API_SLICES, 0);
    member_node_wait_peers(&nodes[1], "node2");
    member_node_wait_provider(&nodes[1], "up");
    kubernetes_api_set_status(&api, API_LEASES, 403);
    kubernetes_api_drop_watches(&api);
    wait_problem("leases (coordination.k8s.io)");
    kubernetes_api_set_status(&api, API_LEASES, 200); /* with a body that is no Lease */
    wait_problem("list of leases: the response cannot be read");
    unsigned requests = json_api_count(&api.http, &api.odd_responses);
    json_api_wait_above(&api.http, &api.odd_responses, requests);
    kubernetes_api_set_status(&api, API_LEASES, 0);
    member_node_wait_provider(&nodes[1], "up");
    member_node_wait_peers(&nodes[1], "node2");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nodes_find_each_other_and_replicate),
        cmocka_unit_test_setup_teardown(pods_join_and_leave_over_tls, set_up_tls, tear_down),
        TEST(node_that_shuts_down_leaves_before_its_endpoint),
        TEST(dead_node_leaves_although_its_endpoint_stays),
        TEST(lost_server_changes_nothing),
        TEST(dropped_watch_is_resumed),
        TEST(forgotten_version_leads_to_a_list),
        TEST(forgotten_version_in_an_event_leads_to_a_list),
        TEST(replaced_token_is_read),
        TEST(reloaded_server_keeps_the_lease),
        TEST(reloaded_folder_is_used_as_soon_as_it_is_there),
        TEST(errors_are_named_and_end),
    };
    return PARALLEL_RUN(tests);
}
