/* SPDX-License-Identifier: Apache-2.0
 *
 * Peers that send endless responses, very slow responses or invalid names. The node starts from
 * another peer and keeps serving its status.
 */
#include "tests/support/parallel.h"
#include "tests/support/servers/cluster.h"
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
    "X-Artemis-State: ready\r\nX-Artemis-Run: fake\r\n\r\nOK"

enum { SNAPSHOT_LIMIT_MS = 12000 }; /* 12 times replication.timeout_secs */

static struct cluster cluster;

/* --- the peer --------------------------------------------------------------------------------- */

static struct {
    int listener;
    pthread_t thread;
    atomic_bool stop;
    const char *name;
    const char *head;    /* start of every response except health */
    const char *piece;   /* sent repeatedly after it */
    unsigned between_us; /* pause between pieces */
} fake_peer;

static bool send_text(int fd, const char *text)
{
    return send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

static void *serve_one(void *argument)
{
    int fd = (int)(intptr_t)argument;
    char request[65536];
    char health[512];
    snprintf(health, sizeof health, HEALTH, fake_peer.name);
    while (!atomic_load(&fake_peer.stop)) {
        ssize_t size = recv(fd, request, sizeof request, 0);
        if (size <= 0)
            break;
        bool is_health = size > 11 && memcmp(request, "GET /health", 11) == 0;
        bool ok = send_text(fd, is_health ? health : fake_peer.head);
        while (ok && !is_health && !atomic_load(&fake_peer.stop)) {
            ok = send_text(fd, fake_peer.piece);
            usleep(fake_peer.between_us);
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
    while (!atomic_load(&fake_peer.stop) && count < 256) {
        int fd = accept(fake_peer.listener, NULL, NULL);
        if (fd < 0)
            break;
        struct timeval timeout = {.tv_sec = 1};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
        if (pthread_create(&threads[count], NULL, serve_one, (void *)(intptr_t)fd) == 0)
            count++;
        else
            close(fd);
    }
    while (count)
        pthread_join(threads[--count], NULL);
    return NULL;
}

static void start_peer(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int reuse = 1;
    atomic_store(&fake_peer.stop, false);
    fake_peer.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fake_peer.listener >= 0);
    setsockopt(fake_peer.listener, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse);
    assert_int_equal(bind(fake_peer.listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fake_peer.listener, 100), 0);
    assert_int_equal(pthread_create(&fake_peer.thread, NULL, serve, NULL), 0);
}

static int stop(void **state)
{
    (void)state;
    atomic_store(&fake_peer.stop, true);
    shutdown(fake_peer.listener, SHUT_RDWR);
    cluster_stop(&cluster);
    pthread_join(fake_peer.thread, NULL);
    close(fake_peer.listener);
    return 0;
}

static void set_responses(const char *name, const char *head, const char *piece,
                          unsigned between_us)
{
    fake_peer.name = name;
    fake_peer.head = head;
    fake_peer.piece = piece;
    fake_peer.between_us = between_us;
}

/* --- tests ------------------------------------------------------------------------------------ */

static void slow_snapshot_is_abandoned_for_another_peer(void **state)
{
    (void)state;
    set_responses("fake", "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{", " ", 200000);
    cluster_plan(&cluster, 3, (const char *const[]){"replication.timeout_secs=1", NULL});
    start_peer(cluster.ports[0]);
    cluster_start_node(&cluster, 1, "cluster.enabled=false"); /* it only serves the snapshot */
    call_register_many(cluster.http[1], "shop", 10);
    cluster_start_node(&cluster, 2, NULL);
    cluster_wait_ready(&cluster, 2);
    assert_int_equal(call_count(cluster.http[2], "shop"), 10);
}

static bool is_ready(void *context)
{
    return http_get(context, "/ready")->status == 200;
}

/* It sends 10 KB a second, which is above the minimum rate, and never ends. */
static void snapshot_that_never_ends_is_abandoned_for_another_peer(void **state)
{
    (void)state;
    static char blanks[2048 + 1];
    memset(blanks, ' ', sizeof blanks - 1);
    set_responses("fake", "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n{", blanks, 200000);
    cluster_plan(&cluster, 3, (const char *const[]){"replication.timeout_secs=1", NULL});
    start_peer(cluster.ports[0]);
    cluster_start_node(&cluster, 2, NULL);
    cluster_wait_health(&cluster, 2, cluster.ports[0], "up"); /* it asks this peer first */
    cluster_start_node(&cluster, 1, "cluster.enabled=false"); /* it only serves the snapshot */
    call_register_many(cluster.http[1], "shop", 10);
    assert_true(wait_until(is_ready, cluster.http[2], wait_deadline_ms() + SNAPSHOT_LIMIT_MS));
    assert_int_equal(call_count(cluster.http[2], "shop"), 10);
}

static void check_name(const char *name)
{
    set_responses(name, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{", " ", 200000);
    cluster_plan(&cluster, 2, (const char *const[]){"replication.timeout_secs=1", NULL});
    start_peer(cluster.ports[0]);
    cluster_start_node(&cluster, 1, NULL);
    cluster_wait_health(&cluster, 1, cluster.ports[0], "up");
    struct http_response *response = http_get(cluster.http[1], "/api/status/cluster");
    assert_int_equal(response->status, 200);
    assert_non_null(response->json);
}

static void invalid_names_do_not_break_the_status(void **state)
{
    (void)state;
    check_name("\xff\xfe\"");
}

/* If the status cut it, a half of a character would remain. */
static void long_names_do_not_break_the_status(void **state)
{
    (void)state;
    char name[256 + 1] = "";
    for (size_t at = 0; at < sizeof name - 1; at += 2)
        memcpy(name + at, "\xc3\xa9", 2);
    check_name(name);
}

static void status_is_served_while_a_response_does_not_end(void **state)
{
    (void)state;
    static char piece[65536];
    int size = 0;
    while (size < (int)sizeof piece - 200)
        size += snprintf(piece + size, 200,
                         "{\"region_id\":\"r\",\"zone_id\":\"z\",\"service_id\":\"s\","
                         "\"instance_id\":\"i\",\"ip\":\"10.0.0.1\",\"port\":80},");
    set_responses("fake", "HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n{\"instances\":[",
                  piece, 0);
    cluster_plan(&cluster, 2, (const char *const[]){"replication.timeout_secs=1", NULL});
    start_peer(cluster.ports[0]);
    cluster_start_node(&cluster, 1, NULL);
    cluster_wait_health(&cluster, 1, cluster.ports[0], "up");
    for (int i = 0; i < 20; i++)
        assert_int_equal(http_get(cluster.http[1], "/api/status/cluster")->status, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(slow_snapshot_is_abandoned_for_another_peer, stop),
        cmocka_unit_test_teardown(snapshot_that_never_ends_is_abandoned_for_another_peer, stop),
        cmocka_unit_test_teardown(invalid_names_do_not_break_the_status, stop),
        cmocka_unit_test_teardown(long_names_do_not_break_the_status, stop),
        cmocka_unit_test_teardown(status_is_served_while_a_response_does_not_end, stop),
    };
    return PARALLEL_RUN(tests);
}
