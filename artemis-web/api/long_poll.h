/* SPDX-License-Identifier: Apache-2.0
 *
 * long_poll - `?version=N&wait=30s`: an answer that is held until there is something newer than
 * N.
 *
 * The handler reads what is asked for, then has its answer judged: given at once where it is newer;
 * else the request waits (push.h), and is handled once more when that is over. What it finds then
 * is the answer, or 304. A service that is not known has version 0.
 */
#pragma once

#include "artemis-web/http/request.h"

struct long_poll_query {
    bool asked;     /* there is a wait */
    bool elsewhere; /* the version is of another node or run: nothing is held */
    uint64_t version;
    uint64_t wait_ms;
};

/* From the query. ERR_INVALID_FIELD with *message. */
MUST_USE enum error long_poll_read(struct request *request, struct long_poll_query *get,
                                   char message[MESSAGE_BYTES]);
/* Decides about an answer of `version`, about a service or about all (an empty id). Where it is not
 * newer, the reply is made to wait, or to be 304. ERR_TOO_MANY_SUBSCRIBERS, ERR_BODY_TOO_LARGE,
 * with *message. */
MUST_USE enum error long_poll_judge(struct request *request, const struct long_poll_query *get,
                                    struct slice service_id, uint64_t version,
                                    struct response *reply, char message[MESSAGE_BYTES]);
