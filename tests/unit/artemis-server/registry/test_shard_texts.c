/* SPDX-License-Identifier: Apache-2.0
 *
 * Which instances of a shard share their protocol and metadata, and for how long. Every test ends
 * with the shard's own check of its invariants.
 */
#include "artemis-server/registry/shard.h"

#include <xxhash.h>

#include "tests/support/failing_malloc.h"
#include "tests/unit/artemis-server/registry/registry_fixture.h"

#define RELEASE "a release of the service, 2024.11.3-g5f1c9a"

static struct shard shard;
static _Atomic uint32_t tombstones;

static void init_shard(uint64_t hash_seed)
{
    shard_init(&shard, 0,
               (struct shard_settings){.empty_ms = 1000,
                                       .tombstones_max = 100,
                                       .tombstones_of_node = &tombstones,
                                       .hash_seed = hash_seed});
}

static int set_up(void **state)
{
    (void)state;
    init_shard(42);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    shard_validate(&shard);
    shard_free(&shard);
    return 0;
}

/* Creates an instance; in `memory`, as a temporary one, unless that is NULL. */
static struct instance *make_in(void *memory, size_t size, unsigned id, const char *release)
{
    char name[32];
    snprintf(name, sizeof(name), "i%u", id);
    const struct metadata_entry entry = {SLICE("release"), slice_of(release)};
    const struct instance_spec spec = {
        .text = {[FIELD_REGION] = SLICE("lab"),
                 [FIELD_ZONE] = SLICE("zone1"),
                 [FIELD_SERVICE] = SLICE("s"),
                 [FIELD_INSTANCE] = slice_of(name),
                 [FIELD_IP] = SLICE("10.0.0.1")},
        .metadata = &entry,
        .metadata_count = 1,
    };
    struct instance *instance = NULL;
    struct field_problem problem;
    if (memory)
        instance = instance_create_in(&spec, memory, size);
    else
        assert_int_equal(instance_create(&spec, &instance, &problem), ERR_NONE);
    assert_non_null(instance);
    return instance;
}

static struct instance *make_with(unsigned id, const char *release)
{
    return make_in(NULL, 0, id, release);
}

static enum error try_insert(struct instance *instance, uint32_t *number)
{
    struct slice key = instance_packed_key(instance);
    return shard_insert(&shard, 1, (uint32_t)XXH3_64bits(key.data, key.size), instance, 1000,
                        number);
}

static uint32_t insert(unsigned id, const char *release)
{
    uint32_t number = 0;
    struct instance *instance = make_with(id, release);
    assert_int_equal(try_insert(instance, &number), ERR_NONE);
    assert_true(instance_equal(shard_record(&shard, number)->instance, instance));
    instance_unref(instance);
    return number;
}

static void replace(uint32_t number, unsigned id, const char *release)
{
    struct instance *instance = make_with(id, release);
    shard_replace(&shard, number, instance);
    assert_true(instance_equal(shard_record(&shard, number)->instance, instance));
    instance_unref(instance);
}

static const char *texts_of(uint32_t number)
{
    return instance_common_texts(shard_record(&shard, number)->instance).data;
}

static void equal_texts_are_stored_once(void **state)
{
    (void)state;
    uint32_t first = insert(1, RELEASE);
    uint32_t other = insert(2, "another " RELEASE);
    for (unsigned id = 3; id < 100; id++) {
        assert_ptr_equal(texts_of(insert(id, RELEASE)), texts_of(first));
        assert_ptr_not_equal(texts_of(insert(100 + id, "another " RELEASE)), texts_of(first));
    }
    assert_int_equal(shard.text_holders.count, 2);
    assert_ptr_not_equal(texts_of(first), texts_of(other));
}

static void short_texts_are_not_shared(void **state)
{
    (void)state;
    uint32_t first = insert(1, "1");
    assert_ptr_not_equal(texts_of(insert(2, "1")), texts_of(first));
    assert_int_equal(shard.text_holders.count, 0);
}

static void changed_instance_shares_its_new_texts(void **state)
{
    (void)state;
    uint32_t first = insert(1, RELEASE);
    uint32_t second = insert(2, RELEASE);
    uint32_t third = insert(3, "another " RELEASE);
    replace(second, 2, "another " RELEASE);
    assert_ptr_equal(texts_of(second), texts_of(third));
    replace(second, 2, RELEASE);
    assert_ptr_equal(texts_of(second), texts_of(first));
    replace(first, 1, "another " RELEASE); /* it held the texts of the second */
    assert_ptr_equal(texts_of(first), texts_of(third));
    assert_ptr_not_equal(texts_of(insert(4, RELEASE)), texts_of(second));
}

static void texts_end_with_their_last_user(void **state)
{
    (void)state;
    insert(100, "1"); /* the service stays */
    shard_remove(&shard, insert(101, RELEASE), 0);
    long before = failing_malloc_live();
    uint32_t first = insert(1, RELEASE);
    uint32_t second = insert(2, RELEASE);
    uint32_t third = insert(3, RELEASE);
    shard_remove(&shard, first, 0);
    assert_ptr_equal(texts_of(second), texts_of(third));
    shard_make_tombstone(&shard, second, 0, 0, 1000);
    assert_memory_equal(texts_of(third) + sizeof("release") + 1, RELEASE, sizeof(RELEASE) - 1);
    assert_int_equal(shard.text_holders.count, 0);
    uint32_t fourth = insert(4, RELEASE);
    assert_ptr_not_equal(texts_of(fourth), texts_of(third));
    shard_remove_tombstone(&shard, second);
    shard_remove(&shard, third, 0);
    shard_remove(&shard, fourth, 0);
    assert_int_equal(failing_malloc_live(), before);
}

/* A tombstone keeps the key alone; without memory for that it keeps the instance. */
static void tombstone_shares_nothing(void **state)
{
    (void)state;
    uint32_t first = insert(1, RELEASE);
    failing_malloc_after(1);
    shard_make_tombstone(&shard, first, 0, 0, 1000);
    assert_true(failing_malloc_happened());
    assert_int_equal(shard.text_holders.count, 0);
    uint32_t second = insert(2, RELEASE);
    assert_ptr_not_equal(texts_of(second), texts_of(first));
    shard_remove_tombstone(&shard, first);
}

static void index_stays_small_if_all_texts_differ(void **state)
{
    (void)state;
    enum { INSTANCES = 4000 };
    char release[64];
    for (unsigned id = 0; id < INSTANCES; id++) {
        snprintf(release, sizeof(release), "%u " RELEASE, id);
        insert(id, release);
    }
    assert_true(shard.text_holders.count <= INSTANCES / 4 + 64);
    assert_true(shard.text_holders.count >= INSTANCES / 4);
}

static void failed_allocation_stores_the_whole_instance_or_nothing(void **state)
{
    (void)state;
    uint32_t number = 0;
    insert(1, RELEASE);
    struct instance *instance = make_with(2, RELEASE);
    for (long n = 1;; n++) {
        failing_malloc_after(n);
        enum error error = try_insert(instance, &number);
        if (!failing_malloc_happened()) {
            assert_int_equal(error, ERR_NONE);
            break;
        }
        if (error)
            continue;
        assert_ptr_equal(shard_record(&shard, number)->instance, instance);
        shard_validate(&shard);
        shard_remove(&shard, number, 0);
    }
    assert_true(instance_is_sharing(shard_record(&shard, number)->instance));
    instance_unref(instance);
}

/* A temporary instance is stored as a copy, or as one that shares its texts, or not at all. */
static void failed_allocation_stores_no_temporary_instance(void **state)
{
    (void)state;
    _Alignas(void *) char memory[256];
    const char *const releases[] = {RELEASE, "another " RELEASE, "1"};
    insert(1, RELEASE);
    for (unsigned i = 0; i < sizeof(releases) / sizeof(releases[0]); i++) {
        struct instance *given = make_in(memory, sizeof(memory), 2, releases[i]);
        struct instance *expected = make_with(2, releases[i]);
        bool has_failed = true;
        for (long n = 1; has_failed; n++) {
            uint32_t number = 0;
            failing_malloc_after(n);
            enum error error = try_insert(given, &number);
            has_failed = failing_malloc_happened();
            assert_int_equal(shard_instances(&shard), error ? 1 : 2);
            shard_validate(&shard);
            if (error) {
                assert_true(has_failed);
                continue;
            }
            const struct instance *stored = shard_record(&shard, number)->instance;
            assert_int_equal(number, 2); /* no record is lost by a failure */
            assert_ptr_not_equal(stored, given);
            assert_true(instance_equal(stored, expected));
            shard_remove(&shard, number, 0);
        }
        instance_unref(expected);
    }
}

/* The longest run of slots in use: what a search can cost. */
static uint32_t longest_run(const struct hash_index *index)
{
    uint32_t longest = 0, run = 0;
    for (uint32_t i = 0; i < index->capacity; i++) {
        run = index->slots[i].element ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    return longest;
}

static bool collides(const struct instance *instance, uint64_t hash_seed)
{
    struct slice texts = instance_common_texts(instance);
    return (uint32_t)XXH3_64bits_withSeed(texts.data, texts.size, hash_seed) >> 24 == 0;
}

/* Texts that all begin in one place under one seed spread under another one, which nobody knows. */
static void chosen_texts_do_not_collide_under_a_random_seed(void **state)
{
    (void)state;
    enum { KNOWN_SEED = 42, CHOSEN = 400 };
    uint64_t random = 7;
    shard_free(&shard);
    init_shard((uint64_t)random_below(&random, UINT32_MAX) << 32 | 1);
    char release[64];
    unsigned chosen = 0;
    for (unsigned id = 0; chosen < CHOSEN; id++) {
        snprintf(release, sizeof(release), "%u " RELEASE, id);
        struct instance *instance = make_with(id, release);
        uint32_t number;
        if (collides(instance, KNOWN_SEED)) {
            chosen++;
            assert_int_equal(try_insert(instance, &number), ERR_NONE);
        }
        instance_unref(instance);
    }
    assert_true(shard.text_holders.count > CHOSEN / 4);
    assert_true(longest_run(&shard.text_holders) < shard.text_holders.count / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(equal_texts_are_stored_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(short_texts_are_not_shared, set_up, tear_down),
        cmocka_unit_test_setup_teardown(changed_instance_shares_its_new_texts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(texts_end_with_their_last_user, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tombstone_shares_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(index_stays_small_if_all_texts_differ, set_up, tear_down),
        cmocka_unit_test_setup_teardown(failed_allocation_stores_the_whole_instance_or_nothing,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(failed_allocation_stores_no_temporary_instance, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(chosen_texts_do_not_collide_under_a_random_seed, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
