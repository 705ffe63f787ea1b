/* SPDX-License-Identifier: Apache-2.0
 *
 * client_key - the key of the instance that a command names.
 *
 * SERVICE and INSTANCE are positionals, --region, --zone and --group are options
 * (CLIENT_KEY_OPTIONS). Region and zone default to those of the server. They are part of the key,
 * so an instance that was registered in another zone is another instance.
 *
 * client_key_resolve calls the server; the rest is pure.
 */
#pragma once

#include "artemis-core/model/instance.h"
#include "artemis/client/client_call.h"
#include "artemis/terminal/client_args.h"

#include <jansson.h>
#include <stdbool.h>

struct client_key {
    const char *service, *instance; /* borrowed from the arguments */
    const char *group;              /* "" for none */
    char region[ID_BYTES_MAX + 1];
    char zone[ID_BYTES_MAX + 1];
};

/* Rows for a command's table. */
/* clang-format off */
#define CLIENT_KEY_OPTIONS                                                                         \
    {.name = "region", .value = "R", .description = "region of the instance (the server's)"},      \
    {.name = "zone", .value = "Z", .description = "zone of the instance (the server's)"},          \
    {.name = "group", .value = "G", .description = "group of the instance, if any"}
/* clang-format on */

/* Checks the arguments of the command, and gets a missing region or zone from the server. Prints
 * the error; returns an exit code. */
int client_key_resolve(const struct client_args *args, struct client_key *key);

/* The same for arguments that were checked, without printing the failure: client_call_report prints
 * `failure`, which is always released with client_result_free. */
int client_key_try(const struct client_args *args, struct client_key *key,
                   struct client_result *failure);

/* Checks the given parts of the key. ERR_INVALID_FIELD: `problem` names the argument. */
MUST_USE enum error client_key_check(const struct client_args *args,
                                     char problem[CLIENT_PROBLEM_MAX]);

/* True if an instance of a response has the given options and INSTANCE; an option that was not
 * given matches every instance. */
bool client_key_matches_given(const struct client_args *args, const json_t *instance);

/* True if an instance of a response, of the same service, has this key. */
bool client_key_equals(const struct client_key *key, const json_t *instance);
