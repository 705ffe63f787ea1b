/* SPDX-License-Identifier: Apache-2.0
 *
 * key_args - the key of the instance that a command names.
 *
 * SERVICE and INSTANCE are positionals, --region, --zone and --group are options
 * (KEY_OPTIONS). Region and zone default to those of the server. They are part of the key,
 * so an instance that was registered in another zone is another instance.
 *
 * key_args_resolve calls the server; the rest is pure.
 */
#pragma once

#include "artemis-core/model/instance.h"
#include "artemis/call/server_call.h"
#include "artemis/terminal/args.h"

#include <jansson.h>
#include <stdbool.h>

struct key_args {
    const char *service, *instance; /* borrowed from the arguments */
    const char *group;              /* "" for none */
    char region[ID_BYTES_MAX + 1];
    char zone[ID_BYTES_MAX + 1];
};

/* Rows for a command's table. */
/* clang-format off */
#define KEY_OPTIONS                                                                                \
    {.name = "region", .value = "R", .description = "region of the instance (the server's)"},      \
    {.name = "zone", .value = "Z", .description = "zone of the instance (the server's)"},          \
    {.name = "group", .value = "G", .description = "group of the instance, if any"}
/* clang-format on */

/* Checks the arguments of the command, and gets a missing region or zone from the server. Prints
 * the error; returns an exit code. */
int key_args_resolve(const struct args *args, struct key_args *key);

/* The same for arguments that were checked, without printing the failure: server_call_report prints
 * `failure`, which is always released with server_call_result_free. */
int key_args_try(const struct args *args, struct key_args *key, struct server_call_result *failure);

/* Checks the given parts of the key. ERR_INVALID_FIELD: `problem` names the argument. */
MUST_USE enum error key_args_check(const struct args *args, char problem[ARGS_PROBLEM_MAX]);

/* True if an instance of a response has the given options and INSTANCE; an option that was not
 * given matches every instance. */
bool key_args_matches_given(const struct args *args, const json_t *instance);

/* True if an instance of a response, of the same service, has this key. */
bool key_args_equals(const struct key_args *key, const json_t *instance);
