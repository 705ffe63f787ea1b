/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules that concern more than one setting, or a setting and the host.
 */
#include "artemis-core/config/config.h"

#include <string.h>

#include "tests/support/cmocka_all.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct config config;
static struct config_problem problem;

static int set_up(void **state)
{
    (void)state;
    config_init(&config, "host-17", 8);
    config.server.allow_insecure = true; /* see test_config_listeners.c */
    problem.text[0] = '\0';
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    config_free(&config);
    return 0;
}

static void check_set(const char *key, const char *text)
{
    if (config_set_text(&config, key, text, "--set", &problem) != ERR_NONE)
        fail_msg("%s = %s: %s", key, text, problem.text);
}

static void advertise_addr_defaults_to_listen_addr(void **state)
{
    (void)state;
    check_set("server.listen_addr", "10.0.0.7:0");
    assert_int_equal(config_validate(&config, &problem), ERR_NONE);
    assert_string_equal(config.cluster.advertise_addr, "10.0.0.7:0");
    check_set("cluster.advertise_addr", "a.example.com:80");
    assert_int_equal(config_validate(&config, &problem), ERR_NONE);
    assert_string_equal(config.cluster.advertise_addr, "a.example.com:80");
}

static void threads_above_connections_are_rejected(void **state)
{
    (void)state;
    check_set("server.threads", "17");
    check_set("server.max_connections", "16");
    assert_int_equal(config_validate(&config, &problem), ERR_INVALID_FIELD);
    assert_string_equal(problem.text, "server.max_connections: must be at least server.threads, 17 "
                                      "(--set), is 16 (--set)");
    check_set("server.threads", "16");
    assert_int_equal(config_validate(&config, &problem), ERR_NONE);
}

static void tombstone_secs_of_a_cluster_covers_two_rounds(void **state)
{
    (void)state;
    check_set("replication.anti_entropy_secs", "301");
    assert_int_equal(config_validate(&config, &problem), ERR_NONE);
    check_set("cluster.enabled", "true");
    assert_int_equal(config_validate(&config, &problem), ERR_INVALID_FIELD);
    assert_string_equal(problem.text,
                        "replication.tombstone_secs: must be at least twice "
                        "replication.anti_entropy_secs, 301 (--set), is 600 (default)");
    check_set("replication.enabled", "false");
    assert_int_equal(config_validate(&config, &problem), ERR_NONE);
    check_set("replication.enabled", "true");
    check_set("replication.anti_entropy_secs", "300");
    assert_int_equal(config_validate(&config, &problem), ERR_NONE);
}

static void batch_interval_of_a_cluster_is_a_share_of_the_ttl(void **state)
{
    (void)state;
    check_set("replication.batch_interval_ms", "5001");
    assert_int_equal(config_validate(&config, &problem), ERR_NONE);
    check_set("cluster.enabled", "true");
    assert_int_equal(config_validate(&config, &problem), ERR_INVALID_FIELD);
    assert_string_equal(problem.text, "replication.batch_interval_ms: must be at most a sixth of "
                                      "lease.ttl_secs, 30 (default), is 5001 (--set)");
    check_set("lease.ttl_secs", "31");
    assert_int_equal(config_validate(&config, &problem), ERR_NONE);
}

static void remote_batch_ms_of_a_cluster_is_a_share_of_the_ttl(void **state)
{
    (void)state;
    check_set("cluster.remote.batch_ms", "5001");
    assert_int_equal(config_validate(&config, &problem), ERR_NONE);
    check_set("cluster.enabled", "true");
    assert_int_equal(config_validate(&config, &problem), ERR_INVALID_FIELD);
    assert_string_equal(problem.text, "cluster.remote.batch_ms: must be at most a sixth of "
                                      "lease.ttl_secs, 30 (default), is 5001 (--set)");
    check_set("cluster.remote.batch_ms", "5000");
    assert_int_equal(config_validate(&config, &problem), ERR_NONE);
    check_set("cluster.remote.batch_ms", "0");
    check_set("lease.ttl_secs", "1");
    assert_int_equal(config_validate(&config, &problem), ERR_NONE);
}

static void peer_listed_twice_is_rejected(void **state)
{
    (void)state;
    check_set("cluster.peers", "a:1,b:1,a:1");
    assert_int_equal(config_validate(&config, &problem), ERR_INVALID_FIELD);
    assert_string_equal(problem.text, "--set: cluster.peers: \"a:1\" is listed twice");
}

static void peer_listed_with_and_without_scheme_is_rejected(void **state)
{
    (void)state;
    check_set("cluster.peers", "a.example:1,http://A.example:1");
    assert_int_equal(config_validate(&config, &problem), ERR_INVALID_FIELD);
    check_set("cluster.peers", "a.example:1,https://a.example:1,a.example:2");
    assert_int_equal(config_validate(&config, &problem), ERR_NONE);
}

static void service_of_the_kubernetes_provider_is_required(void **state)
{
    (void)state;
    check_set("cluster.provider", "kubernetes");
    assert_int_equal(config_validate(&config, &problem), ERR_INVALID_FIELD);
    assert_string_equal(problem.text, "--set: cluster.provider: kubernetes needs "
                                      "cluster.kubernetes.service, which is not set");
    check_set("cluster.kubernetes.service", "artemis");
    assert_int_equal(config_validate(&config, &problem), ERR_NONE);
}

static void names_of_the_dns_provider_are_checked(void **state)
{
    (void)state;
    check_set("cluster.provider", "static,dns");
    assert_int_equal(config_validate(&config, &problem), ERR_INVALID_FIELD);
    assert_string_equal(problem.text, "--set: cluster.provider: dns needs cluster.dns.names, which "
                                      "is not set");
    check_set("cluster.dns.names", "a.x:1,b.x:1,c.x:1,d.x:1,e.x:1,f.x:1,g.x:1,h.x:1,i.x:1");
    assert_int_equal(config_validate(&config, &problem), ERR_INVALID_FIELD);
    assert_string_equal(problem.text, "--set: cluster.dns.names: must have at most 8 names, has 9");
    check_set("cluster.dns.names", "a.x:1,_b._tcp.x");
    assert_int_equal(config_validate(&config, &problem), ERR_NONE);
    check_set("cluster.dns.min_interval_secs", "61");
    assert_int_equal(config_validate(&config, &problem), ERR_INVALID_FIELD);
    assert_string_equal(problem.text, "--set: cluster.dns.min_interval_secs: must be at most "
                                      "cluster.dns.max_interval_secs, 60 (default), is 61");
    assert_true(config_has_provider(&config, "dns"));
    assert_true(config_has_provider(&config, "static"));
}

static void registry_with_tls_needs_the_name_of_members(void **state)
{
    (void)state;
    check_set("cluster.provider", "registry");
    check_set("cluster.seeds", "a:1,https://a:1");
    assert_int_equal(config_validate(&config, &problem), ERR_NONE);
    check_set("cluster.seeds", "a:1,http://a:1");
    assert_int_equal(config_validate(&config, &problem), ERR_INVALID_FIELD);
    assert_string_equal(problem.text, "--set: cluster.seeds: \"http://a:1\" is listed twice");
    check_set("cluster.seeds", "a:1");
    check_set("cluster.listen_addr", "127.0.0.1:9443");
    check_set("cluster.tls.cert", "node.pem");
    check_set("cluster.tls.key", "node.key");
    check_set("cluster.tls.ca", "ca.pem");
    assert_int_equal(config_validate(&config, &problem), ERR_INVALID_FIELD);
    assert_string_equal(problem.text, "--set: cluster.provider: registry with cluster.tls.cert "
                                      "needs cluster.tls.member_name, which is not set");
    check_set("cluster.provider", "etcd");
    check_set("cluster.etcd.endpoints", "a:1");
    assert_int_equal(config_validate(&config, &problem), ERR_INVALID_FIELD);
    assert_string_equal(problem.text, "--set: cluster.provider: etcd with cluster.tls.cert "
                                      "needs cluster.tls.member_name, which is not set");
    check_set("cluster.provider", "consul");
    assert_int_equal(config_validate(&config, &problem), ERR_INVALID_FIELD);
    assert_string_equal(problem.text, "--set: cluster.provider: consul with cluster.tls.cert "
                                      "needs cluster.tls.member_name, which is not set");
    check_set("cluster.provider", "registry");
    check_set("cluster.tls.member_name", "nodes.example.org");
    assert_int_equal(config_validate(&config, &problem), ERR_NONE);
    check_set("cluster.enabled", "true");
    check_set("cluster.seeds", "http://a:1");
    assert_int_equal(config_validate(&config, &problem), ERR_INVALID_FIELD);
    assert_non_null(strstr(problem.text, "--set: cluster.seeds: \"http://a:1\" must begin with "
                                         "https://"));
}

/* --- the advertised address ------------------------------------------------------------------- */

static const char *const one_address[] = {"10.0.0.7"};
static const char *const dual_stack[] = {"10.0.0.7", "fd00::2"};
static const char *const two_ipv6[] = {"fd00::2", "fd00::3"};
static const char *const several[] = {"10.0.0.7", "172.17.0.1", "fd00::2"};

static enum error derive(const char *listen, const char *const *addresses, size_t count)
{
    const struct config_host host = {"host-17", addresses, count};
    config.cluster.advertise_addr[0] = '\0';
    check_set("server.listen_addr", listen);
    assert_int_equal(config_validate(&config, &problem), ERR_NONE);
    return config_advertise(&config, &host, &problem);
}

static void check_derived(const char *listen, const char *const *addresses, size_t count,
                          const char *expected)
{
    assert_int_equal(derive(listen, addresses, count), ERR_NONE);
    assert_string_equal(config.cluster.advertise_addr, expected);
}

static void advertise_addr_of_every_interface_is_the_only_address(void **state)
{
    (void)state;
    static const char *const listens[] = {"0.0.0.0:8080", "0:8080", "[::]:8080",
                                          "[0:0:0:0:0:0:0:0]:8080", "[::ffff:0.0.0.0]:8080"};
    for (int cluster = 0; cluster < 2; cluster++) {
        check_set("cluster.enabled", cluster ? "true" : "false");
        for (size_t i = 0; i < COUNT(listens); i++) {
            check_derived(listens[i], one_address, COUNT(one_address), "10.0.0.7:8080");
            check_derived(listens[i], dual_stack, COUNT(dual_stack), "10.0.0.7:8080");
        }
        check_derived("0.0.0.0:0", one_address, COUNT(one_address), "10.0.0.7:0");
        check_derived("[::]:80", two_ipv6, 1, "[fd00::2]:80");
    }
}

static void advertise_addr_without_addresses_is_loopback(void **state)
{
    (void)state;
    check_derived("0.0.0.0:1", NULL, 0, "127.0.0.1:1");
    check_derived("0.0.0.0:1", two_ipv6, COUNT(two_ipv6), "127.0.0.1:1");
    check_derived("[::]:1", NULL, 0, "[::1]:1");
}

static void advertise_addr_of_a_cluster_node_with_several_addresses_is_required(void **state)
{
    (void)state;
    check_set("cluster.enabled", "true");
    assert_int_equal(derive("0.0.0.0:8080", several, COUNT(several)), ERR_INVALID_FIELD);
    assert_string_equal(problem.text,
                        "--set: server.listen_addr: \"0.0.0.0:8080\" is every interface, and this "
                        "host has several addresses (10.0.0.7, 172.17.0.1, fd00::2); set "
                        "cluster.advertise_addr to the address at which peers and clients reach "
                        "this node");
    assert_int_equal(derive("[::]:8080", two_ipv6, COUNT(two_ipv6)), ERR_INVALID_FIELD);
}

static void advertise_addr_of_another_node_with_several_addresses_is_the_host_name(void **state)
{
    (void)state;
    check_derived("0.0.0.0:8080", several, COUNT(several), "host-17:8080");
    const struct config_host host = {"not a host name", several, COUNT(several)};
    config.cluster.advertise_addr[0] = '\0';
    assert_int_equal(config_advertise(&config, &host, &problem), ERR_NONE);
    assert_string_equal(config.cluster.advertise_addr, "172.17.0.1:8080");
}

static void advertise_addr_that_is_set_is_kept(void **state)
{
    (void)state;
    const struct config_host host = {"host-17", several, COUNT(several)};
    check_set("cluster.enabled", "true");
    check_set("server.listen_addr", "0.0.0.0:8080");
    check_set("cluster.advertise_addr", "a.example.com:80");
    assert_int_equal(config_validate(&config, &problem), ERR_NONE);
    assert_int_equal(config_advertise(&config, &host, &problem), ERR_NONE);
    assert_string_equal(config.cluster.advertise_addr, "a.example.com:80");
}

static void advertise_addr_of_every_interface_is_rejected(void **state)
{
    (void)state;
    check_set("cluster.advertise_addr", "0.0.0.0:8080");
    assert_int_equal(config_validate(&config, &problem), ERR_INVALID_FIELD);
    assert_string_equal(problem.text,
                        "--set: cluster.advertise_addr: must be an address that other hosts "
                        "reach, is \"0.0.0.0:8080\"");
}

static void many_addresses_fit_the_message(void **state)
{
    (void)state;
    const char *addresses[16];
    for (size_t i = 0; i < COUNT(addresses); i++)
        addresses[i] = "fd00:1111:2222:3333:4444:5555:6666:7777";
    check_set("cluster.enabled", "true");
    assert_int_equal(derive("[::]:8080", addresses, COUNT(addresses)), ERR_INVALID_FIELD);
    assert_non_null(strstr(problem.text, "set cluster.advertise_addr"));
}

/* --- warnings --------------------------------------------------------------------------------- */

static void cluster_without_peers_is_a_warning(void **state)
{
    (void)state;
    struct text warnings = {0};
    config_warn(&config, &warnings);
    assert_int_equal(warnings.size, 0);
    check_set("cluster.enabled", "true");
    config_warn(&config, &warnings);
    assert_string_equal(text_string(&warnings),
                        "cluster.enabled is true (--set), but cluster.peers is empty: this node "
                        "has no peers to replicate with\n");
    text_clear(&warnings);
    check_set("cluster.peers", "a:1");
    config_warn(&config, &warnings);
    assert_int_equal(warnings.size, 0);
    text_free(&warnings);
}

static void check_problem(const char *text)
{
    assert_int_equal(config_validate(&config, &problem), ERR_INVALID_FIELD);
    assert_string_equal(problem.text, text);
}

static void settings_of_etcd_are_checked(void **state)
{
    (void)state;
    check_set("cluster.provider", "etcd");
    check_problem("--set: cluster.provider: etcd needs cluster.etcd.endpoints, which is not "
                  "set");
    check_set("cluster.etcd.endpoints", "https://a.x:2379,10.0.0.1:2379");
    assert_int_equal(config_validate(&config, &problem), ERR_NONE);
    check_set("cluster.etcd.key", "/key.pem");
    check_problem("--set: cluster.etcd.key: needs cluster.etcd.cert, which is not set");
    check_set("cluster.etcd.key", "");
    check_set("cluster.etcd.cert", "/cert.pem");
    check_problem("--set: cluster.etcd.cert: needs cluster.etcd.key, which is not set");
    check_set("cluster.etcd.key", "/key.pem");
    check_set("cluster.etcd.token_file", "/token");
    assert_int_equal(config_validate(&config, &problem), ERR_NONE);
    check_set("cluster.etcd.credentials_file", "/user");
    check_problem("--set: cluster.etcd.token_file: cluster.etcd.credentials_file is set too "
                  "(--set); set one of them");
}

static void secret_for_etcd_without_https_is_a_warning(void **state)
{
    (void)state;
    struct text warnings = {0};
    check_set("cluster.enabled", "true");
    check_set("cluster.provider", "etcd");
    check_set("cluster.etcd.endpoints", "https://a.x:2379,10.0.0.1:2379");
    config_warn(&config, &warnings);
    assert_int_equal(warnings.size, 0);
    check_set("cluster.etcd.credentials_file", "/user");
    config_warn(&config, &warnings);
    assert_string_equal(text_string(&warnings),
                        "cluster.etcd.endpoints: \"10.0.0.1:2379\" (--set) is not https: the "
                        "password or token for etcd is sent in clear text\n");
    text_free(&warnings);
}

static void settings_of_consul_are_checked(void **state)
{
    (void)state;
    check_set("cluster.provider", "consul");
    assert_int_equal(config_validate(&config, &problem), ERR_NONE); /* the defaults are enough */
    check_set("cluster.consul.key", "/key.pem");
    check_problem("--set: cluster.consul.key: needs cluster.consul.cert, which is not set");
    check_set("cluster.consul.key", "");
    check_set("cluster.consul.cert", "/cert.pem");
    check_problem("--set: cluster.consul.cert: needs cluster.consul.key, which is not set");
    check_set("cluster.consul.key", "/key.pem");
    check_set("cluster.consul.token_file", "/token");
    assert_int_equal(config_validate(&config, &problem), ERR_NONE);
    check_set("cluster.consul.token", "01234567-89ab-cdef-0123-456789abcdef");
    check_problem("--set: cluster.consul.token_file: cluster.consul.token is set too (--set); set "
                  "one of them");
}

static void token_for_consul_of_another_host_without_https_is_a_warning(void **state)
{
    (void)state;
    static const char *const safe[] = {"127.0.0.1:8500", "http://localhost:8500", "[::1]:8500",
                                       "https://10.0.0.1:8501"};
    struct text warnings = {0};
    check_set("cluster.enabled", "true");
    check_set("cluster.provider", "consul");
    check_set("cluster.consul.token_file", "/token");
    for (size_t i = 0; i < sizeof safe / sizeof *safe; i++) {
        check_set("cluster.consul.address", safe[i]);
        config_warn(&config, &warnings);
        assert_int_equal(warnings.size, 0);
    }
    check_set("cluster.consul.address", "http://10.0.0.1:8500");
    config_warn(&config, &warnings);
    assert_string_equal(text_string(&warnings),
                        "cluster.consul.address: \"http://10.0.0.1:8500\" (--set) is not https: "
                        "the token for Consul is sent in clear text\n");
    text_clear(&warnings);
    check_set("cluster.consul.token_file", "");
    config_warn(&config, &warnings);
    assert_int_equal(warnings.size, 0);
    text_free(&warnings);
}

static void list_without_its_provider_is_a_warning(void **state)
{
    (void)state;
    struct text warnings = {0};
    check_set("cluster.enabled", "true");
    check_set("cluster.peers", "a:1");
    check_set("cluster.dns.names", "n.x:1");
    config_warn(&config, &warnings);
    assert_string_equal(text_string(&warnings), "cluster.dns.names is set (--set), but "
                                                "cluster.provider does not have dns\n");
    text_clear(&warnings);
    check_set("cluster.provider", "dns");
    config_warn(&config, &warnings);
    assert_string_equal(text_string(&warnings), "cluster.peers is set (--set), but "
                                                "cluster.provider does not have static\n");
    text_free(&warnings);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(service_of_the_kubernetes_provider_is_required),
        TEST(names_of_the_dns_provider_are_checked),
        TEST(settings_of_etcd_are_checked),
        TEST(settings_of_consul_are_checked),
        TEST(token_for_consul_of_another_host_without_https_is_a_warning),
        TEST(registry_with_tls_needs_the_name_of_members),
        TEST(secret_for_etcd_without_https_is_a_warning),
        TEST(list_without_its_provider_is_a_warning),
        TEST(advertise_addr_defaults_to_listen_addr),
        TEST(threads_above_connections_are_rejected),
        TEST(tombstone_secs_of_a_cluster_covers_two_rounds),
        TEST(batch_interval_of_a_cluster_is_a_share_of_the_ttl),
        TEST(remote_batch_ms_of_a_cluster_is_a_share_of_the_ttl),
        TEST(peer_listed_twice_is_rejected),
        TEST(peer_listed_with_and_without_scheme_is_rejected),
        TEST(advertise_addr_of_every_interface_is_the_only_address),
        TEST(advertise_addr_without_addresses_is_loopback),
        TEST(advertise_addr_of_a_cluster_node_with_several_addresses_is_required),
        TEST(advertise_addr_of_another_node_with_several_addresses_is_the_host_name),
        TEST(advertise_addr_that_is_set_is_kept),
        TEST(advertise_addr_of_every_interface_is_rejected),
        TEST(many_addresses_fit_the_message),
        TEST(cluster_without_peers_is_a_warning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
