/* SPDX-License-Identifier: Apache-2.0
 *
 * client_answer - what a server's answer means: the exit code, the sentence, and what to do next.
 *
 * The HTTP side (client_http) fills a `struct client_answer` whatever happened, and this room
 * judges it. Two tables hold the knowledge: one for calls that were never answered, one for the
 * reasons with which a server refuses. An answer counts as Artemis' only if it is a JSON object
 * with a `response_status`: anything else is another server at that address, and so not reachable.
 *
 * Answers are read in snake_case and camelCase alike, since the server answers in the casing of the
 * question and `register --file` may ask in either.
 *
 * Pure.
 */
#pragma once

#include "artemis-core/base/text.h"
#include "artemis/client_exit.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define CLIENT_MESSAGE_MAX 1024
#define CLIENT_HINT_MAX    256
#define CLIENT_HEADER_MAX  256

/* How far a call came. */
enum client_fate {
    CLIENT_ANSWERED,
    CLIENT_NO_HOST,
    CLIENT_NO_PROXY,
    CLIENT_NO_LISTENER,
    CLIENT_TIMED_OUT,
    CLIENT_NO_TLS,
    CLIENT_NOT_HTTP,
    CLIENT_TOO_LARGE,
    CLIENT_BROKEN,
    CLIENT_NO_MEMORY,
    CLIENT_FATE_COUNT
};

/* What came back. The room that filled it frees `body`. */
struct client_answer {
    enum client_fate fate;
    int http_status;           /* 0 unless answered */
    struct text body;          /* empty unless answered */
    unsigned retry_after_secs; /* 0: not said */
    char location[CLIENT_HEADER_MAX];
    char node[CLIENT_HEADER_MAX]; /* X-Artemis-Node, -Cluster and -State; "" when absent */
    char cluster[CLIENT_HEADER_MAX];
    char state[CLIENT_HEADER_MAX];
    char detail[CLIENT_HEADER_MAX]; /* what libcurl says of a fate other than answered */
};

struct client_verdict {
    enum client_exit exit_code;
    bool later;                       /* the same call may succeed later */
    char message[CLIENT_MESSAGE_MAX]; /* "" when done */
    char hint[CLIENT_HINT_MAX];       /* "" when there is nothing to add */
    size_t failed_count;              /* items that the server refused one by one */
};

/* Judges the answer of the server `shown` (client_url). *root becomes the JSON, which the caller
 * releases, or NULL if there is none. Text in the verdict is the server's and not yet made safe. */
void client_answer_judge(const struct client_answer *answer, const char *shown,
                         struct client_verdict *verdict, json_t **root);

/* Field of an object by its snake_case name, in whichever casing it came; NULL when absent or null.
 */
json_t *client_answer_field(const json_t *object, const char *name);

/* The same as text, or "" if there is none. */
const char *client_answer_text(const json_t *object, const char *name);

/* The items that were refused, of whichever kind; NULL if none. */
json_t *client_answer_failed(const json_t *root);
