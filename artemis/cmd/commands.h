/* SPDX-License-Identifier: Apache-2.0
 *
 * commands - the commands of the binary, one function each.
 *
 * `argv[0]` is the name of the command. The result is an exit code
 * (artemis/terminal/exit_code.h). Each command prints its help for --help. A command whose name
 * has more than one word, such as `config show`, is part of the function of its first word.
 */
#pragma once

/* Runs a node until SIGTERM or SIGINT. */
int command_server(int argc, char **argv);
/* config check, config show, config reference. */
int command_config(int argc, char **argv);
/* token new. */
int command_token(int argc, char **argv);

/* Change the registry. */
int command_register(int argc, char **argv);
int command_heartbeat(int argc, char **argv);
int command_unregister(int argc, char **argv);
int command_set_status(int argc, char **argv);

/* Query the registry. */
int command_services(int argc, char **argv);
int command_service(int argc, char **argv);
int command_lookup(int argc, char **argv);
int command_watch(int argc, char **argv);
int command_leases(int argc, char **argv);

/* event fire, event watch. */
int command_event(int argc, char **argv);

/* Show nodes. `cluster` ends with EXIT_REFUSED when a node is not ready; `diff` when the nodes
 * differ. */
int command_status(int argc, char **argv);
int command_guard(int argc, char **argv);
int command_cluster(int argc, char **argv);
int command_diff(int argc, char **argv);

/* Operate a node (artemis/local): `reload` by the admin socket or HTTP, `admin` by the admin
 * socket; `audit` reads the files of the audit log. */
int command_reload(int argc, char **argv);
int command_admin(int argc, char **argv);
int command_audit(int argc, char **argv);

/* Saves the records of a node to a file, and restores them. */
int command_snapshot(int argc, char **argv);

/* Print the tables of the documentation as Markdown, from the tables in the code. `make docs`
 * writes them into docs/, `make lint` compares them. `artemis help` does not list them. */
int command_api(int argc, char **argv);
int command_role(int argc, char **argv);
int command_error(int argc, char **argv);
int command_metrics(int argc, char **argv);
