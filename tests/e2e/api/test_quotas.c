/* SPDX-License-Identifier: Apache-2.0
 *
 * Quotas: instances of a service, and services of a token. An item over a quota fails with the
 * field, its value and the setting; the others of its batch are processed. Heartbeats and
 * replication are never refused.
 */
#include "tests/support/client/calls.h"
#include "tests/support/client/prometheus.h"
#include "tests/support/servers/cluster.h"
#include "tests/support/servers/tokens.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double over_quota(struct http *http, const char *labels)
{
    return prometheus_sum(http_get(http, "/metrics")->body, "artemis_over_quota_total", labels);
}

/* --- instances of a service ------------------------------------------------------------------- */

#define QUOTA "registry.max_instances_per_service=3"

static int start(void **state)
{
    return fixture_start(state, (const char *const[]){"--set", QUOTA, NULL});
}

static void instances_over_the_quota_fail_and_others_are_registered(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    char *body = call_list_body("instances", INSTANCE, "s", 0, 5);
    struct http_response *response = call_post_bytes(http, REGISTER, body, strlen(body));
    free(body);
    check_status(response, 200, "bad-request", "over-quota");
    check_count(response, "failed_instances", 2);
    check_json(response, "failed_instances[0].instance_id", "'i3'");
    check_json(response, "failed_instances[0].reason", "'over-quota'");
    check_contains(response, "failed_instances[0].error_message", "instances[3].service_id: ");
    check_contains(response, "failed_instances[0].error_message",
                   "registry.max_instances_per_service = 3");
    assert_int_equal(call_count(http, "s"), 3);
    call_register(http, "other", "i1");
    assert_true(over_quota(http, "quota=\"registry.max_instances_per_service\"") == 2);
    assert_true(over_quota(http, "") == 2);
}

static void heartbeats_and_changes_are_not_refused(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register_many(http, "s", 3);
    check_status(call_with_keys(http, HEARTBEAT, "s", 0, 3), 200, "success", NULL);
    call_register_many(http, "s", 3);
    check_status(call_with_keys(http, UNREGISTER, "s", 0, 1), 200, "success", NULL);
    call_register(http, "s", "new");
    assert_int_equal(call_count(http, "s"), 3);
}

static void replication_is_not_refused(void **state)
{
    (void)state;
    struct cluster cluster;
    cluster_plan(&cluster, 2, (const char *const[]){"cluster.bootstrap_grace_secs=0", NULL});
    cluster_start_node(&cluster, 0, NULL);
    cluster_start_node(&cluster, 1, QUOTA);
    cluster_wait_ready(&cluster, 0);
    cluster_wait_ready(&cluster, 1);
    call_register_many(cluster.http[0], "s", 5);
    cluster_wait_count(&cluster, "s", 5);
    struct http_response *response =
        http_post(cluster.http[1], REGISTER, "{'instances':[" INSTANCE "]}", "s", "new");
    check_status(response, 200, "bad-request", "over-quota");
    check_status(call_with_keys(cluster.http[1], HEARTBEAT, "s", 0, 5), 200, "success", NULL);
    cluster_stop(&cluster);
}

/* --- services of a token ---------------------------------------------------------------------- */

#define FEW_SECRET "few-secret-0123456789"

static struct http_response *post_as(struct http *http, const char *secret, const char *path,
                                     const char *body)
{
    char field[128];
    snprintf(field, sizeof field, "Authorization: Bearer %s", secret);
    const char *fields[] = {field, NULL};
    return http_send(http, &(struct http_request){.method = "POST",
                                                  .path = path,
                                                  .fields = fields,
                                                  .body = body,
                                                  .body_size = strlen(body)});
}

static struct http_response *register_as(struct http *http, const char *secret,
                                         const char *service_id, const char *instance_id)
{
    char body[512];
    snprintf(body, sizeof body,
             "{\"instances\":[{\"region_id\":\"lab\",\"zone_id\":\"zone1\",\"service_id\":\"%s\","
             "\"instance_id\":\"%s\",\"ip\":\"10.0.0.1\",\"port\":8080}]}",
             service_id, instance_id);
    return post_as(http, secret, REGISTER, body);
}

static void services_of_a_token_are_limited(void **state)
{
    (void)state;
    char few[512];
    struct temp_folder folder;
    struct server_process server;
    temp_folder_make(&folder);
    tokens_describe(few, sizeof few, "few", "write", FEW_SECRET, 4102444800);
    strcat(few, "max_services = 2\n");
    server_process_start(&server,
                         (const char *const[]){"--config", tokens_write(&folder, few), NULL}, NULL);
    struct http *http = http_new(server.port);
    check_status(register_as(http, FEW_SECRET, "a", "i1"), 200, "success", NULL);
    check_status(register_as(http, FEW_SECRET, "A", "i2"), 200, "success", NULL);
    check_status(register_as(http, TOKEN_WRITE, "c", "i1"), 200, "success", NULL);
    check_status(register_as(http, FEW_SECRET, "b", "i1"), 200, "success", NULL);
    struct http_response *response = register_as(http, FEW_SECRET, "c", "i2");
    check_status(response, 200, "bad-request", "over-quota");
    check_contains(response, "failed_instances[0].error_message", "auth.tokens.max_services = 2");
    /* A registered instance is renewed, also one of another client. */
    check_status(register_as(http, FEW_SECRET, "c", "i1"), 200, "success", NULL);
    check_status(register_as(http, TOKEN_WRITE, "d", "i1"), 200, "success", NULL);
    http_free(http);
    server_process_stop(&server);
    temp_folder_remove(&folder);
}

/* A registration that fails counts no service for its token. */
static void service_of_a_failed_registration_does_not_count(void **state)
{
    (void)state;
    char few[512];
    struct temp_folder folder;
    struct server_process server;
    temp_folder_make(&folder);
    tokens_describe(few, sizeof few, "few", "write", FEW_SECRET, 4102444800);
    strcat(few, "max_services = 1\n");
    server_process_start(&server,
                         (const char *const[]){"--config", tokens_write(&folder, few), "--set",
                                               "registry.max_instances_per_service=1", NULL},
                         NULL);
    struct http *http = http_new(server.port);
    check_status(register_as(http, TOKEN_WRITE, "full", "i1"), 200, "success", NULL);
    struct http_response *response = register_as(http, FEW_SECRET, "full", "i2");
    check_contains(response, "failed_instances[0].error_message", "max_instances_per_service = 1");
    check_status(register_as(http, FEW_SECRET, "a", "i1"), 200, "success", NULL);
    http_free(http);
    server_process_stop(&server);
    temp_folder_remove(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(instances_over_the_quota_fail_and_others_are_registered,
                                        start, fixture_stop),
        cmocka_unit_test_setup_teardown(heartbeats_and_changes_are_not_refused, start,
                                        fixture_stop),
        cmocka_unit_test(replication_is_not_refused),
        cmocka_unit_test(services_of_a_token_are_limited),
        cmocka_unit_test(service_of_a_failed_registration_does_not_count),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
