/* SPDX-License-Identifier: Apache-2.0
 *
 * main - runs the command that the first argument names.
 *
 * One table lists the commands. A command receives its name as argv[0] and the arguments after it,
 * and returns the exit code. `artemis help` is printed from the table; `artemis help NAME` is
 * `artemis NAME --help`.
 */
#include "artemis-core/base/suggest.h"
#include "artemis/cmd/commands.h"
#include "artemis/terminal/args.h"
#include "artemis/terminal/exit_code.h"
#include "artemis/terminal/terminal_text.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int command_help(int argc, char **argv);
static int command_version(int argc, char **argv);

static const struct command {
    const char *name;
    const char *arguments;
    const char *description; /* NULL: not listed */
    int (*run)(int argc, char **argv);
} commands[] = {
    {"server", "[--config FILE]", "run a node", command_server},
    {"config", "check FILE | show", "check a file; show a server's settings", command_config},
    {"token", "new NAME --role R", "make a token for clients or peers", command_token},
    {"register", "SERVICE INSTANCE ...", "register an instance", command_register},
    {"heartbeat", "SERVICE INSTANCE", "renew the lease of an instance", command_heartbeat},
    {"unregister", "SERVICE INSTANCE", "remove an instance", command_unregister},
    {"set-status", "SERVICE INSTANCE S", "change the status of an instance", command_set_status},
    {"services", "", "list the services", command_services},
    {"service", "NAME", "list the instances of a service", command_service},
    {"lookup", "SERVICE", "print the URL of one instance", command_lookup},
    {"watch", "NAME", "print each change of a service", command_watch},
    {"leases", "SERVICE", "list the leases of a service", command_leases},
    {"guard", "status | release", "show or release the mass-expiry guard", command_guard},
    {"event", "fire | watch TOPIC", "publish an event; print events", command_event},
    {"status", "", "show the state of one node", command_status},
    {"cluster", "[events | block N]", "show all nodes, or events; block a node", command_cluster},
    {"diff", "NODE NODE", "list the differences between two nodes", command_diff},
    {"reload", "", "have a node read its settings again", command_reload},
    {"audit", "", "show the audit log of the node on this host", command_audit},
    {"admin", "status | reload ...", "operate the node on this host by its socket", command_admin},
    {"snapshot", "save|restore FILE", "save all records to a file; restore them", command_snapshot},
    {"version", "", "print the version", command_version},
    {"help", "[COMMAND]", "print this help, or that of a command", command_help},
    {"api", "reference", NULL, command_api},
    {"role", "reference", NULL, command_role},
    {"error", "reference", NULL, command_error},
    {"metrics", "reference", NULL, command_metrics},
};

static const struct {
    const char *flag;
    const char *command;
} flags[] = {{"--help", "help"}, {"-h", "help"}, {"--version", "version"}, {"-V", "version"}};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void print_help(void)
{
    fputs("Artemis is a service registry: services register their instances, and clients\n"
          "find them by the name of the service.\n\n"
          "usage: artemis COMMAND [arguments]\n\n",
          stdout);
    for (size_t i = 0; i < COUNT(commands); i++)
        if (commands[i].description)
            printf("  %-10s %-20s  %s\n", commands[i].name, commands[i].arguments,
                   commands[i].description);
    fputs("\n`artemis help COMMAND` prints the help of a command. Commands that call a server\n"
          "take --server URL[,URL...] (or ARTEMIS_URL; default http://127.0.0.1:8080),\n"
          "--timeout SECS and --json.\n"
          "Exit codes: 0 done, 1 refused, 2 wrong usage, 3 server not reachable.\n",
          stdout);
}

static int unknown_command(const char *word)
{
    char hint[64] = "see: artemis help";
    struct suggestion near = {.word = word + strspn(word, "-")};
    for (size_t i = 0; i < COUNT(commands); i++)
        if (commands[i].description)
            suggest_consider(&near, commands[i].name);
    if (near.best)
        snprintf(hint, sizeof hint, "did you mean: artemis %s?", near.best);
    terminal_text_print_error(stderr, hint, "unknown command: %.64s", word);
    return EXIT_USAGE;
}

static int run(int argc, char **argv)
{
    const char *name = argv[0];
    for (size_t i = 0; i < COUNT(flags); i++)
        if (strcmp(flags[i].flag, name) == 0)
            name = flags[i].command;
    for (size_t i = 0; i < COUNT(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return commands[i].run(argc, argv);
    return unknown_command(name);
}

static int command_help(int argc, char **argv)
{
    if (argc < 2 || argv[1][0] == '-' || strcmp(argv[1], "help") == 0) {
        print_help();
        return EXIT_DONE;
    }
    char flag[] = "--help";
    char *arguments[] = {argv[1], flag, NULL};
    return run(2, arguments);
}

static int command_version(int argc, char **argv)
{
    static const struct args_option options[] = {
        {.name = "json", .description = "print the version as JSON"},
        {.name = NULL},
    };
    static const struct args_command version = {
        .name = "version",
        .usage = {"version [options]"},
        .about = "Prints the version of this binary. The version of a server: artemis status\n",
        .example = "artemis version\n",
        .options = options,
    };
    struct args args;
    int exit_code = 0;
    if (!args_start(&args, &version, argc, argv, &exit_code))
        return exit_code;
    bool json = args_has(&args, "json");
    args_free(&args);
    puts(json ? "{\"version\":\"" ARTEMIS_VERSION "\"}" : "artemis " ARTEMIS_VERSION);
    return EXIT_DONE;
}

/* Opens /dev/null for standard streams that are closed. Otherwise the next file or socket gets the
 * descriptor, and the output of the process is written to it. */
static bool open_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            return false;
    return true;
}

int main(int argc, char **argv)
{
    int exit_code = EXIT_USAGE;
    if (!open_standard_streams())
        return EXIT_REFUSED;
    if (argc < 2)
        print_help();
    else
        exit_code = run(argc - 1, argv + 1);
    if (fflush(stdout) == 0 && !ferror(stdout))
        return exit_code;
    terminal_text_print_error(stderr, NULL, "cannot write the output");
    return exit_code == EXIT_DONE ? EXIT_REFUSED : exit_code;
}
