/* SPDX-License-Identifier: Apache-2.0
 *
 * call_response - evaluates a server's response: the exit code, a message, and a hint.
 *
 * curl_call fills a `struct call_response` for every call, whatever happened. This module
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
#include "artemis/terminal/exit_code.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define CALL_MESSAGE_MAX 1024
#define CALL_HINT_MAX    256
#define CALL_HEADER_MAX  256

/* How the HTTP transfer ended. */
enum transfer_result {
    TRANSFER_DONE,
    TRANSFER_NO_HOST,
    TRANSFER_NO_PROXY,
    TRANSFER_NO_LISTENER,
    TRANSFER_TIMED_OUT,
    TRANSFER_NO_TLS,
    TRANSFER_NOT_TRUSTED, /* the certificate of the server */
    TRANSFER_NOT_HTTP,
    TRANSFER_TOO_LARGE,
    TRANSFER_INTERRUPTED,
    TRANSFER_NO_MEMORY,
    TRANSFER_COUNT
};

/* Filled by curl_call_send, released with curl_call_free. */
struct call_response {
    enum transfer_result transfer;
    int http_status;           /* 0 unless the transfer is done */
    struct text body;          /* empty unless the transfer is done */
    unsigned retry_after_secs; /* 0: no Retry-After header, or not a number */
    char location[CALL_HEADER_MAX];
    char node[CALL_HEADER_MAX]; /* X-Artemis-Node, -Cluster and -State; "" when absent */
    char cluster[CALL_HEADER_MAX];
    char state[CALL_HEADER_MAX];
    char detail[CALL_HEADER_MAX]; /* libcurl's message when the transfer failed */
};

struct call_outcome {
    enum exit_code exit_code;
    bool retryable;                 /* the same call may succeed later */
    char message[CALL_MESSAGE_MAX]; /* "" when the exit code is EXIT_DONE */
    char hint[CALL_HINT_MAX];       /* what to do next; "" for none */
    size_t failed_count;            /* items that the server refused one by one */
};

/* Evaluates the response of the server at `shown` (server_url). *root becomes the JSON, which the
 * caller releases, or NULL if there is none. The message may hold text of the server, unescaped. */
void call_response_evaluate(const struct call_response *response, const char *shown,
                            struct call_outcome *outcome, json_t **root);

/* Checks that a response that was evaluated as done has an array or object at `path`, such as
 * "service.instances"; NULL: nothing is required. Otherwise the outcome becomes
 * EXIT_UNREACHABLE, because the server does not respond as Artemis does. */
void call_response_require(const json_t *root, const char *path, const char *shown,
                           struct call_outcome *outcome);

/* A field of an object by its snake_case name, in either casing; NULL when absent or null. */
json_t *call_response_field(const json_t *object, const char *name);

/* The same as text; "" when it is absent or not a string. */
const char *call_response_text(const json_t *object, const char *name);

/* The list of refused items, instances or keys; NULL if there is none. */
json_t *call_response_failed(const json_t *root);
