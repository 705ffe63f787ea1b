/* SPDX-License-Identifier: Apache-2.0
 *
 * What the provider consul asks for, in which order, and what it makes of the responses and
 * failures.
 */
#include "artemis-server/cluster/providers/consul/consul_plan.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

enum { START_MS = 1000000, TTL_MS = 9000, RETRY_MS = 100 };

static struct config config;
static struct consul_plan plan;
static uint64_t now_ms;

static int set_up(void **state)
{
    (void)state;
    memset(&config, 0, sizeof config);
    config.cluster.consul.ttl_secs = TTL_MS / 1000;
    snprintf(config.cluster.consul.address, CONFIG_TEXT_BYTES, "127.0.0.1:8500");
    snprintf(config.cluster.consul.service, CONFIG_TEXT_BYTES, "art");
    snprintf(config.server.node_id, CONFIG_TEXT_BYTES, "own");
    snprintf(config.server.region, CONFIG_TEXT_BYTES, "r");
    snprintf(config.server.zone, CONFIG_TEXT_BYTES, "z\"");
    now_ms = START_MS;
    consul_plan_init(&plan, &config, "http://10.0.0.1:9");
    return 0;
}

/* --- Consul ----------------------------------------------------------------------------------- */

static void expect_step(enum consul_step expected)
{
    enum consul_step step = consul_plan_next(&plan, now_ms);
    if (step != expected)
        fail_msg("the step is %d, not %d", step, expected);
}

static void start_step(enum consul_step step)
{
    expect_step(step);
    consul_plan_on_start(&plan, step, now_ms);
}

static void succeed(enum consul_step step)
{
    start_step(step);
    consul_plan_on_success(&plan, step, now_ms);
}

static void refuse(enum consul_step step, long status, const char *body)
{
    start_step(step);
    consul_plan_on_failure(&plan, step, status, slice_of(body), "problem", 0, now_ms);
}

/* Adds the instance of a node: "n1" has the port 1; "n0" has no valid one; "own" is this node;
 * "own50" has its id, and the port 50. */
static void add_instance(struct text *out, const char *word)
{
    bool has_own_id = strncmp(word, "own", 3) == 0;
    const char *port = has_own_id && word[3] ? word + 3 : "9";
    text_printf(out,
                "{\"Node\":{},\"Service\":{\"ID\":\"%s\",\"Address\":\"10.0.0.1\",\"Port\":%s}}",
                has_own_id ? "art-own" : word, has_own_id ? port : word + 1);
}

/* The response to the query that is in flight. */
static void respond_list(const char *words, const char *index)
{
    char copy[1024];
    char *next;
    struct text body = {0};
    snprintf(copy, sizeof copy, "%s", words);
    text_append_char(&body, '[');
    for (char *word = strtok_r(copy, " ", &next); word; word = strtok_r(NULL, " ", &next)) {
        if (body.size > 1)
            text_append_char(&body, ',');
        add_instance(&body, word);
    }
    text_append_char(&body, ']');
    consul_plan_on_list(&plan, &(struct consul_list){{body.data, body.size}, index, NULL}, 0,
                        now_ms);
    text_free(&body);
}

/* Waits until the next query is due, and answers it. */
static void read_list(const char *words, const char *index)
{
    if (plan.reading.due_ms > now_ms)
        now_ms = plan.reading.due_ms;
    if (consul_plan_next(&plan, now_ms) == CONSUL_UPDATE)
        succeed(CONSUL_UPDATE);
    start_step(CONSUL_READ);
    respond_list(words, index);
}

/* Registers this node and reads these instances, with the index 10. */
static void begin(const char *words)
{
    succeed(CONSUL_REGISTER);
    succeed(CONSUL_UPDATE);
    read_list(words, "10");
    expect_step(CONSUL_NO_STEP);
    assert_true(consul_plan_is_well(&plan));
}

/* Takes the list: its ports, such as "1 2"; "same": it has not changed. */
static void expect_list(const char *expected)
{
    struct member_list members;
    const char *reason;
    char ports[256] = "";
    if (!consul_plan_take_list(&plan, &members, &reason)) {
        assert_string_equal("same", expected);
        return;
    }
    for (size_t i = 0; i < members.count; i++)
        snprintf(ports + strlen(ports), sizeof ports - strlen(ports), "%s%s", i > 0 ? " " : "",
                 strrchr(members.items[i].url, ':') + 1);
    assert_string_equal(ports, expected);
    assert_true(reason[0] != '\0');
}

static void expect_warning(const char *part)
{
    char warning[CONSUL_WARNING_BYTES];
    assert_true(consul_plan_warning(&plan, warning) == (part[0] != '\0'));
    if (!strstr(warning, part))
        fail_msg("the warning is: %s", warning);
}

static void check_request(enum consul_step step, const char *method, const char *url,
                          const char *body)
{
    struct text written_url = {0};
    struct text written = {0};
    assert_true(consul_plan_write(&plan, step, &written_url, &written));
    assert_string_equal(consul_plan_method(step), method);
    assert_string_equal(text_string(&written_url), url);
    assert_string_equal(text_string(&written), body);
    text_free(&written_url);
    text_free(&written);
}

/* --- requests --------------------------------------------------------------------------------- */

#define URL "http://127.0.0.1:8500/v1/"

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

static void index_that_goes_back_begins_anew_and_keeps_nodes_for_a_time(void **state)
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

/* --- failures of the reading ------------------------------------------------------------------ */

static void failure_keeps_the_list_and_reads_it_anew(void **state)
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
    consul_plan_on_list(&plan, &(struct consul_list){SLICE("[]"), "11", "false"}, 0, now_ms);
    assert_true(consul_plan_is_well(&plan));
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
        TEST(unknown_instance_at_the_end_is_no_failure),
        TEST(list_is_that_of_the_last_response),
        TEST(queries_are_at_least_an_interval_apart),
        TEST(index_that_goes_back_begins_anew_and_keeps_nodes_for_a_time),
        TEST(node_that_returns_in_its_time_stays),
        TEST(instances_that_are_no_member_are_a_warning),
        TEST(node_with_the_same_id_is_a_warning),
        TEST(node_that_is_not_in_the_list_for_its_time_is_a_warning),
        TEST(nodes_beyond_the_limit_are_left_out_until_there_is_a_place),
        TEST(failure_keeps_the_list_and_reads_it_anew),
        TEST(node_is_not_removed_while_the_reading_fails),
        TEST(responses_that_are_not_valid_are_failures),
        TEST(list_is_not_read_without_memory),
    };
    json_set_alloc_funcs(malloc, free);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
