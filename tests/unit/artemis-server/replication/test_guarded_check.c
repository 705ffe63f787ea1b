/* SPDX-License-Identifier: Apache-2.0
 *
 * A node asks its peers about the leases that its own guard keeps: a renewal that only others know
 * ends the guard, and no response ends a lease.
 */
#include "tests/unit/artemis-server/replication/replicator_fixture.h"

enum { MANY = 100, KEPT = 40, PART = 1000, NEXT_MS = 250 };

static int set_up(void **state)
{
    (void)state;
    rig_open();
    join_up(0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rig_close();
    return 0;
}

static void expire(void)
{
    pass_ms(TICK_MS);
    registry_expire(rig.node, rig_now());
}

/* The leases of so many instances end together, and the guard of this node keeps them. */
static void let_guard(unsigned count)
{
    put_many(rig.node, "s", 0, count, rig_now());
    for (struct message *message; (message = sent(0, MESSAGE_REGISTER));)
        finish_message(message, SEND_DELIVERED);
    pass_ms(TTL_MS);
    expire();
    finish(0, MESSAGE_LEASE_CHECK, SEND_DELIVERED);
    expire();
    assert_int_equal(stats_of(rig.node).guarded, count);
}

/* Responds with the leases from this one on. */
static void respond_from(struct message *check, size_t from, struct wire_record response)
{
    for (size_t i = from; i < check->count; i++) {
        response.instance = check->items[i].instance;
        replicator_on_record(rig.replicator, check, &response, rig_now());
    }
    finish_message(check, SEND_DELIVERED);
}

static void renewals_that_a_peer_knows_end_the_guard(void **state)
{
    (void)state;
    let_guard(MANY);
    struct message *check = expect(0, MESSAGE_LEASE_CHECK);
    assert_int_equal(check->count, MANY);
    respond_from(check, 10, (struct wire_record){.age_ms = 5000});
    assert_int_equal(stats_of(rig.node).guarded, 10);
    assert_true(replicator_stats_now().refuted == MANY - 10);
    pass_ms(RECHECK_MS);
    expire();
    assert_int_equal(stats_of(rig.node).engaged_services, 0);
}

static void guarded_lease_that_no_peer_knows_stays_guarded(void **state)
{
    (void)state;
    let_guard(MANY);
    struct replicator_stats before = replicator_stats_now();
    for (unsigned i = 0; i < 3; i++) {
        finish(0, MESSAGE_LEASE_CHECK, i == 1 ? SEND_RETRYABLE : SEND_DELIVERED);
        pass_ms(RECHECK_MS);
        expire();
        assert_int_equal(stats_of(rig.node).guarded, MANY);
        assert_int_equal(stats_of(rig.node).engaged_services, 1);
    }
    assert_true(replicator_stats_now().confirmed == before.confirmed);
    assert_true(replicator_stats_now().lease_checks == before.lease_checks);
}

/* The guard of this node ends while it asks. Then the guard of the peer keeps the lease. */
static void response_of_an_earlier_check_evicts_nothing(void **state)
{
    (void)state;
    let_guard(MANY);
    pass_ms(RECHECK_MS - 2 * TICK_MS);
    struct message *check = expect(0, MESSAGE_LEASE_CHECK);
    renew_many(rig.node, "s", KEPT, MANY, rig_now()); /* enough for this node, not for the peer */
    renew_many(rig.node, "s", 0, KEPT - 5, rig_now());
    for (unsigned i = 0; i < 3; i++)
        expire();
    assert_int_equal(stats_of(rig.node).engaged_services, 0);
    respond_from(check, MANY, (struct wire_record){0});
    expire();
    assert_int_equal(shown(rig.node, "s"), MANY);
    assert_int_equal(stats_of(rig.node).guarded, 5);
    respond_from(expect(0, MESSAGE_LEASE_CHECK), 0,
                 (struct wire_record){.age_ms = TTL_MS + RECHECK_MS, .is_guarded = true});
    expire();
    assert_int_equal(shown(rig.node, "s"), MANY);
}

/* 12 of "i12". */
static unsigned number_of(struct slice id)
{
    unsigned number = 0;
    for (size_t i = 1; i < id.size; i++)
        number = number * 10 + (unsigned)(id.data[i] - '0');
    return number;
}

static void guarded_leases_are_asked_about_in_parts_and_in_turn(void **state)
{
    (void)state;
    let_guard(2 * PART + 10);
    bool was_asked[2 * PART + 10] = {false};
    for (unsigned part = 0; part < 3; part++) {
        struct message *check = expect(0, MESSAGE_LEASE_CHECK);
        assert_true(check->count == PART || part == 2);
        for (size_t i = 0; i < check->count; i++) {
            unsigned number = number_of(instance_text(check->items[i].instance, FIELD_INSTANCE));
            assert_false(was_asked[number]);
            was_asked[number] = true;
        }
        finish_message(check, SEND_DELIVERED);
        assert_null(sent(0, MESSAGE_LEASE_CHECK)); /* not at once */
        pass_ms(NEXT_MS);
        expire();
    }
    for (unsigned i = 0; i < 2 * PART + 10; i++)
        assert_true(was_asked[i]);
}

/* A lease whose time runs out does not wait for the check of guarded ones. */
static void guarded_leases_delay_no_other_check(void **state)
{
    (void)state;
    let_guard(MANY);
    assert_int_equal(expect(0, MESSAGE_LEASE_CHECK)->count, MANY);
    put(rig.node, "t", "late", at_ms(rig.now_ms - TTL_MS));
    expire();
    pump();
    assert_int_equal(in_flight(0, MESSAGE_LEASE_CHECK), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(renewals_that_a_peer_knows_end_the_guard),
        TEST(guarded_lease_that_no_peer_knows_stays_guarded),
        TEST(response_of_an_earlier_check_evicts_nothing),
        TEST(guarded_leases_are_asked_about_in_parts_and_in_turn),
        TEST(guarded_leases_delay_no_other_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
