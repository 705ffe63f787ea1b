/* SPDX-License-Identifier: Apache-2.0
 *
 * What the check of the files of membership providers finds: each file of a provider in use, by its
 * setting and path, and nothing of its content.
 */
#include "artemis-server/cluster/providers/provider_files.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "artemis-server/clock.h"
#include "tests/support/certificates.h"
#include "tests/support/cmocka_all.h"

#define SECRET "s3cret-of-a-test"

static struct temp_folder folder;
static struct config config;
static struct text warnings;

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

static const char *write_file(const char *name, const char *content, mode_t mode)
{
    const char *path = temp_folder_write(&folder, name, content);
    assert_int_equal(chmod(path, mode), 0);
    return path;
}

static int start(void **state)
{
    static const struct certificate_options expired = {.from_days = -9, .until_days = -3};
    static const struct certificate_options soon = {.from_days = -9, .until_days = 5};
    (void)state;
    config_init(&config, "node", 1);
    set("cluster.enabled", "true");
    temp_folder_make(&folder);
    certificates_make_authority(&folder, "ca");
    certificates_make(&folder, "ca", "node", NULL);
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

/* The lines of warnings, whose first has these parts; NULL: there is none. */
static void check_accepted(const char *key, const char *part)
{
    char problem[CREDENTIALS_PROBLEM_BYTES] = "";
    text_clear(&warnings);
    if (provider_files_check(&config, clock_now().wall_ms, &warnings, problem))
        fail_msg("%s", problem);
    const char *text = text_string(&warnings);
    if (key ? strncmp(text, key, strlen(key)) != 0 || !strstr(text, part) : text[0] != '\0')
        fail_msg("expected \"%s\", is: %s", part ? part : "", text);
    assert_null(strstr(text, SECRET));
}

static void check_refused(const char *key, const char *path, const char *reason)
{
    char problem[CREDENTIALS_PROBLEM_BYTES] = "";
    assert_int_not_equal(provider_files_check(&config, clock_now().wall_ms, &warnings, problem),
                         ERR_NONE);
    if (strncmp(problem, key, strlen(key)) != 0 || !strstr(problem, path) ||
        !strstr(problem, reason))
        fail_msg("expected \"%s: %s: %s\", is: %s", key, path, reason, problem);
    assert_null(strstr(problem, SECRET));
}

static const struct {
    const char *provider, *token, *ca, *cert, *key;
} rows[] = {
    {"etcd", "cluster.etcd.token_file", "cluster.etcd.ca", "cluster.etcd.cert", "cluster.etcd.key"},
    {"consul", "cluster.consul.token_file", "cluster.consul.ca", "cluster.consul.cert",
     "cluster.consul.key"},
};

static void file_of_a_secret_has_one_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *key = rows[i].token;
        set("cluster.provider", rows[i].provider);
        set_file(key, "none");
        check_refused(key, "/none", "No such file");
        set(key, folder.path);
        check_refused(key, folder.path, "it is not a regular file");
        set(key, write_file("empty", " \n", 0600));
        check_refused(key, "/empty", "the file must have one line");
        set(key, write_file("lines", SECRET "\n" SECRET "\n", 0600));
        check_refused(key, "/lines", "the file must have one line");
        set(key, write_file("token", SECRET "\n", 0600));
        check_accepted(NULL, NULL);
        write_file("token", SECRET "\n", 0640); /* its group may read it */
        check_accepted(NULL, NULL);
        write_file("token", SECRET "\n", 0644);
        check_accepted(key, "/token can be read or changed by other users; run chmod 600");
        write_file("token", SECRET "\n", 0620);
        check_accepted(key, "/token can be read or changed by other users; run chmod 600");
    }
}

static void file_of_a_user_has_a_name_and_a_password(void **state)
{
    (void)state;
    static const char key[] = "cluster.etcd.credentials_file";
    set("cluster.provider", "etcd");
    set(key, write_file("user", SECRET "\n", 0600));
    check_refused(key, "/user", "must have one line like USER:PASSWORD");
    write_file("user", "artemis:" SECRET "\n", 0600);
    check_accepted(NULL, NULL);
    write_file("user", "artemis:" SECRET "\n", 0604);
    check_accepted(key, "/user can be read or changed by other users");
}

static void authorities_are_a_pem_file(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *key = rows[i].ca;
        set("cluster.provider", rows[i].provider);
        set_file(key, "none.pem");
        check_refused(key, "/none.pem", "No such file");
        set(key, folder.path);
        check_refused(key, folder.path, "it is not a regular file");
        set(key, write_file("empty.pem", "", 0644));
        check_refused(key, "/empty.pem", "it is empty");
        set(key, write_file("text.pem", SECRET, 0644));
        check_refused(key, "/text.pem", "it is not a PEM file");
        set_file(key, "ca.pem");
        check_accepted(NULL, NULL);
    }
}

static void certificate_is_valid_and_has_its_key(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        set("cluster.provider", rows[i].provider);
        set_file(rows[i].cert, "none.pem");
        set_file(rows[i].key, "node.key");
        check_refused(rows[i].cert, "/none.pem", "No such file");
        set_file(rows[i].cert, "ca.pem");
        check_refused(rows[i].key, "/node.key", "does not fit");
        set_file(rows[i].cert, "node.pem");
        check_accepted(NULL, NULL);
        set_file(rows[i].key, "none.key");
        check_refused(rows[i].key, "/none.key", "No such file");
        set_file(rows[i].cert, "expired.pem");
        set_file(rows[i].key, "expired.key");
        check_refused(rows[i].cert, "/expired.pem", "expired on");
        set_file(rows[i].cert, "soon.pem");
        set_file(rows[i].key, "soon.key");
        check_accepted(rows[i].cert, "/soon.pem expires in 4 days");
    }
}

static void files_of_the_service_account_are_checked(void **state)
{
    (void)state;
    static const char key[] = "cluster.kubernetes.account_dir";
    set("cluster.provider", "kubernetes");
    set("cluster.kubernetes.service", "artemis");
    check_accepted(NULL, NULL); /* the default does not exist outside of a pod */
    set(key, folder.path);
    check_refused(key, "/token", "No such file");
    write_file("token", SECRET "\n", 0644);
    check_refused(key, "/ca.crt", "No such file");
    write_file("ca.crt", "", 0644);
    check_refused(key, "/ca.crt", "it is empty");
    write_file("ca.crt", "-----BEGIN CERTIFICATE-----\n", 0644);
    check_refused(key, "/namespace", "No such file");
    write_file("namespace", "no/name\n", 0644);
    check_refused(key, "/namespace", "it has no name of a namespace");
    write_file("namespace", "production\n", 0644);
    check_accepted(NULL, NULL);
}

static void namespace_of_the_setting_replaces_that_of_the_service_account(void **state)
{
    (void)state;
    static const char key[] = "cluster.kubernetes.account_dir";
    set("cluster.provider", "kubernetes");
    set("cluster.kubernetes.service", "production/artemis");
    set(key, folder.path);
    write_file("token", SECRET "\n", 0644);
    write_file("ca.crt", "-----BEGIN CERTIFICATE-----\n", 0644);
    check_accepted(NULL, NULL);
    set(key, "");
    check_accepted(NULL, NULL);
    set("cluster.kubernetes.service", "artemis");
    check_refused("cluster.kubernetes.service", "artemis", "must be NAMESPACE/NAME");
}

static void files_of_other_providers_are_not_read(void **state)
{
    (void)state;
    set_file("cluster.etcd.token_file", "none");
    set_file("cluster.consul.ca", "none");
    set("cluster.kubernetes.account_dir", folder.path);
    check_accepted(NULL, NULL);
    set("cluster.provider", "etcd");
    set("cluster.enabled", "false");
    check_accepted(NULL, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(file_of_a_secret_has_one_line),
        TEST(file_of_a_user_has_a_name_and_a_password),
        TEST(authorities_are_a_pem_file),
        TEST(certificate_is_valid_and_has_its_key),
        TEST(files_of_the_service_account_are_checked),
        TEST(namespace_of_the_setting_replaces_that_of_the_service_account),
        TEST(files_of_other_providers_are_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
