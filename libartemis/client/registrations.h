/* SPDX-License-Identifier: Apache-2.0
 *
 * registrations - the instances that a client keeps registered, and the next request for them.
 *
 * A registration is pending (a register request is due), active (a heartbeat is due every
 * heartbeat_ms) or ending (an unregister request is due, until deadline_ms). One request at a time
 * is in flight, for many instances together. Requests therefore take effect in the order of the
 * calls, also when a server fails and the request goes to the next one. A caller that waits for the
 * result attaches a completion.
 *
 *     while (registrations_next(&registrations, now_ms, &request, &at_ms)) {
 *         ... send the request ...
 *         registrations_answered(&registrations, &request, &result, now_ms, &report);
 *         or, if no server answered: registrations_failed(&registrations, &request);
 *     }
 *
 * Pure; one thread at a time. `now_ms` is on the monotonic clock.
 */
#pragma once

#include "libartemis/wire/wire.h"

#include <sys/queue.h>

enum { REGISTRY_BATCH_MAX = 1000 };

/* The caller owns it. After `done` is set, nothing else refers to it. */
struct completion {
    LIST_ENTRY(completion) link;
    bool done;
    struct artemis_problem problem; /* problem.error is the result */
};

enum registry_call { REGISTRY_REGISTER, REGISTRY_HEARTBEAT, REGISTRY_UNREGISTER };

/* A request in flight. */
struct registry_request {
    enum registry_call call;
    struct instance **instances; /* a reference each */
    size_t count;
};

struct registrations {
    LIST_HEAD(, registration) list;
    uint64_t heartbeat_ms;
    bool in_flight;
};

/* What a response changed, for the log. */
struct registry_report {
    size_t unknown;                 /* instances that the server did not know: registered again */
    char refused[WIRE_MESSAGE_MAX]; /* error message of a refused instance; "" if none */
};

/* Registers or changes the instance; takes a reference. `completion` may be NULL. ERR_NO_MEMORY. */
MUST_USE enum error registrations_register(struct registrations *registrations,
                                           struct instance *instance,
                                           struct completion *completion);
/* Unregisters the instance. False: it is not registered. */
MUST_USE bool registrations_unregister(struct registrations *registrations,
                                       const struct instance_key *key, uint64_t deadline_ms,
                                       struct completion *completion);
void registrations_unregister_all(struct registrations *registrations, uint64_t deadline_ms);
/* The instance with this key, borrowed; NULL if it is not registered. */
struct instance *registrations_find(const struct registrations *registrations,
                                    const struct instance_key *key);
bool registrations_is_empty(const struct registrations *registrations);
/* Detaches the completion, whose caller no longer waits, unless it is done. */
void registrations_cancel_completion(struct completion *completion);

/* True: send this request now. False: nothing is due before *at_ms (UINT64_MAX: before an event).
 * Without memory, nothing is due for a second. */
MUST_USE bool registrations_next(struct registrations *registrations, uint64_t now_ms,
                                 struct registry_request *request, uint64_t *at_ms);
/* Applies the response of a server; frees the request. */
void registrations_answered(struct registrations *registrations, struct registry_request *request,
                            const struct wire_result *result, uint64_t now_ms,
                            struct registry_report *report);
/* No server answered: the request stays due. Frees the request. */
void registrations_failed(struct registrations *registrations, struct registry_request *request);

void registrations_free(struct registrations *registrations);
