/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/commands.h"

#include "artemis-server/log.h"
#include "artemis/node.h"
#include "artemis/settings.h"
#include "artemis/terminal/args.h"
#include "artemis/terminal/exit_code.h"
#include "artemis/terminal/terminal_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct args_option options[] = {
    {.name = "config",
     .value = "FILE",
     .description = "read settings from FILE and from config.d beside it"},
    {.name = "addr", .value = "HOST:PORT", .description = "listen there (port 0: any free port)"},
    {.name = "set",
     .value = "SECTION.KEY=VALUE",
     .description = "override a setting; may be repeated"},
    {.name = NULL},
};

static const struct args_command command = {
    .name = "server",
    .usage = {"server [options]"},
    .about = "Runs a node until SIGTERM or SIGINT. Settings come from FILE, from\n"
             "config.d/*.toml beside it, from the environment (ARTEMIS_SECTION_KEY) and from\n"
             "the command line; the later source wins. `artemis config reference` lists them.\n"
             "SIGHUP reads these sources and the certificates again; the log has the changes.\n"
             "SIGUSR1, SIGUSR2 and SIGALRM are logged and have no other effect.\n",
    .example = "artemis server --addr 127.0.0.1:8080 --set lease.ttl_secs=60\n",
    .options = options,
};

static enum error load_settings(const struct args *args, struct config *config,
                                struct config_problem *problem, struct text *warnings)
{
    const char **sets = calloc(args->given_count + 1, sizeof(*sets));
    if (!sets) {
        snprintf(problem->text, sizeof(problem->text), "out of memory");
        return ERR_NO_MEMORY;
    }
    struct settings_input input = {
        .file = args_text(args, "config"),
        .environment = environ,
        .sets = sets,
        .addr = args_text(args, "addr"),
        .warnings = warnings,
    };
    size_t position = 0;
    for (const char *set; (set = args_next(args, "set", &position));)
        sets[input.set_count++] = set;
    enum error error = settings_load(config, &input, problem);
    free(sets);
    return error;
}

static void log_warnings(struct text *warnings)
{
    char *next = NULL;
    text_string(warnings);
    if (text_failed(warnings) || !warnings->data)
        return;
    for (char *line = strtok_r(warnings->data, "\n", &next); line;
         line = strtok_r(NULL, "\n", &next))
        log_line(LOG_LEVEL_WARN, "%s", line);
}

/* For a reload. */
static enum error load_again(void *context, struct config *config, struct config_problem *problem)
{
    struct text warnings = {0};
    enum error error = load_settings(context, config, problem, &warnings);
    if (!error)
        log_warnings(&warnings);
    text_free(&warnings);
    return error;
}

static int run(struct args *args)
{
    struct config config;
    struct config_problem problem;
    struct text warnings = {0};
    enum error error = load_settings(args, &config, &problem, &warnings);
    if (error) {
        text_free(&warnings);
        terminal_text_print_error(stderr, NULL, "%s", problem.text);
        return problem.text[0] == '-' ? EXIT_USAGE : EXIT_REFUSED; /* --set, --addr */
    }
    log_setup(config.log.level, config.log.format, config.server.node_id);
    log_warnings(&warnings);
    text_free(&warnings);
    printf("Node ID: %s, Cluster mode: %s\n", config.server.node_id,
           config.cluster.enabled ? "enabled" : "disabled");
    fflush(stdout);
    const struct node_settings settings = {&config, load_again, args};
    int exit_code = node_run(&settings);
    config_free(&config);
    return exit_code;
}

int command_server(int argc, char **argv)
{
    struct args args;
    int exit_code = 0;
    if (!args_start(&args, &command, argc, argv, &exit_code))
        return exit_code;
    if (args_text(&args, "config")) {
        printf("Loading configuration from %s\n", args_text(&args, "config"));
        fflush(stdout);
    }
    exit_code = run(&args);
    args_free(&args);
    return exit_code;
}
