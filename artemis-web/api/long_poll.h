/* SPDX-License-Identifier: Apache-2.0
 *
 * long_poll - `?version=N&wait=30s`: a GET whose response is delayed until the revision is above N.
 *
 * The handler reads the query with long_poll_read and passes the revision of its response to
 * long_poll_decide. A response above N is sent at once. Otherwise the request is suspended (push.h)
 * and the handler is called once more when the long poll ends; it then sends the new revision, or
 * 304. An unknown service has revision 0.
 *
 * `delta=1` asks for the changes after N only. The client must name the epoch of N: the changes of
 * another node after N would not lead to its present state.
 */
#pragma once

#include "artemis-web/query/query.h"

struct long_poll_query {
    bool requested;   /* the query has `wait` */
    bool delta;       /* it has `delta=1` */
    bool other_epoch; /* the revision belongs to another node or epoch: respond at once */
    uint64_t revision;
    uint64_t wait_ms;
    uint64_t delta_since; /* the changes after it are enough for a response; 0: they are not */
};

/* Reads the query. Without `wait` the response comes at once. ERR_INVALID_FIELD with *message. */
MUST_USE enum error long_poll_read(const struct request *request, const struct query *query,
                                   struct long_poll_query *get, char message[MESSAGE_BYTES]);
/* Defers a long poll that is not in the share of this turn (long_poll_share.h): the handler returns
 * then, and is called again in a later turn. To be called before a response is searched. A request
 * whose body is too large to be suspended is not deferred either. */
MUST_USE bool long_poll_defer(struct request *request, const struct long_poll_query *get,
                              struct response *response);
/* Decides how to answer with a response of `revision` about a service, or about all services (empty
 * id). If that is not newer than the query's revision, the response becomes a long poll or 304.
 * ERR_TOO_MANY_SUBSCRIBERS, ERR_BODY_TOO_LARGE, with *message. */
MUST_USE enum error long_poll_decide(struct request *request, const struct long_poll_query *get,
                                     struct slice service_id, uint64_t revision,
                                     struct response *response, char message[MESSAGE_BYTES]);
