/* SPDX-License-Identifier: Apache-2.0
 *
 * The response to a reload, over HTTP and the admin socket: it is JSON whatever the files are
 * called, and a caller gets it although the reload removes its token.
 */
#include "tests/support/client/calls.h"
#include "tests/support/command.h"
#include "tests/support/servers/tokens.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static struct temp_folder folder;
static struct server_process server;
static char path[128]; /* of the admin socket */

static int set_up(void **state)
{
    (void)state;
    temp_folder_make(&folder);
    snprintf(path, sizeof path, "%s/admin.sock", folder.path);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    server_process_stop(&server);
    temp_folder_remove(&folder);
    return 0;
}

static void check_part(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("%s is not in:\n%s", part, text);
}

/* The name of a file need not be UTF-8; it is in the changes and in the message. */
static void responses_are_json_whatever_a_file_is_called(void **state)
{
    (void)state;
    char file[128];
    char config[160];
    snprintf(config, sizeof config, "[admin]\nsocket = \"%s\"\n", path);
    snprintf(file, sizeof file, "%s", temp_folder_write(&folder, "artemis.toml", config));
    server_process_start(&server, (const char *const[]){"--config", file, NULL}, NULL);
    const char *const to_server[] = {"--json", "--server", server.url, NULL};
    const char *const to_socket[] = {"--json", "--socket", path, NULL};
    char token[512];
    tokens_describe(token, sizeof token, "x", "admin", TOKEN_ADMIN, time(NULL) + 3600);
    temp_folder_write(&folder,
                      "config.d/b\xe4"
                      "d.toml",
                      token);
    struct command_result result = command_run_reload(to_server, NULL);
    check_part(result.out, "\"setting\":\"auth.tokens x\"");
    check_part(result.out, "b\xef\xbf\xbd"
                           "d.toml:");
    check_part(result.out, "\"need_restart\":0");
    assert_int_equal(result.exit_code, 0);
    command_free(&result);
    temp_folder_write(&folder,
                      "config.d/b\xe4"
                      "d.toml",
                      "[lease]\nttl_secs = 0\n");
    result = command_run_reload(to_socket, NULL);
    assert_int_equal(result.exit_code, 1);
    check_part(result.out, "b\xef\xbf\xbd"
                           "d.toml:2: lease.ttl_secs: must be");
    command_free(&result);
    result = command_run_reload(to_server, TOKEN_ADMIN);
    assert_int_equal(result.exit_code, 1);
    check_part(result.out, "b\xef\xbf\xbd"
                           "d.toml:2: lease.ttl_secs: must be");
    command_free(&result);
}

static void reload_that_removes_the_token_of_its_caller_is_answered(void **state)
{
    (void)state;
    char file[128];
    snprintf(file, sizeof file, "%s", tokens_write(&folder, ""));
    server_process_start(&server, (const char *const[]){"--config", file, NULL}, NULL);
    temp_folder_write(&folder, strrchr(file, '/') + 1, "");
    struct command_result result =
        command_run_reload((const char *const[]){"--server", server.url, NULL}, TOKEN_ADMIN);
    assert_int_equal(result.exit_code, 0);
    check_part(result.out, "auth.tokens admin: admin");
    command_free(&result);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(responses_are_json_whatever_a_file_is_called),
        TEST(reload_that_removes_the_token_of_its_caller_is_answered),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
