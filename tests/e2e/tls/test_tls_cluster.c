/* SPDX-License-Identifier: Apache-2.0
 *
 * Nodes that replicate with mutual TLS: what a peer must show, where replication is served, and
 * certificates that are replaced while the nodes run.
 */
#include "tests/support/certificates.h"
#include "tests/support/client/raw_socket.h"
#include "tests/support/client/tls_tunnel.h"
#include "tests/support/servers/cluster.h"
#include "tests/support/servers/tokens.h"
#include "tests/support/wait.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGEST_PATH "/api/replication/registry/digest"
#define DIGEST                                                                                     \
    "GET " DIGEST_PATH " HTTP/1.1\r\nHost: a\r\nX-Artemis-Replication: true\r\n"                   \
    "X-Artemis-Cluster: artemis\r\n\r\n"
#define SERVED "ok: HTTP/1.1 200 OK"

static struct temp_folder folder;
static struct cluster cluster;
static char texts[3][320];

static const char *file(const char *name)
{
    return certificates_path(&folder, name);
}

static int make_files(void **state)
{
    static const char *const elsewhere[] = {"10.1.1.1", "node1.example", NULL};
    static const char *const none[] = {NULL};
    const struct certificate_options outsider = {.hosts = elsewhere};
    const struct certificate_options common_name = {.hosts = none, .common_name = "localhost"};
    const struct certificate_options expired = {.from_days = -2, .until_days = -1};
    (void)state;
    temp_folder_make(&folder);
    certificates_make_authority(&folder, "ca");
    certificates_make_authority(&folder, "foreign-ca");
    certificates_make(&folder, "ca", "node", NULL);
    certificates_make(&folder, "ca", "outsider", &outsider);
    certificates_make(&folder, "ca", "expired", &expired);
    certificates_make(&folder, "ca", "common-name", &common_name);
    certificates_make(&folder, "foreign-ca", "foreign", NULL);
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    temp_folder_remove(&folder);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    cluster_stop(&cluster);
    return 0;
}

/* The settings of mutual TLS with this certificate. */
static const char *const *settings_of(const char *name)
{
    static const char *settings[] = {texts[0], texts[1], texts[2], "cluster.health_interval_secs=1",
                                     NULL};
    snprintf(texts[0], sizeof texts[0], "cluster.tls.cert=%s/%s.pem", folder.path, name);
    snprintf(texts[1], sizeof texts[1], "cluster.tls.key=%s/%s.key", folder.path, name);
    snprintf(texts[2], sizeof texts[2], "cluster.tls.ca=%s", file("ca.pem"));
    return settings;
}

static struct tls_identity identity(const char *name)
{
    static char cert[256];
    static char key[256];
    if (!name)
        return (struct tls_identity){0};
    snprintf(cert, sizeof cert, "%s/%s.pem", folder.path, name);
    snprintf(key, sizeof key, "%s/%s.key", folder.path, name);
    return (struct tls_identity){.cacert = file("ca.pem"), .cert = cert, .key = key};
}

static void check_outcome(const char *name, const char *expected)
{
    char outcome[TLS_OUTCOME_BYTES];
    struct tls_identity shown = identity(name);
    tls_try(cluster.peer_ports[0], &shown, DIGEST, outcome);
    assert_true((strcmp(outcome, SERVED) == 0) == (strcmp(expected, SERVED) == 0));
    shown.priority = "NORMAL:-VERS-ALL:+VERS-TLS1.2"; /* see test_tls.c */
    tls_try(cluster.peer_ports[0], &shown, DIGEST, outcome);
    assert_string_equal(outcome, expected);
}

static void nodes_replicate(void **state)
{
    (void)state;
    cluster_start(&cluster, 3, settings_of("node"));
    for (int i = 0; i < 3; i++) {
        char id[16];
        snprintf(id, sizeof id, "s-%d", i);
        call_register(cluster.http[i], "shop", id);
    }
    cluster_wait_count(&cluster, "shop", 3);
    cluster_kill_node(&cluster, 2);
    cluster_wait_health(&cluster, 0, cluster.ports[2], "down");
    call_register(cluster.http[0], "shop", "s-3");
    cluster_start_node(&cluster, 2, NULL);
    cluster_wait_ready(&cluster, 2);
    cluster_wait_count(&cluster, "shop", 4);
}

#define PEER_CALL(method, path, fields)                                                            \
    method " /api/replication/registry/" path " HTTP/1.1\r\nHost: a\r\nX-Artemis-Replication: "    \
           "true\r\nX-Artemis-Cluster: artemis\r\n" fields "\r\n"

/* Where tokens are set, a certificate of a member replaces the token of a peer, and no other. */
static void certified_peers_need_no_token(void **state)
{
    (void)state;
    char outcome[TLS_OUTCOME_BYTES];
    struct tls_identity node = identity("node");
    cluster_plan(&cluster, 2, settings_of("node"));
    cluster.config = tokens_write(&folder, "");
    for (int i = 0; i < 2; i++)
        cluster_start_node(&cluster, i, NULL);
    for (int i = 0; i < 2; i++)
        cluster_wait_ready(&cluster, i);
    tls_try(cluster.peer_ports[0], &node, DIGEST, outcome);
    assert_string_equal(outcome, SERVED);
    tls_try(cluster.peer_ports[0], &node,
            PEER_CALL("POST", "restore", "Content-Length: 16\r\n") "{\"instances\":[]}", outcome);
    assert_string_equal(outcome, "ok: HTTP/1.1 401 Unauthorized");
    check_http(http_get(cluster.http[0], "/api/status/node"), 401);
}

static void peers_need_a_certificate_of_a_member(void **state)
{
    (void)state;
    cluster_start(&cluster, 2, settings_of("node"));
    check_outcome("node", SERVED);
    check_outcome(NULL, "alert: Handshake failed");
    check_outcome("foreign", "alert: CA is unknown");
    check_outcome("expired", "alert: Certificate is expired");
    check_outcome("outsider", "alert: Access was denied");
}

/* GnuTLS would compare a common name with the host of a member. */
static void common_name_is_no_name_of_a_member(void **state)
{
    (void)state;
    const char *settings[6];
    const char *const *base = settings_of("node");
    for (int i = 0; i < 4; i++)
        settings[i] = base[i];
    settings[4] = "cluster.peers=localhost:1";
    settings[5] = NULL;
    cluster_start(&cluster, 1, settings);
    check_outcome("node", SERVED);
    check_outcome("common-name", "alert: Access was denied");
}

static void replication_has_its_own_listener(void **state)
{
    (void)state;
    char outcome[TLS_OUTCOME_BYTES];
    struct tls_identity node = identity("node");
    cluster_start(&cluster, 2, settings_of("node"));
    struct http_response *response = cluster_peer_call(cluster.http[0], "GET", DIGEST_PATH, NULL);
    check_status(response, 404, "bad-request", "no-such-path");
    check_contains(response, "response_status.error_message", "(cluster.listen_addr)");
    struct tls_identity shown = identity("node");
    struct http *peer = http_new(tls_tunnel_port(tls_tunnel_start(cluster.peer_ports[0], &shown)));
    check_http(http_get(peer, "/health"), 200);
    check_http(cluster_peer_call(peer, "GET", DIGEST_PATH, NULL), 200);
    check_http(http_get(peer, "/api/discovery/services"), 404);
    check_http(http_get(peer, "/metrics"), 404);
    response = http_post(peer, REGISTER, "{'instances':[" INSTANCE "]}", "shop", "s");
    check_status(response, 404, "bad-request", "no-such-path");
    check_contains(response, "response_status.error_message", "server.tls_listen_addr");
    http_free(peer);
    tls_try(cluster.peer_ports[0], &node, "GET /ws HTTP/1.1\r\nHost: a\r\n\r\n", outcome);
    assert_string_equal(outcome, "ok: HTTP/1.1 404 Not Found");
}

/* Clients get the addresses for clients, although nodes use others among themselves. */
static void clients_see_addresses_for_clients(void **state)
{
    (void)state;
    char url[64];
    cluster_start(&cluster, 2, settings_of("node"));
    struct http_response *response = http_get(cluster.http[0], "/api/cluster/nodes");
    snprintf(url, sizeof url, "\"http://127.0.0.1:%u\"", cluster.ports[1]);
    assert_non_null(strstr(response->body, url));
    snprintf(url, sizeof url, ":%u", cluster.peer_ports[1]);
    assert_null(strstr(response->body, url));
}

static bool blames_certificate(void *context)
{
    (void)context;
    const char *error =
        json_string_value(cluster_peer_status(&cluster, 0, cluster.ports[1], "last_error"));
    return error && strstr(error, "certificate");
}

/* Neither side accepts the other, and each says why. */
static void foreign_node_is_not_a_peer(void **state)
{
    (void)state;
    char authority[320];
    cluster_plan(&cluster, 2, settings_of("node"));
    cluster_start_node(&cluster, 0, NULL);
    settings_of("foreign");
    snprintf(authority, sizeof authority, "cluster.tls.ca=%s", file("foreign-ca.pem"));
    cluster_start_node(&cluster, 1, authority);
    cluster_wait_health(&cluster, 0, cluster.ports[1], "down");
    cluster_wait_health(&cluster, 1, cluster.ports[0], "down");
    assert_true(wait_until(blames_certificate, NULL, wait_deadline_ms()));
    call_register(cluster.http[1], "shop", "s-1");
    check_count(http_get(cluster.http[0], "/api/discovery/services"), "services", 0);
}

static bool reports_an_error(void *context)
{
    json_t *peers = check_find(http_get(context, "/api/status/cluster")->json, "peers");
    return json_string_length(json_object_get(json_array_get(peers, 0), "last_error")) > 0;
}

/* A node with TLS and one without do not replicate, in neither direction. */
static void plain_node_is_not_a_peer(void **state)
{
    (void)state;
    char peers[64];
    struct raw_socket raw;
    cluster_plan(&cluster, 2, settings_of("node"));
    cluster_start_node(&cluster, 0, NULL);
    cluster.settings[0] = "cluster.health_interval_secs=1";
    cluster.settings[1] = NULL;
    snprintf(peers, sizeof peers, "cluster.peers=http://127.0.0.1:%u", cluster.peer_ports[0]);
    cluster_start_node(&cluster, 1, peers);
    cluster_wait_health(&cluster, 0, cluster.ports[1], "down");
    assert_true(wait_until(reports_an_error, cluster.http[1], wait_deadline_ms()));
    call_register(cluster.http[1], "shop", "s-1");
    check_count(http_get(cluster.http[0], "/api/discovery/services"), "services", 0);
    raw_socket_open(&raw, cluster.peer_ports[0]);
    assert_true(raw_socket_send(&raw, DIGEST, strlen(DIGEST)));
    assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
    check_status(&raw.response, 400, "bad-request", "malformed-request");
    raw_socket_close(&raw);
}

static bool has_reloaded(void *context)
{
    return call_metric(context, "artemis_tls_reloads_total") >= 1;
}

/* The new certificates come from another authority, after both were trusted for a time. */
static void certificates_are_replaced(void **state)
{
    (void)state;
    cluster_start(&cluster, 3, settings_of("node"));
    call_register(cluster.http[0], "shop", "s-0");
    for (int round = 1; round <= 5; round++) {
        char id[16];
        certificates_make(&folder, "ca", "node", NULL);
        for (int i = 0; i < 3; i++)
            server_process_signal(&cluster.nodes[i], SIGHUP);
        snprintf(id, sizeof id, "s-%d", round);
        call_register(cluster.http[round % 3], "shop", id);
        cluster_wait_count(&cluster, "shop", round + 1);
    }
    for (int i = 0; i < 3; i++) {
        assert_true(wait_until(has_reloaded, cluster.http[i], wait_deadline_ms()));
        for (int peer = 0; peer < 3; peer++)
            if (peer != i)
                cluster_wait_health(&cluster, i, cluster.ports[peer], "up");
    }
}

/* A node whose new certificate is damaged keeps replicating with the earlier one. */
static void bad_certificates_change_nothing(void **state)
{
    (void)state;
    cluster_start(&cluster, 2, settings_of("node"));
    temp_folder_write(&folder, "node.pem", "no certificate\n");
    for (int i = 0; i < 2; i++) {
        server_process_signal(&cluster.nodes[i], SIGHUP);
        call_wait_metric(cluster.http[i], "artemis_tls_certificate_failing", 1);
    }
    call_register(cluster.http[1], "shop", "s-1");
    cluster_wait_count(&cluster, "shop", 1);
    certificates_make(&folder, "ca", "node", NULL);
    cluster_kill_node(&cluster, 1);
    cluster_start_node(&cluster, 1, NULL);
    cluster_wait_ready(&cluster, 1); /* a new connection, to a node with the earlier certificate */
    cluster_wait_health(&cluster, 0, cluster.ports[1], "up");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(nodes_replicate, stop),
        cmocka_unit_test_teardown(certified_peers_need_no_token, stop),
        cmocka_unit_test_teardown(peers_need_a_certificate_of_a_member, stop),
        cmocka_unit_test_teardown(common_name_is_no_name_of_a_member, stop),
        cmocka_unit_test_teardown(replication_has_its_own_listener, stop),
        cmocka_unit_test_teardown(clients_see_addresses_for_clients, stop),
        cmocka_unit_test_teardown(foreign_node_is_not_a_peer, stop),
        cmocka_unit_test_teardown(plain_node_is_not_a_peer, stop),
        cmocka_unit_test_teardown(certificates_are_replaced, stop),
        cmocka_unit_test_teardown(bad_certificates_change_nothing, stop),
    };
    return server_process_finish(cmocka_run_group_tests(tests, make_files, remove_files));
}
