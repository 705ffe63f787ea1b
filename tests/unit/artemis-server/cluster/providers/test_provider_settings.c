/* SPDX-License-Identifier: Apache-2.0
 *
 * The settings that the thread of a provider takes after a reload: only its section, the last of
 * several reloads, and none where nothing of it has changed.
 */
#include "artemis-server/cluster/providers/provider_settings.h"

#include <stdlib.h>
#include <string.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

static struct config *config;
static struct provider_settings settings;

static void set(const char *key, const char *text)
{
    struct config_problem problem;
    if (config_set_text(config, key, text, "a test", &problem))
        fail_msg("%s", problem.text);
}

static int set_up(void **state)
{
    (void)state;
    config = calloc(1, sizeof *config);
    config_init(config, "host", 1);
    set("cluster.etcd.endpoints", "127.0.0.1:1,127.0.0.1:2");
    set("cluster.etcd.ca", "/ca.pem");
    set("cluster.etcd.ttl_secs", "10");
    set("cluster.kubernetes.lease_secs", "15");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    provider_settings_free(&settings);
    config_free(config);
    free(config);
    return 0;
}

static void init(void)
{
    assert_int_equal(provider_settings_init(&settings, "cluster.etcd.", config), ERR_NONE);
}

static void thread_has_a_copy_of_its_section(void **state)
{
    (void)state;
    init();
    set("cluster.etcd.endpoints", "127.0.0.1:9");
    const struct config_list *endpoints = &settings.current->cluster.etcd.endpoints;
    assert_int_equal(endpoints->count, 2);
    assert_string_equal(endpoints->items[1], "127.0.0.1:2");
    assert_string_equal(settings.current->cluster.etcd.ca, "/ca.pem");
    assert_int_equal(settings.current->cluster.kubernetes.lease_secs, 0);
    assert_false(provider_settings_take(&settings));
}

static void changed_section_is_taken_once(void **state)
{
    (void)state;
    init();
    set("cluster.etcd.endpoints", "127.0.0.1:3");
    assert_true(provider_settings_reload(&settings, config));
    assert_int_equal(settings.current->cluster.etcd.endpoints.count, 2); /* until it is taken */
    set("cluster.etcd.ttl_secs", "20");
    assert_true(provider_settings_reload(&settings, config)); /* before the thread took the first */
    assert_true(provider_settings_take(&settings));
    assert_string_equal(settings.current->cluster.etcd.endpoints.items[0], "127.0.0.1:3");
    assert_int_equal(settings.current->cluster.etcd.ttl_secs, 20);
    assert_false(provider_settings_take(&settings));
}

static void other_sections_are_no_change(void **state)
{
    (void)state;
    init();
    set("cluster.kubernetes.lease_secs", "30");
    assert_false(provider_settings_reload(&settings, config));
    set("cluster.etcd.ca", "/ca.pem"); /* as before */
    assert_false(provider_settings_reload(&settings, config));
    assert_false(provider_settings_take(&settings));
}

static void settings_stay_without_memory(void **state)
{
    (void)state;
    init();
    set("cluster.etcd.ttl_secs", "20");
    for (long n = 1;; n++) {
        failing_malloc_after(n);
        bool has_changed = provider_settings_reload(&settings, config);
        bool has_failed = failing_malloc_happened();
        failing_malloc_after(-1);
        assert_int_equal(has_changed, !has_failed);
        if (!has_failed)
            break;
        assert_false(provider_settings_take(&settings));
    }
    assert_int_equal(settings.current->cluster.etcd.ttl_secs, 10);
    assert_true(provider_settings_take(&settings));
    assert_int_equal(settings.current->cluster.etcd.ttl_secs, 20);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(thread_has_a_copy_of_its_section),
        TEST(changed_section_is_taken_once),
        TEST(other_sections_are_no_change),
        TEST(settings_stay_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
