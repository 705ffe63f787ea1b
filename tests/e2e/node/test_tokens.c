/* SPDX-License-Identifier: Apache-2.0
 *
 * A node with tokens: every route needs one, what each role and each list of services allows, and
 * how failures are answered, counted, logged and slowed down.
 */
#include "tests/support/client/calls.h"
#include "tests/support/client/websocket_client.h"
#include "tests/support/servers/tokens.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PEER "/api/replication/registry/"

static struct temp_folder folder;
static struct server_process server;
static struct http *http;

static void start_with(const char *more)
{
    temp_folder_make(&folder);
    server_process_start(&server,
                         (const char *const[]){"--config", tokens_write(&folder, more), "--set",
                                               "cluster.enabled=true", "--set",
                                               "cluster.bootstrap_grace_secs=0", NULL},
                         NULL);
    http = http_new(server.port);
}

static int start(void **state)
{
    (void)state;
    start_with("");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    http_free(http);
    server_process_stop(&server);
    temp_folder_remove(&folder);
    return 0;
}

/* --- requests --------------------------------------------------------------------------------- */

/* `secret` NULL: without the field. Single quotes in the body stand for double ones. */
static struct http_response *send_with(const char *method, const char *path, const char *secret,
                                       const char *body)
{
    char authorization[256];
    char text[4096];
    const char *fields[] = {"X-Artemis-Replication: true", authorization, NULL};
    snprintf(authorization, sizeof authorization, "Authorization: Bearer %s", secret ? secret : "");
    if (!secret)
        fields[1] = NULL;
    snprintf(text, sizeof text, "%s", body ? body : "");
    for (char *c = text; *c; c++)
        if (*c == '\'')
            *c = '"';
    return http_send(http, &(struct http_request){.method = method,
                                                  .path = path,
                                                  .fields = fields,
                                                  .body = body ? text : NULL,
                                                  .body_size = strlen(text)});
}

static struct http_response *get(const char *path, const char *secret)
{
    return send_with("GET", path, secret, NULL);
}

static struct http_response *post(const char *path, const char *secret, const char *body)
{
    return send_with("POST", path, secret, body);
}

static struct http_response *call_for(const char *path, const char *secret, const char *service_id)
{
    char body[512];
    snprintf(body, sizeof body, "{'instances':[" INSTANCE "]}", service_id, "i1");
    return post(path, secret, body);
}

static bool is_ready(void *unused)
{
    (void)unused;
    return http_get(http, "/ready")->status == 200;
}

/* --- no token, wrong token -------------------------------------------------------------------- */

static void every_path_but_two_needs_a_token(void **state)
{
    (void)state;
    static const char *const gets[] = {
        "/api/cluster/nodes",
        "/api/discovery/services",
        "/api/discovery/service?service_id=x",
        "/api/status/node",
        "/api/status/config",
        "/metrics",
        PEER "digest",
        PEER "services.json",
        "/nothing",
        "/artemis/api/discovery/services.json",
        "/ws",
        "/api/discovery/services-delta?version=1",
    };
    static const char *const posts[] = {REGISTER,       HEARTBEAT,
                                        UNREGISTER,     PEER "register",
                                        PEER "records", "/api/status/leases/release"};
    for (size_t i = 0; i < sizeof gets / sizeof gets[0]; i++) {
        struct http_response *response = get(gets[i], NULL);
        check_http(response, 401);
        check_field(response, "WWW-Authenticate", "Bearer realm=\"artemis\"");
    }
    for (size_t i = 0; i < sizeof posts / sizeof posts[0]; i++)
        check_status(post(posts[i], NULL, "{}"), 401, "bad-request", "no-token");
    check_http(get("/health", NULL), 200);
    assert_true(wait_until(is_ready, NULL, wait_deadline_ms()));
    check_http(get("/health", TOKEN_UNKNOWN), 200); /* it is not looked at */
}

static void unknown_and_expired_tokens_are_refused(void **state)
{
    (void)state;
    struct http_response *response = get("/api/discovery/services", TOKEN_UNKNOWN);
    check_status(response, 401, "bad-request", "invalid-token");
    check_field(response, "WWW-Authenticate", "Bearer realm=\"artemis\", error=\"invalid_token\"");
    check_status(get("/api/status/node", TOKEN_EXPIRED), 401, "bad-request", "token-expired");
    check_status(get("/api/discovery/services", "short"), 401, "bad-request", "invalid-token");
    check_status(get("/nothing", TOKEN_READ), 404, "bad-request", "no-such-path");
}

/* Sends a GET with these header fields; returns the status. */
static int status_of(const char *fields)
{
    struct raw_socket raw;
    raw_socket_open(&raw, server.port);
    assert_true(
        raw_socket_sendf(&raw, "GET /api/status/node HTTP/1.1\r\nHost: x\r\n%s\r\n", fields));
    assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
    int status = raw.response.status;
    raw_socket_close(&raw);
    return status;
}

static void authorization_field_is_read_strictly(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        int status;
    } rows[] = {
        {"Authorization: Bearer " TOKEN_READ "\r\n", 200},
        {"authorization: bearer " TOKEN_READ "\r\n", 200},
        {"Authorization: Basic " TOKEN_READ "\r\n", 401},
        {"Authorization: " TOKEN_READ "\r\n", 401},
        {"Authorization:\r\n", 401},
        {"Authorization: Bearer " TOKEN_READ "," TOKEN_READ "\r\n", 401},
        {"Authorization: Bearer " TOKEN_READ "\r\nAuthorization: Bearer " TOKEN_READ "\r\n", 401},
        {"Authorization: Bearer " TOKEN_UNKNOWN "\r\nAuthorization: Bearer " TOKEN_READ "\r\n",
         401},
        {"X-Token: " TOKEN_READ "\r\n", 401},
        {"X-Artemis-Replication: true\r\nX-Artemis-Node: node1\r\n", 401},
        {"Cookie: Authorization=Bearer " TOKEN_READ "\r\n", 401},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int status = status_of(rows[i].fields);
        if (status != rows[i].status)
            fail_msg("%d for %s", status, rows[i].fields);
    }
    struct raw_socket raw; /* a token in the path is none */
    raw_socket_open(&raw, server.port);
    assert_true(raw_socket_sendf(&raw,
                                 "GET /api/status/node?token=%s&access_token=%s HTTP/1.1\r\n"
                                 "Host: x\r\n\r\n",
                                 TOKEN_ADMIN, TOKEN_ADMIN));
    assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
    assert_int_equal(raw.response.status, 401);
    raw_socket_close(&raw);
}

static void oversized_authorization_is_refused(void **state)
{
    (void)state;
    char fields[16 * 1024];
    memset(fields, 'a', sizeof fields);
    memcpy(fields, "Authorization: Bearer ", 22);
    memcpy(fields + 4096, "\r\n", 3);
    assert_int_equal(status_of(fields), 401);
    memset(fields + 4096, 'a', 3);
    memcpy(fields + sizeof fields - 3, "\r\n", 3);
    assert_int_equal(status_of(fields), 431);
}

/* A node takes no body, and no share of its rate limit, for a token that has expired. */
static void expired_token_is_refused_before_the_body(void **state)
{
    (void)state;
    struct raw_socket raw;
    raw_socket_open(&raw, server.port);
    assert_true(raw_socket_sendf(&raw, "POST " REGISTER " HTTP/1.1\r\nHost: x\r\n"
                                       "Authorization: Bearer " TOKEN_EXPIRED "\r\n"
                                       "Expect: 100-continue\r\nContent-Length: 1000\r\n\r\n"));
    assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
    assert_int_equal(raw.response.status, 401);
    raw_socket_close(&raw);
}

static void connection_may_change_its_token(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        check_http(get("/api/status/config", TOKEN_OPERATOR), 200);
        check_http(get("/api/status/config", TOKEN_READ), 403);
        check_http(get("/api/status/config", TOKEN_OPERATOR), 200);
        check_http(get("/api/status/config", TOKEN_UNKNOWN), 401);
    }
}

/* --- roles ------------------------------------------------------------------------------------ */

static void role_decides_what_is_allowed(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path, *body;
        const char *allowed; /* by read, write, operator, admin, peer */
    } rows[] = {
        {"GET", "/api/status/node", NULL, "1111."},
        {"GET", "/metrics", NULL, "1111."},
        {"POST", HEARTBEAT, "{'instance_keys':[]}", ".111."},
        {"POST", REGISTER, "{'instances':[]}", ".111."},
        {"POST", UNREGISTER, "{'instance_keys':[]}", ".111."},
        {"GET", "/api/status/cluster", NULL, "..11."},
        {"GET", "/api/status/config", NULL, "..11."},
        {"GET", "/api/status/leases", NULL, "..11."},
        {"POST", "/api/status/leases/release", "{}", "..11."},
        {"GET", PEER "digest", NULL, "..111"},
        {"POST", PEER "records", "{'instance_keys':[]}", "..111"},
        {"POST", PEER "register", "{'instances':[]}", "....1"},
        {"POST", PEER "heartbeat", "{'instance_keys':[]}", "....1"},
        {"POST", PEER "unregister", "{'instance_keys':[]}", "....1"},
        {"POST", PEER "batch-register", "{'instances':[]}", "....1"},
        {"POST", PEER "lease-check", "{'instance_keys':[]}", "....1"},
        {"GET", PEER "services", NULL, "..111"},
        {"POST", PEER "release-guard", "{}", "....1"},
        {"POST", PEER "restore", "{'instances':[]}", "...1."},
    };
    static const char *const secrets[] = {TOKEN_READ, TOKEN_WRITE, TOKEN_OPERATOR, TOKEN_ADMIN,
                                          TOKEN_PEER};
    assert_true(wait_until(is_ready, NULL, wait_deadline_ms()));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t role = 0; role < 5; role++) {
            struct http_response *response =
                send_with(rows[i].method, rows[i].path, secrets[role], rows[i].body);
            bool allowed = rows[i].allowed[role] == '1';
            if (response->status != (allowed ? 200 : 403))
                fail_msg("%s with %s: %d", rows[i].path, secrets[role], response->status);
            if (!allowed)
                check_field(response, "WWW-Authenticate",
                            "Bearer realm=\"artemis\", error=\"insufficient_scope\"");
        }
}

static void java_paths_need_the_same_roles(void **state)
{
    (void)state;
    struct http_response *response =
        post("/artemis/api/registry/register.json", TOKEN_READ, "{'instances':[]}");
    check_http(response, 403);
    check_json(response, "responseStatus.errorCode", "'no-permission'");
    check_json(response, "responseStatus.reason", "'no-permission'");
}

/* --- services --------------------------------------------------------------------------------- */

static void writer_changes_only_its_services(void **state)
{
    (void)state;
    assert_true(wait_until(is_ready, NULL, wait_deadline_ms()));
    static const char *const paths[] = {REGISTER, HEARTBEAT, UNREGISTER};
    check_status(call_for(REGISTER, TOKEN_WRITE, "bank"), 200, "success", NULL);
    for (size_t i = 0; i < 3; i++) {
        struct http_response *response = call_for(paths[i], TOKEN_SHOP_WRITER, "bank");
        check_status(response, 200, "bad-request", "no-permission");
        check_json(response, "failed_instances[0].reason", "'no-permission'");
        check_json(response, "failed_instances[0].service_id", "'bank'");
    }
    check_contains(call_for(REGISTER, TOKEN_SHOP_WRITER, "bank"),
                   "failed_instances[0].error_message",
                   "service_id: token \"shop-writer\" may not change \"bank\"");
    check_json(get("/api/discovery/service?service_id=bank", TOKEN_SHOP_WRITER), /* it may look */
               "service.instances[0].instance_id", "'i1'");
    for (size_t i = 0; i < 3; i++)
        check_status(call_for(paths[i], TOKEN_SHOP_WRITER, "Shop-Cart"), 200, "success", NULL);
    char body[1024];
    snprintf(body, sizeof body, "{'instances':[" INSTANCE "," INSTANCE "]}", "shop-a", "i1", "bank",
             "i2");
    struct http_response *response = post(REGISTER, TOKEN_SHOP_WRITER, body);
    check_count(response, "failed_instances", 1);
    check_json(response, "failed_instances[0].instance_id", "'i2'");
    check_count(get("/api/discovery/service?service_id=shop-a", TOKEN_READ), "service.instances",
                1);
    check_count(get("/api/discovery/service?service_id=bank", TOKEN_READ), "service.instances", 1);
}

static void reader_sees_only_its_services(void **state)
{
    (void)state;
    assert_true(wait_until(is_ready, NULL, wait_deadline_ms()));
    check_status(call_for(REGISTER, TOKEN_WRITE, "bank"), 200, "success", NULL);
    check_status(call_for(REGISTER, TOKEN_WRITE, "shop-a"), 200, "success", NULL);
    static const char *const refused[] = {
        "/api/discovery/service?service_id=bank",
        "/api/discovery/service?serviceId=BANK&version=0&wait=1s",
        "/api/discovery/lookup?service_id=bank",
        "/api/discovery/lookup?service_id=bank&strategy=random",
        "/api/discovery/services",
        "/api/discovery/services?version=1&wait=1s",
        "/api/discovery/services-delta?version=1",
        "/artemis/api/discovery/service.json?serviceId=bank",
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        check_http(get(refused[i], TOKEN_SHOP_READER), 403);
    static const char *const bodies[] = {
        "{'discovery_config':{'service_id':'bank'}}",
        "{'discovery_configs':[{'service_id':'shop-a'},{'service_id':'bank'}]}",
        "{'discovery_config':{'service_id':'bank'},'strategy':'random'}",
    };
    for (size_t i = 0; i < 3; i++)
        check_status(post("/api/discovery/lookup", TOKEN_SHOP_READER, bodies[i]), 403,
                     "bad-request", "no-permission");
    check_http(post("/api/discovery/service", TOKEN_SHOP_READER, bodies[0]), 403);
    check_count(get("/api/discovery/service?service_id=shop-a", TOKEN_SHOP_READER),
                "service.instances", 1);
    check_http(get("/api/discovery/lookup?service_id=SHOP-A&strategy=random", TOKEN_SHOP_READER),
               200);
    check_http(get("/api/discovery/service?service_id=bank", TOKEN_READ), 200);
}

/* --- WebSockets ------------------------------------------------------------------------------- */

/* Opens a WebSocket with a token; returns the status. */
static int open_websocket(struct websocket_client *client, const char *path, const char *secret)
{
    struct raw_socket raw;
    raw_socket_open(&raw, server.port);
    assert_true(raw_socket_sendf(
        &raw, "GET %s HTTP/1.1\r\nHost: x\r\n" HANDSHAKE_FIELDS "Authorization: Bearer %s\r\n\r\n",
        path, secret));
    assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
    int status = raw.response.status;
    if (status != 101) {
        raw_socket_close(&raw);
        return status;
    }
    websocket_client_adopt(client, raw.fd);
    raw.fd = -1;
    raw_socket_close(&raw);
    return status;
}

static void websocket_needs_a_role_and_keeps_to_its_services(void **state)
{
    (void)state;
    struct websocket_client client;
    assert_true(wait_until(is_ready, NULL, wait_deadline_ms()));
    assert_int_equal(open_websocket(&client, "/ws", TOKEN_UNKNOWN), 401);
    assert_int_equal(open_websocket(&client, "/ws", TOKEN_PEER), 403);
    assert_int_equal(open_websocket(&client, "/ws/registry/heartbeat", TOKEN_READ), 403);
    assert_int_equal(
        open_websocket(&client, "/ws/discovery/all-instance-change", TOKEN_SHOP_READER), 403);
    assert_int_equal(open_websocket(&client, "/ws", TOKEN_SHOP_READER), 101);
    static const char *const refused[] = {"bank", "*"};
    for (size_t i = 0; i < 2; i++) {
        websocket_client_send_json(&client, "{'type':'subscribe','service_id':'%s'}", refused[i]);
        check_json(websocket_client_next(&client), "type", "'error'");
    }
    websocket_client_send_json(&client, "{'type':'subscribe','service_id':'shop-a'}");
    check_json(websocket_client_next(&client), "type", "'subscribed'");
    websocket_client_close(&client);
}

static void heartbeat_socket_renews_only_its_services(void **state)
{
    (void)state;
    struct websocket_client client;
    check_status(call_for(REGISTER, TOKEN_WRITE, "bank"), 200, "success", NULL);
    assert_int_equal(open_websocket(&client, "/ws/registry/heartbeat", TOKEN_SHOP_WRITER), 101);
    websocket_client_send_json(&client, "{'instances':[" INSTANCE "]}", "bank", "i1");
    check_contains(websocket_client_next(&client), "failedInstances[0].reason", "no-permission");
    websocket_client_close(&client);
}

static void token_that_expires_ends_websockets_and_long_polls(void **state)
{
    (void)state;
    char token[512];
    struct websocket_client client;
    /* Before the server starts, which takes seconds under a sanitizer. */
    long expires = (long)time(NULL) + (wait_slow_build() ? 30 : 8);
    tokens_describe(token, sizeof token, "soon", "read", "soon-secret-0123456789", expires);
    start_with(token);
    assert_true(wait_until(is_ready, NULL, wait_deadline_ms()));
    assert_int_equal(open_websocket(&client, "/ws", "soon-secret-0123456789"), 101);
    struct http_response *response =
        get("/api/discovery/services?version=999999999&wait=60s", "soon-secret-0123456789");
    assert_true(response->status == 200 || response->status == 401); /* 200: another epoch */
    response =
        get("/api/discovery/service?service_id=new&version=0&wait=60s", "soon-secret-0123456789");
    check_status(response, 401, "bad-request", "token-expired");
    assert_true((long)time(NULL) <= expires + 20);
    websocket_client_check_closed(&client, 1008);
    websocket_client_close(&client);
}

/* --- failures --------------------------------------------------------------------------------- */

static void secret_is_in_no_log_and_no_response(void **state)
{
    (void)state;
    /* The expired one first: the log has a few lines per second. */
    static const char *const secrets[] = {TOKEN_EXPIRED, TOKEN_READ, TOKEN_UNKNOWN, TOKEN_PEER};
    temp_folder_make(&folder);
    server_process_start(&server,
                         (const char *const[]){"--config", tokens_write(&folder, ""), "--set",
                                               "log.level=debug", "--set",
                                               "cluster.token=" TOKEN_PEER, NULL},
                         NULL);
    http = http_new(server.port);
    static const char *const paths[] = {"/api/status/config", "/api/status/node",
                                        "/api/status/deployment", "/metrics"};
    for (size_t i = 0; i < 4; i++)
        for (size_t path = 0; path < 4; path++) {
            (void)get(paths[path], secrets[i]);
            struct http_response *response = get(paths[path], TOKEN_OPERATOR);
            check_http(response, 200);
            for (size_t j = 0; j < 4; j++)
                assert_null(strstr(response->body, secrets[j]));
        }
    http_free(http);
    char *log = server_process_stop_and_read_log(&server);
    for (size_t i = 0; i < 4; i++)
        assert_null(strstr(log, secrets[i]));
    assert_non_null(strstr(log, "refused a request"));
    assert_non_null(strstr(log, "token=expired"));
    free(log);
    temp_folder_remove(&folder);
}

static double metric(const char *name)
{
    struct http_response *response = get("/metrics", TOKEN_READ);
    char start[100];
    snprintf(start, sizeof start, "\n%s ", name);
    const char *found = strstr(response->body, start);
    assert_non_null(found);
    return strtod(found + strlen(start), NULL);
}

static void failures_are_counted_and_slowed_down(void **state)
{
    (void)state;
    int64_t begin_ms = wait_now_ms();
    for (int i = 0; i < 12; i++)
        check_http(get("/api/status/node", TOKEN_UNKNOWN), 401);
    /* 25 + 50 + 100 + 200 + 400 + 800 + 1000 ms */
    assert_true(wait_now_ms() - begin_ms >= 2500);
    begin_ms = wait_now_ms();
    for (int i = 0; i < 3; i++) /* a valid token of the same address waits for nothing */
        check_http(get("/api/status/node", TOKEN_READ), 200);
    assert_true(metric("artemis_auth_failures_total") >= 12);
    assert_true(metric("artemis_auth_delayed_total") >= 7);
}

static void service_that_the_token_does_not_cover_is_a_failure(void **state)
{
    (void)state;
    assert_true(wait_until(is_ready, NULL, wait_deadline_ms()));
    check_http(get("/api/discovery/service?service_id=bank", TOKEN_SHOP_READER), 403);
    struct http_response *response = call_for(REGISTER, TOKEN_SHOP_WRITER, "bank");
    check_status(response, 200, "bad-request", "no-permission");
    assert_null(http_field(response, "WWW-Authenticate"));
    assert_true(metric("artemis_auth_failures_total") == 2);
    assert_true(metric("artemis_auth_delayed_total") == 0);
}

/* Delayed responses hold no web thread: there is one, and it serves others meanwhile. */
static void delayed_failures_stop_nobody(void **state)
{
    (void)state;
    struct raw_socket raw[20];
    temp_folder_make(&folder);
    server_process_start(&server,
                         (const char *const[]){"--config", tokens_write(&folder, ""), "--set",
                                               "server.threads=1", NULL},
                         NULL);
    http = http_new(server.port);
    for (int i = 0; i < 10; i++)
        check_http(get("/api/status/node", TOKEN_UNKNOWN), 401);
    for (int i = 0; i < 20; i++) {
        raw_socket_open(&raw[i], server.port);
        assert_true(raw_socket_sendf(&raw[i], "GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: "
                                              "Bearer " TOKEN_UNKNOWN "\r\n\r\n"));
    }
    for (int i = 0; i < 20; i++)
        check_http(get("/api/status/node", TOKEN_READ), 200);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(raw_socket_read(&raw[i], wait_deadline_ms()), RAW_RESPONSE);
        assert_int_equal(raw[i].response.status, 401);
        raw_socket_close(&raw[i]);
    }
}

#define TEST(name)       cmocka_unit_test_setup_teardown(name, start, stop)
#define TEST_ALONE(name) cmocka_unit_test_teardown(name, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_path_but_two_needs_a_token),
        TEST(unknown_and_expired_tokens_are_refused),
        TEST(authorization_field_is_read_strictly),
        TEST(oversized_authorization_is_refused),
        TEST(expired_token_is_refused_before_the_body),
        TEST(connection_may_change_its_token),
        TEST(role_decides_what_is_allowed),
        TEST(java_paths_need_the_same_roles),
        TEST(writer_changes_only_its_services),
        TEST(reader_sees_only_its_services),
        TEST(websocket_needs_a_role_and_keeps_to_its_services),
        TEST(heartbeat_socket_renews_only_its_services),
        TEST_ALONE(token_that_expires_ends_websockets_and_long_polls),
        cmocka_unit_test(secret_is_in_no_log_and_no_response),
        TEST(failures_are_counted_and_slowed_down),
        TEST(service_that_the_token_does_not_cover_is_a_failure),
        TEST_ALONE(delayed_failures_stop_nobody),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
