/* SPDX-License-Identifier: Apache-2.0
 *
 * A hostile peer on real sockets: stamps of the future, more node ids than there are numbers, and
 * the largest calls. The other nodes of the cluster notice nothing.
 */
#include "tests/support/client/raw_socket.h"
#include "tests/support/servers/cluster.h"
#include "tests/support/wait.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PEER "/api/replication/registry/"

enum { ITEMS_MAX = 10000, SKEW_SECS = 3600, HLC_COUNTER_BITS = 16 };

static struct cluster cluster;
static char *body; /* of the last call */

static int stop(void **state)
{
    (void)state;
    cluster_stop(&cluster);
    free(body);
    body = NULL;
    return 0;
}

static uint64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- calls ------------------------------------------------------------------------------------ */

/* Connects from an address of its own, as another machine would. */
static void open_as_attacker(struct raw_socket *raw, uint16_t port)
{
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1)};
    struct sockaddr_in node = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    *raw = (struct raw_socket){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_true(raw->fd >= 0);
    assert_int_equal(bind(raw->fd, (struct sockaddr *)&own, sizeof own), 0);
    assert_int_equal(connect(raw->fd, (struct sockaddr *)&node, sizeof node), 0);
}

/* Returns the reason of the first failed item, "" if none failed. Valid until the next call. */
static const char *attack(uint16_t port, const char *call, const char *text)
{
    static char reason[64];
    struct raw_socket raw;
    open_as_attacker(&raw, port);
    assert_true(raw_socket_sendf(&raw,
                                 "POST " PEER "%s HTTP/1.1\r\nHost: x\r\nX-Artemis-Replication: "
                                 "true\r\nContent-Length: %zu\r\n\r\n",
                                 call, strlen(text)));
    assert_true(raw_socket_send(&raw, text, strlen(text)));
    assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
    assert_int_equal(raw.response.status, 200);
    snprintf(reason, sizeof reason, "%s", check_text(&raw.response, "failed_instances[0].reason"));
    if (!reason[0])
        snprintf(reason, sizeof reason, "%s",
                 check_text(&raw.response, "failed_instance_keys[0].reason"));
    raw_socket_close(&raw);
    return reason;
}

/* A body with `count` items; item i has the number `first` + i. The origin is "ORIGIN" and that
 * number, or "ORIGIN" alone. */
static const char *items(const char *list, size_t first, size_t count, uint64_t stamp,
                         const char *origin, bool many_nodes)
{
    size_t size = 64 + count * 320;
    free(body);
    body = malloc(size);
    assert_non_null(body);
    char *to = body + sprintf(body, "{\"%s\":[", list);
    for (size_t i = 0; i < count; i++) {
        char number[24] = "";
        if (many_nodes)
            snprintf(number, sizeof number, "%zu", first + i);
        to += sprintf(to,
                      "%s{\"region_id\":\"r\",\"zone_id\":\"z\",\"service_id\":\"evil\","
                      "\"instance_id\":\"i%zu\",\"ip\":\"10.0.0.1\",\"port\":80,"
                      "\"version\":%llu,\"origin\":\"%s%s\",\"age_ms\":0}",
                      i ? "," : "", first + i, (unsigned long long)stamp, origin, number);
    }
    strcpy(to, "]}");
    return body;
}

static uint64_t stamp_ahead(uint64_t secs)
{
    return (wall_ms() + secs * 1000) << HLC_COUNTER_BITS;
}

static const char *send_stamp(int node, uint64_t stamp)
{
    return attack(cluster.ports[node], "register",
                  items("instances", 0, 1, stamp, "attacker", false));
}

/* How far the HLC of a node is ahead of the wall clock, in s. */
static double clock_ahead_secs(int node)
{
    const char *clock = http_field(http_get(cluster.http[node], "/health"), "X-Artemis-Clock");
    assert_non_null(clock);
    return ((double)strtoull(clock, NULL, 10) - (double)wall_ms()) / 1000;
}

static void start(int count)
{
    cluster_start(&cluster, count, (const char *const[]){"replication.anti_entropy_secs=1", NULL});
}

/* --- clocks ----------------------------------------------------------------------------------- */

static void stamps_of_the_future_move_no_clock(void **state)
{
    (void)state;
    start(2);
    for (uint64_t year = 1; year <= 100; year++) {
        assert_string_equal(send_stamp(0, stamp_ahead(year * 365 * 86400)), "version-ahead");
        assert_string_equal(send_stamp(1, stamp_ahead(SKEW_SECS + 120)), "version-ahead");
    }
    assert_true(clock_ahead_secs(0) < 60 && clock_ahead_secs(1) < 60);
    call_register(cluster.http[0], "shop", "i1"); /* a later change reaches the others */
    cluster_wait_count(&cluster, "shop", 1);
    assert_true(call_metric(cluster.http[0], "artemis_replication_refused_stamps_total") >= 100);
}

/* The stamps of node 1 are then as far ahead as node 2 accepts, and its time is not: otherwise node
 * 2 would find each message of node 1 too late, or too far ahead. */
static void stamps_at_the_limit_stop_no_replication(void **state)
{
    (void)state;
    start(2);
    for (int i = 0; i < 50; i++)
        (void)send_stamp(0, stamp_ahead(SKEW_SECS) - 1);
    assert_true(clock_ahead_secs(0) < 60 && clock_ahead_secs(1) < 60);
    call_register(cluster.http[0], "shop", "i1");
    call_register(cluster.http[1], "shop", "i2");
    cluster_wait_count(&cluster, "shop", 2);
}

/* Nor does the clock in the header of a call. */
static void clock_of_a_caller_moves_no_clock(void **state)
{
    (void)state;
    struct raw_socket raw;
    start(2);
    open_as_attacker(&raw, cluster.ports[0]);
    assert_true(raw_socket_sendf(&raw,
                                 "POST " PEER "heartbeat HTTP/1.1\r\nHost: x\r\n"
                                 "X-Artemis-Replication: true\r\nX-Artemis-Clock: %llu\r\n"
                                 "Content-Length: 20\r\n\r\n{\"instance_keys\":[]}",
                                 (unsigned long long)wall_ms() + SKEW_SECS * 1000 - 1000));
    assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
    assert_int_equal(raw.response.status, 200);
    raw_socket_close(&raw);
    assert_true(clock_ahead_secs(0) < 60);
}

struct stamp_at {
    int node;
    uint64_t stamp;
};

static bool has_stamp(void *context)
{
    const struct stamp_at *at = context;
    const char *highest =
        http_field(http_get(cluster.http[at->node], "/health"), "X-Artemis-Stamp");
    return highest && strtoull(highest, NULL, 10) >= at->stamp;
}

/* Node 1 learns a stamp with a heartbeat whose record nobody has. Node 2 asks node 1 for it, so
 * that no change there counts as older. */
static void stamps_that_one_node_knows_are_exceeded_by_all(void **state)
{
    (void)state;
    cluster_start(&cluster, 2, (const char *const[]){"cluster.health_interval_secs=1", NULL});
    struct stamp_at first = {.node = 0, .stamp = stamp_ahead(SKEW_SECS / 2)};
    struct stamp_at second = {.node = 1, .stamp = first.stamp};
    assert_false(has_stamp(&first) || has_stamp(&second));
    (void)attack(cluster.ports[0], "heartbeat",
                 items("instance_keys", 0, 1, first.stamp, "attacker", false));
    assert_true(has_stamp(&first));
    assert_true(wait_until(has_stamp, &second, wait_deadline_ms()));
    assert_true(clock_ahead_secs(0) < 60 && clock_ahead_secs(1) < 60);
}

/* What a node that is honestly wrong sees: its changes arrive, after the first health check. */
static void health_of_a_member_may_be_ahead(void **state)
{
    (void)state;
    start(3);
    const char *members =
        http_field(http_get(cluster.http[0], "/health"), "X-Artemis-Members-Clock");
    assert_non_null(members);
    assert_true(llabs((long long)(strtoull(members, NULL, 10) - wall_ms())) < 60000);
}

/* --- node ids --------------------------------------------------------------------------------- */

static bool ids_are_given_back(void *unused)
{
    (void)unused;
    return call_metric(cluster.http[0], "artemis_node_ids") <= 3;
}

static void node_ids_are_bounded_and_given_back(void **state)
{
    (void)state;
    cluster_start(
        &cluster, 2,
        (const char *const[]){wait_slow_build() ? "lease.ttl_secs=30" : "lease.ttl_secs=10",
                              "lease.guard_percent=0", "replication.anti_entropy_secs=1", NULL});
    size_t calls = wait_slow_build() ? 2 : 8; /* the leases must not end before the last one */
    for (size_t call = 0; call < calls; call++)
        (void)attack(cluster.ports[0], "register",
                     items("instances", call * ITEMS_MAX, ITEMS_MAX, stamp_ahead(0), "evil", true));
    assert_true(call_metric(cluster.http[0], "artemis_node_ids") <= 4096 + 3);
    assert_true(call_metric(cluster.http[0], "artemis_node_ids_refused_total") >=
                (double)(calls - 1) * ITEMS_MAX);
    assert_string_equal(attack(cluster.ports[0], "register",
                               items("instances", 0, 1, stamp_ahead(1), "one-more", true)),
                        "too-large");
    call_register(cluster.http[1], "shop", "i1"); /* the id of node2 has a number */
    cluster_wait_count(&cluster, "shop", 1);
    assert_true(wait_until(ids_are_given_back, NULL, wait_deadline_ms()));
    assert_string_equal(attack(cluster.ports[0], "register",
                               items("instances", 0, 1, stamp_ahead(1), "one-more", true)),
                        "");
}

/* --- cost ------------------------------------------------------------------------------------- */

static int64_t time_of(const char *call, const char *text)
{
    int64_t begin_ms = wait_now_ms();
    (void)attack(cluster.ports[0], call, text);
    return wait_now_ms() - begin_ms;
}

/* The largest calls cost what their items cost. Before, one call with new node ids took seconds. */
static void largest_calls_are_measured(void **state)
{
    (void)state;
    start(1);
    int64_t plain =
        time_of("register", items("instances", 0, ITEMS_MAX, stamp_ahead(0), "a", false));
    int64_t ids = time_of("register", items("instances", 0, ITEMS_MAX, stamp_ahead(1), "b", true));
    int64_t again =
        time_of("register", items("instances", 0, ITEMS_MAX, stamp_ahead(2), "c", true));
    int64_t beats =
        time_of("heartbeat", items("instance_keys", 0, ITEMS_MAX, stamp_ahead(0), "a", false));
    int64_t checks =
        time_of("lease-check", items("instance_keys", 0, ITEMS_MAX, stamp_ahead(0), "a", false));
    int64_t records =
        time_of("records", items("instance_keys", 0, ITEMS_MAX, stamp_ahead(0), "a", false));
    int64_t gone =
        time_of("unregister", items("instance_keys", 0, ITEMS_MAX, stamp_ahead(3), "a", false));
    print_message("ms for %d items: register %lld, with %d new node ids %lld, over the limit %lld, "
                  "heartbeat %lld, lease-check %lld, records %lld, unregister %lld\n",
                  ITEMS_MAX, (long long)plain, 4096, (long long)ids, (long long)again,
                  (long long)beats, (long long)checks, (long long)records, (long long)gone);
    /* far below the quadratic cost, also on a busy machine */
    assert_true(ids <= 10 * plain + 2000 && again <= 10 * plain + 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(stamps_of_the_future_move_no_clock, stop),
        cmocka_unit_test_teardown(stamps_at_the_limit_stop_no_replication, stop),
        cmocka_unit_test_teardown(clock_of_a_caller_moves_no_clock, stop),
        cmocka_unit_test_teardown(stamps_that_one_node_knows_are_exceeded_by_all, stop),
        cmocka_unit_test_teardown(health_of_a_member_may_be_ahead, stop),
        cmocka_unit_test_teardown(node_ids_are_bounded_and_given_back, stop),
        cmocka_unit_test_teardown(largest_calls_are_measured, stop),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
