/* SPDX-License-Identifier: Apache-2.0
 *
 * The outbox: a key is in it once, with its latest record, in the queue that this record needs.
 * Keys leave in the order of their first change, and there are never more than changed keys.
 */
#include "artemis-server/replication/outbox.h"

#include "tests/support/failing_malloc.h"
#include "tests/unit/artemis-server/registry/registry_fixture.h"

static struct outbox outbox;
static long live_before;

static int set_up(void **state)
{
    (void)state;
    live_before = failing_malloc_live();
    outbox_init(&outbox, 42);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    outbox_clear(&outbox);
    assert_int_equal(failing_malloc_live(), live_before);
    return 0;
}

static struct record_copy made(const char *id, uint64_t stamp)
{
    return (struct record_copy){.instance = make_instance((struct brief){.service = "s", .id = id}),
                                .hlc = stamp,
                                .touched_ms = stamp};
}

static enum error try_put(const char *id, uint64_t stamp, enum outbox_queue queue)
{
    struct record_copy state = made(id, stamp);
    enum error error = outbox_put(&outbox, &state, queue);
    if (error)
        record_copy_unref(&state);
    return error;
}

static void put_one(const char *id, uint64_t stamp, enum outbox_queue queue)
{
    assert_int_equal(try_put(id, stamp, queue), ERR_NONE);
}

static void put_back(const char *id, uint64_t stamp, enum outbox_queue queue)
{
    struct record_copy state = made(id, stamp);
    assert_int_equal(outbox_put_back(&outbox, &state, queue), ERR_NONE);
}

/* Expects this record at the head of the queue. */
static void expect_next(enum outbox_queue queue, const char *id, uint64_t stamp)
{
    struct record_copy state;
    assert_int_equal(outbox_take(&outbox, queue, &state, 1, SIZE_MAX), 1);
    assert_true(slice_equal(instance_text(state.instance, FIELD_INSTANCE), slice_of(id)));
    assert_true(state.hlc == stamp);
    record_copy_unref(&state);
}

static void expect_counts(uint32_t registers, uint32_t unregisters, uint32_t renewals)
{
    assert_int_equal(outbox_count(&outbox, QUEUE_REGISTER), registers);
    assert_int_equal(outbox_count(&outbox, QUEUE_UNREGISTER), unregisters);
    assert_int_equal(outbox_count(&outbox, QUEUE_RENEW), renewals);
}

/* --- the latest of each key ------------------------------------------------------------------- */

static void key_is_stored_once_with_its_latest_record(void **state)
{
    (void)state;
    for (uint64_t stamp = 1; stamp <= 100; stamp++)
        put_one("a", stamp, QUEUE_REGISTER);
    expect_counts(1, 0, 0);
    expect_next(QUEUE_REGISTER, "a", 100);
    expect_counts(0, 0, 0);
}

static void put_moves_a_pending_key_to_the_right_queue(void **state)
{
    (void)state;
    static const enum outbox_queue merged[QUEUE_COUNT][QUEUE_COUNT] = {
        [QUEUE_REGISTER] = {QUEUE_REGISTER, QUEUE_UNREGISTER, QUEUE_REGISTER},
        [QUEUE_UNREGISTER] = {QUEUE_REGISTER, QUEUE_UNREGISTER, QUEUE_REGISTER},
        [QUEUE_RENEW] = {QUEUE_REGISTER, QUEUE_UNREGISTER, QUEUE_RENEW},
    };
    for (enum outbox_queue pending = 0; pending < QUEUE_COUNT; pending++)
        for (enum outbox_queue latest = 0; latest < QUEUE_COUNT; latest++) {
            put_one("a", 1, pending);
            put_one("a", 2, latest);
            expect_next(merged[pending][latest], "a", 2);
            expect_counts(0, 0, 0);
        }
}

static void keys_leave_in_the_order_of_their_first_change(void **state)
{
    (void)state;
    put_one("a", 1, QUEUE_REGISTER);
    put_one("b", 2, QUEUE_REGISTER);
    put_one("c", 3, QUEUE_REGISTER);
    put_one("a", 4, QUEUE_REGISTER); /* keeps its position */
    expect_next(QUEUE_REGISTER, "a", 4);
    expect_next(QUEUE_REGISTER, "b", 2);
    expect_next(QUEUE_REGISTER, "c", 3);
}

static void memory_is_bounded_by_the_number_of_keys(void **state)
{
    (void)state;
    uint64_t seed = 3;
    char id[8];
    for (uint64_t i = 1; i < 20000; i++) {
        snprintf(id, sizeof(id), "i%u", random_below(&seed, 100));
        put_one(id, i, random_below(&seed, QUEUE_COUNT));
        uint32_t count = 0;
        for (enum outbox_queue queue = 0; queue < QUEUE_COUNT; queue++)
            count += outbox_count(&outbox, queue);
        assert_true(count <= 100);
    }
    assert_true(outbox_bytes(&outbox) < 64 * 1024);
    outbox_clear(&outbox);
    assert_true(outbox_bytes(&outbox) == 0);
    expect_counts(0, 0, 0);
}

/* --- what came back --------------------------------------------------------------------------- */

static void put_back_without_a_pending_record_appends(void **state)
{
    (void)state;
    put_one("b", 2, QUEUE_REGISTER);
    put_back("a", 1, QUEUE_REGISTER);
    expect_next(QUEUE_REGISTER, "b", 2);
    expect_next(QUEUE_REGISTER, "a", 1);
}

static void put_back_does_not_replace_a_later_state(void **state)
{
    (void)state;
    put_one("a", 2, QUEUE_UNREGISTER);
    put_back("a", 1, QUEUE_REGISTER);
    expect_counts(0, 1, 0);
    expect_next(QUEUE_UNREGISTER, "a", 2);
}

static void put_back_replaces_an_earlier_state(void **state)
{
    (void)state;
    put_one("a", 1, QUEUE_REGISTER);
    put_back("a", 2, QUEUE_UNREGISTER);
    expect_counts(0, 1, 0);
    expect_next(QUEUE_UNREGISTER, "a", 2);
}

static void put_back_compares_client_revisions_first(void **state)
{
    (void)state;
    struct instance *lower =
        make_instance((struct brief){.service = "s", .id = "a", .revision = 5});
    struct instance *higher =
        make_instance((struct brief){.service = "s", .id = "a", .revision = 6});
    struct record_copy pending = {.instance = lower, .hlc = 2};
    struct record_copy failed = {.instance = higher, .hlc = 1};
    assert_int_equal(outbox_put(&outbox, &pending, QUEUE_REGISTER), ERR_NONE);
    assert_int_equal(outbox_put_back(&outbox, &failed, QUEUE_REGISTER), ERR_NONE);
    expect_next(QUEUE_REGISTER, "a", 1);
}

static void put_back_registration_replaces_a_pending_renewal(void **state)
{
    (void)state;
    put_one("a", 1, QUEUE_RENEW);
    put_back("a", 1, QUEUE_REGISTER);
    expect_counts(1, 0, 0);
    expect_next(QUEUE_REGISTER, "a", 1);
}

static void put_back_renewal_keeps_a_pending_registration(void **state)
{
    (void)state;
    put_one("a", 1, QUEUE_REGISTER);
    put_back("a", 1, QUEUE_RENEW);
    expect_counts(1, 0, 0);
    put_back("a", 3, QUEUE_RENEW); /* the registration is still pending */
    expect_counts(1, 0, 0);
    expect_next(QUEUE_REGISTER, "a", 3);
}

/* --- taking ----------------------------------------------------------------------------------- */

static void take_stops_at_max(void **state)
{
    (void)state;
    struct record_copy states[8];
    char id[8];
    for (unsigned i = 0; i < 10; i++) {
        snprintf(id, sizeof(id), "i%u", i);
        put_one(id, i + 1, QUEUE_RENEW);
    }
    assert_int_equal(outbox_take(&outbox, QUEUE_RENEW, states, 8, SIZE_MAX), 8);
    for (int i = 0; i < 8; i++)
        record_copy_unref(&states[i]);
    expect_counts(0, 0, 2);
}

static void take_stops_at_the_byte_limit_but_takes_one(void **state)
{
    (void)state;
    struct record_copy states[4];
    put_one("a", 1, QUEUE_REGISTER);
    put_one("b", 2, QUEUE_REGISTER);
    put_one("c", 3, QUEUE_REGISTER);
    struct instance *like = make_instance((struct brief){.service = "s", .id = "a"});
    size_t each = instance_size(like);
    instance_unref(like);
    assert_int_equal(outbox_take(&outbox, QUEUE_REGISTER, states, 4, 1), 1);
    record_copy_unref(&states[0]);
    assert_int_equal(outbox_take(&outbox, QUEUE_REGISTER, states, 4, 2 * each), 2);
    record_copy_unref(&states[0]);
    record_copy_unref(&states[1]);
    assert_int_equal(outbox_take(&outbox, QUEUE_REGISTER, states, 4, 1), 0);
}

static void oldest_is_the_longest_pending(void **state)
{
    (void)state;
    assert_true(outbox_oldest_ms(&outbox) == UINT64_MAX);
    put_one("a", 700, QUEUE_RENEW);
    put_one("b", 300, QUEUE_REGISTER);
    put_one("c", 500, QUEUE_UNREGISTER);
    assert_true(outbox_oldest_ms(&outbox) == 300);
    expect_next(QUEUE_REGISTER, "b", 300);
    assert_true(outbox_oldest_ms(&outbox) == 500);
}

/* --- without memory --------------------------------------------------------------------------- */

static void put_without_memory_changes_nothing_and_a_retry_works(void **state)
{
    (void)state;
    long failures = 0;
    char id[16];
    for (unsigned i = 0; i < 300; i++) {
        snprintf(id, sizeof(id), "i%u", i);
        struct record_copy one = made(id, i + 1);
        for (long n = 1;; n++) {
            failing_malloc_after(n);
            enum error error = outbox_put(&outbox, &one, QUEUE_REGISTER);
            bool failed = failing_malloc_happened();
            failing_malloc_after(-1);
            if (!failed) {
                assert_int_equal(error, ERR_NONE);
                break;
            }
            assert_int_equal(error, ERR_NO_MEMORY);
            expect_counts(i, 0, 0);
            failures++;
        }
    }
    assert_true(failures > 5);
    for (unsigned i = 0; i < 300; i++) {
        snprintf(id, sizeof(id), "i%u", i);
        expect_next(QUEUE_REGISTER, id, i + 1);
    }
}

static void change_of_a_pending_key_needs_no_memory(void **state)
{
    (void)state;
    put_one("a", 1, QUEUE_REGISTER);
    struct record_copy later = made("a", 2);
    failing_malloc_after(1);
    assert_int_equal(outbox_put(&outbox, &later, QUEUE_UNREGISTER), ERR_NONE);
    failing_malloc_after(-1);
    expect_next(QUEUE_UNREGISTER, "a", 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(key_is_stored_once_with_its_latest_record),
        TEST(put_moves_a_pending_key_to_the_right_queue),
        TEST(keys_leave_in_the_order_of_their_first_change),
        TEST(memory_is_bounded_by_the_number_of_keys),
        TEST(put_back_without_a_pending_record_appends),
        TEST(put_back_does_not_replace_a_later_state),
        TEST(put_back_replaces_an_earlier_state),
        TEST(put_back_compares_client_revisions_first),
        TEST(put_back_registration_replaces_a_pending_renewal),
        TEST(put_back_renewal_keeps_a_pending_registration),
        TEST(take_stops_at_max),
        TEST(take_stops_at_the_byte_limit_but_takes_one),
        TEST(oldest_is_the_longest_pending),
        TEST(put_without_memory_changes_nothing_and_a_retry_works),
        TEST(change_of_a_pending_key_needs_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
