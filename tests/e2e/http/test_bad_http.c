/* SPDX-License-Identifier: Apache-2.0
 *
 * Input that is not HTTP, or exceeds a limit, is refused in JSON, or the connection is closed where
 * the HTTP library cannot answer. Another client is served all the while.
 */
#include "tests/support/client/background_client.h"
#include "tests/support/client/calls.h"
#include "tests/support/client/raw_socket.h"
#include "tests/support/wait.h"

#include <stdlib.h>
#include <string.h>

#define TEXT(literal) literal, sizeof literal - 1
#define POST_HEAD     "POST " REGISTER " HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"

#define CHUNKED_HEAD                                                                               \
    POST_HEAD "Transfer-Encoding: chunked\r\n\r\n10\r\n{\"instances\":[]}\r\n" /* then trailers */

static struct background_client background_client;

static int start_once(void **state)
{
    fixture_start(state, (const char *const[]){"--set", "lease.ttl_secs=3600", NULL});
    struct fixture *fixture = *state;
    call_register(fixture->http, "witness", "i1");
    background_client_start(&background_client, fixture->server.port, "/api/discovery/services");
    return 0;
}

static int stop_once(void **state)
{
    background_client_stop(&background_client);
    return fixture_stop(state);
}

static void check_still_serves(struct fixture *fixture)
{
    struct raw_socket raw;
    raw_socket_open(&raw, fixture->server.port);
    raw_socket_sendf(&raw, "GET /health HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
    assert_string_equal(raw.response.body, "OK");
    raw_socket_close(&raw);
}

/* 400 in JSON, or closed without a response; and closed in any case. */
static void check_malformed(struct raw_socket *raw, const char *request)
{
    enum raw_end end = raw_socket_read(raw, wait_deadline_ms());
    if (end == RAW_CLOSED) {
        return;
    }
    bool refused = end == RAW_RESPONSE && raw->response.status == 400;
    if (!refused) {
        fail_msg("%s\ngot %s of %d: %.200s", request,
                 end == RAW_RESPONSE ? "an answer" : "no whole answer", raw->response.status,
                 raw->response.body != NULL ? raw->response.body : "");
    }
    check_status(&raw->response, 400, "bad-request", "malformed-request");
    assert_true(raw_socket_is_closed_by(raw, wait_deadline_ms()));
}

static void request_that_is_no_http_is_refused(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *bytes;
        size_t size;
    } rows[] = {
        {TEXT("garbage\r\n\r\n")},
        {TEXT("GET\r\n\r\n")},
        {TEXT("GET /health\r\n\r\n")},
        {TEXT("GET /health FTP/1.1\r\nHost: a\r\n\r\n")},
        {TEXT("GET /health HTTP/1.1 x\r\nHost: a\r\n\r\n")},
        {TEXT("GET /health HTTP/1.1\r\n\r\n")},
        {TEXT("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03hello, this is TLS\r\n\r\n")},
        {TEXT("GET /health HTTP/1.1\r\nHost: a\r\nno colon here\r\n\r\n")},
        {TEXT(POST_HEAD "Content-Length: abc\r\n\r\n{}")},
        {TEXT(POST_HEAD "Content-Length: -5\r\n\r\n{}")},
        {TEXT(POST_HEAD "Content-Length: 1e3\r\n\r\n{}")},
        {TEXT(POST_HEAD "Content-Length: 0x10\r\n\r\n{}")},
        {TEXT(POST_HEAD "Content-Length:\r\n\r\n{}")},
        {TEXT(POST_HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n")},
        {TEXT(POST_HEAD "Transfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n")},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct raw_socket raw;
        raw_socket_open(&raw, fixture->server.port);
        raw_socket_send(&raw, rows[i].bytes, rows[i].size);
        check_malformed(&raw, rows[i].bytes);
        raw_socket_close(&raw);
        check_still_serves(fixture);
    }
}

/* A proxy could take each of these for one request, and the server for two (RFC 9112, 6.3). */
static void request_of_doubtful_length_is_not_taken_for_two(void **state)
{
    struct fixture *fixture = *state;
    static const char *const requests[] = {
        POST_HEAD "Content-Length: 16\r\nContent-Length: 0\r\n\r\n{\"instances\":[]}",
        POST_HEAD "Transfer-Encoding: nonsense\r\nContent-Length: 16\r\n\r\n{\"instances\":[]}",
        POST_HEAD "Transfer-Encoding : chunked\r\nContent-Length: 16\r\n\r\n{\"instances\":[]}",
        /* An empty name would end the header. */
        POST_HEAD ": a\r\nX: b\r\n\r\n",
        POST_HEAD ":\n",
        POST_HEAD "Cookie: a\r\n:\r\n",
        "POST " REGISTER " HTTP/1.1\nHost: a\n:\n",
        /* The library appends the second line to the name. */
        POST_HEAD "Content-Length:\r\n 16\r\n\r\n{\"instances\":[]}",
        POST_HEAD "Transfer-Encoding:\r\n chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        POST_HEAD "X: a\r\n\tb\r\n: c\r\n",
        "POST " REGISTER " HTTP/1.1\r\n Content-Length: 16\r\nHost: a\r\n\r\n{\"instances\":[]}",
        /* An empty name would end the trailers. */
        CHUNKED_HEAD "0\r\nX: a\r\n: b\r\n",
        CHUNKED_HEAD "0\r\nX: a\r\nY: b\r\n:\r\n",
        CHUNKED_HEAD "0\r\n: a\r\nX: b\r\n\r\n",
        CHUNKED_HEAD "0\nX: a\n: b\n",
        CHUNKED_HEAD "0\r\nX: a\r\n\tb\r\n: c\r\n",
        "POST /nothing HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        "0\r\nX: a\r\n: b\r\n",
    };
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        struct raw_socket raw;
        raw_socket_open(&raw, fixture->server.port);
        raw_socket_sendf(&raw, "%sGET /health HTTP/1.1\r\nHost: a\r\n\r\n", requests[i]);
        check_malformed(&raw, requests[i]);
        raw_socket_close(&raw);
        check_still_serves(fixture);
    }
}

static void trailers_are_skipped(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket raw;
    raw_socket_open(&raw, fixture->server.port);
    for (int i = 0; i < 2; i++) {
        raw_socket_sendf(&raw, CHUNKED_HEAD "0\r\nX: a\r\nContent-Length:5\r\nY:\r\n\r\n");
        assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
        check_http(&raw.response, 200);
    }
    raw_socket_close(&raw);
}

/* Chunks count then, but the connection must be closed after the response (RFC 9112, 6.1). */
static void request_with_length_and_chunks_is_the_last_of_its_connection(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket raw;
    raw_socket_open(&raw, fixture->server.port);
    raw_socket_sendf(&raw,
                     POST_HEAD "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                               "GET /health HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
    check_http(&raw.response, 400);
    assert_true(raw_socket_is_closed_by(&raw, wait_deadline_ms()));
    raw_socket_close(&raw);
}

/* --- headers too large ------------------------------------------------------------------------ */

static void check_header_too_large(struct fixture *fixture, const char *format, size_t size,
                                   int status, int other_status)
{
    char *filler = calloc(1, size + 1);
    struct raw_socket raw;
    assert_non_null(filler);
    memset(filler, 'x', size);
    raw_socket_open(&raw, fixture->server.port);
    char *request = NULL;
    assert_true(asprintf(&request, "%s%s\r\n\r\n", format, filler) > 0);
    raw_socket_send(&raw, request, strlen(request));
    assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
    if (raw.response.status != other_status) {
        check_http(&raw.response, status);
    }
    check_status(&raw.response, raw.response.status, "bad-request", "too-large");
    assert_true(raw_socket_is_closed_by(&raw, wait_deadline_ms()));
    raw_socket_close(&raw);
    free(request);
    free(filler);
    check_still_serves(fixture);
}

static void header_of_64_kib_is_refused(void **state)
{
    struct fixture *fixture = *state;
    check_header_too_large(fixture, "GET /health HTTP/1.1\r\nHost: a\r\nX-Large: ", 64 * 1024, 431,
                           431);
    check_header_too_large(fixture, POST_HEAD "Content-Length: 2\r\nX-Large: ", 64 * 1024, 431,
                           431);
    check_header_too_large(fixture, "GET /health HTTP/1.1\r\nHost: a\r\nX-Large: ", 1024 * 1024,
                           431, 431);
}

static void address_of_64_kib_is_refused(void **state)
{
    struct fixture *fixture = *state;
    check_header_too_large(fixture, "GET /api/discovery/service?service_id=", 64 * 1024, 414, 431);
}

static void many_headers_of_64_kib_together_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket raw;
    raw_socket_open(&raw, fixture->server.port);
    raw_socket_sendf(&raw, "GET /health HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 4096; i++) {
        raw_socket_sendf(&raw, "X-%05d: 12345\r\n", i);
    }
    raw_socket_sendf(&raw, "\r\n");
    assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
    check_status(&raw.response, 431, "bad-request", "too-large");
    raw_socket_close(&raw);
    check_still_serves(fixture);
}

static void header_of_a_few_kib_is_read(void **state)
{
    struct fixture *fixture = *state;
    char filler[4097];
    struct raw_socket raw;
    memset(filler, 'x', sizeof filler - 1);
    filler[sizeof filler - 1] = '\0';
    raw_socket_open(&raw, fixture->server.port);
    raw_socket_sendf(&raw, "GET /health HTTP/1.1\r\nHost: a\r\nCookie: %s\r\n\r\n", filler);
    assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
    check_http(&raw.response, 200);
    raw_socket_close(&raw);
}

/* --- clients that leave ----------------------------------------------------------------------- */

static void client_that_leaves_midway_is_forgotten(void **state)
{
    struct fixture *fixture = *state;
    static const char *const parts[] = {
        "",
        "GE",
        "GET /health HTTP/1.1\r\nHost: a\r\n",
        POST_HEAD "Content-Length: 100\r\n\r\n{\"instances\"",
        POST_HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"in",
        "GET /api/discovery/services HTTP/1.1\r\nHost: a\r\n\r\n",
    };
    for (int round = 0; round < 50; round++) {
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            struct raw_socket raw;
            raw_socket_open(&raw, fixture->server.port);
            raw_socket_sendf(&raw, "%s", parts[i]);
            raw_socket_close(&raw);
        }
    }
    check_still_serves(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_that_is_no_http_is_refused),
        cmocka_unit_test(request_of_doubtful_length_is_not_taken_for_two),
        cmocka_unit_test(trailers_are_skipped),
        cmocka_unit_test(request_with_length_and_chunks_is_the_last_of_its_connection),
        cmocka_unit_test(header_of_64_kib_is_refused),
        cmocka_unit_test(address_of_64_kib_is_refused),
        cmocka_unit_test(many_headers_of_64_kib_together_are_refused),
        cmocka_unit_test(header_of_a_few_kib_is_read),
        cmocka_unit_test(client_that_leaves_midway_is_forgotten),
    };
    return server_process_finish(cmocka_run_group_tests(tests, start_once, stop_once));
}
