/* SPDX-License-Identifier: Apache-2.0
 *
 * instance_command - what the commands for one instance share.
 *
 * register, heartbeat, unregister and set-status take SERVICE and INSTANCE as positionals, and
 * print one line when the server has done what was asked: `registered orders/orders-1`.
 */
#pragma once

#include "artemis/client/client_call.h"
#include "artemis/client/client_key.h"
#include "artemis/terminal/client_args.h"

extern const char instance_command_needs_every[]; /* usage error for --unregister without --every */

/* True if --unregister was given without --every. */
bool instance_command_lacks_every(const struct client_args *args);

/* Posts the key. Release `result` with client_result_free. */
void instance_command_post_key(const struct client_args *args, const struct client_key *key,
                               const char *path, struct client_result *result);

/* Gets all instances of SERVICE. Release `result` with client_result_free. */
void instance_command_get_service(const struct client_args *args, struct client_result *result);
/* The list of instances in such a result; NULL if the call failed. */
const json_t *instance_command_instances(const struct client_result *result);

/* Prints the result and releases it; returns the exit code. `done` is the first word of the line on
 * success. */
int instance_command_finish(const struct client_args *args, struct client_result *result,
                            const char *done);

/* Prints "DONE SERVICE/INSTANCE" on stdout. */
void instance_command_print_done(const struct client_args *args, const char *done);
