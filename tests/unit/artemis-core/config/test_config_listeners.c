/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules of the listeners: which settings belong together, and which listeners are refused
 * because everyone could use them.
 */
#include "artemis-core/config/config.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/cmocka_all.h"

static struct config config;
static struct config_problem problem;

static int start(void **state)
{
    (void)state;
    config_init(&config, "host-17", 8);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    config_free(&config);
    return 0;
}

static void set(const char *key, const char *text)
{
    if (config_set_text(&config, key, text, "--set", &problem) != ERR_NONE)
        fail_msg("%s = %s: %s", key, text, problem.text);
}

static void check_refused(const char *part)
{
    assert_int_equal(config_validate(&config, &problem), ERR_INVALID_FIELD);
    if (!strstr(problem.text, part))
        fail_msg("\"%s\" is not in: %s", part, problem.text);
}

static void check_accepted(void)
{
    if (config_validate(&config, &problem) != ERR_NONE)
        fail_msg("%s", problem.text);
}

static void check_warning(const char *part)
{
    struct text warnings = {0};
    config_warn(&config, &warnings);
    if (part ? !strstr(text_string(&warnings), part) : warnings.size > 0)
        fail_msg("expected \"%s\", is: %s", part ? part : "", text_string(&warnings));
    text_free(&warnings);
}

static void set_tls(void)
{
    set("server.tls_listen_addr", "10.0.0.7:8443");
    set("tls.cert", "a.pem");
    set("tls.key", "a.key");
}

static void set_peers(void)
{
    set("cluster.enabled", "true");
    set("cluster.listen_addr", "10.0.0.7:9443");
    set("cluster.peers", "b.example:9443");
    set("cluster.tls.cert", "a.pem");
    set("cluster.tls.key", "a.key");
    set("cluster.tls.ca", "ca.pem");
}

static void loopback_needs_nothing(void **state)
{
    (void)state;
    static const char *const addresses[] = {"127.0.0.1:80", "127.1.2.3:80", "[::1]:80",
                                            "localhost:80", "[::ffff:127.0.0.1]:80"};
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        set("server.listen_addr", addresses[i]);
        check_accepted();
        assert_true(config_listener_is_protected(&config, CONFIG_LISTENER_PLAIN));
    }
    check_warning(NULL);
}

static void other_addresses_are_refused(void **state)
{
    (void)state;
    static const char *const addresses[] = {"0.0.0.0:80",   "[::]:80",      "10.0.0.7:80",
                                            "128.0.0.1:80", "a.example:80", "localhost.example:80",
                                            "127.1:80"};
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        set("server.listen_addr", addresses[i]);
        check_refused("server.allow_insecure = true");
        check_refused("server.tls_listen_addr");
        check_refused(addresses[i]);
    }
    set("server.allow_insecure", "true");
    check_accepted();
    check_warning("server.listen_addr is open to everyone");
    assert_false(config_listener_is_protected(&config, CONFIG_LISTENER_PLAIN));
}

static void tls_needs_client_certificates(void **state)
{
    (void)state;
    set_tls();
    check_refused("tls.require_client_cert");
    set("tls.client_ca", "ca.pem"); /* a client may still have none */
    check_refused("tls.require_client_cert");
    set("tls.require_client_cert", "true");
    check_accepted();
    check_warning(NULL);
    assert_true(config_listener_has_tls(&config, CONFIG_LISTENER_TLS));
}

/* Without a listener of their own, peers use that of the clients. */
static void client_certificates_admit_no_peers(void **state)
{
    (void)state;
    set_tls();
    set("tls.client_ca", "ca.pem");
    set("tls.require_client_cert", "true");
    set("cluster.enabled", "true");
    set("cluster.peers", "b.example:8443");
    check_refused("server.tls_listen_addr: \"10.0.0.7:8443\"");
    check_refused("serve peers at cluster.listen_addr");
    set("server.allow_insecure", "true");
    check_accepted();
    check_warning("server.tls_listen_addr is open");
    set("server.allow_insecure", "false");
    set("server.tls_listen_addr", "127.0.0.1:8443");
    check_accepted();
    set("server.tls_listen_addr", "10.0.0.7:8443");
    set_peers();
    check_accepted();
    assert_false(config_listener_serves_peers(&config, CONFIG_LISTENER_TLS));
    assert_true(config_listener_serves_peers(&config, CONFIG_LISTENER_PEER));
}

static void peers_need_tls(void **state)
{
    (void)state;
    set("cluster.enabled", "true");
    set("cluster.peers", "b.example:9443");
    set("cluster.listen_addr", "10.0.0.7:9443");
    check_refused("cluster.tls.cert");
    set("cluster.enabled", "false"); /* it does not listen then */
    check_accepted();
    set_peers();
    check_accepted();
    check_warning(NULL);
    assert_true(config_listener_has_tls(&config, CONFIG_LISTENER_PEER));
}

static void settings_that_belong_together_are_required(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value, *missing;
    } rows[] = {
        {"server.tls_listen_addr", "127.0.0.1:8443", "needs tls.cert"},
        {"tls.cert", "a.pem", "needs tls.key"},
        {"tls.key", "a.key", "needs tls.cert"},
        {"tls.client_ca", "ca.pem", "needs tls.cert"},
        {"tls.require_client_cert", "true", "needs tls.client_ca"},
        {"cluster.tls.cert", "a.pem", "needs cluster.tls.key"},
        {"cluster.tls.key", "a.key", "needs cluster.tls.cert"},
        {"cluster.tls.ca", "ca.pem", "needs cluster.tls.cert"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        config_free(&config);
        config_init(&config, "host-17", 8);
        set(rows[i].key, rows[i].value);
        check_refused(rows[i].key);
        check_refused(rows[i].missing);
    }
    set("cluster.tls.cert", "a.pem");
    set("cluster.tls.key", "a.key");
    check_refused("needs cluster.listen_addr");
}

static void peers_with_tls_have_https_addresses(void **state)
{
    (void)state;
    set_peers();
    set("cluster.peers", "https://b.example:9443,http://c.example:9443");
    check_refused("\"http://c.example:9443\" must begin with https://");
    set("cluster.peers", "https://b.example:9443,b.example:9443");
    check_refused("listed twice");
}

static void listeners_have_different_addresses(void **state)
{
    (void)state;
    set_tls();
    set("server.tls_listen_addr", "127.0.0.1:8080");
    check_refused("must differ from server.listen_addr");
    set("server.listen_addr", "127.0.0.1:0");
    set("server.tls_listen_addr", "127.0.0.1:0");
    check_accepted();
}

static void advertised_address_is_that_of_tls(void **state)
{
    (void)state;
    static const char *const addresses[] = {"10.0.0.7"};
    const struct config_host host = {"host-17", addresses, 1};
    set_tls();
    set("tls.client_ca", "ca.pem");
    set("tls.require_client_cert", "true");
    check_accepted();
    assert_string_equal(config.cluster.advertise_addr, "10.0.0.7:8443");
    config.cluster.advertise_addr[0] = '\0';
    set("server.tls_listen_addr", "0.0.0.0:8443");
    check_accepted();
    assert_int_equal(config_advertise(&config, &host, &problem), ERR_NONE);
    assert_string_equal(config.cluster.advertise_addr, "10.0.0.7:8443");
}

static void variables_name_nested_settings(void **state)
{
    (void)state;
    assert_string_equal(config_find_variable(slice_of("CLUSTER_TLS_CERT"))->key,
                        "cluster.tls.cert");
    assert_string_equal(config_find_variable(slice_of("TLS_MIN_VERSION"))->key, "tls.min_version");
    assert_null(config_find_variable(slice_of("TLS")));
    assert_null(config_find_variable(slice_of("")));
}

static void set_token_field(const char *field, const char *text)
{
    char key[64];
    struct toml_value value = {.type = TOML_TYPE_TEXT, .text = text};
    snprintf(key, sizeof key, "auth.tokens[0].%s", field);
    assert_int_equal(config_set(&config, key, &value, "a.toml:1", &problem), ERR_NONE);
}

static void tokens_protect_every_listener(void **state)
{
    (void)state;
    set("server.listen_addr", "0.0.0.0:80");
    set("cluster.advertise_addr", "10.0.0.7:80");
    set("cluster.enabled", "true");
    set("cluster.peers", "b.example:80");
    check_refused("auth.tokens");
    set_token_field("name", "peers");
    set_token_field("role", "peer");
    set_token_field("sha256", "00000000000000000000000000000000000000000000000000000000000000ff");
    set("cluster.token", "a-secret-0123456789-x");
    check_accepted();
    check_warning("clear text");
    set_tls();
    set("cluster.advertise_addr", "10.0.0.7:8443");
    check_accepted();
    set("cluster.listen_addr", "0.0.0.0:9443");
    check_accepted();
}

/* Peers show their certificate; tokens are for clients. */
static void peers_with_tls_need_no_token(void **state)
{
    (void)state;
    set_token_field("name", "peers");
    set_token_field("role", "peer");
    set_token_field("sha256", "00000000000000000000000000000000000000000000000000000000000000ff");
    set("cluster.enabled", "true");
    set("cluster.peers", "b.example:80");
    check_warning("cluster.token is not set");
    set_peers();
    check_accepted();
    check_warning(NULL);
    set_token_field("role", "read");
    set("cluster.token", "a-secret-0123456789-x");
    check_warning(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(loopback_needs_nothing, start, stop),
        cmocka_unit_test_setup_teardown(other_addresses_are_refused, start, stop),
        cmocka_unit_test_setup_teardown(tls_needs_client_certificates, start, stop),
        cmocka_unit_test_setup_teardown(client_certificates_admit_no_peers, start, stop),
        cmocka_unit_test_setup_teardown(peers_need_tls, start, stop),
        cmocka_unit_test_setup_teardown(settings_that_belong_together_are_required, start, stop),
        cmocka_unit_test_setup_teardown(peers_with_tls_have_https_addresses, start, stop),
        cmocka_unit_test_setup_teardown(listeners_have_different_addresses, start, stop),
        cmocka_unit_test_setup_teardown(advertised_address_is_that_of_tls, start, stop),
        cmocka_unit_test_setup_teardown(variables_name_nested_settings, start, stop),
        cmocka_unit_test_setup_teardown(tokens_protect_every_listener, start, stop),
        cmocka_unit_test_setup_teardown(peers_with_tls_need_no_token, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
