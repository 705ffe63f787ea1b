/* SPDX-License-Identifier: Apache-2.0
 *
 * What storage keeps beside the records: the bounds of stamps and revisions, the time of the last
 * commit, and which records a peer holds too.
 */
#include "artemis-core/model/stamp.h"
#include "artemis-server/clock.h"
#include "tests/unit/artemis-server/storage/storage_fixture.h"

static void set_number(struct node *node, enum database_number which, uint64_t value)
{
    assert_int_equal(database_begin(node->writer.database), ERR_NONE);
    assert_int_equal(database_set_number(node->writer.database, which, value), ERR_NONE);
    assert_int_equal(database_commit(node->writer.database), ERR_NONE);
}

static void a_node_that_restarts_often_does_not_make_leases_younger(void **state)
{
    (void)state;
    struct node node = start_writer(at_ms(0));
    put(node.registry, "s", "i", at_ms(0));
    assert_int_equal(commit(&node, 0), ERR_NONE);
    stop_writer(&node);
    uint64_t hour_ms = 3600000;
    for (int i = 0; i < 3; i++) {
        struct storage_status status;
        struct moment now = at_ms(hour_ms + (uint64_t)i * 1000);
        struct node next = start(now);
        storage_status(next.storage, &status);
        assert_int_equal(status.away_ms, hour_ms + (uint64_t)i * 1000);
        stop(&next);
    }
}

/* It is not known how long the node was away: as if it was longer than any lease. */
static void a_wall_clock_that_went_back_is_noticed(void **state)
{
    (void)state;
    for (uint64_t ms = 999; ms <= 1000; ms++) {
        struct node node = start_writer(at_ms(0));
        put(node.registry, "s", "i", at_ms(0));
        assert_int_equal(commit(&node, 0), ERR_NONE);
        set_number(&node, NUMBER_SAVED_MS, START_WALL_MS + 1000);
        stop_writer(&node);
        struct storage_status status;
        struct node next = start(at_ms(ms));
        storage_status(next.storage, &status);
        assert_int_equal(status.is_away_known, ms == 1000);
        assert_int_equal(status.away_ms, 0);
        assert_int_equal(stats_of(next.registry).loaded, 1);
        registry_expire(next.registry, at_ms(ms + TTL_MS - TICK_MS));
        assert_int_equal(shown(next.registry, "s"), 1); /* alone, it serves it for one ttl */
        stop(&next);
    }
}

/* A process that crashes soon may have issued stamps, which the next one must not issue again. */
static void bounds_are_ahead_when_the_start_returns(void **state)
{
    (void)state;
    struct storage_status status;
    struct node node = start(at_ms(0));
    assert_int_equal(storage_start(node.storage), ERR_NONE);
    storage_status(node.storage, &status);
    assert_true(status.commits > 0);
    stop(&node);
}

/* A peer has higher stamps: those of this node continue above them. */
static void bounds_stay_ahead_of_the_stamps_of_peers(void **state)
{
    (void)state;
    struct node node = start_writer(at_ms(0));
    put(node.registry, "s", "i", at_ms(0));
    assert_int_equal(commit(&node, 0), ERR_NONE);
    uint64_t far_ms = hlc_to_ms(registry_highest_hlc(node.registry, at_ms(0))) + BOUND_AHEAD_MS;
    registry_observe_hlc(node.registry, hlc_after(0, far_ms), at_ms(1));
    assert_int_equal(commit(&node, 200), ERR_NONE);
    uint64_t highest = registry_highest_hlc(node.registry, at_ms(200));
    assert_int_equal(node.writer.commits, 2);
    assert_int_equal(commit(&node, 400), ERR_NONE);
    assert_int_equal(node.writer.commits, 2);
    stop_writer(&node);
    struct node next = start(at_ms(2000));
    assert_true(storage_bounds(next.storage).hlc > highest);
    stop(&next);
}

/* Nothing is issued after the last commit, so the next process does not begin ahead of it. */
static void bounds_are_exact_after_a_shutdown(void **state)
{
    (void)state;
    struct node node = start_writer(at_ms(0));
    put(node.registry, "s", "i", at_ms(0));
    uint64_t highest = registry_highest_hlc(node.registry, at_ms(1000));
    uint64_t revision = registry_revision(node.registry);
    assert_int_equal(storage_writer_commit(&node.writer, at_ms(1000), true), ERR_NONE);
    stop_writer(&node);
    struct node next = start(at_ms(2000));
    struct storage_bounds bounds = storage_bounds(next.storage);
    assert_true(bounds.hlc == highest && bounds.revision == revision);
    put(next.registry, "s", "new", at_ms(2000));
    assert_true(registry_highest_hlc(next.registry, at_ms(2000)) > highest);
    assert_true(registry_revision(next.registry) > revision);
    stop(&next);
}

static void shared_records_are_stored_and_loaded(void **state)
{
    (void)state;
    struct node node = start_writer(at_ms(0));
    /* Since the comparison, an old record of another node has arrived. */
    const struct shared_records shared = {.epoch = UINT64_MAX - 5,
                                          .hlc = (START_WALL_MS - 90000) << 16,
                                          .compared_ms = at_ms(0).mono_ms - 7000};
    put(node.registry, "s", "i", at_ms(0));
    registry_set_shared(node.registry, shared);
    assert_int_equal(commit(&node, 0), ERR_NONE);
    stop_writer(&node);
    struct node next = start(at_ms(1000));
    struct storage_bounds bounds = storage_bounds(next.storage);
    assert_true(bounds.shared.epoch == shared.epoch && bounds.shared.hlc == shared.hlc);
    assert_int_equal(bounds.shared_age_ms, 7000);
    assert_true(registry_shared(next.registry).epoch == shared.epoch);
    assert_true(registry_shared(next.registry).compared_ms == at_ms(1000).mono_ms - 7000);
    stop(&next);
}

/* SQLite has no checksums. Peers would refuse all later changes of a node that follows such a
 * bound. */
static void bounds_in_the_far_future_are_ignored(void **state)
{
    (void)state;
    struct node node = start_writer(at_ms(0));
    put(node.registry, "s", "i", at_ms(0));
    assert_int_equal(commit(&node, 0), ERR_NONE);
    set_number(&node, NUMBER_HLC_BOUND, HLC_MAX - 1);
    set_number(&node, NUMBER_REVISION_BOUND, (uint64_t)1 << 62);
    stop_writer(&node);
    struct node next = start(at_ms(1000));
    struct storage_bounds bounds = storage_bounds(next.storage);
    assert_true(bounds.hlc == 0 && bounds.revision == 0);
    assert_true(bounds.saved_ms != 0);
    assert_int_equal(shown(next.registry, "s"), 1);
    stop(&next);
}

static size_t tombstones_at(struct registry *registry, struct moment start, uint64_t after_ms)
{
    registry_cleanup(registry, (struct moment){start.mono_ms + after_ms, start.wall_ms + after_ms});
    return stats_of(registry).tombstones;
}

/* Loads a tombstone that is half of its retention old, at this time. */
static void check_other_half(struct moment now)
{
    enum { HALF_MS = TOMBSTONE_MS / 2, MARGIN_MS = 1000 };
    struct node next = start(now);
    assert_int_equal(tombstones_at(next.registry, now, HALF_MS - MARGIN_MS), 1);
    assert_int_equal(tombstones_at(next.registry, now, HALF_MS + MARGIN_MS), 0);
    stop(&next);
}

/* Neither the time away nor a clock that is set ends it early, while the node runs or after. */
static void a_tombstone_ages_only_while_its_node_runs(void **state)
{
    (void)state;
    const uint64_t day_ms = 86400000;
    struct node node = start_writer(at_ms(0));
    put(node.registry, "s", "gone", at_ms(0));
    take_out(node.registry, "s", "gone", at_ms(0));
    assert_int_equal(commit(&node, 0), ERR_NONE);
    struct moment later = at_ms(TOMBSTONE_MS / 2);
    later.wall_ms += day_ms;
    assert_int_equal(storage_writer_commit(&node.writer, later, false), ERR_NONE);
    stop_writer(&node);
    check_other_half((struct moment){START_MONO_MS + 1000, START_WALL_MS - day_ms});
    check_other_half((struct moment){START_MONO_MS + 1000, START_WALL_MS + 9 * day_ms});
}

/* It counted the age of tombstones by the wall clock. */
static void the_file_of_an_earlier_version_is_loaded(void **state)
{
    (void)state;
    struct node node = start_writer(at_ms(0));
    node.writer.retention_base_ms = START_WALL_MS - START_MONO_MS;
    put(node.registry, "s", "gone", at_ms(0));
    take_out(node.registry, "s", "gone", at_ms(0));
    assert_int_equal(commit(&node, 0), ERR_NONE);
    assert_int_equal(commit(&node, TOMBSTONE_MS / 2), ERR_NONE);
    set_number(&node, NUMBER_RETENTION_MS, 0);
    stop_writer(&node);
    check_other_half(at_ms(TOMBSTONE_MS));
}

/* A process that ends while its threads run may issue stamps after the last commit. */
static void bounds_stay_ahead_of_threads_that_still_run(void **state)
{
    (void)state;
    struct node node = start(clock_now());
    assert_int_equal(storage_start(node.storage), ERR_NONE);
    put(node.registry, "s", "i", clock_now());
    storage_stop(node.storage, false);
    put(node.registry, "s", "late", clock_now());
    uint64_t highest = registry_highest_hlc(node.registry, clock_now());
    uint64_t revision = registry_revision(node.registry);
    stop(&node);
    struct node next = start(clock_now());
    assert_true(storage_bounds(next.storage).hlc > highest);
    assert_true(storage_bounds(next.storage).revision > revision);
    assert_int_equal(shown(next.registry, "s"), 1);
    stop(&next);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    failing_vfs_install();
    const struct CMUnitTest tests[] = {
        TEST(a_node_that_restarts_often_does_not_make_leases_younger),
        TEST(a_wall_clock_that_went_back_is_noticed),
        TEST(bounds_are_ahead_when_the_start_returns),
        TEST(bounds_stay_ahead_of_the_stamps_of_peers),
        TEST(bounds_are_exact_after_a_shutdown),
        TEST(bounds_stay_ahead_of_threads_that_still_run),
        TEST(a_tombstone_ages_only_while_its_node_runs),
        TEST(the_file_of_an_earlier_version_is_loaded),
        TEST(shared_records_are_stored_and_loaded),
        TEST(bounds_in_the_far_future_are_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
