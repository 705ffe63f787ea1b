/* SPDX-License-Identifier: Apache-2.0
 *
 * command_status - how one node fares.
 *
 * `argv[0]` is the name of the command; the result is an exit code (client_exit): a node that is up
 * but not ready is shown, and the command is done. It has --help.
 */
#pragma once

int command_status(int argc, char **argv);
