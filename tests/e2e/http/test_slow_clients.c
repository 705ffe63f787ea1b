/* SPDX-License-Identifier: Apache-2.0
 *
 * A client that sends one byte a second gets 408 after 10 s, and its connection is closed. Clients
 * that do not read their responses do not delay others. All slow clients run in parallel.
 */
#include "tests/support/client/background_client.h"
#include "tests/support/client/calls.h"
#include "tests/support/client/raw_socket.h"
#include "tests/support/wait.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define POST_HEAD "POST " REGISTER " HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"

enum { TIMEOUT_MS = 10000, READERS = 20, REQUESTS = 40 };

static int start(void **state)
{
    return fixture_start(state, (const char *const[]){"--set", "lease.ttl_secs=3600", NULL});
}

/* One client: says `begin` at once, then one byte of `rest` a second. */
struct slow_client {
    const char *begin;
    const char *rest;
    uint16_t port;
    pthread_t thread;
    char complaint[400];
};

static void complain(struct slow_client *client, const char *what, int64_t began_ms,
                     const struct raw_socket *raw)
{
    snprintf(client->complaint, sizeof client->complaint, "%s after %lld ms; answer %d: %.200s",
             what, (long long)(wait_now_ms() - began_ms), raw->response.status,
             raw->response.body != NULL ? raw->response.body : "");
}

static void check_end(struct slow_client *client, struct raw_socket *raw, enum raw_end end,
                      int64_t began_ms)
{
    int64_t took_ms = wait_now_ms() - began_ms;
    if (end != RAW_RESPONSE) {
        complain(client, end == RAW_LATE ? "no answer" : "closed without an answer", began_ms, raw);
    } else if (raw->response.status != 408 ||
               strcmp(check_text(&raw->response, "response_status.reason"), "request-timeout") !=
                   0) {
        complain(client, "another answer than 408 request-timeout", began_ms, raw);
    } else if (took_ms < TIMEOUT_MS - 2000 ||
               took_ms > TIMEOUT_MS + 2000 + wait_timeout_ms() / 10) {
        complain(client, "too early or too late", began_ms, raw);
    } else if (!raw_socket_is_closed_by(raw, wait_deadline_ms())) {
        complain(client, "not closed", began_ms, raw);
    }
}

static void *be_slow(void *context)
{
    struct slow_client *client = context;
    struct raw_socket raw;
    int64_t began_ms = wait_now_ms();
    int64_t deadline_ms = began_ms + TIMEOUT_MS + wait_timeout_ms();
    if (!raw_socket_try_open(&raw, client->port)) {
        snprintf(client->complaint, sizeof client->complaint, "cannot connect");
        return NULL;
    }
    raw_socket_sendf(&raw, "%s", client->begin);
    const char *rest = client->rest;
    enum raw_end end = RAW_LATE;
    while (end == RAW_LATE && wait_now_ms() < deadline_ms) {
        end = raw_socket_read(&raw, wait_now_ms() + 1000);
        if (end == RAW_LATE && *rest != '\0') {
            raw_socket_send(&raw, rest++, 1);
        }
    }
    check_end(client, &raw, end, began_ms);
    raw_socket_close(&raw);
    return NULL;
}

static void one_byte_a_second_is_answered_408_after_ten_seconds(void **state)
{
    struct fixture *fixture = *state;
    struct background_client background_client;
    struct slow_client clients[] = {
        {.begin = "G", .rest = "ET /health HTTP/1.1\r\nHost: a\r\n\r\n"},
        {.begin = "GET /health HTTP/1.1\r\n", .rest = "Host: a-very-long-name-of-a-host\r\n\r\n"},
        {.begin = POST_HEAD "Content-Length: 16\r\n\r\n{", .rest = "\"instances\":[]}"},
        {.begin = POST_HEAD "Content-Length: 1000\r\n\r\n", .rest = "                        "},
        {.begin = POST_HEAD "Transfer-Encoding: chunked\r\n\r\n10\r\n",
         .rest = "{\"instances\":[]}\r\n0\r\n\r\n"},
        {.begin = POST_HEAD "Content-Length: 16\r\n\r\n{\"insta", .rest = ""},
        {.begin = "GET /health HTTP/1.1\r\nHost: a\r\n", .rest = ""},
        {.begin = "GET /health HTTP/1.1\r\nHost: a\r\n", .rest = "X: 1234567890\r\n\r\n"},
    };
    enum { COUNT = sizeof clients / sizeof *clients };
    call_register(fixture->http, "witness", "i1");
    background_client_start(&background_client, fixture->server.port, "/api/discovery/services");
    for (size_t i = 0; i < COUNT; i++) {
        clients[i].port = fixture->server.port;
        assert_int_equal(pthread_create(&clients[i].thread, NULL, be_slow, &clients[i]), 0);
    }
    for (size_t i = 0; i < COUNT; i++) {
        pthread_join(clients[i].thread, NULL);
    }
    background_client_stop(&background_client);
    for (size_t i = 0; i < COUNT; i++) {
        if (clients[i].complaint[0] != '\0') {
            fail_msg("slow client %zu: %s", i, clients[i].complaint);
        }
    }
}

/* Each asks for megabytes and reads none of them: as many as there are threads, and more. */
static void clients_that_do_not_read_do_not_delay_others(void **state)
{
    struct fixture *fixture = *state;
    struct background_client background_client;
    struct raw_socket readers[READERS];
    call_register_many(fixture->http, "large", 10000);
    call_register(fixture->http, "witness", "i1");
    background_client_start(&background_client, fixture->server.port,
                            "/api/discovery/service?service_id=witness");
    for (size_t i = 0; i < READERS; i++) {
        raw_socket_open(&readers[i], fixture->server.port);
        for (int q = 0; q < REQUESTS; q++) {
            raw_socket_sendf(&readers[i],
                             "GET /api/discovery/services HTTP/1.1\r\nHost: a\r\n\r\n");
        }
    }
    background_client_check_served(&background_client, 100);
    /* One of them reads after all, and finds its responses whole. */
    for (int q = 0; q < REQUESTS; q++) {
        assert_int_equal(raw_socket_read(&readers[0], wait_deadline_ms()), RAW_RESPONSE);
        check_status(&readers[0].response, 200, "success", NULL);
    }
    for (size_t i = 0; i < READERS; i++) {
        raw_socket_close(&readers[i]);
    }
    background_client_stop(&background_client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, fixture_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_byte_a_second_is_answered_408_after_ten_seconds),
        TEST(clients_that_do_not_read_do_not_delay_others),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
