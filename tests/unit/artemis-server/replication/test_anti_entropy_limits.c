/* SPDX-License-Identifier: Apache-2.0
 *
 * Anti-entropy at its limits: a comparison takes everything that differs, however little is
 * fetched at a time, and does not count if a record is refused.
 */
#include "tests/unit/artemis-server/replication/playing_peer.h"

static struct registry *other; /* what peer 0 holds */

static size_t response_max; /* records in a response of the peer; 0: all */

static int set_up(void **state)
{
    (void)state;
    rig_open();
    other = make_node("other");
    response_max = 0;
    return 0;
}

/* The node fetches at most so many records after a list. */
static void limit_fetches(uint32_t max)
{
    struct replicator_options options = rig_options();
    options.fetch_max = max;
    rig_close();
    rig_open_as(&options);
}

static int tear_down(void **state)
{
    (void)state;
    rig_close();
    registry_validate(other);
    registry_free(other);
    return 0;
}

/* --- peer 0, with a real registry ------------------------------------------------------------- */

static void play(struct message *message)
{
    play_as(message, other, response_max);
}

static void play_all(void)
{
    play_all_as(other, response_max);
}

static void next_comparison(void)
{
    pass_ms(COMPARE_MS);
    play_all();
}

static void put_at_other(const char *id, const char *machine)
{
    put_as(other, (struct brief){.service = "s", .id = id, .machine = machine}, rig_now());
}

/* --- limits ----------------------------------------------------------------------------------- */

static void put_many_at_other(const char *prefix, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char id[16];
        snprintf(id, sizeof(id), "%s%u", prefix, i);
        put_at_other(id, "1");
    }
}

static void assert_has_all_of_other(void)
{
    assert_int_equal(stats_of(rig.node).instances, stats_of(other).instances);
    assert_agrees(other);
}

static void more_differences_than_may_be_fetched_are_taken_in_one_comparison(void **state)
{
    (void)state;
    limit_fetches(3);
    join_up(0);
    put_many_at_other("x", 100);
    uint64_t comparisons = replicator_stats_now().comparisons;
    next_comparison();
    assert_has_all_of_other();
    assert_true(replicator_stats_now().comparisons == comparisons + 1);
    assert_true(replicator_stats_now().lists_cut > 0);
    assert_true(replicator_stats_now().fetched == 100);
}

static void more_differences_than_the_default_limit_are_taken_in_one_comparison(void **state)
{
    (void)state;
    enum { COUNT = ANTI_ENTROPY_FETCH_MAX / 100 * 101 }; /* in each eighth of the buckets */
    join_up(0);
    put_many_at_other("x", DIGEST_BUCKETS / ANTI_ENTROPY_BUCKETS_MAX * COUNT);
    uint64_t comparisons = replicator_stats_now().comparisons;
    next_comparison();
    assert_has_all_of_other();
    assert_true(replicator_stats_now().comparisons == comparisons + 1);
    assert_true(replicator_stats_now().lists_cut > 0);
}

static void records_that_a_response_leaves_out_are_fetched_again(void **state)
{
    (void)state;
    join_up(0);
    put_many_at_other("x", 100);
    response_max = 7;
    uint64_t comparisons = replicator_stats_now().comparisons;
    next_comparison();
    assert_has_all_of_other();
    assert_true(replicator_stats_now().comparisons == comparisons + 1);
}

/* The peer has dropped the last records of the fetch meanwhile. */
static void records_that_the_peer_has_lost_are_not_fetched_for_ever(void **state)
{
    (void)state;
    join_up(0);
    put_many_at_other("x", 10);
    pass_ms(COMPARE_MS);
    while (!sent(0, MESSAGE_FETCH))
        play(rig.out[0]);
    registry_set_replicating(other, false);
    for (int i = 0; i < 10; i += 2) {
        char id[16];
        snprintf(id, sizeof(id), "x%d", i);
        take_out(other, "s", id, rig_now());
    }
    uint64_t comparisons = replicator_stats_now().comparisons;
    play_all();
    assert_true(replicator_stats_now().comparisons == comparisons + 1);
    assert_int_equal(stats_of(rig.node).instances, 5);
}

/* --- records that are refused ----------------------------------------------------------------- */

static const uint64_t far_ahead = (150ull * 366 * 86400000) << 16;

static struct word word_of(char ids[][16], size_t number, size_t refused)
{
    return (struct word){.id = ids[number], .stamp = number < refused ? far_ahead : 5};
}

static size_t number_of(char ids[][16], const struct instance *instance)
{
    size_t number = 0;
    while (!slice_equal(instance_text(instance, FIELD_INSTANCE), slice_of(ids[number])))
        number++;
    return number;
}

/* The digests of a peer that differ in the bucket of this instance. */
static void respond_other_digest(const char *id)
{
    static uint64_t digests[DIGEST_BUCKETS];
    struct instance_key key = make_key("s", id);
    registry_digests(rig.node, digests);
    digests[registry_bucket(instance_key_packed(&key))]++;
    struct message *message = expect(0, MESSAGE_DIGEST);
    replicator_on_digests(rig.replicator, message, digests, rig_now());
    finish_message(message, SEND_DELIVERED);
}

/* A peer with `count` keys in one bucket, of which the first `refused` are too far ahead. */
static void play_peer_with_refused(char ids[][16], size_t count, size_t refused)
{
    unsigned messages = 0;
    struct message *message;
    respond_other_digest(ids[0]);
    while ((message = sent(0, MESSAGE_LIST)) || (message = sent(0, MESSAGE_FETCH))) {
        assert_true(++messages < 10 * count);
        for (size_t i = 0; message->kind == MESSAGE_LIST && i < count; i++)
            respond_key(message, word_of(ids, i, refused));
        for (size_t i = 0; message->kind == MESSAGE_FETCH && i < message->count; i++)
            respond_record(message,
                           word_of(ids, number_of(ids, message->items[i].instance), refused));
        finish_message(message, SEND_DELIVERED);
    }
}

/* Records that are refused again and again do not keep a node from the others. */
static void refused_records_do_not_hide_the_others(void **state)
{
    (void)state;
    enum { COUNT = 40, REFUSED = 20 };
    char ids[COUNT][16];
    find_ids_in_one_bucket(ids, COUNT);
    limit_fetches(8);
    join_up(0);
    pass_ms(COMPARE_MS);
    play_peer_with_refused(ids, COUNT, REFUSED);
    assert_int_equal(stats_of(rig.node).instances, COUNT - REFUSED);
}

static void comparison_with_a_refused_record_does_not_count(void **state)
{
    (void)state;
    char ids[2][16];
    find_ids_in_one_bucket(ids, 2);
    join_up(0);
    pass_ms(COMPARE_MS);
    struct replicator_stats before = replicator_stats_now();
    uint64_t compared_ms = view_of(0).compared_ms;
    play_peer_with_refused(ids, 2, 1);
    assert_true(replicator_stats_now().comparisons == before.comparisons);
    assert_true(replicator_stats_now().incomplete == before.incomplete + 1);
    assert_true(view_of(0).compared_ms == compared_ms);
    assert_int_equal(stats_of(rig.node).instances, 1);
    pass_ms(COMPARE_MS);
    respond_same_digests(0); /* the peer does not hold the record any more */
    assert_true(replicator_stats_now().comparisons == before.comparisons + 1);
}

/* A hostile peer lists more keys of a bucket than are fetched at a time, as alive, and their leases
 * have ended when they are fetched. This node has none of them afterwards, and each list is the
 * same. */
static void comparison_of_a_peer_whose_lists_never_end_has_an_end(void **state)
{
    (void)state;
    enum { COUNT = 9, STEP_MS = 1000, MESSAGES_MAX = SNAPSHOT_MS / STEP_MS + 2 };
    char ids[COUNT][16];
    struct message *message;
    unsigned messages = 0;
    find_ids_in_one_bucket(ids, COUNT);
    limit_fetches(8);
    join_up(0);
    pass_ms(COMPARE_MS);
    struct replicator_stats before = replicator_stats_now();
    respond_other_digest(ids[0]);
    while ((message = sent(0, MESSAGE_LIST)) || (message = sent(0, MESSAGE_FETCH))) {
        if (++messages > MESSAGES_MAX)
            fail_msg("the comparison has no end");
        for (size_t i = 0; message->kind == MESSAGE_LIST && i < COUNT; i++)
            respond_key(message, (struct word){.id = ids[i], .stamp = 5});
        for (size_t i = 0; message->kind == MESSAGE_FETCH && i < message->count; i++)
            respond_record(message,
                           (struct word){.id = ids[number_of(ids, message->items[i].instance)],
                                         .stamp = 5,
                                         .age_ms = TTL_MS});
        pass_ms(STEP_MS);
        finish_message(message, SEND_DELIVERED);
    }
    assert_true(replicator_stats_now().incomplete == before.incomplete + 1);
    assert_true(replicator_stats_now().comparisons == before.comparisons);
    assert_int_equal(stats_of(rig.node).instances, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(more_differences_than_may_be_fetched_are_taken_in_one_comparison),
        TEST(more_differences_than_the_default_limit_are_taken_in_one_comparison),
        TEST(records_that_a_response_leaves_out_are_fetched_again),
        TEST(records_that_the_peer_has_lost_are_not_fetched_for_ever),
        TEST(refused_records_do_not_hide_the_others),
        TEST(comparison_with_a_refused_record_does_not_count),
        TEST(comparison_of_a_peer_whose_lists_never_end_has_an_end),
    };
    return cmocka_run_group_tests_name("anti-entropy: limits", tests, NULL, NULL);
}
