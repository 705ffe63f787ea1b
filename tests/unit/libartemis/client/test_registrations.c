/* SPDX-License-Identifier: Apache-2.0
 *
 * The requests for the instances of a client, on virtual time, and the results of completions.
 */
#include "tests/unit/libartemis/client/registrations_fixture.h"

static void register_is_followed_by_heartbeats(void **state)
{
    struct fixture *fixture = *state;
    struct completion completion = {0};
    assert_sends_nothing_before(fixture, UINT64_MAX);
    do_register(fixture, "1", 1, &completion);
    assert_sends(fixture, REGISTRY_REGISTER, 1);
    assert_false(completion.done);
    assert_sends_nothing_before(fixture, UINT64_MAX); /* one request at a time */
    response(fixture);
    assert_true(completion.done);
    assert_int_equal(completion.problem.error, ARTEMIS_OK);
    assert_sends_nothing_before(fixture, 1000 + HEARTBEAT_MS);
    for (int i = 0; i < 3; i++) {
        fixture->now_ms += HEARTBEAT_MS;
        assert_sends(fixture, REGISTRY_HEARTBEAT, 1);
        response(fixture);
        assert_sends_nothing_before(fixture, fixture->now_ms + HEARTBEAT_MS);
    }
}

static void heartbeats_are_sent_together(void **state)
{
    struct fixture *fixture = *state;
    do_register(fixture, "1", 1, NULL);
    assert_sends(fixture, REGISTRY_REGISTER, 1);
    response(fixture);
    fixture->now_ms += HEARTBEAT_MS / 4;
    do_register(fixture, "2", 1, NULL);
    assert_sends(fixture, REGISTRY_REGISTER, 1);
    response(fixture);
    fixture->now_ms = 1000 + HEARTBEAT_MS;
    assert_sends(fixture, REGISTRY_HEARTBEAT, 2);
    response(fixture);
    assert_sends_nothing_before(fixture, fixture->now_ms + HEARTBEAT_MS);
}

static void many_instances_are_sent_in_batches(void **state)
{
    struct fixture *fixture = *state;
    char id[16];
    for (int i = 0; i < REGISTRY_BATCH_MAX + 5; i++) {
        snprintf(id, sizeof id, "%d", i);
        do_register(fixture, id, 1, NULL);
    }
    assert_sends(fixture, REGISTRY_REGISTER, REGISTRY_BATCH_MAX);
    response(fixture);
    assert_sends(fixture, REGISTRY_REGISTER, 5);
    response(fixture);
    assert_sends_nothing_before(fixture, 1000 + HEARTBEAT_MS);
}

static void unknown_instance_is_registered_again_with_its_content(void **state)
{
    struct fixture *fixture = *state;
    do_register(fixture, "1", 7, NULL);
    do_register(fixture, "2", 7, NULL);
    assert_sends(fixture, REGISTRY_REGISTER, 2);
    response(fixture);
    fixture->now_ms += HEARTBEAT_MS;
    assert_sends(fixture, REGISTRY_HEARTBEAT, 2);
    refuse(fixture, "1", "instance-not-found");
    assert_int_equal(fixture->report.unknown, 1);
    assert_string_equal(fixture->report.refused, "");
    assert_sends(fixture, REGISTRY_REGISTER, 1);
    assert_int_equal(instance_port(fixture->request.instances[0]), 7);
    response(fixture);
    assert_sends_nothing_before(fixture, fixture->now_ms + HEARTBEAT_MS);
}

static void request_stays_due_when_the_server_fails(void **state)
{
    struct fixture *fixture = *state;
    struct completion completion = {0};
    do_register(fixture, "1", 1, &completion);
    for (int i = 0; i < 3; i++) {
        assert_sends(fixture, REGISTRY_REGISTER, 1);
        registrations_failed(&fixture->registrations, &fixture->request, "no route",
                             new_report(fixture));
        assert_false(completion.done);
    }
    assert_sends(fixture, REGISTRY_REGISTER, 1);
    response(fixture);
    assert_true(completion.done);
}

static void refused_registration_is_removed(void **state)
{
    struct fixture *fixture = *state;
    struct completion completion = {0};
    do_register(fixture, "1", 1, &completion);
    assert_sends(fixture, REGISTRY_REGISTER, 1);
    refuse(fixture, "1", "invalid-field");
    assert_true(completion.done);
    assert_int_equal(completion.problem.error, ARTEMIS_REFUSED);
    assert_string_equal(completion.problem.text, "invalid-field it is");
    assert_string_equal(fixture->report.refused, "invalid-field it is");
    assert_true(registrations_is_empty(&fixture->registrations));
}

static void refused_change_is_undone(void **state)
{
    struct fixture *fixture = *state;
    struct completion completion = {0};
    struct instance_key key = key_of("1");
    do_register(fixture, "1", 1, NULL);
    assert_sends(fixture, REGISTRY_REGISTER, 1);
    response(fixture);
    do_register(fixture, "1", 2, &completion);
    assert_sends(fixture, REGISTRY_REGISTER, 1);
    refuse(fixture, "1", "invalid-field");
    assert_int_equal(completion.problem.error, ARTEMIS_REFUSED);
    assert_int_equal(instance_port(registrations_find(&fixture->registrations, &key)), 1);
    assert_sends_nothing_before(fixture, fixture->now_ms + HEARTBEAT_MS);
}

static void accepted_registration_stays_when_another_server_refuses_it(void **state)
{
    struct fixture *fixture = *state;
    do_register(fixture, "1", 1, NULL);
    assert_sends(fixture, REGISTRY_REGISTER, 1);
    response(fixture);
    for (int i = 0; i < 2; i++) {
        fixture->now_ms += HEARTBEAT_MS;
        assert_sends(fixture, REGISTRY_HEARTBEAT, 1);
        refuse(fixture, "1", "instance-not-found");
        assert_sends(fixture, REGISTRY_REGISTER, 1);
        const struct wire_result whole = {.message = "no permission"};
        registrations_answered(&fixture->registrations, &fixture->request, &whole, fixture->now_ms,
                               new_report(fixture));
        assert_string_equal(fixture->report.refused, "no permission");
        assert_sends_nothing_before(fixture, fixture->now_ms + HEARTBEAT_MS);
    }
}

static void change_during_a_registration_is_sent_next(void **state)
{
    struct fixture *fixture = *state;
    struct completion completions[2] = {0};
    do_register(fixture, "1", 1, &completions[0]);
    assert_sends(fixture, REGISTRY_REGISTER, 1);
    do_register(fixture, "1", 2, &completions[1]);
    assert_true(completions[0].done); /* superseded */
    assert_int_equal(completions[0].problem.error, ARTEMIS_TIMED_OUT);
    response(fixture);
    assert_false(completions[1].done);
    assert_sends(fixture, REGISTRY_REGISTER, 1);
    assert_int_equal(instance_port(fixture->request.instances[0]), 2);
    response(fixture);
    assert_int_equal(completions[1].problem.error, ARTEMIS_OK);
    assert_true(completions[1].done);
}

static void unregister_follows_a_register_request_in_flight(void **state)
{
    struct fixture *fixture = *state;
    struct completion completion = {0};
    do_register(fixture, "1", 1, NULL);
    assert_sends(fixture, REGISTRY_REGISTER, 1);
    assert_true(unregister(fixture, "1", &completion));
    assert_false(unregister(fixture, "1", NULL)); /* it is ending already */
    assert_sends_nothing_before(fixture, UINT64_MAX);
    response(fixture);
    assert_false(completion.done);
    assert_sends(fixture, REGISTRY_UNREGISTER, 1);
    response(fixture);
    assert_true(completion.done);
    assert_int_equal(completion.problem.error, ARTEMIS_OK);
    assert_true(registrations_is_empty(&fixture->registrations));
}

static void unregister_without_a_sent_registration_sends_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct completion completion = {0};
    do_register(fixture, "1", 1, NULL);
    assert_true(unregister(fixture, "1", &completion));
    assert_true(completion.done);
    assert_true(registrations_is_empty(&fixture->registrations));
    assert_false(unregister(fixture, "1", NULL));
}

static void unregister_ends_at_its_deadline(void **state)
{
    struct fixture *fixture = *state;
    struct completion completion = {0};
    do_register(fixture, "1", 1, NULL);
    assert_sends(fixture, REGISTRY_REGISTER, 1);
    response(fixture);
    assert_true(unregister(fixture, "1", &completion));
    assert_sends(fixture, REGISTRY_UNREGISTER, 1);
    registrations_failed(&fixture->registrations, &fixture->request, "no route",
                         new_report(fixture));
    fixture->now_ms += 5000;
    assert_sends_nothing_before(fixture, UINT64_MAX);
    assert_int_equal(completion.problem.error, ARTEMIS_TIMED_OUT);
    assert_true(registrations_is_empty(&fixture->registrations));
}

static void registration_during_unregister_stays(void **state)
{
    struct fixture *fixture = *state;
    do_register(fixture, "1", 1, NULL);
    assert_sends(fixture, REGISTRY_REGISTER, 1);
    response(fixture);
    assert_true(unregister(fixture, "1", NULL));
    assert_sends(fixture, REGISTRY_UNREGISTER, 1);
    do_register(fixture, "1", 2, NULL);
    response(fixture);
    assert_sends(fixture, REGISTRY_REGISTER, 1);
    response(fixture);
    assert_false(registrations_is_empty(&fixture->registrations));
}

static void cancelled_completion_is_not_completed(void **state)
{
    struct fixture *fixture = *state;
    struct completion completions[2] = {0};
    do_register(fixture, "1", 1, &completions[0]);
    do_register(fixture, "2", 1, &completions[1]);
    registrations_cancel_completion(&completions[0]);
    assert_sends(fixture, REGISTRY_REGISTER, 2);
    response(fixture);
    assert_false(completions[0].done);
    assert_true(completions[1].done);
}

static void unregister_all_removes_all(void **state)
{
    struct fixture *fixture = *state;
    do_register(fixture, "1", 1, NULL);
    do_register(fixture, "2", 1, NULL);
    assert_sends(fixture, REGISTRY_REGISTER, 2);
    response(fixture);
    do_register(fixture, "3", 1, NULL);
    registrations_unregister_all(&fixture->registrations, UINT64_MAX);
    assert_sends(fixture, REGISTRY_UNREGISTER, 2);
    response(fixture);
    assert_true(registrations_is_empty(&fixture->registrations));
}

static void renew(struct fixture *fixture, const char *id, struct completion *completion)
{
    struct instance *instance = make(id, 1);
    assert_int_equal(registrations_renew(&fixture->registrations, instance, completion), ERR_NONE);
    instance_unref(instance);
}

static void renewed_instance_is_never_registered(void **state)
{
    struct fixture *fixture = *state;
    struct completion completion = {0};
    struct instance_key key = key_of("1");
    renew(fixture, "1", &completion);
    assert_null(registrations_find(&fixture->registrations, &key));
    assert_sends(fixture, REGISTRY_HEARTBEAT, 1);
    response(fixture);
    assert_true(completion.done);
    assert_int_equal(completion.problem.error, ARTEMIS_OK);
    assert_events(fixture, "renewed 1; ");
    fixture->now_ms += HEARTBEAT_MS;
    assert_sends(fixture, REGISTRY_HEARTBEAT, 1);
    refuse(fixture, "1", "instance-not-found");
    assert_events(fixture, "rejected 1 instance-not-found: instance-not-found it is; ");
    assert_true(registrations_is_empty(&fixture->registrations));
}

static void renew_of_an_unknown_instance_is_refused(void **state)
{
    struct fixture *fixture = *state;
    static const char *const reasons[] = {"instance-not-found", "no-permission"};
    for (size_t i = 0; i < 2; i++) {
        struct completion completion = {0};
        renew(fixture, "1", &completion);
        assert_sends(fixture, REGISTRY_HEARTBEAT, 1);
        refuse(fixture, "1", reasons[i]);
        assert_int_equal(completion.problem.error, ARTEMIS_REFUSED);
        assert_true(registrations_is_empty(&fixture->registrations));
    }
}

static void renew_of_a_registered_instance_keeps_the_registration(void **state)
{
    struct fixture *fixture = *state;
    struct completion completion = {0};
    do_register(fixture, "1", 7, NULL);
    assert_sends(fixture, REGISTRY_REGISTER, 1);
    response(fixture);
    renew(fixture, "1", &completion);
    assert_sends(fixture, REGISTRY_HEARTBEAT, 1);
    refuse(fixture, "1", "instance-not-found");
    assert_sends(fixture, REGISTRY_REGISTER, 1);
    assert_int_equal(instance_port(fixture->request.instances[0]), 7);
    response(fixture);
    assert_true(completion.done);
    assert_int_equal(completion.problem.error, ARTEMIS_OK);
}

static void events_report_changes_of_state_only(void **state)
{
    struct fixture *fixture = *state;
    do_register(fixture, "1", 1, NULL);
    for (int i = 0; i < 2; i++) {
        assert_sends(fixture, REGISTRY_REGISTER, 1);
        registrations_failed(&fixture->registrations, &fixture->request, "no route",
                             new_report(fixture));
    }
    assert_events(fixture, "retrying 1: no route; ");
    assert_sends(fixture, REGISTRY_REGISTER, 1);
    response(fixture);
    assert_events(fixture, "registered 1; ");
    for (int i = 0; i < 2; i++) {
        fixture->now_ms += HEARTBEAT_MS;
        assert_sends(fixture, REGISTRY_HEARTBEAT, 1);
        response(fixture);
    }
    assert_events(fixture, "renewed 1; ");
    fixture->now_ms += HEARTBEAT_MS;
    assert_sends(fixture, REGISTRY_HEARTBEAT, 1);
    refuse(fixture, "1", "instance-not-found");
    assert_events(fixture, "");
    assert_sends(fixture, REGISTRY_REGISTER, 1);
    response(fixture);
    assert_events(fixture, "registered 1 instance-not-found; ");
    do_register(fixture, "1", 2, NULL);
    assert_sends(fixture, REGISTRY_REGISTER, 1);
    refuse(fixture, "1", "invalid-field");
    assert_events(fixture, "rejected 1 invalid-field: invalid-field it is; ");
}

static void lost_event_is_reported_again(void **state)
{
    struct fixture *fixture = *state;
    renew(fixture, "1", NULL);
    fixture->loses_events = true;
    for (int i = 0; i < 2; i++) {
        fixture->now_ms += HEARTBEAT_MS;
        assert_sends(fixture, REGISTRY_HEARTBEAT, 1);
        response(fixture);
        assert_events(fixture, "renewed 1; ");
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(register_is_followed_by_heartbeats),
        TEST(heartbeats_are_sent_together),
        TEST(many_instances_are_sent_in_batches),
        TEST(unknown_instance_is_registered_again_with_its_content),
        TEST(request_stays_due_when_the_server_fails),
        TEST(refused_registration_is_removed),
        TEST(refused_change_is_undone),
        TEST(accepted_registration_stays_when_another_server_refuses_it),
        TEST(change_during_a_registration_is_sent_next),
        TEST(unregister_follows_a_register_request_in_flight),
        TEST(unregister_without_a_sent_registration_sends_nothing),
        TEST(unregister_ends_at_its_deadline),
        TEST(registration_during_unregister_stays),
        TEST(cancelled_completion_is_not_completed),
        TEST(unregister_all_removes_all),
        TEST(renewed_instance_is_never_registered),
        TEST(renew_of_an_unknown_instance_is_refused),
        TEST(renew_of_a_registered_instance_keeps_the_registration),
        TEST(events_report_changes_of_state_only),
        TEST(lost_event_is_reported_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
