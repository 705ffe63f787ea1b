/* SPDX-License-Identifier: Apache-2.0
 *
 * Peers of another region: renewals at their own interval, smaller messages, more time for a lease
 * check, and the snapshot of a peer of the own region instead of theirs. Peer 0 is local, peer 1
 * is remote.
 */
#include "tests/unit/artemis-server/replication/replicator_fixture.h"

enum { REMOTE_MS = 1000, LOCAL = 0, REMOTE = 1 };

static void open_with_interval(uint64_t remote_batch_ms)
{
    struct replicator_options options = rig_options();
    options.remote_batch_ms = remote_batch_ms;
    rig_open_as(&options);
}

static int set_up(void **state)
{
    (void)state;
    open_with_interval(REMOTE_MS);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rig_close();
    return 0;
}

static struct health_response response_of(uint32_t peer)
{
    return (struct health_response){.is_ready = true, .is_remote = peer == REMOTE};
}

static void join_as(uint32_t peer)
{
    join(peer);
    respond_health(peer, response_of(peer));
    if (!replicator_is_ready(rig.replicator) && sent(peer, MESSAGE_SNAPSHOT))
        finish(peer, MESSAGE_SNAPSHOT, SEND_DELIVERED);
    if (sent(peer, MESSAGE_DIGEST))
        respond_same_digests(peer);
    pump();
}

/* Registers an instance, and renews it until the renewals of both peers have been sent. */
static void open_both(void)
{
    join_as(LOCAL);
    join_as(REMOTE);
    register_here("a", "1");
    finish(LOCAL, MESSAGE_REGISTER, SEND_DELIVERED);
    finish(REMOTE, MESSAGE_REGISTER, SEND_DELIVERED);
    pass_ms(REMOTE_MS);
    renew_here("a");
    finish(LOCAL, MESSAGE_RENEW, SEND_DELIVERED);
    finish(REMOTE, MESSAGE_RENEW, SEND_DELIVERED);
}

static void register_many(unsigned count)
{
    char id[16];
    for (unsigned i = 0; i < count; i++) {
        snprintf(id, sizeof(id), "i%u", i);
        register_here(id, "1");
    }
}

/* --- renewals --------------------------------------------------------------------------------- */

static void peer_of_another_region_is_remote(void **state)
{
    (void)state;
    open_both();
    assert_false(view_of(LOCAL).is_remote);
    assert_true(view_of(REMOTE).is_remote);
}

static void changes_leave_at_once(void **state)
{
    (void)state;
    open_both();
    register_here("b", "1");
    assert_non_null(sent(REMOTE, MESSAGE_REGISTER));
}

static void renewals_wait_for_the_remote_interval(void **state)
{
    (void)state;
    open_both();
    pass_ms(INTERVAL_MS);
    renew_here("a");
    assert_non_null(sent(LOCAL, MESSAGE_RENEW));
    assert_null(sent(REMOTE, MESSAGE_RENEW));
    pass_ms(REMOTE_MS - INTERVAL_MS - 1);
    assert_null(sent(REMOTE, MESSAGE_RENEW));
    assert_true(replicator_due_ms(rig.replicator, rig_now()) == rig_now().mono_ms + 1);
    pass_ms(1);
    assert_non_null(sent(REMOTE, MESSAGE_RENEW));
}

/* With a batch that is full, the others follow when the peer has responded. */
static void all_renewals_of_an_interval_are_sent(void **state)
{
    (void)state;
    const unsigned count = 3 * BATCH;
    unsigned renewals = 0;
    open_both();
    register_many(count);
    finish(REMOTE, MESSAGE_REGISTER, SEND_DELIVERED);
    pass_ms(REMOTE_MS);
    for (unsigned i = 0; i < count; i++) {
        char id[16];
        snprintf(id, sizeof(id), "i%u", i);
        renew_here(id);
    }
    while (sent(REMOTE, MESSAGE_RENEW)) {
        renewals += (unsigned)sent(REMOTE, MESSAGE_RENEW)->count;
        finish(REMOTE, MESSAGE_RENEW, SEND_DELIVERED);
    }
    assert_int_equal(renewals, count);
}

static void renewals_wait_for_a_share_of_the_ttl_at_most(void **state)
{
    (void)state;
    rig_close();
    open_with_interval(TTL_MS);
    join_as(REMOTE);
    register_here("a", "1");
    finish(REMOTE, MESSAGE_REGISTER, SEND_DELIVERED);
    pass_ms(TTL_MS / 6);
    renew_here("a");
    finish(REMOTE, MESSAGE_RENEW, SEND_DELIVERED);
    pass_ms(INTERVAL_MS);
    renew_here("a");
    pass_ms(TTL_MS / 6 - INTERVAL_MS - 1);
    assert_null(sent(REMOTE, MESSAGE_RENEW));
    pass_ms(1);
    assert_non_null(sent(REMOTE, MESSAGE_RENEW));
}

/* Their interval is over, but they cannot be sent before. */
static void renewals_wait_for_the_end_of_a_backoff(void **state)
{
    (void)state;
    open_both();
    pass_ms(REMOTE_MS);
    renew_here("a");
    finish(LOCAL, MESSAGE_RENEW, SEND_DELIVERED);
    pass_ms(REMOTE_MS);
    finish(REMOTE, MESSAGE_RENEW, SEND_RETRYABLE);
    assert_null(sent(REMOTE, MESSAGE_RENEW));
    assert_true(replicator_due_ms(rig.replicator, rig_now()) > rig_now().mono_ms + 1);
    pass_ms(500);
    assert_non_null(sent(REMOTE, MESSAGE_RENEW));
}

static void flush_sends_renewals_at_once(void **state)
{
    (void)state;
    open_both();
    renew_here("a");
    replicator_flush(rig.replicator);
    assert_non_null(sent(REMOTE, MESSAGE_RENEW));
}

static void peer_that_moves_to_the_region_is_local(void **state)
{
    (void)state;
    open_both();
    pass_ms(HEALTH_MS);
    respond_health(REMOTE, (struct health_response){.is_ready = true});
    pass_ms(INTERVAL_MS);
    renew_here("a");
    finish(REMOTE, MESSAGE_RENEW, SEND_DELIVERED);
    pass_ms(INTERVAL_MS);
    renew_here("a");
    assert_non_null(sent(REMOTE, MESSAGE_RENEW));
}

/* --- limits ----------------------------------------------------------------------------------- */

static void registrations_are_limited_by_their_size(void **state)
{
    (void)state;
    char id[16];
    char machine[200] = "";
    memset(machine, 'm', sizeof(machine) - 1);
    open_both();
    for (unsigned i = 0; i < 2 * REMOTE_BYTES_MAX / sizeof(machine); i++) {
        snprintf(id, sizeof(id), "i%u", i);
        register_here(id, machine);
    }
    const struct message *local = expect(LOCAL, MESSAGE_REGISTER);
    const struct message *remote = expect(REMOTE, MESSAGE_REGISTER);
    size_t bytes = 0;
    for (size_t i = 0; i < remote->count; i++)
        bytes += instance_size(remote->items[i].instance);
    assert_true(bytes <= REMOTE_BYTES_MAX);
    assert_true(remote->count < local->count);
}

static void lists_and_fetches_are_smaller(void **state)
{
    (void)state;
    uint64_t digests[DIGEST_BUCKETS];
    open_both();
    pass_ms(COMPARE_MS);
    memset(digests, 0xff, sizeof(digests));
    struct message *message = expect(REMOTE, MESSAGE_DIGEST);
    replicator_on_digests(rig.replicator, message, digests, rig_now());
    finish_message(message, SEND_DELIVERED);
    message = expect(REMOTE, MESSAGE_LIST);
    unsigned buckets = 0;
    for (uint32_t bucket = 0; bucket < DIGEST_BUCKETS; bucket++)
        buckets += bucket_set_has(&message->buckets, bucket);
    assert_int_equal(buckets, REMOTE_BUCKETS_MAX);
    for (unsigned i = 0; i < 2 * REMOTE_FETCH_ITEMS_MAX; i++) {
        char id[16];
        snprintf(id, sizeof(id), "f%u", i);
        respond_key(message, (struct word){.id = id, .stamp = 9});
    }
    finish_message(message, SEND_DELIVERED);
    assert_int_equal(expect(REMOTE, MESSAGE_FETCH)->count, REMOTE_FETCH_ITEMS_MAX);
}

static void lease_check_has_time_for_a_new_connection(void **state)
{
    (void)state;
    open_both();
    pass_ms(TTL_MS + TICK_MS);
    registry_expire(rig.node, rig_now());
    assert_true(expect(LOCAL, MESSAGE_LEASE_CHECK)->timeout_ms == LEASE_CHECK_TIMEOUT_MS);
    assert_true(expect(REMOTE, MESSAGE_LEASE_CHECK)->timeout_ms == REMOTE_LEASE_CHECK_TIMEOUT_MS);
}

/* --- bootstrap -------------------------------------------------------------------------------- */

/* Both are ready at the same time. */
static void check_snapshot(uint32_t local, uint32_t remote)
{
    join(0);
    join(1);
    const struct message *messages[] = {expect(0, MESSAGE_HEALTH), expect(1, MESSAGE_HEALTH)};
    for (uint32_t peer = 0; peer < 2; peer++) {
        struct health_response response = {.is_ready = true, .is_remote = peer == remote};
        replicator_on_health(rig.replicator, messages[peer], &response, rig_now());
    }
    assert_non_null(sent(local, MESSAGE_SNAPSHOT));
    assert_null(sent(remote, MESSAGE_SNAPSHOT));
    finish(local, MESSAGE_SNAPSHOT, SEND_REJECTED);
    assert_non_null(sent(remote, MESSAGE_SNAPSHOT));
}

static void snapshot_comes_from_the_own_region(void **state)
{
    (void)state;
    check_snapshot(0, 1);
    rig_close();
    open_with_interval(REMOTE_MS);
    check_snapshot(1, 0);
}

static void snapshot_comes_from_another_region_if_no_other_peer_is_ready(void **state)
{
    (void)state;
    join(LOCAL);
    join(REMOTE);
    respond_health(REMOTE, response_of(REMOTE));
    assert_non_null(sent(REMOTE, MESSAGE_SNAPSHOT));
}

/* It adds what no other peer knows, also if not all peers of the own region were asked. */
static void legacy_peer_of_another_region_is_copied_after_the_snapshot(void **state)
{
    (void)state;
    enum { OTHER_LOCAL = 2 };
    join(LOCAL);
    respond_health(LOCAL, response_of(LOCAL));
    assert_non_null(sent(LOCAL, MESSAGE_SNAPSHOT));
    join(OTHER_LOCAL);
    respond_health(OTHER_LOCAL, response_of(OTHER_LOCAL));
    join(REMOTE);
    respond_health(
        REMOTE, (struct health_response){.is_ready = true, .is_remote = true, .is_legacy = true});
    assert_null(sent(REMOTE, MESSAGE_SNAPSHOT));
    finish(LOCAL, MESSAGE_SNAPSHOT, SEND_DELIVERED);
    assert_non_null(sent(REMOTE, MESSAGE_SNAPSHOT));
}

/* --- a cut between the regions --------------------------------------------------------------- */

enum { INSTANCES = 100, STEP_MS = 100, RENEW_MS = TTL_MS / 3 };

static unsigned lease_checks; /* messages to the local peer */

/* The local peer accepts everything and knows no later renewal. The remote one is out of reach. */
static void respond_all(void)
{
    for (pump(); rig.out_count; pump()) {
        struct message *message = rig.out[0];
        lease_checks += message->kind == MESSAGE_LEASE_CHECK;
        if (message->peer == LOCAL && message->kind == MESSAGE_DIGEST)
            respond_same_digests(LOCAL);
        else
            finish_message(message, message->peer == LOCAL ? SEND_DELIVERED : SEND_UNREACHABLE);
    }
}

/* The first instances are renewed here, the others in the other region, which is cut off. */
static void cut_for(uint64_t ms, unsigned own)
{
    char id[16];
    join_as(LOCAL);
    join_as(REMOTE);
    register_many(INSTANCES);
    respond_all();
    lease_checks = 0;
    for (uint64_t passed_ms = STEP_MS; passed_ms <= ms; passed_ms += STEP_MS) {
        pass_ms(STEP_MS);
        for (unsigned i = 0; i < own && passed_ms % RENEW_MS == 0; i++) {
            snprintf(id, sizeof(id), "i%u", i);
            renew_here(id);
        }
        registry_expire(rig.node, rig_now());
        respond_all();
    }
}

static void guard_keeps_the_instances_of_a_region_that_is_cut_off(void **state)
{
    (void)state;
    cut_for(TTL_MS + GUARD_MAX_MS - STEP_MS, INSTANCES / 2);
    assert_int_equal(stats_of(rig.node).instances, INSTANCES);
    assert_true(lease_checks > 0);
    assert_true(lease_checks <= 3 * (TTL_MS + GUARD_MAX_MS) / RECHECK_MS);
}

static void instances_of_a_region_leave_when_the_guard_has_kept_them_for_long(void **state)
{
    (void)state;
    cut_for(TTL_MS + GUARD_MAX_MS + TTL_MS / 3, INSTANCES / 2);
    assert_int_equal(stats_of(rig.node).instances, INSTANCES / 2);
}

/* One check, for all that end together. */
static void few_instances_of_a_region_are_evicted_after_a_lease_check(void **state)
{
    (void)state;
    cut_for(TTL_MS + TTL_MS / 3, INSTANCES - 10);
    assert_int_equal(stats_of(rig.node).instances, INSTANCES - 10);
    assert_int_equal(lease_checks, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(peer_of_another_region_is_remote),
        TEST(changes_leave_at_once),
        TEST(renewals_wait_for_the_remote_interval),
        TEST(all_renewals_of_an_interval_are_sent),
        TEST(renewals_wait_for_a_share_of_the_ttl_at_most),
        TEST(renewals_wait_for_the_end_of_a_backoff),
        TEST(flush_sends_renewals_at_once),
        TEST(peer_that_moves_to_the_region_is_local),
        TEST(registrations_are_limited_by_their_size),
        TEST(lists_and_fetches_are_smaller),
        TEST(lease_check_has_time_for_a_new_connection),
        TEST(snapshot_comes_from_the_own_region),
        TEST(snapshot_comes_from_another_region_if_no_other_peer_is_ready),
        TEST(legacy_peer_of_another_region_is_copied_after_the_snapshot),
        TEST(guard_keeps_the_instances_of_a_region_that_is_cut_off),
        TEST(instances_of_a_region_leave_when_the_guard_has_kept_them_for_long),
        TEST(few_instances_of_a_region_are_evicted_after_a_lease_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
