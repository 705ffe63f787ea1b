/* SPDX-License-Identifier: Apache-2.0
 *
 * node - runs one node: starts the engine and the HTTP server, handles signals, and stops both.
 *
 * SIGTERM and SIGINT start the shutdown: the node reports that it is not ready, answers the
 * requests it has received, sends what its peers lack, and stops. A second signal hurries that
 * (shutdown.h). SIGHUP reads the settings and the certificates again (artemis-server/reload.h).
 * SIGUSR1, SIGUSR2 and SIGALRM are logged and have no other effect. SIGPIPE and SIGXFSZ are
 * ignored: the write that caused them fails.
 *
 * Prints `Listening on HOST:PORT` on stdout once requests are accepted, after a line for each
 * further listener. Everything else goes to the log on stderr. Blocks; call it from the main
 * thread, before any other thread starts.
 */
#pragma once

#include "artemis/admin/node_control.h"

/* Returns an exit code (artemis/terminal/exit_code.h). */
int node_run(const struct node_settings *settings);
