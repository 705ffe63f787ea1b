/* SPDX-License-Identifier: Apache-2.0
 *
 * The admin socket and `artemis admin`: each command, also while no HTTP request is accepted; who
 * may use the socket; files that a process has left; and requests that are not valid.
 */
#include "tests/support/client/calls.h"
#include "tests/support/client/raw_socket.h"
#include "tests/support/command.h"
#include "tests/support/servers/tokens.h"
#include "tests/support/wait.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    CONNECTIONS = 16,
    NOBODY = 65534,
    LONG_PATH = 120,
    LONG_ARGUMENT = 6000,
    HALF_BODY_BYTES = 512 * 1024,
    RESPONSE_BYTES = 4096,
};

static struct temp_folder folder;
static struct server_process server;
static struct http *http;
static char path[128];
static char set_socket[160];
static char data_dir[128];
static char set_data_dir[160];

static int set_up(void **state)
{
    (void)state;
    temp_folder_make(&folder);
    snprintf(path, sizeof path, "%s/admin.sock", folder.path);
    snprintf(set_socket, sizeof set_socket, "admin.socket=%s", path);
    snprintf(data_dir, sizeof data_dir, "%s/data", folder.path);
    snprintf(set_data_dir, sizeof set_data_dir, "storage.data_dir=%s", data_dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    http_free(http);
    http = NULL;
    server_process_stop(&server);
    temp_folder_remove(&folder);
    return 0;
}

static void start(void)
{
    server_process_start(
        &server, (const char *const[]){"--set", set_socket, "--set", set_data_dir, NULL}, NULL);
    http = http_new(server.port);
}

static struct command_result admin(const char *command, const char *argument, const char *option)
{
    const char *const args[] = {
        "admin", command, "--socket", path, option ? option : argument, option ? argument : NULL,
        NULL};
    return command_run(args, NULL);
}

static void check_part(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("%s is not in:\n%s", part, text);
}

/* The command succeeds and prints `part`. */
static void check_admin(const char *command, const char *argument, const char *part)
{
    struct command_result result = admin(command, argument, NULL);
    if (result.exit_code != 0)
        fail_msg("exit code %d: %s", result.exit_code, result.err);
    check_part(result.out, part);
    command_free(&result);
}

/* --- commands --------------------------------------------------------------------------------- */

static void status_and_dump_describe_the_node(void **state)
{
    (void)state;
    start();
    call_register_many(http, "shop", 3);
    check_admin("status", NULL, "instances");
    struct command_result result = admin("status", NULL, "--json");
    check_part(result.out, "{\"ok\":true,\"node_id\":");
    check_part(result.out, "\"state\":\"ready\",\"drained\":false,\"services\":1,\"instances\":3,");
    check_part(result.out, "\"storage\":\"up\"");
    check_part(result.out, "\"audit\":\"up\"");
    command_free(&result);
    result = admin("dump", NULL, "--json");
    json_t *root = json_loads(result.out, 0, NULL);
    assert_non_null(root);
    json_t *services = json_object_get(root, "service_list");
    assert_int_equal(json_integer_value(json_object_get(services, "shop")), 3);
    json_t *settings = json_object_get(root, "settings");
    assert_string_equal(json_string_value(json_object_get(settings, "admin.socket")), path);
    check_part(json_string_value(json_object_get(root, "metrics")), "\nartemis_instances 3\n");
    json_decref(root);
    command_free(&result);
    check_admin("dump", NULL, "\"service_list\": {\n    \"shop\": 3\n  }");
}

static void log_level_changes_until_the_next_reload(void **state)
{
    (void)state;
    start();
    check_admin("log-level", "debug", "done");
    check_part(http_get(http, "/api/status/config")->body,
               "\"log.level\":{\"value\":\"debug\",\"source\":\"the admin socket\"}");
    struct command_result result = admin("log-level", "loud", NULL);
    assert_int_equal(result.exit_code, 1);
    check_part(result.err, "log.level: must be debug");
    command_free(&result);
    check_admin("reload", NULL, "log.level: debug -> info (default)\nsettings reloaded: 1 changed");
    char *log = server_process_stop_and_read_log(&server);
    check_part(log, "setting changed setting=log.level before=info after=debug "
                    "source=\"the admin socket\"");
    check_part(log, "debug request client=");
    free(log);
}

static void drain_fails_ready_and_serves_everything(void **state)
{
    (void)state;
    start();
    call_register(http, "shop", "s-1");
    check_admin("drain", NULL, "/ready fails now");
    struct http_response *response = http_get(http, "/ready");
    check_http(response, 503);
    check_part(response->body, "draining: an operator drains this node");
    check_http(http_get(http, "/health"), 200);
    check_http(http_post(http, HEARTBEAT, "{'instances':[" KEY "]}", "shop", "s-1"), 200);
    call_register(http, "shop", "s-2");
    assert_true(call_shows(http, "shop", "s-2"));
    assert_int_equal((int)call_metric(http, "artemis_ready"), 0);
    check_admin("drain", "off", "/ready succeeds again");
    check_http(http_get(http, "/ready"), 200);
    struct command_result result = admin("drain", "maybe", NULL);
    assert_int_equal(result.exit_code, 1);
    check_part(result.err, "value: must be on or off, is \"maybe\"");
    command_free(&result);
}

static void guard_is_released(void **state)
{
    (void)state;
    start();
    call_register(http, "shop", "s-1");
    check_admin("guard-release", NULL, "nothing to release");
    check_admin("guard-release", "shop", "nothing to release");
    struct command_result result = admin("guard-release", "other", NULL);
    assert_int_equal(result.exit_code, 1);
    check_part(result.err, "no such service");
    command_free(&result);
    result = admin("guard-release", "", NULL); /* not everything */
    assert_int_equal(result.exit_code, 1);
    check_part(result.err, "service_id: is empty");
    command_free(&result);
}

static void calls_are_in_the_audit_log(void **state)
{
    (void)state;
    char user[64];
    start();
    check_admin("status", NULL, "node id");
    check_admin("drain", NULL, "");
    check_admin("reload", NULL, "no setting has changed");
    server_process_stop(&server);
    struct command_result result =
        command_run((const char *const[]){"audit", "--data-dir", data_dir, "--json", NULL}, NULL);
    snprintf(user, sizeof user, "\"address\":\"admin socket uid %u\",\"action\":", geteuid());
    check_part(result.out, user);
    check_part(result.out, "\"action\":\"status\",\"outcome\":\"done\"}");
    check_part(result.out, "\"action\":\"drain\",\"object\":\"on\",\"before\":\"not drained\","
                           "\"after\":\"drained\",\"outcome\":\"done\"}");
    check_part(result.out, "\"action\":\"reload\",\"after\":\"0 changed, 0 need a restart\"");
    command_free(&result);
}

/* --- saturation ------------------------------------------------------------------------------- */

static const char header[] = "POST " REGISTER " HTTP/1.1\r\nHost: a\r\nContent-Type: "
                             "application/json\r\nContent-Length: 1048576\r\n\r\n";
/* Half a body: the rest may take 10 s, and 1 s for each 16 KiB that were received. */
static const char half_body[HALF_BODY_BYTES];

static bool is_saturated(void *context)
{
    (void)context;
    struct command_result result = admin("status", NULL, "--json");
    bool saturated = strstr(result.out, "\"connections_busy\":16,\"connections_limit\":16") != NULL;
    command_free(&result);
    return saturated;
}

static void works_while_every_connection_is_taken(void **state)
{
    (void)state;
    struct raw_socket sockets[CONNECTIONS];
    server_process_start(&server,
                         (const char *const[]){"--set", set_socket, "--set", "server.threads=1",
                                               "--set", "server.max_connections=16", NULL},
                         NULL);
    for (size_t i = 0; i < CONNECTIONS; i++) {
        raw_socket_open(&sockets[i], server.port);
        raw_socket_sendf(&sockets[i], "%s", header);
        assert_true(raw_socket_send(&sockets[i], half_body, sizeof half_body));
    }
    assert_true(wait_until(is_saturated, NULL, wait_deadline_ms()));
    struct raw_socket refused;
    raw_socket_open(&refused, server.port);
    raw_socket_sendf(&refused, "GET /health HTTP/1.1\r\nHost: a\r\n\r\n");
    if (raw_socket_read(&refused, wait_deadline_ms()) == RAW_RESPONSE)
        check_http(&refused.response, 503);
    raw_socket_close(&refused);
    check_admin("reload", NULL, "no setting has changed");
    check_admin("log-level", "warn", "done");
    check_admin("guard-release", NULL, "nothing to release");
    check_admin("drain", NULL, "/ready fails now");
    check_admin("dump", NULL, "artemis_connections_busy 16");
    for (size_t i = 0; i < CONNECTIONS; i++)
        raw_socket_close(&sockets[i]);
}

/* --- the file --------------------------------------------------------------------------------- */

static int connect_to_socket(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%.100s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void socket_belongs_to_the_user_alone(void **state)
{
    (void)state;
    struct stat status;
    start();
    assert_int_equal(stat(path, &status), 0);
    assert_true(S_ISSOCK(status.st_mode));
    assert_int_equal(status.st_mode & 0777, 0600);
    server_process_stop(&server);
    assert_int_equal(stat(path, &status), -1);
}

/* Sends a request as another user, whom the mode of the file would let in. Returns 0 if it is
 * refused. */
static int call_as_nobody(void)
{
    char response[RESPONSE_BYTES] = "";
    if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0)
        return 2;
    int fd = connect_to_socket();
    if (fd < 0)
        return errno == EACCES ? 0 : 3;
    (void)!send(fd, "{\"command\":\"status\"}\n", 21, MSG_NOSIGNAL);
    (void)!recv(fd, response, sizeof response - 1, MSG_WAITALL);
    return strstr(response, "\"ok\":false") && strstr(response, "only the user of the node") ? 0
                                                                                             : 4;
}

static void other_users_are_refused(void **state)
{
    (void)state;
    int status = 0;
    if (geteuid() != 0)
        skip();
    start();
    assert_int_equal(chmod(folder.path, 0755), 0);
    assert_int_equal(chmod(path, 0666), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(call_as_nobody());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 0);
    server_process_stop(&server);
    struct command_result result =
        command_run((const char *const[]){"audit", "--data-dir", data_dir, "--json", NULL}, NULL);
    check_part(result.out, "\"address\":\"admin socket uid 65534\",\"action\":\"authenticate\"");
    command_free(&result);
}

static struct command_result start_second(void)
{
    return command_run(
        (const char *const[]){"server", "--addr", "127.0.0.1:0", "--set", set_socket, NULL}, NULL);
}

static void socket_of_a_living_process_is_not_replaced(void **state)
{
    (void)state;
    start();
    struct command_result result = start_second();
    assert_int_equal(result.exit_code, 1);
    check_part(result.err, "another process uses it");
    command_free(&result);
    check_admin("status", NULL, "node id");
}

static void socket_of_a_dead_process_is_replaced(void **state)
{
    (void)state;
    struct stat status;
    start();
    server_process_kill(&server);
    http_free(http);
    assert_int_equal(stat(path, &status), 0);
    start();
    check_admin("status", NULL, "node id");
}

static void file_that_is_no_socket_is_not_replaced(void **state)
{
    (void)state;
    struct stat status;
    temp_folder_write(&folder, "admin.sock", "precious");
    struct command_result result = start_second();
    assert_int_equal(result.exit_code, 1);
    check_part(result.err, "the file exists and is no socket");
    command_free(&result);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 8);
}

static void too_long_path_is_refused_by_the_check(void **state)
{
    (void)state;
    char text[256] = "[admin]\nsocket = \"/";
    size_t size = strlen(text);
    memset(text + size, 'x', LONG_PATH);
    snprintf(text + size + LONG_PATH, sizeof text - size - LONG_PATH, "\"\n");
    const char *file = temp_folder_write(&folder, "artemis.toml", text);
    struct command_result result =
        command_run((const char *const[]){"config", "check", file, NULL}, NULL);
    assert_int_equal(result.exit_code, 1);
    check_part(result.err, "admin.socket: must be text, a path of at most 107 bytes");
    command_free(&result);
}

static void node_without_a_socket_is_not_reachable(void **state)
{
    (void)state;
    struct command_result result = admin("status", NULL, NULL);
    assert_int_equal(result.exit_code, 3);
    check_part(result.err, "No such file or directory");
    check_part(result.err, "is the node running");
    command_free(&result);
    result = command_run((const char *const[]){"admin", "status", NULL}, NULL);
    assert_int_equal(result.exit_code, 2);
    command_free(&result);
}

/* --- the protocol ----------------------------------------------------------------------------- */

/* Sends bytes and reads the response up to its line break or the end. */
static void exchange(const char *bytes, size_t size, char response[RESPONSE_BYTES])
{
    int fd = connect_to_socket();
    size_t received = 0;
    ssize_t count = 0;
    assert_true(fd >= 0);
    (void)!send(fd, bytes, size, MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    while (received < RESPONSE_BYTES - 1 &&
           (count = recv(fd, response + received, RESPONSE_BYTES - 1 - received, 0)) > 0)
        received += (size_t)count;
    response[received] = '\0';
    close(fd);
}

static void invalid_requests_get_an_error(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        const char *part;
    } cases[] = {
        {"{\"command\":\"stop\"}\n", "log-level, release-guard or drain, is \\\"stop\\\""},
        {"{}\n", "command: must be"},
        {"{\"command\":1}\n", "command"},
        {"[]\n", "\"ok\":false"},
        {"{\"command\":\"status\"\n", "\"ok\":false"},
        {"\n", "\"ok\":false"},
        {"", "one JSON object of at most 4 KiB on one line"},
        {"{\"command\":\"status\"}", "one JSON object of at most 4 KiB on one line"},
        {"{\"command\":\"drain\",\"value\":true}\n", "value"},
    };
    char response[RESPONSE_BYTES];
    char many[8192];
    start();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        exchange(cases[i].request, strlen(cases[i].request), response);
        check_part(response, "{\"ok\":false,");
        check_part(response, cases[i].part);
        assert_ptr_equal(strchr(response, '\n'), response + strlen(response) - 1);
    }
    memset(many, 'x', sizeof many);
    int fd = connect_to_socket();
    assert_true(fd >= 0);
    (void)!send(fd, many, sizeof many, MSG_NOSIGNAL);
    ssize_t size = recv(fd, response, sizeof response - 1, 0); /* or a reset: it read 4 KiB */
    response[size > 0 ? size : 0] = '\0';
    assert_null(strstr(response, "\"ok\":true"));
    close(fd);
    check_admin("status", NULL, "node id");
}

static void too_long_argument_is_refused_by_the_node(void **state)
{
    (void)state;
    char argument[LONG_ARGUMENT + 1];
    memset(argument, 'x', LONG_ARGUMENT);
    argument[LONG_ARGUMENT] = '\0';
    start();
    struct command_result result = admin("guard-release", argument, NULL);
    assert_int_equal(result.exit_code, 1);
    check_part(result.err, "one JSON object of at most 4 KiB on one line");
    command_free(&result);
}

static void silent_client_does_not_hold_up_the_shutdown(void **state)
{
    (void)state;
    start();
    int fd = connect_to_socket();
    assert_true(fd >= 0);
    server_process_stop(&server);
    close(fd);
}

/* --- artemis reload --------------------------------------------------------------------------- */

static void reload_command_prints_what_has_changed(void **state)
{
    (void)state;
    char file[128];
    char config[160];
    snprintf(file, sizeof file, "%s", temp_folder_write(&folder, "artemis.toml", ""));
    snprintf(config, sizeof config, "[admin]\nsocket = \"%s\"\n", path);
    temp_folder_write(&folder, "artemis.toml", config);
    server_process_start(&server, (const char *const[]){"--config", file, NULL}, NULL);
    char changed[512];
    snprintf(changed, sizeof changed,
             "%s[lease]\nttl_secs = 60\n[cache]\nexpiry_secs = 60\n[[auth.tokens]]\nname = \"x\"\n"
             "role = \"read\"\nsha256 = "
             "\"0000000000000000000000000000000000000000000000000000000000000001\"\n",
             config);
    temp_folder_write(&folder, "artemis.toml", changed);
    struct command_result result =
        command_run_reload((const char *const[]){"--config", file, NULL}, NULL);
    assert_int_equal(result.exit_code, 0);
    check_part(result.out, "auth.tokens x: (none) -> read (");
    check_part(result.out, "lease.ttl_secs: 30 -> 60 (");
    check_part(result.out, "artemis.toml:4)\n");
    check_part(result.out, "cache.expiry_secs: 300 -> 60 (");
    check_part(result.out, "), at the next start of the node\n");
    check_part(result.out, "settings reloaded: 2 changed, 1 need a restart\n");
    command_free(&result);
    temp_folder_write(&folder, "artemis.toml", "[lease]\nttl_secs = 0\n");
    result = command_run_reload((const char *const[]){"--socket", path, NULL}, NULL);
    assert_int_equal(result.exit_code, 1);
    check_part(result.err, "artemis.toml:2: lease.ttl_secs: must be");
    command_free(&result);
    temp_folder_write(&folder, "artemis.toml", "[lease]\nttl_secs = 30\n");
    result = command_run_reload((const char *const[]){"--config", file, NULL}, NULL);
    assert_int_equal(result.exit_code, 2);
    check_part(result.err, "admin.socket is not set in --config FILE");
    command_free(&result);
}

static void reload_over_http_needs_an_admin(void **state)
{
    (void)state;
    char file[128];
    snprintf(file, sizeof file, "%s", tokens_write(&folder, ""));
    server_process_start(&server, (const char *const[]){"--config", file, NULL}, NULL);
    tokens_write(&folder, "[lease]\nttl_secs = 45\n");
    const char *const to_server[] = {"--server", server.url, NULL};
    struct command_result result = command_run_reload(to_server, TOKEN_OPERATOR);
    assert_int_equal(result.exit_code, 1);
    check_part(result.err, "this path needs admin");
    command_free(&result);
    result = command_run_reload(to_server, TOKEN_ADMIN);
    assert_int_equal(result.exit_code, 0);
    check_part(result.out, "lease.ttl_secs: 30 -> 45 (");
    command_free(&result);
    tokens_write(&folder, "[lease]\nttl_secs = \"long\"\n");
    result = command_run_reload(to_server, TOKEN_ADMIN);
    assert_int_equal(result.exit_code, 1);
    check_part(result.err, "lease.ttl_secs: must be");
    command_free(&result);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(status_and_dump_describe_the_node),
        TEST(log_level_changes_until_the_next_reload),
        TEST(drain_fails_ready_and_serves_everything),
        TEST(guard_is_released),
        TEST(calls_are_in_the_audit_log),
        TEST(works_while_every_connection_is_taken),
        TEST(socket_belongs_to_the_user_alone),
        TEST(other_users_are_refused),
        TEST(socket_of_a_living_process_is_not_replaced),
        TEST(socket_of_a_dead_process_is_replaced),
        TEST(file_that_is_no_socket_is_not_replaced),
        TEST(too_long_path_is_refused_by_the_check),
        TEST(node_without_a_socket_is_not_reachable),
        TEST(invalid_requests_get_an_error),
        TEST(too_long_argument_is_refused_by_the_node),
        TEST(silent_client_does_not_hold_up_the_shutdown),
        TEST(reload_command_prints_what_has_changed),
        TEST(reload_over_http_needs_an_admin),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
