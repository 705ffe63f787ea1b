/* SPDX-License-Identifier: Apache-2.0
 *
 * client_http - one HTTP call to a server (the only room of the client that knows libcurl's
 * transfers).
 *
 * A call always ends in an answer: what went wrong on the way is its `fate` (client_answer), so
 * nobody handles errors twice. Limits: 3 s to connect, 10 s for the whole call, 512 MiB of answer
 * once unpacked. Answers are taken gzipped. Redirects are not followed, so that nothing is posted
 * to a place that nobody named. To a loopback address no proxy is used, whatever the environment
 * says.
 *
 * Blocks. One thread at a time, since libcurl is started on the first call.
 */
#pragma once

#include "artemis/client_answer.h"
#include "artemis/client_url.h"

struct client_request {
    const char *path;           /* with its query, escaped; begins with '/' */
    const char *body;           /* JSON to post; NULL to get */
    size_t size_bytes;          /* of `body` */
    const char *const *headers; /* more of them, "Name: value", up to NULL; may be NULL */
};

/* `answer` is released with client_http_free. */
void client_http_send(const struct client_url *url, const struct client_request *request,
                      struct client_answer *answer);
void client_http_free(struct client_answer *answer);
