/* SPDX-License-Identifier: Apache-2.0
 *
 * program - a server of another project, which runs while a test needs it.
 *
 * Every error fails the test. A program is killed when the test program ends.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

bool program_is_installed(const char *path);
/* Starts args[0], a path, with its arguments, which end with NULL. `log` gets its output; NULL:
 * none. Returns when it accepts connections on this port of 127.0.0.1. */
pid_t program_start(const char *const args[], uint16_t port, const char *log);
/* Kills it, and sets its id to 0; nothing if it is 0. */
void program_kill(pid_t *pid);
