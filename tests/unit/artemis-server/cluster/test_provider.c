/* SPDX-License-Identifier: Apache-2.0
 *
 * Membership providers: `static` publishes the members of the settings once, `memory` those that a
 * test sets, and both publish their start, failure and stop.
 */
#include "artemis-server/cluster/provider.h"

#include <stdlib.h>

#include "tests/unit/artemis-server/cluster/cluster_fixture.h"

static struct config config;
static struct provider provider;

static void settings_with(char **peers, size_t count)
{
    memset(&config, 0, sizeof(config));
    config.cluster.peers.items = peers;
    config.cluster.peers.count = count;
    provider_init(&provider, &config);
}

static void static_publishes_the_settings_and_then_startup(void **state)
{
    (void)state;
    char *peers[] = {"b:1", "http://a:1", "b:1"};
    settings_with(peers, 3);
    assert_string_equal(provider.kind->name, "static");
    assert_int_equal(provider_start(&provider, &events.cluster), ERR_NONE);
    expect_events("updated [a:1 b:1] +[a:1 b:1] -[] ![]\nstartup\n");
}

static void static_without_peers_publishes_an_empty_topology(void **state)
{
    (void)state;
    settings_with(NULL, 0);
    assert_int_equal(provider_start(&provider, &events.cluster), ERR_NONE);
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
    assert_int_equal(provider_start(&provider, &events.cluster), ERR_TOO_MANY_ITEMS);
    expect_events("startup-failed: cluster.peers: too many addresses, or one that is too long\n");
    provider_stop(&provider); /* it did not start: no event */
    expect_events("");
}

static void static_reads_the_settings_again(void **state)
{
    (void)state;
    char *before[] = {"a:1", "b:1"};
    char *after[] = {"b:1", "c:1"};
    settings_with(before, 2);
    provider_reload(&provider); /* not started */
    expect_events("");
    assert_int_equal(provider_start(&provider, &events.cluster), ERR_NONE);
    expect_events("updated [a:1 b:1] +[a:1 b:1] -[] ![]\nstartup\n");
    config.cluster.peers.items = after;
    assert_int_equal(provider_check(&config), ERR_NONE);
    provider_reload(&provider);
    expect_events("updated [b:1 c:1] +[c:1] -[a:1] ![]\n");
    provider_reload(&provider);
    expect_events("");
}

static void stop_is_published_once(void **state)
{
    (void)state;
    settings_with(NULL, 0);
    assert_int_equal(provider_start(&provider, &events.cluster), ERR_NONE);
    events.text[0] = '\0';
    provider_stop(&provider);
    provider_stop(&provider);
    expect_events("shutdown\n");
}

static void memory_publishes_what_is_set(void **state)
{
    (void)state;
    struct member_list list = members_of("a:1 b:1");
    struct member_list blocked = members_of("b:1");
    provider_init_memory(&provider);
    assert_string_equal(provider.kind->name, "memory");
    assert_int_equal(provider_start(&provider, &events.cluster), ERR_NONE);
    provider_set_members(&provider, &list, NULL);
    provider_set_members(&provider, &list, NULL);
    provider_set_members(&provider, &list, &blocked);
    expect_events("startup\nupdated [a:1 b:1] +[a:1 b:1] -[] ![]\n"
                  "updated [a:1] +[] -[b:1] ![b:1]\n");
}

static void memory_publishes_nothing_before_start_and_after_stop(void **state)
{
    (void)state;
    struct member_list list = members_of("a:1");
    provider_init_memory(&provider);
    provider_set_members(&provider, &list, NULL);
    expect_events("");
    assert_int_equal(provider_start(&provider, &events.cluster), ERR_NONE);
    provider_stop(&provider);
    provider_set_members(&provider, &list, NULL);
    expect_events("startup\nshutdown\n");
}

static void restarted_provider_does_not_publish_the_same_topology_again(void **state)
{
    (void)state;
    char *peers[] = {"a:1"};
    settings_with(peers, 1);
    assert_int_equal(provider_start(&provider, &events.cluster), ERR_NONE);
    provider_stop(&provider);
    events.text[0] = '\0';
    assert_int_equal(provider_start(&provider, &events.cluster), ERR_NONE);
    expect_events("startup\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_cluster, close_cluster)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(static_publishes_the_settings_and_then_startup),
        TEST(static_without_peers_publishes_an_empty_topology),
        TEST(static_with_too_many_peers_fails_with_a_reason),
        TEST(static_reads_the_settings_again),
        TEST(stop_is_published_once),
        TEST(memory_publishes_what_is_set),
        TEST(memory_publishes_nothing_before_start_and_after_stop),
        TEST(restarted_provider_does_not_publish_the_same_topology_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
