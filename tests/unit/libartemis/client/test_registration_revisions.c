/* SPDX-License-Identifier: Apache-2.0
 *
 * The client revisions that registrations give, and what they do when a server has a higher one.
 */
#include "tests/unit/libartemis/client/registrations_fixture.h"

static uint64_t sent_revision(const struct fixture *fixture)
{
    return instance_client_revision(fixture->request.instances[0]);
}

/* Registers "1" with the revision 101. */
static void register_first(struct fixture *fixture)
{
    fixture->registrations.client_revision = 100;
    do_register(fixture, "1", 1, NULL);
    assert_sends(fixture, REGISTRY_REGISTER, 1);
    assert_int_equal(sent_revision(fixture), 101);
    response(fixture);
    assert_events(fixture, "registered 1; ");
}

static void refuse_as_stale(struct fixture *fixture, uint64_t stored)
{
    struct wire_failure failure = {
        .key = key_of("1"), .stored_revision = stored, .reason = "stale-revision", .message = "no"};
    const struct wire_result result = {.failures = &failure, .failure_count = 1};
    registrations_answered(&fixture->registrations, &fixture->request, &result, fixture->now_ms,
                           new_report(fixture));
}

static void each_change_has_the_next_revision(void **state)
{
    struct fixture *fixture = *state;
    register_first(fixture);
    do_register(fixture, "1", 2, NULL);
    assert_sends(fixture, REGISTRY_REGISTER, 1);
    assert_int_equal(sent_revision(fixture), 102);
    response(fixture);
    assert_true(unregister(fixture, "1", NULL));
    assert_sends(fixture, REGISTRY_UNREGISTER, 1);
    assert_int_equal(sent_revision(fixture), 103);
    do_register(fixture, "1", 2, NULL);
    response(fixture);
    assert_sends(fixture, REGISTRY_REGISTER, 1);
    assert_int_equal(sent_revision(fixture), 104);
    response(fixture);
}

static void repeated_registration_keeps_its_revision(void **state)
{
    struct fixture *fixture = *state;
    register_first(fixture);
    do_register(fixture, "1", 1, NULL); /* the same content */
    assert_sends(fixture, REGISTRY_REGISTER, 1);
    assert_int_equal(sent_revision(fixture), 101);
    registrations_failed(&fixture->registrations, &fixture->request, "no route",
                         new_report(fixture));
    assert_sends(fixture, REGISTRY_REGISTER, 1);
    assert_int_equal(sent_revision(fixture), 101);
    response(fixture);
    fixture->now_ms += HEARTBEAT_MS;
    assert_sends(fixture, REGISTRY_HEARTBEAT, 1);
    refuse(fixture, "1", "instance-not-found");
    assert_sends(fixture, REGISTRY_REGISTER, 1);
    assert_int_equal(sent_revision(fixture), 101);
    response(fixture);
}

static void stale_registration_is_repeated_above_the_stored_revision(void **state)
{
    struct fixture *fixture = *state;
    struct completion completion = {0};
    register_first(fixture);
    do_register(fixture, "1", 2, &completion);
    assert_sends(fixture, REGISTRY_REGISTER, 1);
    refuse_as_stale(fixture, 5000);
    assert_false(completion.done);
    assert_sends(fixture, REGISTRY_REGISTER, 1);
    assert_int_equal(sent_revision(fixture), 5001);
    assert_int_equal(instance_port(fixture->request.instances[0]), 2);
    response(fixture);
    assert_true(completion.done);
    assert_int_equal(completion.problem.error, ARTEMIS_OK);
    assert_events(fixture, "registered 1; ");
}

static void server_that_refuses_every_revision_is_not_asked_for_ever(void **state)
{
    struct fixture *fixture = *state;
    struct completion completion = {0};
    fixture->registrations.client_revision = 100;
    do_register(fixture, "1", 1, &completion);
    unsigned requests = 0;
    while (!completion.done) {
        assert_sends(fixture, REGISTRY_REGISTER, 1);
        refuse_as_stale(fixture, sent_revision(fixture));
        assert_true(++requests < 10);
    }
    assert_int_equal(completion.problem.error, ARTEMIS_REFUSED);
    assert_true(registrations_is_empty(&fixture->registrations));
    do_register(fixture, "1", 1, NULL);
    assert_sends(fixture, REGISTRY_REGISTER, 1);
    refuse_as_stale(fixture, CLIENT_REVISION_MAX);
    assert_true(registrations_is_empty(&fixture->registrations));
}

static void stale_unregistration_is_done(void **state)
{
    struct fixture *fixture = *state;
    struct completion completion = {0};
    register_first(fixture);
    assert_true(unregister(fixture, "1", &completion));
    assert_sends(fixture, REGISTRY_UNREGISTER, 1);
    refuse_as_stale(fixture, 5000);
    assert_true(completion.done);
    assert_int_equal(completion.problem.error, ARTEMIS_OK);
    assert_true(registrations_is_empty(&fixture->registrations));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_change_has_the_next_revision),
        TEST(repeated_registration_keeps_its_revision),
        TEST(stale_registration_is_repeated_above_the_stored_revision),
        TEST(server_that_refuses_every_revision_is_not_asked_for_ever),
        TEST(stale_unregistration_is_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
