/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/commands.h"

#include "artemis/call/server_call.h"
#include "artemis/snapshot/snapshot.h"

#include <string.h>

static const struct args_option options[] = {
    {.name = "dry-run", .description = "restore: show what would be taken, and change nothing"},
    SERVER_OPTIONS,
    {.name = "json", .description = "print the result as JSON"},
    {.name = NULL},
};

static const struct args_command command = {
    .name = "snapshot",
    .usage = {"snapshot save FILE [options]", "snapshot restore FILE [--dry-run] [options]"},
    .about = "save: writes all instances of a node to FILE, and its tombstones, the records of\n"
             "what was unregistered lately: one JSON object on each line; gzip if FILE ends in\n"
             ".gz. `-` is standard output.\n"
             "restore: merges the records of FILE into a running node, which sends them to its\n"
             "peers. A newer record or tombstone of the node wins. A restored instance gets a\n"
             "new lease (lease.ttl_secs), so that its client can renew it. A file that is cut,\n"
             "damaged, or of another cluster restores nothing. `-` is standard input.\n"
             "Where the node has cluster.listen_addr, --server is that address; where it has\n"
             "cluster.tls too, the command needs the certificate of a node. Where tokens are\n"
             "set, save needs the role operator, or that certificate, and restore the role\n"
             "admin.\n"
             "--timeout of save: the time without data after which it fails. Exit code 1 of\n"
             "restore: the file restores nothing, or the node refused some of its records.\n",
    .example = "artemis snapshot save artemis.jsonl.gz\n"
               "artemis snapshot restore artemis.jsonl.gz --dry-run\n",
    .positionals = {"save or restore", "FILE"},
    .positionals_optional = true,
    .options = options,
};

static int run(const struct args *args)
{
    const char *subcommand = args->positionals[0] ? args->positionals[0] : "";
    const char *path = args->positionals[1];
    bool saves = strcmp(subcommand, "save") == 0;
    if (!path || (!saves && strcmp(subcommand, "restore") != 0))
        return args_form_error(args, "snapshot save FILE, or snapshot restore FILE");
    if (saves && args_has(args, "dry-run"))
        return args_usage_error(&command, "--dry-run belongs to restore");
    if (saves && strcmp(path, "-") == 0 && args_has(args, "json"))
        return args_usage_error(&command,
                                "--json needs a FILE; standard output carries the snapshot");
    return saves ? snapshot_save(args, path) : snapshot_restore(args, path);
}

int command_snapshot(int argc, char **argv)
{
    return args_run(&command, argc, argv, run);
}
