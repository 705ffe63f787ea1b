/* SPDX-License-Identifier: Apache-2.0
 *
 * What the provider etcd asks for, in which order, and what it makes of the responses and failures.
 */
#include "artemis-server/cluster/providers/etcd/etcd_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "artemis-core/base/base64.h"
#include "artemis-server/cluster/providers/member_address.h"
#include "tests/support/cmocka_all.h"

enum { START_MS = 1000000, TTL_MS = 9000 };

static struct config config;
static struct etcd_plan plan;
static uint64_t now_ms;
static uint64_t revision;

static int set_up(void **state)
{
    static char *endpoints[] = {"127.0.0.1:1", "https://etcd.test:2"};
    (void)state;
    memset(&config, 0, sizeof config);
    config.cluster.etcd.endpoints = (struct config_list){2, endpoints};
    config.cluster.etcd.ttl_secs = TTL_MS / 1000;
    snprintf(config.cluster.etcd.prefix, sizeof config.cluster.etcd.prefix, "/a/");
    snprintf(config.server.node_id, sizeof config.server.node_id, "own");
    snprintf(config.server.region, sizeof config.server.region, "r");
    snprintf(config.server.zone, sizeof config.server.zone, "z");
    now_ms = START_MS;
    revision = 10;
    etcd_plan_init(&plan, &config, "http://10.0.0.1:8080");
    return 0;
}

/* --- etcd ------------------------------------------------------------------------------------- */

static void add_base64(struct text *out, const char *text)
{
    text_append_char(out, '"');
    base64_append(out, slice_of(text));
    text_append_char(out, '"');
}

/* Adds the key of a node: "n1" has the port 1; "n1-" is deleted; "own7" is that of this node with
 * the lease 7; "bad" has no address. */
static void add_key(struct text *out, const char *word)
{
    char key[64];
    char value[128];
    bool is_own = strncmp(word, "own", 3) == 0;
    snprintf(key, sizeof key, "/a/%s", is_own ? "own" : word);
    key[strcspn(key, "-")] = '\0';
    snprintf(value, sizeof value, "{\"url\":\"http://10.0.0.2:%s\"}", word + 1);
    text_append_string(out, "{\"key\":");
    add_base64(out, key);
    text_append_string(out, ",\"value\":");
    add_base64(out, strcmp(word, "bad") == 0 ? "{}" : value);
    text_printf(out, ",\"lease\":\"%lu\"}", is_own ? strtoul(word + 3, NULL, 10) : 1);
}

static void add_range(struct text *out, const char *words)
{
    char copy[512];
    char *next;
    const char *comma = "";
    snprintf(copy, sizeof copy, "%s", words);
    text_printf(out, "{\"header\":{\"revision\":\"%llu\"},\"kvs\":[", (unsigned long long)revision);
    for (char *word = strtok_r(copy, " ", &next); word; word = strtok_r(NULL, " ", &next)) {
        text_append_string(out, comma);
        add_key(out, word);
        comma = ",";
    }
    text_append_string(out, "]}");
}

static void expect_step(enum etcd_step expected)
{
    enum etcd_step step = etcd_plan_next(&plan, now_ms);
    if (step != expected)
        fail_msg("the step is %d, not %d", step, expected);
}

static void respond(enum etcd_step step, const char *body)
{
    expect_step(step);
    etcd_plan_on_start(&plan, step, now_ms);
    if (step != ETCD_WATCH)
        expect_step(ETCD_NO_STEP); /* one at a time */
    if (step != ETCD_WATCH)
        etcd_plan_on_response(&plan, step, slice_of(body), now_ms);
}

static void refuse(enum etcd_step step, long status)
{
    expect_step(step);
    etcd_plan_on_start(&plan, step, now_ms);
    etcd_plan_on_failure(&plan, step, status, SLICE("{\"message\":\"reason\"}"), "problem", now_ms);
}

static void read_keys(const char *words)
{
    struct text body = {0};
    add_range(&body, words);
    respond(ETCD_READ, text_string(&body));
    text_free(&body);
}

static bool line(const char *text)
{
    return etcd_plan_on_line(&plan, slice_of(text), now_ms);
}

/* An event of the watch. */
static bool event(const char *word)
{
    struct text out = {0};
    text_printf(&out, "{\"result\":{\"events\":[{\"type\":\"%s\",\"kv\":",
                strchr(word, '-') ? "DELETE" : "PUT");
    add_key(&out, word);
    text_append_string(&out, "}]}}");
    bool goes_on = line(text_string(&out));
    text_free(&out);
    return goes_on;
}

#define LEASE   "{\"ID\":\"7\",\"TTL\":\"9\"}"
#define VOTERS3 "{\"members\":[{},{},{}]}"
#define CREATED "{\"result\":{\"created\":true}}"

/* Reads these keys, watches, and registers this node with the lease 7. */
static void begin(const char *words)
{
    read_keys(words);
    respond(ETCD_WATCH, "");
    assert_true(line(CREATED));
    respond(ETCD_GRANT, LEASE);
    respond(ETCD_PUT, "{}");
    respond(ETCD_VOTERS, VOTERS3);
    expect_step(ETCD_NO_STEP);
    assert_true(etcd_plan_is_well(&plan));
}

/* Passes the time until the next step. */
static void wait_for_step(void)
{
    expect_step(ETCD_NO_STEP);
    now_ms = etcd_plan_due_ms(&plan);
}

/* Takes the list: its ports, such as "1 2"; "same": it has not changed. */
static void expect_list(const char *expected)
{
    struct member_list members;
    const char *reason;
    char ports[256] = "";
    if (!etcd_plan_take_list(&plan, &members, &reason)) {
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
    char warning[ETCD_WARNING_BYTES];
    assert_true(etcd_plan_warning(&plan, warning) == (part[0] != '\0'));
    if (!strstr(warning, part))
        fail_msg("the warning is: %s", warning);
}

/* --- steps ------------------------------------------------------------------------------------ */

static void node_reads_watches_and_registers(void **state)
{
    (void)state;
    begin("n1 n2 own3");
    expect_list("1 2");
    expect_list("same");
    expect_warning("");
    assert_int_equal(etcd_plan_due_ms(&plan), START_MS + TTL_MS / 3);
}

static void first_list_may_be_empty(void **state)
{
    (void)state;
    expect_list("same");
    begin("");
    expect_list("");
}

static void check_request(enum etcd_step step, const char *url, const char *body)
{
    struct text written_url = {0};
    struct text written = {0};
    assert_true(etcd_plan_write(&plan, step, &written_url, &written));
    assert_string_equal(text_string(&written_url), url);
    assert_string_equal(text_string(&written), body);
    text_free(&written_url);
    text_free(&written);
}

static void requests_have_the_fields_of_etcd(void **state)
{
    (void)state;
#define RANGE "\"key\":\"L2Ev\",\"range_end\":\"L2Ew\"" /* from /a/ to /a0 */
    check_request(ETCD_READ, "http://127.0.0.1:1/v3/kv/range", "{" RANGE "}");
    begin("");
    check_request(ETCD_WATCH, "http://127.0.0.1:1/v3/watch",
                  "{\"create_request\":{" RANGE ",\"start_revision\":11}}");
    check_request(ETCD_GRANT, "http://127.0.0.1:1/v3/lease/grant", "{\"TTL\":9}");
    check_request(ETCD_RENEW, "http://127.0.0.1:1/v3/lease/keepalive", "{\"ID\":\"7\"}");
    check_request(ETCD_REVOKE, "http://127.0.0.1:1/v3/lease/revoke", "{\"ID\":\"7\"}");
    check_request(ETCD_VOTERS, "http://127.0.0.1:1/v3/cluster/member/list", "{}");
    plan.endpoint = 1;
    check_request(ETCD_PUT, "https://etcd.test:2/v3/kv/put",
                  "{\"key\":\"L2Evb3du\",\"value\":\"eyJ1cmwiOiJodHRwOi8vMTAuMC4wLjE6ODA4MCIsInJlZ2"
                  "lvbiI6InIiLCJ6b25lIjoieiJ9\",\"lease\":\"7\"}");
}

static void user_is_written_as_json(void **state)
{
    (void)state;
    struct text body = {0};
    assert_true(etcd_write_user("na\"me:pass:word", &body));
    assert_string_equal(text_string(&body), "{\"name\":\"na\\\"me\",\"password\":\"pass:word\"}");
    assert_false(etcd_write_user("name", &body));
    assert_false(etcd_write_user(":password", &body));
    assert_false(etcd_write_user("\xff:password", &body));
    text_free(&body);
}

static void events_change_the_list(void **state)
{
    (void)state;
    begin("n1");
    expect_list("1");
    assert_true(event("n2"));
    expect_list("1 2");
    assert_true(event("n2"));
    expect_list("same");
    assert_true(event("n1-"));
    expect_list("2");
    assert_true(event("n1-"));
    expect_list("same");
}

static void keys_of_no_node_are_left_out(void **state)
{
    (void)state;
    begin("n1 bad");
    expect_list("1");
    expect_warning("bad: its key has no valid address");
    assert_true(line("{\"result\":{\"events\":[{\"kv\":{\"key\":\"L2E=\"}},{\"kv\":{\"key\":"
                     "\"L2Ev\"}},{\"kv\":{\"key\":\"L2EvAA==\"}}]}}"));
    expect_list("same");
    config.cluster.tls.cert[0] = 'c'; /* an address without TLS is none any more */
    assert_true(event("n1"));
    expect_list("");
}

/* --- the lease -------------------------------------------------------------------------------- */

static void lease_is_renewed_each_third_of_its_time(void **state)
{
    (void)state;
    begin("n1");
    for (int i = 0; i < 3; i++) {
        now_ms += TTL_MS / 3 - 1;
        expect_step(ETCD_NO_STEP);
        now_ms += 1;
        respond(ETCD_RENEW, "{\"result\":" LEASE "}");
    }
    expect_step(ETCD_NO_STEP);
}

static void lost_lease_is_replaced(void **state)
{
    (void)state;
    begin("n1");
    now_ms += TTL_MS / 3;
    respond(ETCD_RENEW, "{\"result\":{\"ID\":\"7\"}}");
    assert_false(etcd_plan_is_well(&plan));
    respond(ETCD_GRANT, "{\"ID\":\"8\",\"TTL\":\"9\"}");
    respond(ETCD_PUT, "{}");
    expect_step(ETCD_NO_STEP);
    assert_string_equal(plan.problem, "");
}

static void lease_that_is_gone_at_the_registration_is_replaced(void **state)
{
    (void)state;
    read_keys("");
    respond(ETCD_WATCH, "");
    respond(ETCD_GRANT, LEASE);
    refuse(ETCD_PUT, 404);
    assert_string_equal(plan.problem, "");
    expect_step(ETCD_NO_STEP); /* not in a tight loop */
    now_ms = etcd_plan_due_ms(&plan);
    respond(ETCD_GRANT, LEASE);
    respond(ETCD_PUT, "{}");
}

static void deleted_own_key_is_written_again(void **state)
{
    (void)state;
    begin("n1");
    assert_true(event("own-"));
    wait_for_step();
    respond(ETCD_PUT, "{}");
    expect_step(ETCD_NO_STEP);
}

static void key_of_a_node_with_the_same_id_is_a_warning(void **state)
{
    (void)state;
    begin("");
    assert_true(event("own7"));
    expect_warning("");
    assert_true(event("own8"));
    expect_warning("another node");
    expect_step(ETCD_NO_STEP); /* it is not overwritten in turn */
    assert_true(event("own-"));
    wait_for_step();
    respond(ETCD_PUT, "{}");
    expect_warning("");
}

/* --- failures --------------------------------------------------------------------------------- */

static void failure_keeps_the_list_and_uses_the_next_endpoint(void **state)
{
    (void)state;
    begin("n1 n2");
    expect_list("1 2");
    now_ms += TTL_MS / 3;
    refuse(ETCD_RENEW, 500);
    assert_string_equal(plan.problem, "problem: reason");
    assert_false(etcd_plan_is_failing(&plan)); /* the other endpoint has not failed */
    assert_int_equal(plan.endpoint, 1);
    assert_false(plan.is_watching);
    respond(ETCD_RENEW, LEASE); /* at once, before the reading */
    read_keys("n1 n2 own7");
    respond(ETCD_WATCH, "");
    assert_string_equal(plan.problem, "problem: reason");
    assert_true(line(CREATED));
    assert_string_equal(plan.problem, "");
    expect_list("same");
    refuse(ETCD_VOTERS, 0);
    assert_false(etcd_plan_is_failing(&plan)); /* it was well meanwhile */
}

static void end_of_the_watch_is_a_failure(void **state)
{
    (void)state;
    begin("n1");
    etcd_plan_on_failure(&plan, ETCD_WATCH, 200, SLICE(""), "it has ended", now_ms);
    assert_string_equal(plan.problem, "it has ended");
    expect_step(ETCD_READ);
    assert_false(line("{\"result\":{\"canceled\":true,\"cancel_reason\":\"late\"}}"));
    assert_non_null(strstr(plan.problem, "/v3/watch: late"));
}

static void endpoint_whose_watch_and_request_fail_has_failed_once(void **state)
{
    (void)state;
    begin("n1");
    now_ms += TTL_MS / 3;
    expect_step(ETCD_RENEW);
    etcd_plan_on_start(&plan, ETCD_RENEW, now_ms);
    etcd_plan_on_failure(&plan, ETCD_WATCH, 0, SLICE(""), "gone", now_ms);
    assert_int_equal(plan.endpoint, 1);
    expect_step(ETCD_NO_STEP); /* the renewal is in flight */
    etcd_plan_on_failure(&plan, ETCD_RENEW, 0, SLICE(""), "gone too", now_ms);
    assert_int_equal(plan.endpoint, 1);
    assert_false(etcd_plan_is_failing(&plan));
    refuse(ETCD_RENEW, 0); /* at the other one, at once */
    assert_true(etcd_plan_is_failing(&plan));
}

static void compaction_is_no_failure(void **state)
{
    (void)state;
    begin("n1");
    assert_false(line("{\"result\":{\"canceled\":true,\"compact_revision\":\"12\"}}"));
    etcd_plan_on_failure(&plan, ETCD_WATCH, 200, SLICE(""), "refused", now_ms);
    assert_string_equal(plan.problem, "");
    expect_step(ETCD_NO_STEP);
    now_ms = etcd_plan_due_ms(&plan);
    revision = 20;
    read_keys("n1 n3 own7");
    check_request(ETCD_WATCH, "http://127.0.0.1:1/v3/watch",
                  "{\"create_request\":{" RANGE ",\"start_revision\":21}}");
    expect_list("1 3");
}

static void watch_that_is_not_confirmed_ends(void **state)
{
    (void)state;
    read_keys("n1");
    respond(ETCD_WATCH, "");
    etcd_plan_on_start(&plan, ETCD_GRANT, now_ms);
    assert_int_equal(etcd_plan_due_ms(&plan), now_ms + 10000);
    now_ms += 10000;
    etcd_plan_expire(&plan, now_ms);
    assert_false(plan.is_watching);
    assert_string_equal(plan.problem, "etcd does not confirm the watch");
}

static void responses_that_are_not_valid_are_failures(void **state)
{
    (void)state;
    begin("n1");
    assert_false(line("{"));
    assert_non_null(strstr(plan.problem, "the response is not valid"));
    for (int i = 0; i < 2; i++) {
        now_ms = etcd_plan_due_ms(&plan);
        plan.problem[0] = '\0';
        respond(ETCD_READ, "{\"header\":{\"revision\":\"30\"},\"kvs\":[7]}");
        assert_non_null(strstr(plan.problem, "the response is not valid"));
    }
    expect_list("1");
}

/* Otherwise such a server would be asked again and again without a pause. */
static void lease_without_a_time_is_a_failure_and_unknown_voters_are_none(void **state)
{
    (void)state;
    begin("n1");
    now_ms = plan.voters_ms;
    respond(ETCD_RENEW, "{\"result\":{\"ID\":\"7\"}}");
    respond(ETCD_GRANT, "{\"ID\":\"8\"}");
    assert_non_null(strstr(plan.problem, "the response is not valid"));
    read_keys("n1");
    respond(ETCD_WATCH, "");
    assert_true(line(CREATED));
    respond(ETCD_GRANT, LEASE);
    respond(ETCD_PUT, "{}");
    respond(ETCD_VOTERS, "{\"members\":[]}");
    assert_string_equal(plan.problem, "");
    assert_true(etcd_plan_is_well(&plan));
    assert_int_equal(plan.voters, 0);
    expect_step(ETCD_NO_STEP);
}

static void node_that_is_missing_after_a_failure_stays_for_a_time_to_live(void **state)
{
    (void)state;
    begin("n1 n2 n3");
    expect_list("1 2 3");
    etcd_plan_on_failure(&plan, ETCD_WATCH, 0, SLICE(""), "gone", now_ms);
    read_keys("n1 own7"); /* an etcd that has lost keys */
    respond(ETCD_WATCH, "");
    assert_true(line(CREATED));
    assert_true(event("n3")); /* it has registered again */
    respond(ETCD_VOTERS, VOTERS3);
    expect_list("same");
    now_ms += TTL_MS - 1;
    etcd_plan_expire(&plan, now_ms);
    expect_list("same");
    etcd_plan_expire(&plan, now_ms + 1);
    expect_list("1 3");
}

/* Even where the failure comes before the end of that time. */
static void failing_etcd_removes_no_node(void **state)
{
    (void)state;
    begin("n1 n2");
    expect_list("1 2");
    etcd_plan_on_failure(&plan, ETCD_WATCH, 0, SLICE(""), "gone", now_ms);
    read_keys("");
    refuse(ETCD_WATCH, 0);
    etcd_plan_expire(&plan, now_ms + 10 * TTL_MS);
    expect_list("same");
    now_ms = etcd_plan_due_ms(&plan);
    respond(ETCD_READ, "{}");
    etcd_plan_expire(&plan, now_ms + 10 * TTL_MS);
    expect_list("same");
}

static void own_key_that_is_missing_after_a_failure_is_written_again(void **state)
{
    (void)state;
    begin("n1");
    etcd_plan_on_failure(&plan, ETCD_WATCH, 0, SLICE(""), "gone", now_ms);
    read_keys("n1");
    respond(ETCD_WATCH, "");
    respond(ETCD_PUT, "{}");
}

/* --- the rest --------------------------------------------------------------------------------- */

static void user_logs_in_first_and_again_when_the_token_has_expired(void **state)
{
    (void)state;
    snprintf(config.cluster.etcd.credentials_file, CONFIG_TEXT_BYTES, "/file");
    etcd_plan_init(&plan, &config, "http://10.0.0.1:8080");
    respond(ETCD_AUTHENTICATE, "{\"token\":\"abc\"}");
    assert_string_equal(plan.token, "abc");
    begin("n1");
    now_ms += TTL_MS / 3;
    refuse(ETCD_RENEW, 401);
    assert_string_equal(plan.problem, "");
    now_ms = etcd_plan_due_ms(&plan);
    respond(ETCD_AUTHENTICATE, "{\"token\":\"def\"}");
    refuse(ETCD_RENEW, 401); /* a new token that is refused is a failure */
    assert_string_equal(plan.problem, "problem: reason");
    refuse(ETCD_AUTHENTICATE, 400);
    now_ms = etcd_plan_due_ms(&plan);
    refuse(ETCD_AUTHENTICATE, 200); /* cut off: its body may have a token */
    assert_string_equal(plan.problem, "problem");
}

static void even_number_of_voters_is_a_warning(void **state)
{
    (void)state;
    begin("");
    now_ms += TTL_MS / 3;
    plan.voters_ms = now_ms;
    respond(ETCD_RENEW, "{\"ID\":\"7\",\"TTL\":\"2305843009213693952\"}");
    assert_in_range(plan.renew_ms, now_ms + 1000, now_ms + 24 * 3600 * 1000);
    respond(ETCD_VOTERS, "{\"members\":[{},{}]}");
    expect_warning("an even number of voting members, 2;");
    plan.voters_ms = now_ms;
    refuse(ETCD_VOTERS, 403); /* no permission */
    assert_string_equal(plan.problem, "");
    expect_warning("");
}

static void nodes_beyond_the_limit_are_left_out(void **state)
{
    (void)state;
    char words[512] = "";
    for (int i = 1; i <= MEMBERS_MAX + 1; i++)
        snprintf(words + strlen(words), sizeof words - strlen(words), "n%d ", i);
    begin(words);
    assert_int_equal(plan.count, MEMBERS_MAX);
    expect_warning("1 are left out");
    assert_false(event("n1-")); /* another has a place now: it reads again */
    wait_for_step();
    read_keys(words);
    expect_warning("1 are left out");
    respond(ETCD_WATCH, "");
    assert_false(event("n65-")); /* the one that is left out */
    wait_for_step();
    words[strlen(words) - strlen("n65 ")] = '\0';
    read_keys(words);
    assert_int_equal(plan.count, MEMBERS_MAX);
    expect_warning("");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
    const struct CMUnitTest tests[] = {
        TEST(node_reads_watches_and_registers),
        TEST(first_list_may_be_empty),
        TEST(requests_have_the_fields_of_etcd),
        TEST(user_is_written_as_json),
        TEST(events_change_the_list),
        TEST(keys_of_no_node_are_left_out),
        TEST(lease_is_renewed_each_third_of_its_time),
        TEST(lost_lease_is_replaced),
        TEST(lease_that_is_gone_at_the_registration_is_replaced),
        TEST(deleted_own_key_is_written_again),
        TEST(key_of_a_node_with_the_same_id_is_a_warning),
        TEST(failure_keeps_the_list_and_uses_the_next_endpoint),
        TEST(end_of_the_watch_is_a_failure),
        TEST(endpoint_whose_watch_and_request_fail_has_failed_once),
        TEST(compaction_is_no_failure),
        TEST(watch_that_is_not_confirmed_ends),
        TEST(responses_that_are_not_valid_are_failures),
        TEST(lease_without_a_time_is_a_failure_and_unknown_voters_are_none),
        TEST(node_that_is_missing_after_a_failure_stays_for_a_time_to_live),
        TEST(failing_etcd_removes_no_node),
        TEST(own_key_that_is_missing_after_a_failure_is_written_again),
        TEST(user_logs_in_first_and_again_when_the_token_has_expired),
        TEST(even_number_of_voters_is_a_warning),
        TEST(nodes_beyond_the_limit_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
