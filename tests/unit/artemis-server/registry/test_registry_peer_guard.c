/* SPDX-License-Identifier: Apache-2.0
 *
 * Guarded leases are replicated state: what a node offers to its peers, what it takes over from
 * them, and how long it keeps a lease that the guard of a peer keeps. Service "big" has 100 leases
 * that end together, so its guard engages.
 */
#include "tests/unit/artemis-server/registry/peer_fixture.h"

enum { BIG = 100, ENDED_MS = TTL_MS + TICK_MS, STATES_MAX = 2 * BIG };

static struct registry *node; /* its guard engages */
static struct registry *peer;

static int set_up(void **state)
{
    (void)state;
    node = make_node("node");
    peer = make_node("peer");
    registry_set_replicating(peer, true);
    put_many(node, "big", 0, BIG, at_ms(0));
    registry_expire(node, at_ms(ENDED_MS));
    assert_int_equal(stats_of(node).guarded, BIG);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    registry_validate(node);
    registry_validate(peer);
    registry_free(node);
    registry_free(peer);
    return 0;
}

/* Copies all records of a node to another, as a snapshot does. Returns their number. */
static size_t copy_all(struct registry *from, struct registry *to, uint64_t ms)
{
    struct bucket_set all;
    struct record_copy *states = NULL;
    size_t count = 0;
    memset(&all, 0xff, sizeof(all));
    assert_int_equal(registry_list_buckets(from, &all, &states, &count), ERR_NONE);
    for (size_t i = 0; i < count; i++) {
        struct wire_record record = registry_wire_record(from, &states[i], at_ms(ms));
        assert_int_equal(registry_apply(to, &record, at_ms(ms)), ERR_NONE);
        record_copy_unref(&states[i]);
    }
    free(states);
    return count;
}

/* Answers the lease checks of `peer` with what `node` responds. Returns the number of leases that
 * were guarded for it. */
static size_t confirm_with_node(uint64_t ms)
{
    static struct record_copy states[STATES_MAX];
    size_t count = registry_drain_lease_checks(peer, states, STATES_MAX, at_ms(ms));
    size_t guarded = 0;
    for (size_t i = 0; i < count; i++) {
        struct wire_record record;
        struct slice key = instance_packed_key(states[i].instance);
        bool is_kept = respond_lease_check(node, key, at_ms(ms), &record) && record.is_guarded &&
                       registry_guard_for_peer(peer, key, at_ms(ms));
        guarded += is_kept;
        if (!is_kept)
            registry_confirm_expiry(peer, key, at_ms(ms));
        record_copy_unref(&states[i]);
    }
    return guarded;
}

/* A tick of the peer with the checks that it needs, and the tick in which leases are evicted. */
static void tick_peer(uint64_t ms)
{
    registry_expire(peer, at_ms(ms));
    confirm_with_node(ms);
    registry_expire(peer, at_ms(ms + TICK_MS));
    registry_validate(peer);
}

static void guarded_lease_is_offered_with_its_age(void **state)
{
    (void)state;
    struct wire_record record;
    struct instance_key key = make_key("big", "i7");
    struct slice packed = instance_key_packed(&key);
    assert_true(respond_lease_check(node, packed, at_ms(ENDED_MS + 500), &record));
    assert_true(record.is_guarded);
    assert_int_equal(record.age_ms, ENDED_MS + 500);
    assert_true(respond_lease_check(node, packed, at_ms(TTL_MS + GUARD_MAX_MS), &record));
    assert_false(record.is_guarded); /* its time has run out */
}

/* How many leases the lists for peers contain as guarded. */
static size_t count_offered(struct registry *registry, uint64_t ms)
{
    struct bucket_set all;
    struct record_copy *copies = NULL;
    size_t count = 0;
    size_t offered = 0;
    memset(&all, 0xff, sizeof(all));
    assert_int_equal(registry_list_buckets(registry, &all, &copies, &count), ERR_NONE);
    for (size_t i = 0; i < count; i++) {
        offered += registry_wire_record(registry, &copies[i], at_ms(ms)).is_guarded;
        record_copy_unref(&copies[i]);
    }
    free(copies);
    return offered;
}

/* Two leases are below the minimum of the peer's own guard. */
static void give_peer_two(uint64_t ms)
{
    for (unsigned i = 0; i < 2; i++) {
        struct record_copy held;
        struct instance_key key = make_key("big", i ? "i1" : "i0");
        assert_true(registry_read_key(node, instance_key_packed(&key), &held));
        struct wire_record record = registry_wire_record(node, &held, at_ms(ms));
        assert_int_equal(registry_apply(peer, &record, at_ms(ms)), ERR_NONE);
        record_copy_unref(&held);
    }
}

static void node_that_starts_takes_guarded_leases_over(void **state)
{
    (void)state;
    assert_int_equal(copy_all(node, peer, ENDED_MS), BIG);
    assert_int_equal(shown(peer, "big"), BIG);
    assert_true(same_digests(node, peer));
    assert_int_equal(stats_of(peer).guarded, BIG);
    registry_expire(peer, at_ms(ENDED_MS + TICK_MS));
    assert_int_equal(shown(peer, "big"), BIG);
    assert_int_equal(stats_of(peer).engaged_services, 1); /* its own guard keeps them */
    assert_int_equal(count_offered(peer, ENDED_MS + TICK_MS), BIG);
}

/* A node that starts takes what its only peer has just taken over itself. */
static void snapshot_offers_what_is_guarded_for_a_peer(void **state)
{
    (void)state;
    struct registry_cursor cursor = {0};
    char id[ID_BYTES_MAX];
    struct slice service;
    struct record_copy *copies;
    size_t count;
    give_peer_two(ENDED_MS);
    assert_int_equal(count_offered(peer, ENDED_MS), 0);
    assert_int_equal(registry_snapshot_next(peer, &cursor, id, &service, &copies, &count),
                     ERR_NONE);
    assert_int_equal(count, 2);
    for (size_t i = 0; i < count; i++) {
        assert_true(registry_wire_record(peer, &copies[i], at_ms(ENDED_MS)).is_guarded);
        record_copy_unref(&copies[i]);
    }
    free(copies);
}

static void lease_that_ended_and_is_not_kept_is_not_taken_over(void **state)
{
    (void)state;
    assert_int_equal(say_registered(peer, (struct word){.stamp = 5, .age_ms = TTL_MS}, at_ms(0)),
                     ERR_NONE);
    assert_false(is_registered(peer, "s", "a"));
}

static void confirming_lease_is_taken_over_for_a_short_time(void **state)
{
    (void)state;
    struct instance *instance = make_instance((struct brief){.service = "s", .id = "a"});
    struct word word = {.stamp = 5};
    struct wire_record record = {.instance = instance,
                                 .stamp = word_stamp(&word),
                                 .age_ms = TTL_MS + LEASE_CHECK_MAX_MS,
                                 .is_confirming = true};
    assert_int_equal(registry_apply(peer, &record, at_ms(ENDED_MS)), ERR_NONE);
    assert_false(is_registered(peer, "s", "a")); /* its check has ended long ago */
    record.age_ms--;
    assert_int_equal(registry_apply(peer, &record, at_ms(ENDED_MS)), ERR_NONE);
    assert_true(is_registered(peer, "s", "a"));
    tick_peer(ENDED_MS + TICK_MS); /* no node knows it */
    assert_false(is_registered(peer, "s", "a"));
    instance_unref(instance);
}

static void lease_is_kept_as_long_as_the_guard_of_the_peer_keeps_it(void **state)
{
    (void)state;
    give_peer_two(ENDED_MS);
    uint64_t ms = ENDED_MS + TICK_MS;
    for (unsigned i = 0; i < 5; i++, ms += RECHECK_MS + 2 * TICK_MS) {
        registry_expire(node, at_ms(ms));
        tick_peer(ms);
        assert_int_equal(shown(peer, "big"), 2);
        assert_int_equal(stats_of(peer).engaged_services, 0);
    }
    assert_int_equal(registry_release_guard(node, SLICE("big"), at_ms(ms)), ERR_NONE);
    registry_expire(node, at_ms(ms + TICK_MS));
    assert_int_equal(shown(node, "big"), 0);
    tick_peer(ms + 2 * TICK_MS);
    assert_int_equal(shown(peer, "big"), 0);
}

/* Two nodes do not keep a lease for each other: only a guard of one's own counts. */
static void lease_guarded_for_a_peer_is_not_offered(void **state)
{
    (void)state;
    struct record_copy held;
    struct wire_record record;
    struct instance_key key = make_key("big", "i0");
    give_peer_two(ENDED_MS);
    tick_peer(ENDED_MS + TICK_MS);
    assert_true(registry_read_key(peer, instance_key_packed(&key), &held));
    record = registry_wire_record(peer, &held, at_ms(ENDED_MS + 2 * TICK_MS));
    assert_false(record.is_guarded || record.is_confirming);
    record_copy_unref(&held);
    assert_true(respond_lease_check(peer, instance_key_packed(&key), at_ms(ENDED_MS + 2 * TICK_MS),
                                    &record));
    assert_false(record.is_guarded);
    assert_true(record.is_confirming);
}

static void renewal_ends_the_guard_of_a_peer(void **state)
{
    (void)state;
    give_peer_two(ENDED_MS);
    tick_peer(ENDED_MS + TICK_MS);
    assert_int_equal(stats_of(peer).guarded, 2);
    assert_int_equal(renew(peer, "big", "i0", at_ms(ENDED_MS + 2 * TICK_MS)), ERR_NONE);
    assert_int_equal(stats_of(peer).guarded, 1);
}

static void lease_ends_at_the_same_time_on_both_nodes(void **state)
{
    (void)state;
    const uint64_t end_ms = TTL_MS + GUARD_MAX_MS;
    registry_set_replicating(node, false);
    give_peer_two(ENDED_MS + 5000);
    for (uint64_t ms = ENDED_MS + 5000; ms < end_ms - 2 * TICK_MS; ms += RECHECK_MS / 2) {
        registry_expire(node, at_ms(ms));
        tick_peer(ms);
    }
    assert_int_equal(shown(node, "big"), BIG);
    assert_int_equal(shown(peer, "big"), 2);
    for (uint64_t ms = end_ms; ms < end_ms + RECHECK_MS + 4 * TICK_MS; ms += 2 * TICK_MS) {
        registry_expire(node, at_ms(ms));
        tick_peer(ms);
    }
    assert_int_equal(shown(node, "big"), 0);
    assert_int_equal(shown(peer, "big"), 0);
    assert_int_equal(stats_of(node).engaged_services, 0);
}

static void released_service_takes_no_guarded_lease_over(void **state)
{
    (void)state;
    copy_all(node, peer, ENDED_MS);
    tick_peer(ENDED_MS + TICK_MS);
    assert_int_equal(registry_release_guard(peer, SLICE("big"), at_ms(ENDED_MS + 100)), ERR_NONE);
    registry_expire(peer, at_ms(ENDED_MS + 100 + TICK_MS));
    assert_int_equal(shown(peer, "big"), 0);
    copy_all(node, peer, ENDED_MS + 200); /* anti-entropy */
    assert_int_equal(shown(peer, "big"), 0);
    copy_all(node, peer, ENDED_MS + 100 + TTL_MS); /* the release has ended */
    assert_int_equal(shown(peer, "big"), BIG);
}

static void release_has_an_effect_once_and_only_in_time(void **state)
{
    (void)state;
    const uint64_t end_ms = ENDED_MS + TTL_MS;
    uint64_t clock_ms = registry_clock_ms(node, at_ms(ENDED_MS));
    assert_false(registry_apply_release(node, SLICE("nowhere"), clock_ms, at_ms(ENDED_MS)));
    assert_false(registry_apply_release(node, SLICE("big"), clock_ms, at_ms(end_ms)));
    registry_expire(node, at_ms(end_ms - 50 - TICK_MS));
    assert_int_equal(shown(node, "big"), BIG);
    assert_true(registry_apply_release(node, SLICE("big"), clock_ms, at_ms(end_ms - 50)));
    assert_false(registry_apply_release(node, SLICE("big"), clock_ms + 10, at_ms(end_ms - 50)));
    registry_expire(node, at_ms(end_ms - 50 + TICK_MS));
    assert_int_equal(shown(node, "big"), 0);
    clock_ms = registry_clock_ms(node, at_ms(end_ms));
    assert_false(registry_apply_release(node, SLICE("big"), clock_ms, at_ms(end_ms)));
}

/* "late" ends 15 s after "big". */
enum { LATE_MS = 15000 };

/* A node that was down when the operator released the guards. */
static void late_release_spares_guards_that_engaged_since(void **state)
{
    (void)state;
    uint64_t clock_ms = registry_clock_ms(node, at_ms(ENDED_MS));
    put_many(node, "late", 0, BIG, at_ms(LATE_MS));
    registry_expire(node, at_ms(ENDED_MS + LATE_MS));
    assert_int_equal(stats_of(node).guarded, 2 * BIG);
    uint64_t ms = ENDED_MS + LATE_MS + TICK_MS;
    assert_false(registry_apply_release(node, SLICE("late"), clock_ms, at_ms(ms)));
    assert_true(registry_apply_release(node, (struct slice){0}, clock_ms, at_ms(ms)));
    registry_expire(node, at_ms(ms + TICK_MS));
    assert_int_equal(shown(node, "big"), 0);
    assert_int_equal(shown(node, "late"), BIG);
    clock_ms += LATE_MS;
    assert_true(registry_apply_release(node, (struct slice){0}, clock_ms, at_ms(ms)));
    registry_expire(node, at_ms(ms + 2 * TICK_MS));
    assert_int_equal(shown(node, "late"), 0);
}

/* A node that started after it: its guards engaged later, for the same leases. */
static void late_release_concerns_leases_that_had_ended(void **state)
{
    (void)state;
    uint64_t clock_ms = registry_clock_ms(node, at_ms(ENDED_MS));
    uint64_t ms = ENDED_MS + LATE_MS;
    copy_all(node, peer, ms);
    registry_expire(peer, at_ms(ms));
    assert_int_equal(stats_of(peer).engaged_services, 1);
    assert_true(registry_apply_release(peer, (struct slice){0}, clock_ms, at_ms(ms + TICK_MS)));
    assert_int_equal(stats_of(peer).node_guard.state, GUARD_RELEASED);
    registry_expire(peer, at_ms(ms + 2 * TICK_MS));
    assert_int_equal(shown(peer, "big"), 0);
}

/* The guard of the node, too: each service is too small for its own. */
static void late_release_spares_the_guard_of_the_node(void **state)
{
    (void)state;
    uint64_t clock_ms = registry_clock_ms(peer, at_ms(ENDED_MS));
    for (int i = 0; i < BIG; i++) {
        char service[16];
        snprintf(service, sizeof(service), "small-%d", i);
        put(peer, service, "i", at_ms(LATE_MS));
    }
    registry_set_replicating(peer, false);
    registry_expire(peer, at_ms(ENDED_MS + LATE_MS));
    assert_int_equal(stats_of(peer).guarded, BIG);
    uint64_t ms = ENDED_MS + LATE_MS + TICK_MS;
    assert_false(registry_apply_release(peer, (struct slice){0}, clock_ms, at_ms(ms)));
    assert_int_equal(stats_of(peer).node_guard.state, GUARD_ENGAGED);
    assert_true(registry_apply_release(peer, (struct slice){0}, clock_ms + LATE_MS, at_ms(ms)));
    assert_int_equal(stats_of(peer).node_guard.state, GUARD_RELEASED);
}

static void release_is_not_ahead_of_the_own_clock(void **state)
{
    (void)state;
    uint64_t clock_ms = registry_clock_ms(node, at_ms(ENDED_MS));
    assert_true(registry_release_clock_ms(node, clock_ms - 5, at_ms(ENDED_MS)) == clock_ms - 5);
    assert_true(registry_release_clock_ms(node, clock_ms + 5, at_ms(ENDED_MS)) == clock_ms);
    assert_true(registry_release_clock_ms(node, UINT64_MAX, at_ms(ENDED_MS)) == clock_ms);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(guarded_lease_is_offered_with_its_age),
        TEST(node_that_starts_takes_guarded_leases_over),
        TEST(snapshot_offers_what_is_guarded_for_a_peer),
        TEST(lease_that_ended_and_is_not_kept_is_not_taken_over),
        TEST(confirming_lease_is_taken_over_for_a_short_time),
        TEST(lease_is_kept_as_long_as_the_guard_of_the_peer_keeps_it),
        TEST(lease_guarded_for_a_peer_is_not_offered),
        TEST(renewal_ends_the_guard_of_a_peer),
        TEST(lease_ends_at_the_same_time_on_both_nodes),
        TEST(release_has_an_effect_once_and_only_in_time),
        TEST(release_is_not_ahead_of_the_own_clock),
        TEST(late_release_spares_guards_that_engaged_since),
        TEST(late_release_concerns_leases_that_had_ended),
        TEST(late_release_spares_the_guard_of_the_node),
        TEST(released_service_takes_no_guarded_lease_over),
    };
    return cmocka_run_group_tests_name("registry: guards of peers", tests, NULL, NULL);
}
