/* SPDX-License-Identifier: Apache-2.0
 *
 * ring - how consistent hashing spreads and moves keys, and what a search costs.
 *
 * Prints a row for each number of instances: the largest and the smallest share of the keys,
 * divided by the mean (up to 100 instances); the keys that move when one instance joins, divided
 * by its share; the keys that move between other instances; the processor time of a search, hashes
 * of the instances included; and, for comparison, time and memory of a sorted list of all virtual
 * nodes. Takes some seconds.
 */
#include "artemis-core/ring/ring.h"

#include "artemis-core/model/instance.h"
#include "bench/common.h"

#include <time.h>

enum { COUNT_MAX = 10001, KEYS_MAX = 200000, OFFERS_MAX = 100000000 };

struct point {
    uint64_t hash;
    uint32_t index;
};

static char names[COUNT_MAX][64];
static uint64_t identities[COUNT_MAX];

static struct slice name_of(uint32_t index)
{
    return (struct slice){names[index], sizeof names[index]};
}

static uint32_t find(uint32_t count, uint32_t key, bool hash_instances)
{
    char text[16];
    struct ring_search search;
    int size = snprintf(text, sizeof text, "user-%u", key);
    ring_search_begin(&search, (struct slice){text, (size_t)size});
    for (uint32_t i = 0; i < count; i++)
        ring_search_offer(&search, hash_instances ? ring_identity(name_of(i)) : identities[i],
                          WEIGHT_DEFAULT, i);
    return search.index;
}

static double cpu_secs(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

static int by_hash(const void *a, const void *b)
{
    uint64_t x = ((const struct point *)a)->hash;
    uint64_t y = ((const struct point *)b)->hash;
    return (x > y) - (x < y);
}

static double list_ms(uint32_t count)
{
    uint32_t total = count * RING_SEGMENTS;
    struct point *points = calloc(total, sizeof *points);
    if (!points)
        die("out of memory");
    double begin = cpu_secs();
    for (uint32_t i = 0; i < total; i++) {
        const uint64_t node[2] = {identities[i / RING_SEGMENTS], i % RING_SEGMENTS};
        points[i] = (struct point){ring_identity((struct slice){(const char *)node, sizeof node}),
                                   i / RING_SEGMENTS};
    }
    qsort(points, total, sizeof *points, by_hash);
    double secs = cpu_secs() - begin;
    free(points);
    return secs * 1000;
}

static void measure(uint32_t count)
{
    uint32_t keys = OFFERS_MAX / count < KEYS_MAX ? OFFERS_MAX / count : KEYS_MAX;
    uint32_t *found = calloc(keys, sizeof *found);
    uint32_t *own = calloc(count + 1, sizeof *own);
    uint32_t most = 0, least = keys, moved = 0, elsewhere = 0;
    if (!found || !own)
        die("out of memory");
    for (uint32_t k = 0; k < keys; k++)
        own[found[k] = find(count, k, false)]++;
    for (uint32_t i = 0; i < count; i++) {
        most = own[i] > most ? own[i] : most;
        least = own[i] < least ? own[i] : least;
    }
    for (uint32_t k = 0; k < keys; k++) {
        uint32_t now = find(count + 1, k, false);
        moved += now == count;
        elsewhere += now != count && now != found[k];
    }
    uint32_t searches = 1 + 2000000 / count;
    double begin = cpu_secs();
    for (uint32_t k = 0; k < searches; k++)
        (void)find(count, k, true);
    double us = (cpu_secs() - begin) * 1e6 / searches;
    double mean = (double)keys / count;
    char shares[32] = "      -         -      -"; /* too few keys for an instance */
    if (mean >= 1000)
        snprintf(shares, sizeof shares, "%7.2f  %8.2f  %5.2f", most / mean, least / mean,
                 moved * (count + 1.0) / keys);
    printf("%9u  %s  %9u  %9.1f  %7.1f  %7.2f\n", count, shares, elsewhere, us, list_ms(count),
           (double)count * RING_SEGMENTS * sizeof(struct point) / 1e6);
    free(found);
    free(own);
}

int main(void)
{
    static const uint32_t counts[] = {3, 10, 100, 1000, 10000};
    for (uint32_t i = 0; i < COUNT_MAX; i++) {
        snprintf(names[i], sizeof names[i], "region zone1 orders instance-%u", i);
        identities[i] = ring_identity(name_of(i));
    }
    printf("instances  largest  smallest  moved  elsewhere  search us  list ms  list MB\n");
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        measure(counts[i]);
    return 0;
}
