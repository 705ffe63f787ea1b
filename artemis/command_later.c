/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/command_later.h"

#include "artemis/client_args.h"
#include "artemis/client_call.h"
#include "artemis/client_exit.h"
#include "artemis/client_text.h"

#include <stdio.h>

/* The options are those that it will have, so that a script can be written for it today. */
static const struct client_option options[] = {
    CLIENT_CALL_OPTIONS,
    {.name = NULL},
};

static const struct client_command watch = {
    .name = "watch",
    .usage = {"watch NAME [options]"},
    .about = "Will print each change of a service. It comes with a later version.\n",
    .example = "artemis watch orders\n",
    .positionals = {"NAME"},
    .options = options,
};

static int promise(const struct client_command *command, const char *meanwhile, int argc,
                   char **argv)
{
    struct client_args args;
    int exit_code = 0;
    if (!client_args_start(&args, command, argc, argv, &exit_code))
        return exit_code;
    client_text_complain(stderr, meanwhile, "the command %s comes with a later version",
                         command->name);
    client_args_free(&args);
    return CLIENT_USAGE;
}

int command_watch(int argc, char **argv)
{
    return promise(&watch, "meanwhile, ask again and again: artemis service NAME", argc, argv);
}
