/* SPDX-License-Identifier: Apache-2.0
 *
 * When a client asks for the nodes of the cluster, and which server.
 */
#include "libartemis/base/node_refresh.h"

#include "tests/support/cmocka_all.h"

static void assert_asked(struct node_refresh *refresh, uint64_t now_ms, size_t expected)
{
    size_t server = 99;
    uint64_t at_ms = 0;
    assert_true(node_refresh_begin(refresh, now_ms, &server, &at_ms));
    assert_int_equal(server, expected);
}

static void assert_due(struct node_refresh *refresh, uint64_t now_ms, uint64_t expected_ms)
{
    size_t server = 99;
    uint64_t at_ms = 0;
    assert_false(node_refresh_begin(refresh, now_ms, &server, &at_ms));
    assert_int_equal(at_ms, expected_ms);
}

static void nothing_is_asked_before_a_server_has_responded(void **state)
{
    (void)state;
    struct node_refresh refresh = {.interval_ms = 5000};
    assert_due(&refresh, 1000, UINT64_MAX);
    node_refresh_on_response(&refresh, 3);
    assert_asked(&refresh, 1000, 3);
    assert_due(&refresh, 99000, UINT64_MAX); /* the request is on its way */
}

static void same_server_is_asked_once_in_an_interval(void **state)
{
    (void)state;
    struct node_refresh refresh = {.interval_ms = 5000};
    node_refresh_on_response(&refresh, 0);
    assert_asked(&refresh, 1000, 0);
    node_refresh_end(&refresh, true, 1100);
    node_refresh_on_response(&refresh, 0);
    assert_due(&refresh, 6099, 6100);
    assert_asked(&refresh, 6100, 0);
}

static void other_server_is_asked_at_once(void **state)
{
    (void)state;
    struct node_refresh refresh = {.interval_ms = 5000};
    node_refresh_on_response(&refresh, 0);
    assert_asked(&refresh, 1000, 0);
    node_refresh_on_response(&refresh, 1); /* meanwhile */
    node_refresh_end(&refresh, true, 1100);
    assert_asked(&refresh, 1100, 1);
    node_refresh_end(&refresh, true, 1200);
    node_refresh_on_response(&refresh, 2);
    assert_asked(&refresh, 1200, 2);
}

static void request_without_a_response_is_repeated_after_a_second(void **state)
{
    (void)state;
    struct node_refresh refresh = {.interval_ms = 5000};
    node_refresh_on_response(&refresh, 0);
    assert_asked(&refresh, 1000, 0);
    node_refresh_end(&refresh, false, 1100);
    assert_due(&refresh, 1100, 2100);
    refresh.interval_ms = 300;
    assert_asked(&refresh, 2100, 0);
    node_refresh_end(&refresh, false, 2100);
    assert_due(&refresh, 2100, 2400);
}

static void server_of_a_publication_is_asked_if_no_other_responds(void **state)
{
    (void)state;
    struct node_refresh refresh = {.interval_ms = 5000};
    node_refresh_on_publication(&refresh, 2);
    assert_asked(&refresh, 1000, 2);
    node_refresh_end(&refresh, true, 1100);
    node_refresh_on_publication(&refresh, 3); /* the other one responds */
    assert_asked(&refresh, 6100, 2);
    node_refresh_end(&refresh, false, 6200);
    node_refresh_on_publication(&refresh, 3);
    assert_asked(&refresh, 6200, 3);
    node_refresh_end(&refresh, false, 6300);
    node_refresh_on_response(&refresh, 3); /* to a heartbeat */
    node_refresh_on_publication(&refresh, 4);
    assert_asked(&refresh, 7300, 3);
}

static void no_server_is_asked_when_nodes_are_not_wanted(void **state)
{
    (void)state;
    struct node_refresh refresh = {.interval_ms = NODES_NEVER};
    node_refresh_on_response(&refresh, 0);
    node_refresh_on_publication(&refresh, 1);
    assert_due(&refresh, 1000, UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_asked_before_a_server_has_responded),
        cmocka_unit_test(same_server_is_asked_once_in_an_interval),
        cmocka_unit_test(other_server_is_asked_at_once),
        cmocka_unit_test(request_without_a_response_is_repeated_after_a_second),
        cmocka_unit_test(server_of_a_publication_is_asked_if_no_other_responds),
        cmocka_unit_test(no_server_is_asked_when_nodes_are_not_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
