/* SPDX-License-Identifier: Apache-2.0
 *
 * token_option - the token that a command sends: --token, --token-file, ARTEMIS_TOKEN or
 * ARTEMIS_TOKEN_FILE, in this order.
 *
 * A secret on the command line is visible to other users of the machine (ps); a file is not. The
 * secret is never printed. Reads the file and the environment; keeps no state.
 */
#pragma once

#include "artemis-core/base/error.h"
#include "artemis/terminal/args.h"

/* Rows for the table of a command. */
/* clang-format off */
#define TOKEN_OPTIONS                                                                              \
    {.name = "token", .value = "T",                                                                \
     .description = "secret of a token (or ARTEMIS_TOKEN); visible in ps"},                        \
    {.name = "token-file", .value = "FILE",                                                        \
     .description = "file with that secret (or ARTEMIS_TOKEN_FILE)"}
/* clang-format on */

/* The value of the Authorization field, which the caller frees with token_option_free; NULL: there
 * is no token. ERR_INVALID_FIELD: `problem` states why it cannot be used; ERR_NO_MEMORY. */
MUST_USE enum error token_option_read(const struct args *args, char **authorization,
                                      char problem[ARGS_PROBLEM_MAX]);
void token_option_free(char *authorization); /* accepts NULL */
