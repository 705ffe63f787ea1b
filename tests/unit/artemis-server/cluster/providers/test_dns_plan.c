/* SPDX-License-Identifier: Apache-2.0
 *
 * When names are resolved: after their TTL, within the interval; later after each failure, which
 * keeps the last response.
 */
#include "artemis-server/cluster/providers/dns_plan.h"

#include <stdlib.h>

#include "tests/unit/artemis-server/cluster/cluster_fixture.h"

enum { START_MS = 1000000, MIN_MS = 1000, MAX_MS = 60000 };

static struct dns_plan plan, other;

static void set_names(struct dns_plan *to, char **names, size_t count, uint64_t now_ms)
{
    struct config_list list = {count, names};
    *to = (struct dns_plan){.interval_min_ms = MIN_MS, .interval_max_ms = MAX_MS};
    dns_plan_set_names(to, &list, now_ms);
}

static int set_up(void **state)
{
    static char *names[] = {"artemis.example.org:8080", "_artemis._tcp.example.org"};
    (void)state;
    set_names(&plan, names, 2, START_MS);
    return 0;
}

static void response(size_t name, const char *members, uint32_t ttl_secs, uint64_t now_ms)
{
    struct member_list list = members_of(members);
    dns_plan_on_response(&plan, name, &list, ttl_secs, 0, now_ms);
}

static void expect_members(const char *words)
{
    struct member_list expected = members_of(words);
    struct member_list members;
    assert_true(dns_plan_members(&plan, &members));
    assert_int_equal(members.count, expected.count);
    for (size_t i = 0; i < members.count; i++)
        assert_string_equal(members.items[i].url, expected.items[i].url);
}

/* "": none. */
static void expect_problem(const char *expected)
{
    char problem[DNS_PROBLEM_BYTES] = "";
    assert_true(dns_plan_problem(&plan, problem) == (expected[0] != '\0'));
    assert_string_equal(problem, expected);
}

static void names_are_read_and_due_at_once(void **state)
{
    (void)state;
    struct member_list members;
    assert_int_equal(plan.count, 2);
    assert_string_equal(plan.names[0].host, "artemis.example.org");
    assert_int_equal(plan.names[0].port, 8080);
    assert_string_equal(plan.names[1].host, "_artemis._tcp.example.org");
    assert_int_equal(plan.names[1].port, 0);
    assert_int_equal(dns_plan_due_ms(&plan), START_MS);
    assert_false(dns_plan_members(&plan, &members));
}

static void plan_without_names_is_never_due(void **state)
{
    (void)state;
    struct member_list members;
    set_names(&other, NULL, 0, START_MS);
    assert_true(dns_plan_due_ms(&other) == UINT64_MAX);
    assert_true(dns_plan_members(&other, &members));
    assert_int_equal(members.count, 0);
}

static void name_is_due_after_its_ttl_within_the_interval(void **state)
{
    (void)state;
    static const uint64_t rows[][2] = {
        {30, 30000}, {0, MIN_MS}, {3600, MAX_MS}, {UINT32_MAX, MAX_MS}};
    response(1, "x:1", 3600, START_MS);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        response(0, "a:1", (uint32_t)rows[i][0], START_MS);
        assert_int_equal(plan.names[0].due_ms, START_MS + rows[i][1]);
    }
    assert_int_equal(dns_plan_due_ms(&plan), START_MS + MAX_MS);
}

static void responses_of_all_names_are_members(void **state)
{
    (void)state;
    response(0, "a:1 b:1", 30, START_MS);
    expect_members("a:1 b:1");
    response(1, "b:1 c:2", 30, START_MS);
    expect_members("a:1 b:1 c:2");
    response(0, "a:1", 30, START_MS);
    expect_members("a:1 b:1 c:2");
    response(1, "c:2", 30, START_MS);
    expect_members("a:1 c:2");
    expect_problem("");
}

static void failure_keeps_the_response_and_is_repeated_ever_later(void **state)
{
    (void)state;
    static const uint64_t waits_ms[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    response(0, "a:1", 30, START_MS);
    for (size_t i = 0; i < sizeof(waits_ms) / sizeof(waits_ms[0]); i++) {
        dns_plan_on_failure(&plan, 0, "timeout", START_MS);
        assert_int_equal(plan.names[0].due_ms, START_MS + waits_ms[i]);
    }
    expect_members("a:1");
    expect_problem("artemis.example.org:8080: timeout");
    response(0, "b:1", 30, START_MS);
    expect_problem("");
    expect_members("b:1");
    dns_plan_on_failure(&plan, 0, "timeout", START_MS);
    assert_int_equal(plan.names[0].due_ms, START_MS + MIN_MS);
}

static void response_without_addresses_is_a_failure(void **state)
{
    (void)state;
    response(0, "a:1", 30, START_MS);
    response(0, "", 30, START_MS);
    expect_members("a:1");
    expect_problem("artemis.example.org:8080: it has no addresses");
}

static void addresses_that_are_left_out_are_a_problem(void **state)
{
    (void)state;
    struct member_list list = members_of("a:1");
    dns_plan_on_response(&plan, 1, &list, 30, 2, START_MS);
    expect_members("a:1");
    expect_problem("_artemis._tcp.example.org: it has more than 64 "
                   "addresses; 2 are left out");
}

static void targets_are_in_the_domain_of_the_service(void **state)
{
    (void)state;
    static const char *const inside[] = {"n1.example.org", "N1.Example.ORG", "a.b.example.org"};
    static const char *const outside[] = {"n1.example.com",
                                          "example.org",
                                          ".example.org",
                                          "n1.badexample.org",
                                          "example.org.evil",
                                          "org",
                                          ""};
    for (size_t i = 0; i < sizeof(inside) / sizeof(inside[0]); i++)
        assert_true(dns_name_has_target(&plan.names[1], inside[i]));
    for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++)
        if (dns_name_has_target(&plan.names[1], outside[i]))
            fail_msg("%s", outside[i]);
}

static void reload_keeps_the_responses_of_names_that_stay(void **state)
{
    (void)state;
    static char *names[] = {"new.example:1", "artemis.example.org:8080"};
    response(0, "a:1", 30, START_MS);
    response(1, "x:1", 30, START_MS);
    set_names(&other, names, 2, START_MS + 5);
    dns_plan_keep_responses(&other, &plan);
    plan = other;
    expect_members("a:1 x:1");
    assert_int_equal(plan.names[0].due_ms, START_MS + 5);
    assert_int_equal(plan.names[1].due_ms, START_MS + 30000);
}

static void reload_to(char **names, size_t count)
{
    set_names(&other, names, count, START_MS + 5);
    dns_plan_keep_responses(&other, &plan);
    plan = other;
}

static void members_of_a_removed_name_stay_until_each_new_name_has_a_response(void **state)
{
    (void)state;
    static char *new_names[] = {"new.example:1", "artemis.example.org:8080", "late.example:1"};
    static char *old_name[] = {"artemis.example.org:8080"};
    response(0, "a:1", 30, START_MS);
    response(1, "x:1", 30, START_MS);
    reload_to(new_names, 3);
    expect_members("a:1 x:1");
    dns_plan_on_failure(&plan, 0, "timeout", START_MS);
    expect_members("a:1 x:1");
    response(2, "l:1", 30, START_MS);
    expect_members("a:1 l:1 x:1");
    reload_to(new_names, 3); /* the same once more */
    expect_members("a:1 l:1 x:1");
    response(0, "n:1", 30, START_MS);
    expect_members("a:1 l:1 n:1");
    dns_plan_on_failure(&plan, 0, "timeout", START_MS);
    expect_members("a:1 l:1 n:1");
    reload_to(old_name, 1); /* without a new name, they leave at once */
    expect_members("a:1");
}

static void name_without_a_response_keeps_all_members_of_before(void **state)
{
    (void)state;
    static char *first[] = {"first.example:1"};
    static char *second[] = {"second.example:1"};
    response(0, "a:1", 30, START_MS);
    response(1, "x:1", 30, START_MS);
    reload_to(first, 1);
    reload_to(second, 1);
    expect_members("a:1 x:1");
    response(0, "s:1", 30, START_MS);
    expect_members("s:1");
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

static void target_that_fails_is_a_problem_until_the_next_response(void **state)
{
    (void)state;
    static const struct dns_targets targets = {.count = 1, .items = {{"n2.example.org", "b:1"}}};
    response(1, "a:1 b:1", 30, START_MS);
    dns_plan_on_targets(&plan, 1, &targets, "n2.example.org: timeout");
    expect_members("a:1 b:1");
    expect_problem("_artemis._tcp.example.org: n2.example.org: timeout");
    assert_string_equal(plan.names[1].targets.items[0].url, "b:1");
    response(1, "a:1 b:1", 30, START_MS);
    dns_plan_on_targets(&plan, 1, &targets, NULL);
    expect_problem("");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(names_are_read_and_due_at_once),
        TEST(plan_without_names_is_never_due),
        TEST(name_is_due_after_its_ttl_within_the_interval),
        TEST(target_that_fails_is_a_problem_until_the_next_response),
        TEST(responses_of_all_names_are_members),
        TEST(failure_keeps_the_response_and_is_repeated_ever_later),
        TEST(response_without_addresses_is_a_failure),
        TEST(addresses_that_are_left_out_are_a_problem),
        TEST(targets_are_in_the_domain_of_the_service),
        TEST(reload_keeps_the_responses_of_names_that_stay),
        TEST(members_of_a_removed_name_stay_until_each_new_name_has_a_response),
        TEST(name_without_a_response_keeps_all_members_of_before),
    };
    return cmocka_run_group_tests_name("DNS plan", tests, NULL, NULL);
}
