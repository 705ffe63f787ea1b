/* SPDX-License-Identifier: Apache-2.0
 *
 * Storage on real nodes: power failures, restarts, a full disk, files that cannot be used.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "tests/support/command.h"
#include "tests/support/parallel.h"
#include "tests/support/random.h"
#include "tests/support/servers/cluster.h"
#include "tests/support/temp_folder.h"
#include "tests/support/wait.h"

enum { STORED_WITHIN_MS = 500, KILLS = 25, KILLS_LIMIT_MS = 25000, REGISTERED_MAX = 9000 };

static struct temp_folder folder;

static int set_up(void **state)
{
    (void)state;
    temp_folder_make(&folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    temp_folder_remove(&folder);
    return 0;
}

/* --- one node --------------------------------------------------------------------------------- */

struct run {
    struct server_process server;
    struct http *http;
};

static void begin_in(struct run *run, const char *data)
{
    char setting[160];
    snprintf(setting, sizeof(setting), "storage.data_dir=%s", data);
    const char *args[] = {"--set", setting,
                          "--set", "ratelimit.enabled=false",
                          "--set", "storage.commit_interval_ms=50",
                          NULL};
    server_process_start(&run->server, args, NULL);
    run->http = http_new(run->server.port);
}

static void begin(struct run *run)
{
    char data[128];
    snprintf(data, sizeof(data), "%s/data", folder.path);
    begin_in(run, data);
}

static void end(struct run *run)
{
    http_free(run->http);
    server_process_stop(&run->server);
}

static void end_by_power_cut(struct run *run)
{
    http_free(run->http);
    server_process_kill(&run->server);
}

static void a_stopped_node_finds_everything_again(void **state)
{
    (void)state;
    struct run run;
    begin(&run);
    call_register_many(run.http, "s", 1000);
    json_int_t version = call_version(run.http);
    end(&run);
    begin(&run);
    assert_int_equal(call_count(run.http, "s"), 1000);
    assert_true(call_version(run.http) > version);
    check_status(call_with_keys(run.http, HEARTBEAT, "s", 0, 1000), 200, "success", NULL);
    end(&run);
}

/* Everything acknowledged longer than STORED_WITHIN_MS before a kill is there after it. */
static void kills_lose_nothing_that_was_acknowledged_before(void **state)
{
    (void)state;
    uint64_t seed = (uint64_t)getpid();
    static int64_t acknowledged_ms[REGISTERED_MAX];
    size_t acknowledged = 0;
    const char *wanted = getenv("KILLS"); /* more, on request */
    int64_t kills = wanted ? strtol(wanted, NULL, 10) : KILLS;
    int64_t end_ms = wait_now_ms() + (wanted ? INT32_MAX : KILLS_LIMIT_MS);
    for (int64_t killed = 0; killed < kills && wait_now_ms() < end_ms; killed++) {
        struct run run;
        begin(&run);
        int64_t until_ms = wait_now_ms() + STORED_WITHIN_MS + (int64_t)random_below(&seed, 500);
        while (wait_now_ms() < until_ms && acknowledged < REGISTERED_MAX) {
            char id[32];
            snprintf(id, sizeof(id), "i%zu", acknowledged);
            call_register(run.http, "s", id);
            acknowledged_ms[acknowledged++] = wait_now_ms();
            usleep(2000);
        }
        int64_t killed_ms = wait_now_ms();
        end_by_power_cut(&run);
        begin(&run);
        size_t stored = 0;
        while (stored < acknowledged && acknowledged_ms[stored] < killed_ms - STORED_WITHIN_MS)
            stored++;
        if (stored)
            check_status(call_with_keys(run.http, HEARTBEAT, "s", 0, stored), 200, "success", NULL);
        acknowledged = stored; /* the others may be lost; they are registered again */
        end_by_power_cut(&run);
    }
}

static void an_unregistered_instance_stays_away(void **state)
{
    (void)state;
    struct run run;
    begin(&run);
    call_register_many(run.http, "s", 3);
    check_status(call_with_keys(run.http, UNREGISTER, "s", 1, 1), 200, "success", NULL);
    call_wait_metric(run.http, "artemis_storage_unstored", 0);
    usleep(500000);
    end_by_power_cut(&run);
    begin(&run);
    assert_int_equal(call_count(run.http, "s"), 2);
    assert_false(call_shows(run.http, "s", "i1"));
    end(&run);
}

/* --- files and disks -------------------------------------------------------------------------- */

static void a_file_that_is_not_ours_is_set_aside(void **state)
{
    (void)state;
    temp_folder_write(&folder, "data/artemis.db", "letters of a friend\n");
    struct run run;
    begin(&run);
    call_register(run.http, "s", "i1");
    http_free(run.http);
    char *log = server_process_stop_and_read_log(&run.server);
    assert_non_null(strstr(log, "is not a database of Artemis"));
    assert_non_null(strstr(log, "artemis.db.foreign-1"));
    free(log);
    begin(&run);
    assert_int_equal(call_count(run.http, "s"), 1);
    end(&run);
}

/* Writes garbage over a whole file of the running node. */
static void damage(const char *name)
{
    char path[160];
    char garbage[4096];
    memset(garbage, 0x5A, sizeof(garbage));
    snprintf(path, sizeof(path), "%s/data/%s", folder.path, name);
    int file = open(path, O_RDWR | O_CLOEXEC);
    assert_true(file >= 0);
    off_t size = lseek(file, 0, SEEK_END);
    for (off_t at = 0; at < size; at += (off_t)sizeof(garbage))
        assert_int_equal(pwrite(file, garbage, sizeof(garbage), at), sizeof(garbage));
    close(file);
}

/* Registers all instances of the service with content of this turn. */
static void change_all(struct http *http, const char *service, size_t count, int turn)
{
    char item[256];
    snprintf(item, sizeof(item), "{" INSTANCE_FIELDS ",'machine_name':'turn%d'}", "%s", "%s", turn);
    char *body = call_list_body("instances", item, service, 0, count);
    struct http_response *response = call_post_bytes(http, REGISTER, body, strlen(body));
    free(body);
    check_status(response, 200, "success", NULL);
}

/* The file is larger than what SQLite keeps of it in memory, so that changes of all records read
 * damaged pages. New records alone might change kept pages only. */
static void a_file_damaged_while_running_is_replaced(void **state)
{
    (void)state;
    enum { SERVICES = 3, EACH = 8000 };
    struct run run;
    char service[16];
    begin(&run);
    for (int i = 0; i < SERVICES; i++) {
        snprintf(service, sizeof(service), "s%d", i);
        call_register_many(run.http, service, EACH);
    }
    call_wait_metric(run.http, "artemis_storage_unstored", 0);
    damage("artemis.db");
    damage("artemis.db-wal");
    int64_t deadline_ms = wait_deadline_ms();
    for (int i = 0; call_metric(run.http, "artemis_storage_files_set_aside_total") < 1; i++) {
        assert_true(wait_now_ms() < deadline_ms);
        snprintf(service, sizeof(service), "s%d", i % SERVICES);
        change_all(run.http, service, EACH, i);
    }
    call_register(run.http, "last", "i0");
    call_wait_metric(run.http, "artemis_storage_up", 1);
    call_wait_metric(run.http, "artemis_storage_unstored", 0);
    http_free(run.http);
    char *log = server_process_stop_and_read_log(&run.server);
    assert_non_null(strstr(log, "it is set aside, and all records are written to a new file"));
    assert_non_null(strstr(log, "artemis.db.damaged-1"));
    free(log);
    begin(&run);
    for (int i = 0; i < SERVICES; i++) {
        snprintf(service, sizeof(service), "s%d", i);
        assert_int_equal(call_count(run.http, service), EACH);
    }
    assert_int_equal(call_count(run.http, "last"), 1);
    end(&run);
}

/* Fills the disk to its last byte. */
static void write_ballast(const char *path)
{
    static const char block[4096];
    int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    while (write(file, block, sizeof(block)) > 0)
        continue;
    close(file);
}

/* Registers the next instances, and renews all, until the metric shows whether commits succeed. */
static void load_until_storage_is(struct run *run, double up, size_t *registered)
{
    int64_t deadline_ms = wait_deadline_ms();
    do {
        char id[32];
        assert_true(wait_now_ms() < deadline_ms);
        snprintf(id, sizeof(id), "i%zu", (*registered)++);
        call_register(run->http, "s", id);
        check_status(call_with_keys(run->http, HEARTBEAT, "s", 0, *registered), 200, "success",
                     NULL);
    } while (call_metric(run->http, "artemis_storage_up") != up);
}

static void a_full_disk_is_shown_and_recovers(void **state)
{
    (void)state;
    char ballast[160];
    size_t registered = 0;
    if (mount("tmpfs", folder.path, "tmpfs", 0, "size=16m") != 0)
        skip(); /* not root */
    snprintf(ballast, sizeof(ballast), "%s/ballast", folder.path);
    struct run run;
    begin(&run);
    load_until_storage_is(&run, 1, &registered);
    call_register_many(run.http, "before", 1000);
    call_wait_metric(run.http, "artemis_storage_unstored", 0);
    write_ballast(ballast);
    load_until_storage_is(&run, 0, &registered);
    call_register_many(run.http, "during", 1000);
    assert_int_equal(call_count(run.http, "during"), 1000); /* it serves from memory */
    assert_int_equal(call_count(run.http, "s"), registered);
    assert_true(call_metric(run.http, "artemis_storage_unstored") > 0);
    end_by_power_cut(&run); /* it starts on the full disk, too */
    begin(&run);
    assert_int_equal(call_count(run.http, "before"), 1000);
    call_register_many(run.http, "s", registered);
    call_register_many(run.http, "during", 1000);
    load_until_storage_is(&run, 0, &registered);
    unlink(ballast);
    load_until_storage_is(&run, 1, &registered);
    call_wait_metric(run.http, "artemis_storage_unstored", 0);
    end_by_power_cut(&run);
    begin(&run);
    assert_int_equal(call_count(run.http, "before"), 1000);
    assert_int_equal(call_count(run.http, "during"), 1000);
    assert_int_equal(call_count(run.http, "s"), registered);
    end(&run);
    umount2(folder.path, MNT_DETACH);
}

static void a_folder_in_use_ends_the_start(void **state)
{
    (void)state;
    struct run run;
    begin(&run);
    char setting[160];
    snprintf(setting, sizeof(setting), "storage.data_dir=%s/data", folder.path);
    const char *args[] = {"server", "--addr", "127.0.0.1:0", "--set", setting, NULL};
    struct command_result result = command_run(args, NULL);
    assert_int_not_equal(result.exit_code, 0);
    assert_non_null(strstr(result.err, "storage.data_dir"));
    assert_non_null(strstr(result.err, "in use by another process"));
    command_free(&result);
    end(&run);
}

/* --- a cluster -------------------------------------------------------------------------------- */

static const char *const settings[] = {"ratelimit.enabled=false", "lease.ttl_secs=30",
                                       "replication.anti_entropy_secs=1", NULL};

static void start_node(struct cluster *cluster, int node)
{
    char setting[160];
    snprintf(setting, sizeof(setting), "storage.data_dir=%s/node%d", folder.path, node);
    cluster_start_node(cluster, node, setting);
}

static void a_cluster_that_lost_its_power_serves_everything(void **state)
{
    (void)state;
    enum { INSTANCES = 500 };
    struct cluster cluster;
    cluster_plan(&cluster, 3, settings);
    for (int node = 0; node < 3; node++)
        start_node(&cluster, node);
    for (int node = 0; node < 3; node++)
        cluster_wait_ready(&cluster, node);
    call_register_many(cluster.http[0], "s", INSTANCES);
    cluster_wait_count(&cluster, "s", INSTANCES);
    for (int node = 0; node < 3; node++)
        call_wait_metric(cluster.http[node], "artemis_storage_unstored", 0);
    for (int node = 0; node < 3; node++)
        cluster_kill_node(&cluster, node);
    for (int node = 0; node < 3; node++)
        start_node(&cluster, node);
    for (int node = 0; node < 3; node++) {
        cluster_wait_ready(&cluster, node);
        assert_int_equal(call_count(cluster.http[node], "s"), INSTANCES);
    }
    check_status(call_with_keys(cluster.http[1], HEARTBEAT, "s", 0, INSTANCES), 200, "success",
                 NULL);
    cluster_wait_agreement(&cluster);
    cluster_wait_count(&cluster, "s", INSTANCES);
    cluster_stop(&cluster);
}

/* A node returns after a lease has ended: what its peer has evicted meanwhile is gone, what the
 * peer still holds stays. */
static void a_node_that_was_away_drops_what_its_peer_evicted(void **state)
{
    (void)state;
    static const char *const short_leases[] = {"ratelimit.enabled=false", "lease.ttl_secs=2",
                                               "lease.guard_percent=0", NULL};
    struct cluster cluster;
    cluster_plan(&cluster, 2, short_leases);
    start_node(&cluster, 0);
    start_node(&cluster, 1);
    cluster_wait_ready(&cluster, 0);
    cluster_wait_ready(&cluster, 1);
    call_register(cluster.http[0], "s", "gone");
    call_register(cluster.http[0], "s", "i0");
    cluster_wait_count(&cluster, "s", 2);
    call_wait_metric(cluster.http[1], "artemis_storage_unstored", 0);
    cluster_kill_node(&cluster, 1);
    int64_t until_ms = wait_now_ms() + 4500;
    while (wait_now_ms() < until_ms || call_count(cluster.http[0], "s") != 1) {
        check_status(call_with_keys(cluster.http[0], HEARTBEAT, "s", 0, 1), 200, "success", NULL);
        usleep(300000);
    }
    start_node(&cluster, 1);
    cluster_wait_ready(&cluster, 1);
    assert_true(call_shows(cluster.http[1], "s", "i0"));
    assert_false(call_shows(cluster.http[1], "s", "gone"));
    cluster_stop(&cluster);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_stopped_node_finds_everything_again),
        TEST(kills_lose_nothing_that_was_acknowledged_before),
        TEST(an_unregistered_instance_stays_away),
        TEST(a_file_that_is_not_ours_is_set_aside),
        TEST(a_file_damaged_while_running_is_replaced),
        TEST(a_full_disk_is_shown_and_recovers),
        TEST(a_folder_in_use_ends_the_start),
        TEST(a_cluster_that_lost_its_power_serves_everything),
        TEST(a_node_that_was_away_drops_what_its_peer_evicted),
    };
    return PARALLEL_RUN(tests);
}
