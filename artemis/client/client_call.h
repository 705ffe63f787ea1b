/* SPDX-License-Identifier: Apache-2.0
 *
 * client_call - one call to the servers that the command line names, and what is printed of it.
 *
 *     struct client_result result;
 *     client_call(&args, &request, &result);
 *     int exit_code = client_call_report(&args, &result);
 *     if (client_call_prints_text(&args, &result)) ... print result.root
 *     client_result_free(&result);
 *
 * --server and ARTEMIS_URL may name several servers, separated by commas. They are called in this
 * order until one is reachable; a server that refuses the request is reachable.
 *
 * Data goes to stdout, errors go to stderr. With --json, stdout gets the server's response
 * unchanged, on one line, also when the server refuses the request.
 *
 * Not thread-safe. client_call blocks as client_http_send does.
 */
#pragma once

#include "artemis/client/client_http.h"
#include "artemis/client/client_response.h"
#include "artemis/terminal/client_args.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* The options of every command that calls a server: rows for its table. */
/* clang-format off */
#define CLIENT_SERVER_OPTIONS                                                                      \
    {.name = "server", .value = "URL",                                                             \
     .description = "servers, separated by commas (or ARTEMIS_URL)"},                              \
    {.name = "timeout", .value = "SECS", .default_value = "10", .min = 1, .max = 3600,             \
     .description = "time limit for the call"}

#define CLIENT_CALL_OPTIONS                                                                        \
    CLIENT_SERVER_OPTIONS,                                                                         \
    {.name = "json", .description = "print the server's response unchanged"}
/* clang-format on */

struct client_result {
    struct client_response response;
    struct client_outcome outcome;
    json_t *root;  /* JSON of the response; NULL if it has none */
    size_t server; /* index of the server that was called last */
};

/* Always fills `result`, which is released with client_result_free. */
void client_call(const struct client_args *args, const struct client_request *request,
                 struct client_result *result);

/* Calls only the server that was called last for `previous`. */
void client_call_again(const struct client_args *args, const struct client_result *previous,
                       const struct client_request *request, struct client_result *result);

/* Posts a JSON body and releases it; NULL stands for "out of memory". */
void client_call_post(const struct client_args *args, const char *path, json_t *body,
                      struct client_result *result);

/* Fills `result` with the failure "out of memory". */
void client_call_set_no_memory(struct client_result *result);

void client_result_free(struct client_result *result);

/* With --json, prints the response; prints the error unless the call succeeded. Returns the exit
 * code. */
int client_call_report(const struct client_args *args, const struct client_result *result);

/* Prints one line for each of the first ten refused items of a response. */
void client_call_print_failed(const json_t *failed, FILE *out);

/* True if the call succeeded and the command prints the result as text (no --json). */
bool client_call_prints_text(const struct client_args *args, const struct client_result *result);

/* Parses --server, ARTEMIS_URL or the default. Prints the error; returns an exit code. */
int client_call_servers(const struct client_args *args, struct client_servers *servers);

/* Prints "out of memory". Returns CLIENT_REFUSED. */
int client_call_no_memory(void);
