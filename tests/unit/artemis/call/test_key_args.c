/* SPDX-License-Identifier: Apache-2.0
 *
 * The key of an instance: checks of its parts, and comparison with instances of a response.
 */
#include "artemis/call/key_args.h"

#include "tests/support/cmocka_all.h"

#include <stdio.h>
#include <string.h>

static const struct args_option options[] = {
    KEY_OPTIONS,
    {.name = NULL},
};

static const struct args_command command = {
    .name = "test",
    .positionals = {"SERVICE", "INSTANCE"},
    .options = options,
};

#define WORDS_MAX 12
#define WORD_MAX  300

/* getopt_long reorders the words, so they are copied to writable memory. */
static void read_words(struct args *args, const char *const words[])
{
    static char copies[WORDS_MAX][WORD_MAX];
    static char *argv[WORDS_MAX + 1];
    char problem[ARGS_PROBLEM_MAX];
    int argc = 0;
    for (; words[argc]; argc++) {
        assert_true(argc < WORDS_MAX);
        snprintf(copies[argc], sizeof copies[argc], "%s", words[argc]);
        argv[argc] = copies[argc];
    }
    argv[argc] = NULL;
    assert_int_equal(args_read(args, &command, argc, argv, problem), ERR_NONE);
}

#define READ(args, ...) read_words((args), (const char *const[]){"test", __VA_ARGS__, NULL})

static void each_part_is_checked(void **state)
{
    (void)state;
    char long_id[ID_BYTES_MAX + 2];
    memset(long_id, 'x', sizeof long_id - 1);
    long_id[sizeof long_id - 1] = '\0';
    const struct {
        const char *service, *instance, *option, *problem; /* "" when it is valid */
    } cases[] = {
        {"orders", "o-1", "--region=r", ""},
        {"orders", "o-1", "--group=", ""},
        {"", "o-1", "--zone=z", "SERVICE must be 1 to 255 bytes"},
        {"orders", "", "--zone=z", "INSTANCE must be 1 to 255 bytes"},
        {"orders", long_id, "--zone=z", "INSTANCE must be 1 to 255 bytes"},
        {"orders", "a\nb", "--zone=z", "INSTANCE "},
        {"orders", "o-1", "--region=", "--region must be 1 to 255 bytes"},
        {"orders", "o-1", "--zone=", "--zone must be 1 to 255 bytes"},
        {"orders", "o-1", "--group=\x01", "--group "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct args args;
        char problem[ARGS_PROBLEM_MAX] = "";
        READ(&args, cases[i].service, cases[i].instance, cases[i].option);
        enum error error = key_args_check(&args, problem);
        assert_int_equal(error, *cases[i].problem ? ERR_INVALID_FIELD : ERR_NONE);
        if (strstr(problem, cases[i].problem) != problem)
            fail_msg("\"%s\" should start with \"%s\"", problem, cases[i].problem);
        args_free(&args);
    }
}

static json_t *instance_of(const char *id, const char *region, const char *zone, const char *group)
{
    json_t *instance = json_pack("{s:s,s:s,s:s,s:s*}", "instance_id", id, "region_id", region,
                                 "zone_id", zone, "group_id", group);
    assert_non_null(instance);
    return instance;
}

static void key_equals_only_the_instance_with_all_its_parts(void **state)
{
    (void)state;
    static const struct {
        const char *id, *region, *zone, *group; /* of the instance */
        bool equal;
    } rows[] = {
        {"o-1", "r", "z", NULL, true},      {"o-1", "r", "z", "", true},
        {"o-1", "r", "z", "default", true}, {"o-1", "r", "z", "g", false},
        {"o-2", "r", "z", NULL, false},     {"o-1", "q", "z", NULL, false},
        {"o-1", "r", "y", NULL, false},
    };
    const struct key_args key = {
        .service = "orders", .instance = "o-1", .group = "", .region = "r", .zone = "z"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *instance = instance_of(rows[i].id, rows[i].region, rows[i].zone, rows[i].group);
        assert_int_equal(key_args_equals(&key, instance), rows[i].equal);
        json_decref(instance);
    }
}

static void only_given_options_restrict_the_match(void **state)
{
    (void)state;
    static const struct {
        const char *option;
        bool matches; /* o-1 in r/z, group g */
    } rows[] = {
        {"--region=r", true}, {"--region=q", false},      {"--zone=z", true},
        {"--zone=y", false},  {"--group=g", true},        {"--group=h", false},
        {"--group=", false},  {"--group=default", false},
    };
    json_t *instance = instance_of("o-1", "r", "z", "g");
    json_t *other = instance_of("o-2", "r", "z", "g");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct args args;
        READ(&args, "orders", "o-1", rows[i].option);
        assert_int_equal(key_args_matches_given(&args, instance), rows[i].matches);
        assert_false(key_args_matches_given(&args, other));
        args_free(&args);
    }
    json_decref(instance);
    json_decref(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_part_is_checked),
        cmocka_unit_test(key_equals_only_the_instance_with_all_its_parts),
        cmocka_unit_test(only_given_options_restrict_the_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
