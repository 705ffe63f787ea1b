/* SPDX-License-Identifier: Apache-2.0
 *
 * configs/secure/node.toml sets what docs/OPERATING.md says of a secure node.
 */
#include "artemis/settings.h"

#include "tests/support/cmocka_all.h"

static void secure_example_has_limits_and_an_admin_socket(void **state)
{
    (void)state;
    struct config config;
    struct config_problem problem;
    char *environment[] = {"ARTEMIS_CLUSTER_ADVERTISE_ADDR=artemis-1.example.com:8443", NULL};
    const struct settings_input input = {.file = "configs/secure/node.toml",
                                         .environment = environment};
    assert_int_equal(settings_load(&config, &input, &problem), ERR_NONE);
    assert_string_equal(config.admin.socket, "/run/artemis/admin.sock");
    assert_true(config.server.max_connections_per_address > 0);
    assert_true(config.tls.max_handshakes_per_address > 0);
    assert_true(config.ratelimit.client_requests_per_second > 0);
    config_free(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secure_example_has_limits_and_an_admin_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
