/* SPDX-License-Identifier: Apache-2.0
 *
 * A reload of cluster.etcd while the provider runs: the nodes, the lease and the key of this node
 * stay.
 */
#include "artemis-server/cluster/providers/etcd/etcd_plan.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/cmocka_all.h"

enum { NOW_MS = 1000000 };

/* The keys /a/own with the lease 7, and /a/n1. */
static const char keys[] =
    "{\"header\":{\"revision\":\"5\"},\"kvs\":["
    "{\"key\":\"L2Evb3du\",\"value\":\"eyJ1cmwiOiJodHRwOi8vMTAuMC4wLjE6MSJ9\",\"lease\":\"7\"},"
    "{\"key\":\"L2EvbjE=\",\"value\":\"eyJ1cmwiOiJodHRwOi8vMTAuMC4wLjI6MSJ9\",\"lease\":\"8\"}]}";

static struct config config;
static struct config reloaded;
static struct etcd_plan plan;

static void respond(enum etcd_step step, const char *body)
{
    assert_int_equal(etcd_plan_next(&plan, NOW_MS), step);
    etcd_plan_on_start(&plan, step, NOW_MS);
    if (step == ETCD_WATCH)
        assert_true(etcd_plan_on_line(&plan, SLICE("{\"result\":{\"created\":true}}"), NOW_MS));
    else
        etcd_plan_on_response(&plan, step, slice_of(body), NOW_MS);
}

/* Registered with the lease 7, while n1 is a member. */
static int set_up(void **state)
{
    static char *before[] = {"127.0.0.1:1", "127.0.0.1:2"};
    static char *after[] = {"127.0.0.1:3"};
    (void)state;
    memset(&config, 0, sizeof config);
    config.cluster.etcd.endpoints = (struct config_list){2, before};
    config.cluster.etcd.ttl_secs = 9;
    snprintf(config.cluster.etcd.prefix, sizeof config.cluster.etcd.prefix, "/a");
    snprintf(config.server.node_id, sizeof config.server.node_id, "own");
    reloaded = config;
    reloaded.cluster.etcd.endpoints = (struct config_list){1, after};
    etcd_plan_init(&plan, &config, "http://10.0.0.1:1");
    respond(ETCD_READ, keys);
    respond(ETCD_WATCH, NULL);
    respond(ETCD_GRANT, "{\"ID\":\"7\",\"TTL\":\"9\"}");
    respond(ETCD_PUT, "{}");
    respond(ETCD_VOTERS, "{\"members\":[{},{},{}]}");
    assert_true(etcd_plan_is_well(&plan));
    return 0;
}

static void expect_members(size_t count)
{
    struct member_list members;
    const char *reason;
    plan.changed = "the test asks";
    assert_true(etcd_plan_take_list(&plan, &members, &reason));
    assert_int_equal(members.count, count);
}

static void expect_url(enum etcd_step step, const char *expected)
{
    struct text url = {0};
    struct text body = {0};
    assert_true(etcd_plan_write(&plan, step, &url, &body));
    if (!strstr(text_string(&url), expected))
        fail_msg("the url is %s", text_string(&url));
    text_free(&url);
    text_free(&body);
}

static void new_endpoints_keep_the_lease_the_key_and_the_nodes(void **state)
{
    (void)state;
    etcd_plan_on_start(&plan, ETCD_RENEW, NOW_MS); /* aborted by the reload */
    etcd_plan_set_settings(&plan, &reloaded, NOW_MS);
    assert_int_equal(plan.lease, 7);
    expect_members(1);
    expect_url(ETCD_READ, "127.0.0.1:3");
    respond(ETCD_READ, keys);
    respond(ETCD_WATCH, NULL);
    respond(ETCD_VOTERS, "{\"members\":[{},{},{}]}"); /* no new lease, and the key is there */
    assert_true(etcd_plan_is_well(&plan));
    expect_members(1);
}

static void failure_after_a_reload_uses_the_new_endpoints(void **state)
{
    (void)state;
    etcd_plan_on_failure(&plan, ETCD_WATCH, 0, SLICE(""), "problem", NOW_MS);
    etcd_plan_set_settings(&plan, &reloaded, NOW_MS); /* the second of two was in use */
    expect_url(ETCD_READ, "127.0.0.1:3");
    etcd_plan_on_start(&plan, ETCD_READ, NOW_MS);
    etcd_plan_on_failure(&plan, ETCD_READ, 0, SLICE(""), "problem", NOW_MS);
    assert_true(etcd_plan_is_failing(&plan));
    expect_members(1);
}

static void another_time_to_live_needs_another_lease(void **state)
{
    (void)state;
    reloaded.cluster.etcd.ttl_secs = 30;
    etcd_plan_set_settings(&plan, &reloaded, NOW_MS);
    respond(ETCD_READ, keys);
    respond(ETCD_WATCH, NULL);
    respond(ETCD_GRANT, "{\"ID\":\"9\",\"TTL\":\"30\"}");
    respond(ETCD_PUT, "{}"); /* the key moves to the new lease */
    assert_true(etcd_plan_is_well(&plan));
    assert_int_equal(plan.lease, 9);
}

static void expect_revoked(const char *id)
{
    struct text url = {0};
    struct text body = {0};
    assert_true(etcd_plan_has_lease(&plan));
    assert_true(etcd_plan_write(&plan, ETCD_REVOKE, &url, &body));
    assert_string_equal(text_string(&body), id);
    text_free(&url);
    text_free(&body);
}

/* Until the key has moved to the new lease, it has the old one. */
static void old_lease_is_revoked_too_before_the_key_has_moved(void **state)
{
    (void)state;
    reloaded.cluster.etcd.ttl_secs = 30;
    etcd_plan_set_settings(&plan, &reloaded, NOW_MS);
    expect_revoked("{\"ID\":\"7\"}");
    respond(ETCD_READ, keys);
    respond(ETCD_WATCH, NULL);
    respond(ETCD_GRANT, "{\"ID\":\"9\",\"TTL\":\"30\"}");
    etcd_plan_set_settings(&plan, &config, NOW_MS); /* and once more */
    respond(ETCD_READ, keys);
    respond(ETCD_WATCH, NULL);
    respond(ETCD_GRANT, "{\"ID\":\"10\",\"TTL\":\"9\"}");
    expect_revoked("{\"ID\":\"10\"}");
    etcd_plan_on_response(&plan, ETCD_REVOKE, SLICE("{}"), NOW_MS);
    expect_revoked("{\"ID\":\"7\"}");
    etcd_plan_on_failure(&plan, ETCD_REVOKE, 404, SLICE(""), "problem", NOW_MS); /* it has ended */
    assert_string_equal(plan.problem, "");
    assert_false(etcd_plan_has_lease(&plan));
}

static void old_lease_is_forgotten_when_the_key_has_moved(void **state)
{
    (void)state;
    another_time_to_live_needs_another_lease(state);
    expect_revoked("{\"ID\":\"9\"}");
    etcd_plan_on_failure(&plan, ETCD_REVOKE, 500, SLICE(""), "problem", NOW_MS);
    assert_string_equal(plan.problem, "problem");
    assert_true(etcd_plan_has_lease(&plan));
    etcd_plan_on_response(&plan, ETCD_REVOKE, SLICE("{}"), NOW_MS);
    assert_false(etcd_plan_has_lease(&plan));
}

static void new_user_logs_in_first(void **state)
{
    (void)state;
    snprintf(reloaded.cluster.etcd.credentials_file, sizeof reloaded.cluster.etcd.credentials_file,
             "/user");
    etcd_plan_set_settings(&plan, &reloaded, NOW_MS);
    respond(ETCD_AUTHENTICATE, "{\"token\":\"t\"}");
    etcd_plan_set_settings(&plan, &config, NOW_MS); /* no user any more */
    assert_string_equal(plan.token, "");
    respond(ETCD_READ, keys);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(new_endpoints_keep_the_lease_the_key_and_the_nodes),
        TEST(failure_after_a_reload_uses_the_new_endpoints),
        TEST(another_time_to_live_needs_another_lease),
        TEST(old_lease_is_revoked_too_before_the_key_has_moved),
        TEST(old_lease_is_forgotten_when_the_key_has_moved),
        TEST(new_user_logs_in_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
