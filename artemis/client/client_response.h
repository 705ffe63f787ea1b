/* SPDX-License-Identifier: Apache-2.0
 *
 * client_response - evaluates a server's response: the exit code, a message, and a hint.
 *
 * client_http fills a `struct client_response` for every call, whatever happened. This module
 * evaluates it with two tables: one for calls that got no response, one for the reasons with which
 * a server refuses a request. A response counts as one of Artemis only if it is a JSON object with
 * a `response_status`. Anything else comes from another server, so Artemis is not reachable.
 *
 * Fields are read in snake_case and in camelCase, because the server responds in the casing of the
 * request, and `register --file` may use either.
 *
 * Pure.
 */
#pragma once

#include "artemis-core/base/text.h"
#include "artemis/terminal/client_exit.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define CLIENT_MESSAGE_MAX 1024
#define CLIENT_HINT_MAX    256
#define CLIENT_HEADER_MAX  256

/* How the HTTP transfer ended. */
enum client_transfer {
    CLIENT_TRANSFER_DONE,
    CLIENT_TRANSFER_NO_HOST,
    CLIENT_TRANSFER_NO_PROXY,
    CLIENT_TRANSFER_NO_LISTENER,
    CLIENT_TRANSFER_TIMED_OUT,
    CLIENT_TRANSFER_NO_TLS,
    CLIENT_TRANSFER_NOT_HTTP,
    CLIENT_TRANSFER_TOO_LARGE,
    CLIENT_TRANSFER_INTERRUPTED,
    CLIENT_TRANSFER_NO_MEMORY,
    CLIENT_TRANSFER_COUNT
};

/* Filled by client_http_send, released with client_http_free. */
struct client_response {
    enum client_transfer transfer;
    int http_status;           /* 0 unless the transfer is done */
    struct text body;          /* empty unless the transfer is done */
    unsigned retry_after_secs; /* 0: no Retry-After header */
    char location[CLIENT_HEADER_MAX];
    char node[CLIENT_HEADER_MAX]; /* X-Artemis-Node, -Cluster and -State; "" when absent */
    char cluster[CLIENT_HEADER_MAX];
    char state[CLIENT_HEADER_MAX];
    char detail[CLIENT_HEADER_MAX]; /* libcurl's message when the transfer failed */
};

struct client_outcome {
    enum client_exit exit_code;
    bool retryable;                   /* the same call may succeed later */
    char message[CLIENT_MESSAGE_MAX]; /* "" when the exit code is CLIENT_DONE */
    char hint[CLIENT_HINT_MAX];       /* what to do next; "" for none */
    size_t failed_count;              /* items that the server refused one by one */
};

/* Evaluates the response of the server at `shown` (client_url). *root becomes the JSON, which the
 * caller releases, or NULL if there is none. The message may hold text of the server, unescaped. */
void client_response_evaluate(const struct client_response *response, const char *shown,
                              struct client_outcome *outcome, json_t **root);

/* Checks that a response that was evaluated as done has an array or object at `path`, such as
 * "service.instances"; NULL: nothing is required. Otherwise the outcome becomes
 * CLIENT_UNREACHABLE, because the server does not respond as Artemis does. */
void client_response_require(const json_t *root, const char *path, const char *shown,
                             struct client_outcome *outcome);

/* A field of an object by its snake_case name, in either casing; NULL when absent or null. */
json_t *client_response_field(const json_t *object, const char *name);

/* The same as text; "" when it is absent or not a string. */
const char *client_response_text(const json_t *object, const char *name);

/* The list of refused items, instances or keys; NULL if there is none. */
json_t *client_response_failed(const json_t *root);
