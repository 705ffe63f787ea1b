/* SPDX-License-Identifier: Apache-2.0
 *
 * exit_code - exit codes of the commands.
 *
 * Scripts branch on these four codes, so no code is added. Details are in the message on stderr and
 * in the server's response with --json.
 */
#pragma once

enum exit_code {
    EXIT_DONE = 0,
    EXIT_REFUSED = 1,     /* the server refused; or no memory or disk space here */
    EXIT_USAGE = 2,       /* the command line is wrong */
    EXIT_UNREACHABLE = 3, /* no Artemis server responded at the address */
};
