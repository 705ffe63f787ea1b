/* SPDX-License-Identifier: Apache-2.0
 *
 * watch - what `artemis services --watch` shares with `artemis watch`.
 *
 * Both run until SIGINT or SIGTERM. After a lost connection or a restart of the server they
 * reconnect and print what has changed in between.
 */
#pragma once

#include "artemis/terminal/args.h"

/* `args` has SERVER_OPTIONS and FILTER_OPTIONS, which were checked. Returns an exit code; EXIT_DONE
 * after a signal. */
int watch_services(const struct args *args);
