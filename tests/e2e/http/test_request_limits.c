/* SPDX-License-Identifier: Apache-2.0
 *
 * Drives the server with requests whose parts have every size around the 11 KiB of a request
 * header: request lines, arguments, fields, cookies, chunk extensions and trailers. Each request
 * gets exactly one response, 200 or a rejection in JSON after which the connection is closed. Run
 * it with VARIANT=asan to find invalid memory accesses.
 */
#include "tests/support/client/calls.h"
#include "tests/support/client/raw_socket.h"
#include "tests/support/wait.h"

#include <stdlib.h>
#include <string.h>

enum {
    HEADER_BYTES = 11 * 1024,
    BUFFER_BYTES = 12 * 1024, /* of the library, for a header and that of its response */
    COUNTS_TRIED = 100,
    COUNTS_LARGE = 8000,
    SIZE_STEP = 211,
    WINDOW_BELOW = 512, /* sizes this close to the limit are all tried */
    WINDOW_ABOVE = 16,
};

#define GET_HEAD  "GET /health HTTP/1.1\r\nHost: a\r\n"
#define POST_HEAD "POST " REGISTER " HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
#define CHUNKED   POST_HEAD "Transfer-Encoding: chunked\r\n\r\n"

/* before, then `part` repeated, then after */
struct shape {
    const char *name;
    const char *before;
    const char *part;
    const char *after;
    int accepted; /* the status of a request that is not too large */
};

static int start_once(void **state)
{
    return fixture_start(state, (const char *const[]){"--set", "lease.ttl_secs=3600", NULL});
}

static char *build(const struct shape *shape, size_t count)
{
    size_t part = strlen(shape->part);
    size_t before = strlen(shape->before);
    size_t after = strlen(shape->after);
    char *request = malloc(before + part * count + after + 1);
    assert_non_null(request);
    memcpy(request, shape->before, before);
    for (size_t i = 0; i < count; i++) {
        memcpy(request + before + i * part, shape->part, part);
    }
    memcpy(request + before + part * count, shape->after, after + 1);
    return request;
}

/* Sends one request and returns the status of its response. */
static int status_of(struct fixture *fixture, const struct shape *shape, size_t count)
{
    struct raw_socket raw;
    char *request = build(shape, count);
    raw_socket_open(&raw, fixture->server.port);
    raw_socket_send(&raw, request, strlen(request));
    enum raw_end end = raw_socket_read(&raw, wait_deadline_ms());
    if (end != RAW_RESPONSE) {
        fail_msg("%s, %zu times: %s", shape->name, count,
                 end == RAW_CLOSED ? "closed without a response" : "no whole response");
    }
    int status = raw.response.status;
    if (status != shape->accepted) {
        if (status != 431) {
            fail_msg("%s, %zu times: status %d, %.200s", shape->name, count, status,
                     raw.response.body);
        }
        check_status(&raw.response, 431, "bad-request", "too-large");
        check_field(&raw.response, "Connection", "close");
        if (!raw_socket_is_closed_by(&raw, wait_deadline_ms())) {
            fail_msg("%s, %zu times: not closed after the rejection", shape->name, count);
        }
    }
    raw_socket_close(&raw);
    free(request);
    return status;
}

/* Once a size is refused, each larger one is. */
static void try_size(struct fixture *fixture, const struct shape *shape, size_t count,
                     bool *refused)
{
    int status = status_of(fixture, shape, count);
    if (*refused && status == shape->accepted) {
        fail_msg("%s, %zu times: accepted, but a smaller one was refused", shape->name, count);
    }
    *refused = status != shape->accepted;
}

static void try_sizes(struct fixture *fixture, const struct shape *shape)
{
    bool refused = false;
    size_t limit = HEADER_BYTES - strlen(shape->before) - strlen(shape->after);
    size_t dense = limit - WINDOW_BELOW;
    for (size_t size = 0; size < dense; size += SIZE_STEP) {
        try_size(fixture, shape, size, &refused);
    }
    for (size_t size = dense; size < limit + WINDOW_ABOVE; size++) {
        try_size(fixture, shape, size, &refused);
    }
    for (size_t size = limit; size < BUFFER_BYTES; size += WINDOW_ABOVE) {
        try_size(fixture, shape, size, &refused);
    }
    try_size(fixture, shape, (size_t)2 * HEADER_BYTES, &refused);
    try_size(fixture, shape, (size_t)64 * 1024, &refused);
    assert_true(refused);
}

static void try_counts(struct fixture *fixture, const struct shape *shape, bool must_end)
{
    bool refused = false;
    for (size_t count = 0; count < COUNTS_TRIED; count++) {
        try_size(fixture, shape, count, &refused);
    }
    try_size(fixture, shape, COUNTS_LARGE, &refused);
    assert_true(refused || !must_end);
}

static void part_of_any_size_gets_one_response(void **state)
{
    static const struct shape shapes[] = {
        {"path", "GET /health/", "x", " HTTP/1.1\r\nHost: a\r\n\r\n", 404},
        {"argument", "GET /health?a=", "x", " HTTP/1.1\r\nHost: a\r\n\r\n", 200},
        {"name of an argument", "GET /health?", "x", "=1 HTTP/1.1\r\nHost: a\r\n\r\n", 200},
        {"encoded argument", "GET /health?a=%", "41%", "41 HTTP/1.1\r\nHost: a\r\n\r\n", 200},
        {"argument before other fields", "GET /health?a=", "x",
         "&b=2&c=3 HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n\r\n", 200},
        {"field", GET_HEAD "X-Large: ", "x", "\r\n\r\n", 200},
        {"name of a field", GET_HEAD "X-", "x", ": 1\r\n\r\n", 200},
        {"field before another", GET_HEAD "X-Large: ", "x", "\r\nAccept: */*\r\n\r\n", 200},
        {"cookie", GET_HEAD "Cookie: a=", "x", "\r\n\r\n", 200},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        try_sizes(*state, &shapes[i]);
    }
}

/* All sizes at once: the library stops reading when these exactly fill or exceed its buffer, and
 * the server needs some seconds to find that. */
static void try_sizes_at_once(struct fixture *fixture, const struct shape *shape)
{
    enum { FIRST = 10 * 1024, STEP = 7, COUNT = 400 };
    struct raw_socket raws[COUNT];
    int refused = 0;
    for (size_t i = 0; i < COUNT; i++) {
        char *request = build(shape, FIRST + i * STEP);
        raw_socket_open(&raws[i], fixture->server.port);
        raw_socket_send(&raws[i], request, strlen(request));
        free(request);
    }
    for (size_t i = 0; i < COUNT; i++) {
        if (raw_socket_read(&raws[i], wait_deadline_ms()) != RAW_RESPONSE) {
            fail_msg("%s of %zu bytes: no response", shape->name, FIRST + i * STEP);
        }
        if (raws[i].response.status == 431) {
            check_status(&raws[i].response, 431, "bad-request", "too-large");
            assert_true(raw_socket_is_closed_by(&raws[i], wait_deadline_ms()));
            refused++;
        } else {
            check_http(&raws[i].response, 400); /* the body is not valid */
        }
        raw_socket_close(&raws[i]);
    }
    assert_in_range(refused, 1, COUNT - 1);
}

static void part_of_a_chunked_body_of_any_size_gets_one_response(void **state)
{
    static const struct shape shapes[] = {
        {"chunk extension", CHUNKED "2;e=", "x", "\r\n{}\r\n0\r\n\r\n", 400},
        {"extension of the last chunk", CHUNKED "2\r\n{}\r\n0;", "x", "\r\n\r\n", 400},
        {"trailer", CHUNKED "0\r\nX-Large: ", "x", "\r\n\r\n", 400},
        {"name of a trailer", CHUNKED "0\r\nX-", "x", ": 1\r\n\r\n", 400},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        try_sizes_at_once(*state, &shapes[i]);
    }
}

static void any_number_of_parts_gets_one_response(void **state)
{
    static const struct {
        struct shape shape;
        bool must_end; /* so many are refused at last */
    } rows[] = {
        {{"&", "GET /health?", "&", " HTTP/1.1\r\nHost: a\r\n\r\n", 200}, true},
        {{"a&", "GET /health?", "a&", " HTTP/1.1\r\nHost: a\r\n\r\n", 200}, true},
        {{"a=b&", "GET /health?", "a=b&", " HTTP/1.1\r\nHost: a\r\n\r\n", 200}, true},
        {{"=&", "GET /health?", "=&", " HTTP/1.1\r\nHost: a\r\n\r\n", 200}, true},
        {{"field", GET_HEAD, "X: 1\r\n", "\r\n", 200}, true},
        {{"empty field", GET_HEAD, "X:\r\n", "\r\n", 200}, true},
        {{"cookie", GET_HEAD "Cookie: ", "a;", "\r\n\r\n", 200}, false},
        {{"cookie with value", GET_HEAD "Cookie: ", "a=b, ", "\r\n\r\n", 200}, false},
        {{"empty cookie", GET_HEAD "Cookie: ", ",", "\r\n\r\n", 200}, false},
        {{"cookie with a quote", GET_HEAD "Cookie: ", "a=\"", "\r\n\r\n", 200}, false},
        {{"cookie before a body", POST_HEAD "Cookie: ", "a;", "\r\nContent-Length: 2\r\n\r\n{}",
          400},
         false},
        {{"trailer", CHUNKED "0\r\n", "X: 1\r\n", "\r\n", 400}, true},
        {{"arguments and fields", "GET /health?a&b&c&d&e&f&g&h&i&j&k&l HTTP/1.1\r\nHost: a\r\n",
          "X: 1\r\n", "\r\n", 200},
         true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        try_counts(*state, &rows[i].shape, rows[i].must_end);
    }
}

/* Requests that follow lie in the buffer of the one before them, and leave less space there. */
static void pipelined_request_of_any_size_gets_one_response(void **state)
{
    struct fixture *fixture = *state;
    struct shape rest = {"rest", "GET /ready HTTP/1.1\r\nHost: a\r\nX: ", "x", "\r\n\r\n", 200};
    char *last = build(&rest, (size_t)6 * 1024);
    struct shape second = {"&", "GET /health?", "&", " HTTP/1.1\r\nHost: a\r\n\r\n", 200};
    for (size_t body = 0; body < HEADER_BYTES; body += 701) {
        for (size_t count = 0; count < COUNTS_TRIED; count += 13) {
            struct raw_socket raw;
            char *filler = malloc(body + 1);
            char *next = build(&second, count);
            assert_non_null(filler);
            memset(filler, ' ', body);
            filler[body] = '\0';
            raw_socket_open(&raw, fixture->server.port);
            raw_socket_sendf(&raw, POST_HEAD "Content-Length: %zu\r\n\r\n%s%s%s", body, filler,
                             next, last);
            assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
            check_http(&raw.response, 400);
            assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
            if (raw.response.status != 200) {
                check_status(&raw.response, 431, "bad-request", "too-large");
            }
            raw_socket_close(&raw);
            free(filler);
            free(next);
        }
    }
    free(last);
}

/* --- single limits ---------------------------------------------------------------------------- */

static void check_refused(struct fixture *fixture, const char *request, int status,
                          const char *reason)
{
    struct raw_socket raw;
    raw_socket_open(&raw, fixture->server.port);
    raw_socket_send(&raw, request, strlen(request));
    if (raw_socket_read(&raw, wait_deadline_ms()) != RAW_RESPONSE) {
        fail_msg("no response to %s", request);
    }
    check_status(&raw.response, status, "bad-request", reason);
    check_field(&raw.response, "Connection", "close");
    assert_true(raw_socket_is_closed_by(&raw, wait_deadline_ms()));
    raw_socket_close(&raw);
}

static void length_of_any_number_of_digits_gets_one_response(void **state)
{
    struct shape shape = {"digit", POST_HEAD "Content-Length: ", "9", "\r\n\r\n", 413};
    for (size_t digits = 8; digits < 60; digits++) {
        char *request = build(&shape, digits);
        check_refused(*state, request, 413, "too-large");
        free(request);
    }
    shape.part = "0"; /* is a length of 0 */
    for (size_t digits = 1; digits < 60; digits++) {
        char *request = build(&shape, digits);
        struct raw_socket raw;
        raw_socket_open(&raw, ((struct fixture *)*state)->server.port);
        raw_socket_send(&raw, request, strlen(request));
        assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
        check_http(&raw.response, 400);
        raw_socket_close(&raw);
        free(request);
    }
}

/* The server must not wait for a body whose end it cannot find (RFC 9112, 6.3). */
static void transfer_encoding_other_than_chunked_is_refused_at_once(void **state)
{
    static const char *const values[] = {
        "gzip",
        "gzip, chunked",
        "chunked, gzip",
        "chunked, chunked",
        "identity",
        "",
        "chunked;",
        "chunked x",
        "x",
        "\"chunked\"",
        "chunk",
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char *request = NULL;
        assert_true(asprintf(&request, POST_HEAD "Transfer-Encoding: %s\r\n\r\n", values[i]) > 0);
        check_refused(*state, request, 400, "malformed-request");
        free(request);
    }
    check_refused(*state,
                  "POST " REGISTER " HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
                  "malformed-request");
    check_refused(*state,
                  POST_HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"
                            "0\r\n\r\n",
                  400, "malformed-request");
}

static void chunk_size_that_is_no_number_or_too_large_is_refused(void **state)
{
    check_refused(*state, CHUNKED "zz\r\n", 400, "malformed-request");
    check_refused(*state, CHUNKED ";\r\n", 400, "malformed-request");
    check_refused(*state, CHUNKED "2\r\n{}x\r\n0\r\n\r\n", 400, "malformed-request");
    check_refused(*state, CHUNKED "11111111111111111\r\n", 413, "too-large");
    check_refused(*state, CHUNKED "0\r\nno colon\r\n\r\n", 400, "malformed-request");
    check_refused(*state, CHUNKED "0\r\nA: 1\r\nno colon\r\n\r\n", 400, "malformed-request");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(part_of_any_size_gets_one_response),
        cmocka_unit_test(part_of_a_chunked_body_of_any_size_gets_one_response),
        cmocka_unit_test(any_number_of_parts_gets_one_response),
        cmocka_unit_test(pipelined_request_of_any_size_gets_one_response),
        cmocka_unit_test(length_of_any_number_of_digits_gets_one_response),
        cmocka_unit_test(transfer_encoding_other_than_chunked_is_refused_at_once),
        cmocka_unit_test(chunk_size_that_is_no_number_or_too_large_is_refused),
    };
    return server_process_finish(cmocka_run_group_tests(tests, start_once, fixture_stop));
}
