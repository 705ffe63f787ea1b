/* SPDX-License-Identifier: Apache-2.0
 *
 * client_exit - how a command of the client ends, for scripts to branch on.
 *
 * The four codes are part of the contract with users and do not grow: what is finer is said in
 * words on stderr, and in the server's answer under --json.
 */
#pragma once

enum client_exit {
    CLIENT_DONE = 0,
    CLIENT_REFUSED = 1,     /* the server said no; or this process ran out of memory or disk */
    CLIENT_USAGE = 2,       /* mend the command line */
    CLIENT_UNREACHABLE = 3, /* no Artemis answered at the address */
};
