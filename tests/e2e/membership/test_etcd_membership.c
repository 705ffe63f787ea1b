/* SPDX-License-Identifier: Apache-2.0
 *
 * Nodes that find each other by a real etcd: they join and leave, a silent one is removed with its
 * lease, and an etcd that is killed, compacted, erased or changed by hand takes no node away.
 */
#include "tests/support/certificates.h"
#include "tests/support/parallel.h"
#include "tests/support/servers/cluster.h"
#include "tests/support/servers/etcd_server.h"
#include "tests/support/servers/member_node.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SETTINGS_BYTES = 320 };

static struct etcd_server etcd;
static struct member_node nodes[MEMBER_NODES_MAX];
static struct temp_folder folder; /* of certificates */
static uint16_t peer_port;

static int set_up(void **state)
{
    (void)state;
    if (etcd_server_is_installed())
        peer_port = cluster_choose_port();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    member_node_stop_all(nodes);
    etcd_server_free(&etcd);
    if (folder.path[0])
        temp_folder_remove(&folder);
    folder.path[0] = '\0';
    return 0;
}

/* Where etcd is not installed, CI fails before the tests: it installs the package. */
#define NEED_ETCD()                                                                                \
    do {                                                                                           \
        if (!etcd_server_is_installed())                                                           \
            skip();                                                                                \
    } while (0)

/* A node with more settings, which end with NULL. */
static void start_node_with(int number, const char *const more[])
{
    char endpoints[SETTINGS_BYTES];
    const char *settings[MEMBER_SETTINGS_MAX] = {"cluster.provider=etcd", endpoints};
    size_t count = 2;
    snprintf(endpoints, sizeof endpoints, "cluster.etcd.endpoints=%s", etcd.endpoints);
    for (size_t i = 0; more && more[i]; i++)
        settings[count++] = more[i];
    settings[count] = NULL;
    member_node_start(nodes, number, peer_port, settings);
}

static void start_node(int number)
{
    start_node_with(number, NULL);
}

static void start_etcd(size_t members)
{
    etcd_server_plan(&etcd, members);
    etcd_server_start(&etcd);
}

static void start_two_nodes(void)
{
    start_node(1);
    start_node(2);
    member_node_wait_mesh(nodes);
}

/* --- joining and leaving ---------------------------------------------------------------------- */

static void nodes_join_and_leave_at_once(void **state)
{
    (void)state;
    NEED_ETCD();
    start_etcd(1);
    start_node(1);
    member_node_wait_ready(&nodes[1]);
    call_register_many(nodes[1].http, "shop", 50);
    for (int number = 2; number <= 3; number++) {
        start_node(number);
        member_node_wait_ready(&nodes[number]);
        assert_int_equal(call_count(nodes[number].http, "shop"), 50); /* copied before */
    }
    member_node_wait_mesh(nodes);
    member_node_stop(&nodes[1]);
    member_node_wait_peers(&nodes[2], "node3"); /* long before the lease would end */
    member_node_wait_peers(&nodes[3], "node2");
    assert_non_null(strstr(http_get(nodes[2].http, "/api/cluster/events")->body,
                           "\"reason\":\"etcd: a node has left, or its lease has ended\""));
    call_register(nodes[3].http, "late", "i0");
    member_node_wait_count(nodes, "late", 1);
}

static void silent_node_is_removed_with_its_lease_and_returns(void **state)
{
    (void)state;
    NEED_ETCD();
    start_etcd(1);
    for (int number = 1; number <= 3; number++)
        start_node_with(number, (const char *const[]){"cluster.etcd.ttl_secs=2", NULL});
    member_node_wait_peers(&nodes[1], "node2 node3");
    member_node_wait_peers(&nodes[2], "node1 node3");
    server_process_suspend(&nodes[3].process);
    member_node_wait_peers(&nodes[1], "node2");
    member_node_wait_peers(&nodes[2], "node1");
    server_process_continue(&nodes[3].process); /* its lease is gone */
    member_node_wait_peers(&nodes[1], "node2 node3");
    member_node_wait_peers(&nodes[3], "node1 node2");
}

static void killed_node_returns_under_its_old_key(void **state)
{
    (void)state;
    NEED_ETCD();
    start_etcd(1);
    start_two_nodes();
    member_node_kill(&nodes[2]);
    start_node(2);
    member_node_wait_mesh(nodes);
}

/* --- failures of etcd ------------------------------------------------------------------------- */

static void killed_etcd_changes_nothing_until_it_returns(void **state)
{
    (void)state;
    NEED_ETCD();
    start_etcd(1);
    start_two_nodes();
    etcd_server_kill(&etcd, 0);
    const char *problem = member_node_wait_provider(&nodes[1], "failing");
    if (!strstr(problem, etcd.endpoints))
        fail_msg("the problem is: %s", problem);
    member_node_wait_peers(&nodes[1], "node2");
    member_node_wait_ready(&nodes[1]);
    call_register(nodes[1].http, "shop", "i0");
    member_node_wait_count(nodes, "shop", 1);
    start_node(3); /* alone, until etcd is there */
    member_node_wait_provider(&nodes[3], "failing");
    etcd_server_start(&etcd);
    assert_string_equal(member_node_wait_provider(&nodes[1], "up"), "");
    member_node_wait_peers(&nodes[1], "node2 node3");
    member_node_wait_peers(&nodes[3], "node1 node2");
    member_node_wait_count(nodes, "shop", 1);
    member_node_stop(&nodes[2]);
    member_node_wait_peers(&nodes[1], "node3"); /* it is watched again */
}

static void erased_etcd_gets_the_nodes_again(void **state)
{
    (void)state;
    NEED_ETCD();
    start_etcd(1);
    start_two_nodes();
    etcd_server_erase(&etcd);
    member_node_wait_provider(&nodes[1], "failing");
    member_node_wait_provider(&nodes[2], "failing");
    etcd_server_start(&etcd);
    member_node_wait_provider(&nodes[1], "up");
    member_node_wait_provider(&nodes[2], "up");
    start_node(3);
    member_node_wait_peers(&nodes[3], "node1 node2");
    member_node_wait_peers(&nodes[1], "node2 node3");
    assert_null(strstr(http_get(nodes[1].http, "/api/cluster/events")->body, "\"kind\":\"left\""));
}

static void compaction_is_survived(void **state)
{
    (void)state;
    NEED_ETCD();
    start_etcd(1);
    start_two_nodes();
    for (int i = 0; i < 20; i++)
        etcd_server_put(&etcd, "/other", "x");
    assert_true(etcd_server_call(&etcd, "/v3/kv/compaction", "{'revision':'20','physical':true}"));
    start_node(3);
    member_node_wait_peers(&nodes[1], "node2 node3");
    member_node_wait_peers(&nodes[3], "node1 node2");
}

static void change_by_hand_is_repaired(void **state)
{
    (void)state;
    NEED_ETCD();
    start_etcd(1);
    start_two_nodes();
    etcd_server_delete(&etcd, "/artemis/node2");
    etcd_server_put(&etcd, "/artemis/stray", "no address");
    member_node_wait_peers(&nodes[1], "node2");
    start_node(3);
    member_node_wait_peers(&nodes[1], "node2 node3");
    check_contains(http_get(nodes[1].http, "/api/status/cluster"),
                   "membership.providers[0].warning", "stray: its key has no valid address");
}

static void another_member_is_used_where_one_is_killed(void **state)
{
    (void)state;
    NEED_ETCD();
    start_etcd(3);
    start_two_nodes();
    etcd_server_kill(&etcd, 0); /* the one that is used first */
    start_node(3);
    member_node_wait_peers(&nodes[1], "node2 node3");
    member_node_wait_peers(&nodes[2], "node1 node3");
    assert_string_equal(member_node_wait_provider(&nodes[1], "up"), "");
}

static bool has_warning(void *context)
{
    struct http_response *response = http_get(context, "/api/status/cluster");
    json_t *providers = json_object_get(check_find(response->json, "membership"), "providers");
    const char *warning =
        json_string_value(json_object_get(json_array_get(providers, 0), "warning"));
    return warning && strstr(warning, "even number of voting members, 2");
}

static void even_number_of_members_is_a_warning(void **state)
{
    (void)state;
    NEED_ETCD();
    start_etcd(2);
    start_node(1);
    assert_true(wait_until(has_warning, nodes[1].http, wait_deadline_ms()));
    http_free(nodes[1].http);
    nodes[1].http = NULL;
    char *log = server_process_stop_and_read_log(&nodes[1].process);
    assert_non_null(strstr(log, "membership provider warns"));
    assert_null(strstr(log, "membership provider fails"));
    free(log);
}

/* --- settings --------------------------------------------------------------------------------- */

static void start_node_of_file(int number, const char *text)
{
    member_node_start_with(nodes, number, peer_port,
                           temp_folder_write(&folder, "artemis.toml", text),
                           (const char *const[]){"cluster.provider=etcd", NULL});
}

static void write_endpoint(char text[SETTINGS_BYTES], size_t member)
{
    snprintf(text, SETTINGS_BYTES,
             "[cluster.etcd]\nendpoints = [\"127.0.0.1:%u\"]\nttl_secs = %u\n",
             etcd.members[member].port, 20 + (unsigned)member);
}

/* A member of etcd is replaced: the key of the node stays, also with another time-to-live. */
static void reloaded_endpoints_keep_the_node_registered(void **state)
{
    (void)state;
    NEED_ETCD();
    char text[SETTINGS_BYTES];
    temp_folder_make(&folder);
    start_etcd(3);
    write_endpoint(text, 0);
    start_node_of_file(1, text);
    start_node(2);
    member_node_wait_mesh(nodes);
    write_endpoint(text, 1);
    member_node_reload(&nodes[1], &folder, "artemis.toml", text);
    etcd_server_kill(&etcd, 0);
    start_node(3);
    member_node_wait_mesh(nodes);
    assert_string_equal(member_node_wait_provider(&nodes[1], "up"), "");
    assert_null(strstr(http_get(nodes[2].http, "/api/cluster/events")->body, "\"kind\":\"left\""));
    member_node_stop(&nodes[1]); /* the lease is revoked at the new endpoint */
    member_node_wait_mesh(nodes);
}

/* The new endpoint does not respond, so that the key has its old lease when the node leaves. */
static void lease_that_is_not_revoked_after_a_reload_is_logged(void **state)
{
    (void)state;
    NEED_ETCD();
    static const char unused[] = "[cluster.etcd]\nendpoints = [\"127.0.0.1:1\"]\nttl_secs = 21\n";
    char text[SETTINGS_BYTES];
    temp_folder_make(&folder);
    start_etcd(1);
    write_endpoint(text, 0);
    start_node_of_file(1, text);
    start_node(2);
    member_node_wait_mesh(nodes);
    member_node_reload(&nodes[1], &folder, "artemis.toml", unused);
    member_node_wait_provider(&nodes[1], "failing");
    http_free(nodes[1].http);
    nodes[1].http = NULL;
    char *log = server_process_stop_and_read_log(&nodes[1].process);
    if (!strstr(log, "this node was not unregistered in etcd; its key ends with its lease reason="))
        fail_msg("the log is: %s", log);
    free(log);
}

/* --- TLS and users ---------------------------------------------------------------------------- */

static void tls_with_certificates_of_clients_is_supported(void **state)
{
    (void)state;
    NEED_ETCD();
    char texts[3][SETTINGS_BYTES];
    temp_folder_make(&folder);
    certificates_make_authority(&folder, "ca");
    certificates_make(&folder, "ca", "etcd", NULL);
    certificates_make(&folder, "ca", "client", NULL);
    etcd_server_plan(&etcd, 1);
    etcd.certificates = &folder;
    snprintf(etcd.endpoints, sizeof etcd.endpoints, "https://127.0.0.1:%u", etcd.members[0].port);
    etcd_server_start(&etcd);
    snprintf(texts[0], SETTINGS_BYTES, "cluster.etcd.ca=%s/ca.pem", folder.path);
    snprintf(texts[1], SETTINGS_BYTES, "cluster.etcd.cert=%s/client.pem", folder.path);
    snprintf(texts[2], SETTINGS_BYTES, "cluster.etcd.key=%s/client.key", folder.path);
    start_node_with(1, (const char *const[]){texts[0], texts[1], texts[2], NULL});
    start_node_with(2, (const char *const[]){texts[0], texts[1], texts[2], NULL});
    member_node_wait_mesh(nodes);
    char text[4 * SETTINGS_BYTES];
    int size =
        snprintf(text, sizeof text, "[cluster.etcd]\nendpoints = [\"%s\"]\nca = \"%s/ca.pem\"\n",
                 etcd.endpoints, folder.path);
    start_node_of_file(3, text); /* without a certificate */
    member_node_wait_provider(&nodes[3], "failing");
    snprintf(text + size, sizeof text - (size_t)size,
             "cert = \"%s/client.pem\"\nkey = \"%s/client.key\"\n", folder.path, folder.path);
    member_node_reload(&nodes[3], &folder, "artemis.toml", text);
    member_node_wait_mesh(nodes);
}

/* The third node has a certificate of the authority without the name of the members. */
static void name_of_members_is_verified(void **state)
{
    (void)state;
    NEED_ETCD();
    temp_folder_make(&folder);
    member_node_make_certificates(&folder, "nodes.test");
    start_etcd(1);
    for (int number = 1; number <= 3; number++) {
        const char *settings[MEMBER_SETTINGS_MAX] = {"cluster.tls.member_name=nodes.test", NULL};
        member_node_add_certificate(settings, &folder, number < 3 ? "member" : "outsider");
        start_node_with(number, settings);
    }
    member_node_wait_peers(&nodes[1], "=down node2");
    member_node_wait_peers(&nodes[2], "=down node1");
    member_node_wait_peers(&nodes[3], "=down =down");
}

static void user_is_read_from_a_file_at_each_login(void **state)
{
    (void)state;
    NEED_ETCD();
    char setting[SETTINGS_BYTES];
    temp_folder_make(&folder);
    start_etcd(1);
    assert_true(etcd_server_call(&etcd, "/v3/auth/user/add", "{'name':'root','password':'pass'}"));
    assert_true(etcd_server_call(&etcd, "/v3/auth/role/add", "{'name':'root'}"));
    assert_true(etcd_server_call(&etcd, "/v3/auth/user/grant", "{'user':'root','role':'root'}"));
    assert_true(etcd_server_call(&etcd, "/v3/auth/enable", "{}"));
    snprintf(setting, sizeof setting, "cluster.etcd.credentials_file=%s",
             temp_folder_write(&folder, "user", "root:wrong\n"));
    for (int number = 1; number <= 2; number++)
        start_node_with(number, (const char *const[]){setting, NULL});
    const char *problem = member_node_wait_provider(&nodes[1], "failing");
    if (!strstr(problem, "authentication failed") || strstr(problem, "wrong"))
        fail_msg("the problem is: %s", problem);
    temp_folder_write(&folder, "user", "root:pass\n");
    member_node_wait_mesh(nodes);
    member_node_stop(&nodes[2]); /* the lease is revoked with the token too */
    member_node_wait_peers(&nodes[1], "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nodes_join_and_leave_at_once),
        TEST(silent_node_is_removed_with_its_lease_and_returns),
        TEST(killed_node_returns_under_its_old_key),
        TEST(killed_etcd_changes_nothing_until_it_returns),
        TEST(erased_etcd_gets_the_nodes_again),
        TEST(compaction_is_survived),
        TEST(change_by_hand_is_repaired),
        TEST(another_member_is_used_where_one_is_killed),
        TEST(even_number_of_members_is_a_warning),
        TEST(reloaded_endpoints_keep_the_node_registered),
        TEST(lease_that_is_not_revoked_after_a_reload_is_logged),
        TEST(tls_with_certificates_of_clients_is_supported),
        TEST(name_of_members_is_verified),
        TEST(user_is_read_from_a_file_at_each_login),
    };
    return PARALLEL_RUN(tests);
}
