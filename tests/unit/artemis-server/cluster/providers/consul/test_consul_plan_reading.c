/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists that cannot be read, or that contradict what the node knows: the nodes stay.
 */
#include "tests/unit/artemis-server/cluster/providers/consul/consul_plan_fixture.h"

static void failure_keeps_the_list_and_reads_it_again(void **state)
{
    (void)state;
    begin("n1 n2 own");
    expect_list("1 2");
    now_ms += CONSUL_READ_INTERVAL_MS;
    refuse(CONSUL_READ, 500, "No cluster leader");
    assert_string_equal(plan.problem, "problem: No cluster leader");
    assert_false(consul_plan_is_well(&plan));
    now_ms += RETRY_MS;
    check_request(CONSUL_READ, "GET", URL "health/service/art?passing", "");
    start_step(CONSUL_READ);
    respond_list("n2 own", "10");
    assert_true(consul_plan_is_well(&plan));
    succeed(CONSUL_UPDATE); /* at once: the agent may have lost the check */
    expect_list("same");
    consul_plan_expire(&plan, now_ms + TTL_MS);
    expect_list("2");
}

static void node_is_not_removed_while_the_reading_fails(void **state)
{
    (void)state;
    begin("n1 own");
    expect_list("1");
    read_list("own", "3"); /* its time begins */
    now_ms += CONSUL_READ_INTERVAL_MS;
    refuse(CONSUL_READ, 0, "");
    consul_plan_expire(&plan, now_ms + 10 * TTL_MS);
    expect_list("same");
    read_list("own", "3");
    consul_plan_expire(&plan, now_ms + TTL_MS - 1);
    expect_list("same");
    consul_plan_expire(&plan, now_ms + TTL_MS);
    expect_list("");
}

static void responses_that_are_not_valid_are_failures(void **state)
{
    (void)state;
    const struct {
        struct consul_list list;
        const char *problem;
    } rows[] = {
        {{SLICE("{}"), "11", NULL},
         "127.0.0.1:8500/v1/health/service/art: the response is not a valid list"},
        {{SLICE("[]"), NULL, NULL}, "the response has no valid X-Consul-Index"},
        {{SLICE("[]"), "-1", NULL}, "the response has no valid X-Consul-Index"},
        {{SLICE("[]"), "11", "true"}, "the ACL token lacks service:read or node:read"},
    };
    static const char body[] =
        "[{\"Node\":{},\"Service\":{\"ID\":\"n2\",\"Address\":\"h\",\"Port\":2}}]";
    begin("n1 own");
    expect_list("1");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned failures = plan.failures;
        now_ms = plan.reading.due_ms;
        start_step(CONSUL_READ);
        consul_plan_on_list(&plan, &rows[i].list, 0, now_ms);
        assert_int_equal(plan.failures, failures + 1);
        if (!strstr(plan.problem, rows[i].problem))
            fail_msg("the problem is: %s", plan.problem);
        assert_int_equal(plan.index, 0);
    }
    expect_list("same");
    now_ms = plan.reading.due_ms;
    start_step(CONSUL_READ);
    consul_plan_on_list(&plan, &(struct consul_list){SLICE(body), "11", "false"}, 0, now_ms);
    assert_true(consul_plan_is_well(&plan));
}

/* The check of this node passes, so that it should be in the list itself. Without a token Consul
 * does not say that the rules hide instances. */
static void empty_list_is_a_failure_while_this_node_is_registered(void **state)
{
    (void)state;
    begin("n1 own");
    expect_list("1");
    for (unsigned i = 1; i <= 3; i++) {
        now_ms = plan.reading.due_ms;
        start_step(CONSUL_READ);
        respond_list("", "11");
        assert_int_equal(plan.failures, i);
        assert_non_null(strstr(plan.problem, "the list is empty, although this node has "
                                             "registered; the ACL rules may lack service:read"));
        check_request(CONSUL_READ, "GET", URL "health/service/art?passing", "");
        succeed(CONSUL_UPDATE); /* at once: the agent may have lost the check */
    }
    consul_plan_expire(&plan, now_ms + 10 * TTL_MS);
    expect_list("same");
    read_list("own", "12");
    assert_true(consul_plan_is_well(&plan));
    expect_list("same");
    consul_plan_expire(&plan, now_ms + TTL_MS);
    expect_list("");
}

/* The token of a reload is wrong: it neither registers this node nor reads instances. */
static void empty_list_is_a_failure_after_settings_that_are_refused(void **state)
{
    (void)state;
    begin("n1 own");
    expect_list("1");
    consul_plan_set_settings(&plan, &config, now_ms);
    refuse(CONSUL_REGISTER, 403, "");
    start_step(CONSUL_READ);
    respond_list("", "11");
    assert_int_equal(plan.reading.failures, 1);
    assert_non_null(strstr(plan.problem, "the list is empty"));
    consul_plan_expire(&plan, now_ms + 2 * TTL_MS);
    expect_list("same");
}

static void empty_list_is_valid_where_nothing_contradicts_it(void **state)
{
    (void)state;
    begin(""); /* no other node is known */
    expect_list("");
    read_list("own50", "11"); /* only this node is, with another address */
    read_list("n1 own", "12");
    expect_list("1");
    read_list("n0", "13"); /* an instance without a valid address */
    assert_true(consul_plan_is_well(&plan));
    expect_list("");
    set_up(NULL);
    start_step(CONSUL_REGISTER); /* the registration is on its way */
    read_list("n1", "10");
    read_list("", "11");
    assert_int_equal(plan.failures, 0);
    expect_list("");
}

static void list_is_not_read_without_memory(void **state)
{
    (void)state;
    static const char body[] =
        "[{\"Node\":{},\"Service\":{\"ID\":\"n2\",\"Address\":\"h\",\"Port\":2}}]";
    bool has_failed = true;
    for (long n = 1; has_failed; n++) {
        set_up(NULL);
        begin("n1 own");
        expect_list("1");
        now_ms += CONSUL_READ_INTERVAL_MS;
        start_step(CONSUL_READ);
        long live = failing_malloc_live();
        failing_malloc_after(n);
        consul_plan_on_list(&plan, &(struct consul_list){SLICE(body), "11", NULL}, 0, now_ms);
        has_failed = failing_malloc_happened();
        failing_malloc_after(-1);
        assert_int_equal(failing_malloc_live(), live);
        assert_int_equal(consul_plan_is_well(&plan), !has_failed);
        expect_list(has_failed ? "same" : "2");
    }
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(failure_keeps_the_list_and_reads_it_again),
        TEST(node_is_not_removed_while_the_reading_fails),
        TEST(responses_that_are_not_valid_are_failures),
        TEST(empty_list_is_a_failure_while_this_node_is_registered),
        TEST(empty_list_is_a_failure_after_settings_that_are_refused),
        TEST(empty_list_is_valid_where_nothing_contradicts_it),
        TEST(list_is_not_read_without_memory),
    };
    json_set_alloc_funcs(malloc, free);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
