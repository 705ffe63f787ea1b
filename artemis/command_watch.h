/* SPDX-License-Identifier: Apache-2.0
 *
 * command_watch - `artemis watch NAME`, and what `artemis services --watch` does.
 *
 * Both go on until interrupted, over restarts of servers and losses of connections, and tell what
 * really differs then. Exit codes as those of every command; an interruption is 0.
 */
#pragma once

#include "artemis/client_args.h"

int command_watch(int argc, char **argv);

/* `args` has CLIENT_SESSION_OPTIONS. On a terminal the table is drawn in place, else anew at each
 * change. */
int command_watch_services(const struct client_args *args);
