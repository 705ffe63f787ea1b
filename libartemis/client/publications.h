/* SPDX-License-Identifier: Apache-2.0
 *
 * publications - the events that the client still has to publish, in order, one request at a time.
 *
 * A publication waits, is in flight, and ends. It is sent again, to another server, only as long as
 * no server can have executed it: its body was not sent, or a server has answered that it has not
 * published the event. So an event is published at most once. Otherwise the result is uncertain.
 *
 *     waiting -> publications_next -> in flight -> publication_may_send (before the body is sent)
 *        ^--- publications_retry <---------'-----> publications_end
 *
 * A caller that waits owns its publication once it is done; until then it can leave. Publications
 * without a caller are freed when they end. Pure; under the lock of the client. `now_ms` is on the
 * monotonic clock.
 */
#pragma once

#include "libartemis/wire/wire.h"

#include <sys/queue.h>

enum { PUBLICATIONS_MAX = 1024, PUBLICATION_CAUSE_MAX = 400 };

struct publication {
    TAILQ_ENTRY(publication) link;
    char topic[TOPIC_BYTES_MAX + 1];
    struct text body;
    uint64_t deadline_ms;
    bool has_caller;
    bool sent;      /* a server may have executed it */
    bool withdrawn; /* it must not be sent */
    bool done;      /* for the caller: the fields below are set */
    enum artemis_error error;
    char cause[PUBLICATION_CAUSE_MAX]; /* of the error, or of the last attempt; "" */
    struct artemis_published published;
};

struct publications {
    TAILQ_HEAD(, publication) waiting;
    struct publication *in_flight;
    size_t count; /* all that have not ended */
    bool is_kept; /* none expires */
};

void publications_init(struct publications *publications);
void publications_free(struct publications *publications);
bool publications_is_empty(const struct publications *publications);

/* Adds an event to the end; takes over the body if it succeeds. ERR_TOO_MANY_EVENTS: there are
 * PUBLICATIONS_MAX; ERR_NO_MEMORY. */
MUST_USE enum error publications_add(struct publications *publications, const char *topic,
                                     struct text *body, uint64_t deadline_ms, bool has_caller,
                                     struct publication **out);

/* Removes and returns a waiting publication without a caller whose deadline has passed; it is freed
 * with publication_free. NULL: none; *at_ms is the next such deadline, if it is earlier. */
struct publication *publications_expired(struct publications *publications, uint64_t now_ms,
                                         uint64_t *at_ms);
/* From now on no publication expires, whatever its deadline: the client is being closed, and the
 * timeout of artemis_close decides. */
void publications_keep(struct publications *publications);
/* True: one waits, and none is in flight. */
bool publications_is_due(const struct publications *publications);
/* The first one becomes in flight. One must be due. */
struct publication *publications_next(struct publications *publications);

/* Whether the body may be sent; from then on the result may be uncertain. */
bool publication_may_send(struct publication *publication);

/* How an attempt ended. */
struct publication_response {
    bool answered;
    bool readable; /* it is a response of an Artemis server, in `result` */
    int status;
    const struct wire_result *result;
};

enum publication_result {
    PUBLICATION_DELIVERED,
    PUBLICATION_RETRYABLE, /* no server has executed it */
    PUBLICATION_REJECTED,
    PUBLICATION_UNCERTAIN,
};

enum publication_result publication_result_of(const struct publication *publication,
                                              const struct publication_response *response);

/* The one in flight waits again, as the first one; `cause` says why. One that its caller has left
 * is freed. */
void publications_retry(struct publications *publications, const char *cause);
/* The one in flight has ended: ARTEMIS_OK with `published`, or an error with its cause. It is freed
 * if it has no caller. `published` NULL: an error. */
void publications_end(struct publications *publications, enum artemis_error error,
                      const char *cause, const struct artemis_published *published);

/* The caller does not wait any longer: *cause is why it has not succeeded. True: the event may have
 * been published, or still be. False: it was not, and will not be. */
bool publications_leave(struct publications *publications, struct publication *publication,
                        char cause[PUBLICATION_CAUSE_MAX]);
void publication_free(struct publication *publication); /* accepts NULL */
