/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of connections, over socket pairs and virtual time: which connections are refused,
 * displaced and timed out, and what the peer receives.
 */
#include "artemis-web/connections/connections.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/cmocka_all.h"

enum { LIMIT = 3, PEERS = 8 };

static const struct connection_origin plain = {.has_tls = false};
static const struct connection_origin with_tls = {.has_tls = true};

struct peer {
    struct connection connection;
    int ours; /* 0: not there */
    int theirs;
    bool admitted;
};

struct fixture {
    struct connections table;
    struct peer peers[PEERS];
};

static int set_up(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){0};
    connections_init(&fixture.table, LIMIT);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < PEERS; i++) {
        struct peer *peer = &fixture->peers[i];
        if (peer->ours == 0)
            continue;
        if (peer->admitted) {
            connections_remove(&fixture->table, &peer->connection);
            close(peer->ours);
        }
        close(peer->theirs);
    }
    struct connections_view view;
    connections_view(&fixture->table, &view);
    assert_int_equal(view.open + view.closing, 0);
    connections_free(&fixture->table);
    return 0;
}

static struct peer *connect_peer(struct fixture *fixture, int index, uint64_t now_ms)
{
    struct peer *peer = &fixture->peers[index];
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    peer->ours = ends[0];
    peer->theirs = ends[1];
    peer->admitted = connections_admit(&fixture->table, peer->ours, &plain, now_ms);
    if (peer->admitted)
        connections_add(&fixture->table, &peer->connection, peer->ours, &plain, NULL,
                        (uint32_t)index, now_ms);
    else
        close(peer->ours);
    return peer;
}

/* What the peer has received, "" for nothing. *ended: the connection is closed. */
static const char *received(const struct peer *peer, bool *ended)
{
    static char said[2048];
    size_t size = 0;
    ssize_t got;
    while ((got = recv(peer->theirs, said + size, sizeof(said) - 1 - size, 0)) > 0)
        size += (size_t)got;
    said[size] = '\0';
    *ended = got == 0;
    return said;
}

static void assert_alive(const struct peer *peer)
{
    bool ended;
    assert_string_equal(received(peer, &ended), "");
    assert_false(ended);
}

static void assert_ended_saying(const struct peer *peer, const char *words)
{
    bool ended;
    const char *said = received(peer, &ended);
    assert_true(ended);
    if (words[0])
        assert_non_null(strstr(said, words));
    else
        assert_string_equal(said, "");
}

static void request_learns_how_long_its_connection_was_silent(void **state)
{
    struct fixture *fixture = *state;
    struct connection *connection = &connect_peer(fixture, 0, 1000)->connection;
    assert_int_equal(connection_reading(&fixture->table, connection, 1700), 700);
    assert_true(connection_serving(connection, 1800));
    connection_idle(connection, 2000);
    connections_sweep(&fixture->table, 3000);
    assert_int_equal(connection_reading(&fixture->table, connection, 4500), 2500);
}

/* Also while bytes of it are unread. */
static void ended_connection_is_detected(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = connect_peer(fixture, 0, 0);
    assert_false(connection_has_ended(peer->ours));
    assert_int_equal(send(peer->theirs, "x", 1, 0), 1);
    assert_false(connection_has_ended(peer->ours));
    assert_int_equal(shutdown(peer->theirs, SHUT_WR), 0);
    assert_true(connection_has_ended(peer->ours));
    assert_int_equal(connection_end_delay_ms(peer->ours), 0); /* no TCP */
}

/* The smoothed round trip of a client on the same host grows to tens of milliseconds. */
static void end_of_a_connection_is_awaited_without_delayed_acknowledgements(void **state)
{
    (void)state;
    assert_int_equal(connection_two_round_trips_ms(13000, 40), 1);
    assert_int_equal(connection_two_round_trips_ms(60000, 20100), 41);
    assert_int_equal(connection_two_round_trips_ms(900, UINT32_MAX), 2);
    assert_int_equal(connection_two_round_trips_ms(0, UINT32_MAX), 0);
    assert_int_equal(connection_two_round_trips_ms(400000, 300000), 500);
    assert_int_equal(connection_two_round_trips_ms(UINT32_MAX, UINT32_MAX), 500);
}

static void new_connection_over_the_limit_is_refused_when_all_are_busy(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < LIMIT; i++)
        connection_reading(&fixture->table, &connect_peer(fixture, i, 0)->connection, 0);
    struct peer *late = connect_peer(fixture, LIMIT, 60 * 1000);
    assert_ended_saying(late, "503 Service Unavailable");
    for (int i = 0; i < LIMIT; i++)
        assert_alive(&fixture->peers[i]);
    assert_false(late->admitted);
    struct connections_view view;
    connections_view(&fixture->table, &view);
    assert_int_equal(view.counters.refused, 1);
    assert_int_equal(view.counters.accepted, LIMIT);
}

static void new_connection_over_the_limit_displaces_the_idle(void **state)
{
    struct fixture *fixture = *state;
    connection_reading(&fixture->table, &connect_peer(fixture, 0, 0)->connection, 0);
    struct peer *idle = connect_peer(fixture, 1, 0);
    connection_reading(&fixture->table, &idle->connection, 0);
    assert_true(connection_serving(&idle->connection, 1));
    connection_idle(&idle->connection, 2);
    connection_reading(&fixture->table, &connect_peer(fixture, 2, 0)->connection, 0);
    struct peer *late = connect_peer(fixture, 3, 2 + IDLE_BEFORE_DISPLACED_MS);
    assert_alive(late);
    assert_ended_saying(idle, "");
    assert_alive(&fixture->peers[0]);
    assert_alive(&fixture->peers[2]);
}

/* A burst of newcomers costs as many idle ones, not more, however slowly those are closed. */
static void each_new_connection_displaces_one(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < LIMIT; i++)
        connect_peer(fixture, i, (uint64_t)i);
    for (int i = 0; i < 2; i++)
        assert_alive(connect_peer(fixture, LIMIT + i, 5000));
    assert_ended_saying(&fixture->peers[0], ""); /* the one that was idle for longest */
    assert_ended_saying(&fixture->peers[1], "");
    assert_alive(&fixture->peers[2]);
    struct connections_view view;
    connections_view(&fixture->table, &view);
    assert_int_equal(view.open, LIMIT);
    assert_int_equal(view.closing, 2);
    assert_int_equal(view.counters.displaced, 2);
}

static void connection_idle_for_a_moment_is_not_displaced(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < LIMIT; i++)
        connect_peer(fixture, i, 1000);
    struct peer *late = connect_peer(fixture, LIMIT, 1000 + IDLE_BEFORE_DISPLACED_MS - 1);
    assert_ended_saying(late, "over-limit");
    for (int i = 0; i < LIMIT; i++)
        assert_alive(&fixture->peers[i]);
}

static void request_that_drips_in_is_timed_out(void **state)
{
    struct fixture *fixture = *state;
    struct peer *slow = connect_peer(fixture, 0, 0);
    connection_reading(&fixture->table, &slow->connection, 5);
    connections_sweep(&fixture->table, 5 + REQUEST_SECS * 1000 - 1);
    assert_alive(slow);
    connections_sweep(&fixture->table, 5 + REQUEST_SECS * 1000);
    assert_ended_saying(slow, "408 Request Timeout");
    assert_false(connection_serving(&slow->connection, 20 * 1000));
    connections_sweep(&fixture->table, 60 * 1000); /* once is enough */
    assert_ended_saying(slow, "");
}

static void request_whose_client_left_midway_is_dropped(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = connect_peer(fixture, 0, 0);
    connection_reading(&fixture->table, &peer->connection, 0);
    assert_int_equal(send(peer->theirs, "x", 1, 0), 1);
    assert_int_equal(shutdown(peer->theirs, SHUT_WR), 0);
    connections_sweep(&fixture->table, 1);
    assert_true(connection_serving(&peer->connection, 1)); /* what it sent is still to be read */
    connection_reading(&fixture->table, &peer->connection, 2);
    char byte;
    assert_int_equal(recv(peer->ours, &byte, 1, 0), 1);
    connections_sweep(&fixture->table, 1000);
    assert_alive(peer);
    connections_sweep(&fixture->table, 1499);
    assert_alive(peer);
    connections_sweep(&fixture->table, 1500);
    assert_ended_saying(peer, "");
    assert_false(connection_serving(&peer->connection, 2000));
}

/* The library has read the request, and the sweep comes before the request is recorded here. */
static void request_of_a_client_that_left_is_not_lost_between_two_states(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = connect_peer(fixture, 0, 0);
    assert_int_equal(shutdown(peer->theirs, SHUT_WR), 0);
    connections_sweep(&fixture->table, 1000);
    connection_reading(&fixture->table, &peer->connection, 1900);
    connections_sweep(&fixture->table, 2000); /* the first in this state */
    assert_true(connection_serving(&peer->connection, 2100));
}

static void large_body_earns_time(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = connect_peer(fixture, 0, 0);
    connection_reading(&fixture->table, &peer->connection, 0);
    connection_received(&peer->connection, 3 * BODY_BYTES_PER_SEC);
    connections_sweep(&fixture->table, (REQUEST_SECS + 3) * 1000 - 1);
    assert_alive(peer);
    assert_true(connection_serving(&peer->connection, (REQUEST_SECS + 3) * 1000));
    connections_sweep(&fixture->table, 1000 * 1000); /* being answered: that is timed otherwise */
    assert_alive(peer);
}

static void connection_idle_too_long_is_closed_without_a_word(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = connect_peer(fixture, 0, 0);
    connection_reading(&fixture->table, &peer->connection, 0);
    assert_true(connection_serving(&peer->connection, 0));
    connection_idle(&peer->connection, 7);
    connections_sweep(&fixture->table, 7 + IDLE_SECS * 1000 - 1);
    assert_alive(peer);
    connections_sweep(&fixture->table, 7 + IDLE_SECS * 1000);
    assert_ended_saying(peer, "");
}

static void closing_the_idle_leaves_the_busy(void **state)
{
    struct fixture *fixture = *state;
    struct peer *idle = connect_peer(fixture, 0, 0);
    struct peer *busy = connect_peer(fixture, 1, 0);
    connection_reading(&fixture->table, &busy->connection, 0);
    connections_close_idle(&fixture->table);
    char byte;
    assert_int_equal(recv(idle->ours, &byte, 1, 0), 0); /* reads its end */
    assert_true(recv(busy->ours, &byte, 1, 0) < 0);     /* nothing yet */
}

static void view_counts_what_is_there(void **state)
{
    struct fixture *fixture = *state;
    connect_peer(fixture, 0, 0);
    connection_reading(&fixture->table, &connect_peer(fixture, 1, 0)->connection, 0);
    struct connections_view view;
    connections_view(&fixture->table, &view);
    assert_int_equal(view.open, 2);
    assert_int_equal(view.busy, 1);
}

static void limit_leaves_descriptors_for_everything_else(void **state)
{
    (void)state;
    uint64_t enough = connections_files(10000, 300);
    assert_int_equal(connections_limit(10000, enough, 300), 10000);
    assert_int_equal(connections_limit(10000, enough + 1, 300), 10000);
    assert_int_equal(connections_limit(10000, enough - 1, 300), 9999);
    assert_int_equal(connections_limit(10000, 1024, 300), 1024 - connections_files(0, 300));
    for (uint64_t files = 0; files < 2000; files++) {
        uint32_t limit = connections_limit(10000, files, 300);
        assert_true(limit >= 1);
        assert_true(files < 4 || limit <= files / 2 || connections_files(limit, 300) <= files);
        assert_true(limit <= connections_limit(10000, files + 1, 300));
    }
}

/* --- connections that their thread ends ------------------------------------------------------- */

static int ended_count;

/* In place of the thread of the connection. */
static void count_ended(struct connection *connection)
{
    assert_int_equal(connection->state, CONNECTION_CLOSING);
    ended_count++;
}

/* libmicrohttpd may not notice that its socket was shut down. */
static void connection_that_is_ended_within_a_request_is_ended_by_its_thread_too(void **state)
{
    struct fixture *fixture = *state;
    struct peer *slow = connect_peer(fixture, 0, 0);
    struct peer *gone = connect_peer(fixture, 1, 0);
    struct peer *idle = connect_peer(fixture, 2, 0);
    ended_count = 0;
    slow->connection.end_later = gone->connection.end_later = idle->connection.end_later =
        count_ended;
    connection_reading(&fixture->table, &slow->connection, 0);
    connection_reading(&fixture->table, &gone->connection, 0);
    connection_reading(&fixture->table, &idle->connection, 0);
    connection_idle(&idle->connection, 0);
    shutdown(gone->theirs, SHUT_WR);
    connections_sweep(&fixture->table, 1000);
    assert_int_equal(ended_count, 0);
    connections_sweep(&fixture->table, 2000);
    assert_int_equal(ended_count, 1);
    assert_ended_saying(gone, "");
    connections_sweep(&fixture->table, 10000);
    assert_int_equal(ended_count, 2);
    assert_ended_saying(slow, "HTTP/1.1 408 ");
    connections_sweep(&fixture->table, (uint64_t)IDLE_SECS * 1000);
    assert_int_equal(ended_count, 2);
    assert_ended_saying(idle, "");
}

/* Its thread alone can send on it, and shuts it down afterwards. */
static void slow_request_over_tls_is_refused_by_its_thread(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = connect_peer(fixture, 0, 0);
    char response[ERROR_RESPONSE_BYTES + 1];
    ended_count = 0;
    peer->connection.from.has_tls = true;
    peer->connection.end_later = count_ended;
    connection_reading(&fixture->table, &peer->connection, 0);
    connections_sweep(&fixture->table, 9000);
    assert_int_equal(ended_count, 0);
    connections_sweep(&fixture->table, 10000);
    connections_sweep(&fixture->table, 11000);
    assert_int_equal(ended_count, 1);
    assert_alive(peer);
    assert_false(connection_serving(&peer->connection, 11000));
    response[connection_write_end_error(&peer->connection, response)] = '\0';
    assert_non_null(strstr(response, "HTTP/1.1 408 "));
    assert_non_null(strstr(response, "must arrive within 10 s"));
}

/* So that each gets a response; there are only so many at a time. */
static void some_connections_over_the_limit_are_admitted_with_tls(void **state)
{
    struct fixture *fixture = *state;
    struct connections_view view;
    struct connection excess;
    for (int i = 0; i < LIMIT; i++) {
        struct peer *peer = connect_peer(fixture, i, 0);
        assert_false(peer->connection.is_excess);
        connection_reading(&fixture->table, &peer->connection, 0);
    }
    uint32_t admitted = 0;
    while (connections_admit(&fixture->table, -1, &with_tls, 0))
        admitted++;
    assert_int_equal(admitted, 16);
    assert_false(connect_peer(fixture, LIMIT, 0)->admitted);
    connections_add(&fixture->table, &excess, -1, &with_tls, count_ended, 0, 0);
    assert_true(excess.is_excess);
    connections_remove(&fixture->table, &excess);
    for (; admitted > 1; admitted--)
        connections_cancel(&fixture->table, &with_tls);
    connections_view(&fixture->table, &view);
    assert_int_equal(view.open, LIMIT);
    assert_int_equal(view.counters.accepted, LIMIT);
    assert_int_equal(view.counters.refused, 18);
    assert_true(connections_admit(&fixture->table, -1, &with_tls, 0));
    connections_cancel(&fixture->table, &with_tls);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limit_leaves_descriptors_for_everything_else),
        TEST(request_learns_how_long_its_connection_was_silent),
        TEST(ended_connection_is_detected),
        TEST(end_of_a_connection_is_awaited_without_delayed_acknowledgements),
        TEST(new_connection_over_the_limit_is_refused_when_all_are_busy),
        TEST(new_connection_over_the_limit_displaces_the_idle),
        TEST(each_new_connection_displaces_one),
        TEST(connection_idle_for_a_moment_is_not_displaced),
        TEST(request_that_drips_in_is_timed_out),
        TEST(request_whose_client_left_midway_is_dropped),
        TEST(request_of_a_client_that_left_is_not_lost_between_two_states),
        TEST(large_body_earns_time),
        TEST(connection_idle_too_long_is_closed_without_a_word),
        TEST(closing_the_idle_leaves_the_busy),
        TEST(view_counts_what_is_there),
        TEST(connection_that_is_ended_within_a_request_is_ended_by_its_thread_too),
        TEST(slow_request_over_tls_is_refused_by_its_thread),
        TEST(some_connections_over_the_limit_are_admitted_with_tls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
