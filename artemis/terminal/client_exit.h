/* SPDX-License-Identifier: Apache-2.0
 *
 * client_exit - exit codes of the commands.
 *
 * Scripts branch on these four codes, so no code is added. Details are in the message on stderr and
 * in the server's response with --json.
 */
#pragma once

enum client_exit {
    CLIENT_DONE = 0,
    CLIENT_REFUSED = 1,     /* the server refused; or no memory or disk space here */
    CLIENT_USAGE = 2,       /* the command line is wrong */
    CLIENT_UNREACHABLE = 3, /* no Artemis server responded at the address */
};
