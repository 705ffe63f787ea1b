/* SPDX-License-Identifier: Apache-2.0
 *
 * The output of `artemis config` on both streams, and its exit code. The streams go to files while
 * the command runs.
 */
#include "artemis/cmd/commands.h"

#include "artemis-core/config/config.h"
#include "artemis/terminal/exit_code.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/cmocka_all.h"

static char file[] = "/tmp/artemis-config-XXXXXX";
static char output[32768];
static char complaint[1024];

static void write_file(const char *text)
{
    FILE *out = fopen(file, "w");
    assert_non_null(out);
    fputs(text, out);
    assert_int_equal(fclose(out), 0);
}

static int set_up(void **state)
{
    (void)state;
    int fd = mkstemp(file);
    return fd < 0 ? -1 : close(fd);
}

static int tear_down(void **state)
{
    (void)state;
    return unlink(file);
}

/* Sends what is written to `fd` to a file, and returns what to give to `restore`. */
static int divert(int fd)
{
    int kept = dup(fd);
    FILE *to = tmpfile();
    assert_non_null(to);
    assert_true(kept >= 0 && dup2(fileno(to), fd) == fd);
    fclose(to);
    return kept;
}

static void restore(int fd, int kept, char *written, size_t size)
{
    ssize_t got = pread(fd, written, size - 1, 0);
    assert_true(got >= 0 && dup2(kept, fd) == fd);
    written[got] = '\0';
    close(kept);
}

/* Runs `artemis config ARGUMENTS`, with blanks between the arguments. */
static int run(const char *arguments)
{
    char line[512];
    char *argv[16] = {"config"};
    int argc = 1;
    char *next = NULL;
    snprintf(line, sizeof(line), "%s", arguments);
    for (char *word = strtok_r(line, " ", &next); word; word = strtok_r(NULL, " ", &next))
        argv[argc++] = word;
    fflush(stdout);
    int kept_output = divert(STDOUT_FILENO);
    int kept_complaint = divert(STDERR_FILENO);
    int exit_code = command_config(argc, argv);
    fflush(stdout);
    restore(STDOUT_FILENO, kept_output, output, sizeof(output));
    restore(STDERR_FILENO, kept_complaint, complaint, sizeof(complaint));
    return exit_code;
}

static int run_check(const char *more)
{
    char arguments[512];
    snprintf(arguments, sizeof(arguments), "check %s %s", file, more);
    return run(arguments);
}

static void check_text(const char *actual, const char *format)
{
    char expected[512];
    const char *at = strstr(format, "FILE");
    size_t before = at ? (size_t)(at - format) : strlen(format);
    snprintf(expected, sizeof(expected), "%.*s%s", (int)before, format, at ? file : "");
    if (strncmp(actual, expected, strlen(expected)) != 0)
        fail_msg("expected \"%s...\", got \"%s\"", expected, actual);
}

static void check_of_defaults_reports_defaults(void **state)
{
    (void)state;
    write_file("lease.ttl_secs = 30\n");
    assert_int_equal(run_check(""), EXIT_DONE);
    check_text(output, "FILE");
    assert_non_null(strstr(output, ": ok\nall settings have their defaults"));
    assert_string_equal(complaint, "");
}

static void check_shows_differing_settings_with_their_sources(void **state)
{
    (void)state;
    write_file("[lease]\nttl_secs = 60\n[cluster]\npeers = [\"a:1\", \"b:2\"]\n");
    setenv("ARTEMIS_SERVER_ZONE", "z", 1);
    int exit_code = run_check("--set log.level=debug --set server.max_body_bytes=1048576");
    unsetenv("ARTEMIS_SERVER_ZONE");
    assert_int_equal(exit_code, EXIT_DONE);
    static const char *const lines[] = {
        "  server.zone = z  (environment ARTEMIS_SERVER_ZONE)\n",
        "  server.max_body_bytes = 1 MiB  (--set)\n",
        "  cluster.peers = a:1,b:2  (",
        "  lease.ttl_secs = 60  (",
        "  log.level = debug  (--set)\n",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_non_null(strstr(output, lines[i]));
    assert_null(strstr(output, "node_id"));
}

#define DIGEST "000000000000000000000000000000000000000000000000000000000000000"

static void check_lists_the_tokens_and_warns_of_their_end(void **state)
{
    (void)state;
    char text[1024];
    char soon[32];
    time_t at = time(NULL) + 3 * 24 * 60 * 60 + 60 * 60;
    struct tm parts;
    gmtime_r(&at, &parts);
    strftime(soon, sizeof(soon), "%Y-%m-%dT%H:%M:%SZ", &parts);
    snprintf(text, sizeof(text),
             "[[auth.tokens]]\nname = \"shop\"\nrole = \"write\"\nsha256 = \"" DIGEST "1\"\n"
             "services = [\"shop-*\"]\nexpires = \"2099-12-31\"\n"
             "[[auth.tokens]]\nname = \"old\"\nrole = \"read\"\nsha256 = \"" DIGEST "2\"\n"
             "expires = \"2020-01-01\"\n"
             "[[auth.tokens]]\nname = \"soon\"\nrole = \"read\"\nsha256 = \"" DIGEST "3\"\n"
             "expires = \"%s\"\n",
             soon);
    write_file(text);
    assert_int_equal(run_check(""), EXIT_DONE);
    assert_non_null(
        strstr(output, "  auth.tokens shop = write, services shop-*, expires 2099-12-31  ("));
    assert_non_null(strstr(output, "  auth.tokens old = read, expires 2020-01-01  ("));
    assert_null(strstr(output, DIGEST));
    assert_non_null(strstr(complaint, ": token old has expired; remove it\n"));
    assert_non_null(strstr(complaint, ": token soon expires in 3 days; replace it\n"));
    assert_null(strstr(complaint, "shop"));
}

static void check_as_json_has_values_and_defaults(void **state)
{
    (void)state;
    write_file("");
    assert_int_equal(run_check("--json --set lease.ttl_secs=60"), EXIT_DONE);
    check_text(output, "{\"file\":\"FILE");
    assert_non_null(strstr(output,
                           "\"ok\":true,\"settings\":[{\"key\":\"lease.ttl_secs\",\"value\":60,"
                           "\"default\":30,\"source\":\"--set\"}]}\n"));
}

static void check_of_bad_file_is_refused_on_stderr(void **state)
{
    (void)state;
    write_file("lease.ttl_secs = 0\n");
    assert_int_equal(run_check(""), EXIT_REFUSED);
    assert_string_equal(output, "");
    check_text(complaint, "artemis: FILE");
    assert_non_null(strstr(complaint, ":1: lease.ttl_secs: must be a whole number, 1 to 86400"));
    assert_int_equal(run_check("--json"), EXIT_REFUSED);
    assert_non_null(strstr(output, "\"ok\":false,\"error\":\""));
}

static void check_of_missing_file_is_refused(void **state)
{
    (void)state;
    assert_int_equal(run("check /nowhere/artemis.toml"), EXIT_REFUSED);
    check_text(complaint, "artemis: cannot read /nowhere/artemis.toml: No such file");
}

static void check_accepts_the_options_of_the_server(void **state)
{
    (void)state;
    write_file("");
    assert_int_equal(run_check("--addr 127.0.0.1:9090 --set lease.ttl_secs=60"), EXIT_DONE);
    assert_non_null(strstr(output, "  server.listen_addr = 127.0.0.1:9090  (--addr)\n"));
    assert_non_null(strstr(output, "  lease.ttl_secs = 60  (--set)\n"));
}

static void check_with_a_bad_command_line_is_wrong_usage(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"--set bad", "artemis: --set: must be section.key=value, is \"bad\"\n"},
        {"--set lease.ttl_secs=0", "artemis: --set: lease.ttl_secs: must be a whole number, "},
        {"--addr 8080", "artemis: --addr: server.listen_addr: must be text, HOST:PORT"},
    };
    write_file("");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(run_check(cases[i][0]), EXIT_USAGE);
        assert_string_equal(output, "");
        check_text(complaint, cases[i][1]);
    }
}

static void check_warns_about_an_unknown_variable(void **state)
{
    (void)state;
    write_file("");
    setenv("ARTEMIS_LEASES_TTL_SECS", "5", 1);
    int exit_code = run_check("");
    unsetenv("ARTEMIS_LEASES_TTL_SECS");
    assert_int_equal(exit_code, EXIT_DONE);
    assert_string_equal(complaint, "artemis: environment ARTEMIS_LEASES_TTL_SECS: not a setting, "
                                   "ignored; did you mean ARTEMIS_LEASE_TTL_SECS?\n");
}

static void wrong_usage_exits_with_2(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "", "check", "lint", "check a b", "reference x", "reference --json", "check --unknown"};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(run(cases[i]), EXIT_USAGE);
        assert_string_equal(output, "");
        assert_string_not_equal(complaint, "");
    }
}

static void help_ends_with_0(void **state)
{
    (void)state;
    assert_int_equal(run("--help"), EXIT_DONE);
    assert_non_null(strstr(output, "config check FILE"));
}

static void reference_has_a_row_for_each_setting(void **state)
{
    (void)state;
    assert_int_equal(run("reference"), EXIT_DONE);
    size_t rows = 0;
    for (const char *at = output; (at = strchr(at, '\n')); at++)
        rows++;
    assert_int_equal(rows, config_setting_count + config_token_setting_count + 2);
    assert_non_null(strstr(output, "\n| `lease.ttl_secs` | whole number | `30` | 1 to 86400 | "));
    assert_non_null(strstr(output, "\n| `server.node_id` | text | host name | 1 to 255 bytes"));
    assert_non_null(strstr(output, " | debug, info, warn or error | "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_of_defaults_reports_defaults),
        cmocka_unit_test(check_shows_differing_settings_with_their_sources),
        cmocka_unit_test(check_lists_the_tokens_and_warns_of_their_end),
        cmocka_unit_test(check_as_json_has_values_and_defaults),
        cmocka_unit_test(check_of_bad_file_is_refused_on_stderr),
        cmocka_unit_test(check_of_missing_file_is_refused),
        cmocka_unit_test(check_accepts_the_options_of_the_server),
        cmocka_unit_test(check_with_a_bad_command_line_is_wrong_usage),
        cmocka_unit_test(check_warns_about_an_unknown_variable),
        cmocka_unit_test(wrong_usage_exits_with_2),
        cmocka_unit_test(help_ends_with_0),
        cmocka_unit_test(reference_has_a_row_for_each_setting),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
