/* SPDX-License-Identifier: Apache-2.0
 *
 * A client that reads nothing of its response for 10 s loses its connection, and does not delay the
 * shutdown. A client that reads slowly gets the whole response.
 */
#include "tests/support/client/calls.h"
#include "tests/support/client/prometheus.h"
#include "tests/support/client/raw_socket.h"
#include "tests/support/parallel.h"
#include "tests/support/wait.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    STALLED_MS = 10000,
    RECEIVE_BYTES = 8 * 1024, /* receive buffer of the client's socket */
    SIP_BYTES = 4 * 1024,
    SIP_MS = 500,
};

static int start(void **state)
{
    fixture_start(state, (const char *const[]){"--set", "lease.ttl_secs=3600", NULL});
    struct fixture *fixture = *state;
    static const char *const services[] = {"a", "b", "c"};
    for (size_t i = 0; i < 3; i++) {
        call_register_many(fixture->http, services[i], 10000);
    }
    return 0;
}

static double metric(struct fixture *fixture, const char *name)
{
    return prometheus_sum(http_get(fixture->http, "/metrics")->body, name, "");
}

/* Connects with a small receive buffer and requests megabytes. */
static void ask_for_much(struct raw_socket *raw, uint16_t port)
{
    raw_socket_open_small(raw, RECEIVE_BYTES, port);
    raw_socket_sendf(raw, "GET /api/discovery/services HTTP/1.1\r\nHost: a\r\n\r\n");
}

struct expected {
    struct fixture *fixture;
    double busy;
};

static bool is_busy(void *context)
{
    struct expected *expected = context;
    return metric(expected->fixture, "artemis_connections_busy") == expected->busy;
}

/* The client that reads the metric is busy, too. */
static void check_under_way(struct fixture *fixture, int responses)
{
    struct expected expected = {fixture, responses + 1};
    assert_true(wait_until(is_busy, &expected, wait_deadline_ms()));
}

static void sip(struct raw_socket *raw, size_t *taken)
{
    char bytes[SIP_BYTES];
    assert_true(wait_readable(raw->fd, wait_deadline_ms()));
    ssize_t got = recv(raw->fd, bytes, sizeof bytes, 0);
    assert_true(got > 0);
    *taken += (size_t)got;
}

/* Takes the rest; the size of all of it, 0 when it was cut off by an error. */
static size_t drink_up(struct raw_socket *raw, size_t taken, size_t whole)
{
    static char bytes[1024 * 1024];
    while (taken < whole && wait_readable(raw->fd, wait_deadline_ms())) {
        ssize_t got = recv(raw->fd, bytes, sizeof bytes, 0);
        if (got <= 0) {
            break;
        }
        taken += (size_t)got;
    }
    return taken;
}

/* Reads slowly until another client has been closed. Returns when that was seen. */
static int64_t sip_until_one_is_closed(struct fixture *fixture, struct raw_socket *slow,
                                       size_t *taken)
{
    int64_t began_ms = wait_now_ms();
    int64_t deadline_ms = began_ms + STALLED_MS + wait_timeout_ms();
    for (int64_t ms = 0; wait_now_ms() < deadline_ms; ms += SIP_MS) {
        sip(slow, taken);
        wait_for_time(began_ms + ms);
        if (metric(fixture, "artemis_connections_timed_out_total") > 0)
            return wait_now_ms();
    }
    fail_msg("no client was closed in %d ms", STALLED_MS + (int)wait_timeout_ms());
    return 0;
}

/* When exactly a client is closed: test_connections_readers.c. */
static void client_that_stalls_is_closed_and_a_slow_one_is_not(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket stalled;
    struct raw_socket slow;
    size_t whole = http_get(fixture->http, "/api/discovery/services")->body_size;
    size_t taken = 0;
    ask_for_much(&stalled, fixture->server.port);
    ask_for_much(&slow, fixture->server.port);
    check_under_way(fixture, 2);
    int64_t began_ms = wait_now_ms();
    int64_t closed_ms = sip_until_one_is_closed(fixture, &slow, &taken);
    assert_true(closed_ms - began_ms >= STALLED_MS - 1000);
    for (int64_t ms = 0; ms < STALLED_MS; ms += SIP_MS) { /* what closed one would close both */
        sip(&slow, &taken);
        wait_for_time(closed_ms + ms);
    }
    check_under_way(fixture, 1);
    assert_true(metric(fixture, "artemis_connections_timed_out_total") == 1);
    assert_true(metric(fixture, "artemis_connections") == 2);
    assert_in_range(taken, 1, whole / 2);
    assert_true(drink_up(&slow, taken, whole) >= whole);
    assert_true(drink_up(&stalled, 0, whole) < whole);
    raw_socket_close(&slow);
    raw_socket_close(&stalled);
}

static void draining_does_not_wait_for_a_client_that_stalls(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket stalled;
    ask_for_much(&stalled, fixture->server.port);
    check_under_way(fixture, 1);
    int64_t began_ms = wait_now_ms();
    server_process_signal(&fixture->server, SIGTERM);
    assert_int_equal(server_process_wait(&fixture->server), 0);
    assert_in_range(wait_now_ms() - began_ms, STALLED_MS - 1000,
                    STALLED_MS + 4000 + wait_timeout_ms() / 10);
    raw_socket_close(&stalled);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, fixture_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(client_that_stalls_is_closed_and_a_slow_one_is_not),
        TEST(draining_does_not_wait_for_a_client_that_stalls),
    };
    return PARALLEL_RUN(tests);
}
