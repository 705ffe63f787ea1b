/* SPDX-License-Identifier: Apache-2.0
 *
 * command_config - checks a configuration file as the server would read it, and prints what
 * settings there are.
 *
 * `config check FILE` brings all layers together (artemis/settings), so fragments and the
 * environment count, and shows what is not at its default. `config reference` prints the table of
 * settings in Markdown; the README holds a copy of it, which `make lint` compares.
 *
 * `argv[0]` is the name of the command; the result is an exit code (client_exit). It has --help.
 */
#pragma once

int command_config(int argc, char **argv);
