/* SPDX-License-Identifier: Apache-2.0
 *
 * What the provider consul asks for, in which order, and what it makes of the responses and
 * failures.
 */
#include "tests/unit/artemis-server/cluster/providers/consul/consul_plan_fixture.h"

/* --- requests --------------------------------------------------------------------------------- */

static void requests_have_the_fields_of_consul(void **state)
{
    (void)state;
    check_request(CONSUL_REGISTER, "PUT", URL "agent/service/register",
                  "{\"ID\":\"art-own\",\"Name\":\"art\",\"Address\":\"10.0.0.1\",\"Port\":9,"
                  "\"Meta\":{\"node_id\":\"own\",\"region\":\"r\",\"zone\":\"z\\\"\","
                  "\"scheme\":\"http\"},"
                  "\"Check\":{\"CheckID\":\"service:art-own\",\"Name\":\"updated by the node\","
                  "\"TTL\":\"9s\",\"Status\":\"passing\","
                  "\"DeregisterCriticalServiceAfter\":\"10m\"}}");
    check_request(CONSUL_UPDATE, "PUT", URL "agent/check/update/service:art-own",
                  "{\"Status\":\"passing\"}");
    check_request(CONSUL_DEREGISTER, "PUT", URL "agent/service/deregister/art-own", "");
    check_request(CONSUL_READ, "GET", URL "health/service/art?passing", "");
    begin("");
    check_request(CONSUL_READ, "GET", URL "health/service/art?passing&index=10&wait=10s", "");
    snprintf(config.cluster.consul.address, CONFIG_TEXT_BYTES, "https://c:1");
    check_request(CONSUL_READ, "GET", "https://c:1/v1/health/service/art?passing&index=10&wait=10s",
                  "");
}

static void id_of_a_node_is_safe_in_a_path(void **state)
{
    (void)state;
    char expected[CONSUL_ID_BYTES] = "art-";
    snprintf(config.server.node_id, CONFIG_TEXT_BYTES, "a/../b ~\xc3\xa9?%%");
    consul_plan_init(&plan, &config, "http://10.0.0.1:9");
    assert_string_equal(plan.id, "art-a~2F..~2Fb~20~7E~C3~A9~3F~25");
    memset(config.server.node_id, '/', CONFIG_TEXT_BYTES - 1);
    for (int i = 0; i < CONFIG_TEXT_BYTES - 1; i++)
        strcat(expected, "~2F");
    consul_plan_init(&plan, &config, "http://10.0.0.1:9");
    assert_string_equal(plan.id, expected);
}

static void ipv6_address_has_no_brackets_in_consul(void **state)
{
    (void)state;
    struct text url = {0};
    struct text body = {0};
    consul_plan_init(&plan, &config, "https://[fd00::1]:8443");
    assert_true(consul_plan_write(&plan, CONSUL_REGISTER, &url, &body));
    assert_non_null(strstr(text_string(&body), "\"Address\":\"fd00::1\",\"Port\":8443,"));
    assert_non_null(strstr(text_string(&body), "\"scheme\":\"https\""));
    text_free(&url);
    text_free(&body);
}

static void timeouts_follow_the_time_to_live_and_the_wait(void **state)
{
    (void)state;
    assert_int_equal(consul_plan_timeout_ms(&plan, CONSUL_UPDATE), TTL_MS / 3);
    assert_int_equal(consul_plan_timeout_ms(&plan, CONSUL_READ), 10000);
    begin("");
    /* Consul may wait a sixteenth longer. */
    assert_int_equal(consul_plan_timeout_ms(&plan, CONSUL_READ), 10000 + 10000 + 10000 / 16);
    config.cluster.consul.ttl_secs = 3600;
    consul_plan_init(&plan, &config, "http://10.0.0.1:9");
    assert_int_equal(consul_plan_timeout_ms(&plan, CONSUL_REGISTER), 3000);
}

static void no_memory_writes_no_request(void **state)
{
    (void)state;
    bool has_failed = true;
    for (long n = 1; has_failed; n++) {
        struct text url = {0};
        struct text body = {0};
        long live = failing_malloc_live();
        failing_malloc_after(n);
        bool is_written = consul_plan_write(&plan, CONSUL_REGISTER, &url, &body);
        has_failed = failing_malloc_happened();
        failing_malloc_after(-1);
        text_free(&url);
        text_free(&body);
        assert_int_equal(failing_malloc_live(), live);
        assert_int_equal(is_written, !has_failed);
    }
}

/* --- the registration ------------------------------------------------------------------------- */

static void node_registers_and_updates_its_check(void **state)
{
    (void)state;
    assert_false(plan.may_be_registered);
    start_step(CONSUL_REGISTER);
    assert_true(plan.may_be_registered); /* the response may be lost */
    expect_step(CONSUL_READ);
    consul_plan_on_success(&plan, CONSUL_REGISTER, now_ms);
    succeed(CONSUL_UPDATE); /* the check of an earlier registration may be critical */
    read_list("own", "10");
    assert_int_equal(plan.registration.due_ms, START_MS + TTL_MS / 3);
    expect_list("");
}

static void check_is_updated_while_a_query_blocks(void **state)
{
    (void)state;
    begin("n1 own");
    now_ms += CONSUL_READ_INTERVAL_MS;
    start_step(CONSUL_READ);
    assert_int_equal(consul_plan_due_ms(&plan), START_MS + TTL_MS / 3);
    for (int i = 0; i < 3; i++) {
        now_ms = consul_plan_due_ms(&plan) - 1;
        expect_step(CONSUL_NO_STEP);
        now_ms += 1;
        succeed(CONSUL_UPDATE);
    }
    assert_int_equal(now_ms, START_MS + TTL_MS);
}

static void check_that_the_agent_has_lost_is_registered_again(void **state)
{
    (void)state;
    static const struct {
        long status;
        const char *body;
    } rows[] = {
        {404, "Unknown check ID \"service:art-own\""},
        {500, "CheckID \"service:art-own\" does not have associated TTL"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        set_up(NULL);
        begin("n1 own");
        now_ms += TTL_MS / 3;
        plan.reading.is_calling = true;
        refuse(CONSUL_UPDATE, rows[i].status, rows[i].body);
        assert_int_equal(plan.failures, 0);
        succeed(CONSUL_REGISTER); /* at once */
        succeed(CONSUL_UPDATE);
        assert_true(consul_plan_is_well(&plan));
    }
}

/* Otherwise such an agent would be asked again and again without a pause. */
static void check_that_is_lost_at_once_is_a_failure(void **state)
{
    (void)state;
    plan.reading.is_calling = true;
    uint64_t last_ms = 0;
    for (int i = 0; i < 8; i++) {
        succeed(CONSUL_REGISTER);
        refuse(CONSUL_UPDATE, 404, "Unknown check");
        assert_string_equal(plan.problem, "problem: Unknown check");
        expect_step(CONSUL_NO_STEP);
        uint64_t wait_ms = plan.registration.due_ms - now_ms;
        assert_true(wait_ms >= last_ms && wait_ms >= RETRY_MS && wait_ms <= 2000);
        last_ms = wait_ms;
        now_ms += wait_ms;
    }
    assert_int_equal(last_ms, 2000);
}

static void refused_registration_is_repeated_and_the_list_is_read(void **state)
{
    (void)state;
    refuse(CONSUL_REGISTER, 403, "Permission denied\n");
    assert_string_equal(plan.problem, "problem: Permission denied");
    assert_false(consul_plan_is_well(&plan));
    read_list("n1", "10");
    expect_list("1");
    assert_false(consul_plan_is_well(&plan)); /* the registration still fails */
    now_ms += RETRY_MS;
    succeed(CONSUL_REGISTER);
    assert_false(consul_plan_is_well(&plan));
    succeed(CONSUL_UPDATE);
    assert_true(consul_plan_is_well(&plan));
}

static void random_part_shortens_the_time_of_the_next_try(void **state)
{
    (void)state;
    start_step(CONSUL_REGISTER);
    consul_plan_on_failure(&plan, CONSUL_REGISTER, 0, SLICE(""), "problem", UINT64_MAX / 3, now_ms);
    assert_true(plan.registration.due_ms < now_ms + RETRY_MS);
    assert_true(plan.registration.due_ms >= now_ms + RETRY_MS / 2);
}

static void changed_settings_register_again_and_keep_the_nodes(void **state)
{
    (void)state;
    struct config settings = config;
    begin("own n1 n2");
    expect_list("1 2");
    now_ms += TTL_MS / 3;
    start_step(CONSUL_UPDATE);
    start_step(CONSUL_READ); /* both are cancelled */
    snprintf(settings.cluster.consul.address, CONFIG_TEXT_BYTES, "https://10.0.0.2:8501");
    settings.cluster.consul.ttl_secs = 2 * TTL_MS / 1000;
    consul_plan_set_settings(&plan, &settings, now_ms);
    check_request(CONSUL_READ, "GET", "https://10.0.0.2:8501/v1/health/service/art?passing", "");
    succeed(CONSUL_REGISTER);
    succeed(CONSUL_UPDATE);
    assert_int_equal(plan.registration.due_ms, now_ms + 2 * TTL_MS / 3);
    read_list("own n2 n3", "3");
    expect_list("1 2 3"); /* the first node may still register there */
    now_ms += 2 * TTL_MS;
    consul_plan_expire(&plan, now_ms);
    expect_list("2 3");
}

/* Nothing has succeeded yet with the new ones. */
static void changed_settings_end_no_failure(void **state)
{
    (void)state;
    refuse(CONSUL_REGISTER, 403, "");
    consul_plan_set_settings(&plan, &config, now_ms);
    assert_false(consul_plan_is_well(&plan));
    succeed(CONSUL_REGISTER);
    succeed(CONSUL_UPDATE);
    assert_true(consul_plan_is_well(&plan));
}

static void unknown_instance_at_the_end_is_no_failure(void **state)
{
    (void)state;
    consul_plan_on_failure(&plan, CONSUL_DEREGISTER, 404, SLICE("Unknown service"), "problem", 0,
                           now_ms);
    assert_string_equal(plan.problem, "");
    consul_plan_on_failure(&plan, CONSUL_DEREGISTER, 500, SLICE("x"), "problem", 0, now_ms);
    assert_string_equal(plan.problem, "problem: x");
}

/* --- the list --------------------------------------------------------------------------------- */

static void list_is_that_of_the_last_response(void **state)
{
    (void)state;
    expect_list("same");
    begin("n1 n2 own");
    expect_list("1 2");
    read_list("n1 n2 own", "10"); /* the wait was over */
    expect_list("same");
    read_list("own n2 n3", "11");
    expect_list("2 3");
    read_list("own", "12");
    expect_list("");
}

static void queries_are_at_least_an_interval_apart(void **state)
{
    (void)state;
    begin("own");
    for (int i = 0; i < 5; i++) {
        uint64_t last_ms = plan.read_ms;
        now_ms = last_ms + CONSUL_READ_INTERVAL_MS - 1;
        assert_int_not_equal(consul_plan_next(&plan, now_ms), CONSUL_READ);
        read_list("own", i % 2 ? "20" : "21");
        assert_true(plan.read_ms - last_ms == CONSUL_READ_INTERVAL_MS);
    }
    now_ms += CONSUL_READ_INTERVAL_MS;
    start_step(CONSUL_READ);
    now_ms += 10 * CONSUL_READ_INTERVAL_MS; /* it blocks */
    respond_list("own", "22");
    assert_int_not_equal(plan.reading.due_ms > now_ms, true);
}

static void index_that_goes_back_begins_again_and_keeps_nodes_for_a_time(void **state)
{
    (void)state;
    begin("n1 n2 own");
    expect_list("1 2");
    read_list("n2 own", "3");
    expect_list("same");
    check_request(CONSUL_READ, "GET", URL "health/service/art?passing", "");
    uint64_t keep_until_ms = now_ms + TTL_MS;
    read_list("n2 own", "4");
    check_request(CONSUL_READ, "GET", URL "health/service/art?passing&index=4&wait=10s", "");
    read_list("n2 n3 own", "5"); /* the first node keeps its time */
    expect_list("1 2 3");
    now_ms = keep_until_ms - 1;
    consul_plan_expire(&plan, now_ms);
    expect_list("same");
    plan.registration.is_calling = plan.reading.is_calling = true;
    assert_int_equal(consul_plan_due_ms(&plan), keep_until_ms);
    consul_plan_expire(&plan, keep_until_ms);
    expect_list("2 3");
}

static void node_that_returns_in_its_time_stays(void **state)
{
    (void)state;
    begin("n1 own");
    expect_list("1");
    read_list("own", "3");
    read_list("n1 own", "4");
    consul_plan_expire(&plan, now_ms + 2 * TTL_MS);
    expect_list("same");
}

static void instances_that_are_no_member_are_a_warning(void **state)
{
    (void)state;
    begin("n1 n0 own");
    expect_list("1");
    expect_warning("n0: its registration has no valid address");
    config.cluster.tls.cert[0] = 'c'; /* an address without TLS is none any more */
    read_list("n1 own", "11");
    expect_list("");
    expect_warning("n1: its registration");
}

static void node_with_the_same_id_is_a_warning(void **state)
{
    (void)state;
    begin("n1 own own50");
    expect_warning("another node is registered with the id of this one");
    read_list("n1 own", "11");
    expect_warning("");
    read_list("n1 own50", "12"); /* at the same agent, where it has replaced this one */
    now_ms += TTL_MS;
    consul_plan_expire(&plan, now_ms);
    expect_warning("another node is registered with the id of this one");
}

static void node_that_is_not_in_the_list_for_its_time_is_a_warning(void **state)
{
    (void)state;
    begin("n1");
    uint64_t until_ms = now_ms + TTL_MS;
    now_ms += CONSUL_READ_INTERVAL_MS;
    start_step(CONSUL_READ);
    plan.registration.is_calling = true;
    assert_int_equal(consul_plan_due_ms(&plan), until_ms);
    consul_plan_expire(&plan, until_ms - 1);
    expect_warning("");
    consul_plan_expire(&plan, until_ms);
    expect_warning("not in the list of passing instances");
    assert_true(consul_plan_due_ms(&plan) == UINT64_MAX);
    respond_list("n1 own", "11");
    expect_warning("");
}

static void nodes_beyond_the_limit_are_left_out_until_there_is_a_place(void **state)
{
    (void)state;
    struct text words = {0};
    for (int i = 1; i <= MEMBERS_MAX + 2; i++)
        text_printf(&words, "n%d ", i);
    begin(text_string(&words));
    assert_int_equal(plan.count, MEMBERS_MAX);
    expect_warning("2 are left out");
    read_list(strchr(text_string(&words), ' '), "11"); /* without the first */
    assert_int_equal(plan.count, MEMBERS_MAX - 1);
    check_request(CONSUL_READ, "GET", URL "health/service/art?passing", "");
    read_list(strchr(text_string(&words), ' '), "11");
    assert_int_equal(plan.count, MEMBERS_MAX);
    expect_warning("1 are left out");
    text_free(&words);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(requests_have_the_fields_of_consul),
        TEST(id_of_a_node_is_safe_in_a_path),
        TEST(ipv6_address_has_no_brackets_in_consul),
        TEST(timeouts_follow_the_time_to_live_and_the_wait),
        TEST(no_memory_writes_no_request),
        TEST(node_registers_and_updates_its_check),
        TEST(check_is_updated_while_a_query_blocks),
        TEST(check_that_the_agent_has_lost_is_registered_again),
        TEST(check_that_is_lost_at_once_is_a_failure),
        TEST(refused_registration_is_repeated_and_the_list_is_read),
        TEST(random_part_shortens_the_time_of_the_next_try),
        TEST(changed_settings_register_again_and_keep_the_nodes),
        TEST(changed_settings_end_no_failure),
        TEST(unknown_instance_at_the_end_is_no_failure),
        TEST(list_is_that_of_the_last_response),
        TEST(queries_are_at_least_an_interval_apart),
        TEST(index_that_goes_back_begins_again_and_keeps_nodes_for_a_time),
        TEST(node_that_returns_in_its_time_stays),
        TEST(instances_that_are_no_member_are_a_warning),
        TEST(node_with_the_same_id_is_a_warning),
        TEST(node_that_is_not_in_the_list_for_its_time_is_a_warning),
        TEST(nodes_beyond_the_limit_are_left_out_until_there_is_a_place),
    };
    json_set_alloc_funcs(malloc, free);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
