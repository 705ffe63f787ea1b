/* SPDX-License-Identifier: Apache-2.0
 *
 * The recent events of the cluster: one for each member that joins, leaves or is blocked, with the
 * reason, and the newest only.
 */
#include "artemis-server/cluster/event_log.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/artemis-server/cluster/cluster_fixture.h"

static struct event_log *kept;

static int set_up(void **state)
{
    kept = calloc(1, sizeof(*kept));
    assert_non_null(kept);
    event_log_init(kept);
    open_cluster(state);
    assert_true(cluster_subscribe(&events.cluster, event_log_on_event, kept));
    return 0;
}

static int tear_down(void **state)
{
    event_log_free(kept);
    free(kept);
    return close_cluster(state);
}

static void update(const char *members, const char *blocked, const char *reason)
{
    struct member_list list = members_of(members);
    struct member_list not_these = members_of(blocked);
    cluster_update(&events.cluster, &list, &not_these, reason);
}

/* The event after that number: "KIND URL REASON MEMBERS". */
static void expect_event(uint64_t after, const char *expected)
{
    char text[1024];
    struct cluster_log_event event;
    assert_true(event_log_next(kept, after, &event));
    assert_int_equal(event.number, after + 1);
    assert_int_not_equal(event.wall_ms, 0);
    snprintf(text, sizeof(text), "%s %s %s %zu", cluster_log_word(event.kind), event.url,
             event.reason, event.members);
    assert_string_equal(text, expected);
}

static void each_member_is_an_event_with_its_reason(void **state)
{
    (void)state;
    struct cluster_log_event event;
    assert_false(event_log_next(kept, 0, &event));
    update("a:1 b:1", "", "static: the settings");
    update("b:1 c:1", "b:1", "dns: a response");
    cluster_publish_state(&events.cluster, CLUSTER_PROVIDER_FAILED, "dns: timeout");
    cluster_publish_state(&events.cluster, CLUSTER_PROVIDER_RECOVERED, "dns");
    cluster_publish_state(&events.cluster, CLUSTER_SHUTDOWN, NULL);
    expect_event(0, "joined http://a:1 static: the settings 2");
    expect_event(1, "joined http://b:1 static: the settings 2");
    expect_event(2, "left http://a:1 dns: a response 1");
    expect_event(3, "blocked http://b:1 dns: a response 1");
    expect_event(4, "joined http://c:1 dns: a response 1");
    expect_event(5, "provider-failed  dns: timeout 1");
    expect_event(6, "provider-recovered  dns 1");
    expect_event(7, "stopped   1");
    assert_false(event_log_next(kept, 8, &event));
    assert_false(event_log_next(kept, 1000, &event));
}

static void newest_events_are_kept(void **state)
{
    (void)state;
    char members[16];
    struct cluster_log_event event = {0};
    size_t count = 0;
    for (unsigned i = 1; i <= CLUSTER_EVENTS_MAX; i++) { /* one leaves and one joins */
        snprintf(members, sizeof(members), "n%u:1", i);
        update(members, "", "a test");
        events.text[0] = '\0';
    }
    while (event_log_next(kept, event.number, &event))
        count++;
    assert_int_equal(count, CLUSTER_EVENTS_MAX);
    assert_int_equal(event.number, 2 * CLUSTER_EVENTS_MAX - 1);
    assert_string_equal(event.url, "http://n256:1");
    assert_true(event_log_next(kept, 0, &event));
    assert_int_equal(event.number, CLUSTER_EVENTS_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void find_id(void *context, const char *url, char out[MEMBER_NAME_BYTES])
{
    (void)context;
    snprintf(out, MEMBER_NAME_BYTES, "%s", strcmp(url, "http://a:1") == 0 ? "n1" : "");
}

/* A node that is at the same address later has another id. */
static void member_that_leaves_keeps_its_node_id(void **state)
{
    (void)state;
    struct cluster_log_event event;
    kept->find_id = find_id;
    update("a:1 b:1", "", "dns: a response");
    update("", "", "dns: a response");
    static const char *const ids[] = {"n1", "", "n1", ""};
    for (uint64_t i = 0; i < 4; i++) {
        assert_true(event_log_next(kept, i, &event));
        assert_string_equal(event.node_id, ids[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_member_is_an_event_with_its_reason),
        TEST(member_that_leaves_keeps_its_node_id),
        TEST(newest_events_are_kept),
    };
    return cmocka_run_group_tests_name("cluster events", tests, NULL, NULL);
}
