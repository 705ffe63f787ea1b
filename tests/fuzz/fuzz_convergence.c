/* SPDX-License-Identifier: Apache-2.0
 *
 * The same changes reach two nodes in different orders, with changes of clients in between. When
 * the nodes have exchanged their records, both hold the same.
 *
 * The input begins with a table: for each stamp what the change was (equal stamps name the same
 * change). Then follow operations of two bytes: the change of a peer reaches one of the nodes, or a
 * client changes or renews an instance there.
 */
#include <stdio.h>
#include <string.h>

#include "artemis-core/model/hlc.h"
#include "artemis-server/registry/registry_replication.h"
#include "tests/fuzz/support/fuzz.h"

enum {
    NODES = 2,
    KEYS = 3,
    TIMES = 8,
    ISSUERS = 3,
    TABLE_BYTES = TIMES * ISSUERS,
    OPERATIONS_MAX = 64,
    ROUNDS = 4, /* of exchanging all records */
    TTL_MS = 30000,
};

static const struct moment now = {1000000, 1771056000000};
static const char *const node_ids[NODES] = {"n1", "n3"};
static const char *const issuers[ISSUERS] = {"n0", "n2", "n4"}; /* of changes of other nodes */
static struct registry *nodes[NODES];

/* What a change was. */
struct fuzz_change {
    bool deleted;
    uint64_t client_revision; /* 0: none */
    int64_t content;
};

static struct fuzz_change change_of(uint8_t byte)
{
    return (struct fuzz_change){
        .deleted = byte & 1, .client_revision = byte >> 1 & 3, .content = byte};
}

static struct instance *create_instance(int key, struct fuzz_change change)
{
    char id[] = {(char)('a' + key), '\0'};
    struct instance *instance = NULL;
    struct field_problem problem;
    struct instance_spec spec = {.text = {[FIELD_REGION] = SLICE("r"),
                                          [FIELD_ZONE] = SLICE("z"),
                                          [FIELD_SERVICE] = SLICE("s"),
                                          [FIELD_INSTANCE] = slice_of(id),
                                          [FIELD_IP] = SLICE("1")},
                                 .port = change.content,
                                 .client_revision = change.client_revision};
    enum error error = instance_create(&spec, &instance, &problem);
    assert(!error);
    return instance;
}

static struct instance_key key_of(const struct instance *instance)
{
    struct instance_key key;
    enum error error = instance_key_unpack(instance_packed_key(instance), &key);
    assert(!error);
    return key;
}

/* --- operations ------------------------------------------------------------------------------- */

static void apply(struct registry *registry, struct wire_record *record)
{
    enum error error = record->deleted ? registry_apply_unregister(registry, record, now)
                                       : registry_apply(registry, record, now);
    assert(!error);
}

/* The change of a peer with this stamp; half of the stamps are in the future of the nodes. */
static void apply_change(struct registry *registry, int key, int stamp, struct fuzz_change change)
{
    struct instance *instance = create_instance(key, change);
    struct instance_key packed = key_of(instance);
    uint64_t ms = now.wall_ms + (uint64_t)(stamp / ISSUERS) - TIMES / 2;
    struct wire_record record = {.stamp = {ms << 16, slice_of(issuers[stamp % ISSUERS])},
                                 .deleted = change.deleted,
                                 .client_revision = change.deleted ? change.client_revision : 0};
    if (change.deleted)
        record.key = &packed;
    else
        record.instance = instance;
    apply(registry, &record);
    instance_unref(instance);
}

static void change_here(struct registry *registry, int key, struct fuzz_change change)
{
    struct instance *instance = create_instance(key, change);
    struct instance_key packed = key_of(instance);
    enum error error = change.deleted
                           ? registry_unregister(registry, &packed, change.client_revision, now)
                           : registry_register(registry, instance, now);
    assert(!error || error == ERR_STALE_REVISION);
    instance_unref(instance);
}

/* Registers the stored content again. */
static void renew_here(struct registry *registry, int key)
{
    struct record_copy copy;
    struct instance *instance = create_instance(key, (struct fuzz_change){0});
    if (registry_read_key(registry, instance_packed_key(instance), &copy)) {
        enum error error =
            copy.deleted ? ERR_NONE : registry_register(registry, copy.instance, now);
        assert(!error || error == ERR_STALE_REVISION);
        record_copy_unref(&copy);
    }
    instance_unref(instance);
}

static void run(const uint8_t table[TABLE_BYTES], const uint8_t operation[2])
{
    struct registry *registry = nodes[operation[0] % NODES];
    int key = (operation[0] >> 1) % KEYS;
    int kind = operation[0] >> 4;
    int stamp = operation[1] % TABLE_BYTES;
    if (kind < 10)
        apply_change(registry, key, stamp, change_of(table[stamp]));
    else if (kind < 13)
        change_here(registry, key, change_of(operation[1]));
    else
        renew_here(registry, key);
}

/* --- the end ---------------------------------------------------------------------------------- */

static void copy_record(struct registry *from, struct registry *to, int key)
{
    struct record_copy copy;
    struct instance *instance = create_instance(key, (struct fuzz_change){0});
    if (registry_read_key(from, instance_packed_key(instance), &copy)) {
        struct wire_record record = registry_wire_record(from, &copy, now);
        apply(to, &record);
        record_copy_unref(&copy);
    }
    instance_unref(instance);
}

static void check_same(int key)
{
    struct record_copy copies[NODES];
    bool known[NODES];
    struct instance *instance = create_instance(key, (struct fuzz_change){0});
    for (int i = 0; i < NODES; i++)
        known[i] = registry_read_key(nodes[i], instance_packed_key(instance), &copies[i]);
    instance_unref(instance);
    assert(known[0] == known[1]);
    if (!known[0])
        return;
    struct wire_record a = registry_wire_record(nodes[0], &copies[0], now);
    struct wire_record b = registry_wire_record(nodes[1], &copies[1], now);
    assert(a.deleted == b.deleted && stamp_compare(a.stamp, b.stamp) == 0);
    /* Their client revisions may differ: a node that had an earlier record keeps its revision. */
    assert(a.deleted || instance_port(copies[0].instance) == instance_port(copies[1].instance));
    for (int i = 0; i < NODES; i++)
        record_copy_unref(&copies[i]);
}

static void check_converges(void)
{
    static uint64_t digests[NODES][DIGEST_BUCKETS];
    for (int i = 0; i < NODES * ROUNDS; i++)
        for (int key = 0; key < KEYS; key++)
            copy_record(nodes[i % NODES], nodes[(i + 1) % NODES], key);
    for (int key = 0; key < KEYS; key++)
        check_same(key);
    for (int i = 0; i < NODES; i++) {
        registry_digests(nodes[i], digests[i]);
        registry_validate(nodes[i]);
    }
    assert(memcmp(digests[0], digests[1], sizeof(digests[0])) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < TABLE_BYTES)
        return 0;
    for (int i = 0; i < NODES; i++) {
        const struct registry_options options = {.hash_seed = 1,
                                                 .ttl_ms = TTL_MS,
                                                 .cleanup_interval_ms = 60000,
                                                 .cache_expiry_ms = 300000,
                                                 .change_log_capacity = 64,
                                                 .node_id = node_ids[i],
                                                 .tombstone_ms = 600000};
        enum error error = registry_create(&options, now, &nodes[i]);
        assert(!error);
        registry_set_replicating(nodes[i], true);
    }
    const uint8_t *operation = data + TABLE_BYTES;
    for (size_t i = 0; i < OPERATIONS_MAX && 2 * i + 1 < size - TABLE_BYTES; i++)
        run(data, operation + 2 * i);
    check_converges();
    for (int i = 0; i < NODES; i++)
        registry_free(nodes[i]);
    return 0;
}
