/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/limits/client_table.h"

#include <string.h>
#include <xxhash.h>

void client_table_init(struct client_table *table, uint64_t hash_seed)
{
    table->hash_seed = hash_seed;
    for (int i = 0; i < CLIENT_LOCKS; i++)
        pthread_mutex_init(&table->_shared.locks[i], NULL);
}

void client_table_free(struct client_table *table)
{
    for (int i = 0; i < CLIENT_LOCKS; i++)
        pthread_mutex_destroy(&table->_shared.locks[i]);
}

static pthread_mutex_t *lock_of(struct client_table *table, size_t set)
{
    return &table->_shared.locks[set % CLIENT_LOCKS];
}

static void clear_set(struct client_table *table, size_t set)
{
    pthread_mutex_lock(lock_of(table, set));
    for (int i = 0; i < CLIENTS_PER_SET; i++)
        memset(table->_shared.sets[set][i].full_at_ns, 0,
               sizeof(table->_shared.sets[set][i].full_at_ns));
    pthread_mutex_unlock(lock_of(table, set));
}

void client_table_set(struct client_table *table, uint32_t requests_per_second, uint32_t burst_size)
{
    if (rate_limit_set(&table->limit, requests_per_second, burst_size) &&
        atomic_load_explicit(&table->count, memory_order_relaxed) > 0)
        for (size_t set = 0; set < CLIENT_SETS; set++)
            clear_set(table, set);
}

/* An entry that is not in use, else the one that was used least recently. */
static struct client_entry *oldest(struct client_entry *set)
{
    struct client_entry *found = &set[0];
    for (int i = 0; i < CLIENTS_PER_SET; i++) {
        if (!set[i].is_used)
            return &set[i];
        if (set[i].used_ms < found->used_ms)
            found = &set[i];
    }
    return found;
}

/* The caller holds the lock of the set. */
static struct client_entry *find_or_add(struct client_table *table, struct client_entry *set,
                                        const struct client_id *id, uint64_t hash)
{
    for (int i = 0; i < CLIENTS_PER_SET; i++)
        if (set[i].is_used && set[i].hash == hash && client_id_equal(&set[i].id, id))
            return &set[i];
    struct client_entry *entry = oldest(set);
    atomic_fetch_add_explicit(entry->is_used ? &table->replaced : &table->count, 1,
                              memory_order_relaxed);
    *entry = (struct client_entry){.is_used = true, .id = *id, .hash = hash};
    return entry;
}

/* Takes the lock of the set, and finds or adds the client. */
static struct client_entry *lock_client(struct client_table *table, const struct client *client,
                                        uint64_t now_ms, pthread_mutex_t **lock)
{
    struct client_id id = client_id_of(client);
    uint64_t hash = XXH3_64bits_withSeed(id.bytes, id.size, table->hash_seed + id.is_token);
    size_t set = hash % CLIENT_SETS;
    *lock = lock_of(table, set);
    pthread_mutex_lock(*lock);
    struct client_entry *entry = find_or_add(table, table->_shared.sets[set], &id, hash);
    entry->used_ms = now_ms;
    return entry;
}

bool client_table_admit(struct client_table *table, const struct client *client, unsigned bucket,
                        uint64_t now_ms)
{
    uint64_t next_ns;
    pthread_mutex_t *lock;
    struct client_entry *entry = lock_client(table, client, now_ms, &lock);
    bool admitted = rate_limit_next(&table->limit, entry->full_at_ns[bucket], now_ms, &next_ns);
    if (admitted)
        entry->full_at_ns[bucket] = next_ns;
    entry->refused += !admitted;
    pthread_mutex_unlock(lock);
    return admitted;
}

void client_table_add_refused(struct client_table *table, const struct client *client,
                              uint64_t now_ms)
{
    pthread_mutex_t *lock;
    lock_client(table, client, now_ms, &lock)->refused++;
    pthread_mutex_unlock(lock);
}

uint64_t client_table_take_heaviest(struct client_table *table, char name[CLIENT_NAME_BYTES])
{
    struct client_id heaviest;
    uint64_t most = 0;
    for (size_t set = 0; set < CLIENT_SETS; set++) {
        pthread_mutex_lock(lock_of(table, set));
        for (int i = 0; i < CLIENTS_PER_SET; i++) {
            struct client_entry *entry = &table->_shared.sets[set][i];
            if (entry->refused > most) {
                most = entry->refused;
                heaviest = entry->id;
            }
            if (entry->refused)
                entry->refused = 0;
        }
        pthread_mutex_unlock(lock_of(table, set));
    }
    if (most > 0)
        client_id_write(&heaviest, name);
    return most;
}
