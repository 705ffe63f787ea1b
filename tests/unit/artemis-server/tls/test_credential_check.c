/* SPDX-License-Identifier: Apache-2.0
 *
 * What the check of the certificates finds before a node starts: each file of each listener with
 * TLS, and nothing else.
 */
#include "artemis-server/tls/credential_check.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "artemis-server/clock.h"
#include "tests/support/certificates.h"
#include "tests/support/cmocka_all.h"

static struct temp_folder folder;
static struct config config;
static struct text warnings;

static int start(void **state)
{
    static const struct certificate_options expired = {.from_days = -9, .until_days = -3};
    static const struct certificate_options soon = {.from_days = -9, .until_days = 5};
    (void)state;
    config_init(&config, "node", 1);
    temp_folder_make(&folder);
    certificates_make_authority(&folder, "ca");
    certificates_make(&folder, "ca", "node", NULL);
    certificates_make(&folder, "ca", "other", NULL);
    certificates_make(&folder, "ca", "expired", &expired);
    certificates_make(&folder, "ca", "soon", &soon);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    text_free(&warnings);
    config_free(&config);
    temp_folder_remove(&folder);
    return 0;
}

static void set(const char *key, const char *value)
{
    struct config_problem problem;
    if (config_set_text(&config, key, value, "--set", &problem))
        fail_msg("%s", problem.text);
}

static void set_file(const char *key, const char *file)
{
    set(key, certificates_path(&folder, file));
}

static void set_tls(const char *cert, const char *key)
{
    set("server.tls_listen_addr", "127.0.0.1:0");
    set_file("tls.cert", cert);
    set_file("tls.key", key);
}

static void set_peers(const char *cert, const char *ca)
{
    set("cluster.enabled", "true");
    set("cluster.listen_addr", "127.0.0.1:0");
    set_file("cluster.tls.cert", cert);
    set_file("cluster.tls.key", "node.key");
    set_file("cluster.tls.ca", ca);
}

/* A warning with that text; NULL: none at all. */
static void check_accepted(const char *warning)
{
    char problem[CREDENTIALS_PROBLEM_BYTES] = "";
    text_clear(&warnings);
    if (credential_check(&config, clock_now().wall_ms, &warnings, problem))
        fail_msg("%s", problem);
    if (warning ? !strstr(text_string(&warnings), warning) : warnings.size > 0)
        fail_msg("expected \"%s\", is: %s", warning ? warning : "", text_string(&warnings));
}

static void check_refused(const char *setting, const char *reason)
{
    char problem[CREDENTIALS_PROBLEM_BYTES] = "";
    assert_int_not_equal(credential_check(&config, clock_now().wall_ms, &warnings, problem),
                         ERR_NONE);
    if (strncmp(problem, setting, strlen(setting)) != 0 || !strstr(problem, reason))
        fail_msg("expected \"%s: ... %s\", is: %s", setting, reason, problem);
}

static void files_of_each_listener_are_read(void **state)
{
    (void)state;
    check_accepted(NULL);
    set_tls("node.pem", "node.key");
    check_accepted(NULL);
    set_file("tls.client_ca", "none.pem");
    check_refused("tls.client_ca", "No such file");
    set_file("tls.client_ca", "ca.pem");
    set_peers("node.pem", "none.pem");
    check_refused("cluster.tls.ca", "No such file");
    set_peers("other.pem", "ca.pem");
    check_refused("cluster.tls.key", "does not fit");
    set("cluster.enabled", "false"); /* the node does not listen there */
    check_accepted(NULL);
}

static void unusable_files_are_refused(void **state)
{
    (void)state;
    set_tls("none.pem", "node.key");
    check_refused("tls.cert", "No such file");
    set_tls("node.pem", "none.key");
    check_refused("tls.key", "No such file");
    set_tls("other.pem", "node.key");
    check_refused("tls.key", "does not fit");
    set_tls("expired.pem", "expired.key");
    check_refused("tls.cert", "expired on");
    temp_folder_write(&folder, "text.pem", "no certificate\n");
    set_tls("text.pem", "node.key");
    check_refused("tls.cert", "cannot be used");
    set_tls("node.pem", "node.key");
    set_file("tls.client_ca", "text.pem");
    check_refused("tls.client_ca", "no certificate");
}

static void expiry_and_exposed_key_are_warnings(void **state)
{
    (void)state;
    set_tls("soon.pem", "soon.key");
    check_accepted("soon.pem expires in 4 days");
    set_tls("node.pem", "node.key");
    check_accepted(NULL);
    assert_int_equal(chmod(certificates_path(&folder, "node.key"), 0644), 0);
    check_accepted("chmod 600");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_of_each_listener_are_read, start, stop),
        cmocka_unit_test_setup_teardown(unusable_files_are_refused, start, stop),
        cmocka_unit_test_setup_teardown(expiry_and_exposed_key_are_warnings, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
