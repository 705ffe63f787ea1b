/* SPDX-License-Identifier: Apache-2.0
 *
 * What a setting of each type accepts and refuses, mostly by the text of --set, and the messages. A
 * refused value leaves the config unchanged.
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

/* The message begins with "--set: KEY: EXPECTED"; how a value is quoted is the matter of
 * text_quote. */
static void check_rejected(const char *key, const char *text, const char *expected)
{
    char message[CONFIG_PROBLEM_BYTES];
    snprintf(message, sizeof(message), "--set: %s: %s", key, expected);
    assert_int_equal(set(key, text), ERR_INVALID_FIELD);
    if (strncmp(problem.text, message, strlen(message)) != 0)
        fail_msg("expected \"%s\", got \"%s\"", message, problem.text);
}

static void check_shown(const char *key, const char *expected)
{
    struct text shown = {0};
    config_write_text(&shown, &config, config_find(key));
    assert_string_equal(text_string(&shown), expected);
    text_free(&shown);
}

/* --- values ----------------------------------------------------------------------------------- */

static void valid_values_are_accepted(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"server.node_id", "n", "n"},
        {"server.node_id", "node 1 / \xc3\xbc \xe2\x82\xac \xf0\x9f\x8c\x99", NULL},
        {"server.node_id", "\"quoted\"", "\"quoted\""},
        {"server.listen_addr", "0.0.0.0:0", "0.0.0.0:0"},
        {"server.listen_addr", "[::1]:8080", "[::1]:8080"},
        {"server.listen_addr", "localhost:65535", "localhost:65535"},
        {"server.threads", "256", "256"},
        {"server.max_body_bytes", "1024", "1 KiB"},
        {"server.max_body_bytes", "1 GiB", "1 GiB"},
        {"server.max_body_bytes", "512KiB", "512 KiB"},
        {"server.max_body_bytes", "1025", "1025"},
        {"server.max_connections", "1000000", "1000000"},
        {"cluster.enabled", "true", "true"},
        {"cluster.provider", "static", "static"},
        {"cluster.provider", "[\"static\"]", "static"},
        {"cluster.provider", "", ""},
        {"cluster.advertise_addr", "a.example.com:1", "a.example.com:1"},
        {"cluster.peers", "a:1, http://b:2 ,https://[::1]:3", "a:1,http://b:2,https://[::1]:3"},
        {"cluster.peers", "[::1]:3", "[::1]:3"},
        {"cluster.peers", " [::1]:3, [::2]:4 ", "[::1]:3,[::2]:4"},
        {"cluster.peers", "[\"a:1\", 'b:2',] # two", "a:1,b:2"},
        {"cluster.peers", " [] ", ""},
        {"cluster.provider", "static,dns", "static,dns"},
        {"cluster.dns.names", "n.example:1,_a._tcp.example", "n.example:1,_a._tcp.example"},
        {"cluster.dns.servers", "10.0.0.53:53,[::1]:53", "10.0.0.53:53,[::1]:53"},
        {"cluster.kubernetes.service", "artemis", "artemis"},
        {"cluster.kubernetes.service", "prod-1/artemis", "prod-1/artemis"},
        {"cluster.kubernetes.peer_port", "peer", "peer"},
        {"cluster.kubernetes.peer_port", "65535", "65535"},
        {"cluster.kubernetes.api_server", "https://[fd00::1]:443", "https://[fd00::1]:443"},
        {"cluster.kubernetes.api_server", "", ""},
        {"cluster.peers", "", ""},
        {"lease.ttl_secs", "86400", "86400"},
        {"lease.guard_percent", "0", "0"},
        {"log.level", "debug", "debug"},
        {"log.level", "error", "error"},
        {"log.format", "json", "json"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        check_set(cases[i][0], cases[i][1]);
        check_shown(cases[i][0], cases[i][2] ? cases[i][2] : cases[i][1]);
        assert_string_equal(config_source(&config, config_find(cases[i][0])), "--set");
    }
    assert_int_equal(config.server.max_body_bytes, 1025);
    assert_int_equal(config.log.level, LOG_LEVEL_ERROR);
    assert_int_equal(config.log.format, LOG_FORMAT_JSON);
    assert_true(config.cluster.enabled);
}

#define NAME_RULE                                                                                  \
    "must be text, 1 to 255 bytes of UTF-8, no control character or mark of direction, no blank "  \
    "at an end, is "
#define SIZE_RULE   "must be a size, 1 KiB to 1 GiB, in bytes or with KiB, MiB or GiB, is "
#define LISTEN_RULE "must be text, HOST:PORT, port 0 to 65535, is "
#define NAMES_RULE                                                                                 \
    "must be a list, at most 64 of HOST:PORT or _SERVICE._PROTOCOL.DOMAIN, HOST no address, port " \
    "1 to 65535, is "
#define SERVICE_RULE "must be text, nothing, or NAME or NAMESPACE/NAME of a service, is "
#define PORT_RULE    "must be text, nothing, or the name of a port, or a number, 1 to 65535, is "
#define URL_RULE                                                                                   \
    "must be text, nothing, or http://HOST:PORT or https://HOST:PORT, port 1 to 65535, is "
#define SERVERS_RULE                                                                               \
    "must be a list, at most 64 of ADDRESS:PORT, ADDRESS numeric, port 1 to 65535, is "
#define PEER_RULE                                                                                  \
    "must be text, HOST:PORT or http://HOST:PORT or https://HOST:PORT, port 1 to 65535, is "
#define LABEL_RULE                                                                                 \
    "must be text, 1 to 63 lower-case letters, digits and dashes, no dash at an end, is "
#define PEERS_RULE                                                                                 \
    "must be a list, at most 64 of HOST:PORT or http://HOST:PORT or https://HOST:PORT, "           \
    "port 1 to 65535, is "

static const char *const bad_values[][3] = {
    {"server.node_id", "", NAME_RULE "\"\""},
    {"server.node_id", " n", NAME_RULE "\" n\""},
    {"server.node_id", "n ", NAME_RULE "\"n \""},
    {"server.node_id", "a\nb", NAME_RULE "\"a"},
    {"server.node_id", "a\x7f", NAME_RULE "\"a"},
    {"server.node_id", "a\xe2\x80\xae", NAME_RULE "\"a\\u202e\""},
    {"server.node_id", "a\xc2\x9b", NAME_RULE "\"a\\u009b\""},
    {"server.region", "\xff", NAME_RULE "\""},
    {"server.region", "\xc0\xaf", NAME_RULE "\""},
    {"server.region", "\xe2\x82", NAME_RULE "\""},
    {"server.region", "\xed\xa0\x80", NAME_RULE "\""},
    {"server.region", "\xf4\x90\x80\x80", NAME_RULE "\""},
    {"server.listen_addr", "8080", LISTEN_RULE "\"8080\""},
    {"server.listen_addr", ":8080", LISTEN_RULE "\":8080\""},
    {"server.listen_addr", "h:", LISTEN_RULE "\"h:\""},
    {"server.listen_addr", "h:65536", LISTEN_RULE "\"h:65536\""},
    {"server.listen_addr", "h:-1", LISTEN_RULE "\"h:-1\""},
    {"server.listen_addr", "h:80x", LISTEN_RULE "\"h:80x\""},
    {"server.listen_addr", "h:000080", LISTEN_RULE "\"h:000080\""},
    {"server.listen_addr", "::1:8080", LISTEN_RULE "\"::1:8080\""},
    {"server.listen_addr", "[::g]:8080", LISTEN_RULE "\"[::g]:8080\""},
    {"server.listen_addr", "[]:8080", LISTEN_RULE "\"[]:8080\""},
    {"server.listen_addr", "http://h:80", LISTEN_RULE "\"http://h:80\""},
    {"server.threads", "0", "must be a whole number, 1 to 256, is 0"},
    {"server.threads", "257", "must be a whole number, 1 to 256, is 257"},
    {"server.threads", "-1", "must be a whole number, 1 to 256, is -1"},
    {"server.threads", "4294967297", "must be a whole number, 1 to 256, is 4294967297"},
    {"server.threads", "", "must be a whole number, 1 to 256, is \"\""},
    {"server.threads", "-", "must be a whole number, 1 to 256, is \"-\""},
    {"server.threads", "4x", "must be a whole number, 1 to 256, is \"4x\""},
    {"server.threads", " 4", "must be a whole number, 1 to 256, is \" 4\""},
    {"server.threads", "99999999999999999999",
     "must be a whole number, 1 to 256, is \"99999999999999999999\""},
    {"server.max_body_bytes", "1023", SIZE_RULE "1023"},
    {"server.max_body_bytes", "2 GiB", SIZE_RULE "\"2 GiB\""},
    {"server.max_body_bytes", "9999999999GiB", SIZE_RULE "\"9999999999GiB\""},
    {"server.max_body_bytes", "4 MB", SIZE_RULE "\"4 MB\""},
    {"server.max_body_bytes", "MiB", SIZE_RULE "\"MiB\""},
    {"server.max_body_bytes", "-1", SIZE_RULE "-1"},
    {"server.max_connections", "15", "must be a whole number, 16 to 1000000, is 15"},
    {"cluster.enabled", "yes", "must be true or false, is \"yes\""},
    {"cluster.enabled", "True", "must be true or false, is \"True\""},
    {"cluster.enabled", "1", "must be true or false, is \"1\""},
    {"cluster.provider", "dnf",
     "must be static, dns, registry, etcd, consul or kubernetes, is \"dnf\""},
    {"cluster.consul.address", "a:0", PEER_RULE "\"a:0\""},
    {"cluster.consul.service", "", LABEL_RULE "\"\""},
    {"cluster.consul.service", "a/b", LABEL_RULE "\"a/b\""},
    {"cluster.consul.service", "-a", LABEL_RULE "\"-a\""},
    {"cluster.advertise_addr", "h:0", "must be text, HOST:PORT, port 1 to 65535, is \"h:0\""},
    {"cluster.peers", "a:1,", PEERS_RULE "\"\""},
    {"cluster.dns.names", "n.example", NAMES_RULE "\"n.example\""},
    {"cluster.dns.names", "10.0.0.1:80", NAMES_RULE "\"10.0.0.1:80\""},
    {"cluster.dns.names", "[::1]:80", NAMES_RULE "\"[::1]:80\""},
    {"cluster.dns.names", "n..example:80", NAMES_RULE "\"n..example:80\""},
    {"cluster.dns.names", "n.example:0", NAMES_RULE "\"n.example:0\""},
    {"cluster.dns.names", "http://n.example:80", NAMES_RULE "\"http://n.example:80\""},
    {"cluster.dns.names", "_artemis", NAMES_RULE "\"_artemis\""},
    {"cluster.dns.servers", "n.example:53", SERVERS_RULE "\"n.example:53\""},
    {"cluster.dns.servers", "10.0.0.53", SERVERS_RULE "\"10.0.0.53\""},
    {"cluster.kubernetes.service", "Artemis", SERVICE_RULE "\"Artemis\""},
    {"cluster.kubernetes.service", "a/b/c", SERVICE_RULE "\"a/b/c\""},
    {"cluster.kubernetes.service", "/a", SERVICE_RULE "\"/a\""},
    {"cluster.kubernetes.service", "a/", SERVICE_RULE "\"a/\""},
    {"cluster.kubernetes.service", "-a", SERVICE_RULE "\"-a\""},
    {"cluster.kubernetes.peer_port", "0", PORT_RULE "\"0\""},
    {"cluster.kubernetes.peer_port", "65536", PORT_RULE "\"65536\""},
    {"cluster.kubernetes.peer_port", "a-name-of-sixteen", PORT_RULE "\"a-name-of-sixteen\""},
    {"cluster.kubernetes.api_server", "host:443", URL_RULE "\"host:443\""},
    {"cluster.kubernetes.api_server", "https://host", URL_RULE "\"https://host\""},
    {"cluster.peers", "a:1,b", PEERS_RULE "\"b\""},
    {"cluster.peers", "a:1,b:0", PEERS_RULE "\"b:0\""},
    {"cluster.peers", "http://a:1/", PEERS_RULE "\"http://a:1/\""},
    {"cluster.peers", "ftp://a:1", PEERS_RULE "\"ftp://a:1\""},
    {"cluster.peers", "http://", PEERS_RULE "\"http://\""},
    {"cluster.peers", "[1]", PEERS_RULE "a list of values that are not texts"},
    {"cluster.peers", "['a:1']\nb = 2", "there is more than the list"},
    {"lease.ttl_secs", "86401", "must be a whole number, 1 to 86400, is 86401"},
    {"lease.guard_percent", "101", "must be a whole number, 0 to 100, is 101"},
    {"log.level", "INFO", "must be debug, info, warn or error, is \"INFO\""},
    {"log.level", "", "must be debug, info, warn or error, is \"\""},
    {"log.format", "xml", "must be text or json, is \"xml\""},
};

static void invalid_values_are_rejected(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(bad_values); i++)
        check_rejected(bad_values[i][0], bad_values[i][1], bad_values[i][2]);
    struct config untouched;
    config_init(&untouched, "host-17", 8);
    for (size_t i = 0; i < config_setting_count; i++) {
        assert_true(config_same(&config, &untouched, &config_settings[i]));
        assert_string_equal(config_source(&config, &config_settings[i]), "default");
    }
}

static void malformed_array_is_rejected_with_its_position(void **state)
{
    (void)state;
    assert_int_equal(set("cluster.peers", "['a:1'"), ERR_INVALID_FIELD);
    assert_ptr_equal(strstr(problem.text, "--set: cluster.peers: list:1:"), problem.text);
}

static void text_is_at_most_255_bytes(void **state)
{
    (void)state;
    char text[257];
    memset(text, 'x', sizeof(text));
    text[255] = '\0';
    check_set("server.zone", text);
    check_shown("server.zone", text);
    text[255] = 'x', text[256] = '\0';
    assert_int_equal(set("server.zone", text), ERR_INVALID_FIELD);
    assert_non_null(strstr(problem.text, "... (256 bytes)"));
    memcpy(text + 251, ":8080", 5);
    assert_int_equal(set("server.listen_addr", text), ERR_INVALID_FIELD);
    assert_int_equal(set("cluster.peers", text), ERR_INVALID_FIELD);
}

static void list_has_at_most_64_items(void **state)
{
    (void)state;
    struct text list = {0};
    for (int i = 1; i <= 64; i++)
        text_printf(&list, "%sh:%d", i > 1 ? "," : "", i);
    check_set("cluster.peers", text_string(&list));
    assert_int_equal(config.cluster.peers.count, 64);
    assert_string_equal(config.cluster.peers.items[63], "h:64");
    text_append_string(&list, ",h:65,h:66");
    check_rejected("cluster.peers", text_string(&list), PEERS_RULE "a list of 65");
    assert_int_equal(config.cluster.peers.count, 64);
    text_free(&list);
    check_set("cluster.peers", "a:1");
    check_shown("cluster.peers", "a:1");
}

/* --- typed values ----------------------------------------------------------------------------- */

static enum error set_leaf(void *context, const char *key, const struct toml_value *value,
                           uint32_t line)
{
    char source[16];
    (void)context;
    snprintf(source, sizeof(source), "f:%u", line);
    return config_set(&config, key, value, source, &problem);
}

static enum error set_toml(const char *toml)
{
    char complaint[256] = "";
    enum error code = toml_read("f", slice_of(toml), set_leaf, NULL, complaint, sizeof(complaint));
    assert_string_equal(complaint, "");
    return code;
}

static void values_of_the_wrong_type_are_rejected(void **state)
{
    (void)state;
    static const struct {
        const char *toml;
        const char *message;
    } cases[] = {
        {"server.node_id = 5", NAME_RULE "5"},
        {"server.node_id = ['a']", NAME_RULE "a list of 1"},
        {"server.threads = \"8\"", "must be a whole number, 1 to 256, is \"8\"; write 8"},
        {"server.threads = 8.0", "must be a whole number, 1 to 256, is the number 8.0; write 8"},
        {"server.threads = inf", "must be a whole number, 1 to 256, is the number inf"},
        {"server.threads = 1979-05-27", "must be a whole number, 1 to 256, is the date 1979-05-27"},
        {"server.threads = {}", "must be a whole number, 1 to 256, is a table"},
        {"server.threads = -9223372036854775808",
         "must be a whole number, 1 to 256, is -9223372036854775808"},
        {"server.max_body_bytes = true", SIZE_RULE "true"},
        {"cluster.enabled = \"true\"", "must be true or false, is \"true\"; write true"},
        {"cluster.enabled = 1", "must be true or false, is 1"},
        {"cluster.peers = \"a:1\"", PEERS_RULE "\"a:1\""},
        {"cluster.peers = ['a:1', 2]", PEERS_RULE "a list of values that are not texts"},
        {"log.level = 1", "must be debug, info, warn or error, is 1"},
        {"server = 5", "must be a section, [server], is 5"},
        {"server = 'x'", "must be a section, [server], is \"x\""},
        {"[[lease]]\nx = 1", "must be a section, [lease], is a list of tables"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(set_toml(cases[i].toml), ERR_INVALID_FIELD);
        assert_ptr_equal(strstr(problem.text, "f:"), problem.text);
        assert_string_equal(strstr(problem.text, ": must") + 2, cases[i].message);
    }
}

static void values_of_the_right_type_are_accepted(void **state)
{
    (void)state;
    assert_int_equal(set_toml("[server]\nthreads = 2\nmax_body_bytes = 2_048\n[cluster]\n"
                              "enabled = true\npeers = ['a:1']\n[cache]\n"),
                     ERR_NONE);
    assert_int_equal(config.server.threads, 2);
    assert_int_equal(config.server.max_body_bytes, 2048);
    assert_true(config.cluster.enabled);
    assert_string_equal(config.cluster.peers.items[0], "a:1");
    assert_string_equal(config_source(&config, config_find("cluster.peers")), "f:6");
    assert_int_equal(set_toml("server.max_body_bytes = '1 MiB'"), ERR_NONE);
    assert_int_equal(config.server.max_body_bytes, 1 << 20);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(valid_values_are_accepted),
        TEST(invalid_values_are_rejected),
        TEST(malformed_array_is_rejected_with_its_position),
        TEST(text_is_at_most_255_bytes),
        TEST(list_has_at_most_64_items),
        TEST(values_of_the_wrong_type_are_rejected),
        TEST(values_of_the_right_type_are_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
