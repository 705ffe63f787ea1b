/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/terminal/args.h"

#include "artemis-core/base/suggest.h"
#include "artemis-core/base/text.h"
#include "artemis/terminal/exit_code.h"
#include "artemis/terminal/terminal_text.h"

#include <assert.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS_MAX 32
#define TYPED_MAX   112 /* a quoted argument in a message */

/* Value that getopt_long returns for row 0 of the table; above every letter. */
#define FIRST_ROW 256
#define HELP      'h'

static size_t count_options(const struct args_command *command)
{
    size_t count = 0;
    while (command->options[count].name)
        count++;
    assert(count < OPTIONS_MAX);
    return count;
}

static const struct args_option *find(const struct args_command *command, const char *name)
{
    for (const struct args_option *option = command->options; option->name; option++)
        if (strcmp(option->name, name) == 0)
            return option;
    assert(!"the table of the command has no such option");
    return NULL;
}

static bool is_number(const struct args_option *option)
{
    return option->min < option->max;
}

static bool read_number(const char *text, long *number)
{
    char *end = NULL;
    long value = strtol(text, &end, 10);
    if (end == text || *end != '\0')
        return false;
    *number = value;
    return true;
}

/* --- usage errors  */

static enum error describe_unknown_option(const struct args_command *command, const char *word,
                                          char *problem)
{
    char typed[64];
    snprintf(typed, sizeof typed, "%.*s", (int)strcspn(word, "="), word);
    struct suggestion near = {.word = typed + strspn(typed, "-")};
    for (const struct args_option *option = command->options; option->name; option++)
        suggest_consider(&near, option->name);
    suggest_consider(&near, "help");
    int written = snprintf(problem, ARGS_PROBLEM_MAX, "unknown option %s", typed);
    if (near.best)
        snprintf(problem + written, ARGS_PROBLEM_MAX - (size_t)written, "; did you mean --%s?",
                 near.best);
    return ERR_INVALID_FIELD;
}

/* getopt_long returns '?' for an unknown or ambiguous option, and for a flag with a value. */
static enum error describe_bad_option(const struct args_command *command, char **argv,
                                      char *problem)
{
    if (optopt >= FIRST_ROW) {
        snprintf(problem, ARGS_PROBLEM_MAX, "--%s takes no value",
                 command->options[optopt - FIRST_ROW].name);
        return ERR_INVALID_FIELD;
    }
    if (optopt == HELP) {
        snprintf(problem, ARGS_PROBLEM_MAX, "--help takes no value");
        return ERR_INVALID_FIELD;
    }
    char letter[] = {'-', (char)optopt, '\0'};
    /* getopt is still at a word such as -server, which has more letters, and behind the word -s. */
    const char *word = argv[optind];
    bool is_word = optopt && word && word[0] == '-' && word[1] == optopt && word[2] &&
                   strcmp(argv[optind - 1], letter) != 0;
    const char *typed = !optopt ? argv[optind - 1] : is_word ? word : letter;
    return describe_unknown_option(command, typed, problem);
}

static enum error check_value(const struct args_option *option, const char *value, char *problem)
{
    long number = 0;
    if (!value)
        return ERR_NONE;
    if (!text_is_utf8(slice_of(value))) {
        snprintf(problem, ARGS_PROBLEM_MAX, "--%s must be UTF-8", option->name);
        return ERR_INVALID_FIELD;
    }
    if (!is_number(option))
        return ERR_NONE;
    if (read_number(value, &number) && number >= option->min && number <= option->max)
        return ERR_NONE;
    snprintf(problem, ARGS_PROBLEM_MAX, "--%s must be a whole number from %ld to %ld, is %.64s",
             option->name, option->min, option->max, *value ? value : "empty");
    return ERR_INVALID_FIELD;
}

/* --- parsing ---------------------------------------------------------------------------------- */

/* The argument that holds the option that getopt_long has just returned. A value in an argument of
 * its own is argv[optind - 1], after the option. */
static const char *typed_option(char **argv)
{
    return optarg == argv[optind - 1] ? argv[optind - 2] : argv[optind - 1];
}

/* getopt_long accepts abbreviations, this parser does not: `--prot 80` would set the protocol. */
static bool is_abbreviation(const char *typed, const char *name)
{
    size_t length = strcspn(typed, "=");
    return strncmp(typed, "--", 2) == 0 && length != strlen("--") + strlen(name);
}

static enum error read_options(struct args *args, int argc, char **argv, char *problem)
{
    const struct args_command *command = args->command;
    size_t count = count_options(command);
    struct option rows[OPTIONS_MAX + 1] = {0};
    for (size_t i = 0; i < count; i++)
        rows[i] = (struct option){.name = command->options[i].name,
                                  .has_arg = command->options[i].value ? 1 : 0,
                                  .val = FIRST_ROW + (int)i};
    rows[count] = (struct option){.name = "help", .val = HELP};

    optind = 0; /* glibc: restart the scan */
    opterr = 0;
    for (int found = 0; (found = getopt_long(argc, argv, ":h", rows, NULL)) != -1;) {
        if (found == '?')
            return describe_bad_option(command, argv, problem);
        if (found == HELP) {
            args->help = true;
            continue;
        }
        const struct args_option *option =
            &command->options[(found == ':' ? optopt : found) - FIRST_ROW];
        if (is_abbreviation(typed_option(argv), option->name))
            return describe_unknown_option(command, typed_option(argv), problem);
        if (found == ':') {
            snprintf(problem, ARGS_PROBLEM_MAX, "--%s needs a value: --%s %s", option->name,
                     option->name, option->value);
            return ERR_INVALID_FIELD;
        }
        enum error error = check_value(option, option->value ? optarg : NULL, problem);
        if (error)
            return error;
        args->given[args->given_count++] =
            (struct args_given){option, option->value ? optarg : NULL};
    }
    return ERR_NONE;
}

static int count_positionals(const struct args_command *command)
{
    int count = 0;
    while (count < ARGS_POSITIONALS_MAX && command->positionals[count])
        count++;
    return count;
}

static enum error read_positionals(struct args *args, int argc, char **argv, char *problem)
{
    const struct args_command *command = args->command;
    int named = count_positionals(command);
    args->all_positionals = (const char *const *)argv;
    args->all_count = (size_t)argc;
    for (int i = 0; i < argc; i++) {
        if (i >= named && !command->positionals_repeat) {
            snprintf(problem, ARGS_PROBLEM_MAX, "unexpected argument: %.64s", argv[i]);
            return ERR_INVALID_FIELD;
        }
        int name = i < named ? i : named - 1;
        if (!text_is_utf8(slice_of(argv[i]))) {
            snprintf(problem, ARGS_PROBLEM_MAX, "%s must be UTF-8", command->positionals[name]);
            return ERR_INVALID_FIELD;
        }
        if (i < named)
            args->positionals[i] = argv[i];
    }
    if (command->positionals_optional || argc >= named)
        return ERR_NONE;
    snprintf(problem, ARGS_PROBLEM_MAX, "%s is missing", command->positionals[argc]);
    return ERR_INVALID_FIELD;
}

enum error args_read(struct args *args, const struct args_command *command, int argc, char **argv,
                     char problem[ARGS_PROBLEM_MAX])
{
    struct args read = {.command = command};
    read.given = calloc((size_t)argc + 1, sizeof *read.given);
    if (!read.given)
        return ERR_NO_MEMORY;
    enum error error = read_options(&read, argc, argv, problem);
    if (!error && !read.help)
        error = read_positionals(&read, argc - optind, argv + optind, problem);
    if (error) {
        args_free(&read);
        return error;
    }
    *args = read;
    return ERR_NONE;
}

void args_free(struct args *args)
{
    if (!args)
        return;
    free(args->given);
    *args = (struct args){0};
}

int args_usage_error(const struct args_command *command, const char *problem)
{
    char hint[64];
    snprintf(hint, sizeof hint, "see: artemis %s --help", command->name);
    terminal_text_print_error(stderr, hint, "%s: %s", command->name, problem);
    return EXIT_USAGE;
}

int args_form_error(const struct args *args, const char *forms)
{
    char problem[ARGS_PROBLEM_MAX];
    char typed[TYPED_MAX] = "";
    const char *word = args->positionals[0];
    if (word)
        text_quote(typed, sizeof typed, slice_of(word));
    snprintf(problem, sizeof problem, "%s%sthe form is: %s", typed, word ? ": " : "", forms);
    return args_usage_error(args->command, problem);
}

bool args_start(struct args *args, const struct args_command *command, int argc, char **argv,
                int *exit_code)
{
    char problem[ARGS_PROBLEM_MAX] = "";
    enum error error = args_read(args, command, argc, argv, problem);
    if (error == ERR_NO_MEMORY) {
        terminal_text_print_error(stderr, NULL, "out of memory");
        *exit_code = EXIT_REFUSED;
        return false;
    }
    if (error) {
        *exit_code = args_usage_error(command, problem);
        return false;
    }
    if (!args->help)
        return true;
    args_help(command, stdout);
    args_free(args);
    *exit_code = EXIT_DONE;
    return false;
}

int args_run(const struct args_command *command, int argc, char **argv,
             int (*run)(const struct args *args))
{
    struct args args;
    int exit_code = 0;
    if (!args_start(&args, command, argc, argv, &exit_code))
        return exit_code;
    exit_code = run(&args);
    args_free(&args);
    return exit_code;
}

/* --- access  */

static const struct args_given *last_given(const struct args *args,
                                           const struct args_option *option)
{
    for (size_t i = args->given_count; i-- > 0;)
        if (args->given[i].option == option)
            return &args->given[i];
    return NULL;
}

const char *args_text(const struct args *args, const char *name)
{
    const struct args_option *option = find(args->command, name);
    const struct args_given *given = last_given(args, option);
    return given ? given->value : option->default_value;
}

long args_number(const struct args *args, const char *name)
{
    long number = 0;
    const char *text = args_text(args, name);
    bool valid = text && read_number(text, &number);
    assert(valid);
    return number;
}

bool args_has(const struct args *args, const char *name)
{
    return last_given(args, find(args->command, name)) != NULL;
}

const char *args_next(const struct args *args, const char *name, size_t *position)
{
    const struct args_option *option = find(args->command, name);
    while (*position < args->given_count) {
        const struct args_given *given = &args->given[(*position)++];
        if (given->option == option)
            return given->value;
    }
    return NULL;
}

/* --- help ------------------------------------------------------------------------------------- */

static void print_option(const struct args_option *option, int width, FILE *out)
{
    char left[40];
    snprintf(left, sizeof left, "--%s%s%s", option->name, option->value ? " " : "",
             option->value ? option->value : "");
    fprintf(out, "  %-*s  %s", width, left, option->description);
    if (option->default_value)
        fprintf(out, " (default: %s)", option->default_value);
    fputc('\n', out);
}

void args_help(const struct args_command *command, FILE *out)
{
    static const struct args_option help = {.name = "help", .description = "print this help"};
    int width = (int)strlen("--help");
    for (const struct args_option *option = command->options; option->name; option++) {
        size_t length = strlen(option->name) + (option->value ? strlen(option->value) + 1 : 0) + 2;
        width = (int)length > width ? (int)length : width;
    }
    for (size_t i = 0; i < sizeof command->usage / sizeof *command->usage && command->usage[i]; i++)
        fprintf(out, "%s artemis %s\n", i == 0 ? "usage:" : "      ", command->usage[i]);
    fprintf(out, "\n%s\noptions:\n", command->about);
    for (const struct args_option *option = command->options; option->name; option++)
        print_option(option, width, out);
    print_option(&help, width, out);
    fputs("\nexample:\n", out);
    for (const char *line = command->example; *line;) {
        int length = (int)strcspn(line, "\n");
        fprintf(out, "  %.*s\n", length, line);
        line += length + (line[length] == '\n');
    }
}
