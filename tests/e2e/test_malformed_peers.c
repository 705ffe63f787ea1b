/* SPDX-License-Identifier: Apache-2.0
 *
 * A node whose peer is no Artemis at all, though it says so: what it answers never ends, or comes
 * in drops, or has names that are none. The node starts from its other peer, and tells how it is.
 */
#include "tests/support/cluster.h"
#include "tests/support/wait.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEALTH                                                                                     \
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Artemis-Node: %s\r\nX-Artemis-Cluster: artemis\r\n" \
    "X-Artemis-State: ready\r\nX-Artemis-Run: strange\r\n\r\nOK"

static struct cluster cluster;

/* --- the peer --------------------------------------------------------------------------------- */

static struct {
    int listener;
    pthread_t thread;
    atomic_bool stop;
    const char *name;
    const char *head;    /* of the answer to all but health */
    const char *piece;   /* what then comes again and again */
    unsigned between_us; /* in between */
} strange;

static bool say(int fd, const char *text)
{
    return send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

static void *serve_one(void *argument)
{
    int fd = (int)(intptr_t)argument;
    char request[65536];
    char health[512];
    snprintf(health, sizeof health, HEALTH, strange.name);
    while (!atomic_load(&strange.stop)) {
        ssize_t size = recv(fd, request, sizeof request, 0);
        if (size <= 0)
            break;
        bool is_health = size > 11 && memcmp(request, "GET /health", 11) == 0;
        bool ok = say(fd, is_health ? health : strange.head);
        while (ok && !is_health && !atomic_load(&strange.stop)) {
            ok = say(fd, strange.piece);
            usleep(strange.between_us);
        }
        if (!ok)
            break;
    }
    close(fd);
    return NULL;
}

static void *serve(void *unused)
{
    (void)unused;
    pthread_t threads[256];
    size_t count = 0;
    while (!atomic_load(&strange.stop) && count < 256) {
        int fd = accept(strange.listener, NULL, NULL);
        if (fd < 0)
            break;
        struct timeval patience = {.tv_sec = 1};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        if (pthread_create(&threads[count], NULL, serve_one, (void *)(intptr_t)fd) == 0)
            count++;
        else
            close(fd);
    }
    while (count)
        pthread_join(threads[--count], NULL);
    return NULL;
}

static void start_strange(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int reuse = 1;
    atomic_store(&strange.stop, false);
    strange.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(strange.listener >= 0);
    setsockopt(strange.listener, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse);
    assert_int_equal(bind(strange.listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(strange.listener, 100), 0);
    assert_int_equal(pthread_create(&strange.thread, NULL, serve, NULL), 0);
}

static int stop(void **state)
{
    (void)state;
    atomic_store(&strange.stop, true);
    shutdown(strange.listener, SHUT_RDWR);
    cluster_stop(&cluster);
    pthread_join(strange.thread, NULL);
    close(strange.listener);
    return 0;
}

static void expect(const char *name, const char *head, const char *piece, unsigned between_us)
{
    strange.name = name;
    strange.head = head;
    strange.piece = piece;
    strange.between_us = between_us;
}

/* --- tests ------------------------------------------------------------------------------------ */

static void a_snapshot_in_drops_is_left_for_another_peer(void **state)
{
    (void)state;
    expect("strange", "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{", " ", 200000);
    cluster_plan(&cluster, 3, (const char *const[]){"replication.timeout_secs=1", NULL});
    start_strange(cluster.ports[0]);
    cluster_start_node(&cluster, 1, "cluster.enabled=false"); /* a peer, and no one's */
    call_register_many(cluster.http[1], "shop", 10);
    cluster_start_node(&cluster, 2, NULL);
    cluster_wait_ready(&cluster, 2);
    assert_int_equal(call_count(cluster.http[2], "shop"), 10);
}

static void names_that_are_none_spoil_no_answer(void **state)
{
    (void)state;
    expect("\xff\xfe\"", "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{", " ", 200000);
    cluster_plan(&cluster, 2, (const char *const[]){"replication.timeout_secs=1", NULL});
    start_strange(cluster.ports[0]);
    cluster_start_node(&cluster, 1, NULL);
    cluster_wait_health(&cluster, 1, cluster.ports[0], "up");
    struct http_answer *answer = http_get(cluster.http[1], "/api/status/cluster");
    assert_int_equal(answer->status, 200);
    assert_non_null(answer->json);
}

static void status_is_told_while_an_answer_does_not_end(void **state)
{
    (void)state;
    static char piece[65536];
    int size = 0;
    while (size < (int)sizeof piece - 200)
        size += snprintf(piece + size, 200,
                         "{\"region_id\":\"r\",\"zone_id\":\"z\",\"service_id\":\"s\","
                         "\"instance_id\":\"i\",\"ip\":\"10.0.0.1\",\"port\":80},");
    expect("strange", "HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n{\"instances\":[",
           piece, 0);
    cluster_plan(&cluster, 2, (const char *const[]){"replication.timeout_secs=1", NULL});
    start_strange(cluster.ports[0]);
    cluster_start_node(&cluster, 1, NULL);
    cluster_wait_health(&cluster, 1, cluster.ports[0], "up");
    for (int i = 0; i < 20; i++)
        assert_int_equal(http_get(cluster.http[1], "/api/status/cluster")->status, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_snapshot_in_drops_is_left_for_another_peer, stop),
        cmocka_unit_test_teardown(names_that_are_none_spoil_no_answer, stop),
        cmocka_unit_test_teardown(status_is_told_while_an_answer_does_not_end, stop),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
