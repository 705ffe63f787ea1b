/* SPDX-License-Identifier: Apache-2.0
 *
 * An etcd that fails, ends the watch, or loses the key of this node again and again is asked less
 * and less often, although each request works.
 */
#include "artemis-server/cluster/providers/etcd/etcd_plan.h"

#include <stdio.h>
#include <string.h>

#include "artemis-core/base/base64.h"
#include "tests/support/cmocka_all.h"

enum { START_MS = 1000000, PAUSE_MAX_MS = 2000, STEADY_MS = 10000, ROUNDS = 10 };

#define CREATED   "{\"result\":{\"created\":true}}"
#define COMPACTED "{\"result\":{\"canceled\":true,\"compact_revision\":\"12\"}}"
#define LEASE     "{\"ID\":\"7\",\"TTL\":\"3600\"}"

static struct config config;
static struct etcd_plan plan;
static uint64_t now_ms;

static int set_up(void **state)
{
    static char *endpoints[] = {"127.0.0.1:1", "127.0.0.1:2"};
    (void)state;
    memset(&config, 0, sizeof config);
    config.cluster.etcd.endpoints = (struct config_list){2, endpoints};
    config.cluster.etcd.ttl_secs = 3600;
    snprintf(config.cluster.etcd.prefix, sizeof config.cluster.etcd.prefix, "/a");
    snprintf(config.server.node_id, sizeof config.server.node_id, "own");
    now_ms = START_MS;
    etcd_plan_init(&plan, &config, "http://10.0.0.1:1");
    return 0;
}

static bool line(const char *text)
{
    return etcd_plan_on_line(&plan, slice_of(text), now_ms);
}

static void respond(enum etcd_step step, const char *body)
{
    assert_int_equal(etcd_plan_next(&plan, now_ms), step);
    etcd_plan_on_start(&plan, step, now_ms);
    if (step == ETCD_WATCH)
        assert_true(line(CREATED));
    else
        etcd_plan_on_response(&plan, step, slice_of(body), now_ms);
}

static void refuse(enum etcd_step step)
{
    assert_int_equal(etcd_plan_next(&plan, now_ms), step);
    etcd_plan_on_start(&plan, step, now_ms);
    etcd_plan_on_failure(&plan, step, 500, SLICE(""), "problem", now_ms);
}

static void read_and_watch(void)
{
    respond(ETCD_READ, "{\"header\":{\"revision\":\"5\"}}");
    respond(ETCD_WATCH, NULL);
}

/* An event of the watch: the key of a node is deleted. */
static void delete_key(const char *key)
{
    struct text event = {0};
    text_append_string(&event, "{\"result\":{\"events\":[{\"type\":\"DELETE\",\"kv\":{\"key\":\"");
    base64_append(&event, slice_of(key));
    text_append_string(&event, "\"}}]}}");
    (void)line(text_string(&event));
    text_free(&event);
}

/* The plan is well: its lease and its key are in etcd. */
static void begin(void)
{
    read_and_watch();
    respond(ETCD_GRANT, LEASE);
    respond(ETCD_PUT, "{}");
    respond(ETCD_VOTERS, "{\"members\":[{},{},{}]}");
    assert_true(etcd_plan_is_well(&plan));
}

/* Passes the time until the next step, and returns it. */
static uint64_t pass_pause(void)
{
    assert_int_equal(etcd_plan_next(&plan, now_ms), ETCD_NO_STEP);
    uint64_t pause_ms = etcd_plan_due_ms(&plan) - now_ms;
    now_ms += pause_ms;
    return pause_ms;
}

/* Each round makes the plan begin something again, and succeeds then. */
static void expect_longer_pauses(void (*begin_round)(void), void (*end_round)(void))
{
    uint64_t last_ms = 0;
    begin();
    for (int i = 0; i < ROUNDS; i++) {
        begin_round();
        uint64_t pause_ms = pass_pause();
        assert_true(pause_ms >= 2 * last_ms || pause_ms == PAUSE_MAX_MS);
        assert_true(pause_ms > 0);
        last_ms = pause_ms;
        end_round();
        assert_true(etcd_plan_is_well(&plan));
    }
    assert_int_equal(last_ms, PAUSE_MAX_MS);
    now_ms += STEADY_MS;
    begin_round();
    assert_true(pass_pause() < PAUSE_MAX_MS);
}

static void delete_own_key(void)
{
    delete_key("/a/own");
}

static void put(void)
{
    respond(ETCD_PUT, "{}");
}

static void key_that_is_deleted_again_and_again_is_written_less_often(void **state)
{
    (void)state;
    expect_longer_pauses(delete_own_key, put);
}

/* The events of the watch and the response of the request come over different connections. */
static void key_that_is_deleted_before_its_response_arrives_is_written_again(void **state)
{
    (void)state;
    begin();
    delete_own_key();
    (void)pass_pause();
    etcd_plan_on_start(&plan, ETCD_PUT, now_ms);
    delete_own_key();
    etcd_plan_on_response(&plan, ETCD_PUT, SLICE("{}"), now_ms);
    assert_false(etcd_plan_is_well(&plan));
    (void)pass_pause();
    put();
    assert_true(etcd_plan_is_well(&plan));
}

static void compact(void)
{
    assert_false(line(COMPACTED));
    etcd_plan_on_failure(&plan, ETCD_WATCH, 200, SLICE(""), "refused", now_ms);
}

static void read_and_watch_and_put(void)
{
    read_and_watch();
    put();
}

static void compaction_of_each_watch_makes_the_readings_rarer(void **state)
{
    (void)state;
    expect_longer_pauses(compact, read_and_watch_and_put);
}

static void end_watch(void)
{
    etcd_plan_on_failure(&plan, ETCD_WATCH, 200, SLICE(""), "it has ended", now_ms);
}

/* Both endpoints are tried before the first pause. */
static void end_watch_of_both_endpoints(void)
{
    end_watch();
    read_and_watch_and_put();
    end_watch();
}

static void end_of_each_watch_makes_the_readings_rarer(void **state)
{
    (void)state;
    expect_longer_pauses(end_watch_of_both_endpoints, read_and_watch_and_put);
}

static void retries_are_later_after_all_endpoints_have_failed(void **state)
{
    (void)state;
    uint64_t last_ms = 0;
    for (int i = 0; i < ROUNDS; i++) {
        refuse(ETCD_READ);
        refuse(ETCD_READ); /* the second endpoint at once */
        assert_true(etcd_plan_is_failing(&plan));
        uint64_t wait_ms = pass_pause();
        assert_true(wait_ms >= last_ms && wait_ms >= 50 && wait_ms <= PAUSE_MAX_MS);
        last_ms = wait_ms;
    }
    assert_int_equal(last_ms, PAUSE_MAX_MS);
}

/* Two pauses in a row fit between two renewals of the lease. */
static void pauses_are_shorter_than_a_short_time_to_live(void **state)
{
    (void)state;
    enum { SHORT_TTL_SECS = 2, SHORT_PAUSE_MS = SHORT_TTL_SECS * 1000 / 6 };
    uint64_t pause_ms = 0;
    config.cluster.etcd.ttl_secs = SHORT_TTL_SECS;
    etcd_plan_init(&plan, &config, "http://10.0.0.1:1");
    for (int i = 0; i < ROUNDS; i++) {
        refuse(ETCD_READ);
        refuse(ETCD_READ);
        pause_ms = pass_pause();
        assert_true(pause_ms <= SHORT_PAUSE_MS);
    }
    assert_int_equal(pause_ms, SHORT_PAUSE_MS);
    begin();
    for (int i = 0; i < ROUNDS; i++) {
        delete_own_key();
        pause_ms = pass_pause();
        assert_true(pause_ms <= SHORT_PAUSE_MS);
        put();
    }
    assert_int_equal(pause_ms, SHORT_PAUSE_MS);
}

/* One that was left out has a place now, and the keys are read again. */
static void keys_beyond_the_limit_that_are_deleted_make_the_readings_rarer(void **state)
{
    (void)state;
    uint64_t last_ms = 0;
    begin();
    for (int i = 0; i < ROUNDS; i++) {
        plan.left_out = 1;
        delete_key("/a/other");
        uint64_t pause_ms = pass_pause();
        assert_true(pause_ms > last_ms || pause_ms == PAUSE_MAX_MS);
        last_ms = pause_ms;
        read_and_watch_and_put();
    }
    assert_int_equal(last_ms, PAUSE_MAX_MS);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(key_that_is_deleted_again_and_again_is_written_less_often),
        TEST(key_that_is_deleted_before_its_response_arrives_is_written_again),
        TEST(compaction_of_each_watch_makes_the_readings_rarer),
        TEST(end_of_each_watch_makes_the_readings_rarer),
        TEST(retries_are_later_after_all_endpoints_have_failed),
        TEST(pauses_are_shorter_than_a_short_time_to_live),
        TEST(keys_beyond_the_limit_that_are_deleted_make_the_readings_rarer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
