/* SPDX-License-Identifier: Apache-2.0
 *
 * client_call - one call to the server that the command line names, and what is printed of it.
 *
 *     struct client_result result;
 *     client_call(&args, &request, &result);
 *     int exit_code = client_call_report(&args, &result);
 *     if (client_call_prints_text(&args, &result)) ... print result.root
 *     client_result_free(&result);
 *
 * Data goes to stdout, errors go to stderr. With --json, stdout gets the server's response
 * unchanged, on one line, also when the server refuses the request.
 *
 * Not thread-safe. client_call blocks as client_http_send does.
 */
#pragma once

#include "artemis/client/client_http.h"
#include "artemis/client/client_response.h"
#include "artemis/cmd/client_args.h"

#include <jansson.h>
#include <stdbool.h>

/* The options of every command that calls a server: rows for its table. */
/* clang-format off */
#define CLIENT_CALL_OPTIONS                                                                        \
    {.name = "server", .value = "URL",                                                             \
     .description = "the server (ARTEMIS_URL, or http://127.0.0.1:8080)"},                         \
    {.name = "json", .description = "print the server's response unchanged"}
/* clang-format on */

struct client_result {
    struct client_response response;
    struct client_outcome outcome;
    json_t *root; /* JSON of the response; NULL if it has none */
};

/* Always fills `result`, which is released with client_result_free. */
void client_call(const struct client_args *args, const struct client_request *request,
                 struct client_result *result);

/* Posts a JSON body and releases it; NULL stands for "out of memory". */
void client_call_post(const struct client_args *args, const char *path, json_t *body,
                      struct client_result *result);

void client_result_free(struct client_result *result);

/* With --json, prints the response; prints the error unless the call succeeded. Returns the exit
 * code. */
int client_call_report(const struct client_args *args, const struct client_result *result);

/* True if the call succeeded and the command prints the result as text (no --json). */
bool client_call_prints_text(const struct client_args *args, const struct client_result *result);

/* The value of --server, of ARTEMIS_URL, or the default, unchanged. */
const char *client_call_server(const struct client_args *args);

/* Prints "out of memory". Returns CLIENT_REFUSED. */
int client_call_no_memory(void);
