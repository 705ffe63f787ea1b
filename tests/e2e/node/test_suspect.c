/* SPDX-License-Identifier: Apache-2.0
 *
 * What operators see of a peer that does not respond, and of one that responds again.
 */
#include "tests/support/servers/cluster.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <string.h>

static struct cluster cluster;
static json_int_t lag_before_ms;

static int tear_down(void **state)
{
    (void)state;
    cluster_stop(&cluster);
    return 0;
}

static json_t *status(const char *member)
{
    return cluster_peer_status(&cluster, 0, cluster.ports[1], member);
}

static bool lags_more(void *context)
{
    (void)context;
    return json_integer_value(status("lag_ms")) > lag_before_ms;
}

static bool has_error(void *context)
{
    (void)context;
    return json_string_length(status("last_error")) > 0;
}

static bool is_well(void *context)
{
    (void)context;
    return strcmp(json_string_value(status("health")), "up") == 0 && !has_error(NULL) &&
           json_integer_value(status("lag_ms")) < lag_before_ms;
}

static void frozen_peer_is_suspect_and_lags_and_is_well_again_without_an_old_error(void **state)
{
    (void)state;
    static const char *const settings[] = {"cluster.health_interval_secs=1",
                                           "replication.timeout_secs=3", NULL};
    cluster_start(&cluster, 2, settings);
    server_process_suspend(&cluster.nodes[1]);
    call_register(cluster.http[0], "shop", "i0");
    cluster_wait_health(&cluster, 0, cluster.ports[1], "suspect");
    assert_non_null(strstr(http_get(cluster.http[0], "/metrics")->body,
                           "artemis_peer_suspect{peer=\"node2\"} 1\n"));
    for (int i = 0; i < 2; i++) { /* it grows: the change is on the way, or sent again */
        assert_true(wait_until(lags_more, NULL, wait_deadline_ms()));
        lag_before_ms = json_integer_value(status("lag_ms")) + 1000;
    }
    assert_true(wait_until(has_error, NULL, wait_deadline_ms()));
    server_process_continue(&cluster.nodes[1]);
    if (!wait_until(is_well, NULL, wait_deadline_ms()))
        fail_msg("the status is: %s", http_get(cluster.http[0], "/api/status/cluster")->body);
    cluster_wait_count(&cluster, "shop", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(
            frozen_peer_is_suspect_and_lags_and_is_well_again_without_an_old_error, tear_down),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
