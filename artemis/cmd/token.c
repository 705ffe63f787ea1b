/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/commands.h"

#include "artemis-core/base/sha256.h"
#include "artemis-core/config/config.h"
#include "artemis/call/server_call.h"
#include "artemis/settings.h"
#include "artemis/terminal/args.h"
#include "artemis/terminal/terminal_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static const struct args_option options[] = {
    {.name = "role", .value = "R", .description = "read, write, operator, admin or peer"},
    {.name = "services",
     .value = "S",
     .description = "services, separated by commas; * stands for any text"},
    {.name = "expires", .value = "DAY", .description = "last day on which it is valid: 2027-01-31"},
    {.name = "secret-file",
     .value = "FILE",
     .description = "write the secret to a new file, not to the terminal"},
    {.name = NULL},
};

static const struct args_command command = {
    .name = "token",
    .usage = {"token new NAME --role R [options]"},
    .about = "Makes a token: a secret for a client, and the lines of the settings by which a\n"
             "node knows it. The secret is shown once; the node has its digest only. Add the\n"
             "lines to a file in config.d of each node, and reload the nodes (artemis reload).\n"
             "As soon as a node has one token, every request needs one.\n"
             "read      discovery, metrics, the state of the node\n"
             "write     read, and register, heartbeat, unregister\n"
             "operator  write, and status, settings, guards, snapshot save, diff\n"
             "admin     operator, and snapshot restore, reload, cluster block\n"
             "peer      replication between nodes, and nothing else: see cluster.token_file\n"
             "A client sends it as `Authorization: Bearer SECRET`; commands take --token-file\n"
             "or ARTEMIS_TOKEN. --services limits what write changes, and what read sees.\n",
    .example = "artemis token new shop --role write --services 'shop-*' --expires 2027-01-31\n",
    .positionals = {"new", "NAME"},
    .positionals_optional = true,
    .options = options,
};

/* --- the settings ----------------------------------------------------------------------------- */

/* Appends a TOML text. A text that needs an escape is not valid in any of the fields. */
static void write_text(struct text *out, const char *name, const char *value)
{
    text_printf(out, "%s = \"%s\"\n", name, value);
}

static void write_services(struct text *out, const char *services)
{
    text_append_string(out, "services = [");
    for (const char *at = services; *at;) {
        size_t size = strcspn(at, ",");
        text_printf(out, "%s\"%.*s\"", at > services ? ", " : "", (int)size, at);
        at += size + (at[size] == ',');
    }
    text_append_string(out, "]\n");
}

static void write_settings(struct text *out, const struct args *args, const char *secret)
{
    char digest[SHA256_HEX_BYTES];
    struct sha256 hash = sha256_of(slice_of(secret));
    sha256_write_hex(&hash, digest);
    text_append_string(out, "[[auth.tokens]]\n");
    write_text(out, "name", args->positionals[1]);
    write_text(out, "role", args_text(args, "role"));
    write_text(out, "sha256", digest);
    if (args_text(args, "services"))
        write_services(out, args_text(args, "services"));
    if (args_text(args, "expires"))
        write_text(out, "expires", args_text(args, "expires"));
}

struct reading {
    struct config *config;
    struct config_problem *problem;
};

static enum error visit(void *context, const char *key, const struct toml_value *value,
                        uint32_t line)
{
    const struct reading *reading = context;
    (void)line;
    return config_set(reading->config, key, value, "token new", reading->problem);
}

/* Reads the lines as a node does. Prints why they are not valid. */
static int check_settings(const struct text *settings)
{
    struct config config;
    struct config_problem problem;
    struct reading reading = {&config, &problem};
    settings_defaults(&config);
    enum error error = toml_read("token new", (struct slice){settings->data, settings->size}, visit,
                                 &reading, problem.text, sizeof(problem.text));
    if (!error)
        error = config_validate(&config, &problem);
    config_free(&config);
    if (error)
        terminal_text_print_error(stderr, "see: artemis token --help", "%s", problem.text);
    return error ? EXIT_USAGE : EXIT_DONE;
}

/* --- the secret ------------------------------------------------------------------------------- */

static int cannot_write(const char *path)
{
    terminal_text_print_error(stderr, NULL, "cannot write %s: %s", path, strerror(errno));
    return EXIT_REFUSED;
}

/* An existing file is not replaced: it may hold the secret of another token. */
static int write_secret(const char *path, const char *secret)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return cannot_write(path);
    size_t size = strlen(secret);
    bool written = write(fd, secret, size) == (ssize_t)size && write(fd, "\n", 1) == 1;
    if (close(fd) != 0 || !written)
        return cannot_write(path);
    return EXIT_DONE;
}

static int print(const struct args *args, const char *secret, struct text *settings)
{
    const char *file = args_text(args, "secret-file");
    int exit_code = file ? write_secret(file, secret) : EXIT_DONE;
    if (exit_code != EXIT_DONE)
        return exit_code;
    if (!file)
        printf("secret, shown once: %s\n\nlines for the settings of each node:\n\n", secret);
    fputs(text_string(settings), stdout);
    return EXIT_DONE;
}

static int make_token(const struct args *args)
{
    uint8_t random[TOKEN_RANDOM_BYTES];
    char secret[TOKEN_SECRET_BYTES];
    struct text settings = {0};
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
        terminal_text_print_error(stderr, NULL, "no random numbers: %s", strerror(errno));
        return EXIT_REFUSED;
    }
    token_secret_write(random, secret);
    write_settings(&settings, args, secret);
    int exit_code = text_failed(&settings) ? server_call_no_memory() : check_settings(&settings);
    if (exit_code == EXIT_DONE)
        exit_code = print(args, secret, &settings);
    explicit_bzero(secret, sizeof(secret));
    explicit_bzero(random, sizeof(random));
    text_free(&settings);
    return exit_code;
}

int command_token(int argc, char **argv)
{
    struct args args;
    int exit_code = 0;
    if (!args_start(&args, &command, argc, argv, &exit_code))
        return exit_code;
    const char *services = args_text(&args, "services");
    bool is_new = args.positionals[1] && strcmp(args.positionals[0], "new") == 0;
    if (!is_new)
        exit_code = args_form_error(&args, "token new NAME --role R");
    else if (services && !*services) /* without services, a token is for all */
        exit_code = args_usage_error(&command, "--services must name services, is empty");
    else if (!args_text(&args, "role"))
        exit_code =
            args_usage_error(&command, "--role is missing: read, write, operator, admin or peer");
    else
        exit_code = make_token(&args);
    args_free(&args);
    return exit_code;
}
