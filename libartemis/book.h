/* SPDX-License-Identifier: Apache-2.0
 *
 * book - the instances that a client keeps registered, and what is to be sent for them next.
 *
 * An instance in the book is asked for (to be registered), kept (to be renewed every heartbeat_ms)
 * or leaving (to be unregistered, until leave_by_ms). One request is under way at a time, for many
 * instances together; so what is asked first is done first, also where one server did not answer
 * and the next is asked. Who waits for an outcome hangs a ticket on the instance.
 *
 *     while (book_next(&book, now_ms, &request, &at_ms)) {
 *         ... send it ...
 *         book_answered(&book, &request, &outcome, now_ms, &news); or book_failed(&book, &request);
 *     }
 *
 * Pure: one thread at a time; `now_ms` is on the monotonic clock.
 */
#pragma once

#include "libartemis/wire.h"

enum { BOOK_BATCH_MAX = 1000 };

/* Lies with who waits. Once `done`, nobody else touches it. */
struct ticket {
    struct ticket *next;
    bool done;
    struct artemis_problem problem; /* problem.error is the outcome */
};

enum book_call { BOOK_REGISTER, BOOK_HEARTBEAT, BOOK_UNREGISTER };

/* A request under way. */
struct book_request {
    enum book_call call;
    struct instance **instances; /* with a reference each */
    size_t count;
};

struct book {
    struct lease *leases;
    uint64_t heartbeat_ms;
    bool under_way;
};

/* What an answer brought, for the log. */
struct book_news {
    size_t lost;                    /* instances that the server did not know: registered anew */
    char refused[WIRE_MESSAGE_MAX]; /* of one that was refused for good; "" for none */
};

/* Registers, or changes, the instance (takes a reference). `ticket` may be NULL. ERR_NO_MEMORY. */
MUST_USE enum error book_want(struct book *book, struct instance *instance, struct ticket *ticket);
/* Unregisters it. False: there is none. */
MUST_USE bool book_leave(struct book *book, const struct instance_key *key, uint64_t leave_by_ms,
                         struct ticket *ticket);
void book_leave_all(struct book *book, uint64_t leave_by_ms);
/* What is registered under the key, borrowed; NULL if nothing is. */
struct instance *book_find(const struct book *book, const struct instance_key *key);
bool book_is_empty(const struct book *book);
/* Who waited goes away. Does nothing for a ticket that is done. */
void book_forget_ticket(struct book *book, struct ticket *ticket);

/* True: send this now. False: nothing is due before *at_ms (UINT64_MAX: before something changes).
 * Without memory nothing is due for a second. */
MUST_USE bool book_next(struct book *book, uint64_t now_ms, struct book_request *request,
                        uint64_t *at_ms);
/* A server answered; frees the request. */
void book_answered(struct book *book, struct book_request *request,
                   const struct wire_outcome *outcome, uint64_t now_ms, struct book_news *news);
/* None did: it stays due. Frees the request. */
void book_failed(struct book *book, struct book_request *request);

void book_free(struct book *book);
