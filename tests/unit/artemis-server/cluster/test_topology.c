/* SPDX-License-Identifier: Apache-2.0
 *
 * The topology: each change is published once, with the members that joined, left and are blocked,
 * to all subscribers in their order.
 */
#include "artemis-server/cluster/topology.h"

#include <pthread.h>

#include "tests/unit/artemis-server/cluster/cluster_fixture.h"

static bool update(const char *members, const char *blocked)
{
    struct member_list list = members_of(members);
    struct member_list not_these = members_of(blocked ? blocked : "");
    return cluster_update(&events.cluster, &list, blocked ? &not_these : NULL, "a test");
}

/* --- lists ------------------------------------------------------------------------------------ */

static void members_are_sorted_and_have_a_scheme(void **state)
{
    (void)state;
    struct member_list list = members_of("c:1 a:1 https://b:1 http://a:2");
    assert_int_equal(list.count, 4);
    assert_string_equal(list.items[0].url, "http://a:1");
    assert_string_equal(list.items[1].url, "http://a:2");
    assert_string_equal(list.items[2].url, "http://c:1");
    assert_string_equal(list.items[3].url, "https://b:1");
    assert_true(member_list_has(&list, "http://c:1"));
    assert_false(member_list_has(&list, "c:1"));
}

static void member_that_is_added_twice_is_there_once(void **state)
{
    (void)state;
    assert_int_equal(members_of("a:1 http://a:1 a:1").count, 1);
}

static void member_with_an_address_that_is_too_long_is_refused(void **state)
{
    (void)state;
    struct member_list list = {0};
    char address[MEMBER_URL_BYTES];
    memset(address, 'x', sizeof(address));
    address[MEMBER_URL_BYTES - 1 - 7] = '\0'; /* with http:// it fits exactly */
    assert_int_equal(member_list_add(&list, address), ERR_NONE);
    address[MEMBER_URL_BYTES - 1 - 7] = 'x';
    address[MEMBER_URL_BYTES - 7] = '\0';
    assert_int_equal(member_list_add(&list, address), ERR_INVALID_FIELD);
    assert_int_equal(list.count, 1);
}

static void too_many_members_are_refused(void **state)
{
    (void)state;
    struct member_list list = {0};
    char address[16];
    for (int i = 0; i < MEMBERS_MAX; i++) {
        snprintf(address, sizeof(address), "n%d:1", i);
        assert_int_equal(member_list_add(&list, address), ERR_NONE);
    }
    assert_int_equal(member_list_add(&list, "one-more:1"), ERR_TOO_MANY_ITEMS);
    assert_int_equal(member_list_add(&list, "n7:1"), ERR_NONE); /* already a member */
    assert_int_equal(list.count, MEMBERS_MAX);
}

static void merged_list_has_the_members_of_both(void **state)
{
    (void)state;
    struct member_list list = {0};
    struct member_list added = members_of("b:1 c:1");
    assert_int_equal(member_list_add_named(&list, "b:1", "b.example"), ERR_NONE);
    assert_int_equal(member_list_merge(&list, &added), 0);
    assert_int_equal(list.count, 2);
    assert_string_equal(member_list_find(&list, "http://b:1")->name, "b.example");
    assert_string_equal(member_list_find(&list, "http://c:1")->name, "");
    assert_null(member_list_find(&list, "http://d:1"));
    for (int i = 0; list.count < MEMBERS_MAX; i++) {
        char address[16];
        snprintf(address, sizeof(address), "n%d:1", i);
        assert_int_equal(member_list_add(&list, address), ERR_NONE);
    }
    added = members_of("b:1 x:1 y:1");
    assert_int_equal(member_list_merge(&list, &added), 2);
    assert_int_equal(list.count, MEMBERS_MAX);
}

/* --- updates ---------------------------------------------------------------------------------- */

static void first_topology_with_members_is_published(void **state)
{
    (void)state;
    assert_true(update("a:1 b:1", NULL));
    expect_events("updated [a:1 b:1] +[a:1 b:1] -[] ![]\n");
}

static void first_topology_is_published_even_if_empty(void **state)
{
    (void)state;
    assert_true(update("", NULL));
    expect_events("updated [] +[] -[] ![]\n");
    assert_false(update("", NULL));
    expect_events("");
}

static void same_topology_is_published_once_whatever_its_order(void **state)
{
    (void)state;
    assert_true(update("a:1 b:1", NULL));
    assert_false(update("a:1 b:1", NULL));
    assert_false(update("b:1 http://a:1 b:1", NULL));
    expect_events("updated [a:1 b:1] +[a:1 b:1] -[] ![]\n");
}

static void joined_and_left_are_published(void **state)
{
    (void)state;
    update("a:1 b:1 c:1", NULL);
    expect_events("updated [a:1 b:1 c:1] +[a:1 b:1 c:1] -[] ![]\n");
    assert_true(update("b:1 d:1", NULL));
    expect_events("updated [b:1 d:1] +[d:1] -[a:1 c:1] ![]\n");
    assert_true(update("", NULL));
    expect_events("updated [] +[] -[b:1 d:1] ![]\n");
}

static void blocked_member_counts_as_left(void **state)
{
    (void)state;
    update("a:1 b:1", NULL);
    expect_events("updated [a:1 b:1] +[a:1 b:1] -[] ![]\n");
    assert_true(update("a:1 b:1", "b:1"));
    expect_events("updated [a:1] +[] -[b:1] ![b:1]\n");
    assert_false(update("a:1 b:1", "b:1"));
    assert_false(update("a:1", "b:1"));
    assert_true(update("a:1 b:1", NULL));
    expect_events("updated [a:1 b:1] +[b:1] -[] ![]\n");
}

static void change_of_the_blocked_members_alone_is_published(void **state)
{
    (void)state;
    update("a:1", NULL);
    expect_events("updated [a:1] +[a:1] -[] ![]\n");
    assert_true(update("a:1", "blocked:1"));
    expect_events("updated [a:1] +[] -[] ![blocked:1]\n");
}

/* --- announcements and subscribers ------------------------------------------------------------ */

static void change_of_a_name_alone_is_published(void **state)
{
    (void)state;
    struct member_list list = {0};
    assert_int_equal(member_list_add_named(&list, "a:1", "a.example"), ERR_NONE);
    assert_true(cluster_update(&events.cluster, &list, NULL, "a test"));
    assert_false(cluster_update(&events.cluster, &list, NULL, "a test"));
    list.items[0].name[0] = 'b';
    assert_true(cluster_update(&events.cluster, &list, NULL, "a test"));
    expect_events("updated [a:1] +[a:1] -[] ![]\nupdated [a:1] +[] -[] ![]\n");
}

static void announcements_have_a_kind_and_a_reason(void **state)
{
    (void)state;
    cluster_publish_state(&events.cluster, CLUSTER_STARTUP, NULL);
    cluster_publish_state(&events.cluster, CLUSTER_STARTUP_FAILED, "no reason");
    cluster_publish_state(&events.cluster, CLUSTER_SHUTDOWN, NULL);
    cluster_publish_state(&events.cluster, CLUSTER_SHUTDOWN_FAILED, "why");
    expect_events("startup\nstartup-failed: no reason\nshutdown\nshutdown-failed: why\n");
}

static void log_marker(void *context, const struct cluster_event *event)
{
    (void)event;
    log_word(context);
}

static void subscribers_are_called_in_order(void **state)
{
    (void)state;
    assert_true(cluster_subscribe(&events.cluster, log_marker, "second\n"));
    assert_true(cluster_subscribe(&events.cluster, log_marker, "third\n"));
    cluster_publish_state(&events.cluster, CLUSTER_STARTUP, NULL);
    expect_events("startup\nsecond\nthird\n");
}

static void too_many_subscribers_are_refused(void **state)
{
    (void)state;
    for (int i = 1; i < CLUSTER_SUBSCRIBERS_MAX; i++)
        assert_true(cluster_subscribe(&events.cluster, log_marker, "x"));
    assert_false(cluster_subscribe(&events.cluster, log_marker, "x"));
}

enum { THREADS = 4, UPDATES = 500 };
static struct member_list lists[THREADS][2];
static size_t members_now;
static bool adds_up;

static void count_members(void *context, const struct cluster_event *event)
{
    (void)context;
    members_now = members_now + event->joined->count - event->left->count;
    adds_up = adds_up && members_now == event->topology->count;
}

static void *publish_often(void *argument)
{
    const struct member_list *own = argument;
    for (int i = 0; i < UPDATES; i++)
        cluster_update(&events.cluster, &own[i % 2], NULL, "a test");
    return NULL;
}

static void updates_of_many_threads_are_serialised(void **state)
{
    (void)state;
    static const char *const words[THREADS][2] = {
        {"a:1 b:1", "c:1"}, {"", "a:1 c:1 d:1"}, {"e:1", "a:1"}, {"b:1 c:1", "b:1"}};
    pthread_t threads[THREADS];
    cluster_free(&events.cluster);
    cluster_init(&events.cluster); /* without the log */
    cluster_subscribe(&events.cluster, count_members, NULL);
    members_now = 0;
    adds_up = true;
    for (int i = 0; i < THREADS; i++) {
        lists[i][0] = members_of(words[i][0]);
        lists[i][1] = members_of(words[i][1]);
        assert_int_equal(pthread_create(&threads[i], NULL, publish_often, lists[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_true(adds_up && members_now == events.cluster.topology.count);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_cluster, close_cluster)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(members_are_sorted_and_have_a_scheme),
        TEST(member_that_is_added_twice_is_there_once),
        TEST(member_with_an_address_that_is_too_long_is_refused),
        TEST(too_many_members_are_refused),
        TEST(merged_list_has_the_members_of_both),
        TEST(first_topology_with_members_is_published),
        TEST(first_topology_is_published_even_if_empty),
        TEST(same_topology_is_published_once_whatever_its_order),
        TEST(joined_and_left_are_published),
        TEST(blocked_member_counts_as_left),
        TEST(change_of_the_blocked_members_alone_is_published),
        TEST(change_of_a_name_alone_is_published),
        TEST(announcements_have_a_kind_and_a_reason),
        TEST(subscribers_are_called_in_order),
        TEST(too_many_subscribers_are_refused),
        TEST(updates_of_many_threads_are_serialised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
