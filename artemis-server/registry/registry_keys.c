/* SPDX-License-Identifier: Apache-2.0
 *
 * Finding services and keys, and locking their shards.
 */
#include "artemis-server/registry/registry.h"

#include <assert.h>
#include <string.h>
#include <xxhash.h>

#include "artemis-server/registry/registry_internal.h"

struct service_location registry_locate(struct registry *registry, struct slice service_id)
{
    uint64_t hash =
        XXH3_64bits_withSeed(service_id.data, service_id.size, registry->options.hash_seed);
    return (struct service_location){&registry->shards[hash >> (64 - SHARD_BITS)], (uint32_t)hash};
}

static uint32_t record_hash(const struct registry *registry, struct slice packed_key)
{
    return (uint32_t)XXH3_64bits_withSeed(packed_key.data, packed_key.size,
                                          registry->options.hash_seed);
}

struct locked_service registry_lock_service(struct registry *registry, struct slice service_id)
{
    struct service_location location = registry_locate(registry, service_id);
    struct locked_service found = {.locked = location.locked, .shard = &location.locked->shard};
    pthread_mutex_lock(&found.locked->lock);
    found.number = shard_find_service(found.shard, location.hash, service_id);
    found.service = found.number ? shard_service(found.shard, found.number) : NULL;
    return found;
}

/* The service of a packed key: its third part. */
static struct slice service_of(struct slice packed_key)
{
    uint16_t end[KEY_FIELDS];
    memcpy(end, packed_key.data, sizeof(end));
    return (struct slice){packed_key.data + sizeof(end) + end[FIELD_SERVICE - 1],
                          (size_t)(end[FIELD_SERVICE] - end[FIELD_SERVICE - 1])};
}

struct locked_key registry_lock_key(struct registry *registry, struct slice packed_key)
{
    struct locked_key key = {
        .location = registry_locate(registry, service_of(packed_key)),
        .hash = record_hash(registry, packed_key),
    };
    key.locked = key.location.locked;
    key.shard = &key.locked->shard;
    pthread_mutex_lock(&key.locked->lock);
    key.number = shard_find(key.shard, key.hash, packed_key);
    key.record = key.number ? shard_record(key.shard, key.number) : NULL;
    return key;
}

/* Keys by shard. The lists are linked by index. */
struct key_order {
    uint64_t shards;                 /* a bit for each shard that has a key */
    uint8_t first[SHARD_COUNT];      /* meaningful for these */
    uint8_t next[REGISTRY_KEYS_MAX]; /* NO_KEY: the last */
    uint32_t hashes[REGISTRY_KEYS_MAX];
    uint32_t service_hashes[REGISTRY_KEYS_MAX];
    uint32_t numbers[REGISTRY_KEYS_MAX]; /* of records with that hash; 0: none */
};

enum { NO_KEY = 0xFF };
static_assert((int)REGISTRY_KEYS_MAX <= NO_KEY && SHARD_COUNT <= 64, "indexes and bits fit");

static void order_keys(struct registry *registry, const struct instance_key *const keys[],
                       size_t count, struct key_order *order)
{
    order->shards = 0;
    for (size_t i = count; i-- > 0;) {
        struct slice packed = instance_key_packed(keys[i]);
        struct service_location location = registry_locate(registry, service_of(packed));
        size_t shard = (size_t)(location.locked - registry->shards);
        uint64_t bit = UINT64_C(1) << shard;
        order->hashes[i] = record_hash(registry, packed);
        order->service_hashes[i] = location.hash;
        order->next[i] = order->shards & bit ? order->first[shard] : NO_KEY;
        order->first[shard] = (uint8_t)i;
        order->shards |= bit;
    }
}

/* Finds the records of the keys of a shard by their hashes. What the visits will read is loaded for
 * all of them at once: slots of the index, then records, then instances. For a key that is not
 * known, shard_insert reads the index of services. */
static void find_by_hash(const struct shard *shard, struct key_order *order, uint8_t first)
{
    for (uint8_t i = first; i != NO_KEY; i = order->next[i])
        hash_index_prefetch(&shard->record_index, order->hashes[i]);
    for (uint8_t i = first; i != NO_KEY; i = order->next[i]) {
        order->numbers[i] = hash_index_guess(&shard->record_index, order->hashes[i]);
        if (order->numbers[i])
            __builtin_prefetch(shard_record(shard, order->numbers[i]), true);
        else
            hash_index_prefetch(&shard->service_index, order->service_hashes[i]);
    }
    for (uint8_t i = first; i != NO_KEY; i = order->next[i])
        if (order->numbers[i])
            __builtin_prefetch(shard_record(shard, order->numbers[i])->instance);
}

static void find_again(struct locked_key *key, struct slice packed)
{
    key->number = shard_find(key->shard, key->hash, packed);
    key->record = key->number ? shard_record(key->shard, key->number) : NULL;
}

/* The record of a key, of which the first with its hash is known. */
static void find_key(struct locked_key *key, uint32_t number, struct slice packed)
{
    struct record *record = number ? shard_record(key->shard, number) : NULL;
    key->number = number;
    key->record = record;
    if (record && !slice_equal(instance_packed_key(record->instance), packed))
        find_again(key, packed);
}

void registry_visit_keys(struct registry *registry, const struct instance_key *const keys[],
                         size_t count, bool inserts, key_visitor *visit, void *context)
{
    struct key_order order;
    assert(count <= REGISTRY_KEYS_MAX);
    order_keys(registry, keys, count, &order);
    for (uint64_t shards = order.shards; shards; shards &= shards - 1) {
        struct locked_shard *locked = &registry->shards[__builtin_ctzll(shards)];
        uint8_t first = order.first[locked - registry->shards];
        struct locked_key key = {.locked = locked, .shard = &locked->shard};
        pthread_mutex_lock(&locked->lock);
        find_by_hash(key.shard, &order, first);
        for (uint8_t i = first; i != NO_KEY; i = order.next[i]) {
            key.location = (struct service_location){locked, order.service_hashes[i]};
            key.hash = order.hashes[i];
            if (inserts)
                find_again(&key, instance_key_packed(keys[i]));
            else
                find_key(&key, order.numbers[i], instance_key_packed(keys[i]));
            visit(registry, &key, i, context);
        }
        registry_unlock(registry, locked);
    }
}

void registry_unlock(struct registry *registry, struct locked_shard *locked)
{
    struct cached_responses evicted = locked->shard.evicted_responses;
    SLIST_INIT(&locked->shard.evicted_responses);
    pthread_mutex_unlock(&locked->lock);
    change_log_wake(&registry->log);
    cached_response_free_evicted(&evicted);
}
