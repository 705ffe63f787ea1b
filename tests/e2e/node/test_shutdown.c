/* SPDX-License-Identifier: Apache-2.0
 *
 * SIGTERM under load: every accepted request gets its response, and the server exits with 0, not by
 * the limit for draining.
 *
 * A request that was sent before SIGTERM gets a whole response. A later one gets a whole response
 * (503 `draining`, or the usual one), or its connection is closed before the first byte of a
 * response, so that the client can send it to another server. A part of a response is never sent.
 */
#include "tests/support/client/calls.h"
#include "tests/support/client/prometheus.h"
#include "tests/support/client/raw_socket.h"
#include "tests/support/command.h"
#include "tests/support/wait.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { CLIENTS = 8, RESPONSES_BEFORE_TERM = 400 };

static int start(void **state)
{
    return fixture_start(state, (const char *const[]){"--set", "ratelimit.enabled=false", NULL});
}

/* The server must have drained by itself, not by a limit of time, and soon after the signal, which
 * was sent after `before_ms`: the limit is far above what a busy machine needs, and below the 30 s
 * for which it waits for requests. */
static void check_exits_drained(struct server_process *server, int64_t before_ms)
{
    assert_int_equal(server_process_wait(server), 0);
    assert_in_range(wait_now_ms() - before_ms, 0, wait_slow_build() ? 29000 : 10000);
    char *log = server_process_stop_and_read_log(server);
    bool has_drained = strstr(log, "draining timed out") == NULL;
    free(log);
    assert_true(has_drained);
}

/* --- under load ------------------------------------------------------------------------------- */

struct load {
    uint16_t port;
    _Atomic int answered;
    atomic_bool is_termed; /* TERM is about to be sent */
};

struct load_client {
    struct load *load;
    int number;
    pthread_t thread;
    char complaint[512]; /* cmocka's checks work in the main thread alone */
};

static bool say_next(struct raw_socket *raw, int number, int round)
{
    char body[400];
    if ((number + round) % 2 == 0) {
        return raw_socket_sendf(
            raw, "GET /api/discovery/service?service_id=s HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    int size = snprintf(body, sizeof body,
                        "{\"instances\":[{\"region_id\":\"lab\",\"zone_id\":\"z\","
                        "\"service_id\":\"load\",\"instance_id\":\"i%d-%d\",\"ip\":\"1\"}]}",
                        number, round);
    return raw_socket_sendf(raw,
                            "POST " REGISTER " HTTP/1.1\r\nHost: a\r\nContent-Type: "
                            "application/json\r\nContent-Length: %d\r\n\r\n%s",
                            size, body);
}

/* True when the client may go on. */
static bool check_response_while_draining(struct load_client *client,
                                          struct http_response *response, bool after_term)
{
    const char *connection = http_field(response, "Connection");
    bool closes = connection != NULL && strcmp(connection, "close") == 0;
    bool draining =
        strcmp(check_text(response, "response_status.reason"), "draining") == 0 && closes;
    if (response->json == NULL ||
        !(response->status == 200 || (response->status == 503 && draining && after_term))) {
        snprintf(client->complaint, sizeof client->complaint, "an answer of %d, %s: %.200s",
                 response->status, connection != NULL ? connection : "kept alive", response->body);
        return false;
    }
    return !closes;
}

static void *ask_until_closed(void *context)
{
    struct load_client *client = context;
    struct raw_socket raw;
    if (!raw_socket_try_open(&raw, client->load->port)) {
        snprintf(client->complaint, sizeof client->complaint, "could not connect");
        return NULL;
    }
    for (int round = 0;; round++) {
        bool sent = say_next(&raw, client->number, round);
        /* Read after sending: when it is still false, all of the request was sent before TERM. */
        bool before_term = sent && !atomic_load(&client->load->is_termed);
        enum raw_end end = raw_socket_read(&raw, wait_deadline_ms());
        bool after_term = atomic_load(&client->load->is_termed);
        if (end == RAW_CLOSED && !before_term) {
            break;
        }
        if (end != RAW_RESPONSE) {
            snprintf(client->complaint, sizeof client->complaint,
                     "request %d, sent %s TERM, got %s", round, before_term ? "before" : "after",
                     end == RAW_PART   ? "half an answer"
                     : end == RAW_LATE ? "no answer in time"
                                       : "a closed connection");
            break;
        }
        atomic_fetch_add(&client->load->answered, 1);
        if (!check_response_while_draining(client, &raw.response, after_term)) {
            break;
        }
    }
    raw_socket_close(&raw);
    return NULL;
}

static bool is_under_load(void *context)
{
    return atomic_load(&((struct load *)context)->answered) >= RESPONSES_BEFORE_TERM;
}

static void check_load_until_exit(struct fixture *fixture, int terms)
{
    struct load load = {.port = fixture->server.port};
    struct load_client clients[CLIENTS] = {0};
    call_register_many(fixture->http, "s", 100);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i].load = &load;
        clients[i].number = i;
        assert_int_equal(pthread_create(&clients[i].thread, NULL, ask_until_closed, &clients[i]),
                         0);
    }
    bool loaded = wait_until(is_under_load, &load, wait_deadline_ms());
    atomic_store(&load.is_termed, true);
    int64_t before_ms = wait_now_ms();
    for (int i = 0; i < terms; i++) {
        server_process_signal(&fixture->server, SIGTERM);
    }
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(clients[i].thread, NULL);
    }
    check_exits_drained(&fixture->server, before_ms);
    assert_true(loaded);
    for (int i = 0; i < CLIENTS; i++) {
        if (clients[i].complaint[0] != '\0') {
            fail_msg("client %d: %s", i, clients[i].complaint);
        }
    }
}

static void term_under_load_serves_accepted_requests(void **state)
{
    check_load_until_exit(*state, 1);
}

static void term_twice_under_load_is_the_same(void **state)
{
    check_load_until_exit(*state, 2);
}

/* --- one by one ------------------------------------------------------------------------------- */

static void term_when_idle_exits_at_once(void **state)
{
    struct fixture *fixture = *state;
    int64_t before_ms = wait_now_ms();
    server_process_signal(&fixture->server, SIGTERM);
    check_exits_drained(&fixture->server, before_ms);
}

static void term_does_not_wait_for_idle_connections(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket idle[4];
    for (size_t i = 0; i < 4; i++) {
        raw_socket_open(&idle[i], fixture->server.port);
        if (i % 2 == 0) {
            raw_socket_sendf(&idle[i], "GET /health HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_int_equal(raw_socket_read(&idle[i], wait_deadline_ms()), RAW_RESPONSE);
        }
    }
    int64_t before_ms = wait_now_ms();
    server_process_signal(&fixture->server, SIGTERM);
    check_exits_drained(&fixture->server, before_ms);
    for (size_t i = 0; i < 4; i++) {
        assert_true(raw_socket_is_closed_by(&idle[i], wait_deadline_ms()));
        raw_socket_close(&idle[i]);
    }
}

static const char half_request[] = "POST " REGISTER " HTTP/1.1\r\nHost: a\r\nContent-Type: "
                                   "application/json\r\nContent-Length: 16\r\n\r\n{\"insta";
static const char other_half[] = "nces\":[]}";

static bool says_draining(void *context)
{
    struct raw_socket *raw = context;
    if (!raw_socket_sendf(raw, "GET /ready HTTP/1.1\r\nHost: a\r\n\r\n") ||
        raw_socket_read(raw, wait_deadline_ms()) != RAW_RESPONSE) {
        return true; /* not reachable any more, which is as good */
    }
    return raw->response.status == 503;
}

/* A request that is half sent holds the drain open, so that the server can be asked how it is. */
static void ready_says_draining_and_half_a_request_is_waited_for(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket slow;
    struct raw_socket asking;
    raw_socket_open(&slow, fixture->server.port);
    raw_socket_open(&asking, fixture->server.port);
    raw_socket_sendf(&slow, "%s", half_request);
    raw_socket_sendf(&asking, "GET /ready HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(raw_socket_read(&asking, wait_deadline_ms()), RAW_RESPONSE);
    check_http(&asking.response, 200);
    int64_t before_ms = wait_now_ms();
    server_process_signal(&fixture->server, SIGTERM);
    assert_true(wait_until(says_draining, &asking, wait_deadline_ms()));
    if (asking.response.status == 503) {
        assert_non_null(strstr(asking.response.body, "draining"));
        check_field(&asking.response, "X-Artemis-State", "draining");
        assert_non_null(http_field(&asking.response, "Retry-After"));
    }
    assert_true(raw_socket_sendf(&slow, "%s", other_half));
    assert_int_equal(raw_socket_read(&slow, wait_deadline_ms()), RAW_RESPONSE);
    if (slow.response.status != 200) {
        check_status(&slow.response, 503, "service-unavailable", "draining");
    }
    check_field(&slow.response, "Connection", "close");
    raw_socket_close(&slow);
    raw_socket_close(&asking);
    check_exits_drained(&fixture->server, before_ms);
}

static bool has_two_connections(void *context)
{
    return prometheus_sum(http_get(context, "/metrics")->body, "artemis_connections", "") == 2;
}

/* Waiting for a slow client must not keep the processor busy, and must not end too soon. */
static void draining_waits_for_a_slow_request_at_no_cost(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket slow;
    enum { WATCHED_MS = 3000 };
    raw_socket_open(&slow, fixture->server.port);
    raw_socket_sendf(&slow, "%s", half_request);
    assert_true(wait_until(has_two_connections, fixture->http, wait_deadline_ms()));
    server_process_signal(&fixture->server, SIGTERM);
    long before_ms = server_process_cpu_ms(&fixture->server);
    wait_for_time(wait_now_ms() + WATCHED_MS);
    long used_ms = server_process_cpu_ms(&fixture->server) - before_ms;
    raw_socket_sendf(&slow, "%s", other_half);
    assert_int_equal(raw_socket_read(&slow, wait_deadline_ms()), RAW_RESPONSE);
    raw_socket_close(&slow);
    assert_int_equal(server_process_wait(&fixture->server), 0);
    assert_in_range(used_ms, 0, WATCHED_MS / 4);
}

/* The server is held still meanwhile, so that the client's last words and its leaving reach it as
 * one event. */
static void term_does_not_wait_for_a_client_that_left_midway(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket leaver;
    raw_socket_open(&leaver, fixture->server.port);
    assert_true(wait_until(has_two_connections, fixture->http, wait_deadline_ms()));
    server_process_signal(&fixture->server, SIGSTOP);
    raw_socket_sendf(&leaver, "%s", half_request);
    raw_socket_close(&leaver);
    server_process_signal(&fixture->server, SIGCONT);
    check_http(http_get(fixture->http, "/health"), 200);
    int64_t before_ms = wait_now_ms();
    server_process_signal(&fixture->server, SIGTERM);
    check_exits_drained(&fixture->server, before_ms);
}

static bool is_draining(void *context)
{
    const struct fixture *fixture = context;
    char *log = command_read_all(fixture->server.log_fd);
    bool found = strstr(log, "draining signal=TERM") != NULL;
    free(log);
    return found;
}

/* Without the second signal, the node would wait until the request is answered or has timed out. */
static void second_term_does_not_wait_for_slow_requests(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket slow;
    raw_socket_open(&slow, fixture->server.port);
    raw_socket_sendf(&slow, "%s", half_request);
    assert_true(wait_until(has_two_connections, fixture->http, wait_deadline_ms()));
    server_process_signal(&fixture->server, SIGTERM);
    assert_true(wait_until(is_draining, fixture, wait_deadline_ms()));
    char *log = server_process_stop_and_read_log(&fixture->server); /* sends SIGTERM */
    assert_non_null(strstr(log, "a second signal"));
    assert_non_null(strstr(log, "draining timed out; the requests being served are aborted"));
    free(log);
    raw_socket_close(&slow);
}

/* --- peers ------------------------------------------------------------------------------------ */

static bool has_logged(struct server_process *server, const char *part)
{
    char *log = command_read_all(server->log_fd);
    bool found = strstr(log, part) != NULL;
    free(log);
    return found;
}

static bool sends_to_peers(void *context)
{
    return has_logged(context, "sending pending changes and a goodbye to the peers");
}

static bool has_peer_up(void *context)
{
    return prometheus_sum(http_get(context, "/metrics")->body, "artemis_peer_up", "") == 1;
}

/* Without the second signal, the node would wait for the peer for 20 s. */
static void second_term_does_not_wait_for_a_silent_peer(void **state)
{
    (void)state;
    enum { PEERS_MS = 20 * 1000 };
    struct server_process peer;
    struct server_process node;
    char peers[64];
    server_process_start(&peer,
                         (const char *const[]){"--set", "cluster.enabled=true", "--set",
                                               "cluster.bootstrap_grace_secs=0", "--set",
                                               "server.node_id=peer", NULL},
                         NULL);
    snprintf(peers, sizeof peers, "cluster.peers=%s", peer.address);
    server_process_start(&node,
                         (const char *const[]){"--set", "cluster.enabled=true", "--set", peers,
                                               "--set", "cluster.bootstrap_grace_secs=0", "--set",
                                               "replication.timeout_secs=300", NULL},
                         NULL);
    struct http *http = http_new(node.port);
    assert_true(wait_until(has_peer_up, http, wait_deadline_ms()));
    server_process_suspend(&peer);
    call_register(http, "shop", "s-1");
    http_free(http);
    server_process_signal(&node, SIGTERM);
    assert_true(wait_until(sends_to_peers, &node, wait_deadline_ms()));
    char *log = server_process_stop_and_read_log(&node); /* sends SIGTERM */
    unsigned long waited_ms = PEERS_MS;
    const char *line = strstr(log, "changes did not reach all peers in time");
    assert_non_null(line);
    assert_int_equal(sscanf(strstr(line, "waited_ms="), "waited_ms=%lu", &waited_ms), 1);
    assert_in_range(waited_ms, 0, PEERS_MS - 1);
    free(log);
    server_process_continue(&peer);
    server_process_stop(&peer);
}

static void interrupt_from_the_keyboard_is_as_good_as_term(void **state)
{
    struct fixture *fixture = *state;
    int64_t before_ms = wait_now_ms();
    server_process_signal(&fixture->server, SIGINT);
    check_exits_drained(&fixture->server, before_ms);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, fixture_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(term_under_load_serves_accepted_requests),
        TEST(term_twice_under_load_is_the_same),
        TEST(term_when_idle_exits_at_once),
        TEST(term_does_not_wait_for_idle_connections),
        TEST(ready_says_draining_and_half_a_request_is_waited_for),
        TEST(draining_waits_for_a_slow_request_at_no_cost),
        TEST(term_does_not_wait_for_a_client_that_left_midway),
        TEST(second_term_does_not_wait_for_slow_requests),
        cmocka_unit_test(second_term_does_not_wait_for_a_silent_peer),
        TEST(interrupt_from_the_keyboard_is_as_good_as_term),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
