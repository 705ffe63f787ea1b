/* SPDX-License-Identifier: Apache-2.0
 *
 * Agreement as a property: the same messages of peers, in any order and any number of times, give
 * two registries the same content and the same digests. With each allocation failing in turn, a
 * message is applied completely or not at all.
 */
#include "tests/support/failing_malloc.h"
#include "tests/unit/artemis-server/registry/peer_fixture.h"

enum { WORDS = 120, REPEATED = 60, ROUNDS = 60, KEYS = 12 };

static const char *const names[] = {"a", "b", "c"};

/* Content follows from key and version, as it does in life: a version is given once. */
static struct word random_word(uint64_t *seed)
{
    static char ids[KEYS][8];
    static const char *const contents[] = {"m0", "m1", "m2"};
    uint32_t key = random_below(seed, KEYS);
    snprintf(ids[key], sizeof(ids[key]), "i%u", key);
    uint64_t stamp = 1 + random_below(seed, 20);
    uint32_t node = random_below(seed, 3);
    uint64_t fixed = stamp * 31 + node * 7 + key;
    return (struct word){
        .service = key % 3 ? "s" : "t",
        .id = ids[key],
        .stamp = stamp,
        .node = names[node],
        .age_ms = random_below(seed, TTL_MS - 1),
        .machine = contents[fixed % 3],
        .deleted = fixed % 4 == 0,
    };
}

static void say(struct registry *registry, const struct word *word)
{
    if (word->deleted)
        assert_int_equal(say_unregistered(registry, *word, at_ms(0)), ERR_NONE);
    else
        assert_int_equal(say_registered(registry, *word, at_ms(0)), ERR_NONE);
}

static void say_all_shuffled(struct registry *registry, struct word *words, size_t count,
                             uint64_t *seed)
{
    for (size_t i = count; i > 1; i--) {
        size_t j = random_below(seed, i);
        struct word other = words[j];
        words[j] = words[i - 1];
        words[i - 1] = other;
    }
    for (size_t i = 0; i < count; i++) {
        say(registry, &words[i]);
        if (random_below(seed, 4) == 0) /* a renewal of it changes nothing of this */
            (void)say_renewed(registry, words[i], at_ms(0));
    }
}

static void any_order_and_any_repetition_ends_the_same(void **state)
{
    (void)state;
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        struct word words[WORDS + REPEATED];
        uint64_t seed = round;
        for (size_t i = 0; i < WORDS; i++)
            words[i] = random_word(&seed);
        for (size_t i = 0; i < REPEATED; i++)
            words[WORDS + i] = words[random_below(&seed, WORDS)];
        struct registry *one = make_node("a");
        struct registry *other = make_node("b");
        say_all_shuffled(one, words, WORDS, &seed);
        for (size_t i = 0; i < WORDS; i++)
            say(one, &words[i]);
        say_all_shuffled(other, words, WORDS + REPEATED, &seed);
        for (size_t i = 0; i < WORDS; i++)
            say(other, &words[i]); /* what the shuffle moved out of the first part */
        registry_validate(one);
        registry_validate(other);
        if (!same_holdings(one, other) || !same_digests(one, other))
            fail_msg("seed %llu", (unsigned long long)round);
        registry_free(one);
        registry_free(other);
    }
}

/* The same, but the whole set at once on each side, once in order and once backwards. */
static void forwards_and_backwards_end_the_same(void **state)
{
    (void)state;
    struct word words[WORDS];
    uint64_t seed = 4711;
    for (size_t i = 0; i < WORDS; i++)
        words[i] = random_word(&seed);
    struct registry *one = make_node("x");
    struct registry *other = make_node("y");
    for (size_t i = 0; i < WORDS; i++) {
        say(one, &words[i]);
        say(other, &words[WORDS - 1 - i]);
    }
    assert_true(same_holdings(one, other));
    assert_true(same_digests(one, other));
    registry_free(one);
    registry_free(other);
}

/* Changes of one node, sent to another one late and in pieces. */
static void sent_states_make_the_other_equal(void **state)
{
    (void)state;
    struct registry *one = make_node("one");
    struct registry *other = make_node("other");
    registry_set_replicating(one, true);
    uint64_t seed = 5;
    for (unsigned step = 1; step <= 2000; step++) {
        struct word word = random_word(&seed);
        if (word.deleted)
            take_out(one, word.service, word.id, at_ms(step));
        else
            put_as(one,
                   (struct brief){.service = word.service, .id = word.id, .machine = word.machine},
                   at_ms(step));
        if (step % 50)
            continue;
        struct record_copy states[KEYS];
        size_t count = registry_drain_changes(one, states, KEYS);
        for (size_t i = 0; i < count; i++) {
            struct wire_record record = registry_wire_record(one, &states[i], at_ms(step));
            assert_int_equal(record.deleted ? registry_apply_unregister(other, &record, at_ms(step))
                                            : registry_apply(other, &record, at_ms(step)),
                             ERR_NONE);
            record_copy_unref(&states[i]);
        }
        assert_true(same_holdings(one, other));
        assert_true(same_digests(one, other));
    }
    registry_free(one);
    registry_free(other);
}

/* --- many keys at once --- */

enum { SERVICES = 40, IDS = 5, CALLS = 200 };

static void name_key(uint32_t number, char service[16], char id[16])
{
    snprintf(service, 16, "service-%u", number / IDS);
    snprintf(id, 16, "i%u", number % IDS);
}

/* Of all keys, a third is registered, a third unregistered, and a third is not known. */
static struct registry *make_filled_node(void)
{
    struct registry *registry = make_node("self");
    char service[16], id[16];
    for (uint32_t number = 0; number < SERVICES * IDS; number++) {
        name_key(number, service, id);
        if (number % 3 < 2)
            put(registry, service, id, at_ms(number));
        if (number % 3 == 1)
            take_out(registry, service, id, at_ms(number));
    }
    return registry;
}

static void renewals_at_once_are_those_one_by_one(void **state)
{
    (void)state;
    struct registry *at_once = make_filled_node();
    struct registry *one_by_one = make_filled_node();
    struct instance_key keys[REGISTRY_KEYS_MAX];
    const struct instance_key *pointers[REGISTRY_KEYS_MAX];
    bool is_renewed[REGISTRY_KEYS_MAX];
    uint64_t seed = 3;
    uint64_t renewed = 0;
    for (uint32_t call = 0; call < CALLS; call++) {
        struct moment now = at_ms(call * (uint64_t)TTL_MS / 20);
        size_t count = call < 3 ? call : 1 + random_below(&seed, REGISTRY_KEYS_MAX);
        for (size_t i = 0; i < count; i++) {
            char service[16], id[16];
            name_key(random_below(&seed, SERVICES * IDS), service, id);
            keys[i] = make_key(service, id);
            pointers[i] = &keys[i];
        }
        registry_renew_all(at_once, pointers, count, now, is_renewed);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(registry_renew(one_by_one, &keys[i], now),
                             is_renewed[i] ? ERR_NONE : ERR_INSTANCE_NOT_FOUND);
            renewed += is_renewed[i];
        }
    }
    assert_true(renewed > 100);
    assert_int_equal(stats_of(at_once).renewed, renewed);
    registry_free(at_once);
    registry_free(one_by_one);
}

static struct instance *random_instance(uint64_t *seed)
{
    char service[16], id[16];
    name_key(random_below(seed, SERVICES * IDS), service, id);
    return make_instance((struct brief){.service = service,
                                        .id = id,
                                        .port = 80 + (int)random_below(seed, 2),
                                        .revision = random_below(seed, 4)});
}

static bool same_content(struct registry *a, struct registry *b, uint32_t number)
{
    char service[16], id[16];
    struct record_copy left, right;
    name_key(number, service, id);
    bool is_known = read_state(a, service, id, &left);
    if (read_state(b, service, id, &right) != is_known)
        return false;
    if (!is_known)
        return true;
    return left.deleted == right.deleted &&
           instance_client_revision(left.instance) == instance_client_revision(right.instance) &&
           (left.deleted || instance_equal(left.instance, right.instance));
}

enum { TEMPORARY_BYTES = 128 };

static struct instance *temporary_copy(const struct instance *instance, void *memory)
{
    struct instance_spec spec = {.port = instance_port(instance),
                                 .client_revision = instance_client_revision(instance)};
    for (enum instance_field field = 0; field < TEXT_FIELDS; field++)
        spec.text[field] = instance_text(instance, field);
    return instance_create_in(&spec, memory, TEMPORARY_BYTES);
}

/* Temporary instances are repeated within a call, and take the places of tombstones. */
static void registrations_at_once_are_those_one_by_one(void **state)
{
    (void)state;
    struct registry *at_once = make_filled_node();
    struct registry *one_by_one = make_filled_node();
    struct instance *instances[REGISTRY_KEYS_MAX];
    struct instance *temporary[REGISTRY_KEYS_MAX];
    _Alignas(void *) char memory[REGISTRY_KEYS_MAX][TEMPORARY_BYTES];
    enum error errors[REGISTRY_KEYS_MAX];
    uint64_t seed = 5;
    uint32_t of_error[ERROR_COUNT] = {0};
    registry_set_quota(at_once, 4);
    registry_set_quota(one_by_one, 4);
    for (uint32_t call = 0; call < CALLS; call++) {
        struct moment now = at_ms(1000 + call);
        size_t count = call < 3 ? call : 1 + random_below(&seed, REGISTRY_KEYS_MAX);
        for (size_t i = 0; i < count; i++) {
            instances[i] = random_instance(&seed);
            temporary[i] = temporary_copy(instances[i], memory[i]);
        }
        registry_register_all(at_once, temporary, count, now, errors);
        memset(memory, 0xFF, sizeof(memory));
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(registry_register(one_by_one, instances[i], now), errors[i]);
            of_error[errors[i]]++;
            instance_unref(instances[i]);
        }
        for (uint32_t number = 0; number < SERVICES * IDS; number++)
            assert_true(same_content(at_once, one_by_one, number));
    }
    assert_true(of_error[ERR_NONE] > 100 && of_error[ERR_STALE_REVISION] > 100 &&
                of_error[ERR_OVER_QUOTA] > 100);
    assert_int_equal(stats_of(at_once).renewed, stats_of(one_by_one).renewed);
    assert_int_equal(stats_of(at_once).changed, stats_of(one_by_one).changed);
    assert_int_equal(stats_of(at_once).registered, stats_of(one_by_one).registered);
    registry_free(at_once);
    registry_free(one_by_one);
}

/* One in 8 comes from a legacy node, one in 8 is too far ahead of the clock. */
static struct wire_record random_renewal(uint64_t *seed, struct instance_key *key)
{
    char service[16], id[16];
    uint32_t kind = random_below(seed, 8);
    name_key(random_below(seed, SERVICES * IDS), service, id);
    *key = make_key(service, id);
    struct wire_record record = {
        .key = key,
        .stamp = {full_stamp(1 + random_below(seed, 20)), slice_of(names[random_below(seed, 3)])},
        .age_ms = random_below(seed, 2 * TTL_MS),
        .client_revision = random_below(seed, 2),
        .peer = 1,
    };
    if (kind == 0)
        record.stamp = (struct stamp){0};
    if (kind == 1)
        record.stamp.hlc += UINT64_C(1) << 58;
    return record;
}

static void renewals_of_peers_at_once_are_those_one_by_one(void **state)
{
    (void)state;
    struct registry *at_once = make_filled_node();
    struct registry *one_by_one = make_filled_node();
    struct instance_key keys[REGISTRY_KEYS_MAX];
    struct wire_record records[REGISTRY_KEYS_MAX];
    enum error errors[REGISTRY_KEYS_MAX];
    uint64_t seed = 4;
    uint32_t of_error[ERROR_COUNT] = {0};
    for (uint32_t call = 0; call < CALLS; call++) {
        struct moment now = at_ms(call * (uint64_t)TTL_MS / 20);
        size_t count = call < 3 ? call : 1 + random_below(&seed, REGISTRY_KEYS_MAX);
        for (size_t i = 0; i < count; i++)
            records[i] = random_renewal(&seed, &keys[i]);
        registry_apply_renewals(at_once, records, count, now, errors);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(registry_apply_renewal(one_by_one, &records[i], now), errors[i]);
            of_error[errors[i]]++;
        }
    }
    assert_true(of_error[ERR_NONE] > 100 && of_error[ERR_INSTANCE_NOT_FOUND] > 100);
    assert_true(of_error[ERR_VERSION_AHEAD] > 100);
    const struct registry_stats a = stats_of(at_once);
    const struct registry_stats b = stats_of(one_by_one);
    assert_true(a.renewed_by_peers > 100 && a.renewed_by_peers == b.renewed_by_peers);
    assert_true(a.refused_stamps == b.refused_stamps && a.node_ids == b.node_ids);
    registry_validate(at_once);
    registry_free(at_once);
    registry_free(one_by_one);
}

/* --- without memory --- */

static long sweep(struct registry *registry, const struct word *word)
{
    for (long n = 1;; n++) {
        char *before = holdings(registry);
        struct instance *instance = make_instance(
            (struct brief){.service = word->service, .id = word->id, .machine = word->machine});
        struct instance_key key = make_key(word->service, word->id);
        struct wire_record record = {.key = &key,
                                     .instance = word->deleted ? NULL : instance,
                                     .stamp = word_stamp(word),
                                     .deleted = word->deleted};
        failing_malloc_after(n);
        enum error error = word->deleted ? registry_apply_unregister(registry, &record, at_ms(0))
                                         : registry_apply(registry, &record, at_ms(0));
        bool failed = failing_malloc_happened();
        failing_malloc_after(-1);
        instance_unref(instance);
        registry_validate(registry);
        char *after = holdings(registry);
        bool same = strcmp(before, after) == 0;
        free(before);
        free(after);
        if (!failed) {
            assert_int_equal(error, ERR_NONE);
            return n - 1;
        }
        if (error)
            assert_true(error == ERR_NO_MEMORY && same);
        else /* the only one that is optional: the small copy of a tombstone */
            return n;
    }
}

static void every_word_is_taken_whole_or_not_at_all(void **state)
{
    (void)state;
    long live = failing_malloc_live();
    struct registry *registry = make_node("self");
    uint64_t seed = 11;
    long failures = 0;
    char node[16];
    for (unsigned i = 0; i < 150; i++) {
        struct word word = random_word(&seed);
        char id[16];
        snprintf(id, sizeof(id), "i%u", i % 40);
        snprintf(node, sizeof(node), "node%u", i % 20);
        word.id = id;
        word.node = node;
        failures += sweep(registry, &word);
    }
    assert_true(failures > 50);
    registry_free(registry);
    assert_int_equal(failing_malloc_live(), live);
}

static void unregistering_an_unknown_key_without_memory_is_retried(void **state)
{
    (void)state;
    struct registry *registry = make_node("self");
    registry_set_replicating(registry, true);
    for (long n = 1;; n++) {
        failing_malloc_after(n);
        take_out(registry, "s", "a", at_ms(0));
        bool failed = failing_malloc_happened();
        failing_malloc_after(-1);
        registry_validate(registry);
        assert_int_equal(is_tombstone(registry, "s", "a"), !failed);
        if (!failed)
            break;
    }
    registry_free(registry);
}

static void creating_is_all_or_nothing(void **state)
{
    (void)state;
    struct registry_options options = usual_options();
    options.node_id = "self";
    for (long n = 1;; n++) {
        long live = failing_malloc_live();
        struct registry *registry = NULL;
        failing_malloc_after(n);
        enum error error = registry_create(&options, at_ms(0), &registry);
        bool failed = failing_malloc_happened();
        failing_malloc_after(-1);
        if (!failed) {
            assert_int_equal(error, ERR_NONE);
            registry_free(registry);
            break;
        }
        assert_int_equal(error, ERR_NO_MEMORY);
        assert_int_equal(failing_malloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order_and_any_repetition_ends_the_same),
        cmocka_unit_test(forwards_and_backwards_end_the_same),
        cmocka_unit_test(sent_states_make_the_other_equal),
        cmocka_unit_test(renewals_at_once_are_those_one_by_one),
        cmocka_unit_test(registrations_at_once_are_those_one_by_one),
        cmocka_unit_test(renewals_of_peers_at_once_are_those_one_by_one),
        cmocka_unit_test(every_word_is_taken_whole_or_not_at_all),
        cmocka_unit_test(unregistering_an_unknown_key_without_memory_is_retried),
        cmocka_unit_test(creating_is_all_or_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
