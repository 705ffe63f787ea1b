/* SPDX-License-Identifier: Apache-2.0
 *
 * Commands and libartemis send a token, and a command makes one.
 */
#include "libartemis/artemis.h"
#include "tests/support/client/calls.h"
#include "tests/support/command.h"
#include "tests/support/servers/tokens.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct temp_folder folder;
static struct server_process server;
static struct http *http;

static int start(void **state)
{
    (void)state;
    temp_folder_make(&folder);
    server_process_start(&server,
                         (const char *const[]){"--config", tokens_write(&folder, ""), "--set",
                                               "cluster.enabled=true", "--set",
                                               "cluster.bootstrap_grace_secs=0", NULL},
                         NULL);
    http = http_new(server.port);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    http_free(http);
    server_process_stop(&server);
    temp_folder_remove(&folder);
    return 0;
}

static struct http_response *get(const char *path, const char *secret)
{
    char authorization[256];
    const char *fields[] = {authorization, NULL};
    snprintf(authorization, sizeof authorization, "Authorization: Bearer %s", secret);
    return http_send(http, &(struct http_request){.method = "GET", .path = path, .fields = fields});
}

static bool is_ready(void *unused)
{
    (void)unused;
    return http_get(http, "/ready")->status == 200;
}

static int run(const char *const args[], const char *const env[], char **err)
{
    struct command_result result = command_run(args, env);
    int exit_code = result.exit_code;
    if (err)
        *err = strdup(result.err);
    assert_null(strstr(result.err, "secret-0123456789"));
    assert_null(strstr(result.out, "secret-0123456789"));
    command_free(&result);
    return exit_code;
}

static void commands_send_their_token(void **state)
{
    (void)state;
    const char *file = strdup(temp_folder_write(&folder, "read.token", TOKEN_READ "\n"));
    char file_variable[200];
    snprintf(file_variable, sizeof file_variable, "ARTEMIS_TOKEN_FILE=%s", file);
    assert_true(wait_until(is_ready, NULL, wait_deadline_ms()));
    const char *const plain[] = {"services", "--server", server.url, NULL};
    char *err;
    assert_int_equal(run(plain, NULL, &err), 1);
    assert_non_null(strstr(err, "--token-file"));
    free(err);
    assert_int_equal(run(plain, (const char *const[]){"ARTEMIS_TOKEN=" TOKEN_READ, NULL}, NULL), 0);
    assert_int_equal(run(plain, (const char *const[]){file_variable, NULL}, NULL), 0);
    assert_int_equal(
        run((const char *const[]){"services", "--server", server.url, "--token", TOKEN_READ, NULL},
            NULL, NULL),
        0);
    assert_int_equal(
        run((const char *const[]){"services", "--server", server.url, "--token-file", file, NULL},
            (const char *const[]){"ARTEMIS_TOKEN=" TOKEN_UNKNOWN, NULL}, NULL),
        0);
    assert_int_equal(run((const char *const[]){"register", "web", "i1", "--ip", "10.0.0.1",
                                               "--port", "80", "--server", server.url, NULL},
                         (const char *const[]){"ARTEMIS_TOKEN=" TOKEN_READ, NULL}, NULL),
                     1);
    assert_int_equal(run((const char *const[]){"diff", server.url, server.url, NULL},
                         (const char *const[]){"ARTEMIS_TOKEN=" TOKEN_OPERATOR, NULL}, NULL),
                     0);
    assert_int_equal(run((const char *const[]){"config", "show", "--server", server.url, NULL},
                         (const char *const[]){"ARTEMIS_TOKEN=" TOKEN_OPERATOR, NULL}, NULL),
                     0);
    assert_int_equal(run((const char *const[]){"services", "--token", "x y", NULL}, NULL, NULL), 2);
    free((void *)file);
}

/* A command that a role may call causes no failed authentication. */
static void status_needs_the_role_read_alone(void **state)
{
    (void)state;
    assert_true(wait_until(is_ready, NULL, wait_deadline_ms()));
    struct command_result result =
        command_run((const char *const[]){"status", "--server", server.url, NULL},
                    (const char *const[]){"ARTEMIS_TOKEN=" TOKEN_READ, NULL});
    assert_int_equal(result.exit_code, 0);
    assert_non_null(strstr(result.out, "guard      off\n"));
    command_free(&result);
    assert_non_null(strstr(get("/metrics", TOKEN_READ)->body, "\nartemis_auth_failures_total 0\n"));
}

static void files_of_certificates_are_checked_first(void **state)
{
    (void)state;
    char *err;
    assert_int_equal(run((const char *const[]){"status", "--server", server.url, "--cert",
                                               "/nowhere/a.pem", NULL},
                         NULL, &err),
                     2);
    assert_non_null(strstr(err, "--cert: cannot read /nowhere/a.pem: No such file"));
    free(err);
    assert_int_equal(run((const char *const[]){"diff", server.url, server.url, "--cacert",
                                               "/nowhere/a.pem", NULL},
                         NULL, NULL),
                     2);
}

static enum artemis_error register_with(const char *authorization, struct artemis_problem *problem)
{
    const struct artemis_options options = {.servers = server.url, .authorization = authorization};
    const struct artemis_instance self = {
        .service_id = "orders", .instance_id = "o-1", .ip = "10.0.0.1", .port = 80};
    struct artemis_client *client;
    assert_int_equal(artemis_open(&options, &client, problem), ARTEMIS_OK);
    enum artemis_error error = artemis_register(client, &self, (int)wait_timeout_ms(), problem);
    (void)artemis_close(client, (int)wait_timeout_ms(), NULL);
    return error;
}

static void library_sends_its_token(void **state)
{
    (void)state;
    struct artemis_problem problem = {0};
    assert_true(wait_until(is_ready, NULL, wait_deadline_ms()));
    assert_int_equal(register_with("Bearer " TOKEN_WRITE, &problem), ARTEMIS_OK);
    static const char *const refused[] = {NULL, "Bearer " TOKEN_UNKNOWN, "Bearer " TOKEN_READ};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        assert_int_equal(register_with(refused[i], &problem), ARTEMIS_REFUSED);
        assert_non_null(strstr(problem.text, "oken"));
        assert_null(strstr(problem.text, "secret-0123456789"));
    }
}

static void snapshots_need_operator_and_admin(void **state)
{
    (void)state;
    char file[200];
    snprintf(file, sizeof file, "%s/saved.jsonl", folder.path);
    const char *const save[] = {"snapshot", "save", file, "--server", server.url, NULL};
    const char *const restore[] = {"snapshot", "restore", file, "--server", server.url, NULL};
    const char *const writer[] = {"ARTEMIS_TOKEN=" TOKEN_WRITE, NULL};
    const char *const operator[] = {"ARTEMIS_TOKEN=" TOKEN_OPERATOR, NULL};
    const char *const admin[] = {"ARTEMIS_TOKEN=" TOKEN_ADMIN, NULL};
    assert_true(wait_until(is_ready, NULL, wait_deadline_ms()));
    assert_int_equal(run((const char *const[]){"register", "web", "i1", "--ip", "10.0.0.1",
                                               "--port", "80", "--server", server.url, NULL},
                         writer, NULL),
                     0);
    assert_int_not_equal(run(save, writer, NULL), 0);
    assert_int_equal(run(save, operator, NULL), 0);
    char *err;
    assert_int_not_equal(run(restore, operator, & err), 0);
    assert_non_null(strstr(err, "use a token that may do this"));
    free(err);
    assert_int_equal(run(restore, admin, NULL), 0);
}

/* What `artemis token new` prints is what a node reads and a client sends. */
static void new_token_works(void **state)
{
    (void)state;
    char secret_file[200];
    char line[200] = "";
    temp_folder_make(&folder);
    snprintf(secret_file, sizeof secret_file, "%s/ops.token", folder.path);
    const char *const args[] = {"token",     "new",        "ops",           "--role",    "operator",
                                "--expires", "2099-12-31", "--secret-file", secret_file, NULL};
    struct command_result made = command_run(args, NULL);
    assert_int_equal(made.exit_code, 0);
    FILE *file = fopen(secret_file, "r");
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    fclose(file);
    line[strcspn(line, "\n")] = '\0';
    assert_null(strstr(made.out, line));
    server_process_start(
        &server,
        (const char *const[]){"--config", temp_folder_write(&folder, "a.toml", made.out), NULL},
        NULL);
    http = http_new(server.port);
    check_http(get("/api/status/config", line), 200);
    check_http(get("/api/status/config", TOKEN_OPERATOR), 401);
    command_free(&made);
    made = command_run(args, NULL); /* the secret of another token is not overwritten */
    assert_int_equal(made.exit_code, 1);
    command_free(&made);
    const char *const bad[] = {"token", "new", "a b", "--role", "read", NULL};
    made = command_run(bad, NULL);
    assert_int_equal(made.exit_code, 2);
    command_free(&made);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(commands_send_their_token),
        TEST(status_needs_the_role_read_alone),
        TEST(files_of_certificates_are_checked_first),
        TEST(library_sends_its_token),
        TEST(snapshots_need_operator_and_admin),
        cmocka_unit_test_teardown(new_token_works, stop),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
