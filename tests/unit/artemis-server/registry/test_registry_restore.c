/* SPDX-License-Identifier: Apache-2.0
 *
 * Restoring the records of a snapshot file: the higher stamp wins, a restored instance gets a whole
 * lease, and everything is sent to the peers and stored.
 */
#include "artemis-server/registry/registry_storage.h"

#include "artemis-core/model/hlc.h"
#include "tests/support/failing_malloc.h"
#include "tests/unit/artemis-server/registry/peer_fixture.h"

enum { LIST_MAX = 64 };

static struct registry *make(void)
{
    struct registry_options options = usual_options();
    options.node_id = "here";
    options.tombstone_ms = TOMBSTONE_MS;
    options.storing = true;
    struct registry *registry = make_registry_with(options);
    registry_set_replicating(registry, true);
    return registry;
}

static enum error restore(struct registry *registry, struct word word, bool dry_run,
                          struct moment now, enum restore_result *result)
{
    const char *service = word.service ? word.service : "s";
    const char *id = word.id ? word.id : "a";
    struct instance_key key = make_key(service, id);
    struct wire_record record = {
        .stamp = word_stamp(&word), .age_ms = word.age_ms, .deleted = word.deleted};
    if (word.deleted)
        record.key = &key;
    else
        record.instance =
            make_instance((struct brief){.service = service, .id = id, .machine = word.machine});
    enum error error = registry_restore(registry, &record, dry_run, now, result);
    instance_unref(record.instance);
    return error;
}

static void check_restore(struct registry *registry, struct word word, struct moment now,
                          enum restore_result expected)
{
    enum restore_result result = RESTORE_RESULTS;
    char *before = holdings(registry);
    assert_int_equal(restore(registry, word, true, now, &result), ERR_NONE);
    assert_int_equal(result, expected);
    char *after = holdings(registry);
    assert_string_equal(before, after); /* the dry run has changed nothing */
    free(before);
    free(after);
    assert_int_equal(restore(registry, word, false, now, &result), ERR_NONE);
    assert_int_equal(result, expected);
    registry_validate(registry);
}

static size_t drained(struct registry *registry)
{
    struct record_copy states[LIST_MAX];
    size_t count = registry_drain_changes(registry, states, LIST_MAX);
    for (size_t i = 0; i < count; i++)
        record_copy_unref(&states[i]);
    return count;
}

static size_t stored(struct registry *registry)
{
    struct record_copy states[LIST_MAX];
    size_t count = registry_drain_stored(registry, states, LIST_MAX);
    for (size_t i = 0; i < count; i++)
        record_copy_unref(&states[i]);
    return count;
}

static void a_restored_instance_gets_a_whole_lease(void **state)
{
    (void)state;
    struct registry *registry = make();
    check_restore(registry, (struct word){.stamp = 1, .age_ms = 86400000}, at_ms(0), RESTORE_TAKEN);
    assert_int_equal(drained(registry), 1);
    assert_int_equal(stored(registry), 1);
    assert_int_equal(shown(registry, "s"), 1);
    registry_set_replicating(registry, false);
    registry_expire(registry, at_ms(TTL_MS - TICK_MS));
    assert_int_equal(shown(registry, "s"), 1);
    assert_int_equal(renew(registry, "s", "a", at_ms(TTL_MS - TICK_MS)), ERR_NONE);
    registry_expire(registry, at_ms(TTL_MS + 2 * TICK_MS));
    assert_int_equal(shown(registry, "s"), 1);
    registry_expire(registry, at_ms(2 * TTL_MS + 2 * TICK_MS));
    assert_int_equal(shown(registry, "s"), 0);
    registry_free(registry);
}

static void a_newer_record_stays(void **state)
{
    (void)state;
    struct registry *registry = make();
    assert_int_equal(
        say_registered(registry, (struct word){.stamp = 5, .machine = "new"}, at_ms(0)), ERR_NONE);
    char *before = holdings(registry);
    check_restore(registry, (struct word){.stamp = 4, .machine = "old"}, at_ms(1), RESTORE_NEWER);
    check_restore(registry, (struct word){.stamp = 5, .machine = "new"}, at_ms(1), RESTORE_NEWER);
    check_restore(registry, (struct word){.stamp = 4, .deleted = true}, at_ms(1), RESTORE_NEWER);
    char *after = holdings(registry);
    assert_string_equal(before, after);
    free(before);
    free(after);
    assert_int_equal(drained(registry), 0);
    check_restore(registry, (struct word){.stamp = 6, .machine = "newer"}, at_ms(1), RESTORE_TAKEN);
    assert_int_equal(drained(registry), 1);
    registry_free(registry);
}

/* The client has registered the stored content here again after the change in the file. */
static void a_later_registration_of_the_same_content_stays(void **state)
{
    (void)state;
    struct registry *registry = make();
    put(registry, "s", "a", at_ms(0));
    put(registry, "s", "a", at_ms(10));
    struct word between = {.stamp = (5 << 16), .machine = "between"}; /* at 5 ms */
    check_restore(registry, between, at_ms(20), RESTORE_NEWER);
    registry_free(registry);
}

static void a_newer_tombstone_stays(void **state)
{
    (void)state;
    struct registry *registry = make();
    assert_int_equal(say_unregistered(registry, (struct word){.stamp = 5}, at_ms(0)), ERR_NONE);
    check_restore(registry, (struct word){.stamp = 4}, at_ms(1), RESTORE_NEWER);
    assert_true(is_tombstone(registry, "s", "a"));
    check_restore(registry, (struct word){.stamp = 6}, at_ms(1), RESTORE_TAKEN);
    assert_true(is_registered(registry, "s", "a"));
    registry_free(registry);
}

static void a_newer_tombstone_of_the_file_unregisters(void **state)
{
    (void)state;
    struct registry *registry = make();
    assert_int_equal(say_registered(registry, (struct word){.stamp = 5}, at_ms(0)), ERR_NONE);
    check_restore(registry, (struct word){.stamp = 6, .deleted = true}, at_ms(1), RESTORE_TAKEN);
    assert_true(is_tombstone(registry, "s", "a"));
    check_restore(registry, (struct word){.stamp = 7, .deleted = true}, at_ms(1), RESTORE_TAKEN);
    assert_int_equal(drained(registry), 1); /* once, with its latest state */
    registry_free(registry);
}

/* Its stamp says when it was made; nothing is to delete. */
static void an_old_tombstone_of_the_file_has_no_effect(void **state)
{
    (void)state;
    struct registry *registry = make();
    check_restore(registry, (struct word){.stamp = 1, .deleted = true}, at_ms(TOMBSTONE_MS + 1000),
                  RESTORE_ENDED);
    assert_int_equal(stats_of(registry).tombstones, 0);
    check_restore(registry, (struct word){.stamp = 1, .deleted = true}, at_ms(TOMBSTONE_MS - 1000),
                  RESTORE_TAKEN);
    assert_int_equal(stats_of(registry).tombstones, 1);
    registry_free(registry);
}

static void a_record_without_a_possible_stamp_is_refused(void **state)
{
    (void)state;
    struct registry *registry = make();
    enum restore_result result = RESTORE_RESULTS;
    assert_int_equal(restore(registry, (struct word){.stamp = 0}, false, at_ms(0), &result),
                     ERR_INVALID_FIELD);
    struct word ahead = {.stamp = (2 * CLOCK_AHEAD_MAX_MS) << 16};
    assert_int_equal(restore(registry, ahead, false, at_ms(0), &result), ERR_VERSION_AHEAD);
    assert_int_equal(restore(registry, ahead, true, at_ms(0), &result), ERR_VERSION_AHEAD);
    assert_int_equal(result, RESTORE_RESULTS);
    assert_int_equal(stats_of(registry).instances, 0);
    registry_free(registry);
}

/* A call that fails has changed nothing. */
static void each_allocation_of_a_restore_can_fail(void **state)
{
    (void)state;
    const struct word words[] = {{.stamp = 5, .machine = "m"}, {.stamp = 5, .deleted = true}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        for (long n = 1;; n++) {
            struct registry *registry = make();
            enum restore_result result;
            struct instance_key key = make_key("s", "a");
            struct wire_record record = {.stamp = word_stamp(&words[i]),
                                         .deleted = words[i].deleted};
            if (words[i].deleted)
                record.key = &key;
            else
                record.instance = make_instance((struct brief){.service = "s", .id = "a"});
            failing_malloc_after(n);
            enum error error = registry_restore(registry, &record, false, at_ms(0), &result);
            bool happened = failing_malloc_happened();
            failing_malloc_after(-1);
            instance_unref(record.instance);
            registry_validate(registry);
            bool is_known = is_registered(registry, "s", "a") || is_tombstone(registry, "s", "a");
            assert_int_equal(is_known, error == ERR_NONE);
            registry_free(registry);
            if (!happened)
                break;
            assert_true(error == ERR_NO_MEMORY || error == ERR_NONE);
        }
}

/* Storage, and no cluster: an unregistered instance leaves no tombstone. Enough of them to free
 * memory of the store. */
static void unregistering_everything_without_tombstones_is_stored(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    struct registry_options options = usual_options();
    options.storing = true;
    struct registry *registry = make_registry_with(options);
    put_many(registry, "s", 0, COUNT, at_ms(0));
    while (stored(registry))
        continue;
    for (unsigned i = 0; i < COUNT; i++) {
        char id[16];
        snprintf(id, sizeof(id), "i%u", i);
        take_out(registry, "s", id, at_ms(1));
    }
    assert_int_equal(stored(registry), 0);
    assert_int_equal(registry_unstored(registry), COUNT);
    registry_validate(registry);
    registry_free(registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_restored_instance_gets_a_whole_lease),
        cmocka_unit_test(a_newer_record_stays),
        cmocka_unit_test(a_later_registration_of_the_same_content_stays),
        cmocka_unit_test(a_newer_tombstone_stays),
        cmocka_unit_test(a_newer_tombstone_of_the_file_unregisters),
        cmocka_unit_test(an_old_tombstone_of_the_file_has_no_effect),
        cmocka_unit_test(a_record_without_a_possible_stamp_is_refused),
        cmocka_unit_test(each_allocation_of_a_restore_can_fail),
        cmocka_unit_test(unregistering_everything_without_tombstones_is_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
