/* SPDX-License-Identifier: Apache-2.0
 *
 * The ring: the hash function by its published vectors, searches against all virtual nodes, and the
 * bounds of how keys spread and move. The bounds are six standard deviations: an instance with V
 * virtual nodes gets its share of the keys within 1 / sqrt(V), and keys are samples.
 */
#include "artemis-core/ring/ring.h"

#include <murmurhash.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "artemis-core/model/instance.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/random.h"

enum { KEYS = 20000, INSTANCES_MAX = 64, NONE = -1 };

struct candidate {
    uint64_t identity;
    uint32_t weight;
};

static struct candidate candidates[INSTANCES_MAX];

static void make_candidates(int count, uint32_t weight)
{
    for (int i = 0; i < count; i++) {
        char name[32];
        int size = snprintf(name, sizeof name, "an instance %d", i);
        candidates[i] =
            (struct candidate){ring_identity((struct slice){name, (size_t)size}), weight};
    }
}

static struct slice key_of(int number, char buffer[16])
{
    return (struct slice){buffer, (size_t)snprintf(buffer, 16, "user-%d", number)};
}

/* In the reverse order if `count` is below 0. */
static int find(int count, struct slice key)
{
    struct ring_search search;
    int last = abs(count);
    ring_search_begin(&search, key);
    for (int k = 0; k < last; k++) {
        int i = count < 0 ? last - 1 - k : k;
        ring_search_offer(&search, candidates[i].identity, candidates[i].weight, (uint32_t)i);
    }
    return search.found ? (int)search.index : NONE;
}

static void find_all(int count, int found[KEYS])
{
    char buffer[16];
    for (int k = 0; k < KEYS; k++)
        found[k] = find(count, key_of(k, buffer));
}

/* --- the hash function ------------------------------------------------------------------------ */

/* The vectors that implementations of MurmurHash3_x86_32 publish, and the verification value of
 * SMHasher: the hash of the hashes of 256 keys. */
static void murmurhash_agrees_with_published_vectors(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t seed;
        uint32_t hash;
    } vectors[] = {
        {"", 0, 0},
        {"", 1, 0x514E28B7},
        {"", 0xFFFFFFFF, 0x81F16F39},
        {"test", 0, 0xBA6BD213},
        {"test", 0x9747B28C, 0x704B81DC},
        {"Hello, world!", 0, 0xC0363E43},
        {"Hello, world!", 0x9747B28C, 0x24884CBA},
        {"The quick brown fox jumps over the lazy dog", 0, 0x2E4FF723},
        {"The quick brown fox jumps over the lazy dog", 0x9747B28C, 0x2FA826CD},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        uint32_t hash;
        lmmh_x86_32(vectors[i].text, (unsigned)strlen(vectors[i].text), vectors[i].seed, &hash);
        assert_int_equal(hash, vectors[i].hash);
    }
    uint8_t keys[256];
    uint32_t small[256];
    uint64_t large[256][2];
    for (unsigned i = 0; i < 256; i++) {
        keys[i] = (uint8_t)i;
        lmmh_x86_32(keys, i, 256 - i, &small[i]);
        lmmh_x64_128(keys, i, 256 - i, large[i]);
    }
    uint32_t of_small;
    uint64_t of_large[2];
    lmmh_x86_32(small, sizeof small, 0, &of_small);
    lmmh_x64_128(large, sizeof large, 0, of_large);
    assert_int_equal(of_small, 0xB0F57EE3);
    assert_int_equal((uint32_t)of_large[0], 0x6384BA69);
}

/* --- searches --------------------------------------------------------------------------------- */

static uint32_t reversed(uint32_t byte)
{
    uint32_t bits = 0;
    for (int i = 0; i < 8; i++)
        bits |= (byte >> i & 1) << (7 - i);
    return bits;
}

/* The same by going over all virtual nodes of all instances. */
static int find_slowly(int count, struct slice key)
{
    uint64_t hash[2];
    lmmh_x64_128(key.data, (unsigned)key.size, 0, hash);
    const uint64_t ring_size = UINT64_C(1) << 40;
    uint64_t at = hash[0] >> 56 << 32 | (uint32_t)hash[0];
    uint64_t nearest = UINT64_MAX;
    int found = NONE;
    for (int i = 0; i < count; i++) {
        uint32_t nodes = (candidates[i].weight * 256 + 99) / 100;
        for (uint32_t node = 0; node < nodes; node++) {
            uint64_t segment = (reversed(node % 256) + (candidates[i].identity >> 56)) % 256;
            uint32_t place;
            lmmh_x86_32(&candidates[i].identity, 8, node, &place);
            uint64_t distance = ((segment << 32 | place) + ring_size - at) % ring_size;
            if (distance < nearest) {
                nearest = distance;
                found = i;
            }
        }
    }
    return found;
}

static void search_finds_the_next_virtual_node(void **state)
{
    (void)state;
    uint64_t seed = 7;
    for (int round = 0; round < 2000; round++) {
        static const uint32_t limits[] = {2, 10, 101, WEIGHT_MAX + 1};
        char buffer[16];
        int count = 1 + (int)random_below(&seed, 8);
        make_candidates(count, 0);
        for (int i = 0; i < count; i++)
            candidates[i].weight = random_below(&seed, limits[round % 4]);
        struct slice key = key_of(round, buffer);
        int expected = find_slowly(count, key);
        assert_int_equal(find(count, key), expected);
        assert_int_equal(find(-count, key), expected); /* whatever the order */
    }
}

static void nothing_is_found_without_a_weight(void **state)
{
    (void)state;
    make_candidates(3, 0);
    assert_int_equal(find(3, SLICE("key")), NONE);
    assert_int_equal(find(0, SLICE("key")), NONE);
    candidates[1].weight = 1;
    assert_int_equal(find(3, SLICE("key")), 1);
}

/* Other programs that know the ring rely on it, and so do clients while nodes are replaced. */
static void places_do_not_change_with_the_version(void **state)
{
    (void)state;
    static const int expected[] = {5, 5, 3, 8, 5, 1, 7, 9, 0, 2};
    char buffer[16];
    make_candidates(10, WEIGHT_DEFAULT);
    for (int k = 0; k < (int)(sizeof expected / sizeof *expected); k++)
        assert_int_equal(find(10, key_of(k, buffer)), expected[k]);
}

/* --- how keys spread and move ----------------------------------------------------------------- */

static double share_of(int index, int count)
{
    double total = 0;
    for (int i = 0; i < count; i++)
        total += candidates[i].weight;
    return candidates[index].weight / total;
}

/* Fails unless an instance with this share has about as many keys. */
static void check_keys(int keys, double share, uint32_t weight)
{
    const double deviations = 6;
    double nodes = weight * 256.0 / WEIGHT_DEFAULT;
    double expected = KEYS * share;
    double variance = expected * expected * (1 / nodes + 1 / expected);
    double off = keys - expected;
    if (off * off > deviations * deviations * variance)
        fail_msg("weight %u: %d keys, should be about %.0f", weight, keys, expected);
}

static void check_spread(int count, const int found[KEYS])
{
    int keys[INSTANCES_MAX] = {0};
    for (int k = 0; k < KEYS; k++)
        keys[found[k]]++;
    for (int i = 0; i < count; i++)
        check_keys(keys[i], share_of(i, count), candidates[i].weight);
}

static void check_moves(int count)
{
    static int before[KEYS], after[KEYS];
    find_all(count, before);
    check_spread(count, before);
    find_all(count + 1, after); /* one joins; seen backwards, it leaves */
    int moved = 0;
    for (int k = 0; k < KEYS; k++) {
        assert_true(after[k] == before[k] || after[k] == count);
        moved += after[k] != before[k];
    }
    check_keys(moved, share_of(count, count + 1), candidates[count].weight);
}

static void joining_instance_takes_its_share_and_nothing_else_moves(void **state)
{
    (void)state;
    for (int count = 1; count < INSTANCES_MAX; count = count * 2 + 1) {
        make_candidates(count + 1, WEIGHT_DEFAULT);
        check_moves(count);
    }
}

static void weights_decide_the_shares(void **state)
{
    (void)state;
    static const uint32_t weights[] = {100, 50, 200, 10, 1000, 33, 101, 500};
    make_candidates(32, 0);
    for (int i = 0; i < 32; i++)
        candidates[i].weight = weights[i % 8];
    for (int count = 2; count < 32; count += 5)
        check_moves(count);
}

static void changed_weight_moves_keys_of_that_instance_only(void **state)
{
    (void)state;
    static int before[KEYS], after[KEYS];
    static const uint32_t weights[] = {0, 1, 40, 100, 250, 1000};
    make_candidates(8, WEIGHT_DEFAULT);
    candidates[3].weight = weights[0];
    find_all(8, before);
    for (size_t w = 1; w < sizeof weights / sizeof *weights; w++) {
        candidates[3].weight = weights[w];
        find_all(8, after);
        for (int k = 0; k < KEYS; k++)
            assert_true(after[k] == before[k] || after[k] == 3);
        memcpy(before, after, sizeof before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(murmurhash_agrees_with_published_vectors),
        cmocka_unit_test(search_finds_the_next_virtual_node),
        cmocka_unit_test(nothing_is_found_without_a_weight),
        cmocka_unit_test(places_do_not_change_with_the_version),
        cmocka_unit_test(joining_instance_takes_its_share_and_nothing_else_moves),
        cmocka_unit_test(weights_decide_the_shares),
        cmocka_unit_test(changed_weight_moves_keys_of_that_instance_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
