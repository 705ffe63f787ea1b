/* SPDX-License-Identifier: Apache-2.0
 *
 * What the registry lists for storage, and how it takes loaded records.
 */
#include "artemis-server/registry/registry_storage.h"

#include "artemis-core/model/stamp.h"
#include "tests/unit/artemis-server/registry/registry_fixture.h"

enum { TOMBSTONE_MS = 600000, LIST_MAX = 64 };

static struct registry *make_storing(struct registry_options options)
{
    options.storing = true;
    options.tombstone_ms = TOMBSTONE_MS;
    options.node_id = "here";
    return make_registry_with(options);
}

/* The ids of the drained states, sorted by the order of the list; tombstones with a minus. */
static void check_stored(struct registry *registry, size_t changed, size_t deleted)
{
    struct record_copy states[LIST_MAX];
    size_t count = registry_drain_stored(registry, states, LIST_MAX);
    size_t tombstones = 0;
    for (size_t i = 0; i < count; i++) {
        tombstones += states[i].deleted;
        assert_int_not_equal(states[i].hlc, 0);
        record_copy_unref(&states[i]);
    }
    assert_int_equal(tombstones, deleted);
    assert_int_equal(count - tombstones, changed);
    assert_int_equal(registry_drain_stored(registry, states, LIST_MAX), 0);
}

static void check_removed(struct registry *registry, size_t expected)
{
    struct instance *removed[LIST_MAX];
    bool overflowed = false;
    size_t count = registry_drain_removed(registry, removed, LIST_MAX, &overflowed);
    for (size_t i = 0; i < count; i++)
        instance_unref(removed[i]);
    assert_int_equal(count, expected);
    assert_false(overflowed);
}

static void changes_are_listed_and_renewals_are_not(void **state)
{
    (void)state;
    struct registry *registry = make_storing(usual_options());
    put_many(registry, "s", 0, 3, at_ms(0));
    assert_int_equal(registry_unstored(registry), 3);
    check_stored(registry, 3, 0);
    put(registry, "s", "i0", at_ms(1)); /* the same content */
    assert_int_equal(renew(registry, "s", "i1", at_ms(1)), ERR_NONE);
    check_stored(registry, 0, 0);
    put_as(registry, (struct brief){.service = "s", .id = "i0", .port = 81}, at_ms(2));
    take_out(registry, "s", "i1", at_ms(2));
    take_out(registry, "s", "unknown", at_ms(2));
    check_stored(registry, 1, 2);
    take_out(registry, "s", "i1", at_ms(3)); /* the tombstone gets a new stamp */
    check_stored(registry, 0, 1);
    check_removed(registry, 0);
    registry_validate(registry);
    registry_free(registry);
}

static void removed_keys_are_listed(void **state)
{
    (void)state;
    struct registry *registry = make_storing(usual_options());
    put_many(registry, "s", 0, 3, at_ms(0));
    take_out(registry, "s", "i0", at_ms(0));
    registry_expire(registry, at_ms(TTL_MS + 2 * TICK_MS)); /* evicts i1 and i2 */
    check_removed(registry, 2);
    registry_cleanup(registry, at_ms(TOMBSTONE_MS + TTL_MS));
    check_removed(registry, 1);
    check_stored(registry, 0, 0); /* their numbers are stale */
    registry_free(registry);
}

static void a_registry_without_storage_lists_nothing(void **state)
{
    (void)state;
    struct registry *registry = make_registry();
    put_many(registry, "s", 0, 3, at_ms(0));
    registry_expire(registry, at_ms(TTL_MS + 2 * TICK_MS));
    assert_int_equal(registry_unstored(registry), 0);
    check_removed(registry, 0);
    registry_free(registry);
}

static void too_many_removed_keys_are_reported(void **state)
{
    (void)state;
    enum { COUNT = REMOVED_KEYS_MAX + 10 }; /* one service: one shard */
    struct registry_options options = usual_options();
    options.guard_percent = 0;
    struct registry *registry = make_storing(options);
    put_many(registry, "s", 0, COUNT, at_ms(0));
    registry_expire(registry, at_ms(TTL_MS + 2 * TICK_MS));
    size_t keys = 0;
    size_t count;
    bool overflowed = false;
    struct instance *removed[LIST_MAX];
    while ((count = registry_drain_removed(registry, removed, LIST_MAX, &overflowed)))
        for (keys += count; count;)
            instance_unref(removed[--count]);
    assert_int_equal(keys, REMOVED_KEYS_MAX);
    assert_true(overflowed);
    registry_free(registry);
}

/* --- loading ---------------------------------------------------------------------------------- */

static void load(struct registry *registry, const char *id, uint64_t age_ms, struct moment now)
{
    struct instance *instance = make_instance((struct brief){.service = "s", .id = id});
    struct wire_record record = {
        .instance = instance,
        .stamp = {hlc_after(0, START_WALL_MS - 1000), SLICE("there")},
        .age_ms = age_ms,
    };
    assert_int_equal(registry_load(registry, &record, now), ERR_NONE);
    instance_unref(instance);
}

static void load_tombstone(struct registry *registry, const char *id, uint64_t age_ms)
{
    struct instance_key key = make_key("s", id);
    struct wire_record record = {
        .key = &key,
        .stamp = {hlc_after(0, START_WALL_MS - 1000), SLICE("there")},
        .age_ms = age_ms,
        .deleted = true,
    };
    assert_int_equal(registry_load(registry, &record, at_ms(0)), ERR_NONE);
}

static void a_loaded_instance_is_served_for_one_ttl(void **state)
{
    (void)state;
    struct registry *registry = make_storing(usual_options());
    uint64_t revision = registry_revision(registry);
    load(registry, "old", 3600000, at_ms(0));
    load(registry, "renewed", 3600000, at_ms(0));
    assert_int_equal(shown(registry, "s"), 2);
    assert_int_equal(stats_of(registry).loaded, 2);
    assert_int_equal(stats_of(registry).guarded, 0);
    assert_int_equal(registry_revision(registry), revision); /* no change */
    assert_int_equal(revision_of(registry, "s"), revision);
    check_stored(registry, 0, 0);
    registry_validate(registry);
    registry_expire(registry, at_ms(TTL_MS - TICK_MS));
    assert_int_equal(renew(registry, "s", "renewed", at_ms(TTL_MS - TICK_MS)), ERR_NONE);
    assert_int_equal(shown(registry, "s"), 2);
    registry_expire(registry, at_ms(TTL_MS + 2 * TICK_MS));
    assert_int_equal(shown(registry, "s"), 1);
    assert_true(is_shown(registry, "s", "renewed"));
    check_removed(registry, 1);
    registry_validate(registry);
    registry_free(registry);
}

static void a_guard_keeps_loaded_instances(void **state)
{
    (void)state;
    struct registry *registry = make_storing(usual_options());
    for (int i = 0; i < 60; i++) {
        char id[16];
        snprintf(id, sizeof(id), "i%d", i);
        load(registry, id, 1000, at_ms(0));
    }
    registry_expire(registry, at_ms(TTL_MS + 2 * TICK_MS));
    assert_int_equal(shown(registry, "s"), 60);
    registry_expire(registry, at_ms(TTL_MS + GUARD_MAX_MS + 2 * RECHECK_MS));
    assert_int_equal(shown(registry, "s"), 0);
    registry_free(registry);
}

/* No client had the time to renew yet. */
static void loaded_leases_are_no_missing_renewals(void **state)
{
    (void)state;
    enum { COUNT = 100, DEAD = 10 };
    struct registry *registry = make_storing(usual_options());
    for (int i = 0; i < COUNT; i++) {
        char id[16];
        snprintf(id, sizeof(id), "i%d", i);
        load(registry, id, 3600000, at_ms(0));
    }
    for (uint64_t ms = TICK_MS; ms < TTL_MS; ms += TICK_MS) {
        registry_tick(registry, at_ms(ms));
        struct registry_stats stats = stats_of(registry);
        assert_int_equal(stats.node_guard.state, GUARD_OFF);
        assert_int_equal(stats.engaged_services, 0);
        assert_int_equal(stats.loaded, ms < TTL_MS / 2 ? COUNT : DEAD);
        if (ms == TTL_MS / 2 - TICK_MS)
            assert_int_equal(renew_many(registry, "s", DEAD, COUNT, at_ms(ms)), COUNT - DEAD);
    }
    registry_validate(registry);
    registry_tick(registry, at_ms(TTL_MS + 2 * TICK_MS));
    assert_int_equal(shown(registry, "s"), COUNT - DEAD);
    assert_int_equal(stats_of(registry).node_guard.state, GUARD_OFF);
    registry_validate(registry);
    registry_free(registry);
}

/* With peers, a loaded lease is asked about like any other when its time runs out. */
static void a_loaded_lease_is_checked_with_the_peers(void **state)
{
    (void)state;
    struct registry *registry = make_storing(usual_options());
    registry_set_replicating(registry, true);
    load(registry, "i", 3600000, at_ms(0));
    registry_expire(registry, at_ms(TTL_MS - TICK_MS));
    struct record_copy checked;
    struct moment end = at_ms(TTL_MS + TICK_MS);
    assert_int_equal(registry_drain_lease_checks(registry, &checked, 1, end), 0);
    registry_expire(registry, end);
    assert_int_equal(registry_drain_lease_checks(registry, &checked, 1, end), 1);
    assert_int_equal(shown(registry, "s"), 1);
    assert_int_equal(stats_of(registry).loaded, 0);
    registry_confirm_expiry(registry, instance_packed_key(checked.instance),
                            at_ms(TTL_MS + 2 * TICK_MS));
    record_copy_unref(&checked);
    registry_expire(registry, at_ms(TTL_MS + 4 * TICK_MS));
    assert_int_equal(shown(registry, "s"), 0);
    registry_free(registry);
}

/* It does not shorten the time that the clients have. */
static void a_release_of_the_guard_keeps_loaded_leases(void **state)
{
    (void)state;
    struct registry *registry = make_storing(usual_options());
    load(registry, "i", 3600000, at_ms(0));
    registry_expire(registry, at_ms(TICK_MS));
    assert_int_equal(registry_release_guard(registry, (struct slice){0}, at_ms(TICK_MS)), ERR_NONE);
    registry_expire(registry, at_ms(TTL_MS - TICK_MS));
    assert_int_equal(shown(registry, "s"), 1);
    registry_free(registry);
}

static void loaded_tombstones_end_when_they_would_have(void **state)
{
    (void)state;
    struct registry *registry = make_storing(usual_options());
    load_tombstone(registry, "ended", TOMBSTONE_MS + 1);
    load_tombstone(registry, "young", 1000);
    assert_int_equal(stats_of(registry).tombstones, 2);
    registry_cleanup(registry, at_ms(20));
    assert_int_equal(stats_of(registry).tombstones, 1);
    check_removed(registry, 1);
    registry_cleanup(registry, at_ms(TOMBSTONE_MS - 999));
    assert_int_equal(stats_of(registry).tombstones, 0);
    registry_free(registry);
}

static void loaded_leases_can_be_evicted(void **state)
{
    (void)state;
    struct registry *registry = make_storing(usual_options());
    load(registry, "gone", 3600000, at_ms(0));
    load(registry, "renewed", 3600000, at_ms(0));
    put(registry, "s", "new", at_ms(1));
    assert_int_equal(renew(registry, "s", "renewed", at_ms(1)), ERR_NONE);
    assert_int_equal(registry_evict_loaded(registry, UINT64_MAX, at_ms(2)), 1);
    assert_false(is_shown(registry, "s", "gone"));
    assert_int_equal(shown(registry, "s"), 2);
    check_removed(registry, 1);
    registry_validate(registry);
    registry_free(registry);
}

/* A later registration may be known to this node alone. */
static void loaded_instances_with_later_stamps_are_kept(void **state)
{
    (void)state;
    struct registry *registry = make_storing(usual_options());
    load(registry, "i", 1000, at_ms(0));
    uint64_t hlc = hlc_after(0, START_WALL_MS - 1000);
    assert_int_equal(registry_evict_loaded(registry, hlc - 1, at_ms(2)), 0);
    assert_true(is_shown(registry, "s", "i"));
    assert_int_equal(registry_evict_loaded(registry, hlc, at_ms(2)), 1);
    registry_free(registry);
}

/* What a peer sends about an instance that was loaded. */
struct peer_lease {
    uint64_t age_ms;
    bool is_guarded, is_confirming;
};

static void apply_lease(struct registry *registry, const char *id, struct peer_lease lease,
                        struct moment now)
{
    struct instance *instance = make_instance((struct brief){.service = "s", .id = id});
    struct wire_record record = {
        .instance = instance,
        .stamp = {hlc_after(0, START_WALL_MS - 1000), SLICE("there")},
        .age_ms = lease.age_ms,
        .is_guarded = lease.is_guarded,
        .is_confirming = lease.is_confirming,
    };
    assert_int_equal(registry_apply(registry, &record, now), ERR_NONE);
    instance_unref(instance);
}

/* The node was away for a moment, and the peer knows an earlier renewal than this node assumes. */
static void a_loaded_lease_gets_the_deadline_of_a_peer(void **state)
{
    (void)state;
    struct registry *registry = make_storing(usual_options());
    load(registry, "i", 1000, at_ms(0));
    apply_lease(registry, "i", (struct peer_lease){.age_ms = 20000}, at_ms(100));
    assert_int_equal(registry_evict_loaded(registry, UINT64_MAX, at_ms(200)), 0);
    assert_int_equal(stats_of(registry).loaded, 0);
    registry_expire(registry, at_ms(100 + TTL_MS - 20000 - TICK_MS));
    assert_true(is_shown(registry, "s", "i"));
    registry_expire(registry, at_ms(100 + TTL_MS - 20000 + 2 * TICK_MS));
    assert_false(is_shown(registry, "s", "i"));
    registry_validate(registry);
    registry_free(registry);
}

static void a_renewal_of_a_peer_confirms_a_loaded_instance(void **state)
{
    (void)state;
    struct registry *registry = make_storing(usual_options());
    load(registry, "i", 1000, at_ms(0));
    struct instance_key key = make_key("s", "i");
    struct wire_record record = {
        .key = &key,
        .stamp = {hlc_after(0, START_WALL_MS - 1000), SLICE("there")},
        .age_ms = 20000,
    };
    assert_int_equal(registry_apply_renewal(registry, &record, at_ms(100)), ERR_NONE);
    assert_int_equal(registry_evict_loaded(registry, UINT64_MAX, at_ms(200)), 0);
    assert_true(is_shown(registry, "s", "i"));
    registry_free(registry);
}

/* The deadline that the peer knows is the one by which loaded leases are recognised. */
static void a_loaded_lease_with_the_same_deadline_is_confirmed(void **state)
{
    (void)state;
    struct registry *registry = make_storing(usual_options());
    load(registry, "i", 1000, at_ms(0));
    apply_lease(registry, "i", (struct peer_lease){.age_ms = 1100}, at_ms(100));
    assert_int_equal(registry_evict_loaded(registry, UINT64_MAX, at_ms(200)), 0);
    registry_free(registry);
}

/* The lease has ended at the peer, which still serves the instance. */
static void a_loaded_instance_that_a_peer_confirms_is_confirmed_here(void **state)
{
    (void)state;
    for (uint64_t away_ms = 1000; away_ms <= 3600000; away_ms += 3599000) {
        struct registry *registry = make_storing(usual_options());
        struct record_copy checked;
        registry_set_replicating(registry, true);
        load(registry, "i", away_ms, at_ms(0));
        apply_lease(registry, "i",
                    (struct peer_lease){.age_ms = TTL_MS + 500, .is_confirming = true}, at_ms(100));
        assert_int_equal(registry_evict_loaded(registry, UINT64_MAX, at_ms(200)), 0);
        assert_true(is_shown(registry, "s", "i"));
        registry_expire(registry, at_ms(200));
        assert_int_equal(registry_drain_lease_checks(registry, &checked, 1, at_ms(200)), 1);
        record_copy_unref(&checked);
        registry_validate(registry);
        registry_free(registry);
    }
}

/* Its lease ends at the same moment by chance. */
static void an_instance_of_a_peer_is_no_loaded_one(void **state)
{
    (void)state;
    struct registry *registry = make_storing(usual_options());
    load(registry, "gone", 1000, at_ms(0));
    load(registry, "renewed", 1000, at_ms(0));
    apply_lease(registry, "new", (struct peer_lease){.age_ms = 1100}, at_ms(100));
    apply_lease(registry, "renewed", (struct peer_lease){.age_ms = 1100}, at_ms(100));
    assert_int_equal(registry_evict_loaded(registry, UINT64_MAX, at_ms(200)), 1);
    assert_false(is_shown(registry, "s", "gone"));
    assert_int_equal(shown(registry, "s"), 2);
    registry_free(registry);
}

/* A guard keeps it there, or the peer has loaded it, too: when it ends is not known. */
static void a_loaded_instance_that_a_peer_guards_stays_loaded(void **state)
{
    (void)state;
    struct registry *registry = make_storing(usual_options());
    load(registry, "i", 3600000, at_ms(0));
    apply_lease(registry, "i", (struct peer_lease){.age_ms = TTL_MS + 500, .is_guarded = true},
                at_ms(100));
    assert_int_equal(registry_evict_loaded(registry, UINT64_MAX, at_ms(200)), 0);
    assert_int_equal(stats_of(registry).loaded, 1);
    registry_free(registry);
}

/* Whether a ready peer holds them too is not known yet. */
static void loaded_instances_have_ended_for_peers_until_they_are_shared(void **state)
{
    (void)state;
    struct registry *registry = make_storing(usual_options());
    load(registry, "i", 1000, at_ms(0));
    struct instance_key key = make_key("s", "i");
    for (int is_shared = 0; is_shared < 2; is_shared++) {
        struct record_copy copy;
        assert_true(registry_read_key(registry, instance_key_packed(&key), &copy));
        struct wire_record record = registry_wire_record(registry, &copy, at_ms(100));
        assert_int_equal(record.is_guarded, is_shared);
        assert_int_equal(record.age_ms >= TTL_MS, !is_shared);
        assert_false(record.is_confirming);
        record_copy_unref(&copy);
        registry_share_loaded(registry);
    }
    registry_free(registry);
}

static void loaded_instances_in_equal_buckets_are_kept(void **state)
{
    (void)state;
    struct registry *registry = make_storing(usual_options());
    struct bucket_set equal = {0};
    load(registry, "held", 3600000, at_ms(0));
    load(registry, "gone", 3600000, at_ms(0));
    struct instance_key key = make_key("s", "held");
    bucket_set_add(&equal, registry_bucket(instance_key_packed(&key)));
    registry_note_equal_buckets(registry, &equal);
    assert_int_equal(registry_evict_loaded(registry, UINT64_MAX, at_ms(2)), 1);
    assert_true(is_shown(registry, "s", "held"));
    registry_free(registry);
}

/* The wall clock was set back by a day before the start. */
static void stamps_and_revisions_stay_above_the_floors(void **state)
{
    (void)state;
    struct registry_options options = usual_options();
    options.hlc_floor = hlc_after(0, START_WALL_MS + 86400000);
    options.revision_floor = (START_WALL_MS + 86400000) * 1000;
    struct registry *registry = make_storing(options);
    assert_int_equal(registry_revision(registry), options.revision_floor);
    put(registry, "s", "i", at_ms(0));
    struct record_copy stored;
    assert_int_equal(registry_drain_stored(registry, &stored, 1), 1);
    assert_true(stored.hlc > options.hlc_floor);
    assert_true(registry_highest_hlc(registry, at_ms(0)) >= stored.hlc);
    assert_true(registry_revision(registry) > options.revision_floor);
    record_copy_unref(&stored);
    registry_free(registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_are_listed_and_renewals_are_not),
        cmocka_unit_test(removed_keys_are_listed),
        cmocka_unit_test(a_registry_without_storage_lists_nothing),
        cmocka_unit_test(too_many_removed_keys_are_reported),
        cmocka_unit_test(a_loaded_instance_is_served_for_one_ttl),
        cmocka_unit_test(a_guard_keeps_loaded_instances),
        cmocka_unit_test(loaded_leases_are_no_missing_renewals),
        cmocka_unit_test(a_loaded_lease_is_checked_with_the_peers),
        cmocka_unit_test(a_release_of_the_guard_keeps_loaded_leases),
        cmocka_unit_test(loaded_tombstones_end_when_they_would_have),
        cmocka_unit_test(loaded_leases_can_be_evicted),
        cmocka_unit_test(loaded_instances_with_later_stamps_are_kept),
        cmocka_unit_test(a_loaded_lease_gets_the_deadline_of_a_peer),
        cmocka_unit_test(a_renewal_of_a_peer_confirms_a_loaded_instance),
        cmocka_unit_test(a_loaded_lease_with_the_same_deadline_is_confirmed),
        cmocka_unit_test(a_loaded_instance_that_a_peer_confirms_is_confirmed_here),
        cmocka_unit_test(an_instance_of_a_peer_is_no_loaded_one),
        cmocka_unit_test(a_loaded_instance_that_a_peer_guards_stays_loaded),
        cmocka_unit_test(loaded_instances_have_ended_for_peers_until_they_are_shared),
        cmocka_unit_test(loaded_instances_in_equal_buckets_are_kept),
        cmocka_unit_test(stamps_and_revisions_stay_above_the_floors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
