/* SPDX-License-Identifier: Apache-2.0
 *
 * command_server - runs a node: settings, engine, web, signals, and the order in which they end.
 *
 * SIGTERM and SIGINT ask for the end: the node stops being ready, answers what has been sent, and
 * exits with 0. Asked a second time it is none the wiser; it is ending already. SIGPIPE is ignored.
 *
 * Prints on stdout, for people and scripts that wait for it: `Loading configuration from F` (with
 * --config), `Node ID: N, Cluster mode: enabled|disabled`, `Listening on HOST:PORT`. Everything
 * after that is the log, on stderr.
 */
#pragma once

int command_server(int argc, char **argv);
