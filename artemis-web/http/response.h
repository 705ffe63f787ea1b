/* SPDX-License-Identifier: Apache-2.0
 *
 * response - sends what a handler has filled in: refusals, ETag and 304, gzip, headers.
 */
#pragma once

#include "artemis-web/http/request.h"

/* Sends the reply and frees what it holds. `error` is what the handler returned, with `message` (""
 * for the error's own sentence). *outcome tells the metrics. False when nothing could be sent: the
 * connection must end. */
bool response_send(struct request *request, struct response *reply, enum error error,
                   const char *message, enum error *outcome);
