/* SPDX-License-Identifier: Apache-2.0
 *
 * command_registry - the commands that change the registry: register, heartbeat, unregister.
 *
 * `argv[0]` is the name of the command; the result is an exit code (client_exit). Each has --help.
 */
#pragma once

int command_register(int argc, char **argv);
int command_heartbeat(int argc, char **argv);
int command_unregister(int argc, char **argv);
