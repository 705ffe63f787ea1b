/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of settings is checked against CONTRACT 7 (keys and defaults) and against itself; then
 * keys and sources. Values: test_config_value.c. Rules: test_config_rules.c.
 */
#include "artemis-core/config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cmocka_all.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct config config;
static struct config_problem problem;

static int set_up(void **state)
{
    (void)state;
    config_init(&config, "host-17", 8);
    problem.text[0] = '\0';
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    config_free(&config);
    return 0;
}

static enum error set(const char *key, const char *text)
{
    return config_set_text(&config, key, text, "--set", &problem);
}

static void check_set(const char *key, const char *text)
{
    if (set(key, text) != ERR_NONE)
        fail_msg("%s = %s: %s", key, text, problem.text);
}

static void check_shown(const char *key, const char *expected)
{
    struct text shown = {0};
    config_write_text(&shown, &config, config_find(key));
    assert_string_equal(text_string(&shown), expected);
    text_free(&shown);
}

/* --- the table -------------------------------------------------------------------------------- */

/* Without the prose: docs/CONTRACT.md, section 7. */
static const char *const defaults[][2] = {
    {"server.node_id", "host-17"},
    {"server.listen_addr", "127.0.0.1:8080"},
    {"server.tls_listen_addr", ""},
    {"server.allow_insecure", "false"},
    {"server.region", "local"},
    {"server.zone", "zone1"},
    {"server.threads", "8"},
    {"server.max_body_bytes", "4 MiB"},
    {"server.max_connections", "10000"},
    {"server.max_connections_per_address", "0"},
    {"server.default_casing", "snake_case"},
    {"cluster.enabled", "false"},
    {"cluster.cluster_id", "artemis"},
    {"cluster.token", ""},
    {"cluster.token_file", ""},
    {"cluster.peers", ""},
    {"cluster.provider", "static"},
    {"cluster.seeds", ""},
    {"cluster.dns.names", ""},
    {"cluster.dns.servers", ""},
    {"cluster.dns.min_interval_secs", "1"},
    {"cluster.dns.max_interval_secs", "60"},
    {"cluster.kubernetes.service", ""},
    {"cluster.kubernetes.peer_port", ""},
    {"cluster.kubernetes.api_server", ""},
    {"cluster.kubernetes.account_dir", "/var/run/secrets/kubernetes.io/serviceaccount"},
    {"cluster.kubernetes.lease_secs", "15"},
    {"cluster.remote.batch_ms", "0"},
    {"cluster.remote.gzip", "true"},
    {"cluster.etcd.endpoints", ""},
    {"cluster.etcd.prefix", "/artemis"},
    {"cluster.etcd.credentials_file", ""},
    {"cluster.etcd.token_file", ""},
    {"cluster.etcd.ca", ""},
    {"cluster.etcd.cert", ""},
    {"cluster.etcd.key", ""},
    {"cluster.etcd.ttl_secs", "10"},
    {"cluster.consul.address", "127.0.0.1:8500"},
    {"cluster.consul.service", "artemis"},
    {"cluster.consul.token", ""},
    {"cluster.consul.token_file", ""},
    {"cluster.consul.ca", ""},
    {"cluster.consul.cert", ""},
    {"cluster.consul.key", ""},
    {"cluster.consul.ttl_secs", "10"},
    {"cluster.expected_nodes", "0"},
    {"cluster.health_interval_secs", "5"},
    {"cluster.bootstrap_grace_secs", "30"},
    {"cluster.max_clock_skew_secs", "3600"},
    {"cluster.advertise_addr", "127.0.0.1:8080"},
    {"cluster.listen_addr", ""},
    {"cluster.tls.cert", ""},
    {"cluster.tls.key", ""},
    {"cluster.tls.ca", ""},
    {"cluster.tls.member_name", ""},
    {"tls.cert", ""},
    {"tls.key", ""},
    {"tls.client_ca", ""},
    {"tls.require_client_cert", "false"},
    {"tls.min_version", "1.2"},
    {"tls.max_handshakes_per_address", "0"},
    {"replication.enabled", "true"},
    {"replication.timeout_secs", "5"},
    {"replication.batch_size", "100"},
    {"replication.batch_interval_ms", "100"},
    {"replication.max_retries", "3"},
    {"replication.anti_entropy_secs", "10"},
    {"replication.tombstone_secs", "600"},
    {"lease.ttl_secs", "30"},
    {"lease.cleanup_interval_secs", "60"},
    {"lease.guard_percent", "85"},
    {"lease.guard_min_leases", "50"},
    {"lease.guard_max_secs", "300"},
    {"cache.enabled", "true"},
    {"cache.expiry_secs", "300"},
    {"ratelimit.enabled", "true"},
    {"ratelimit.requests_per_second", "10000"},
    {"ratelimit.burst_size", "5000"},
    {"ratelimit.client_requests_per_second", "0"},
    {"ratelimit.client_burst_size", "1000"},
    {"ratelimit.client_events_per_second", "100"},
    {"registry.max_instances_per_service", "0"},
    {"storage.data_dir", ""},
    {"storage.commit_interval_ms", "200"},
    {"audit.max_file_bytes", "16 MiB"},
    {"audit.max_files", "5"},
    {"admin.socket", ""},
    {"log.level", "info"},
    {"log.format", "text"},
};

static void defaults_are_those_of_the_contract(void **state)
{
    (void)state;
    assert_int_equal(config_setting_count, COUNT(defaults));
    assert_int_equal(config_validate(&config, &problem), ERR_NONE);
    for (size_t i = 0; i < config_setting_count; i++) {
        assert_string_equal(config_settings[i].key, defaults[i][0]);
        check_shown(defaults[i][0], defaults[i][1]);
        assert_string_equal(config_source(&config, &config_settings[i]), "default");
    }
}

static void every_setting_is_documented(void **state)
{
    (void)state;
    for (size_t i = 0; i < config_setting_count; i++) {
        const struct config_setting *setting = &config_settings[i];
        struct text allowed = {0};
        config_write_allowed(&allowed, setting);
        assert_string_not_equal(text_string(&allowed), "");
        text_free(&allowed);
        assert_true(setting->default_value || setting->default_note);
        assert_int_equal(setting->description[strlen(setting->description) - 1], '.');
        assert_null(strchr(setting->description, '|'));
        assert_ptr_equal(config_find(setting->key), setting);
    }
}

/* --- keys and sources ------------------------------------------------------------------------- */

static void unknown_key_is_rejected_with_the_closest_key(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"server.node_di", "server.node_id"},
        {"sever.threads", "server.threads"},
        {"servers.thread", "server.threads"},
        {"log.levl", "log.level"},
        {"lease.ttl", "lease.ttl_secs"},
        {"threads", "server.threads"},
        {"lease.threads", "server.threads"},
        {"server.listen-addr", "server.listen_addr"},
        {"enabled", NULL}, /* of which section? */
        {"lease.enabled_at_all", NULL},
        {"server", NULL},
        {"server.", NULL},
        {"", NULL},
        {"x", NULL},
        {"a.key.that.is.longer.than.any.key.there.will.ever.be.in.the.table", NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char expected[CONFIG_PROBLEM_BYTES];
        snprintf(expected, sizeof(expected), "--set: unknown setting \"%.60s\"; did you mean %s?",
                 cases[i][0], cases[i][1] ? cases[i][1] : "");
        assert_int_equal(set(cases[i][0], "1"), ERR_INVALID_FIELD);
        if (cases[i][1])
            assert_string_equal(problem.text, expected);
        else
            assert_null(strstr(problem.text, "did you mean"));
    }
}

static void key_is_quoted_in_the_message(void **state)
{
    (void)state;
    assert_int_equal(set("a\033[2J", "1"), ERR_INVALID_FIELD);
    assert_null(strchr(problem.text, '\033'));
}

static void section_needs_its_whole_name(void **state)
{
    (void)state;
    assert_true(config_has_section(SLICE("server")));
    assert_true(config_has_section(SLICE("log")));
    assert_false(config_has_section(SLICE("serve")));
    assert_false(config_has_section(SLICE("server.node_id")));
    assert_false(config_has_section(SLICE("")));
}

static void source_is_the_last_one(void **state)
{
    (void)state;
    const struct config_setting *ttl = config_find("lease.ttl_secs");
    assert_int_equal(config_set_text(&config, ttl->key, "5", "f:3", &problem), ERR_NONE);
    assert_string_equal(config_source(&config, ttl), "f:3");
    check_set("lease.ttl_secs", "6");
    assert_string_equal(config_source(&config, ttl), "--set");
    assert_int_equal(set("lease.ttl_secs", "0"), ERR_INVALID_FIELD);
    assert_string_equal(config_source(&config, ttl), "--set");
    assert_int_equal(config.lease.ttl_secs, 6);
}

static void long_source_keeps_its_end(void **state)
{
    (void)state;
    char source[400];
    memset(source, 'd', sizeof(source));
    strcpy(source + sizeof(source) - 9, "a.toml:1");
    assert_int_equal(config_set_text(&config, "lease.ttl_secs", "5", source, &problem), ERR_NONE);
    const char *kept = config_source(&config, config_find("lease.ttl_secs"));
    assert_int_equal(strlen(kept), CONFIG_SOURCE_BYTES - 1);
    assert_memory_equal(kept, "...ddd", 6);
    assert_string_equal(kept + strlen(kept) - 8, "a.toml:1");
}

static void source_with_invalid_utf8_is_replaced(void **state)
{
    (void)state;
    const struct config_setting *ttl = config_find("lease.ttl_secs");
    assert_int_equal(config_set_text(&config, ttl->key, "5", "\xff.toml:1", &problem), ERR_NONE);
    assert_string_equal(config_source(&config, ttl), "?.toml:1");
    assert_int_equal(config_set_text(&config, ttl->key, "5", "\xc3\xbc.toml:1", &problem),
                     ERR_NONE);
    assert_string_equal(config_source(&config, ttl), "\xc3\xbc.toml:1");
}

/* --- the whole -------------------------------------------------------------------------------- */

static void host_gives_node_id_and_threads(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t cores;
        const char *node_id;
        uint32_t threads;
    } cases[] = {
        {"h", 1, "h", 1},
        {"", 0, "localhost", 1},
        {"a\nb", 1000, "localhost", 256},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        config_init(&config, cases[i].name, cases[i].cores);
        assert_string_equal(config.server.node_id, cases[i].node_id);
        assert_int_equal(config.server.threads, cases[i].threads);
    }
}

static void same_compares_values_without_sources(void **state)
{
    (void)state;
    struct config other;
    config_init(&other, "host-17", 8);
    check_set("lease.ttl_secs", "30");
    for (size_t i = 0; i < config_setting_count; i++)
        assert_true(config_same(&config, &other, &config_settings[i]));
    static const char *const changes[][2] = {
        {"server.zone", "z"},  {"lease.ttl_secs", "31"},          {"cluster.enabled", "true"},
        {"log.level", "warn"}, {"server.max_body_bytes", "2048"}, {"cluster.peers", "a:1"},
    };
    for (size_t i = 0; i < COUNT(changes); i++) {
        check_set(changes[i][0], changes[i][1]);
        assert_false(config_same(&config, &other, config_find(changes[i][0])));
    }
    assert_int_equal(config_set_text(&other, "cluster.peers", "a:2", "", &problem), ERR_NONE);
    assert_false(config_same(&config, &other, config_find("cluster.peers")));
    config_free(&other);
}

static void json_has_the_types_of_the_values(void **state)
{
    (void)state;
    static const char *const keys[] = {"server.zone", "server.max_body_bytes", "cluster.enabled",
                                       "cluster.peers", "log.level"};
    struct text out = {0};
    struct json_writer w = jw_to(&out, CASING_SNAKE);
    check_set("cluster.peers", "a:1,b:2");
    jw_open(&w, '[');
    for (size_t i = 0; i < COUNT(keys); i++)
        config_write_json(&w, &config, config_find(keys[i]));
    jw_close(&w, ']');
    assert_string_equal(text_string(&out), "[\"zone1\",4194304,false,[\"a:1\",\"b:2\"],\"info\"]");
    text_free(&out);
}

static void secrets_are_masked(void **state)
{
    (void)state;
    struct config_setting secret = *config_find("server.zone");
    struct text out = {0};
    struct json_writer w = jw_to(&out, CASING_SNAKE);
    secret.secret = true;
    config_write_text(&out, &config, &secret);
    config_write_json(&w, &config, &secret);
    assert_string_equal(text_string(&out), "***\"***\"");
    text_free(&out);
}

static void free_twice_and_null_are_harmless(void **state)
{
    (void)state;
    check_set("cluster.peers", "a:1");
    config_free(&config);
    config_free(&config);
    config_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* What a reload takes over: values and lists of their own, with the source. */
static void reloadable_settings_are_copied(void **state)
{
    (void)state;
    struct config from;
    struct config to;
    struct config_problem found;
    config_init(&from, "host", 2);
    config_init(&to, "host", 2);
    assert_int_equal(config_set_text(&from, "cluster.peers", "a:1,b:2", "--set", &found), ERR_NONE);
    assert_int_equal(config_set_text(&from, "log.level", "debug", "--set", &found), ERR_NONE);
    assert_int_equal(config_set_text(&from, "ratelimit.enabled", "false", "x:3", &found), ERR_NONE);
    assert_int_equal(config_set_text(&from, "ratelimit.burst_size", "7", "x:4", &found), ERR_NONE);
    for (size_t i = 0; i < config_setting_count; i++)
        if (config_settings[i].reloadable)
            assert_int_equal(config_copy(&to, &from, &config_settings[i]), ERR_NONE);
    for (size_t i = 0; i < config_setting_count; i++) {
        assert_true(config_same(&from, &to, &config_settings[i]));
        assert_string_equal(config_source(&from, &config_settings[i]),
                            config_source(&to, &config_settings[i]));
    }
    config_free(&from);
    assert_string_equal(to.cluster.peers.items[1], "b:2");
    config_free(&to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(defaults_are_those_of_the_contract),
        TEST(every_setting_is_documented),
        TEST(unknown_key_is_rejected_with_the_closest_key),
        TEST(key_is_quoted_in_the_message),
        TEST(section_needs_its_whole_name),
        TEST(source_is_the_last_one),
        TEST(long_source_keeps_its_end),
        TEST(source_with_invalid_utf8_is_replaced),
        TEST(host_gives_node_id_and_threads),
        TEST(same_compares_values_without_sources),
        TEST(json_has_the_types_of_the_values),
        TEST(secrets_are_masked),
        TEST(free_twice_and_null_are_harmless),
        cmocka_unit_test(reloadable_settings_are_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
