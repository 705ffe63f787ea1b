/* SPDX-License-Identifier: Apache-2.0
 *
 * Clients that read a response slowly: which connections the table ends. Over TCP, because only
 * there it is known what a client has acknowledged, and on virtual time.
 */
#include "artemis-web/connections/connections.h"

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/wait.h"

static const struct connection_origin plain = {.has_tls = false};

struct peer {
    struct connection connection;
    int ours; /* 0: not there */
    int theirs;
};

struct fixture {
    struct connections table;
    struct peer peer;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){0};
    connections_init(&fixture.table, 1);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    connections_remove(&fixture->table, &fixture->peer.connection);
    close(fixture->peer.ours);
    close(fixture->peer.theirs);
    connections_free(&fixture->table);
    return 0;
}

/* One that is being answered, over TCP: only there it is known what the other end has taken.
 * `buffer` is the size of the buffer of that end; 0: the default. */
static struct peer *serve_tcp_peer_with(struct fixture *fixture, int buffer, uint64_t now_ms)
{
    struct peer *peer = &fixture->peer;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    peer->theirs = socket(AF_INET, SOCK_STREAM, 0);
    if (buffer)
        assert_int_equal(setsockopt(peer->theirs, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer)),
                         0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(connect(peer->theirs, (struct sockaddr *)&address, size), 0);
    peer->ours = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    assert_true(peer->ours > 0);
    close(listener);
    assert_true(connections_admit(&fixture->table, peer->ours, &plain, now_ms));
    connections_add(&fixture->table, &peer->connection, peer->ours, &plain, NULL, 0, now_ms);
    connection_reading(&fixture->table, &peer->connection, now_ms);
    assert_true(connection_serving(&peer->connection, now_ms));
    return peer;
}

static struct peer *serve_tcp_peer(struct fixture *fixture, uint64_t now_ms)
{
    return serve_tcp_peer_with(fixture, 4096, now_ms);
}

static struct tcp_info tcp_state(const struct peer *peer)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof(info);
    assert_int_equal(getsockopt(peer->ours, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
    return info;
}

/* No more goes in, and nothing is on its way. */
static bool is_stuck(void *context)
{
    static const char bytes[64 * 1024];
    const struct peer *peer = context;
    while (send(peer->ours, bytes, sizeof(bytes), MSG_NOSIGNAL) > 0)
        ;
    struct tcp_info info = tcp_state(peer);
    return info.tcpi_unacked == 0 && info.tcpi_notsent_bytes > 0;
}

static void respond_until_blocked(struct peer *peer)
{
    assert_true(wait_until(is_stuck, peer, wait_deadline_ms()));
}

struct taker {
    struct peer *peer;
    uint64_t taken;
};

/* Reads at the other end, until ours sees it. */
static bool take_some(void *context)
{
    const struct taker *taker = context;
    char bytes[8 * 1024];
    assert_true(recv(taker->peer->theirs, bytes, sizeof(bytes), MSG_DONTWAIT) != 0);
    return tcp_state(taker->peer).tcpi_bytes_acked > taker->taken;
}

static uint64_t timed_out(struct fixture *fixture)
{
    struct connections_view view;
    connections_view(&fixture->table, &view);
    assert_int_equal(view.open, view.counters.timed_out ? 0 : 1);
    return view.counters.timed_out;
}

static void response_that_is_not_read_ends_the_connection(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = serve_tcp_peer(fixture, 0);
    respond_until_blocked(peer);
    connections_sweep(&fixture->table, 1000);
    connections_sweep(&fixture->table, 1000 + STALLED_SECS * 1000 - 1);
    assert_int_equal(timed_out(fixture), 0);
    connections_sweep(&fixture->table, 2000 + STALLED_SECS * 1000);
    assert_int_equal(timed_out(fixture), 1);
    connections_sweep(&fixture->table, 60 * 1000); /* once is enough */
    assert_int_equal(timed_out(fixture), 1);
}

/* Takes so many bytes within STALLED_SECS of sweeps. Returns the end of that time. */
static uint64_t take_within_time(struct fixture *fixture, struct peer *peer, uint64_t bytes,
                                 uint64_t now_ms)
{
    struct taker taker = {peer, tcp_state(peer).tcpi_bytes_acked + bytes - 1};
    assert_true(wait_until(take_some, &taker, wait_deadline_ms()));
    respond_until_blocked(peer);
    for (int sweeps = 0; sweeps < STALLED_SECS; sweeps++)
        connections_sweep(&fixture->table, now_ms += 1000);
    return now_ms;
}

/* The same, and the other end accepts no byte more. Otherwise our kernel sends it after a pause in
 * real time, of which the sweeps know nothing. */
static bool is_full(void *context)
{
    return is_stuck(context) && tcp_state(context).tcpi_snd_wnd == 0;
}

/* Reads from the other end at this rate, with sweeps, for so many seconds or until the connection
 * has ended. Returns whether it goes on. */
static bool read_at_rate(struct fixture *fixture, struct peer *peer, size_t bytes_per_sec, int secs,
                         uint64_t *now_ms)
{
    char bytes[64 * 1024];
    for (int i = 0; i < secs; i++) {
        for (size_t left = bytes_per_sec; left > 0;) {
            ssize_t size =
                recv(peer->theirs, bytes, left < sizeof(bytes) ? left : sizeof(bytes), MSG_WAITALL);
            assert_true(size > 0);
            left -= (size_t)size;
        }
        assert_true(wait_until(is_full, peer, wait_deadline_ms()));
        connections_sweep(&fixture->table, *now_ms += 1000);
        if (timed_out(fixture))
            return false;
    }
    return true;
}

/* On loopback the kernel acknowledges 64 KiB or more at a time, when its buffer has space. */
static void response_that_is_acknowledged_in_steps_continues(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = serve_tcp_peer_with(fixture, 0, 0);
    uint64_t now_ms = 0;
    respond_until_blocked(peer);
    assert_true(read_at_rate(fixture, peer, RESPONSE_BYTES_PER_SEC, 120, &now_ms));
    assert_true(read_at_rate(fixture, peer, 5000, 120, &now_ms));
    assert_false(read_at_rate(fixture, peer, 683, 120, &now_ms));
}

/* However much was read before, it counts for the time of one step alone. */
static void response_of_which_no_more_is_read_ends_the_connection(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = serve_tcp_peer_with(fixture, 0, 0);
    uint64_t now_ms = 0;
    const uint64_t most_ms =
        STALLED_SECS * 1000 + (uint64_t)ACKNOWLEDGED_STEP_BYTES * 1000 / RESPONSE_BYTES_PER_SEC;
    respond_until_blocked(peer);
    assert_true(read_at_rate(fixture, peer, 4 * ACKNOWLEDGED_STEP_BYTES, 4, &now_ms));
    for (uint64_t ms = 0; ms < most_ms - 1000; ms += 1000)
        connections_sweep(&fixture->table, now_ms += 1000);
    assert_int_equal(timed_out(fixture), 0);
    connections_sweep(&fixture->table, now_ms += 1000);
    assert_int_equal(timed_out(fixture), 1);
}

static void response_that_is_read_too_slowly_ends_the_connection(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = serve_tcp_peer(fixture, 0);
    uint64_t now_ms = 0;
    struct connections_view view;
    respond_until_blocked(peer);
    now_ms = take_within_time(fixture, peer, 1, now_ms);
    assert_int_equal(timed_out(fixture), 0);
    for (int i = 0; i < 10 && peer->connection.state != CONNECTION_CLOSING; i++)
        now_ms = take_within_time(fixture, peer, 1, now_ms);
    connections_view(&fixture->table, &view);
    assert_int_equal(view.counters.closed_slow, 1);
    assert_int_equal(timed_out(fixture), 1);
}

/* Reading all that the server has sent is enough, however little that is. */
static void response_that_is_sent_slowly_is_read_as_slowly(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = serve_tcp_peer(fixture, 0);
    int small = 1;
    uint64_t now_ms = 0;
    assert_int_equal(setsockopt(peer->ours, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    respond_until_blocked(peer);
    for (int i = 0; i < 10; i++) {
        int pending = 0;
        assert_int_equal(ioctl(peer->ours, SIOCOUTQ, &pending), 0);
        assert_in_range(pending, 1, STALLED_SECS * RESPONSE_BYTES_PER_SEC / 2);
        now_ms = take_within_time(fixture, peer, (uint64_t)pending, now_ms);
        assert_int_equal(timed_out(fixture), 0);
    }
}

static void slow_response_of_the_server_is_no_fault_of_the_client(void **state)
{
    struct fixture *fixture = *state;
    serve_tcp_peer(fixture, 0);
    for (uint64_t now_ms = 0; now_ms < 60 * 1000; now_ms += 1000)
        connections_sweep(&fixture->table, now_ms);
    assert_int_equal(timed_out(fixture), 0);
}

/* A reader that stopped within an earlier response starts again with the next. */
static void each_response_has_its_own_time(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = serve_tcp_peer(fixture, 0);
    respond_until_blocked(peer);
    connections_sweep(&fixture->table, 1000);
    connection_idle(&peer->connection, 9000);
    connection_reading(&fixture->table, &peer->connection, 9000);
    assert_true(connection_serving(&peer->connection, 9000));
    connections_sweep(&fixture->table, 9000 + STALLED_SECS * 1000);
    assert_int_equal(timed_out(fixture), 0);
    connections_sweep(&fixture->table, 9000 + 2 * STALLED_SECS * 1000);
    assert_int_equal(timed_out(fixture), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(response_that_is_not_read_ends_the_connection),
        TEST(response_that_is_acknowledged_in_steps_continues),
        TEST(response_of_which_no_more_is_read_ends_the_connection),
        TEST(response_that_is_read_too_slowly_ends_the_connection),
        TEST(response_that_is_sent_slowly_is_read_as_slowly),
        TEST(slow_response_of_the_server_is_no_fault_of_the_client),
        TEST(each_response_has_its_own_time),
    };
    return cmocka_run_group_tests_name("connections_readers", tests, NULL, NULL);
}
