/* SPDX-License-Identifier: Apache-2.0
 *
 * 20,000 connections at once. At server.max_connections, connections that have been idle for a
 * second are closed for new ones; if none is idle, the new one gets 503
 * `over-limit`. Busy connections are served all the while.
 *
 * A process may hold 20,000 descriptors at most here, so the flood comes from child processes.
 * ARTEMIS_TEST_CONNECTIONS sets its size; sanitizer builds, which are slow, get a smaller one.
 */
#include "tests/support/client/background_client.h"
#include "tests/support/client/calls.h"
#include "tests/support/client/raw_socket.h"
#include "tests/support/wait.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HOLDERS = 4, SMALL_LIMIT = 16, OTHER_FILES = 100 };

static int connections_wanted(void)
{
    const char *text = getenv("ARTEMIS_TEST_CONNECTIONS");
    int wanted = text != NULL ? atoi(text) : 0;
    return wanted > 0 ? wanted : wait_slow_build() ? 4000 : 20000;
}

/* --- the flood -------------------------------------------------------------------------------- */

/* A child process that opens connections once a byte comes from `command`, and holds them until
 * that is closed. */
struct holder {
    pid_t pid;
    int opened;  /* read end: one byte for every hundred connections, then end of file */
    int command; /* write end */
};

/* Connections of each kind are said this much of a request. */
static const char *const first_words[HOLDERS] = {
    "",
    "GET /health HTTP/1.1\r\nHost: a\r\n\r\n",
    "",
    "GET /health HTTP/1.1\r\nHost",
};

static void connect_one(uint16_t port, int number)
{
    /* Their own address, so that they do not use up the ports of other tests. */
    struct sockaddr_in from = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (uint32_t)number)};
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (fd < 0 || bind(fd, (struct sockaddr *)&from, sizeof from) != 0 ||
        connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        return; /* refused, which the server may do; others get 503 */
    }
    (void)!send(fd, first_words[number], strlen(first_words[number]), MSG_NOSIGNAL);
}

static void hold_connections(uint16_t port, int number, int count, int opened, int command)
{
    struct rlimit files;
    char word;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    (void)!read(command, &word, 1);
    for (int i = 0; i < count; i++) {
        connect_one(port, number);
        if (i % 100 == 99) {
            (void)!write(opened, ".", 1);
        }
    }
    close(opened);
    (void)!read(command, &word, 1);
    _exit(0);
}

static void start_holder(struct holder *holder, uint16_t port, int number, int count)
{
    int opened[2];
    int command[2];
    assert_int_equal(pipe2(opened, O_CLOEXEC), 0);
    assert_int_equal(pipe2(command, O_CLOEXEC), 0);
    holder->pid = fork();
    assert_true(holder->pid >= 0);
    if (holder->pid == 0) {
        close(command[1]);
        hold_connections(port, number, count, opened[1], command[0]);
    }
    close(opened[1]);
    close(command[0]);
    holder->opened = opened[0];
    holder->command = command[1];
}

static void end_holder(struct holder *holder)
{
    close(holder->opened);
    close(holder->command);
    kill(holder->pid, SIGKILL);
    waitpid(holder->pid, NULL, 0);
}

/* True at the end of what the holder has to report. */
static bool has_opened_all(struct holder *holder, int64_t deadline_ms)
{
    char dots[100];
    while (wait_readable(holder->opened, deadline_ms)) {
        if (read(holder->opened, dots, sizeof dots) <= 0) {
            return true;
        }
    }
    return false;
}

/* A new connection is accepted, or gets 503. With TLS many at once are closed. */
static bool new_connection_is_served(void *context)
{
    struct fixture *fixture = context;
    struct raw_socket raw;
    raw_socket_open(&raw, fixture->server.port);
    raw_socket_sendf(&raw, "GET /health HTTP/1.1\r\nHost: a\r\n\r\n");
    enum raw_end end = raw_socket_read(&raw, wait_deadline_ms());
    int status = raw.response.status;
    if (end == RAW_CLOSED && server_process_over_tls()) {
        raw_socket_close(&raw);
        return false;
    }
    if (end != RAW_RESPONSE) {
        raw_socket_close(&raw);
        fail_msg("a new connection got %s", end == RAW_LATE ? "nothing" : "a closed connection");
    }
    if (status != 200) {
        check_status(&raw.response, 503, "service-unavailable", "over-limit");
    }
    raw_socket_close(&raw);
    return status == 200;
}

static void other_clients_are_served_during_a_flood_of_connections(void **state)
{
    (void)state;
    int wanted = connections_wanted();
    struct fixture fixture;
    struct holder holders[HOLDERS];
    struct background_client background_client;
    char limit[64];
    snprintf(limit, sizeof limit, "server.max_connections=%d", wanted / 2);
    server_process_start(&fixture.server, (const char *const[]){"--set", limit, NULL}, NULL);
    fixture.http = http_new(fixture.server.port);
    call_register(fixture.http, "witness", "i1");
    for (int i = 0; i < HOLDERS; i++) {
        start_holder(&holders[i], fixture.server.port, i, wanted / HOLDERS);
    }
    /* After the forks, because it is a thread; before the flood, so that it is let in. */
    background_client_start(&background_client, fixture.server.port,
                            "/api/discovery/service?service_id=witness");
    for (int i = 0; i < HOLDERS; i++) {
        assert_int_equal(write(holders[i].command, "!", 1), 1);
    }
    int64_t deadline_ms = wait_now_ms() + 4 * wait_timeout_ms();
    for (int i = 0; i < HOLDERS; i++) {
        assert_true(has_opened_all(&holders[i], deadline_ms));
        assert_in_range(server_process_open_files(&fixture.server), 1, wanted / 2 + OTHER_FILES);
    }
    background_client_check_served(&background_client, 20);
    assert_true(wait_until(new_connection_is_served, &fixture, deadline_ms));
    for (int i = 0; i < HOLDERS; i++) {
        end_holder(&holders[i]);
    }
    background_client_check_served(&background_client, 20);
    assert_true(wait_until(new_connection_is_served, &fixture, wait_deadline_ms()));
    background_client_stop(&background_client);
    http_free(fixture.http);
    server_process_stop(&fixture.server);
}

/* --- at the limit ----------------------------------------------------------------------------- */

static int start_small(void **state)
{
    return fixture_start(state, (const char *const[]){"--set", "server.max_connections=16", NULL});
}

static bool ask_health(struct raw_socket *raw)
{
    return raw_socket_sendf(raw, "GET /health HTTP/1.1\r\nHost: a\r\n\r\n") &&
           raw_socket_read(raw, wait_deadline_ms()) == RAW_RESPONSE && raw->response.status == 200;
}

static void open_busy(struct raw_socket connections[SMALL_LIMIT], uint16_t port)
{
    for (size_t i = 0; i < SMALL_LIMIT; i++) {
        raw_socket_open(&connections[i], port);
        assert_true(ask_health(&connections[i]));
    }
}

static void close_all(struct raw_socket connections[SMALL_LIMIT])
{
    for (size_t i = 0; i < SMALL_LIMIT; i++) {
        raw_socket_close(&connections[i]);
    }
}

static void new_connection_gets_503_when_all_are_busy(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket busy[SMALL_LIMIT];
    struct raw_socket added;
    int64_t began_ms = wait_now_ms();
    open_busy(busy, fixture->server.port);
    raw_socket_open(&added, fixture->server.port);
    raw_socket_sendf(&added, "GET /health HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(raw_socket_read(&added, wait_deadline_ms()), RAW_RESPONSE);
    if (wait_now_ms() - began_ms < 900) {
        check_status(&added.response, 503, "service-unavailable", "over-limit");
        check_contains(&added.response, "response_status.error_message", "16");
        assert_non_null(http_field(&added.response, "Retry-After"));
        assert_true(raw_socket_is_closed_by(&added, wait_deadline_ms()));
    }
    for (size_t i = 0; i < SMALL_LIMIT; i++) {
        assert_true(ask_health(&busy[i]) || wait_now_ms() - began_ms > 900);
    }
    raw_socket_close(&added);
    close_all(busy);
}

static void new_connection_displaces_an_idle_one(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket connections[SMALL_LIMIT];
    struct raw_socket added[SMALL_LIMIT / 2];
    open_busy(connections, fixture->server.port);
    int64_t idle_ms = wait_now_ms() + 1500;
    while (wait_now_ms() < idle_ms) {
        assert_true(ask_health(&connections[3])); /* this one alone is at work */
        wait_for_time(wait_now_ms() + 50);
    }
    for (size_t i = 0; i < SMALL_LIMIT / 2; i++) {
        raw_socket_open(&added[i], fixture->server.port);
        assert_true(ask_health(&added[i]));
        assert_true(ask_health(&connections[3]));
    }
    int closed = 0;
    int64_t deadline_ms = wait_deadline_ms();
    while (closed < SMALL_LIMIT / 2 && wait_now_ms() < deadline_ms) {
        closed = 0;
        for (size_t i = 0; i < SMALL_LIMIT; i++) {
            closed += raw_socket_is_closed_by(&connections[i], wait_now_ms());
        }
    }
    assert_in_range(closed, SMALL_LIMIT / 2, SMALL_LIMIT - 1);
    for (size_t i = 0; i < SMALL_LIMIT / 2; i++) {
        raw_socket_close(&added[i]);
    }
    close_all(connections);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(new_connection_gets_503_when_all_are_busy, start_small,
                                        fixture_stop),
        cmocka_unit_test_setup_teardown(new_connection_displaces_an_idle_one, start_small,
                                        fixture_stop),
        cmocka_unit_test(other_clients_are_served_during_a_flood_of_connections),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
