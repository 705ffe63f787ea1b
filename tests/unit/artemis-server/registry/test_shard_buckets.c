/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of the records of a digest bucket. Its records are linked back when one is removed.
 */
#include "artemis-server/registry/shard.h"

#include "tests/unit/artemis-server/registry/registry_fixture.h"

enum { BUCKET = 7, RECORDS_MAX = 8 };

static struct shard shard;
static _Atomic uint32_t tombstones;
static uint32_t newest[RECORDS_MAX]; /* the records in BUCKET, in the order of insertion */
static size_t count;
static unsigned last_id;

static int set_up(void **state)
{
    (void)state;
    shard_init(&shard, 0,
               (struct shard_settings){
                   .empty_ms = 1000, .tombstones_max = 100, .tombstones_of_node = &tombstones});
    count = 0;
    last_id = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    shard_validate(&shard);
    shard_free(&shard);
    return 0;
}

static struct instance *next_in_bucket(void)
{
    for (;;) {
        char id[16];
        snprintf(id, sizeof(id), "i%u", ++last_id);
        struct instance *instance = make_instance((struct brief){.service = "s", .id = id});
        if (bucket_of_key(instance_packed_key(instance)) == BUCKET)
            return instance;
        instance_unref(instance);
    }
}

static void check_list(void)
{
    uint32_t number = shard.buckets[BUCKET];
    for (size_t i = count; i-- > 0;) {
        assert_int_equal(number, newest[i]);
        number = shard_record(&shard, number)->bucket_next;
    }
    assert_int_equal(number, 0);
    shard_validate(&shard);
}

static void insert(void)
{
    struct instance *instance = next_in_bucket();
    assert_int_equal(shard_insert(&shard, 1, last_id, instance, 1000, &newest[count++]), ERR_NONE);
    instance_unref(instance);
    check_list();
}

static void remove_at(size_t index)
{
    shard_remove(&shard, newest[index], 0);
    for (count--; index < count; index++)
        newest[index] = newest[index + 1];
    check_list();
}

static void any_record_leaves_before_and_after_it_is_linked_back(void **state)
{
    (void)state;
    enum { OLD = 3, RECORDS = 5 };
    for (size_t first = 0; first < OLD; first++) {
        for (size_t second = 0; second < RECORDS; second++) {
            for (size_t i = 0; i <= OLD; i++)
                insert();
            remove_at(first); /* the others are linked back */
            while (count < RECORDS)
                insert();
            remove_at(second);
            while (count)
                remove_at(0);
        }
    }
}

static void random_removals_keep_the_list(void **state)
{
    (void)state;
    enum { STEPS = 500 };
    uint64_t seed = 1;
    for (unsigned step = 0; step < STEPS; step++) {
        bool inserts = count == 0 || (count < RECORDS_MAX && random_below(&seed, 2));
        if (inserts)
            insert();
        else
            remove_at(random_below(&seed, count));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(any_record_leaves_before_and_after_it_is_linked_back,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(random_removals_keep_the_list, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
