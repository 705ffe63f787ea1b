/* SPDX-License-Identifier: Apache-2.0
 *
 * server_call - one call to the servers that the command line names, and what is printed of it.
 *
 *     struct server_call_result result;
 *     server_call_run(&args, &request, &result);
 *     int exit_code = server_call_report(&args, &result);
 *     if (server_call_prints_text(&args, &result)) ... print result.root
 *     server_call_result_free(&result);
 *
 * --server and ARTEMIS_URL may name several servers, separated by commas. They are called in this
 * order until one is reachable; a server that refuses the request is reachable.
 *
 * Data goes to stdout, errors go to stderr. With --json, stdout gets the server's response
 * unchanged, on one line, also when the server refuses the request.
 *
 * Not thread-safe. server_call_run blocks as curl_call_send does.
 */
#pragma once

#include "artemis/call/call_response.h"
#include "artemis/call/curl_call.h"
#include "artemis/call/server_credentials.h"
#include "artemis/call/token_option.h"
#include "artemis/terminal/args.h"

#include "artemis-core/base/text.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* The options of every command that calls a server: rows for its table. */
/* clang-format off */
#define SERVER_OPTIONS                                                                             \
    {.name = "server", .value = "URL",                                                             \
     .description = "servers, separated by commas (or ARTEMIS_URL)"},                              \
    SERVER_CREDENTIAL_OPTIONS,                                                                     \
    {.name = "timeout", .value = "SECS", .default_value = "10", .min = 1, .max = 3600,             \
     .description = "time limit for the call"},                                                    \
    TOKEN_OPTIONS

#define CALL_OPTIONS                                                                               \
    SERVER_OPTIONS,                                                                                \
    {.name = "json", .description = "print the server's response unchanged"}
/* clang-format on */

struct server_call_result {
    struct call_response response;
    struct call_outcome outcome;
    json_t *root;  /* JSON of the response; NULL if it has none */
    size_t server; /* index of the server that was called last */
};

/* Always fills `result`, which is released with server_call_result_free. */
void server_call_run(const struct args *args, const struct call_request *request,
                     struct server_call_result *result);

/* Calls only the server that was called last for `previous`. */
void server_call_again(const struct args *args, const struct server_call_result *previous,
                       const struct call_request *request, struct server_call_result *result);

/* Calls all `urls` at the same time, with the credentials and the time limit of the command line.
 * Fills the results, which are zero before; each is released with server_call_result_free. */
void server_call_run_all(const struct args *args, const struct call_request *request,
                         const struct server_url urls[], size_t count,
                         struct server_call_result results[]);

/* Gets this path and frees it; a path that could not be built counts as "out of memory". */
void server_call_get(const struct args *args, struct text *path, const char *data,
                     struct server_call_result *result);

/* Posts a JSON body and releases it; NULL stands for "out of memory". */
void server_call_post(const struct args *args, const char *path, json_t *body,
                      struct server_call_result *result);

void server_call_result_free(struct server_call_result *result);

/* With --json, prints the response; prints the error unless the call succeeded. Returns the exit
 * code. */
int server_call_report(const struct args *args, const struct server_call_result *result);

/* Prints one line for each of the first ten refused items of a response. */
void server_call_print_failed(const json_t *failed, FILE *out);

/* True if the call succeeded and the command prints the result as text (no --json). */
bool server_call_prints_text(const struct args *args, const struct server_call_result *result);

/* Parses --server, ARTEMIS_URL or the default. Prints the error; returns an exit code. */
int server_call_servers(const struct args *args, struct server_list *servers);

/* Prints "out of memory". Returns EXIT_REFUSED. */
int server_call_no_memory(void);
