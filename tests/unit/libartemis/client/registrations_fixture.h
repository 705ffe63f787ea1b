/* SPDX-License-Identifier: Apache-2.0
 *
 * registrations_fixture - registrations on virtual time: calls of the application, requests, and
 * responses of servers.
 */
#pragma once

#include "libartemis/client/registrations.h"

#include "tests/support/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEARTBEAT_MS = 10000 };

struct fixture {
    struct registrations registrations;
    struct registry_request request;
    struct registry_report report;
    uint64_t now_ms;
    char events[512]; /* such as "registered 1; rejected 1 invalid-field: invalid-field it is; " */
    bool loses_events;
};

static inline bool log_event(void *context, const struct registry_event *event)
{
    static const char *const names[] = {[ARTEMIS_REGISTERED] = "registered",
                                        [ARTEMIS_RENEWED] = "renewed",
                                        [ARTEMIS_RETRYING] = "retrying",
                                        [ARTEMIS_REJECTED] = "rejected"};
    struct fixture *fixture = context;
    struct slice id = instance_text(event->instance, FIELD_INSTANCE);
    size_t size = strlen(fixture->events);
    snprintf(fixture->events + size, sizeof fixture->events - size, "%s %.*s%s%s%s%s; ",
             names[event->state], (int)id.size, id.data, *event->reason ? " " : "", event->reason,
             *event->message ? ": " : "", event->message);
    return !fixture->loses_events;
}

static inline void assert_events(struct fixture *fixture, const char *expected)
{
    assert_string_equal(fixture->events, expected);
    fixture->events[0] = '\0';
}

static inline struct registry_report *new_report(struct fixture *fixture)
{
    fixture->report = (struct registry_report){.on_event = log_event, .context = fixture};
    return &fixture->report;
}

static inline int start(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    fixture->registrations.heartbeat_ms = HEARTBEAT_MS;
    fixture->now_ms = 1000;
    *state = fixture;
    return 0;
}

static inline int stop(void **state)
{
    struct fixture *fixture = *state;
    if (fixture->request.instances)
        registrations_failed(&fixture->registrations, &fixture->request, "no route",
                             new_report(fixture));
    registrations_free(&fixture->registrations);
    free(fixture);
    return 0;
}

static inline struct instance *make(const char *id, int port)
{
    const struct instance_spec spec = {
        .text = {[FIELD_REGION] = SLICE("r"),
                 [FIELD_ZONE] = SLICE("z"),
                 [FIELD_SERVICE] = SLICE("s"),
                 [FIELD_INSTANCE] = slice_of(id),
                 [FIELD_IP] = SLICE("10.0.0.1")},
        .port = port,
    };
    struct instance *instance;
    struct field_problem problem;
    assert_int_equal(instance_create(&spec, &instance, &problem), ERR_NONE);
    return instance;
}

static inline struct instance_key key_of(const char *id)
{
    const struct slice parts[KEY_FIELDS] = {SLICE("r"), SLICE("z"), SLICE("s"), {0}, slice_of(id)};
    struct instance_key key;
    struct field_problem problem;
    assert_int_equal(instance_key_make(parts, &key, &problem), ERR_NONE);
    return key;
}

static inline void do_register(struct fixture *fixture, const char *id, int port,
                               struct completion *completion)
{
    struct instance *instance = make(id, port);
    assert_int_equal(registrations_register(&fixture->registrations, instance, completion),
                     ERR_NONE);
    instance_unref(instance);
}

static inline bool unregister(struct fixture *fixture, const char *id,
                              struct completion *completion)
{
    struct instance_key key = key_of(id);
    return registrations_unregister(&fixture->registrations, &key, fixture->now_ms + 5000,
                                    completion);
}

/* The next request is this call, with so many instances. */
static inline void assert_sends(struct fixture *fixture, enum registry_call call, size_t count)
{
    uint64_t at_ms;
    assert_true(
        registrations_next(&fixture->registrations, fixture->now_ms, &fixture->request, &at_ms));
    assert_int_equal(fixture->request.call, call);
    assert_int_equal(fixture->request.count, count);
}

static inline void assert_sends_nothing_before(struct fixture *fixture, uint64_t expected_ms)
{
    uint64_t at_ms = 0;
    assert_false(
        registrations_next(&fixture->registrations, fixture->now_ms, &fixture->request, &at_ms));
    assert_int_equal(at_ms, expected_ms);
}

static inline void response(struct fixture *fixture)
{
    const struct wire_result result = {.done = true};
    registrations_answered(&fixture->registrations, &fixture->request, &result, fixture->now_ms,
                           new_report(fixture));
}

static inline void refuse(struct fixture *fixture, const char *id, const char *reason)
{
    struct wire_failure failure = {.key = key_of(id)};
    snprintf(failure.reason, sizeof failure.reason, "%s", reason);
    snprintf(failure.message, sizeof failure.message, "%s it is", reason);
    const struct wire_result result = {.failures = &failure, .failure_count = 1};
    registrations_answered(&fixture->registrations, &fixture->request, &result, fixture->now_ms,
                           new_report(fixture));
}
