/* SPDX-License-Identifier: Apache-2.0
 *
 * A command line is parsed by the table of its command: in any order, and each error is named.
 */
#include "artemis/terminal/args.h"

#include "tests/support/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct args_option options[] = {
    {.name = "port", .value = "N", .description = "a port", .min = 0, .max = 65535},
    {.name = "zone", .value = "Z", .description = "a zone", .default_value = "zone1"},
    {.name = "meta", .value = "K=V", .description = "metadata"},
    {.name = "every",
     .value = "SECS",
     .description = "a pause",
     .default_value = "10",
     .min = 1,
     .max = 60},
    {.name = "json", .description = "print JSON"},
    {.name = NULL},
};

static const struct args_command command = {
    .name = "test",
    .usage = {"test SERVICE INSTANCE [options]", "test --other"},
    .about = "Tests.\n",
    .example = "artemis test a b\nartemis test c d\n",
    .positionals = {"SERVICE", "INSTANCE"},
    .options = options,
};

#define WORDS_MAX 12

/* Parses words. getopt_long reorders them, so they are copied to writable memory. */
static enum error read_line(const struct args_command *of, struct args *args,
                            const char *const words[], char problem[ARGS_PROBLEM_MAX])
{
    char *argv[WORDS_MAX + 1] = {NULL};
    static char copies[WORDS_MAX][64];
    int argc = 0;
    for (; words[argc]; argc++) {
        assert_true(argc < WORDS_MAX);
        snprintf(copies[argc], sizeof copies[argc], "%s", words[argc]);
        argv[argc] = copies[argc];
    }
    return args_read(args, of, argc, argv, problem);
}

#define READ(args, ...)                                                                            \
    read_line(&command, (args), (const char *const[]){"test", __VA_ARGS__, NULL},                  \
              (char[ARGS_PROBLEM_MAX]){0})

static void read_options_stand_anywhere(void **state)
{
    (void)state;
    struct args args;
    assert_int_equal(READ(&args, "--port", "80", "orders", "--json", "o-1", "--zone=z2"), ERR_NONE);
    assert_string_equal(args.positionals[0], "orders");
    assert_string_equal(args.positionals[1], "o-1");
    assert_int_equal(args_number(&args, "port"), 80);
    assert_string_equal(args_text(&args, "zone"), "z2");
    assert_true(args_has(&args, "json"));
    args_free(&args);
}

static void read_absent_options_have_their_default(void **state)
{
    (void)state;
    struct args args;
    assert_int_equal(READ(&args, "a", "b"), ERR_NONE);
    assert_null(args_text(&args, "port"));
    assert_string_equal(args_text(&args, "zone"), "zone1");
    assert_int_equal(args_number(&args, "every"), 10);
    assert_false(args_has(&args, "zone"));
    assert_false(args_has(&args, "json"));
    args_free(&args);
}

static void read_repeated_option_last_wins_and_all_are_listed(void **state)
{
    (void)state;
    struct args args;
    size_t position = 0;
    assert_int_equal(READ(&args, "--meta", "a=1", "s", "--zone", "z", "i", "--meta", "b=2"),
                     ERR_NONE);
    assert_string_equal(args_text(&args, "meta"), "b=2");
    assert_string_equal(args_next(&args, "meta", &position), "a=1");
    assert_string_equal(args_next(&args, "meta", &position), "b=2");
    assert_null(args_next(&args, "meta", &position));
    args_free(&args);
}

static void read_two_dashes_end_the_options(void **state)
{
    (void)state;
    struct args args;
    assert_int_equal(READ(&args, "--", "--odd", "-name"), ERR_NONE);
    assert_string_equal(args.positionals[0], "--odd");
    assert_string_equal(args.positionals[1], "-name");
    args_free(&args);
}

static void read_help_needs_nothing_else(void **state)
{
    (void)state;
    struct args args;
    assert_int_equal(READ(&args, "--help"), ERR_NONE);
    assert_true(args.help);
    args_free(&args);
    assert_int_equal(READ(&args, "a", "b", "c", "-h"), ERR_NONE);
    assert_true(args.help);
    args_free(&args);
}

static void read_errors_name_the_argument(void **state)
{
    (void)state;
    static const struct {
        const char *words[6];
        const char *problem;
    } cases[] = {
        {{"test"}, "SERVICE is missing"},
        {{"test", "a"}, "INSTANCE is missing"},
        {{"test", "a", "b", "c"}, "unexpected argument: c"},
        {{"test", "a", "b", "--port"}, "--port needs a value: --port N"},
        {{"test", "--port", "x"}, "--port must be a whole number from 0 to 65535, is x"},
        {{"test", "--port", ""}, "--port must be a whole number from 0 to 65535, is empty"},
        {{"test", "--port=-1"}, "--port must be a whole number from 0 to 65535, is -1"},
        {{"test", "--port", "65536"}, "--port must be a whole number from 0 to 65535, is 65536"},
        {{"test", "--port", "99999999999999999999"},
         "--port must be a whole number from 0 to 65535, is 99999999999999999999"},
        {{"test", "--port", "80x"}, "--port must be a whole number from 0 to 65535, is 80x"},
        {{"test", "--prot", "80"}, "unknown option --prot; did you mean --port?"},
        {{"test", "--prot=80"}, "unknown option --prot; did you mean --port?"},
        {{"test", "--nothing"}, "unknown option --nothing"},
        {{"test", "-x"}, "unknown option -x"},
        {{"test", "-x", "-xyz"}, "unknown option -x"},
        {{"test", "-port", "80"}, "unknown option -port; did you mean --port?"},
        {{"test", "-port=80"}, "unknown option -port; did you mean --port?"},
        {{"test", "--json=1"}, "--json takes no value"},
        {{"test", "--help=1"}, "--help takes no value"},
        {{"test", "--zone", "\xff"}, "--zone must be UTF-8"},
        {{"test", "a", "\xff"}, "INSTANCE must be UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char problem[ARGS_PROBLEM_MAX] = "";
        struct args args = {.given_count = 77};
        assert_int_equal(read_line(&command, &args, cases[i].words, problem), ERR_INVALID_FIELD);
        assert_string_equal(problem, cases[i].problem);
        assert_int_equal(args.given_count, 77);
    }
}

/* getopt_long alone would accept each of these. */
static void read_abbreviated_option_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *words[6];
        const char *problem;
    } cases[] = {
        {{"test", "a", "b", "--eve", "5"}, "unknown option --eve; did you mean --every?"},
        {{"test", "a", "b", "--eve=5"}, "unknown option --eve; did you mean --every?"},
        {{"test", "--js", "a", "b"}, "unknown option --js; did you mean --json?"},
        {{"test", "a", "b", "--por"}, "unknown option --por; did you mean --port?"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char problem[ARGS_PROBLEM_MAX] = "";
        struct args args;
        assert_int_equal(read_line(&command, &args, cases[i].words, problem), ERR_INVALID_FIELD);
        assert_string_equal(problem, cases[i].problem);
    }
}

static void read_optional_positionals_may_be_missing(void **state)
{
    (void)state;
    struct args_command lenient = command;
    lenient.positionals_optional = true;
    char problem[ARGS_PROBLEM_MAX] = "";
    struct args args;
    const char *const words[] = {"test", "--json", NULL};
    assert_int_equal(read_line(&lenient, &args, words, problem), ERR_NONE);
    assert_null(args.positionals[0]);
    args_free(&args);
}

static void read_last_positional_may_repeat(void **state)
{
    (void)state;
    struct args_command repeating = command;
    repeating.positionals_repeat = true;
    char problem[ARGS_PROBLEM_MAX] = "";
    char words[][8] = {"test", "a", "--json", "b", "c", "d", "\xff"};
    char *argv[] = {words[0], words[1], words[2], words[3], words[4], words[5], NULL};
    struct args args;
    assert_int_equal(args_read(&args, &repeating, 6, argv, problem), ERR_NONE);
    assert_string_equal(args.positionals[1], "b");
    assert_null(args.positionals[2]);
    assert_int_equal(args.all_count, 4);
    assert_string_equal(args.all_positionals[0], "a");
    assert_string_equal(args.all_positionals[3], "d");
    args_free(&args);
    char *invalid[] = {words[0], words[1], words[3], words[6], NULL};
    assert_int_equal(args_read(&args, &repeating, 4, invalid, problem), ERR_INVALID_FIELD);
    assert_string_equal(problem, "INSTANCE must be UTF-8");
    char *short_of_one[] = {words[0], words[1], NULL};
    assert_int_equal(args_read(&args, &repeating, 2, short_of_one, problem), ERR_INVALID_FIELD);
    assert_string_equal(problem, "INSTANCE is missing");
}

static void help_is_printed_from_the_table(void **state)
{
    (void)state;
    char *printed = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&printed, &size);
    assert_non_null(out);
    args_help(&command, out);
    fclose(out);
    assert_string_equal(printed, "usage: artemis test SERVICE INSTANCE [options]\n"
                                 "       artemis test --other\n"
                                 "\n"
                                 "Tests.\n"
                                 "\n"
                                 "options:\n"
                                 "  --port N      a port\n"
                                 "  --zone Z      a zone (default: zone1)\n"
                                 "  --meta K=V    metadata\n"
                                 "  --every SECS  a pause (default: 10)\n"
                                 "  --json        print JSON\n"
                                 "  --help        print this help\n"
                                 "\n"
                                 "example:\n"
                                 "  artemis test a b\n"
                                 "  artemis test c d\n");
    free(printed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_options_stand_anywhere),
        cmocka_unit_test(read_absent_options_have_their_default),
        cmocka_unit_test(read_repeated_option_last_wins_and_all_are_listed),
        cmocka_unit_test(read_two_dashes_end_the_options),
        cmocka_unit_test(read_help_needs_nothing_else),
        cmocka_unit_test(read_errors_name_the_argument),
        cmocka_unit_test(read_abbreviated_option_is_refused),
        cmocka_unit_test(read_optional_positionals_may_be_missing),
        cmocka_unit_test(read_last_positional_may_repeat),
        cmocka_unit_test(help_is_printed_from_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
