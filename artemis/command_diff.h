/* SPDX-License-Identifier: Apache-2.0
 *
 * command_diff - what two nodes disagree on.
 *
 * Asks as a peer would, with digests first and then only for the buckets in which they differ, and
 * changes nothing. As diff(1), it ends with CLIENT_REFUSED when there is a difference; also when
 * the nodes are of two clusters.
 *
 * `argv[0]` is the name of the command; the result is an exit code (client_exit). It has --help.
 */
#pragma once

int command_diff(int argc, char **argv);
