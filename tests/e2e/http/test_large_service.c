/* SPDX-License-Identifier: Apache-2.0
 *
 * A service that is too large to be encoded at once: its response is encoded while it is sent. It
 * is the list of one version, whatever happens meanwhile, and every reader gets it whole or notices
 * that it is cut.
 */
#include "tests/support/client/calls.h"
#include "tests/support/client/raw_socket.h"
#include "tests/support/gzip.h"
#include "tests/support/random.h"
#include "tests/support/wait.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* 8 KB of metadata each: 6.5 MB, above the limit of 4 MiB (LARGE_MEMBERS_BYTES). */
enum { INSTANCES = 800, PER_REQUEST = 200, FILLER_BYTES = 8000, RECEIVE_BYTES = 16 * 1024 };

#define TARGET "/api/discovery/service?service_id=s"

/* Text that gzip makes little smaller. */
static const char *filler_of(int number)
{
    static char filler[FILLER_BYTES + 1];
    uint64_t seed = (uint64_t)number;
    for (size_t i = 0; i < FILLER_BYTES; i++)
        filler[i] = (char)('a' + random_below(&seed, 26));
    return filler;
}

static int start(void **state)
{
    int failed = fixture_start(state, (const char *const[]){"--set", "lease.ttl_secs=3600", "--set",
                                                            "ratelimit.enabled=false", NULL});
    struct fixture *fixture = *state;
    for (int i = 0; i < INSTANCES && !failed; i += PER_REQUEST)
        call_register_wide(fixture->http, "s", i, PER_REQUEST, 1, filler_of);
    return failed;
}

/* All instances, each with this port, and a version. */
static void check_content(const struct http_response *response, int port, long long version)
{
    check_status(response, 200, "success", NULL);
    check_count(response, "service.instances", INSTANCES);
    check_json(response, "service.service_id", "'s'");
    assert_int_equal(check_integer(response, "version"), version);
    const json_t *instance;
    size_t i;
    json_array_foreach(check_find(response->json, "service.instances"), i, instance)
        assert_int_equal(json_integer_value(json_object_get(instance, "port")), port);
}

/* Asks with a small receive buffer and reads the first bytes of the response. */
static void begin_reading(struct raw_socket *raw, uint16_t port)
{
    raw_socket_open_small(raw, RECEIVE_BYTES, port);
    raw_socket_sendf(raw, "GET " TARGET " HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(raw_socket_read_more(raw, wait_deadline_ms()));
    assert_true(raw->size > 0 && raw->size < INSTANCES * FILLER_BYTES / 2);
}

/* Reads all chunks before they are parsed: raw_socket_read parses them again with each read. */
static void finish_reading(struct raw_socket *raw)
{
    static const char end[] = "\r\n0\r\n\r\n";
    size_t size = sizeof end - 1;
    int64_t deadline_ms = wait_deadline_ms();
    while (raw->size < size || memcmp(raw->bytes + raw->size - size, end, size) != 0)
        assert_true(raw_socket_read_more(raw, deadline_ms) && !raw->ended);
    assert_int_equal(raw_socket_read(raw, wait_deadline_ms()), RAW_RESPONSE);
}

/* --- whole responses -------------------------------------------------------------------------- */

static void version_and_tag_are_those_of_the_content(void **state)
{
    struct fixture *fixture = *state;
    long long version = call_version(fixture->http);
    char tag[80];
    for (int i = 0; i < 3; i++) {
        struct http_response *response = http_get(fixture->http, TARGET "&wait=0s");
        check_content(response, 1, version);
        check_field(response, "Transfer-Encoding", "chunked");
        check_field(response, "Content-Length", NULL);
        check_field(response, "Content-Type", "application/json");
        check_field(response, "Vary", "Accept-Encoding");
        snprintf(tag, sizeof tag, "\"%s-%lld\"", http_field(response, "X-Artemis-Run"), version);
        check_field(response, "ETag", tag);
    }
    char field[128];
    snprintf(field, sizeof field, "If-None-Match: %s", tag);
    const struct http_request request = {
        .method = "GET", .path = TARGET, .fields = (const char *const[]){field, NULL}};
    for (int i = 0; i < 2; i++) { /* the connection can be used again */
        struct http_response *response = http_send(fixture->http, &request);
        check_http(response, 304);
        check_field(response, "ETag", tag);
        assert_int_equal(response->body_size, 0);
    }
    call_register_wide(fixture->http, "s", 0, 1, 2, filler_of);
    struct http_response *response = http_send(fixture->http, &request);
    check_status(response, 200, "success", NULL);
    check_count(response, "service.instances", INSTANCES);
}

static void java_clients_get_it_in_their_form(void **state)
{
    struct fixture *fixture = *state;
    struct http_response *response =
        http_get(fixture->http, "/artemis/api/discovery/service.json?serviceId=s");
    check_status(response, 200, "success", NULL);
    check_count(response, "service.instances", INSTANCES);
    check_json(response, "service.instances[799].groupId", "null");
    check_json(response, "service.routeRules", "null");
}

/* Until a body was sent whole its length is not known, and the connection ends after a HEAD. */
static void head_has_the_length_of_a_body_that_was_sent(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket raw;
    static const char head[] = "HEAD " TARGET " HTTP/1.1\r\nHost: a\r\n\r\n";
    raw_socket_open(&raw, fixture->server.port);
    raw_socket_sendf(&raw, "%s", head);
    assert_int_equal(raw_socket_read_head(&raw, wait_deadline_ms()), RAW_RESPONSE);
    check_http(&raw.response, 200);
    assert_non_null(http_field(&raw.response, "ETag"));
    check_field(&raw.response, "Content-Length", NULL);
    check_field(&raw.response, "Connection", "close");
    assert_true(raw_socket_is_closed_by(&raw, wait_deadline_ms()));
    raw_socket_close(&raw);
    char length[24];
    snprintf(length, sizeof length, "%zu", http_get(fixture->http, TARGET)->body_size);
    raw_socket_open(&raw, fixture->server.port);
    for (int i = 0; i < 2; i++) {
        raw_socket_sendf(&raw, "%s", head);
        assert_int_equal(raw_socket_read_head(&raw, wait_deadline_ms()), RAW_RESPONSE);
        check_http(&raw.response, 200);
        check_field(&raw.response, "Content-Length", length);
    }
    raw_socket_close(&raw);
}

static void gzip_form_has_its_own_tag(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket raw;
    long long version = call_version(fixture->http);
    raw_socket_open(&raw, fixture->server.port);
    raw_socket_sendf(&raw, "GET " TARGET " HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
    assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
    check_http(&raw.response, 200);
    check_field(&raw.response, "Content-Encoding", "gzip");
    const char *tag = http_field(&raw.response, "ETag");
    assert_non_null(tag);
    assert_string_equal(tag + strlen(tag) - 6, "-gzip\"");
    size_t size;
    char *body = gzip_unpack(raw.response.body, raw.response.body_size, &size);
    assert_non_null(body);
    struct http_response unpacked = {.status = 200, .json = json_loads(body, 0, NULL)};
    check_content(&unpacked, 1, version);
    json_decref(unpacked.json);
    free(body);
    raw_socket_close(&raw);
}

static void http_1_0_reads_to_the_end_of_the_connection(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket raw;
    raw_socket_open(&raw, fixture->server.port);
    raw_socket_sendf(&raw, "GET " TARGET " HTTP/1.0\r\n\r\n");
    int64_t deadline_ms = wait_deadline_ms();
    while (!raw.ended)
        assert_true(raw_socket_read_more(&raw, deadline_ms));
    assert_true(raw.size > (size_t)INSTANCES * FILLER_BYTES);
    assert_memory_equal(raw.bytes + raw.size - 4, "}]}}", 4);
    raw_socket_close(&raw);
}

/* --- in the middle ---------------------------------------------------------------------------- */

static void change_in_the_middle_is_in_the_next_response(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket raw;
    long long version = call_version(fixture->http);
    begin_reading(&raw, fixture->server.port);
    for (int i = 0; i < INSTANCES; i += PER_REQUEST)
        call_register_wide(fixture->http, "s", i, PER_REQUEST, 2, filler_of);
    check_content(http_get(fixture->http, TARGET), 2, version + INSTANCES);
    finish_reading(&raw);
    check_content(&raw.response, 1, version);
    raw_socket_sendf(&raw, "GET " TARGET " HTTP/1.1\r\nHost: a\r\n\r\n");
    finish_reading(&raw);
    check_content(&raw.response, 2, version + INSTANCES);
    raw_socket_close(&raw);
}

static void service_that_leaves_in_the_middle_is_still_sent(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket raw;
    long long version = call_version(fixture->http);
    begin_reading(&raw, fixture->server.port);
    check_status(call_with_keys(fixture->http, UNREGISTER, "s", 0, INSTANCES), 200, "success",
                 NULL);
    assert_int_equal(call_count(fixture->http, "s"), 0);
    finish_reading(&raw);
    check_content(&raw.response, 1, version);
    raw_socket_close(&raw);
}

static void readers_that_leave_in_the_middle_free_it(void **state)
{
    struct fixture *fixture = *state;
    enum { READERS = 30 };
    struct raw_socket raws[READERS];
    for (int i = 0; i < READERS; i++)
        begin_reading(&raws[i], fixture->server.port);
    call_wait_metric(fixture->http, "artemis_connections_busy", READERS + 1);
    /* They share the instances: nothing is encoded for a later part. */
    assert_true(call_metric(fixture->http, "artemis_cached_answer_bytes") < 64 * 1024);
    assert_int_equal(call_metric(fixture->http, "artemis_http_unread_response_bytes"),
                     READERS * 128 * 1024);
    for (int i = 0; i < READERS; i++)
        raw_socket_close(&raws[i]);
    call_wait_metric(fixture->http, "artemis_connections", 1);
    call_wait_metric(fixture->http, "artemis_http_unread_response_bytes", 0);
    check_content(http_get(fixture->http, TARGET), 1, call_version(fixture->http));
}

static void shutdown_in_the_middle_sends_the_rest(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket raw;
    long long version = call_version(fixture->http);
    begin_reading(&raw, fixture->server.port);
    server_process_signal(&fixture->server, SIGTERM);
    finish_reading(&raw);
    check_content(&raw.response, 1, version);
    raw_socket_close(&raw);
    assert_int_equal(server_process_wait(&fixture->server), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, fixture_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(version_and_tag_are_those_of_the_content),
        TEST(java_clients_get_it_in_their_form),
        TEST(head_has_the_length_of_a_body_that_was_sent),
        TEST(gzip_form_has_its_own_tag),
        TEST(http_1_0_reads_to_the_end_of_the_connection),
        TEST(change_in_the_middle_is_in_the_next_response),
        TEST(service_that_leaves_in_the_middle_is_still_sent),
        TEST(readers_that_leave_in_the_middle_free_it),
        TEST(shutdown_in_the_middle_sends_the_rest),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
