/* SPDX-License-Identifier: Apache-2.0
 *
 * What all paths have in common (CONTRACT 1): ETag and 304, gzip in both directions, chunks,
 * methods, keep-alive, compact JSON.
 */
#include "tests/support/client/calls.h"
#include "tests/support/client/raw_socket.h"
#include "tests/support/gzip.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static int start(void **state)
{
    return fixture_start(state, NULL);
}

static struct http_response *get_with(struct http *http, const char *path, const char *field)
{
    const char *const fields[] = {field, NULL};
    return http_send(http, &(struct http_request){.method = "GET", .path = path, .fields = fields});
}

/* --- ETag ------------------------------------------------------------------------------------- */

static void etag_unchanged_gives_304_without_body(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    static const char *const paths[] = {
        "/api/discovery/service?service_id=s",
        "/api/discovery/services",
        "/artemis/api/discovery/services.json",
    };
    call_register(http, "s", "i1");
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char tag[256] = "";
        char field[300];
        struct http_response *response = http_get(http, "%s", paths[i]);
        const char *found = http_field(response, "ETag");
        assert_non_null(found);
        snprintf(tag, sizeof tag, "%s", found);
        assert_int_equal(tag[0] == 'W' ? tag[2] : tag[0], '"');
        snprintf(field, sizeof field, "If-None-Match: %s", tag);
        response = get_with(http, paths[i], field);
        check_http(response, 304);
        assert_int_equal(response->body_size, 0);
        check_field(response, "ETag", tag);
        snprintf(field, sizeof field, "If-None-Match: \"x\", %s", tag);
        check_http(get_with(http, paths[i], field), 304);
        check_http(get_with(http, paths[i], "If-None-Match: \"other\""), 200);
    }
}

static void etag_changes_with_the_service(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    static const char path[] = "/api/discovery/service?service_id=s";
    char field[300];
    call_register(http, "s", "i1");
    snprintf(field, sizeof field, "If-None-Match: %s", http_field(http_get(http, path), "ETag"));
    call_register(http, "other", "i1");
    check_http(get_with(http, path, field), 304);
    call_register(http, "s", "i2");
    struct http_response *response = get_with(http, path, field);
    check_status(response, 200, "success", NULL);
    check_count(response, "service.instances", 2);
}

static void etag_holds_the_version(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    char version[32];
    call_register(http, "s", "i1");
    struct http_response *response = http_get(http, "/api/discovery/services");
    snprintf(version, sizeof version, "%" JSON_INTEGER_FORMAT, check_integer(response, "version"));
    assert_non_null(strstr(http_field(response, "ETag"), version));
}

static void if_none_match_names_the_version_in_any_form(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    static const char path[] = "/api/discovery/service?service_id=s";
    static const struct {
        const char *before, *after; /* the version stands between */
        int status;
    } rows[] = {
        {"\"", "\"", 304},
        {"\"", "-gzip\"", 304},
        {"W/\"", "\"", 304},
        {"W/\"", "-gzip\"", 304},
        {"\"x\", W/\"y,z\",\"", "-gzip\" , \"1\"", 304},
        {"\"\", \"", "\"", 304},
        {"", "", 200},
        {"\"", "", 200},
        {"\"", "0\"", 200},
        {"\"1", "\"", 200},
        {"\"", "-br\"", 200},
        {"\"", "-gzip-gzip\"", 200},
        {"\"-gzip\", ", "", 200},
    };
    call_register(http, "s", "i1");
    char tag[64]; /* without its quotes */
    snprintf(tag, sizeof tag, "%s", http_field(http_get(http, path), "ETag") + 1);
    tag[strlen(tag) - 1] = '\0';
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char field[300];
        snprintf(field, sizeof field, "If-None-Match: %s%s%s", rows[i].before, tag, rows[i].after);
        struct http_response *response = get_with(http, path, field);
        if (response->status != rows[i].status) {
            fail_msg("%s gives %d", field, response->status);
        }
    }
    check_http(get_with(http, path, "If-None-Match: *"), 304);
    check_http(get_with(http, path, "If-None-Match: \"*\""), 200);
}

/* RFC 9110: 8.8.3 (a tag of its own for each encoding), 15.4.5 and 8.6 (the header of a 304). */
static void not_modified_has_the_header_of_its_200_in_each_encoding(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    static const char *const paths[] = {"/api/discovery/service?service_id=s",
                                        "/api/discovery/services"};
    static const char *const accepted[] = {"Accept-Encoding: gzip", "Accept-Encoding: identity"};
    call_register_many(http, "s", 50);
    for (size_t p = 0; p < 2; p++) {
        char known[2][64];
        for (size_t i = 0; i < 2; i++) {
            char length[32];
            struct http_response *response = get_with(http, paths[p], accepted[i]);
            check_http(response, 200);
            check_field(response, "Vary", "Accept-Encoding");
            snprintf(length, sizeof length, "%zu", response->body_size);
            snprintf(known[i], sizeof known[i], "If-None-Match: %.40s",
                     http_field(response, "ETag"));
            const char *const fields[] = {accepted[i], known[i], NULL};
            struct http_request request = {.method = "GET", .path = paths[p], .fields = fields};
            response = http_send(http, &request);
            check_http(response, 304);
            assert_int_equal(response->body_size, 0);
            check_field(response, "ETag", known[i] + strlen("If-None-Match: "));
            check_field(response, "Vary", "Accept-Encoding");
            check_field(response, "Content-Length", length);
            check_field(response, "Content-Encoding", NULL);
            check_field(response, "Content-Type", NULL);
        }
        assert_string_not_equal(known[0], known[1]);
    }
    assert_int_equal(http_connections(http), 1);
}

/* The responses are sent in the forms that were made for earlier requests. */
static void repeated_response_has_the_headers_of_its_form(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    static const char *const paths[] = {"/api/discovery/service?service_id=s",
                                        "/api/discovery/service?service_id=s&version=1&wait=0s"};
    static const char *const accepted[] = {"Accept-Encoding: identity", "Accept-Encoding: gzip"};
    call_register_many(http, "s", 50);
    for (int i = 0; i < 16; i++) {
        int gzip = i & 1;
        int waits = i >> 1 & 1;
        struct http_response *response = get_with(http, paths[waits], accepted[gzip]);
        check_http(response, 200);
        check_field(response, "Content-Type", "application/json");
        check_field(response, "Content-Encoding", gzip ? "gzip" : NULL);
        check_field(response, "Vary", "Accept-Encoding");
        assert_int_equal(http_field(response, "X-Artemis-Run") != NULL, waits);
        assert_int_equal(strstr(http_field(response, "ETag"), "-gzip") != NULL, gzip);
        assert_int_equal(response->body_size > 5000, !gzip);
    }
    call_register(http, "s", "new"); /* none of them is sent any more */
    for (int waits = 0; waits < 2; waits++)
        check_count(get_with(http, paths[waits], accepted[0]), "service.instances", 51);
    assert_int_equal(http_connections(http), 1);
}

/* --- gzip ------------------------------------------------------------------------------------- */

static void gzip_response_beyond_one_kib_when_accepted(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    static const char path[] = "/api/discovery/service?service_id=s";
    call_register_many(http, "s", 50);
    struct http_response *response = http_get(http, path);
    check_field(response, "Content-Encoding", NULL);
    assert_true(response->body_size > 1024);
    char *plain = strdup(response->body);
    size_t plain_size = response->body_size;
    static const char *const accepted[] = {"Accept-Encoding: gzip",
                                           "Accept-Encoding: deflate, gzip;q=0.5"};
    for (size_t i = 0; i < 2; i++) {
        size_t size = 0;
        response = get_with(http, path, accepted[i]);
        check_field(response, "Content-Encoding", "gzip");
        assert_true(response->body_size < plain_size / 2);
        char *unpacked = gzip_unpack(response->body, response->body_size, &size);
        assert_non_null(unpacked);
        assert_int_equal(size, plain_size);
        assert_memory_equal(unpacked, plain, size);
        free(unpacked);
    }
    check_field(get_with(http, path, "Accept-Encoding: identity"), "Content-Encoding", NULL);
    check_field(get_with(http, path, "Accept-Encoding: gzip;q=0"), "Content-Encoding", NULL);
    free(plain);
}

static void gzip_response_of_services_unpacks_to_the_same(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    size_t size = 0;
    call_register_many(http, "s", 2000);
    char *plain = strdup(http_get(http, "/api/discovery/services")->body);
    struct http_response *response =
        get_with(http, "/api/discovery/services", "Accept-Encoding: gzip");
    check_field(response, "Content-Encoding", "gzip");
    char *unpacked = gzip_unpack(response->body, response->body_size, &size);
    assert_non_null(unpacked);
    assert_string_equal(unpacked, plain);
    free(unpacked);
    free(plain);
}

static void gzip_is_not_used_below_one_kib(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register(http, "s", "i1");
    struct http_response *response =
        get_with(http, "/api/discovery/service?service_id=s", "Accept-Encoding: gzip");
    check_field(response, "Content-Encoding", NULL);
    check_status(response, 200, "success", NULL);
}

/* As the Java clients send everything: gzip in chunks. */
static void gzip_request_is_read_with_and_without_chunks(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    static const char *const fields[] = {"Content-Type: application/json", "Content-Encoding: gzip",
                                         NULL};
    for (int chunked = 0; chunked <= 1; chunked++) {
        size_t packed_size = 0;
        const char *service = chunked ? "chunked" : "whole";
        char *body = call_list_body("instances", INSTANCE, service, 0, 2000);
        unsigned char *packed = gzip_pack(body, strlen(body), &packed_size);
        struct http_response *response =
            http_send(http, &(struct http_request){.method = "POST",
                                                   .path = REGISTER,
                                                   .fields = fields,
                                                   .body = packed,
                                                   .body_size = packed_size,
                                                   .chunked = chunked});
        check_status(response, 200, "success", NULL);
        assert_int_equal(call_count(http, service), 2000);
        free(packed);
        free(body);
    }
}

/* --- bodies ----------------------------------------------------------------------------------- */

static void chunked_body_is_read(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    char *body = call_list_body("instances", INSTANCE, "s", 0, 3000);
    struct http_request request = {
        .method = "POST",
        .path = REGISTER,
        .body = body,
        .body_size = strlen(body),
        .chunked = true,
    };
    check_status(http_send(http, &request), 200, "success", NULL);
    assert_int_equal(call_count(http, "s"), 3000);
    free(body);
}

static void body_announced_with_expect_is_asked_for(void **state)
{
    struct fixture *fixture = *state;
    static const char body[] = "{\"instances\":[]}";
    struct raw_socket raw;
    raw_socket_open(&raw, fixture->server.port);
    raw_socket_sendf(&raw,
                     "POST " REGISTER " HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                     "Content-Length: %zu\r\nExpect: 100-continue\r\n\r\n",
                     sizeof body - 1);
    assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
    check_http(&raw.response, 100);
    raw_socket_sendf(&raw, "%s", body);
    assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
    check_status(&raw.response, 200, "success", NULL);
    raw_socket_close(&raw);
}

static void json_is_compact_and_says_what_it_is(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    static const char *const paths[] = {
        "/api/discovery/service?service_id=s",
        "/api/discovery/services",
        "/api/discovery/services-delta?version=1",
        "/artemis/api/discovery/services.json",
        "/api/cluster/nodes",
        "/api/status/node",
        "/api/status/cluster",
        "/api/status/leases",
        "/api/status/config",
        "/api/status/deployment",
        "/api/nowhere",
    };
    call_register_many(http, "s", 3);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct http_response *response = http_get(http, "%s", paths[i]);
        assert_non_null(response->json);
        char *compact = json_dumps(response->json, JSON_COMPACT);
        assert_string_equal(response->body, compact);
        free(compact);
        const char *type = http_field(response, "Content-Type");
        assert_non_null(type);
        assert_memory_equal(type, "application/json", strlen("application/json"));
    }
}

/* --- methods and paths ------------------------------------------------------------------------ */

static void wrong_method_is_405_with_what_is_allowed(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    static const struct {
        const char *method, *path, *allowed, *also_allowed;
    } rows[] = {
        {"GET", REGISTER, "POST", ""},
        {"DELETE", REGISTER, "POST", ""},
        {"PUT", "/api/discovery/service", "GET", "POST"},
        {"PATCH", "/api/discovery/lookup", "POST", ""},
        {"DELETE", "/api/status/leases", "GET", "POST"},
        {"POST", "/health", "GET", ""},
        {"POST", "/metrics", "GET", ""},
        {"HEAD", REGISTER, "POST", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct http_request request = {.method = rows[i].method, .path = rows[i].path};
        struct http_response *response = http_send(http, &request);
        if (strcmp(rows[i].method, "HEAD") == 0) {
            check_http(response, 405);
        } else {
            check_status(response, 405, "bad-request", "wrong-method");
        }
        const char *allow = http_field(response, "Allow");
        assert_non_null(allow);
        assert_non_null(strstr(allow, rows[i].allowed));
        assert_non_null(strstr(allow, rows[i].also_allowed));
    }
}

static void unknown_path_is_404(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    static const char *const paths[] = {
        "/",
        "/api",
        "/api/",
        "/api/registry",
        "/api/registry/register/",
        "/api/registry/register.jsonx",
        "/API/registry/register",
        "/artemis",
        "/artemis/api/nowhere.json",
        "/artemis/artemis/api/discovery/services",
        "/api//discovery/services",
        "/health/../api/discovery/services",
        "/api/discovery/services%00",
    };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct http_request request = {.method = "GET", .path = paths[i]};
        struct http_response *response = http_send(http, &request);
        if (response->status == 200) {
            fail_msg("%s is served", paths[i]);
        }
        check_status(response, 404, "bad-request", "no-such-path");
    }
}

static void head_responds_like_get_without_the_body(void **state)
{
    struct fixture *fixture = *state;
    static const char *const paths[] = {"/health", "/api/discovery/services", "/metrics"};
    struct raw_socket raw;
    raw_socket_open(&raw, fixture->server.port);
    call_register(fixture->http, "s", "i1");
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        raw_socket_sendf(&raw, "HEAD %s HTTP/1.1\r\nHost: a\r\n\r\n", paths[i]);
        assert_int_equal(raw_socket_read_head(&raw, wait_deadline_ms()), RAW_RESPONSE);
        check_http(&raw.response, 200);
    }
    raw_socket_sendf(&raw, "GET /health HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
    assert_string_equal(raw.response.body, "OK");
    raw_socket_close(&raw);
}

/* As proxies ask (RFC 9112, 3.2.2). */
static void absolute_address_is_read_as_its_path(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *target;
        int status;
    } rows[] = {
        {"http://127.0.0.1:8080/health", 200},
        {"HTTP://somewhere.else/api/discovery/service.json?service_id=s", 200},
        {"http://[::1]:80/artemis/api/discovery/services.json", 200},
        {"http://127.0.0.1:8080/nowhere", 404},
        {"http://127.0.0.1:8080", 404},
        {"ftp://127.0.0.1/health", 404},
    };
    call_register(fixture->http, "s", "i1");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct raw_socket raw;
        raw_socket_open(&raw, fixture->server.port);
        raw_socket_sendf(&raw, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", rows[i].target);
        assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
        check_http(&raw.response, rows[i].status);
        raw_socket_close(&raw);
    }
}

static void query_is_percent_decoded(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register(http, "a b&c/d", "i1");
    struct http_response *response =
        http_get(http, "/api/discovery/service?zone_id=1&service%%5fid=a%%20b%%26c%%2Fd&region_id");
    check_json(response, "service.service_id", "'a b&c/d'");
}

/* --- connections ------------------------------------------------------------------------------ */

static void connection_is_kept_alive(void **state)
{
    struct fixture *fixture = *state;
    struct http *http = http_new(fixture->server.port);
    for (int i = 0; i < 20; i++) {
        call_register(http, "s", "i1");
        check_http(http_get(http, "/api/discovery/service?service_id=s"), 200);
        check_http(http_get(http, "/api/nowhere"), 404);
        check_http(http_post(http, REGISTER, "nonsense"), 400);
    }
    assert_int_equal(http_connections(http), 1);
    http_free(http);
}

static void requests_sent_together_are_answered_in_order(void **state)
{
    struct fixture *fixture = *state;
    static const char *const ids[] = {"a", "b", "c", "d"};
    struct raw_socket raw;
    char requests[1024] = "";
    for (size_t i = 0; i < 4; i++) {
        call_register(fixture->http, ids[i], "i1");
        size_t used = strlen(requests);
        snprintf(requests + used, sizeof requests - used,
                 "GET /api/discovery/service?service_id=%s HTTP/1.1\r\nHost: a\r\n\r\n", ids[i]);
    }
    raw_socket_open(&raw, fixture->server.port);
    raw_socket_sendf(&raw, "%s", requests);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
        assert_string_equal(check_text(&raw.response, "service.service_id"), ids[i]);
    }
    raw_socket_close(&raw);
}

static void connection_is_closed_when_the_client_asks(void **state)
{
    struct fixture *fixture = *state;
    static const char *const requests[] = {
        "GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET /health HTTP/1.0\r\n\r\n",
    };
    for (size_t i = 0; i < 2; i++) {
        struct raw_socket raw;
        raw_socket_open(&raw, fixture->server.port);
        raw_socket_sendf(&raw, "%s", requests[i]);
        assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
        check_http(&raw.response, 200);
        assert_true(raw_socket_is_closed_by(&raw, wait_deadline_ms()));
        raw_socket_close(&raw);
    }
}

/* As `printf ... | nc` does: the client has no more to say, but still listens. */
static void request_before_a_half_close_is_answered(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket raw;
    call_register_many(fixture->http, "s", 1000);
    raw_socket_open(&raw, fixture->server.port);
    raw_socket_sendf(&raw, "GET /api/discovery/services HTTP/1.1\r\nHost: a\r\n\r\n");
    shutdown(raw.fd, SHUT_WR);
    assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
    check_status(&raw.response, 200, "success", NULL);
    assert_true(raw_socket_is_closed_by(&raw, wait_deadline_ms()));
    raw_socket_close(&raw);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, fixture_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(etag_unchanged_gives_304_without_body),
        TEST(etag_changes_with_the_service),
        TEST(etag_holds_the_version),
        TEST(if_none_match_names_the_version_in_any_form),
        TEST(not_modified_has_the_header_of_its_200_in_each_encoding),
        TEST(repeated_response_has_the_headers_of_its_form),
        TEST(gzip_response_beyond_one_kib_when_accepted),
        TEST(gzip_response_of_services_unpacks_to_the_same),
        TEST(gzip_is_not_used_below_one_kib),
        TEST(gzip_request_is_read_with_and_without_chunks),
        TEST(chunked_body_is_read),
        TEST(body_announced_with_expect_is_asked_for),
        TEST(json_is_compact_and_says_what_it_is),
        TEST(wrong_method_is_405_with_what_is_allowed),
        TEST(unknown_path_is_404),
        TEST(head_responds_like_get_without_the_body),
        TEST(absolute_address_is_read_as_its_path),
        TEST(query_is_percent_decoded),
        TEST(connection_is_kept_alive),
        TEST(requests_sent_together_are_answered_in_order),
        TEST(connection_is_closed_when_the_client_asks),
        TEST(request_before_a_half_close_is_answered),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
