/* SPDX-License-Identifier: Apache-2.0
 *
 * The client library with unusual servers: an older one without a WebSocket, one that sends
 * Retry-After, one that refuses everything, and one that is not an Artemis server.
 */
#include "libartemis/artemis.h"

#include "tests/support/client/watch_log.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/servers/fake_server.h"
#include "tests/support/servers/server_process.h"
#include "tests/support/wait.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { TIMEOUT_MS = 20000 };

#define SUCCESS "\"response_status\":{\"error_code\":\"success\"}"

static void write_response(char *out, size_t size, const char *status, const char *fields,
                           const char *body)
{
    snprintf(out, size, "HTTP/1.1 %s\r\n%sConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
             status, fields, strlen(body), body);
}

static struct artemis_client *open_client(const char *servers, struct artemis_options options)
{
    struct artemis_client *client = NULL;
    struct artemis_problem problem = {.text = ""};
    options.servers = servers;
    options.poll_ms = 50;
    if (artemis_open(&options, &client, &problem))
        fail_msg("%s", problem.text);
    return client;
}

static const struct artemis_instance one = {
    .service_id = "shop", .instance_id = "s-1", .ip = "10.0.0.1", .port = 80};

/* --- without a WebSocket ---------------------------------------------------------------------- */

struct older {
    atomic_int version; /* also the number of instances */
    atomic_int unchanged;
    atomic_int unauthorized;
};

static void respond_older(const char *head, char *out, size_t size, void *context)
{
    struct older *older = context;
    char tag[64];
    char fields[80];
    char body[2048];
    int version = older->version;
    older->unauthorized += !strstr(head, "\r\nAuthorization: Bearer x\r\n");
    if (strncmp(head, "GET /ws ", 8) == 0) {
        write_response(out, size, "404 Not Found", "", "");
        return;
    }
    snprintf(tag, sizeof tag, "If-None-Match: \"%d\"\r\n", version);
    if (strstr(head, tag)) {
        older->unchanged++;
        write_response(out, size, "304 Not Modified", "", "");
        return;
    }
    size_t used = (size_t)snprintf(body, sizeof body,
                                   "{" SUCCESS ",\"version\":%d,\"service\":{\"service_id\":"
                                   "\"shop\",\"instances\":[",
                                   version);
    for (int i = 1; i <= version; i++)
        used += (size_t)snprintf(body + used, sizeof body - used,
                                 "%s{\"region_id\":\"r\",\"zone_id\":\"z\",\"service_id\":\"shop\","
                                 "\"instance_id\":\"s-%d\",\"ip\":\"h\"}",
                                 i > 1 ? "," : "", i);
    snprintf(body + used, sizeof body - used, "]}}");
    snprintf(fields, sizeof fields, "ETag: \"%d\"\r\n", version);
    write_response(out, size, "200 OK", fields, body);
}

static bool was_polled_without_changes(void *context)
{
    const struct older *older = context;
    return older->unchanged >= 3;
}

static void server_without_a_websocket_is_polled(void **state)
{
    (void)state;
    struct fake_server server;
    struct older older = {.version = 1};
    struct watch_log changes;
    struct artemis_watch *watch = NULL;
    watch_log_init(&changes);
    fake_server_start(&server, respond_older, &older);
    struct artemis_client *client =
        open_client(server.url, (struct artemis_options){.authorization = "Bearer x"});
    assert_int_equal(artemis_watch(client, "shop", ARTEMIS_WATCH_CURRENT, watch_log_on_change,
                                   &changes, TIMEOUT_MS, &watch, NULL),
                     ARTEMIS_OK);
    watch_log_wait(&changes, "+s-1 ");
    assert_true(wait_until(was_polled_without_changes, &older, wait_deadline_ms()));
    older.version = 3;
    watch_log_wait(&changes, "+s-1 +s-2 +s-3 ");
    older.version = 2;
    watch_log_wait(&changes, "+s-1 +s-2 +s-3 -s-3 ");
    assert_int_equal(older.unauthorized, 0);
    assert_int_equal(artemis_close(client, 0, NULL), ARTEMIS_OK);
    fake_server_stop(&server);
    watch_log_free(&changes);
}

/* --- Retry-After ------------------------------------------------------------------------------ */

struct busy {
    const char *retry_after; /* a line of the first response */
    atomic_int calls;
    _Atomic int64_t first_ms, second_ms;
};

static void respond_busy(const char *head, char *out, size_t size, void *context)
{
    struct busy *busy = context;
    (void)head;
    int call = busy->calls++;
    if (call == 0)
        busy->first_ms = wait_now_ms();
    if (call == 1)
        busy->second_ms = wait_now_ms();
    if (call == 0)
        write_response(out, size, "503 Service Unavailable", busy->retry_after,
                       "{\"response_status\":{\"error_code\":\"service-unavailable\","
                       "\"error_message\":\"draining\",\"reason\":\"draining\"}}");
    else
        write_response(out, size, "200 OK", "", "{" SUCCESS "}");
}

static void retry_after_is_honoured(void **state)
{
    (void)state;
    struct fake_server server;
    struct busy busy = {.retry_after = "Retry-After: 2\r\n"};
    fake_server_start(&server, respond_busy, &busy);
    struct artemis_client *client = open_client(server.url, (struct artemis_options){0});
    struct artemis_problem problem;
    assert_int_equal(artemis_register(client, &one, 500, &problem), ARTEMIS_TIMED_OUT);
    assert_non_null(strstr(problem.text, "draining"));
    assert_int_equal(artemis_register(client, &one, TIMEOUT_MS, NULL), ARTEMIS_OK);
    assert_true(busy.second_ms >= busy.first_ms + 1950);
    assert_int_equal(artemis_close(client, TIMEOUT_MS, NULL), ARTEMIS_OK);
    fake_server_stop(&server);
}

/* Taken for a large number, it would keep the client from its only server for a minute. */
static void negative_retry_after_is_ignored(void **state)
{
    (void)state;
    struct fake_server server;
    struct busy busy = {.retry_after = "Retry-After: -5\r\n"};
    fake_server_start(&server, respond_busy, &busy);
    struct artemis_client *client = open_client(server.url, (struct artemis_options){0});
    assert_int_equal(artemis_register(client, &one, TIMEOUT_MS, NULL), ARTEMIS_OK);
    assert_true(busy.calls >= 2);
    assert_int_equal(artemis_close(client, TIMEOUT_MS, NULL), ARTEMIS_OK);
    fake_server_stop(&server);
}

/* --- rejections ------------------------------------------------------------------------------- */

static void respond_forbidden(const char *head, char *out, size_t size, void *context)
{
    (void)context;
    bool socket = strncmp(head, "GET /ws ", 8) == 0;
    write_response(
        out, size, socket ? "404 Not Found" : "403 Forbidden", "",
        "{\"response_status\":{\"error_code\":\"bad-request\",\"error_message\":\"not allowed\","
        "\"reason\":\"no-permission\"}}");
}

static void rejection_returns_at_once_with_the_reason(void **state)
{
    (void)state;
    struct fake_server server;
    fake_server_start(&server, respond_forbidden, NULL);
    struct artemis_client *client = open_client(server.url, (struct artemis_options){0});
    struct artemis_problem problem;
    const struct artemis_service *service = NULL;
    assert_int_equal(artemis_register(client, &one, TIMEOUT_MS, &problem), ARTEMIS_REFUSED);
    assert_string_equal(problem.text, "not allowed");
    assert_int_equal(artemis_discover(client, "shop", TIMEOUT_MS, &service, &problem),
                     ARTEMIS_REFUSED);
    assert_string_equal(problem.text, "not allowed");
    assert_int_equal(artemis_close(client, TIMEOUT_MS, NULL), ARTEMIS_OK);
    fake_server_stop(&server);
}

static void respond_html(const char *head, char *out, size_t size, void *context)
{
    (void)head;
    (void)context;
    write_response(out, size, "200 OK", "Content-Type: text/html\r\n", "<html>It works!</html>");
}

static void server_of_another_kind_is_not_used(void **state)
{
    (void)state;
    struct fake_server server;
    struct server_process real;
    char servers[128];
    fake_server_start(&server, respond_html, NULL);
    struct artemis_client *client = open_client(server.url, (struct artemis_options){0});
    struct artemis_problem problem;
    const struct artemis_service *service = NULL;
    assert_int_equal(artemis_register(client, &one, 300, &problem), ARTEMIS_TIMED_OUT);
    assert_non_null(strstr(problem.text, "not from an Artemis server"));
    assert_int_equal(artemis_discover(client, "shop", 300, &service, &problem), ARTEMIS_TIMED_OUT);
    assert_non_null(strstr(problem.text, "not from an Artemis server"));
    (void)artemis_close(client, 0, NULL);

    server_process_start(&real, NULL, NULL);
    snprintf(servers, sizeof servers, "%s,%s", server.url, real.url);
    client = open_client(servers, (struct artemis_options){0});
    assert_int_equal(artemis_register(client, &one, TIMEOUT_MS, NULL), ARTEMIS_OK);
    assert_int_equal(artemis_discover(client, "shop", TIMEOUT_MS, &service, NULL), ARTEMIS_OK);
    assert_int_equal(service->instance_count, 1);
    artemis_service_free(service);
    assert_int_equal(artemis_close(client, TIMEOUT_MS, NULL), ARTEMIS_OK);
    server_process_stop(&real);
    fake_server_stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(server_without_a_websocket_is_polled),
        cmocka_unit_test(retry_after_is_honoured),
        cmocka_unit_test(negative_retry_after_is_ignored),
        cmocka_unit_test(rejection_returns_at_once_with_the_reason),
        cmocka_unit_test(server_of_another_kind_is_not_used),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
