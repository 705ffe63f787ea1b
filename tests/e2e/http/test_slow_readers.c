/* SPDX-License-Identifier: Apache-2.0
 *
 * Clients that read a few hundred bytes per second of a large response take every place of the
 * table of connections. They are closed, and others are served. The same for a WebSocket.
 */
#include "tests/support/client/calls.h"
#include "tests/support/client/prometheus.h"
#include "tests/support/client/raw_socket.h"
#include "tests/support/client/websocket_client.h"
#include "tests/support/parallel.h"
#include "tests/support/wait.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

enum {
    LIMIT = 60,
    READERS = 60,
    SIP_BYTES = 683, /* per second */
    SECOND_MS = 1000,
    RECEIVE_BYTES = 2 * 1024, /* so that the kernel acknowledges every few seconds */
};

static int start(void **state)
{
    return fixture_start(state, (const char *const[]){"--set", "server.max_connections=60", "--set",
                                                      "lease.ttl_secs=3600", "--set",
                                                      "ratelimit.enabled=false", NULL});
}

/* Connects with a small receive buffer, so that the kernel of the client takes little. Returns
 * whether the response begins; otherwise the place of an earlier connection is not free yet. */
static bool open_reader(struct raw_socket *raw, uint16_t port)
{
    static const char expected[] = "HTTP/1.1 200";
    char begin[sizeof expected - 1];
    raw_socket_open_small(raw, RECEIVE_BYTES, port);
    raw_socket_sendf(raw, "GET /api/discovery/services HTTP/1.1\r\nHost: a\r\n\r\n");
    if (wait_readable(raw->fd, wait_deadline_ms()) &&
        recv(raw->fd, begin, sizeof begin, MSG_PEEK | MSG_WAITALL) == sizeof begin &&
        memcmp(begin, expected, sizeof begin) == 0)
        return true;
    raw_socket_close(raw);
    return false;
}

struct readers {
    struct raw_socket sockets[READERS];
    int count;
    pthread_t thread;
    atomic_bool stop;
};

static void sip(struct readers *readers)
{
    char bytes[SIP_BYTES];
    for (int i = 0; i < readers->count; i++)
        (void)!recv(readers->sockets[i].fd, bytes, sizeof bytes, MSG_DONTWAIT);
}

/* Reads a little from each, every second. */
static void *read_slowly(void *context)
{
    struct readers *readers = context;
    while (!atomic_load(&readers->stop)) {
        sip(readers);
        wait_for_time(wait_now_ms() + SECOND_MS);
    }
    return NULL;
}

static double metric_of(struct raw_socket *raw, const char *name)
{
    if (!raw_socket_sendf(raw, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n") ||
        raw_socket_read(raw, wait_deadline_ms()) != RAW_RESPONSE || raw->response.status != 200)
        return -1;
    return prometheus_sum(raw->response.body, name, "");
}

struct wanted {
    uint16_t port;
    int closed;
};

/* Asked by a new client each time, which may be refused until the places are free. */
static bool are_closed(void *context)
{
    const struct wanted *wanted = context;
    struct raw_socket raw;
    raw_socket_open(&raw, wanted->port);
    double slow = metric_of(&raw, "artemis_connections_closed_slow_total");
    raw_socket_close(&raw);
    return slow >= wanted->closed;
}

static void readers_that_take_every_place_are_closed(void **state)
{
    static struct readers readers;
    struct fixture *fixture = *state;
    readers = (struct readers){0};
    for (int i = 0; i < 3; i++)
        call_register_many(fixture->http, (const char *const[]){"a", "b", "c"}[i], 10000);
    http_free(fixture->http); /* its place is for a reader */
    fixture->http = NULL;
    int64_t deadline_ms = wait_deadline_ms();
    while (readers.count < READERS) {
        assert_true(wait_now_ms() < deadline_ms);
        readers.count += open_reader(&readers.sockets[readers.count], fixture->server.port);
    }
    pthread_create(&readers.thread, NULL, read_slowly, &readers);
    struct wanted wanted = {fixture->server.port, 1};
    assert_true(wait_until(are_closed, &wanted, wait_deadline_ms() + 20 * SECOND_MS));
    wanted.closed = READERS;
    assert_true(wait_until(are_closed, &wanted, wait_deadline_ms() + 20 * SECOND_MS));
    fixture->http = http_new(fixture->server.port);
    check_http(http_get(fixture->http, "/api/discovery/service?service_id=a"), 200);
    atomic_store(&readers.stop, true);
    pthread_join(readers.thread, NULL);
    for (int i = 0; i < READERS; i++)
        raw_socket_close(&readers.sockets[i]);
}

/* --- WebSockets ------------------------------------------------------------------------------- */

enum { FILLER_BYTES = 6000, CHANGES = 300 };

static void change(struct http *http, int number)
{
    char filler[FILLER_BYTES + 1];
    memset(filler, 'x', FILLER_BYTES);
    filler[FILLER_BYTES] = '\0';
    check_status(http_post(http, REGISTER,
                           "{'instances':[{'region_id':'lab','zone_id':'z','service_id':'s',"
                           "'instance_id':'i1','ip':'10.0.0.1','port':%d,"
                           "'metadata':{'filler':'%s'}}]}",
                           number, filler),
                 200, "success", NULL);
}

struct one {
    struct readers *readers;
    struct http *http;
};

static bool is_closed(void *context)
{
    struct one *one = context;
    sip(one->readers);
    return call_metric(one->http, "artemis_connections_closed_slow_total") == 1 &&
           call_metric(one->http, "artemis_websockets") == 0;
}

static void websocket_that_is_read_too_slowly_is_closed(void **state)
{
    static struct readers readers;
    struct fixture *fixture = *state;
    struct websocket_client client;
    websocket_client_open_small(&client, RECEIVE_BYTES, fixture->server.port, "/ws");
    websocket_client_send_json(&client, "{'type':'subscribe','service_id':'s'}");
    check_json(websocket_client_next(&client), "type", "'subscribed'");
    for (int number = 1; number <= CHANGES; number++)
        change(fixture->http, number);
    readers = (struct readers){.sockets = {client.raw}, .count = 1};
    struct one one = {&readers, fixture->http};
    int64_t deadline_ms = wait_deadline_ms() + 20 * SECOND_MS;
    while (!is_closed(&one)) {
        assert_true(wait_now_ms() < deadline_ms);
        wait_for_time(wait_now_ms() + SECOND_MS);
    }
    websocket_client_close(&client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, fixture_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(readers_that_take_every_place_are_closed),
        TEST(websocket_that_is_read_too_slowly_is_closed),
    };
    return PARALLEL_RUN(tests);
}
