/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_call - one call to the admin socket of the node on this host
 * (artemis/admin/admin_socket.h).
 *
 *     struct admin_call_result result;
 *     int exit_code = admin_call(&args, path, request, &result);
 *     if (exit_code == EXIT_DONE && !args_has(&args, "json")) ... print result.root
 *     admin_call_result_free(&result);
 *
 * With --json, stdout gets the response unchanged, on one line, also when the node refuses the
 * request. Errors go to stderr. Blocks for the time of --timeout at most. Not thread-safe.
 */
#pragma once

#include "artemis/local/node_setting.h"
#include "artemis/terminal/args.h"

#include <jansson.h>

/* clang-format off */
#define SOCKET_OPTION                                                                              \
    {.name = "socket", .value = "PATH",                                                            \
     .description = "admin.socket of the node (or ARTEMIS_ADMIN_SOCKET)"}
/* clang-format on */

struct admin_call_result {
    json_t *root; /* NULL: there is no response */
};

/* Sends the request and releases it; NULL stands for "out of memory". Prints the error, and with
 * --json the response. Returns the exit code. */
int admin_call(const struct args *args, const char *path, json_t *request,
               struct admin_call_result *result);
void admin_call_result_free(struct admin_call_result *result);
