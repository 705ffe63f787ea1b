/* SPDX-License-Identifier: Apache-2.0
 *
 * server_credentials - what a command shows to a server and requires of it: certificates for TLS.
 *
 * Each comes from an option of the command line, or else from a variable of the environment.
 * Everything is borrowed from these.
 */
#pragma once

#include "artemis/terminal/args.h"

/* The options of every command that calls a server: rows for its table. */
/* clang-format off */
#define SERVER_CREDENTIAL_OPTIONS                                                                  \
    {.name = "cacert", .value = "FILE",                                                            \
     .description = "trust servers of this authority (or ARTEMIS_CACERT)"},                        \
    {.name = "cert", .value = "FILE",                                                              \
     .description = "show this certificate to the server (or ARTEMIS_CERT)"},                      \
    {.name = "key", .value = "FILE",                                                               \
     .description = "private key of --cert (or ARTEMIS_KEY)"}
/* clang-format on */

/* NULL: not given. */
struct server_credentials {
    const char *cacert; /* PEM files */
    const char *cert;
    const char *key;
};

void server_credentials_read(const struct args *args, struct server_credentials *credentials);
/* False: a file that is given cannot be read; `problem` states which one, and why. */
bool server_credentials_are_readable(const struct server_credentials *credentials,
                                     char problem[ARGS_PROBLEM_MAX]);
/* Whether one of them is given: the command calls servers with TLS. */
bool server_credentials_are_given(const struct server_credentials *credentials);
