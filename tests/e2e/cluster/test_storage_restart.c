/* SPDX-License-Identifier: Apache-2.0
 *
 * A node of a cluster that returns with its stored records: after days, with a wall clock that was
 * set back, or killed while it copied the records of a peer.
 */
#include "tests/support/client/raw_socket.h"
#include "tests/support/parallel.h"
#include "tests/support/random.h"
#include "tests/support/servers/cluster.h"
#include "tests/support/temp_folder.h"
#include "tests/support/wait.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DAY_MS = 86400000, MANY = 10000 };

static struct temp_folder folder;
static struct cluster cluster;

static int set_up(void **state)
{
    (void)state;
    temp_folder_make(&folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cluster_stop(&cluster);
    temp_folder_remove(&folder);
    return 0;
}

static void start_node(int node)
{
    char setting[160];
    snprintf(setting, sizeof setting, "storage.data_dir=%s/node%d", folder.path, node);
    cluster_start_node(&cluster, node, setting);
}

static void start_ready(int node)
{
    start_node(node);
    cluster_wait_ready(&cluster, node);
}

static void wait_stored(int node)
{
    call_wait_metric(cluster.http[node], "artemis_storage_unstored", 0);
}

/* Changes the file of a node that does not run. */
static void change_file(int node, const char *format, long long number)
{
    char path[160];
    char statement[256];
    sqlite3 *database = NULL;
    snprintf(path, sizeof path, "%s/node%d/artemis.db", folder.path, node);
    snprintf(statement, sizeof statement, format, number);
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    if (sqlite3_exec(database, statement, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", statement, sqlite3_errmsg(database));
    assert_true(sqlite3_changes(database) > 0);
    sqlite3_close(database);
}

static void unregister(int node, size_t number)
{
    check_status(call_with_keys(cluster.http[node], UNREGISTER, "s", number, 1), 200, "success",
                 NULL);
}

/* --- after days ------------------------------------------------------------------------------- */

#define NO_GUARD "ratelimit.enabled=false", "lease.guard_percent=0"

/* While it was away, one instance was unregistered and its tombstone ended, and one was evicted.
 * Another one is unregistered while it starts. */
static void a_node_that_was_away_for_days_brings_nothing_back(void **state)
{
    (void)state;
    static const char *const settings[] = {NO_GUARD, "lease.ttl_secs=4",
                                           "replication.anti_entropy_secs=1",
                                           "replication.tombstone_secs=2", NULL};
    cluster_plan(&cluster, 2, settings);
    start_ready(0);
    start_ready(1);
    call_register_many(cluster.http[0], "s", 4); /* i3: evicted */
    cluster_wait_count(&cluster, "s", 4);
    wait_stored(1);
    cluster_kill_node(&cluster, 1);
    unregister(0, 1);
    call_wait_metric(cluster.http[0], "artemis_tombstones", 0);
    int64_t deadline_ms = wait_deadline_ms();
    while (call_count(cluster.http[0], "s") != 2) {
        assert_true(wait_now_ms() < deadline_ms);
        call_register(cluster.http[0], "s", "i0");
        call_register(cluster.http[0], "s", "i2");
        usleep(100000);
    }
    change_file(1, "UPDATE numbers SET value = value - %lld WHERE name = 'saved_ms'", 3LL * DAY_MS);
    start_node(1);
    unregister(0, 2); /* while it starts */
    for (bool ready = false; !ready;) {
        ready = http_get(cluster.http[1], "/ready")->status == 200;
        assert_false(call_shows(cluster.http[0], "s", "i1"));
        assert_false(call_shows(cluster.http[0], "s", "i3"));
        assert_true(wait_now_ms() < deadline_ms);
    }
    assert_false(call_shows(cluster.http[1], "s", "i1"));
    assert_false(call_shows(cluster.http[1], "s", "i3"));
    cluster_wait_agreement(&cluster);
    for (int node = 0; node < 2; node++) {
        assert_false(call_shows(cluster.http[node], "s", "i1"));
        assert_false(call_shows(cluster.http[node], "s", "i2"));
        assert_false(call_shows(cluster.http[node], "s", "i3"));
    }
}

/* Alone, it serves what it knows, and evicts what is not renewed. */
static void a_node_that_was_away_for_days_and_is_alone_serves_for_one_ttl(void **state)
{
    (void)state;
    static const char *const settings[] = {NO_GUARD, "lease.ttl_secs=4", NULL};
    cluster_plan(&cluster, 2, settings);
    start_ready(0);
    call_register_many(cluster.http[0], "s", 10);
    wait_stored(0);
    cluster_kill_node(&cluster, 0);
    change_file(0, "UPDATE numbers SET value = value - %lld WHERE name = 'saved_ms'", 3LL * DAY_MS);
    start_ready(0);
    assert_int_equal(call_count(cluster.http[0], "s"), 10);
    int64_t deadline_ms = wait_deadline_ms();
    while (call_count(cluster.http[0], "s") != 1) {
        assert_true(wait_now_ms() < deadline_ms);
        call_register(cluster.http[0], "s", "i0");
        usleep(100000);
    }
}

/* --- after a moment --------------------------------------------------------------------------- */

enum { LIVE = 3 };

static void renew_the_others(void)
{
    check_status(call_with_keys(cluster.http[0], HEARTBEAT, "s", 0, LIVE), 200, "success", NULL);
}

/* Registers i0 to i3 and renews all but i3. Node 1 is killed when the nodes have compared their
 * records, and node 0 evicts i3. */
static void let_one_be_evicted_while_away(void)
{
    static const char *const settings[] = {NO_GUARD, "lease.ttl_secs=10",
                                           "replication.anti_entropy_secs=2", NULL};
    cluster_plan(&cluster, 2, settings);
    start_ready(0);
    start_ready(1);
    cluster_wait_health(&cluster, 0, cluster.ports[1], "up");
    cluster_wait_health(&cluster, 1, cluster.ports[0], "up");
    call_register_many(cluster.http[0], "s", LIVE + 1);
    cluster_wait_count(&cluster, "s", LIVE + 1);
    int64_t registered_ms = wait_now_ms();
    while (wait_now_ms() < registered_ms + 8000) {
        renew_the_others();
        usleep(200000);
    }
    cluster_kill_node(&cluster, 1);
    int64_t deadline_ms = wait_deadline_ms();
    while (call_count(cluster.http[0], "s") != LIVE) {
        assert_true(wait_now_ms() < deadline_ms);
        renew_the_others();
        usleep(50000);
    }
}

static void check_nothing_came_back(void)
{
    int64_t deadline_ms = wait_deadline_ms();
    start_node(1);
    while (http_get(cluster.http[1], "/ready")->status != 200) {
        assert_true(wait_now_ms() < deadline_ms);
        renew_the_others();
        usleep(50000);
    }
    assert_int_equal(call_count(cluster.http[1], "s"), LIVE);
    cluster_wait_agreement(&cluster);
    for (int node = 0; node < 2; node++)
        assert_false(call_shows(cluster.http[node], "s", "i3"));
}

/* It was away for less than a time-to-live, as after an ordinary restart. */
static void a_node_that_was_away_for_a_moment_brings_nothing_back(void **state)
{
    (void)state;
    let_one_be_evicted_while_away();
    check_nothing_came_back();
}

/* The wall clock was set back while it was away. It does not know which records its peers held. */
static void a_node_with_a_clock_that_went_back_brings_nothing_back(void **state)
{
    (void)state;
    let_one_be_evicted_while_away();
    change_file(1, "UPDATE numbers SET value = value + %lld WHERE name = 'saved_ms'", DAY_MS);
    change_file(1, "UPDATE numbers SET value = %lld WHERE name = 'shared_epoch'", 0);
    check_nothing_came_back();
}

/* --- the wall clock --------------------------------------------------------------------------- */

static json_int_t highest_stamp(int node)
{
    size_t i;
    json_t *instance;
    json_int_t highest = 0;
    struct http_response *response =
        cluster_peer_call(cluster.http[node], "GET", "/api/replication/registry/services", NULL);
    json_array_foreach(check_find(response->json, "services[0].instances"), i, instance)
    {
        json_int_t stamp = json_integer_value(json_object_get(instance, "version"));
        highest = stamp > highest ? stamp : highest;
    }
    return highest;
}

/* The file is from a time when the wall clock was a day ahead of the present one. */
static void stamps_and_revisions_grow_over_a_clock_that_went_back(void **state)
{
    (void)state;
    long long day = (long long)DAY_MS << 16;
    cluster_plan(&cluster, 2, NULL);
    start_ready(0);
    call_register(cluster.http[0], "s", "before");
    wait_stored(0);
    json_int_t stamp = highest_stamp(0) + day;
    json_int_t version = call_version(cluster.http[0]) + 1000LL * DAY_MS;
    cluster_kill_node(&cluster, 0);
    change_file(0, "UPDATE numbers SET value = value + %lld WHERE name = 'hlc_bound'", day);
    change_file(0, "UPDATE numbers SET value = value + %lld WHERE name = 'revision_bound'",
                1000LL * DAY_MS);
    change_file(0, "UPDATE numbers SET value = value + %lld WHERE name = 'saved_ms'", DAY_MS);
    start_ready(0);
    call_register(cluster.http[0], "s", "after");
    assert_true(highest_stamp(0) > stamp);
    assert_true(call_version(cluster.http[0]) > version);
    start_ready(1);
    call_register(cluster.http[1], "s", "later");
    assert_true(highest_stamp(1) > highest_stamp(0) - 1);
    cluster_wait_count(&cluster, "s", 3);
}

/* --- killed while it copies ------------------------------------------------------------------- */

struct consumer {
    uint16_t port;
    _Atomic bool stop;
    char problem[256];
};

static int count_instances(const char *body)
{
    static const char member[] = "\"instance_id\"";
    int count = 0;
    for (const char *at = body; at && (at = strstr(at, member)); at += strlen(member))
        count++;
    return count;
}

/* Asks all the time; only the whole list, 503, or no connection are right. */
static void *consume(void *context)
{
    struct consumer *consumer = context;
    while (!consumer->stop && !consumer->problem[0]) {
        struct raw_socket raw;
        if (!raw_socket_try_open(&raw, consumer->port)) {
            usleep(1000);
            continue;
        }
        raw_socket_sendf(&raw,
                         "GET /api/discovery/service?service_id=s HTTP/1.1\r\nHost: a\r\n\r\n");
        if (raw_socket_read(&raw, wait_deadline_ms()) == RAW_RESPONSE &&
            raw.response.status != 503 && count_instances(raw.response.body) != MANY)
            snprintf(consumer->problem, sizeof consumer->problem, "HTTP %d with %d instances",
                     raw.response.status, count_instances(raw.response.body));
        raw_socket_close(&raw);
    }
    return NULL;
}

static void start_and_kill(int node, uint64_t pause_ms)
{
    start_node(node);
    usleep((useconds_t)pause_ms * 1000);
    cluster_kill_node(&cluster, node);
}

static void a_node_killed_while_it_copies_serves_no_part(void **state)
{
    (void)state;
    enum { KILLS = 8, PAUSE_MAX_MS = 150 };
    static const char *const settings[] = {"ratelimit.enabled=false", "lease.ttl_secs=600",
                                           "storage.commit_interval_ms=10", NULL};
    uint64_t seed = (uint64_t)getpid();
    pthread_t thread;
    cluster_plan(&cluster, 2, settings);
    start_ready(0);
    call_register_many(cluster.http[0], "s", MANY);
    struct consumer consumer = {.port = cluster.ports[1]};
    assert_int_equal(pthread_create(&thread, NULL, consume, &consumer), 0);
    for (int i = 0; i < KILLS; i++)
        start_and_kill(1, random_below(&seed, PAUSE_MAX_MS));
    start_ready(1);
    assert_int_equal(call_count(cluster.http[1], "s"), MANY);
    consumer.stop = true;
    pthread_join(thread, NULL);
    if (consumer.problem[0])
        fail_msg("%s", consumer.problem);
    cluster_wait_agreement(&cluster);
}

/* The file that such a node leaves: a part of the records, and no mark that they are complete. */
static void a_node_with_a_part_of_a_snapshot_serves_no_part(void **state)
{
    (void)state;
    static const char *const settings[] = {"ratelimit.enabled=false",
                                           "cluster.bootstrap_grace_secs=300", NULL};
    cluster_plan(&cluster, 2, settings);
    start_node(0);
    call_register_many(cluster.http[0], "s", 100);
    wait_stored(0);
    cluster_kill_node(&cluster, 0);
    change_file(0, "DELETE FROM records WHERE key IN (SELECT key FROM records LIMIT %lld)", 50);
    change_file(0, "UPDATE numbers SET value = %lld WHERE name = 'complete'", 0);
    start_node(0);
    call_wait_metric(cluster.http[0], "artemis_storage_loaded_instances", 50);
    check_http(http_get(cluster.http[0], "/api/discovery/service?service_id=s"), 503);
    call_register_many(cluster.http[0], "s", 100);
    check_http(http_get(cluster.http[0], "/api/discovery/service?service_id=s"), 503);
    cluster_kill_node(&cluster, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_node_that_was_away_for_days_brings_nothing_back),
        TEST(a_node_that_was_away_for_days_and_is_alone_serves_for_one_ttl),
        TEST(a_node_that_was_away_for_a_moment_brings_nothing_back),
        TEST(a_node_with_a_clock_that_went_back_brings_nothing_back),
        TEST(stamps_and_revisions_grow_over_a_clock_that_went_back),
        TEST(a_node_killed_while_it_copies_serves_no_part),
        TEST(a_node_with_a_part_of_a_snapshot_serves_no_part),
    };
    return PARALLEL_RUN(tests);
}
