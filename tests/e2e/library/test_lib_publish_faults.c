/* SPDX-License-Identifier: Apache-2.0
 *
 * artemis_publish with servers that fail: an event is sent again only if no server can have
 * published it, and the caller learns when that is not known.
 */
#include "libartemis/artemis.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/servers/cluster.h"
#include "tests/support/servers/fake_server.h"
#include "tests/support/wait.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { TIMEOUT_MS = 20000, ATTEMPT_MS = 1000 };

#define BODY_SUCCESS                                                                               \
    "{\"response_status\":{\"error_code\":\"success\"},\"node_id\":\"n\",\"run\":\"r\","           \
    "\"number\":1}"
#define BODY_NOT_READY                                                                             \
    "{\"response_status\":{\"error_code\":\"service-unavailable\",\"reason\":\"not-ready\","       \
    "\"error_message\":\"this node is starting\"}}"
#define BODY_NO_MEMORY                                                                             \
    "{\"response_status\":{\"error_code\":\"internal-error\",\"reason\":\"out-of-memory\","        \
    "\"error_message\":\"out of memory\"}}"

/* What the first server does with a request; the second one publishes all. */
struct behaviour {
    int status; /* 0: it closes the connection */
    const char *body;
    bool silent; /* it does not answer */
    int good;    /* requests on a connection that succeed before */
    int busy_ms; /* it is not ready for that time, and publishes all after it */
};

struct server_pair {
    struct fake_server first, second;
    struct behaviour behaviour;
    atomic_int first_requests, second_requests;
    atomic_int published;       /* by the first */
    _Atomic int64_t started_ms; /* its first request */
    struct artemis_client *client;
};

static bool send_response(int fd, int status, const char *body)
{
    char response[1024];
    int size = snprintf(response, sizeof response, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n\r\n%s",
                        status, strlen(body), body);
    return fake_server_send(fd, response, (size_t)size);
}

/* Reads the rest of a request of which `start` was received, which may be empty. False: the client
 * has closed the connection. */
static bool read_request(int fd, const char *start)
{
    char request[8192];
    size_t size = (size_t)snprintf(request, sizeof request, "%s", start);
    for (;;) {
        const char *end = strstr(request, "\r\n\r\n");
        const char *length = strcasestr(request, "content-length: ");
        if (end && length && strlen(end + 4) >= strtoul(length + 16, NULL, 10))
            return true;
        ssize_t got = recv(fd, request + size, sizeof request - 1 - size, 0);
        if (got <= 0)
            return false;
        size += (size_t)got;
        request[size] = '\0';
    }
}

static bool is_busy(struct server_pair *pair)
{
    int64_t now_ms = wait_now_ms();
    if (pair->started_ms == 0)
        pair->started_ms = now_ms;
    return now_ms < pair->started_ms + pair->behaviour.busy_ms;
}

static bool serve_first(int fd, const char *head, void *context)
{
    struct server_pair *pair = context;
    const struct behaviour *behaviour = &pair->behaviour;
    const char *start = head;
    for (int served = 0; read_request(fd, start); served++, start = "") {
        pair->first_requests++;
        if (served < behaviour->good || (behaviour->busy_ms > 0 && !is_busy(pair))) {
            pair->published++;
            send_response(fd, 200, BODY_SUCCESS);
            continue;
        }
        if (behaviour->silent)
            fake_server_drain(fd);
        if (behaviour->status == 0) {
            shutdown(fd, SHUT_RDWR); /* fake_server_stop closes it */
            break;
        }
        send_response(fd, behaviour->status, behaviour->body);
    }
    return true;
}

static bool serve_second(int fd, const char *head, void *context)
{
    struct server_pair *pair = context;
    for (const char *start = head; read_request(fd, start); start = "") {
        pair->second_requests++;
        send_response(fd, 200, BODY_SUCCESS);
    }
    return true;
}

static void no_response(const char *head, char *response, size_t size, void *context)
{
    (void)head;
    (void)context;
    snprintf(response, size, "HTTP/1.1 404 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

static int start(void **state)
{
    struct server_pair *pair = calloc(1, sizeof *pair);
    assert_non_null(pair);
    fake_server_start_stream(&pair->first, no_response, serve_first, pair);
    fake_server_start_stream(&pair->second, no_response, serve_second, pair);
    *state = pair;
    return 0;
}

static void open_with(struct server_pair *pair, const char *servers, int attempt_timeout_ms)
{
    const struct artemis_options options = {.servers = servers,
                                            .attempt_timeout_ms = attempt_timeout_ms,
                                            .nodes_ms = -1}; /* only publications are counted */
    struct artemis_problem problem = {.text = ""};
    if (artemis_open(&options, &pair->client, &problem))
        fail_msg("%s", problem.text);
}

static void open_client(struct server_pair *pair, const char *servers)
{
    open_with(pair, servers, ATTEMPT_MS);
}

static void open_for_both(struct server_pair *pair)
{
    char servers[100];
    snprintf(servers, sizeof servers, "%s,%s", pair->first.url, pair->second.url);
    open_client(pair, servers);
}

static int stop(void **state)
{
    struct server_pair *pair = *state;
    assert_int_equal(artemis_close(pair->client, TIMEOUT_MS, NULL), ARTEMIS_OK);
    fake_server_stop(&pair->first);
    fake_server_stop(&pair->second);
    free(pair);
    return 0;
}

static void check_publish(struct server_pair *pair, int timeout_ms, enum artemis_error expected,
                          const char *text)
{
    struct artemis_problem problem = {.text = ""};
    enum artemis_error error = artemis_publish(pair->client, "t", "1", timeout_ms, NULL, &problem);
    if (error != expected || !strstr(problem.text, text))
        fail_msg("error %d: %s", (int)error, problem.text);
}

static void check_requests(const struct server_pair *pair, int first, int second)
{
    assert_int_equal(atomic_load(&pair->first_requests), first);
    assert_int_equal(atomic_load(&pair->second_requests), second);
}

/* --- it is not known whether the event was published ------------------------------------------ */

static void closed_connection_is_uncertain(void **state)
{
    struct server_pair *pair = *state;
    open_for_both(pair);
    check_publish(pair, TIMEOUT_MS, ARTEMIS_UNCERTAIN, "the event may have been published: ");
    check_requests(pair, 1, 0);
}

/* libcurl would send it again: the connection was used before. */
static void reused_connection_that_is_closed_is_uncertain(void **state)
{
    struct server_pair *pair = *state;
    pair->behaviour.good = 1;
    open_client(pair, pair->first.url);
    check_publish(pair, TIMEOUT_MS, ARTEMIS_OK, "");
    check_publish(pair, TIMEOUT_MS, ARTEMIS_UNCERTAIN, "");
    check_requests(pair, 2, 0);
}

static void silent_server_is_uncertain(void **state)
{
    struct server_pair *pair = *state;
    pair->behaviour.silent = true;
    open_for_both(pair);
    check_publish(pair, TIMEOUT_MS, ARTEMIS_UNCERTAIN, "");
    check_requests(pair, 1, 0);
}

static void caller_with_less_time_than_the_server_needs_is_uncertain(void **state)
{
    struct server_pair *pair = *state;
    pair->behaviour.silent = true;
    open_with(pair, pair->first.url, 10000);
    check_publish(pair, 5000, ARTEMIS_UNCERTAIN, "no server has answered in 5000 ms");
    check_requests(pair, 1, 0);
}

static void response_that_says_nothing_is_uncertain(void **state)
{
    struct server_pair *pair = *state;
    pair->behaviour = (struct behaviour){.status = 502, .body = "<html>Bad Gateway</html>"};
    open_for_both(pair);
    check_publish(pair, TIMEOUT_MS, ARTEMIS_UNCERTAIN, "not from an Artemis server");
    check_requests(pair, 1, 0);
}

static void server_without_memory_is_uncertain(void **state)
{
    struct server_pair *pair = *state;
    pair->behaviour = (struct behaviour){.status = 500, .body = BODY_NO_MEMORY};
    open_for_both(pair);
    check_publish(pair, TIMEOUT_MS, ARTEMIS_UNCERTAIN, "out of memory");
    check_requests(pair, 1, 0);
}

/* --- the event was not published -------------------------------------------------------------- */

static void server_that_is_not_ready_leaves_it_to_the_next(void **state)
{
    struct server_pair *pair = *state;
    pair->behaviour = (struct behaviour){.status = 503, .body = BODY_NOT_READY};
    open_for_both(pair);
    check_publish(pair, TIMEOUT_MS, ARTEMIS_OK, "");
    check_requests(pair, 1, 1);
}

static void server_that_cannot_be_reached_leaves_it_to_the_next(void **state)
{
    struct server_pair *pair = *state;
    char servers[100];
    snprintf(servers, sizeof servers, "http://127.0.0.1:%u,%s", cluster_choose_port(),
             pair->second.url);
    open_client(pair, servers);
    check_publish(pair, TIMEOUT_MS, ARTEMIS_OK, "");
    check_requests(pair, 0, 1);
}

static void event_that_no_server_takes_times_out(void **state)
{
    struct server_pair *pair = *state;
    pair->behaviour = (struct behaviour){.status = 503, .body = BODY_NOT_READY};
    open_client(pair, pair->first.url);
    check_publish(pair, 2 * ATTEMPT_MS, ARTEMIS_TIMED_OUT, ": this node is starting");
    assert_true(atomic_load(&pair->first_requests) >= 1);
}

/* Listens, and lets no further connection be established until serve_one is called. */
static void listen_full(int *listener, int *filler, char url[40])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    const struct timeval timeout = {.tv_sec = TIMEOUT_MS / 1000};
    *listener = socket(AF_INET, SOCK_STREAM, 0);
    *filler = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(*listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(*listener, 0), 0);
    assert_int_equal(getsockname(*listener, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(connect(*filler, (struct sockaddr *)&address, size), 0);
    setsockopt(*listener, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    snprintf(url, 40, "http://127.0.0.1:%u", ntohs(address.sin_port));
}

/* Accepts connections until one has a whole request, and responds to that. False: none comes. */
static bool serve_one(int listener)
{
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0; close(fd))
        if (read_request(fd, "")) {
            bool is_sent = send_response(fd, 200, BODY_SUCCESS);
            close(fd);
            return is_sent;
        }
    return false;
}

/* The connection is established only after the caller has left. */
static void caller_that_leaves_is_no_failure_of_the_server(void **state)
{
    struct server_pair *pair = *state;
    char servers[100];
    char url[40];
    int listener;
    int filler;
    listen_full(&listener, &filler, url);
    snprintf(servers, sizeof servers, "%s,%s", url, pair->second.url);
    open_with(pair, servers, 10000);
    check_publish(pair, 200, ARTEMIS_TIMED_OUT, "not published in 200 ms");
    check_publish(pair, 0, ARTEMIS_OK, "");
    close(filler);
    assert_true(serve_one(listener));
    check_requests(pair, 0, 0);
    close(listener);
}

/* --- close ------------------------------------------------------------------------------------ */

/* The events wait longer than they would if the client stayed open. */
static void close_publishes_all_that_wait(void **state)
{
    struct server_pair *pair = *state;
    pair->behaviour =
        (struct behaviour){.status = 503, .body = BODY_NOT_READY, .busy_ms = 2 * ATTEMPT_MS};
    open_client(pair, pair->first.url);
    for (int i = 0; i < 100; i++)
        check_publish(pair, 0, ARTEMIS_OK, "");
    enum artemis_error error = artemis_close(pair->client, TIMEOUT_MS, NULL);
    pair->client = NULL;
    assert_int_equal(error, ARTEMIS_OK);
    assert_int_equal(atomic_load(&pair->published), 100);
}

static void close_without_a_server_reports_what_was_not_published(void **state)
{
    struct server_pair *pair = *state;
    struct artemis_problem problem = {.text = ""};
    char server[40];
    snprintf(server, sizeof server, "http://127.0.0.1:%u", cluster_choose_port());
    open_with(pair, server, 100);
    check_publish(pair, 0, ARTEMIS_OK, "");
    check_publish(pair, 0, ARTEMIS_OK, "");
    enum artemis_error error = artemis_close(pair->client, ATTEMPT_MS, &problem);
    pair->client = NULL;
    assert_int_equal(error, ARTEMIS_TIMED_OUT);
    assert_string_equal(problem.text, "2 events were not published in 1000 ms");
}

/* --- a server without WebSockets -------------------------------------------------------------- */

static void on_event(const struct artemis_event *event, void *context)
{
    (void)event;
    (void)context;
}

static bool serve_nothing(int fd, const char *head, void *context)
{
    (void)fd;
    (void)head;
    (void)context;
    return false;
}

static void server_without_websocket_refuses_topics(void **state)
{
    struct server_pair *pair = *state;
    struct fake_server older;
    struct artemis_subscription *subscription = NULL;
    struct artemis_problem problem = {.text = ""};
    fake_server_start_stream(&older, no_response, serve_nothing, NULL);
    open_client(pair, older.url);
    assert_int_equal(artemis_subscribe_topic(pair->client, "t", on_event, NULL, TIMEOUT_MS,
                                             &subscription, &problem),
                     ARTEMIS_REFUSED);
    assert_non_null(strstr(problem.text, "no WebSocket"));
    assert_null(subscription);
    fake_server_stop(&older);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(closed_connection_is_uncertain),
        TEST(reused_connection_that_is_closed_is_uncertain),
        TEST(silent_server_is_uncertain),
        TEST(caller_with_less_time_than_the_server_needs_is_uncertain),
        TEST(response_that_says_nothing_is_uncertain),
        TEST(server_without_memory_is_uncertain),
        TEST(server_that_is_not_ready_leaves_it_to_the_next),
        TEST(server_that_cannot_be_reached_leaves_it_to_the_next),
        TEST(event_that_no_server_takes_times_out),
        TEST(caller_that_leaves_is_no_failure_of_the_server),
        TEST(close_publishes_all_that_wait),
        TEST(close_without_a_server_reports_what_was_not_published),
        TEST(server_without_websocket_refuses_topics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
