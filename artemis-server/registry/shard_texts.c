/* SPDX-License-Identifier: Apache-2.0
 *
 * Instances of a shard share their common texts (instance.h).
 */
#include <xxhash.h>

#include "artemis-server/registry/shard.h"

enum {
    SHARED_BYTES_MIN = 24, /* shorter texts take about as much as the pointer to them */
    /* More records are not indexed: if most texts differ, an index of them takes more than it
     * saves. */
    HOLDERS_MIN = 64,
    RECORDS_PER_HOLDER = 4,
};

/* Whether other instances can refer to the texts of this one. */
static bool can_hold(const struct instance *instance)
{
    return !instance_is_sharing(instance) &&
           instance_common_texts(instance).size >= SHARED_BYTES_MIN;
}

static uint32_t hash_of(const struct shard *shard, struct slice texts)
{
    return (uint32_t)XXH3_64bits_withSeed(texts.data, texts.size, shard->settings.hash_seed);
}

static bool holds_texts(const void *context, uint32_t number, const void *wanted)
{
    return slice_equal(instance_common_texts(shard_record(context, number)->instance),
                       *(const struct slice *)wanted);
}

static bool is_number(const void *context, uint32_t number, const void *wanted)
{
    (void)context;
    return number == *(const uint32_t *)wanted;
}

struct instance *shard_share_texts(struct shard *shard, uint32_t number, struct instance *instance)
{
    if (!can_hold(instance))
        return instance_keep(instance);
    struct hash_index *holders = &shard->text_holders;
    struct slice texts = instance_common_texts(instance);
    uint32_t hash = hash_of(shard, texts);
    uint32_t holder = hash_index_find(holders, hash, holds_texts, shard, &texts);
    if (holder) {
        struct instance *sharing = instance_share(instance, shard_record(shard, holder)->instance);
        return sharing ? sharing : instance_keep(instance);
    }
    struct instance *kept = instance_keep(instance);
    uint32_t max = HOLDERS_MIN + shard->record_index.count / RECORDS_PER_HOLDER;
    if (kept && holders->count < max && !hash_index_reserve(holders))
        hash_index_insert(holders, hash, number);
    return kept;
}

void shard_stop_sharing(struct shard *shard, uint32_t number)
{
    const struct instance *instance = shard_record(shard, number)->instance;
    if (!can_hold(instance))
        return;
    uint32_t hash = hash_of(shard, instance_common_texts(instance));
    if (hash_index_find(&shard->text_holders, hash, is_number, NULL, &number))
        hash_index_remove(&shard->text_holders, hash, number);
}

void shard_validate_texts(const struct shard *shard)
{
    for (uint32_t i = 0; i < shard->text_holders.capacity; i++) {
        struct hash_slot slot = shard->text_holders.slots[i];
        if (!slot.element)
            continue;
        const struct record *record = shard_record(shard, slot.element);
        assert(!record_is_tombstone(record) && can_hold(record->instance));
        assert(slot.hash == hash_of(shard, instance_common_texts(record->instance)));
    }
}
