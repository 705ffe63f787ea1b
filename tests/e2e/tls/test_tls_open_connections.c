/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections that are open while the authorities or the members of the cluster change: those whose
 * certificate is not accepted any more end, and the others stay.
 */
#include "tests/support/certificates.h"
#include "tests/support/client/calls.h"
#include "tests/support/client/raw_socket.h"
#include "tests/support/client/tls_tunnel.h"
#include "tests/support/client/websocket_client.h"
#include "tests/support/wait.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST "GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
#define DIGEST                                                                                     \
    "GET /api/replication/registry/digest HTTP/1.1\r\nHost: a\r\nX-Artemis-Replication: true\r\n"  \
    "X-Artemis-Cluster: artemis\r\n\r\n"

enum { FILE_BYTES = 8192 };

static struct temp_folder folder;
static struct server_process server;
static struct http *http; /* plain */

static int make_files(void **state)
{
    static const char *const localhost[] = {"localhost", NULL};
    const struct certificate_options by_name = {.hosts = localhost};
    (void)state;
    temp_folder_make(&folder);
    certificates_make_authority(&folder, "ca");
    certificates_make_authority(&folder, "foreign-ca");
    certificates_make(&folder, "ca", "node", NULL);
    certificates_make(&folder, "ca", "client", NULL);
    certificates_make(&folder, "ca", "by-name", &by_name);
    certificates_make(&folder, "foreign-ca", "foreign", NULL);
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    temp_folder_remove(&folder);
    return 0;
}

static void start(const char *settings)
{
    const char *file = temp_folder_write(&folder, "artemis.toml", settings);
    server_process_start(&server, (const char *const[]){"--config", file, NULL}, NULL);
    http = http_new(server.port);
}

static int stop(void **state)
{
    (void)state;
    http_free(http);
    http = NULL;
    server_process_stop(&server);
    return 0;
}

/* A port for connections with that certificate. */
static uint16_t tunnel(uint16_t port, const char *name)
{
    static char paths[8][2][256];
    static unsigned next;
    char(*at)[256] = paths[next++ % 8];
    snprintf(at[0], sizeof at[0], "%s/%s.pem", folder.path, name);
    snprintf(at[1], sizeof at[1], "%s/%s.key", folder.path, name);
    const struct tls_identity shown = {
        .cacert = certificates_path(&folder, "ca.pem"), .cert = at[0], .key = at[1]};
    return tls_tunnel_port(tls_tunnel_start(port, &shown));
}

static void request(struct raw_socket *raw, const char *bytes)
{
    assert_true(raw_socket_send(raw, bytes, strlen(bytes)));
    assert_int_equal(raw_socket_read(raw, wait_deadline_ms()), RAW_RESPONSE);
    check_http(&raw->response, 200);
}

static void check_ends(struct raw_socket *raw)
{
    assert_true(raw_socket_is_closed_by(raw, wait_deadline_ms()));
    raw_socket_close(raw);
}

static void check_log(const char *part)
{
    char *log = server_process_stop_and_read_log(&server);
    if (!strstr(log, part))
        fail_msg("\"%s\" is not in: %s", part, log);
    free(log);
}

/* --- clients ---------------------------------------------------------------------------------- */

/* Appends the certificate of an authority. */
static void append_authority(char *out, const char *name)
{
    FILE *file = fopen(certificates_path(&folder, name), "re");
    assert_non_null(file);
    size_t size = strlen(out);
    size += fread(out + size, 1, FILE_BYTES - 1 - size, file);
    out[size] = '\0';
    fclose(file);
}

static void trust(const char *first, const char *second)
{
    char authorities[FILE_BYTES] = "";
    append_authority(authorities, first);
    if (second)
        append_authority(authorities, second);
    temp_folder_write(&folder, "trusted.pem", authorities);
}

static void check_removed_authority(bool has_signal)
{
    struct raw_socket idle;
    struct raw_socket poll;
    struct raw_socket stays;
    struct websocket_client websocket;
    char settings[1024];
    trust("ca.pem", "foreign-ca.pem");
    snprintf(settings, sizeof settings,
             "[server]\ntls_listen_addr = \"127.0.0.1:0\"\n[tls]\ncert = \"%s\"\nkey = \"%s\"\n"
             "client_ca = \"%s\"\nrequire_client_cert = true\n",
             certificates_path(&folder, "node.pem"), certificates_path(&folder, "node.key"),
             certificates_path(&folder, "trusted.pem"));
    start(settings);
    uint16_t port = tunnel(server.tls_port, "client");
    raw_socket_open(&idle, port);
    request(&idle, REQUEST);
    raw_socket_open(&stays, tunnel(server.tls_port, "foreign"));
    request(&stays, REQUEST);
    raw_socket_open(&poll, port);
    assert_true(raw_socket_sendf(&poll,
                                 "GET /api/discovery/service?service_id=s&version=0&wait=60s "
                                 "HTTP/1.1\r\nHost: x\r\n\r\n"));
    call_wait_metric(http, "artemis_waiting_requests", 1);
    websocket_client_open(&websocket, port, "/ws");
    call_wait_metric(http, "artemis_websockets", 1);
    trust("foreign-ca.pem", NULL);
    if (has_signal)
        server_process_signal(&server, SIGHUP);
    check_ends(&idle);
    check_ends(&poll);
    assert_int_equal(websocket_client_receive(&websocket, wait_deadline_ms()), GOT_END);
    websocket_client_close(&websocket);
    call_wait_metric(http, "artemis_websockets", 0);
    call_wait_metric(http, "artemis_waiting_requests", 0);
    call_wait_metric(http, "artemis_connections", 2); /* this one, and: */
    request(&stays, REQUEST);
    raw_socket_close(&stays);
    check_log("ends a connection: its certificate is not accepted any more client=127.0.0.1:");
}

static void connections_of_a_removed_authority_end(void **state)
{
    (void)state;
    check_removed_authority(true);
}

/* The changed file is found without a signal. */
static void changed_authorities_are_noticed(void **state)
{
    (void)state;
    check_removed_authority(false);
}

/* --- peers ------------------------------------------------------------------------------------ */

static void describe_cluster(char *out, size_t size, const char *peers)
{
    snprintf(out, size,
             "[cluster]\nenabled = true\nbootstrap_grace_secs = 0\nlisten_addr = \"127.0.0.1:0\"\n"
             "peers = [%s]\n[cluster.tls]\ncert = \"%s\"\nkey = \"%s\"\nca = \"%s\"\n",
             peers, certificates_path(&folder, "node.pem"), certificates_path(&folder, "node.key"),
             certificates_path(&folder, "ca.pem"));
}

static void connections_of_a_removed_peer_end(void **state)
{
    (void)state;
    struct raw_socket removed;
    struct raw_socket stays;
    char settings[1024];
    static const char *const by_address[] = {"127.0.0.1", NULL};
    const struct certificate_options options = {.hosts = by_address};
    certificates_make(&folder, "ca", "by-address", &options);
    describe_cluster(settings, sizeof settings, "\"localhost:1\", \"127.0.0.1:1\"");
    start(settings);
    raw_socket_open(&removed, tunnel(server.peer_port, "by-name"));
    request(&removed, DIGEST);
    raw_socket_open(&stays, tunnel(server.peer_port, "by-address"));
    request(&stays, DIGEST);
    describe_cluster(settings, sizeof settings, "\"127.0.0.1:1\"");
    temp_folder_write(&folder, "artemis.toml", settings);
    server_process_signal(&server, SIGHUP);
    check_ends(&removed);
    request(&stays, DIGEST);
    raw_socket_close(&stays);
    check_log("reason=\"peer certificate: has the name of no member of the cluster\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(connections_of_a_removed_authority_end, stop),
        cmocka_unit_test_teardown(changed_authorities_are_noticed, stop),
        cmocka_unit_test_teardown(connections_of_a_removed_peer_end, stop),
    };
    return server_process_finish(cmocka_run_group_tests(tests, make_files, remove_files));
}
