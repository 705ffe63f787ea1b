/* SPDX-License-Identifier: Apache-2.0
 *
 * Nodes that authenticate to each other by a token: they replicate with it, and a node without it
 * is refused, says so, and does not serve an empty registry.
 */
#include "tests/support/servers/cluster.h"
#include "tests/support/servers/tokens.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct cluster cluster;
static struct temp_folder folder;

static int start(void **state)
{
    (void)state;
    temp_folder_make(&folder);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    cluster_stop(&cluster);
    temp_folder_remove(&folder);
    return 0;
}

static void plan(int count, const char *const settings[])
{
    cluster_plan(&cluster, count, settings);
    cluster.config = strdup(tokens_write(&folder, ""));
}

/* --- calls with a token ----------------------------------------------------------------------- */

static struct http_response *call(int node, const char *method, const char *path, const char *body)
{
    static const char *const fields[] = {"Authorization: Bearer " TOKEN_ADMIN, NULL};
    return http_send(cluster.http[node],
                     &(struct http_request){.method = method,
                                            .path = path,
                                            .fields = fields,
                                            .body = body,
                                            .body_size = body ? strlen(body) : 0});
}

static void register_at(int node, const char *instance_id)
{
    char body[300];
    snprintf(body, sizeof body,
             "{\"instances\":[{\"region_id\":\"r\",\"zone_id\":\"z\",\"service_id\":\"shop\","
             "\"instance_id\":\"%s\",\"ip\":\"10.0.0.1\",\"port\":80}]}",
             instance_id);
    check_status(call(node, "POST", REGISTER, body), 200, "success", NULL);
}

struct wanted {
    int node;
    size_t count;
    const char *health; /* of the first other peer */
};

static bool shows(void *context)
{
    const struct wanted *wanted = context;
    struct http_response *response =
        call(wanted->node, "GET", "/api/discovery/service?service_id=shop", NULL);
    return json_array_size(check_find(response->json, "service.instances")) == wanted->count;
}

static void wait_count(int node, size_t count)
{
    assert_true(wait_until(shows, &(struct wanted){node, count, NULL}, wait_deadline_ms()));
}

static bool has_health(void *context)
{
    const struct wanted *wanted = context;
    struct http_response *response = call(wanted->node, "GET", "/api/status/cluster", NULL);
    json_t *peers = check_find(response->json, "peers");
    for (size_t i = 0; i < json_array_size(peers); i++)
        if (strcmp(json_string_value(json_object_get(json_array_get(peers, i), "health")),
                   wanted->health) == 0)
            return true;
    return false;
}

static void wait_health(int node, const char *health)
{
    assert_true(wait_until(has_health, &(struct wanted){node, 0, health}, wait_deadline_ms()));
}

/* --- tests ------------------------------------------------------------------------------------ */

static void nodes_replicate_with_their_token(void **state)
{
    (void)state;
    plan(3, (const char *const[]){"cluster.token=" TOKEN_PEER, NULL});
    for (int i = 0; i < 2; i++)
        cluster_start_node(&cluster, i, NULL);
    for (int i = 0; i < 2; i++)
        cluster_wait_ready(&cluster, i);
    register_at(0, "i1");
    wait_count(1, 1);
    register_at(1, "i2");
    wait_count(0, 2);
    cluster_start_node(&cluster, 2, NULL); /* by a snapshot */
    cluster_wait_ready(&cluster, 2);
    wait_count(2, 2);
    free((void *)cluster.config);
}

static void node_without_the_token_is_refused_and_not_ready(void **state)
{
    (void)state;
    plan(2, NULL);
    cluster_start_node(&cluster, 0, "cluster.token=" TOKEN_PEER);
    cluster_wait_ready(&cluster, 0);
    register_at(0, "i1");
    static const char *const settings[] = {
        NULL, "cluster.token=" TOKEN_ADMIN, "cluster.token=" TOKEN_READ,
        "cluster.token=" TOKEN_EXPIRED, "cluster.token=" TOKEN_UNKNOWN};
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        cluster_start_node(&cluster, 1, settings[i]);
        wait_health(1, "unauthorized");
        check_http(http_get(cluster.http[1], "/ready"), 503);
        check_status(call(1, "GET", "/api/discovery/service?service_id=shop", NULL), 503,
                     "service-unavailable", "not-ready");
        char *log = server_process_stop_and_read_log(&cluster.nodes[1]);
        assert_non_null(strstr(log, "peer refuses the token of this node"));
        assert_null(strstr(log, "secret-0123456789"));
        free(log);
        http_free(cluster.http[1]);
        cluster.http[1] = NULL;
    }
    free((void *)cluster.config);
}

static void token_may_come_from_a_file(void **state)
{
    (void)state;
    char setting[200];
    plan(2, NULL);
    snprintf(setting, sizeof setting, "cluster.token_file=%s",
             temp_folder_write(&folder, "peer.token", TOKEN_PEER "\n"));
    for (int i = 0; i < 2; i++)
        cluster_start_node(&cluster, i, setting);
    for (int i = 0; i < 2; i++)
        cluster_wait_ready(&cluster, i);
    register_at(0, "i1");
    wait_count(1, 1);
    free((void *)cluster.config);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nodes_replicate_with_their_token),
        TEST(node_without_the_token_is_refused_and_not_ready),
        TEST(token_may_come_from_a_file),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
