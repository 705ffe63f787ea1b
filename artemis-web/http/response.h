/* SPDX-License-Identifier: Apache-2.0
 *
 * response - sends the response that a handler filled in: errors, ETag and 304, gzip, headers.
 */
#pragma once

#include "artemis-web/http/request.h"

/* Queues the response and frees its contents. `error` and `message` are the handler's result; an
 * empty message stands for the error's own. *outcome receives the error that the metrics count.
 * Returns false when nothing could be queued; the connection must then be closed. */
bool response_send(struct request *request, struct response *response, enum error error,
                   const char *message, enum error *outcome);
