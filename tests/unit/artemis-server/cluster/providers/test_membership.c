/* SPDX-License-Identifier: Apache-2.0
 *
 * The membership: `static` publishes the members of the settings; the lists of several providers
 * are merged; a provider that fails keeps its list; start, failure and stop are published.
 */
#include "artemis-server/cluster/providers/membership.h"

#include <stdlib.h>

#include "artemis-server/cluster/providers/member_address.h"
#include "tests/unit/artemis-server/cluster/cluster_fixture.h"

static struct config config;
static struct membership membership;
static struct provider_status status[PROVIDERS_MAX];

/* --- providers of the test -------------------------------------------------------------------- */

static struct provider *first, *second;
static unsigned stops;

/* Publishes nothing by itself. Its failure is what counts as its first publication. */
static enum error start_first(struct provider *provider, const char **reason)
{
    (void)reason;
    first = provider;
    provider_fail(provider, "nothing is known yet");
    return ERR_NONE;
}

static enum error start_second(struct provider *provider, const char **reason)
{
    second = provider;
    if (config.cluster.enabled) {
        *reason = "the second one cannot start";
        return ERR_SYSTEM;
    }
    provider_fail(provider, "nothing is known yet");
    return ERR_NONE;
}

static void stop_counted(struct provider *provider)
{
    (void)provider;
    stops++;
}

static const struct provider_kind first_kind = {"first", start_first, NULL, stop_counted};
static const struct provider_kind second_kind = {"second", start_second, NULL, stop_counted};

static enum error start_two(void)
{
    static const struct provider_kind *const kinds[] = {&first_kind, &second_kind};
    membership_init_with(&membership, kinds, 2, &config, NULL);
    return membership_start(&membership, &events.cluster);
}

static void publish(struct provider *provider, const char *words)
{
    struct member_list list = members_of(words);
    provider_publish(provider, &list, "a test");
}

static void settings_with(char **peers, size_t count)
{
    config.cluster.peers.items = peers;
    config.cluster.peers.count = count;
    membership_init(&membership, &config, NULL);
}

static int set_up(void **state)
{
    memset(&config, 0, sizeof(config));
    stops = 0;
    return open_cluster(state);
}

static int tear_down(void **state)
{
    membership_stop(&membership);
    membership_free(&membership);
    return close_cluster(state);
}

/* --- static ----------------------------------------------------------------------------------- */

static void static_publishes_the_settings_and_then_startup(void **state)
{
    (void)state;
    char *peers[] = {"b:1", "http://a:1", "b:1"};
    settings_with(peers, 3);
    assert_int_equal(membership_start(&membership, &events.cluster), ERR_NONE);
    expect_events("updated [a:1 b:1] +[a:1 b:1] -[] ![]\nstartup\n");
    assert_int_equal(membership_status(&membership, status), 1);
    assert_string_equal(status[0].name, "static");
    assert_string_equal(status[0].problem, "");
    assert_int_equal(status[0].members, 2);
}

static void static_without_peers_publishes_an_empty_topology(void **state)
{
    (void)state;
    settings_with(NULL, 0);
    assert_int_equal(membership_start(&membership, &events.cluster), ERR_NONE);
    expect_events("updated [] +[] -[] ![]\nstartup\n");
}

static void static_with_too_many_peers_fails_with_a_reason(void **state)
{
    (void)state;
    char addresses[MEMBERS_MAX + 1][16];
    char *peers[MEMBERS_MAX + 1];
    for (int i = 0; i <= MEMBERS_MAX; i++) {
        snprintf(addresses[i], sizeof(addresses[i]), "n%d:1", i);
        peers[i] = addresses[i];
    }
    settings_with(peers, MEMBERS_MAX + 1);
    assert_int_equal(membership_check(&config), ERR_TOO_MANY_ITEMS);
    assert_int_equal(membership_start(&membership, &events.cluster), ERR_TOO_MANY_ITEMS);
    expect_events("startup-failed: cluster.peers: too many addresses, or one that is too long\n");
    membership_stop(&membership); /* it did not start: no event */
    expect_events("");
}

static void static_reads_the_settings_again(void **state)
{
    (void)state;
    char *before[] = {"a:1", "b:1"};
    char *after[] = {"b:1", "c:1"};
    settings_with(before, 2);
    membership_reload(&membership); /* not started */
    expect_events("");
    assert_int_equal(membership_start(&membership, &events.cluster), ERR_NONE);
    expect_events("updated [a:1 b:1] +[a:1 b:1] -[] ![]\nstartup\n");
    config.cluster.peers.items = after;
    assert_int_equal(membership_check(&config), ERR_NONE);
    membership_reload(&membership);
    expect_events("updated [b:1 c:1] +[c:1] -[a:1] ![]\n");
    membership_reload(&membership);
    expect_events("");
}

static void members_of_a_node_with_tls_have_https_and_their_names(void **state)
{
    (void)state;
    struct member_list list = {0};
    membership_init(&membership, &config, NULL);
    assert_int_equal(member_address_add(&list, &config, "10.0.0.1:1", "n.example"), ERR_NONE);
    assert_string_equal(list.items[0].url, "http://10.0.0.1:1");
    assert_string_equal(list.items[0].name, ""); /* plain HTTP verifies none */
    snprintf(config.cluster.tls.cert, sizeof(config.cluster.tls.cert), "node.pem");
    list.count = 0;
    assert_int_equal(member_address_add(&list, &config, "10.0.0.1:1", "n.example"), ERR_NONE);
    assert_int_equal(member_address_add(&list, &config, "https://b:1", ""), ERR_NONE);
    assert_string_equal(list.items[0].url, "https://10.0.0.1:1");
    assert_string_equal(list.items[0].name, "n.example");
    assert_string_equal(list.items[1].url, "https://b:1");
}

/* --- start and stop --------------------------------------------------------------------------- */

static void stop_is_published_once(void **state)
{
    (void)state;
    assert_int_equal(start_two(), ERR_NONE);
    expect_events("provider-failed: first: nothing is known yet\n"
                  "provider-failed: second: nothing is known yet\nstartup\n");
    membership_stop(&membership);
    membership_stop(&membership);
    expect_events("shutdown\n");
    assert_int_equal(stops, 2);
}

static void provider_that_cannot_start_stops_the_others(void **state)
{
    (void)state;
    config.cluster.enabled = true;
    assert_int_equal(start_two(), ERR_SYSTEM);
    expect_events("provider-failed: first: nothing is known yet\n"
                  "startup-failed: the second one cannot start\n");
    assert_int_equal(stops, 1);
    membership_stop(&membership);
    assert_int_equal(stops, 1);
    expect_events("");
}

static void restarted_provider_does_not_publish_the_same_topology_again(void **state)
{
    (void)state;
    char *peers[] = {"a:1"};
    settings_with(peers, 1);
    assert_int_equal(membership_start(&membership, &events.cluster), ERR_NONE);
    membership_stop(&membership);
    events.text[0] = '\0';
    assert_int_equal(membership_start(&membership, &events.cluster), ERR_NONE);
    expect_events("startup\n");
}

/* --- several providers ------------------------------------------------------------------------ */

static void lists_of_all_providers_are_merged(void **state)
{
    (void)state;
    assert_int_equal(start_two(), ERR_NONE);
    events.text[0] = '\0';
    publish(first, "b:1 a:1");
    publish(second, "b:1 c:1");
    publish(first, "a:1"); /* b stays: the second one has it too */
    publish(second, "c:1");
    publish(second, "c:1"); /* the same again */
    publish(second, "");
    expect_events("updated [a:1 b:1] +[a:1 b:1] -[] ![]\n"
                  "updated [a:1 b:1 c:1] +[c:1] -[] ![]\n"
                  "updated [a:1 c:1] +[] -[b:1] ![]\n"
                  "updated [a:1] +[] -[c:1] ![]\n");
}

/* Otherwise the node would be ready without the data of the members that only the second knows. */
static void empty_list_is_no_topology_before_all_are_published(void **state)
{
    (void)state;
    assert_int_equal(start_two(), ERR_NONE);
    events.text[0] = '\0';
    publish(first, "");
    membership_on_blocks(&membership, "a test");
    publish(first, "");
    expect_events("");
    publish(second, "a:1");
    publish(second, "");
    expect_events("updated [a:1] +[a:1] -[] ![]\nupdated [] +[] -[a:1] ![]\n");
    membership_stop(&membership);
    membership_free(&membership);
    (void)close_cluster(NULL);
    (void)open_cluster(NULL);
    assert_int_equal(start_two(), ERR_NONE);
    events.text[0] = '\0';
    publish(first, "");
    expect_events("");
    publish(second, ""); /* now it is known that there are none */
    expect_events("updated [] +[] -[] ![]\n");
}

/* A node with cluster.peers = [] and another provider, such as dns, that fails at the start. */
static void static_without_peers_waits_for_the_list_of_another(void **state)
{
    (void)state;
    static const struct provider_kind *const kinds[] = {&provider_static, &second_kind};
    membership_init_with(&membership, kinds, 2, &config, NULL);
    assert_int_equal(membership_start(&membership, &events.cluster), ERR_NONE);
    membership_reload(&membership);
    expect_events("provider-failed: second: nothing is known yet\nstartup\n");
    publish(second, "a:1");
    expect_events("updated [a:1] +[a:1] -[] ![]\n");
}

static void failing_provider_keeps_its_last_list(void **state)
{
    (void)state;
    assert_int_equal(start_two(), ERR_NONE);
    publish(first, "a:1");
    publish(second, "b:1");
    events.text[0] = '\0';
    provider_fail(first, "it does not respond");
    provider_fail(first, "it does not respond again");
    expect_events("");
    assert_int_equal(membership_status(&membership, status), 2);
    assert_string_equal(status[0].problem, "it does not respond again");
    assert_int_equal(status[0].failures, 3);
    assert_int_equal(status[0].members, 1);
    assert_int_not_equal(status[0].failing_since_wall_ms, 0);
    publish(second, "c:1"); /* the list of the failing one still counts */
    expect_events("updated [a:1 c:1] +[c:1] -[b:1] ![]\n");
    publish(first, "a:1");
    provider_recover(first);
    provider_recover(first);
    expect_events("provider-recovered: first\n");
    membership_status(&membership, status);
    assert_string_equal(status[0].problem, "");
    assert_int_equal(status[0].failures, 3);
}

static void long_problem_and_warning_are_not_cut_within_a_character(void **state)
{
    (void)state;
    assert_int_equal(start_two(), ERR_NONE);
    for (int shift = 0; shift < 3; shift++) {
        char text[800];
        snprintf(text, sizeof text, "%.*s", shift, "xx");
        for (int i = 0; i < 200; i++)
            strcat(text, "\xe2\x82\xac");
        provider_recover(first);
        events.text[0] = '\0';
        provider_fail(first, text);
        provider_warn(first, text);
        membership_status(&membership, status);
        assert_in_range(strlen(status[0].problem), PROVIDER_PROBLEM_BYTES - 3,
                        PROVIDER_PROBLEM_BYTES);
        assert_true(text_is_utf8(slice_of(status[0].problem)));
        assert_true(text_is_utf8(slice_of(status[0].warning)));
        assert_true(text_is_utf8(slice_of(events.text)));
    }
}

static void members_beyond_the_limit_are_left_out(void **state)
{
    (void)state;
    struct member_list lists[2] = {0};
    char address[16];
    for (int i = 0; i < MEMBERS_MAX; i++) {
        snprintf(address, sizeof(address), "n%d:1", i);
        assert_int_equal(member_list_add(&lists[0], address), ERR_NONE);
    }
    assert_int_equal(member_list_add(&lists[1], "n0:1"), ERR_NONE);
    assert_int_equal(member_list_add(&lists[1], "late:1"), ERR_NONE);
    assert_int_equal(start_two(), ERR_NONE);
    provider_publish(first, &lists[0], "a test");
    provider_publish(second, &lists[1], "a test");
    cluster_members(&events.cluster, &lists[1]);
    assert_int_equal(lists[1].count, MEMBERS_MAX);
    assert_false(member_list_has(&lists[1], "http://late:1"));
    assert_int_equal(membership.left_out, 1);
    publish(first, "a:1");
    assert_int_equal(membership.left_out, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(static_publishes_the_settings_and_then_startup),
        TEST(static_without_peers_publishes_an_empty_topology),
        TEST(static_with_too_many_peers_fails_with_a_reason),
        TEST(static_reads_the_settings_again),
        TEST(members_of_a_node_with_tls_have_https_and_their_names),
        TEST(stop_is_published_once),
        TEST(provider_that_cannot_start_stops_the_others),
        TEST(restarted_provider_does_not_publish_the_same_topology_again),
        TEST(lists_of_all_providers_are_merged),
        TEST(empty_list_is_no_topology_before_all_are_published),
        TEST(static_without_peers_waits_for_the_list_of_another),
        TEST(failing_provider_keeps_its_last_list),
        TEST(long_problem_and_warning_are_not_cut_within_a_character),
        TEST(members_beyond_the_limit_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
