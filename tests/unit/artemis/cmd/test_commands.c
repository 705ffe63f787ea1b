/* SPDX-License-Identifier: Apache-2.0
 *
 * Each command has a --help that shows usage and an example and fits 80 columns, and each reports a
 * usage error before it calls a server.
 */
#include "artemis/cmd/commands.h"

#include "artemis/terminal/exit_code.h"
#include "tests/support/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"register", command_register},     {"heartbeat", command_heartbeat},
    {"unregister", command_unregister}, {"set-status", command_set_status},
    {"services", command_services},     {"service", command_service},
    {"lookup", command_lookup},         {"leases", command_leases},
    {"guard", command_guard},           {"event", command_event},
    {"config", command_config},         {"server", command_server},
    {"status", command_status},         {"watch", command_watch},
    {"cluster", command_cluster},       {"diff", command_diff},
    {"snapshot", command_snapshot},     {"reload", command_reload},
    {"admin", command_admin},           {"audit", command_audit},
    {"token", command_token},
};

enum { PRINTED_MAX = 8192, WORDS_MAX = 8 };

/* What the command prints to `fd` (1 or 2); its exit code in *exit_code. */
static void run(int (*command)(int, char **), const char *const words[], int fd, int *exit_code,
                char printed[PRINTED_MAX])
{
    char copies[WORDS_MAX][64];
    char *argv[WORDS_MAX + 1] = {NULL};
    int argc = 0;
    for (; words[argc]; argc++) {
        snprintf(copies[argc], sizeof copies[argc], "%s", words[argc]);
        argv[argc] = copies[argc];
    }
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(NULL);
    int kept = dup(fd);
    assert_true(kept >= 0);
    assert_int_equal(dup2(fileno(file), fd), fd);
    *exit_code = command(argc, argv);
    fflush(NULL);
    assert_int_equal(dup2(kept, fd), fd);
    close(kept);
    rewind(file);
    printed[fread(printed, 1, PRINTED_MAX - 1, file)] = '\0';
    fclose(file);
}

static void help_of_each_command_fits_the_terminal(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        char printed[PRINTED_MAX];
        char usage[64];
        int exit_code = -1;
        const char *const words[] = {commands[i].name, "--help", NULL};
        run(commands[i].run, words, STDOUT_FILENO, &exit_code, printed);
        assert_int_equal(exit_code, EXIT_DONE);

        snprintf(usage, sizeof usage, "usage: artemis %s", commands[i].name);
        assert_ptr_equal(strstr(printed, usage), printed);
        assert_non_null(strstr(printed, "\nexample:\n  artemis "));
        for (const char *line = printed; *line; line += strcspn(line, "\n") + 1)
            assert_in_range(strcspn(line, "\n"), 0, 80);
    }
}

static void help_of_lookup_says_that_status_selects(void **state)
{
    (void)state;
    char printed[PRINTED_MAX];
    int exit_code = -1;
    run(command_lookup, (const char *const[]){"lookup", "--help", NULL}, STDOUT_FILENO, &exit_code,
        printed);
    assert_null(strstr(printed, "of a service that is up"));
    assert_non_null(strstr(printed, "of those that are up, or of those\n"
                                    "with another status that --status names."));
}

static void wrong_usage_is_2_and_points_to_the_help(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        char printed[PRINTED_MAX];
        char hint[64];
        int exit_code = -1;
        const char *const words[] = {commands[i].name, "--no-such-option", NULL};
        run(commands[i].run, words, STDERR_FILENO, &exit_code, printed);
        assert_int_equal(exit_code, EXIT_USAGE);
        snprintf(hint, sizeof hint, "see: artemis %s --help", commands[i].name);
        assert_non_null(strstr(printed, "unknown option --no-such-option"));
        assert_non_null(strstr(printed, hint));
    }
}

static void assert_usage_error(int (*command)(int, char **), const char *const words[],
                               const char *problem)
{
    char printed[PRINTED_MAX];
    int exit_code = -1;
    run(command, words, STDERR_FILENO, &exit_code, printed);
    assert_int_equal(exit_code, EXIT_USAGE);
    assert_non_null(strstr(printed, problem));
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void unknown_subcommand_is_named_with_the_forms(void **state)
{
    (void)state;
    assert_usage_error(command_event, WORDS("event"), "event: the form is: event fire TOPIC");
    assert_usage_error(command_event, WORDS("event", "fier", "t", "1"), "\"fier\": the form is: ");
    assert_usage_error(command_guard, WORDS("guard", "stauts"), "\"stauts\": the form is: guard ");
    assert_usage_error(command_config, WORDS("config", "sow"), "\"sow\": the form is: config ");
    assert_usage_error(command_config, WORDS("config", "show", "me"),
                       "other argument, is given me");
    assert_usage_error(command_snapshot, WORDS("snapshot", "take", "x"),
                       "\"take\": the form is: snapshot save FILE");
    assert_usage_error(command_snapshot, WORDS("snapshot", "save"), "\"save\": the form is: ");
    assert_usage_error(command_admin, WORDS("admin", "stop"), "\"stop\": the form is: admin ");
    assert_usage_error(command_admin, WORDS("admin", "log-level"), "log-level LEVEL");
    assert_usage_error(command_admin, WORDS("admin", "reload", "x"), "\"reload\": the form is: ");
    assert_usage_error(command_cluster, WORDS("cluster", "a\xe2\x80\xae"),
                       "\"a\\u202e\": the form is: cluster");
    assert_usage_error(command_token, WORDS("token"),
                       "token: the form is: token new NAME --role R");
    assert_usage_error(command_token, WORDS("token", "ned", "x"), "\"ned\": the form is: ");
}

/* Without services, a token is for all. */
static void token_without_the_named_services_is_refused(void **state)
{
    (void)state;
    assert_usage_error(command_token,
                       WORDS("token", "new", "x", "--role", "read", "--services", ""),
                       "--services must name services, is empty");
    assert_usage_error(command_token, WORDS("token", "new", "x"),
                       "--role is missing: read, write, operator, admin or peer");
}

static void payload_that_is_not_json_is_shown_with_the_reason(void **state)
{
    (void)state;
    static const struct {
        const char *payload, *problem;
    } cases[] = {
        {"1e400", "PAYLOAD must be JSON, is \"1e400\": real number overflow"},
        {"text", "PAYLOAD must be JSON, is \"text\": a text needs quotes: '\"text\"'"},
        {"{a:1}", "PAYLOAD must be JSON, is \"{a:1}\": string or '}' expected near 'a'"},
        {"{\"a\":1,\"a\":2}", "duplicate object key"},
        {"", "PAYLOAD must be JSON, is \"\": "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_usage_error(command_event, WORDS("event", "fire", "t", cases[i].payload),
                           cases[i].problem);
}

static void value_of_a_wrong_option_is_shown(void **state)
{
    (void)state;
    assert_usage_error(command_lookup, WORDS("lookup", "s", "--meta", "x"),
                       "--meta must be KEY=VALUE, is \"x\"");
    assert_usage_error(command_audit, WORDS("audit", "--data-dir", "/", "--since", "yesterday"),
                       "T12:00:00Z, is yesterday");
}

static void register_incomplete_is_a_usage_error(void **state)
{
    (void)state;
    assert_usage_error(command_register, WORDS("register"), "SERVICE and INSTANCE are missing");
    assert_usage_error(command_register, WORDS("register", "a"), "INSTANCE is missing");
    assert_usage_error(command_register, WORDS("register", "a", "b"), "the address is missing");
    assert_usage_error(command_register, WORDS("register", "a", "b", "--ip=::1", "--meta", "x"),
                       "--meta must be KEY=VALUE, is x");
}

static void register_file_alone_describes_the_instances(void **state)
{
    (void)state;
    assert_usage_error(command_register, WORDS("register", "--file", "/no/such/file"),
                       "cannot read the file /no/such/file: No such file or directory");
    assert_usage_error(command_register, WORDS("register", "--file", "/dev/null"), "it is empty");
    assert_usage_error(command_register, WORDS("register", "--file", "/dev/null", "a"),
                       "--file replaces SERVICE and INSTANCE");
    assert_usage_error(command_register, WORDS("register", "--file", "/dev/null", "--zone", "z"),
                       "--file replaces --zone");
}

static void server_that_is_no_address_is_a_usage_error(void **state)
{
    (void)state;
    assert_usage_error(command_services, WORDS("services", "--server", "ftp://x"),
                       "not a server address: ftp://x");
    assert_usage_error(command_services, WORDS("services", "--server", "ftp://u:secret@x"),
                       "not shown");
}

static void one_bad_address_of_several_is_a_usage_error(void **state)
{
    (void)state;
    assert_usage_error(command_watch, WORDS("watch", "orders", "--server", "127.0.0.1:1,ftp://x"),
                       "not a server address: 127.0.0.1:1,ftp://x");
    assert_usage_error(command_watch, WORDS("watch", "orders", "--server", "127.0.0.1:1,"),
                       "not a server address");
    assert_usage_error(command_services,
                       WORDS("services", "--watch", "--server", "http://u:secret@127.0.0.1:1"),
                       "must not contain a user");
    assert_usage_error(command_watch, WORDS("watch", ""), "service_id");
    assert_usage_error(command_watch, WORDS("watch"), "NAME is missing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_of_each_command_fits_the_terminal),
        cmocka_unit_test(help_of_lookup_says_that_status_selects),
        cmocka_unit_test(wrong_usage_is_2_and_points_to_the_help),
        cmocka_unit_test(unknown_subcommand_is_named_with_the_forms),
        cmocka_unit_test(token_without_the_named_services_is_refused),
        cmocka_unit_test(payload_that_is_not_json_is_shown_with_the_reason),
        cmocka_unit_test(value_of_a_wrong_option_is_shown),
        cmocka_unit_test(register_incomplete_is_a_usage_error),
        cmocka_unit_test(register_file_alone_describes_the_instances),
        cmocka_unit_test(server_that_is_no_address_is_a_usage_error),
        cmocka_unit_test(one_bad_address_of_several_is_a_usage_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
