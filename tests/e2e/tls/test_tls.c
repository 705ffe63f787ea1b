/* SPDX-License-Identifier: Apache-2.0
 *
 * The TLS listener for clients: who is served and who is refused, with which alert; handshakes that
 * stall; certificates that are replaced while the node runs.
 */
#include "tests/support/certificates.h"
#include "tests/support/client/background_client.h"
#include "tests/support/client/calls.h"
#include "tests/support/client/raw_socket.h"
#include "tests/support/client/tls_tunnel.h"
#include "tests/support/client/websocket_client.h"
#include "tests/support/command.h"
#include "tests/support/wait.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST "GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
#define SERVED  "ok: HTTP/1.1 200 OK"

enum { SETTINGS_MAX = 12, RELOADS = 300, FILES_MAX = 100 };

static struct temp_folder folder;
static struct server_process server;
static struct http *http; /* plain */
static const char *settings[SETTINGS_MAX];
static char texts[SETTINGS_MAX][320];

static void set(size_t number, const char *key, const char *value)
{
    snprintf(texts[number], sizeof texts[number], "%s=%s", key, value);
}

static const char *file(const char *name)
{
    return certificates_path(&folder, name);
}

static int make_files(void **state)
{
    (void)state;
    const struct certificate_options expired = {.from_days = -2, .until_days = -1};
    temp_folder_make(&folder);
    certificates_make_authority(&folder, "ca");
    certificates_make_authority(&folder, "foreign-ca");
    certificates_make(&folder, "ca", "server", NULL);
    certificates_make(&folder, "ca", "client", NULL);
    certificates_make(&folder, "ca", "expired", &expired);
    certificates_make(&folder, "foreign-ca", "foreign", NULL);
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    temp_folder_remove(&folder);
    return 0;
}

/* Starts a server with TLS and these settings, each "key=value". */
static void start(const char *const more[])
{
    static const char *args[2 * SETTINGS_MAX + 1];
    size_t count = 0;
    certificates_make(&folder, "ca", "server", NULL);
    set(0, "tls.cert", file("server.pem"));
    set(1, "tls.key", file("server.key"));
    settings[count++] = "server.tls_listen_addr=127.0.0.1:0";
    settings[count++] = texts[0];
    settings[count++] = texts[1];
    for (; more && *more; more++)
        settings[count++] = *more;
    for (size_t i = 0; i < count; i++) {
        args[2 * i] = "--set";
        args[2 * i + 1] = settings[i];
    }
    args[2 * count] = NULL;
    server_process_start(&server, args, NULL);
    http = http_new(server.port);
    assert_int_not_equal(server.tls_port, 0);
}

static int stop(void **state)
{
    (void)state;
    http_free(http);
    http = NULL;
    if (server.pid)
        server_process_stop(&server);
    return 0;
}

static struct tls_identity identity(const char *name)
{
    static char cert[8][256];
    static unsigned next;
    struct tls_identity made = {.cacert = file("ca.pem")};
    if (!name)
        return made;
    char *at[2] = {cert[next++ % 8], cert[next++ % 8]};
    snprintf(at[0], sizeof cert[0], "%s/%s.pem", folder.path, name);
    snprintf(at[1], sizeof cert[0], "%s/%s.key", folder.path, name);
    made.cert = at[0];
    made.key = at[1];
    return made;
}

#define check_outcome(name, expected) check_outcome_at((name), (expected), __LINE__)

/* A client with that certificate (NULL: none) makes one request, with both versions of TLS. The
 * alert is checked with TLS 1.2: with 1.3, a client sends its request before it is refused, and the
 * closed connection may hide the alert. */
static void check_outcome_at(const char *name, const char *expected, int line)
{
    char outcome[TLS_OUTCOME_BYTES];
    struct tls_identity shown = identity(name);
    tls_try(server.tls_port, &shown, REQUEST, outcome);
    if ((strcmp(outcome, SERVED) == 0) != (strcmp(expected, SERVED) == 0))
        fail_msg("line %d: with certificate %s: \"%s\"", line, name ? name : "none", outcome);
    shown.priority = "NORMAL:-VERS-ALL:+VERS-TLS1.2";
    tls_try(server.tls_port, &shown, REQUEST, outcome);
    if (strcmp(outcome, expected) != 0)
        fail_msg("line %d: with certificate %s: \"%s\", expected \"%s\"", line,
                 name ? name : "none", outcome, expected);
}

static uint16_t tunnel(const char *name)
{
    struct tls_identity shown = identity(name);
    return tls_tunnel_port(tls_tunnel_start(server.tls_port, &shown));
}

/* --- clients that are served ------------------------------------------------------------------ */

static void requests_are_served(void **state)
{
    (void)state;
    start(NULL);
    struct http *over_tls = http_new(tunnel(NULL));
    call_register_many(over_tls, "shop", 1);
    for (int i = 0; i < 20; i++)
        check_status(call_with_keys(over_tls, HEARTBEAT, "shop", 0, 1), 200, "success", NULL);
    assert_true(call_shows(over_tls, "shop", "i0"));
    assert_int_equal(http_connections(over_tls), 1); /* kept alive */
    assert_true(call_shows(http, "shop", "i0"));     /* the same data */
    call_wait_metric(http, "artemis_tls_handshakes_total", 1);
    http_free(over_tls);
}

static void large_responses_are_complete(void **state)
{
    (void)state;
    start((const char *const[]){"ratelimit.enabled=false", NULL});
    struct http *over_tls = http_new(tunnel(NULL));
    for (int i = 0; i < 5; i++) {
        char service_id[16];
        snprintf(service_id, sizeof service_id, "large%d", i);
        call_register_many(over_tls, service_id, 2000);
    }
    struct http_response *response = http_get(http, "/api/discovery/services");
    size_t size = response->body_size;
    char *plain = strdup(response->body);
    assert_true(size > 1024 * 1024);
    response = http_get(over_tls, "/api/discovery/services");
    assert_int_equal(response->body_size, size);
    assert_string_equal(response->body, plain);
    free(plain);
    http_free(over_tls);
}

static void websocket_is_pushed_and_closed(void **state)
{
    (void)state;
    struct websocket_client client;
    start(NULL);
    websocket_client_open(&client, tunnel(NULL), "/ws");
    websocket_client_send_json(&client, "{'type':'subscribe','service_id':'shop'}");
    check_json(websocket_client_next(&client), "type", "'subscribed'");
    for (int i = 0; i < 50; i++) {
        char id[16];
        snprintf(id, sizeof id, "s-%d", i);
        call_register(http, "shop", id);
        check_json(websocket_client_next(&client), "type", "'service_change'");
    }
    SEND(&client, .opcode = OPCODE_CLOSE, .payload = "\x03\xe8", .size = 2);
    websocket_client_check_closed(&client, 1000);
    websocket_client_close(&client);
    call_wait_metric(http, "artemis_websockets", 0);
}

/* libmicrohttpd does not pass the end of such a connection on. */
static void websocket_of_a_client_that_left_ends(void **state)
{
    (void)state;
    struct websocket_client clients[8];
    start(NULL);
    uint16_t port = tunnel(NULL);
    for (int i = 0; i < 8; i++)
        websocket_client_open(&clients[i], port, "/ws");
    call_wait_metric(http, "artemis_websockets", 8);
    for (int i = 0; i < 8; i++)
        websocket_client_close(&clients[i]);
    call_wait_metric(http, "artemis_websockets", 0);
    call_wait_metric(http, "artemis_connections", 1);
}

static void long_poll_ends_with_a_change(void **state)
{
    (void)state;
    struct raw_socket raw;
    start(NULL);
    call_register(http, "shop", "s-1");
    long long version = (long long)check_integer(
        http_get(http, "/api/discovery/service?service_id=shop"), "version");
    raw_socket_open(&raw, tunnel(NULL));
    assert_true(raw_socket_sendf(&raw,
                                 "GET /api/discovery/service?service_id=shop&wait=30s&version=%lld "
                                 "HTTP/1.1\r\nHost: a\r\n\r\n",
                                 version));
    call_wait_metric(http, "artemis_waiting_requests", 1);
    call_register(http, "shop", "s-2");
    assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
    check_count(&raw.response, "service.instances", 2);
    raw_socket_close(&raw);
}

/* --- clients that are refused ----------------------------------------------------------------- */

static void plain_http_is_refused_with_a_reason(void **state)
{
    (void)state;
    struct raw_socket raw;
    start(NULL);
    raw_socket_open(&raw, server.tls_port);
    assert_true(raw_socket_send(&raw, REQUEST, strlen(REQUEST)));
    assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
    check_status(&raw.response, 400, "bad-request", "malformed-request");
    check_contains(&raw.response, "response_status.error_message", "https://");
    assert_true(raw_socket_is_closed_by(&raw, wait_deadline_ms()));
    raw_socket_close(&raw);
    call_wait_metric(http, "artemis_tls_handshakes_failed_total", 1);
}

static void old_versions_are_refused(void **state)
{
    (void)state;
    char outcome[TLS_OUTCOME_BYTES];
    struct tls_identity old = {.priority = "NORMAL:-VERS-ALL:+VERS-TLS1.1"};
    struct tls_identity middle = {.priority = "NORMAL:-VERS-ALL:+VERS-TLS1.2"};
    start(NULL);
    tls_try(server.tls_port, &old, REQUEST, outcome);
    assert_string_equal(outcome, "alert: Error in protocol version");
    tls_try(server.tls_port, &middle, REQUEST, outcome);
    assert_string_equal(outcome, SERVED);
    stop(NULL);
    start((const char *const[]){"tls.min_version=1.3", NULL});
    tls_try(server.tls_port, &middle, REQUEST, outcome);
    assert_string_equal(outcome, "alert: Handshake failed");
    tls_try(server.tls_port, &(struct tls_identity){0}, REQUEST, outcome);
    assert_string_equal(outcome, SERVED);
}

static void required_certificates_are_checked(void **state)
{
    (void)state;
    set(2, "tls.client_ca", file("ca.pem"));
    start((const char *const[]){texts[2], "tls.require_client_cert=true", NULL});
    check_outcome("client", SERVED);
    check_outcome(NULL, "alert: Handshake failed");
    check_outcome("foreign", "alert: CA is unknown");
    check_outcome("expired", "alert: Certificate is expired");
    call_wait_metric(http, "artemis_tls_handshakes_failed_total", 6);
    call_wait_metric(http, "artemis_connections", 1);
}

static void optional_certificates_are_checked(void **state)
{
    (void)state;
    set(2, "tls.client_ca", file("ca.pem"));
    start((const char *const[]){texts[2], NULL});
    check_outcome(NULL, SERVED);
    check_outcome("client", SERVED);
    check_outcome("foreign", "alert: CA is unknown");
}

static void clients_verify_the_server(void **state)
{
    (void)state;
    char outcome[TLS_OUTCOME_BYTES];
    struct tls_identity other = {.cacert = file("foreign-ca.pem")};
    start(NULL);
    tls_try(server.tls_port, &other, REQUEST, outcome);
    assert_string_equal(outcome, "Error in the certificate verification.");
    call_wait_metric(http, "artemis_tls_handshakes_failed_total", 1);
}

/* Neither nothing, nor a part of the first message, holds a connection for ever. */
static void stalled_handshakes_time_out(void **state)
{
    (void)state;
    static const unsigned char part[] = {0x16, 3, 1, 1, 0, 1, 0, 0, 0xfc, 3, 3};
    struct raw_socket raw[6];
    start(NULL);
    for (int i = 0; i < 6; i++) {
        raw_socket_open(&raw[i], server.tls_port);
        assert_true(raw_socket_send(&raw[i], part, (size_t)i * sizeof part / 5));
    }
    check_outcome(NULL, SERVED); /* others are served meanwhile */
    for (int i = 0; i < 6; i++) {
        assert_true(raw_socket_is_closed_by(&raw[i], wait_deadline_ms() + 15000));
        raw_socket_close(&raw[i]);
    }
    call_wait_metric(http, "artemis_tls_handshakes_timed_out_total", 6);
    call_wait_metric(http, "artemis_connections", 1);
}

/* At the limit of an address, its stalled handshakes give way when they are a second old. */
static void stalled_handshakes_lock_nobody_out(void **state)
{
    (void)state;
    enum { HANDSHAKES = 3, CONNECTIONS_MAX = 100 };
    static struct raw_socket raw[HANDSHAKES + CONNECTIONS_MAX];
    int count = 0;
    start((const char *const[]){"tls.max_handshakes_per_address=3", NULL});
    for (; count < HANDSHAKES; count++)
        assert_true(raw_socket_try_open_from(&raw[count], 1, server.tls_port));
    call_wait_metric(http, "artemis_connections", HANDSHAKES + 1);
    wait_for_time(wait_now_ms() + 1500);
    check_outcome(NULL, SERVED);
    assert_true(call_metric(http, "artemis_connections_displaced_total") >= 1);
    while (call_metric(http, "artemis_handshakes_refused_total") < 1) {
        assert_in_range(count, 0, HANDSHAKES + CONNECTIONS_MAX - 1);
        assert_true(raw_socket_try_open_from(&raw[count++], 2, server.tls_port));
    }
    check_http(http_get(http, "/health"), 200); /* plain connections are not counted */
    while (count > 0)
        raw_socket_close(&raw[--count]);
    char *log = server_process_stop_and_read_log(&server);
    assert_non_null(strstr(log, "heaviest_address=127.0.0.2"));
    free(log);
}

/* --- certificates that are replaced ----------------------------------------------------------- */

static void reload(void)
{
    server_process_signal(&server, SIGHUP);
}

static bool has_reloaded(void *context)
{
    return call_metric(http, "artemis_tls_reloads_total") > *(double *)context;
}

/* New connections, one that stays, one at full load, and a WebSocket. */
static void certificates_are_replaced_under_load(void **state)
{
    (void)state;
    struct background_client background;
    struct websocket_client websocket;
    start((const char *const[]){"ratelimit.enabled=false", NULL});
    uint16_t port = tunnel(NULL);
    background_client_start(&background, port, "/health");
    struct http *kept = http_new(port);
    websocket_client_open(&websocket, port, "/ws");
    websocket_client_send_json(&websocket, "{'type':'subscribe','service_id':'shop'}");
    check_json(websocket_client_next(&websocket), "type", "'subscribed'");
    for (int i = 0; i < RELOADS; i++) {
        double reloads = call_metric(http, "artemis_tls_reloads_total");
        certificates_make(&folder, "ca", "server", NULL);
        reload();
        check_outcome(NULL, SERVED);
        check_http(http_get(kept, "/health"), 200);
        assert_true(wait_until(has_reloaded, &reloads, wait_deadline_ms()));
    }
    background_client_check_served(&background, 5);
    background_client_stop(&background);
    call_register(http, "shop", "s-1");
    struct http_response *event = websocket_client_next(&websocket);
    while (strstr(event->body, "\"reload\"")) /* some time after the start of the node */
        event = websocket_client_next(&websocket);
    check_json(event, "type", "'service_change'");
    websocket_client_close(&websocket);
    assert_int_equal(http_connections(kept), 1);
    call_wait_metric(http, "artemis_tls_certificate_failing", 0);
    assert_in_range(server_process_open_files(&server), 1, FILES_MAX);
    http_free(kept);
}

/* The new file is found without a signal. */
static void changed_files_are_noticed(void **state)
{
    (void)state;
    char outcome[TLS_OUTCOME_BYTES];
    struct tls_identity other = {.cacert = file("foreign-ca.pem")};
    start(NULL);
    certificates_make(&folder, "foreign-ca", "server", NULL);
    call_wait_metric(http, "artemis_tls_reloads_total", 1);
    tls_try(server.tls_port, &other, REQUEST, outcome);
    assert_string_equal(outcome, SERVED);
}

static void check_reload(const char *const command[], int exit_code, const char *part)
{
    struct command_result result = command_run(command, NULL);
    if (result.exit_code != exit_code || !strstr(result.out, part))
        fail_msg("exit code %d: %s%s", result.exit_code, result.out, result.err);
    command_free(&result);
}

static void reload_fails_if_a_certificate_cannot_be_used(void **state)
{
    (void)state;
    set(2, "admin.socket", file("admin.sock"));
    const char *path = strchr(texts[2], '=') + 1;
    start((const char *const[]){texts[2], NULL});
    const char *const commands[][6] = {
        {"reload", "--server", server.url, NULL},
        {"reload", "--socket", path, NULL},
        {"admin", "reload", "--socket", path, NULL},
        {"reload", "--socket", path, "--json", NULL},
    };
    enum { COMMANDS = sizeof commands / sizeof *commands };
    static const char kept[] = "a certificate cannot be used, and the earlier one is kept";
    temp_folder_write(&folder, "server.pem", "no certificate\n");
    for (int i = 0; i < COMMANDS; i++)
        check_reload(commands[i], 1, i < COMMANDS - 1 ? kept : "\"certificates_failing\":1");
    check_outcome(NULL, SERVED);
    certificates_make(&folder, "ca", "server", NULL);
    for (int i = 0; i < COMMANDS; i++)
        check_reload(commands[i], 0, i < COMMANDS - 1 ? "no setting has changed" : "\"ok\":true");
    check_outcome(NULL, SERVED);
}

static void bad_certificates_change_nothing(void **state)
{
    (void)state;
    const struct certificate_options expired = {.from_days = -2, .until_days = -1};
    start(NULL);
    temp_folder_write(&folder, "server.pem", "no certificate\n");
    reload();
    call_wait_metric(http, "artemis_tls_reloads_failed_total", 1);
    call_wait_metric(http, "artemis_tls_certificate_failing", 1);
    check_outcome(NULL, SERVED);
    certificates_make(&folder, "ca", "server", &expired);
    reload();
    call_wait_metric(http, "artemis_tls_reloads_failed_total", 2);
    check_outcome(NULL, SERVED);
    certificates_make(&folder, "ca", "server", NULL);
    reload();
    call_wait_metric(http, "artemis_tls_certificate_failing", 0);
    check_outcome(NULL, SERVED);
    assert_int_equal((int)call_metric(http, "artemis_tls_certificate_expiry_days"), 99);
    char *log = server_process_stop_and_read_log(&server);
    assert_non_null(strstr(log, "certificate was not reloaded"));
    assert_non_null(strstr(log, "server.pem"));
    assert_non_null(strstr(log, "expired on"));
    free(log);
}

/* --- start ------------------------------------------------------------------------------------ */

static void check_start_fails(const char *const args[], const char *const parts[])
{
    struct command_result result = command_run(args, NULL);
    assert_in_range(result.exit_code, 1, 2); /* 2: the setting is on the command line */
    for (; *parts; parts++)
        if (!strstr(result.err, *parts))
            fail_msg("\"%s\" is not in: %s", *parts, result.err);
    command_free(&result);
}

static void bad_files_prevent_the_start(void **state)
{
    (void)state;
    char cert[320];
    char key[320];
    snprintf(cert, sizeof cert, "tls.cert=%s", file("expired.pem"));
    snprintf(key, sizeof key, "tls.key=%s", file("expired.key"));
    const char *args[] = {
        "server", "--addr", "127.0.0.1:0", "--set", "server.tls_listen_addr=127.0.0.1:0",
        "--set",  cert,     "--set",       key,     NULL};
    check_start_fails(args, (const char *const[]){"tls.cert", "expired.pem", "expired on", NULL});
    snprintf(cert, sizeof cert, "tls.cert=%s", file("client.pem"));
    check_start_fails(args, (const char *const[]){"tls.key", "does not fit", NULL});
    snprintf(key, sizeof key, "tls.key=%s", file("none.key"));
    check_start_fails(args, (const char *const[]){"tls.key", "No such file", NULL});
}

/* `config check` finds what prevents the start, with the same message. */
static void config_check_reads_certificates(void **state)
{
    (void)state;
    char text[1024];
    snprintf(text, sizeof text,
             "[server]\ntls_listen_addr = '127.0.0.1:0'\n[tls]\ncert = '%s'\nkey = '%s'\n",
             file("client.pem"), file("client.key"));
    const char *path = temp_folder_write(&folder, "node.toml", text);
    struct command_result result =
        command_run((const char *const[]){"config", "check", path, NULL}, NULL);
    assert_int_equal(result.exit_code, 0);
    assert_string_equal(result.err, "");
    command_free(&result);
    const char *const check[] = {"config", "check", path, "--set", "tls.key=none.key", NULL};
    const char *const start[] = {"server", "--config", path, "--set", "tls.key=none.key", NULL};
    const char *const parts[] = {"artemis: tls.key: none.key: No such file", NULL};
    check_start_fails(check, parts);
    check_start_fails(start, parts);
}

static void unprotected_listeners_prevent_the_start(void **state)
{
    (void)state;
    char cert[320];
    char key[320];
    snprintf(cert, sizeof cert, "tls.cert=%s", file("client.pem"));
    snprintf(key, sizeof key, "tls.key=%s", file("client.key"));
    const char *const plain[] = {"server", "--set", "server.listen_addr=0.0.0.0:0", NULL};
    const char *const tls[] = {
        "server", "--addr", "127.0.0.1:0", "--set", "server.tls_listen_addr=0.0.0.0:0",
        "--set",  cert,     "--set",       key,     NULL};
    check_start_fails(plain, (const char *const[]){"server.listen_addr", "0.0.0.0:0",
                                                   "server.tls_listen_addr", "auth.tokens",
                                                   "server.allow_insecure", NULL});
    check_start_fails(tls, (const char *const[]){"server.tls_listen_addr", "tls.client_ca",
                                                 "tls.require_client_cert", NULL});
}

/* 127.1 is loopback to the system alone. */
static void insecure_listeners_are_visible(void **state)
{
    (void)state;
    start((const char *const[]){"server.tls_listen_addr=127.1:0", "server.allow_insecure=true",
                                NULL});
    assert_int_equal((int)call_metric(http, "artemis_unprotected_listeners"), 1);
    char *log = server_process_stop_and_read_log(&server);
    assert_non_null(strstr(log, "server.tls_listen_addr is open to everyone"));
    free(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(requests_are_served, stop),
        cmocka_unit_test_teardown(large_responses_are_complete, stop),
        cmocka_unit_test_teardown(websocket_is_pushed_and_closed, stop),
        cmocka_unit_test_teardown(websocket_of_a_client_that_left_ends, stop),
        cmocka_unit_test_teardown(long_poll_ends_with_a_change, stop),
        cmocka_unit_test_teardown(plain_http_is_refused_with_a_reason, stop),
        cmocka_unit_test_teardown(old_versions_are_refused, stop),
        cmocka_unit_test_teardown(required_certificates_are_checked, stop),
        cmocka_unit_test_teardown(optional_certificates_are_checked, stop),
        cmocka_unit_test_teardown(clients_verify_the_server, stop),
        cmocka_unit_test_teardown(stalled_handshakes_time_out, stop),
        cmocka_unit_test_teardown(stalled_handshakes_lock_nobody_out, stop),
        cmocka_unit_test_teardown(certificates_are_replaced_under_load, stop),
        cmocka_unit_test_teardown(changed_files_are_noticed, stop),
        cmocka_unit_test_teardown(reload_fails_if_a_certificate_cannot_be_used, stop),
        cmocka_unit_test_teardown(bad_certificates_change_nothing, stop),
        cmocka_unit_test(bad_files_prevent_the_start),
        cmocka_unit_test(config_check_reads_certificates),
        cmocka_unit_test(unprotected_listeners_prevent_the_start),
        cmocka_unit_test_teardown(insecure_listeners_are_visible, stop),
    };
    return server_process_finish(cmocka_run_group_tests(tests, make_files, remove_files));
}
