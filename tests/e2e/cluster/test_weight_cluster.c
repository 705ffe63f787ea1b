/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights and keys in a cluster with storage: all nodes find the same instance for a key. A weight
 * reaches every node, survives restarts, and returns where an earlier version, which does not know
 * it, has stored the instance.
 */
#include "tests/support/servers/cluster.h"
#include "tests/support/temp_folder.h"
#include "tests/support/wait.h"

#include <sqlite3.h>
#include <stdio.h>

#define SERVICE "/api/discovery/service?service_id=shop"

static struct temp_folder folder;
static struct cluster cluster;

static void start_node(int node)
{
    char setting[160];
    snprintf(setting, sizeof setting, "storage.data_dir=%s/node%d", folder.path, node);
    cluster_start_node(&cluster, node, setting);
}

static int start(void **state)
{
    (void)state;
    static const char *const settings[] = {"replication.anti_entropy_secs=1", NULL};
    temp_folder_make(&folder);
    cluster_plan(&cluster, 2, settings);
    start_node(0);
    start_node(1);
    cluster_wait_ready(&cluster, 0);
    cluster_wait_ready(&cluster, 1);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    cluster_stop(&cluster);
    temp_folder_remove(&folder);
    return 0;
}

static void register_weight(int node, int weight)
{
    check_status(http_post(cluster.http[node], REGISTER,
                           "{'instances':[{" INSTANCE_FIELDS ",'weight':%d}]}", "shop", "i1",
                           weight),
                 200, "success", NULL);
}

struct wanted {
    int node;
    json_int_t weight;
};

static bool shows_weight(void *context)
{
    const struct wanted *wanted = context;
    struct http_response *response = http_get(cluster.http[wanted->node], SERVICE);
    json_t *weight = check_find(response->json, "service.instances[0].weight");
    return json_is_integer(weight) && json_integer_value(weight) == wanted->weight;
}

static void wait_weight(int node, json_int_t weight)
{
    struct wanted wanted = {node, weight};
    if (!wait_until(shows_weight, &wanted, wait_deadline_ms()))
        fail_msg("node %d does not show the weight %lld: %s", node, (long long)weight,
                 http_get(cluster.http[node], SERVICE)->body);
}

static void wait_stored(int node)
{
    call_wait_metric(cluster.http[node], "artemis_storage_unstored", 0);
}

/* As the file of a version that does not know the weight. */
static void drop_stored_weight(int node)
{
    char path[160];
    sqlite3 *database = NULL;
    snprintf(path, sizeof path, "%s/node%d/artemis.db", folder.path, node);
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    if (sqlite3_exec(database,
                     "UPDATE records SET body = replace(CAST(body AS TEXT), ',\"weight\":7', '')",
                     NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s", sqlite3_errmsg(database));
    assert_int_equal(sqlite3_changes(database), 1);
    sqlite3_close(database);
}

static void weight_is_replicated_and_survives_restarts(void **state)
{
    (void)state;
    register_weight(0, 7);
    wait_weight(1, 7);
    register_weight(1, 0);
    wait_weight(0, 0);
    wait_stored(0);
    wait_stored(1);
    cluster_kill_node(&cluster, 1); /* loads it from the storage */
    start_node(1);
    cluster_wait_ready(&cluster, 1);
    wait_weight(1, 0);
    cluster_stop_node(&cluster, 0);
    cluster_stop_node(&cluster, 1);
    start_node(0);
    cluster_wait_ready(&cluster, 0);
    wait_weight(0, 0);
    start_node(1);
    cluster_wait_ready(&cluster, 1);
    cluster_wait_agreement(&cluster);
}

static void weight_that_an_earlier_version_did_not_store_returns(void **state)
{
    (void)state;
    register_weight(0, 7);
    wait_weight(1, 7);
    wait_stored(1);
    cluster_stop_node(&cluster, 1);
    drop_stored_weight(1);
    start_node(1);
    cluster_wait_ready(&cluster, 1);
    wait_weight(1, 7);
    wait_weight(0, 7);
    cluster_wait_agreement(&cluster);
}

/* A node without data gets it in the snapshot of its peer. */
static void weight_is_in_the_snapshot(void **state)
{
    (void)state;
    register_weight(0, 7);
    cluster_kill_node(&cluster, 1);
    cluster_start_node(&cluster, 1, NULL);
    cluster_wait_ready(&cluster, 1);
    wait_weight(1, 7);
}

/* Their lists have other orders: each has its own instances first. */
static void nodes_find_the_same_instance_for_a_key(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        char id[8];
        snprintf(id, sizeof id, "i%d", i);
        check_status(http_post(cluster.http[i % 2], REGISTER,
                               "{'instances':[{" INSTANCE_FIELDS ",'weight':%d}]}", "shop", id,
                               20 + 40 * i),
                     200, "success", NULL);
    }
    cluster_wait_count(&cluster, "shop", 8);
    cluster_wait_agreement(&cluster);
    for (int key = 0; key < 40; key++) {
        char path[128], expected[16];
        snprintf(path, sizeof path,
                 "/api/discovery/lookup?service_id=shop&strategy=consistent-hash&hash_key=%d", key);
        snprintf(expected, sizeof expected, "%s",
                 check_text(http_get(cluster.http[0], "%s", path), "instance.instance_id"));
        assert_string_equal(
            check_text(http_get(cluster.http[1], "%s", path), "instance.instance_id"), expected);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(weight_is_replicated_and_survives_restarts),
        TEST(weight_that_an_earlier_version_did_not_store_returns),
        TEST(weight_is_in_the_snapshot),
        TEST(nodes_find_the_same_instance_for_a_key),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
