/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the API server is, and the namespace: from the settings, the environment and the files.
 */
#include "artemis-server/cluster/providers/kubernetes/provider_kubernetes_settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/temp_folder.h"

static struct config config;
static struct kubernetes_settings settings;
static struct temp_folder folder;

static int set_up(void **state)
{
    (void)state;
    config_init(&config, "host", 1);
    settings = (struct kubernetes_settings){0};
    temp_folder_make(&folder);
    snprintf(config.cluster.kubernetes.account_dir, CONFIG_TEXT_BYTES, "%s", folder.path);
    snprintf(config.cluster.kubernetes.service, CONFIG_TEXT_BYTES, "artemis");
    setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1", 1);
    setenv("KUBERNETES_SERVICE_PORT", "443", 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    config_free(&config);
    temp_folder_remove(&folder);
    return 0;
}

static void expect_file(const char *path, const char *name)
{
    char expected[CONFIG_TEXT_BYTES];
    snprintf(expected, sizeof(expected), "%s/%s", folder.path, name);
    assert_string_equal(path, expected);
}

static void pod_needs_the_service_alone(void **state)
{
    (void)state;
    temp_folder_write(&folder, "namespace", "prod\n");
    assert_null(kubernetes_settings_read(&settings, &config));
    assert_string_equal(settings.server, "https://10.96.0.1:443");
    assert_string_equal(settings.namespace, "prod");
    assert_string_equal(settings.service, "artemis");
    expect_file(settings.token_file, "token");
    expect_file(settings.ca_file, "ca.crt");
    setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
    assert_null(kubernetes_settings_read(&settings, &config));
    assert_string_equal(settings.server, "https://[fd00::1]:443");
}

static void settings_replace_environment_and_files(void **state)
{
    (void)state;
    snprintf(config.cluster.kubernetes.service, CONFIG_TEXT_BYTES, "other/peers");
    snprintf(config.cluster.kubernetes.api_server, CONFIG_TEXT_BYTES, "http://127.0.0.1:8001");
    config.cluster.kubernetes.account_dir[0] = '\0';
    assert_null(kubernetes_settings_read(&settings, &config));
    assert_string_equal(settings.server, "http://127.0.0.1:8001");
    assert_string_equal(settings.namespace, "other");
    assert_string_equal(settings.service, "peers");
    assert_string_equal(settings.token_file, "");
    assert_string_equal(settings.ca_file, "");
}

static void host_that_is_no_pod_is_refused(void **state)
{
    (void)state;
    const char *problem = kubernetes_settings_read(&settings, &config);
    assert_non_null(problem);
    assert_non_null(strstr(problem, "namespace"));
    temp_folder_write(&folder, "namespace", "no/label");
    assert_non_null(kubernetes_settings_read(&settings, &config));
    temp_folder_write(&folder, "namespace", "");
    assert_non_null(kubernetes_settings_read(&settings, &config));
    temp_folder_write(&folder, "namespace", "prod");
    assert_null(kubernetes_settings_read(&settings, &config));
    unsetenv("KUBERNETES_SERVICE_PORT");
    problem = kubernetes_settings_read(&settings, &config);
    assert_non_null(problem);
    assert_non_null(strstr(problem, "KUBERNETES_SERVICE_HOST"));
}

/* A FIFO would block the thread of the provider, and the shutdown with it. */
static void namespace_is_read_from_a_regular_file_only(void **state)
{
    (void)state;
    char path[CONFIG_TEXT_BYTES];
    snprintf(path, sizeof(path), "%s/namespace", folder.path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_non_null(kubernetes_settings_read(&settings, &config));
}

static void namespace_longer_than_a_label_is_refused(void **state)
{
    (void)state;
    char name[KUBERNETES_LABEL_BYTES + 1];
    memset(name, 'a', KUBERNETES_LABEL_BYTES);
    name[KUBERNETES_LABEL_BYTES] = '\0';
    temp_folder_write(&folder, "namespace", name);
    assert_non_null(kubernetes_settings_read(&settings, &config));
    temp_folder_write(&folder, "namespace", name + 1);
    assert_null(kubernetes_settings_read(&settings, &config));
    assert_string_equal(settings.namespace, name + 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pod_needs_the_service_alone),
        TEST(settings_replace_environment_and_files),
        TEST(host_that_is_no_pod_is_refused),
        TEST(namespace_is_read_from_a_regular_file_only),
        TEST(namespace_longer_than_a_label_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
