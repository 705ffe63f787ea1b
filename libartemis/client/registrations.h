/* SPDX-License-Identifier: Apache-2.0
 *
 * registrations - the instances that a client keeps registered, and the next request for them.
 *
 * A registration is pending (a register request is due), active (a heartbeat is due every
 * heartbeat_ms) or ending (an unregister request is due, until deadline_ms). One request at a time
 * is in flight, for many instances together. Requests therefore take effect in the order of the
 * calls, also when a server fails and the request goes to the next one. A caller that waits for the
 * result attaches a completion. A registration that is only renewed is never pending; it is removed
 * when a server does not know its instance.
 *
 * Each change gets the next client revision (instance.h). A repeated request keeps it. So a server
 * refuses a request that arrives after a later one, at whatever server that was. If a server has a
 * higher revision of an instance (this client started with its clock set back, or another program
 * changed the instance), the registration is repeated with a revision above it.
 *
 *     while (registrations_next(&registrations, now_ms, &request, &at_ms)) {
 *         ... send the request ...
 *         registrations_answered(&registrations, &request, &result, now_ms, &report);
 *         or, if no server answered: registrations_failed(&registrations, &request, why, &report);
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
    uint64_t client_revision; /* the last one that was given; at first, from the clock */
    bool in_flight;
};

/* The new state of a registration; borrowed for the call. */
struct registry_event {
    enum artemis_registration_state state;
    const struct instance *instance;
    bool identity_only; /* the rest of `instance` is a placeholder */
    const char *reason;
    const char *message;
};

/* Called for each event. False: it could not be delivered; the same state is reported again after
 * the next request. */
typedef bool registry_on_event(void *context, const struct registry_event *event);

/* The changes that a response caused. The caller sets `on_event` (NULL: none) and `context`. */
struct registry_report {
    registry_on_event *on_event;
    void *context;
    size_t unknown;                 /* instances that the server did not know */
    char refused[WIRE_MESSAGE_MAX]; /* error message of a refused instance; "" if none */
};

/* Registers or changes the instance; takes a reference. `completion` may be NULL. ERR_NO_MEMORY. */
MUST_USE enum error registrations_register(struct registrations *registrations,
                                           struct instance *instance,
                                           struct completion *completion);
/* Sends heartbeats for an instance that another program registered. An existing registration stays
 * as it is, and gets the completion. Takes a reference. ERR_NO_MEMORY. */
MUST_USE enum error registrations_renew(struct registrations *registrations,
                                        struct instance *instance, struct completion *completion);
/* Unregisters the instance. False: it is not registered. */
MUST_USE bool registrations_unregister(struct registrations *registrations,
                                       const struct instance_key *key, uint64_t deadline_ms,
                                       struct completion *completion);
void registrations_unregister_all(struct registrations *registrations, uint64_t deadline_ms);
/* The instance with this key, borrowed; NULL if it is not registered, or only renewed. */
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
/* No server answered, because of `problem`: the request stays due. Frees the request. */
void registrations_failed(struct registrations *registrations, struct registry_request *request,
                          const char *problem, struct registry_report *report);

void registrations_free(struct registrations *registrations);
