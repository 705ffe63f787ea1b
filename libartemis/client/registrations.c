/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/client/registrations.h"

#include "libartemis/base/problem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define UNKNOWN_REASON "instance-not-found"
#define STALE_REASON   "stale-revision"

enum { NO_MEMORY_PAUSE_MS = 1000, RAISES_MAX = 3 };

enum registration_state { REGISTRATION_PENDING, REGISTRATION_ACTIVE, REGISTRATION_ENDING };

struct registration {
    LIST_ENTRY(registration) link;
    struct instance *wanted;
    struct instance *accepted; /* the last content that a server accepted; NULL: none */
    enum registration_state state;
    bool renew_only;   /* another program registered it */
    bool was_sent;     /* a server may know the instance */
    bool was_unknown;  /* a server did not know it; not accepted since then */
    uint8_t raises;    /* of its revision, since a server accepted it */
    bool reported_any; /* an event was delivered, with this state */
    enum artemis_registration_state reported;
    uint64_t due_ms;      /* of the next heartbeat */
    uint64_t deadline_ms; /* of an ending registration */
    LIST_HEAD(, completion) completions;
};

/* --- calls ------------------------------------------------------------------------------------ */

static const char superseded[] = "superseded by a later call for the same instance";

static struct registration *find(const struct registrations *registrations, struct slice packed_key)
{
    struct registration *registration;
    LIST_FOREACH (registration, &registrations->list, link)
        if (slice_equal(instance_packed_key(registration->wanted), packed_key))
            return registration;
    return NULL;
}

static void complete(struct registration *registration, enum artemis_error error, const char *text)
{
    struct completion *completion;
    while ((completion = LIST_FIRST(&registration->completions))) {
        LIST_REMOVE(completion, link);
        problem_set(&completion->problem, error, "%s", text);
        completion->done = true;
    }
}

static void attach(struct registration *registration, struct completion *completion)
{
    if (completion)
        LIST_INSERT_HEAD(&registration->completions, completion, link);
}

static void remove_registration(struct registration *registration)
{
    assert(LIST_EMPTY(&registration->completions));
    LIST_REMOVE(registration, link);
    instance_unref(registration->wanted);
    instance_unref(registration->accepted);
    free(registration);
}

static struct registration *find_or_create(struct registrations *registrations,
                                           const struct instance *instance)
{
    struct registration *registration = find(registrations, instance_packed_key(instance));
    if (registration)
        return registration;
    registration = calloc(1, sizeof *registration);
    if (registration)
        LIST_INSERT_HEAD(&registrations->list, registration, link);
    return registration;
}

/* The instance with the revision of the present content if it is the same, or else the next one. A
 * reference; NULL: out of memory. */
static struct instance *with_revision(struct registrations *registrations,
                                      const struct registration *registration,
                                      const struct instance *instance)
{
    bool was_registered = registration->wanted && !registration->renew_only &&
                          registration->state != REGISTRATION_ENDING;
    uint64_t present = was_registered ? instance_client_revision(registration->wanted) : 0;
    struct instance *same = present ? instance_with_client_revision(instance, present) : NULL;
    if (same && instance_equal(same, registration->wanted))
        return same;
    instance_unref(same);
    return instance_with_client_revision(instance, ++registrations->client_revision);
}

enum error registrations_register(struct registrations *registrations, struct instance *instance,
                                  struct completion *completion)
{
    struct registration *registration = find_or_create(registrations, instance);
    if (!registration)
        return ERR_NO_MEMORY;
    struct instance *wanted = with_revision(registrations, registration, instance);
    if (!wanted) {
        if (!registration->wanted)
            remove_registration(registration);
        return ERR_NO_MEMORY;
    }
    complete(registration, ARTEMIS_TIMED_OUT, superseded);
    instance_unref(registration->wanted);
    registration->wanted = wanted;
    registration->state = REGISTRATION_PENDING;
    registration->renew_only = false;
    attach(registration, completion);
    return ERR_NONE;
}

enum error registrations_renew(struct registrations *registrations, struct instance *instance,
                               struct completion *completion)
{
    struct registration *registration = find_or_create(registrations, instance);
    if (!registration)
        return ERR_NO_MEMORY;
    bool is_new = !registration->wanted || registration->state == REGISTRATION_ENDING;
    if (is_new) {
        complete(registration, ARTEMIS_TIMED_OUT, superseded);
        instance_unref(registration->wanted);
        registration->wanted = instance_ref(instance);
        registration->renew_only = true;
        registration->state = REGISTRATION_ACTIVE;
    }
    if (registration->state == REGISTRATION_ACTIVE)
        registration->due_ms = 0;
    attach(registration, completion);
    return ERR_NONE;
}

/* The unregistration is a change, too. Without memory it has the revision of the registration. */
static void set_last_revision(struct registrations *registrations,
                              struct registration *registration)
{
    struct instance *key_only = instance_of_key(instance_packed_key(registration->wanted),
                                                ++registrations->client_revision);
    if (!key_only)
        return;
    instance_unref(registration->wanted);
    registration->wanted = key_only;
}

static void end_registration(struct registrations *registrations, struct registration *registration,
                             uint64_t deadline_ms, struct completion *completion)
{
    complete(registration, ARTEMIS_TIMED_OUT, superseded);
    if (!registration->renew_only && registration->state != REGISTRATION_ENDING)
        set_last_revision(registrations, registration);
    registration->state = REGISTRATION_ENDING;
    registration->deadline_ms = deadline_ms;
    attach(registration, completion);
    if (registration->was_sent)
        return;
    complete(registration, ARTEMIS_OK, "");
    remove_registration(registration);
}

bool registrations_unregister(struct registrations *registrations, const struct instance_key *key,
                              uint64_t deadline_ms, struct completion *completion)
{
    struct registration *registration = find(registrations, instance_key_packed(key));
    if (!registration || registration->state == REGISTRATION_ENDING)
        return false;
    end_registration(registrations, registration, deadline_ms, completion);
    return true;
}

void registrations_unregister_all(struct registrations *registrations, uint64_t deadline_ms)
{
    struct registration *next;
    struct registration *registration = LIST_FIRST(&registrations->list);
    for (; registration; registration = next) {
        next = LIST_NEXT(registration, link);
        end_registration(registrations, registration, deadline_ms, NULL);
    }
}

struct instance *registrations_find(const struct registrations *registrations,
                                    const struct instance_key *key)
{
    struct registration *registration = find(registrations, instance_key_packed(key));
    bool is_registered =
        registration && registration->state != REGISTRATION_ENDING && !registration->renew_only;
    return is_registered ? registration->wanted : NULL;
}

bool registrations_is_empty(const struct registrations *registrations)
{
    return LIST_EMPTY(&registrations->list);
}

void registrations_cancel_completion(struct completion *completion)
{
    if (!completion->done)
        LIST_REMOVE(completion, link);
}

/* --- next request ----------------------------------------------------------------------------- */

static void remove_overdue(struct registrations *registrations, uint64_t now_ms)
{
    struct registration *next;
    struct registration *registration = LIST_FIRST(&registrations->list);
    for (; registration; registration = next) {
        next = LIST_NEXT(registration, link);
        if (registration->state != REGISTRATION_ENDING || registration->deadline_ms > now_ms)
            continue;
        complete(registration, ARTEMIS_TIMED_OUT, "no server answered; the lease will expire");
        remove_registration(registration);
    }
}

static bool is_due(const struct registration *registration, enum registry_call call,
                   uint64_t now_ms)
{
    static const enum registration_state states[] = {[REGISTRY_REGISTER] = REGISTRATION_PENDING,
                                                     [REGISTRY_HEARTBEAT] = REGISTRATION_ACTIVE,
                                                     [REGISTRY_UNREGISTER] = REGISTRATION_ENDING};
    if (registration->state != states[call])
        return false;
    return call != REGISTRY_HEARTBEAT || registration->due_ms <= now_ms;
}

/* Unregister requests come first: they belong to earlier calls. */
static bool choose_call(const struct registrations *registrations, uint64_t now_ms,
                        enum registry_call *call)
{
    static const enum registry_call order[] = {REGISTRY_UNREGISTER, REGISTRY_REGISTER,
                                               REGISTRY_HEARTBEAT};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        const struct registration *registration;
        LIST_FOREACH (registration, &registrations->list, link) {
            if (!is_due(registration, order[i], now_ms))
                continue;
            *call = order[i];
            return true;
        }
    }
    return false;
}

static uint64_t next_heartbeat_ms(const struct registrations *registrations)
{
    uint64_t at_ms = UINT64_MAX;
    const struct registration *registration;
    LIST_FOREACH (registration, &registrations->list, link)
        if (registration->state == REGISTRATION_ACTIVE && registration->due_ms < at_ms)
            at_ms = registration->due_ms;
    return at_ms;
}

bool registrations_next(struct registrations *registrations, uint64_t now_ms,
                        struct registry_request *request, uint64_t *at_ms)
{
    enum registry_call call = REGISTRY_HEARTBEAT;
    *at_ms = UINT64_MAX;
    if (registrations->in_flight)
        return false;
    remove_overdue(registrations, now_ms);
    if (!choose_call(registrations, now_ms, &call)) {
        *at_ms = next_heartbeat_ms(registrations);
        return false;
    }
    struct instance **instances = calloc(REGISTRY_BATCH_MAX, sizeof(struct instance *));
    if (!instances) {
        *at_ms = now_ms + NO_MEMORY_PAUSE_MS;
        return false;
    }
    *request = (struct registry_request){.call = call, .instances = instances};
    /* Heartbeats that are due soon are sent too, so that later ones are due together. */
    uint64_t soon_ms = now_ms + registrations->heartbeat_ms / 2;
    struct registration *registration;
    LIST_FOREACH (registration, &registrations->list, link) {
        if (request->count == REGISTRY_BATCH_MAX)
            break;
        if (!is_due(registration, call, soon_ms))
            continue;
        instances[request->count++] = instance_ref(registration->wanted);
        registration->was_sent = true;
    }
    registrations->in_flight = true;
    return true;
}

/* --- responses -------------------------------------------------------------------------------- */

static void free_request(struct registry_request *request)
{
    for (size_t i = 0; i < request->count; i++)
        instance_unref(request->instances[i]);
    free(request->instances);
    *request = (struct registry_request){0};
}

static void deliver(struct registration *registration, struct registry_report *report,
                    enum artemis_registration_state state, const char *reason, const char *message)
{
    const struct registry_event event = {.state = state,
                                         .instance = registration->wanted,
                                         .identity_only = registration->renew_only,
                                         .reason = reason,
                                         .message = message};
    bool is_repeated = registration->reported_any && registration->reported == state;
    if (!report->on_event || (is_repeated && state != ARTEMIS_REGISTERED))
        return;
    registration->reported_any = report->on_event(report->context, &event);
    registration->reported = state;
}

static void on_done(struct registration *registration, enum registry_call call,
                    struct instance *sent, uint64_t due_ms, struct registry_report *report)
{
    registration->due_ms = due_ms;
    if (call == REGISTRY_REGISTER) {
        instance_unref(registration->accepted);
        registration->accepted = instance_ref(sent);
        deliver(registration, report, ARTEMIS_REGISTERED,
                registration->was_unknown ? UNKNOWN_REASON : "", "");
        registration->was_unknown = false;
        registration->raises = 0;
    }
    if (call == REGISTRY_HEARTBEAT && registration->state == REGISTRATION_ACTIVE) {
        deliver(registration, report, ARTEMIS_RENEWED, "", "");
        complete(registration, ARTEMIS_OK, "");
    }
    /* A later call for the same instance is sent next. */
    if (call == REGISTRY_REGISTER && registration->state == REGISTRATION_PENDING &&
        registration->wanted == sent) {
        registration->state = REGISTRATION_ACTIVE;
        complete(registration, ARTEMIS_OK, "");
    }
    if (call == REGISTRY_UNREGISTER && registration->state == REGISTRATION_ENDING) {
        complete(registration, ARTEMIS_OK, "");
        remove_registration(registration);
    }
}

/* A server does not know the instance: registers it again, or ends a registration that is only
 * renewed. */
static void on_unknown(struct registration *registration, const char *message,
                       struct registry_report *report)
{
    report->unknown++;
    if (registration->state != REGISTRATION_ACTIVE)
        return;
    if (!registration->renew_only) {
        registration->state = REGISTRATION_PENDING;
        registration->was_unknown = true;
        return;
    }
    deliver(registration, report, ARTEMIS_REJECTED, UNKNOWN_REASON, message);
    complete(registration, ARTEMIS_REFUSED, message);
    remove_registration(registration);
}

/* A registration that no server has accepted is removed; a refused change is undone. If one server
 * accepted the instance and another one refuses it, it stays: the next heartbeat tries again. */
static void on_refused_registration(struct registration *registration, uint64_t due_ms,
                                    const char *message)
{
    complete(registration, ARTEMIS_REFUSED, message);
    if (!registration->accepted) {
        remove_registration(registration);
        return;
    }
    struct instance *refused = registration->wanted;
    registration->wanted = instance_ref(registration->accepted);
    instance_unref(refused);
    registration->state = REGISTRATION_ACTIVE;
    registration->due_ms = due_ms;
}

static void on_refused(struct registration *registration, enum registry_call call,
                       struct instance *sent, uint64_t due_ms, const char *message)
{
    if (call == REGISTRY_HEARTBEAT) {
        registration->due_ms = due_ms;
        if (registration->renew_only && !LIST_EMPTY(&registration->completions)) {
            complete(registration, ARTEMIS_REFUSED, message);
            remove_registration(registration);
        }
        return;
    }
    if (call == REGISTRY_REGISTER && registration->state == REGISTRATION_PENDING &&
        registration->wanted == sent)
        on_refused_registration(registration, due_ms, message);
    else if (call == REGISTRY_UNREGISTER && registration->state == REGISTRATION_ENDING) {
        complete(registration, ARTEMIS_REFUSED, message);
        remove_registration(registration);
    }
}

/* A server has a later revision. A registration is repeated with one above it; an unregistration is
 * done: another program has registered the instance since. False: the call is refused. */
static bool on_stale(struct registrations *registrations, struct registration *registration,
                     enum registry_call call, const struct instance *sent, uint64_t stored,
                     struct registry_report *report)
{
    if (call == REGISTRY_UNREGISTER) {
        on_done(registration, call, registration->wanted, 0, report);
        return true;
    }
    if (registration->state != REGISTRATION_PENDING || registration->wanted != sent)
        return true; /* a later call is sent next */
    if (stored < instance_client_revision(sent) || stored >= CLIENT_REVISION_MAX ||
        registration->raises == RAISES_MAX)
        return false;
    if (registrations->client_revision < stored)
        registrations->client_revision = stored;
    struct instance *raised = instance_with_client_revision(sent, ++registrations->client_revision);
    if (!raised)
        return false;
    instance_unref(registration->wanted);
    registration->wanted = raised;
    registration->raises++;
    return true;
}

static const struct wire_failure *failure_of(const struct wire_result *result,
                                             const struct instance *instance)
{
    struct slice key = instance_packed_key(instance);
    for (size_t i = 0; i < result->failure_count; i++)
        if (slice_equal(instance_key_packed(&result->failures[i].key), key))
            return &result->failures[i];
    return NULL;
}

static void on_instance(struct registrations *registrations, enum registry_call call,
                        struct instance *sent, const struct wire_result *result, uint64_t now_ms,
                        struct registry_report *report)
{
    struct registration *registration = find(registrations, instance_packed_key(sent));
    const struct wire_failure *failure = result->done ? NULL : failure_of(result, sent);
    uint64_t due_ms = now_ms + registrations->heartbeat_ms;
    if (!registration)
        return;
    /* Without a list of failures, the whole request failed. */
    if (result->done || (!failure && result->failure_count > 0)) {
        on_done(registration, call, sent, due_ms, report);
        return;
    }
    if (call == REGISTRY_HEARTBEAT && failure && strcmp(failure->reason, UNKNOWN_REASON) == 0) {
        on_unknown(registration, failure->message, report);
        return;
    }
    if (failure && strcmp(failure->reason, STALE_REASON) == 0 &&
        on_stale(registrations, registration, call, sent, failure->stored_revision, report))
        return;
    const char *message = failure ? failure->message : result->message;
    if (call != REGISTRY_UNREGISTER)
        deliver(registration, report, ARTEMIS_REJECTED, failure ? failure->reason : result->reason,
                message);
    memcpy(report->refused, message, sizeof report->refused);
    on_refused(registration, call, sent, due_ms, message);
}

void registrations_answered(struct registrations *registrations, struct registry_request *request,
                            const struct wire_result *result, uint64_t now_ms,
                            struct registry_report *report)
{
    for (size_t i = 0; i < request->count; i++)
        on_instance(registrations, request->call, request->instances[i], result, now_ms, report);
    free_request(request);
    registrations->in_flight = false;
}

void registrations_failed(struct registrations *registrations, struct registry_request *request,
                          const char *problem, struct registry_report *report)
{
    for (size_t i = 0; i < request->count; i++) {
        struct slice key = instance_packed_key(request->instances[i]);
        struct registration *registration = find(registrations, key);
        if (registration && registration->state != REGISTRATION_ENDING)
            deliver(registration, report, ARTEMIS_RETRYING, "", problem);
    }
    free_request(request);
    registrations->in_flight = false;
}

void registrations_free(struct registrations *registrations)
{
    struct registration *registration;
    while ((registration = LIST_FIRST(&registrations->list))) {
        complete(registration, ARTEMIS_TIMED_OUT, "the client was closed");
        remove_registration(registration);
    }
}
