/* SPDX-License-Identifier: Apache-2.0
 *
 * client_call - a call as the commands make it: which server, what it said, and what the terminal
 * gets.
 *
 *     struct client_reply reply;
 *     client_call(&args, &request, &reply);
 *     int exit_code = client_call_report(&args, &reply);
 *     if (client_call_shows(&args, &reply)) ... print reply.root
 *     client_reply_free(&reply);
 *
 * stdout gets what was asked for, stderr what went wrong. Under --json, stdout gets the server's
 * answer as it came, on one line, also when it is a refusal.
 *
 * One thread at a time; client_call blocks as client_http_send does.
 */
#pragma once

#include "artemis/client_answer.h"
#include "artemis/client_args.h"
#include "artemis/client_http.h"

#include <jansson.h>
#include <stdbool.h>

/* The options of every command that calls a server: rows for its table. */
/* clang-format off */
#define CLIENT_CALL_OPTIONS                                                                        \
    {.name = "server", .value = "URL",                                                             \
     .sentence = "whom to ask (ARTEMIS_URL, or http://127.0.0.1:8080)"},                           \
    {.name = "json", .sentence = "print the server's answer as it came"}
/* clang-format on */

struct client_reply {
    struct client_answer answer;
    struct client_verdict verdict;
    json_t *root; /* the answer's JSON; NULL if it has none */
};

/* Always fills `reply`, which is released with client_reply_free. */
void client_call(const struct client_args *args, const struct client_request *request,
                 struct client_reply *reply);

/* The same for a body of JSON, which is taken over; NULL stands for "out of memory". */
void client_call_post(const struct client_args *args, const char *path, json_t *body,
                      struct client_reply *reply);

void client_reply_free(struct client_reply *reply);

/* Prints the answer if --json asks for it, complains if it is not done; returns the exit code. */
int client_call_report(const struct client_args *args, const struct client_reply *reply);

/* Is it for the command to show the answer in its own way? */
bool client_call_shows(const struct client_args *args, const struct client_reply *reply);

/* What --server, ARTEMIS_URL or the default says, as it was written. */
const char *client_call_server(const struct client_args *args);

/* Complains that there is no memory. Returns CLIENT_REFUSED. */
int client_call_no_memory(void);
