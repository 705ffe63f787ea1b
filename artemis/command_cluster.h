/* SPDX-License-Identifier: Apache-2.0
 *
 * command_cluster - one node's view of the nodes of its cluster.
 *
 * Ends with CLIENT_REFUSED when this node or a peer is not up and ready, so that a script can wait
 * for it.
 *
 * `argv[0]` is the name of the command; the result is an exit code (client_exit). It has --help.
 */
#pragma once

int command_cluster(int argc, char **argv);
