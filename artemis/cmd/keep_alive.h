/* SPDX-License-Identifier: Apache-2.0
 *
 * keep_alive - keeps the lease of an instance active until SIGINT or SIGTERM: what --every means.
 *
 * libartemis sends the heartbeats, retries, uses the next server when one is not reachable, and
 * registers the instance again with a server that does not know it (`heartbeat` does not register;
 * it ends when the server does not know the instance). Every change of the state is one line: on
 * stdout what was accepted, on stderr what failed; with --json an object on stdout for each.
 *
 * At the end the instance stays registered until its lease expires, unless --unregister was given:
 * a restart of this command does not remove the instance.
 *
 * Blocks, and blocks both signals for the whole process.
 */
#pragma once

#include "artemis/terminal/args.h"

#include <stdbool.h>

/* Rows for a command's table. */
/* clang-format off */
#define KEEP_ALIVE_OPTIONS                                                                         \
    {.name = "every", .value = "SECS", .min = 1, .max = 86400,                                     \
     .description = "keep it registered; seconds between heartbeats"},                             \
    {.name = "unregister", .description = "with --every: unregister the instance at the end"}
/* clang-format on */

/* Keeps the instance of SERVICE and INSTANCE, with KEY_OPTIONS. `registers`: registers it
 * first, with INSTANCE_OPTIONS, which were checked. Returns an exit code: EXIT_DONE after
 * a signal. */
int keep_alive(const struct args *args, bool registers);
