/* SPDX-License-Identifier: Apache-2.0
 *
 * instance_command - what the commands for one instance share.
 *
 * register, heartbeat, unregister and set-status take SERVICE and INSTANCE as positionals, and
 * print one line when the server has done what was asked: `registered orders/orders-1`.
 */
#pragma once

#include "artemis/call/key_args.h"
#include "artemis/call/server_call.h"
#include "artemis/terminal/args.h"

extern const char instance_command_needs_every[]; /* usage error for --unregister without --every */

/* True if --unregister was given without --every. */
bool instance_command_lacks_every(const struct args *args);

/* Posts the key. Release `result` with server_call_result_free. */
void instance_command_post_key(const struct args *args, const struct key_args *key,
                               const char *path, struct server_call_result *result);

/* Gets all instances of SERVICE. Release `result` with server_call_result_free. */
void instance_command_get_service(const struct args *args, struct server_call_result *result);
/* The list of instances in such a result; NULL if the call failed. */
const json_t *instance_command_instances(const struct server_call_result *result);

/* Prints the result and releases it; returns the exit code. `done` is the first word of the line on
 * success. */
int instance_command_finish(const struct args *args, struct server_call_result *result,
                            const char *done);

/* Prints "DONE SERVICE/INSTANCE" on stdout. */
void instance_command_print_done(const struct args *args, const char *done);
