/* SPDX-License-Identifier: Apache-2.0
 *
 * How nodes compare: digests are equal if and only if the registered instances are; buckets list
 * their records; and the snapshot has every record once, the tombstones last, whatever changes
 * meanwhile.
 */
#include "tests/support/failing_malloc.h"
#include "tests/unit/artemis-server/registry/peer_fixture.h"

static struct registry *node;
static struct registry *other;

static int set_up(void **state)
{
    (void)state;
    node = make_node("one");
    other = make_node("other");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    registry_validate(node);
    registry_free(node);
    registry_free(other);
    return 0;
}

static void say_to_both(struct word word)
{
    assert_int_equal(say_registered(node, word, at_ms(0)), ERR_NONE);
    assert_int_equal(say_registered(other, word, at_ms(0)), ERR_NONE);
}

/* --- digests --- */

static void digests_of_nothing_are_zero(void **state)
{
    (void)state;
    uint64_t digests[DIGEST_BUCKETS];
    registry_digests(node, digests);
    for (int i = 0; i < DIGEST_BUCKETS; i++)
        assert_true(digests[i] == 0);
}

static void digests_are_equal_for_the_same_words(void **state)
{
    (void)state;
    for (uint64_t i = 1; i < 200; i++) {
        char id[16];
        snprintf(id, sizeof(id), "i%u", (unsigned)i);
        say_to_both((struct word){.id = id, .stamp = i, .node = i % 2 ? "x" : "y"});
    }
    assert_true(same_digests(node, other));
}

static void digests_differ_by_the_stamp(void **state)
{
    (void)state;
    say_registered(node, (struct word){.stamp = 1}, at_ms(0));
    say_registered(other, (struct word){.stamp = 2}, at_ms(0));
    assert_false(same_digests(node, other));
}

static void digests_differ_by_the_origin(void **state)
{
    (void)state;
    say_registered(node, (struct word){.stamp = 1, .node = "x"}, at_ms(0));
    say_registered(other, (struct word){.stamp = 1, .node = "y"}, at_ms(0));
    assert_false(same_digests(node, other));
}

/* A node of an earlier version stores the change without it. */
static void digests_differ_by_the_weight(void **state)
{
    (void)state;
    say_registered(node, (struct word){.stamp = 1, .weight = 7}, at_ms(0));
    say_registered(other, (struct word){.stamp = 1}, at_ms(0));
    assert_false(same_digests(node, other));
}

static void change_without_its_weight_gets_it(void **state)
{
    (void)state;
    say_registered(node, (struct word){.stamp = 1, .weight = 7}, at_ms(0));
    say_registered(other, (struct word){.stamp = 1}, at_ms(0));
    say_registered(other, (struct word){.stamp = 1, .weight = 7}, at_ms(0));
    say_registered(node, (struct word){.stamp = 1}, at_ms(0)); /* keeps it */
    assert_true(same_holdings(node, other));
    assert_true(same_digests(node, other));
    struct record_copy state_here;
    assert_true(read_state(node, "s", "a", &state_here));
    assert_int_equal(instance_weight(state_here.instance), 7);
}

static void digests_follow_the_weight(void **state)
{
    (void)state;
    say_registered(node, (struct word){.stamp = 1, .weight = 7}, at_ms(0));
    say_registered(node, (struct word){.stamp = 2, .weight = 8}, at_ms(0));
    say_registered(node, (struct word){.stamp = 3, .weight = 8}, at_ms(0)); /* the same content */
    say_registered(other, (struct word){.stamp = 3, .weight = 8}, at_ms(0));
    assert_true(same_digests(node, other));
    say_registered(node, (struct word){.stamp = 4}, at_ms(0));
    say_registered(other, (struct word){.stamp = 4}, at_ms(0));
    assert_true(same_digests(node, other));
}

static void digests_follow_the_weight_that_a_client_registers(void **state)
{
    (void)state;
    put_as(node, (struct brief){.service = "s", .id = "a", .weight = 7}, at_ms(0));
    put_as(node, (struct brief){.service = "s", .id = "a", .weight = 8}, at_ms(1));
    struct record_copy copy;
    struct instance_key key = make_key("s", "a");
    assert_true(registry_read_key(node, instance_key_packed(&key), &copy));
    struct wire_record record = registry_wire_record(node, &copy, at_ms(1));
    assert_int_equal(registry_apply(other, &record, at_ms(1)), ERR_NONE);
    record_copy_unref(&copy);
    assert_true(same_digests(node, other));
    take_out(node, "s", "a", at_ms(2));
    take_out(other, "s", "a", at_ms(2));
    digests_of_nothing_are_zero(state);
}

static void digests_differ_by_the_key(void **state)
{
    (void)state;
    say_registered(node, (struct word){.id = "a", .stamp = 1}, at_ms(0));
    say_registered(other, (struct word){.id = "b", .stamp = 1}, at_ms(0));
    assert_false(same_digests(node, other));
}

static void digests_do_not_differ_by_the_lease(void **state)
{
    (void)state;
    say_to_both((struct word){.stamp = 1});
    renew(node, "s", "a", at_ms(5000));
    assert_true(same_digests(node, other));
}

static void digests_do_not_contain_removed_records(void **state)
{
    (void)state;
    say_to_both((struct word){.stamp = 1});
    put(node, "s", "evicted", at_ms(0));
    renew(node, "s", "a", at_ms(20000));
    registry_expire(node, at_ms(TTL_MS + TICK_MS));
    put(node, "s", "unregistered", at_ms(TTL_MS + TICK_MS));
    take_out(node, "s", "unregistered", at_ms(TTL_MS + TICK_MS));
    assert_true(same_digests(node, other)); /* tombstones are not in them */
}

static void digests_have_53_bits(void **state)
{
    (void)state;
    uint64_t digests[DIGEST_BUCKETS];
    put_many(node, "s", 0, 3000, at_ms(0));
    registry_digests(node, digests);
    for (int i = 0; i < DIGEST_BUCKETS; i++)
        assert_true(digests[i] < (uint64_t)1 << 53);
}

static void digests_have_equal_tags_if_they_are_equal(void **state)
{
    (void)state;
    char tags[3][DIGESTS_TAG_BYTES];
    uint64_t digests[DIGEST_BUCKETS] = {0};
    registry_digests_tag(digests, tags[0]);
    digests[DIGEST_BUCKETS - 1] = 1;
    registry_digests_tag(digests, tags[1]);
    digests[0] = 1;
    registry_digests_tag(digests, tags[2]);
    assert_string_not_equal(tags[0], tags[1]);
    assert_string_not_equal(tags[1], tags[2]);
    digests[0] = digests[DIGEST_BUCKETS - 1] = 0;
    registry_digests_tag(digests, tags[1]);
    assert_string_equal(tags[0], tags[1]);
}

static void digest_that_differs_is_that_of_the_keys_bucket(void **state)
{
    (void)state;
    uint64_t ours[DIGEST_BUCKETS], theirs[DIGEST_BUCKETS];
    struct instance_key key = make_key("s", "a");
    uint32_t bucket = registry_bucket(instance_key_packed(&key));
    put(node, "s", "a", at_ms(0));
    registry_digests(node, ours);
    registry_digests(other, theirs);
    for (uint32_t i = 0; i < DIGEST_BUCKETS; i++)
        assert_int_equal(ours[i] != theirs[i], i == bucket);
}

/* --- buckets --- */

static void list_has_what_is_in_the_buckets_and_nothing_else(void **state)
{
    (void)state;
    enum { KEYS = 9000 };
    struct bucket_set set = {0};
    struct record_copy *states = NULL;
    size_t count = 0;
    put_many(node, "s", 0, KEYS, at_ms(0));
    for (uint32_t bucket = 0; bucket < DIGEST_BUCKETS; bucket += 3)
        bucket_set_add(&set, bucket);
    size_t expected = 0;
    for (unsigned i = 0; i < KEYS; i++) {
        char id[16];
        snprintf(id, sizeof(id), "i%u", i);
        struct instance_key key = make_key("s", id);
        expected += bucket_set_has(&set, registry_bucket(instance_key_packed(&key)));
    }
    assert_int_equal(registry_list_buckets(node, &set, &states, &count), ERR_NONE);
    assert_int_equal(count, expected);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(registry_bucket(instance_packed_key(states[i].instance)) % 3, 0);
        record_copy_unref(&states[i]);
    }
    free(states);
}

static void list_has_tombstones_too(void **state)
{
    (void)state;
    put(node, "s", "a", at_ms(0));
    take_out(node, "s", "a", at_ms(1));
    say_unregistered(node, (struct word){.id = "b", .stamp = 1}, at_ms(1));
    char *lines = holdings(node);
    assert_non_null(strstr(lines, "s/a"));
    assert_non_null(strstr(lines, "s/b"));
    free(lines);
}

static void list_of_no_buckets_is_empty(void **state)
{
    (void)state;
    const struct bucket_set none = {0};
    struct record_copy *states = NULL;
    size_t count = 1;
    put(node, "s", "a", at_ms(0));
    assert_int_equal(registry_list_buckets(node, &none, &states, &count), ERR_NONE);
    assert_int_equal(count, 0);
    free(states);
}

static void list_without_memory_leaves_nothing_and_a_retry_works(void **state)
{
    (void)state;
    struct bucket_set all;
    memset(&all, 0xff, sizeof(all));
    put_many(node, "s", 0, 3000, at_ms(0));
    for (long n = 1;; n++) {
        struct record_copy *states = NULL;
        size_t count = 0;
        long live = failing_malloc_live();
        failing_malloc_after(n);
        enum error error = registry_list_buckets(node, &all, &states, &count);
        bool failed = failing_malloc_happened();
        failing_malloc_after(-1);
        if (!failed) {
            assert_int_equal(error, ERR_NONE);
            assert_int_equal(count, 3000);
            for (size_t i = 0; i < count; i++)
                record_copy_unref(&states[i]);
            free(states);
            assert_true(n > 3);
            return;
        }
        assert_int_equal(error, ERR_NO_MEMORY);
        assert_int_equal(failing_malloc_live(), live);
        registry_validate(node);
    }
}

/* --- the walk --- */

enum { SERVICES = 300, EACH = 5 };

/* How often the walk showed i<number> of any service v<n>, and what it saw of tombstones. */
struct walked {
    unsigned times[SERVICES][EACH];
    unsigned tombstones;
    bool instance_after_tombstone;
};

static void fill(void)
{
    for (int i = 0; i < SERVICES; i++) {
        char service[16];
        snprintf(service, sizeof(service), "v%d", i);
        put_many(node, service, 0, EACH, at_ms(0));
    }
}

static void note(struct walked *walked, struct slice id, const struct record_copy *state)
{
    unsigned service, number;
    struct slice name = instance_text(state->instance, FIELD_INSTANCE);
    struct slice own = instance_text(state->instance, FIELD_SERVICE);
    if (state->deleted) {
        assert_int_equal(id.size, 0);
        walked->tombstones++;
        return;
    }
    walked->instance_after_tombstone |= walked->tombstones > 0;
    assert_true(slice_equal(id, own));
    char text[64];
    snprintf(text, sizeof(text), "%.*s %.*s", (int)own.size, own.data, (int)name.size, name.data);
    if (sscanf(text, "v%u i%u", &service, &number) == 2 && service < SERVICES && number < EACH)
        walked->times[service][number]++;
}

static void walk(struct walked *walked, void (*meanwhile)(unsigned step))
{
    struct registry_cursor cursor = {0};
    char id_buffer[ID_BYTES_MAX];
    *walked = (struct walked){0};
    for (unsigned step = 0;; step++) {
        struct record_copy *states = NULL;
        struct slice id;
        size_t count = 0;
        assert_int_equal(registry_snapshot_next(node, &cursor, id_buffer, &id, &states, &count),
                         ERR_NONE);
        for (size_t i = 0; i < count; i++) {
            note(walked, id, &states[i]);
            record_copy_unref(&states[i]);
        }
        free(states);
        if (count == 0)
            break;
        if (meanwhile)
            meanwhile(step);
        registry_validate(node);
    }
    struct record_copy *states = NULL;
    struct slice id;
    size_t count = 1;
    assert_int_equal(registry_snapshot_next(node, &cursor, id_buffer, &id, &states, &count),
                     ERR_NONE);
    assert_int_equal(count, 0); /* it stays at its end */
}

static void walk_over_nothing_ends_at_once(void **state)
{
    (void)state;
    struct walked walked;
    walk(&walked, NULL);
    assert_int_equal(walked.tombstones, 0);
}

static void walk_shows_everything_once_and_tombstones_last(void **state)
{
    (void)state;
    static struct walked walked;
    fill();
    for (unsigned i = 0; i < 200; i++) {
        char id[16];
        snprintf(id, sizeof(id), "gone%u", i);
        say_unregistered(node, (struct word){.service = id, .id = id, .stamp = 1}, at_ms(0));
    }
    take_out(node, "v7", "i3", at_ms(1));
    walk(&walked, NULL);
    for (int i = 0; i < SERVICES; i++)
        for (int j = 0; j < EACH; j++)
            assert_int_equal(walked.times[i][j], i == 7 && j == 3 ? 0 : 1);
    assert_int_equal(walked.tombstones, 201);
    assert_false(walked.instance_after_tombstone);
}

/* Services come, go and change on the way; v<even> stay as they are. */
static void disturb(unsigned step)
{
    char service[16];
    uint64_t seed = step;
    unsigned number = random_below(&seed, SERVICES / 2) * 2 + 1;
    snprintf(service, sizeof(service), "v%u", number);
    for (unsigned i = 0; i < EACH; i++) {
        char id[8];
        snprintf(id, sizeof(id), "i%u", i);
        take_out(node, service, id, at_ms(step));
    }
    snprintf(service, sizeof(service), "new%u", step);
    put_many(node, service, 0, 2, at_ms(step));
    if (step % 10 == 0)
        registry_cleanup(node, at_ms(100000 + step)); /* emptied services go, numbers are reused */
}

static void walk_shows_what_stays_once_whatever_else_changes(void **state)
{
    (void)state;
    static struct walked walked;
    fill();
    walk(&walked, disturb);
    for (int i = 0; i < SERVICES; i++)
        for (int j = 0; j < EACH; j++)
            assert_true(i % 2 ? walked.times[i][j] <= 1 : walked.times[i][j] == 1);
}

static void walk_without_memory_goes_on_where_it_was(void **state)
{
    (void)state;
    static struct walked walked;
    struct registry_cursor cursor = {0};
    char id_buffer[ID_BYTES_MAX];
    long failures = 0;
    put_many(node, "v1", 0, EACH, at_ms(0));
    put_many(node, "v2", 0, EACH, at_ms(0));
    say_unregistered(node, (struct word){.stamp = 1}, at_ms(0));
    walked = (struct walked){0};
    for (bool fail = true;; fail = !fail) {
        struct record_copy *states = NULL;
        struct slice id;
        size_t count = 0;
        failing_malloc_after(fail ? 1 : -1);
        enum error error = registry_snapshot_next(node, &cursor, id_buffer, &id, &states, &count);
        failures += failing_malloc_happened();
        failing_malloc_after(-1);
        if (error) {
            assert_int_equal(error, ERR_NO_MEMORY);
            assert_int_equal(count, 0);
            continue;
        }
        for (size_t i = 0; i < count; i++) {
            note(&walked, id, &states[i]);
            record_copy_unref(&states[i]);
        }
        free(states);
        if (count == 0)
            break;
    }
    assert_int_equal(failures, 3);
    for (int j = 0; j < EACH; j++)
        assert_true(walked.times[1][j] == 1 && walked.times[2][j] == 1);
    assert_int_equal(walked.tombstones, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(digests_of_nothing_are_zero),
        TEST(digests_are_equal_for_the_same_words),
        TEST(digests_differ_by_the_stamp),
        TEST(digests_differ_by_the_origin),
        TEST(digests_differ_by_the_key),
        TEST(digests_differ_by_the_weight),
        TEST(change_without_its_weight_gets_it),
        TEST(digests_follow_the_weight),
        TEST(digests_follow_the_weight_that_a_client_registers),
        TEST(digests_do_not_differ_by_the_lease),
        TEST(digests_do_not_contain_removed_records),
        TEST(digests_have_53_bits),
        TEST(digests_have_equal_tags_if_they_are_equal),
        TEST(digest_that_differs_is_that_of_the_keys_bucket),
        TEST(list_has_what_is_in_the_buckets_and_nothing_else),
        TEST(list_has_tombstones_too),
        TEST(list_of_no_buckets_is_empty),
        TEST(list_without_memory_leaves_nothing_and_a_retry_works),
        TEST(walk_over_nothing_ends_at_once),
        TEST(walk_shows_everything_once_and_tombstones_last),
        TEST(walk_shows_what_stays_once_whatever_else_changes),
        TEST(walk_without_memory_goes_on_where_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
