/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/registry/change_log.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#define NO_WAKEUP UINT64_MAX

enum error change_log_init(struct change_log *log, uint32_t capacity, uint64_t floor,
                           struct moment now)
{
    assert(capacity && (capacity & (capacity - 1)) == 0);
    *log = (struct change_log){.capacity = capacity};
    log->_shared.ring = calloc(capacity, sizeof(*log->_shared.ring));
    log->_shared.before = calloc(capacity, sizeof(*log->_shared.before));
    if (!log->_shared.ring || !log->_shared.before) {
        free(log->_shared.ring);
        free(log->_shared.before);
        *log = (struct change_log){0};
        return ERR_NO_MEMORY;
    }
    pthread_mutex_init(&log->_shared.lock, NULL);
    pthread_mutex_init(&log->wakeup_lock, NULL);
    uint64_t start = now.wall_ms * 1000 > floor ? now.wall_ms * 1000 : floor;
    atomic_init(&log->revision, start);
    atomic_init(&log->wake_after, NO_WAKEUP);
    log->_shared.first = start + 1;
    return ERR_NONE;
}

void change_log_free(struct change_log *log)
{
    if (!log->_shared.ring)
        return;
    for (uint32_t i = 0; i < log->capacity; i++)
        instance_unref(log->_shared.ring[i].instance);
    free(log->_shared.ring);
    free(log->_shared.before);
    pthread_mutex_destroy(&log->_shared.lock);
    pthread_mutex_destroy(&log->wakeup_lock);
    *log = (struct change_log){0};
}

uint64_t change_log_revision(const struct change_log *log)
{
    return atomic_load_explicit(&log->revision, memory_order_acquire);
}

/* Removes the oldest change; the caller releases its instance after it unlocks. */
static struct instance *drop_first(struct change_log *log)
{
    struct change *oldest = &log->_shared.ring[log->_shared.first & (log->capacity - 1)];
    struct instance *instance = oldest->instance;
    oldest->instance = NULL;
    log->_shared.bytes -= instance_kept_size(instance);
    log->_shared.first++;
    return instance;
}

/* Takes a reference to the instance of the change. */
static uint64_t append(struct change_log *log, uint64_t before, struct change change,
                       struct moment now)
{
    enum { DROPPED_AT_ONCE = 4 }; /* a large instance can displace several small ones */
    struct instance *dropped[DROPPED_AT_ONCE];
    int count = 0;
    const struct instance *instance = instance_ref(change.instance);
    change.wall_ms = now.wall_ms & ((1ull << CHANGE_WALL_BITS) - 1);
    pthread_mutex_lock(&log->_shared.lock);
    uint64_t revision = atomic_load_explicit(&log->revision, memory_order_relaxed) + 1;
    if (revision - log->_shared.first == log->capacity)
        dropped[count++] = drop_first(log);
    log->_shared.bytes += instance_kept_size(instance);
    while (log->_shared.bytes > CHANGE_LOG_BYTES_MAX && count < DROPPED_AT_ONCE &&
           log->_shared.first < revision)
        dropped[count++] = drop_first(log);
    log->_shared.ring[revision & (log->capacity - 1)] = change;
    log->_shared.before[revision & (log->capacity - 1)] = before;
    atomic_store(&log->revision, revision); /* in one order with wake_after */
    pthread_mutex_unlock(&log->_shared.lock);
    while (count > 0)
        instance_unref(dropped[--count]);
    return revision;
}

uint64_t change_log_append(struct change_log *log, uint64_t before, struct instance *instance,
                           enum change_type type, struct moment now)
{
    return append(log, before, (struct change){.instance = instance, .type = type}, now);
}

uint64_t change_log_replace(struct change_log *log, uint64_t before, struct instance *instance,
                            const struct instance *old, struct moment now)
{
    bool is_same = slice_equal(instance_common_texts(old), instance_common_texts(instance));
    return append(log, before,
                  (struct change){.instance = instance,
                                  .type = CHANGE_CHANGE,
                                  .old_status = instance_status(old),
                                  .other_texts = !is_same},
                  now);
}

static bool is_outdated(const struct change_log *log, struct moment now)
{
    const struct change *oldest = &log->_shared.ring[log->_shared.first & (log->capacity - 1)];
    return log->_shared.bytes > CHANGE_LOG_KEEP_BYTES &&
           log->_shared.first <= change_log_revision(log) &&
           now.wall_ms > oldest->wall_ms + CHANGE_LOG_KEEP_MS;
}

/* Returns the memory of the pages within an array; they read as zero then. */
static void return_pages(void *array, size_t size)
{
    uintptr_t page = getauxval(AT_PAGESZ);
    uintptr_t begin = ((uintptr_t)array + page - 1) / page * page;
    uintptr_t end = ((uintptr_t)array + size) / page * page;
    if (begin < end)
        madvise((void *)begin, end - begin, MADV_DONTNEED);
}

/* The oldest change was that of revision `first`: returns the memory of the parts of the ring that
 * have become empty. */
static void return_parts(struct change_log *log, uint64_t first)
{
    enum { PART = 4096 }; /* changes; few calls, each of which takes some microseconds */
    for (uint64_t end = (first / PART + 1) * PART; end <= log->_shared.first; end += PART) {
        if (log->capacity < PART || change_log_revision(log) >= end - PART + log->capacity)
            continue; /* later changes are in it */
        size_t at = (end - PART) & (log->capacity - 1);
        return_pages(&log->_shared.ring[at], PART * sizeof(*log->_shared.ring));
        return_pages(&log->_shared.before[at], PART * sizeof(*log->_shared.before));
    }
}

void change_log_trim(struct change_log *log, struct moment now)
{
    enum { DROPS_PER_LOCK = 64 };
    struct instance *dropped[DROPS_PER_LOCK];
    int count;
    do {
        pthread_mutex_lock(&log->_shared.lock);
        uint64_t first = log->_shared.first;
        for (count = 0; count < DROPS_PER_LOCK && is_outdated(log, now); count++)
            dropped[count] = drop_first(log);
        return_parts(log, first);
        pthread_mutex_unlock(&log->_shared.lock);
        for (int i = 0; i < count; i++)
            instance_unref(dropped[i]);
    } while (count == DROPS_PER_LOCK);
}

void change_log_usage(struct change_log *log, uint64_t *size, uint64_t *bytes)
{
    pthread_mutex_lock(&log->_shared.lock);
    *size = change_log_revision(log) + 1 - log->_shared.first;
    *bytes = log->_shared.bytes;
    pthread_mutex_unlock(&log->_shared.lock);
}

enum error change_log_since(struct change_log *log, uint64_t revision, struct change **out,
                            size_t *count, uint64_t *newest)
{
    /* Nothing is allocated under the lock: memory is allocated before, and again if it was too
     * little. */
    struct change *changes = NULL;
    size_t capacity = 0;
    for (;;) {
        pthread_mutex_lock(&log->_shared.lock);
        uint64_t last = change_log_revision(log);
        bool known = revision + 1 >= log->_shared.first && revision <= last;
        size_t needed = known ? (size_t)(last - revision) : 0;
        if (known && needed <= capacity) {
            for (size_t i = 0; i < needed; i++) {
                changes[i] = log->_shared.ring[(revision + 1 + i) & (log->capacity - 1)];
                instance_ref(changes[i].instance);
            }
            pthread_mutex_unlock(&log->_shared.lock);
            *out = changes;
            *count = needed;
            *newest = last;
            return ERR_NONE;
        }
        pthread_mutex_unlock(&log->_shared.lock);
        free(changes);
        if (!known)
            return ERR_VERSION_GONE;
        capacity = needed + needed / 8 + 16; /* more may come while we allocate */
        changes = malloc(capacity * sizeof(*changes));
        if (!changes)
            return ERR_NO_MEMORY;
    }
}

/* The number of changes of a service after `since`, the latest of which is `last`. False: the log
 * does not have all of them, or they are more than `max`. Under the lock. */
static bool count_of_service(const struct change_log *log, uint64_t last, uint64_t since,
                             size_t max, size_t *count)
{
    uint64_t at = last;
    *count = 0;
    while (at > since) {
        if (at < log->_shared.first || *count == max)
            return false;
        at = log->_shared.before[at & (log->capacity - 1)];
        (*count)++;
    }
    return at || *count == 0; /* what happened to a service before it was new is not known */
}

enum error change_log_of_service(struct change_log *log, uint64_t last, uint64_t since, size_t max,
                                 struct change **out, size_t *count)
{
    struct change *changes = NULL;
    size_t capacity = 0;
    assert(last <= change_log_revision(log));
    for (;;) {
        size_t needed;
        pthread_mutex_lock(&log->_shared.lock);
        bool known = count_of_service(log, last, since, max, &needed);
        if (known && needed <= capacity) {
            for (uint64_t at = last, left = needed; left > 0;) {
                changes[--left] = log->_shared.ring[at & (log->capacity - 1)];
                instance_ref(changes[left].instance);
                at = log->_shared.before[at & (log->capacity - 1)];
            }
            pthread_mutex_unlock(&log->_shared.lock);
            *out = changes;
            *count = needed;
            return ERR_NONE;
        }
        pthread_mutex_unlock(&log->_shared.lock);
        free(changes); /* nothing is allocated under the lock */
        if (!known)
            return ERR_VERSION_GONE;
        capacity = needed;
        changes = malloc(capacity * sizeof(*changes));
        if (!changes)
            return ERR_NO_MEMORY;
    }
}

enum error change_log_read(struct change_log *log, uint64_t revision, struct change *out,
                           size_t max, size_t *count)
{
    pthread_mutex_lock(&log->_shared.lock);
    uint64_t last = change_log_revision(log);
    bool known = revision + 1 >= log->_shared.first && revision <= last;
    size_t ready = known ? (size_t)(last - revision) : 0;
    *count = ready < max ? ready : max;
    for (size_t i = 0; i < *count; i++) {
        out[i] = log->_shared.ring[(revision + 1 + i) & (log->capacity - 1)];
        instance_ref(out[i].instance);
    }
    pthread_mutex_unlock(&log->_shared.lock);
    return known ? ERR_NONE : ERR_VERSION_GONE;
}

bool change_log_arm_wakeup(struct change_log *log, uint64_t revision)
{
    atomic_store(&log->wake_after, revision);
    if (atomic_load(&log->revision) == revision)
        return true;
    atomic_store(&log->wake_after, NO_WAKEUP); /* an additional call has no effect */
    return false;
}

void change_log_disarm_wakeup(struct change_log *log)
{
    pthread_mutex_lock(&log->wakeup_lock);
    atomic_store(&log->wake_after, NO_WAKEUP);
    pthread_mutex_unlock(&log->wakeup_lock);
}

void change_log_wake(struct change_log *log)
{
    uint64_t after = atomic_load(&log->wake_after);
    if (after == NO_WAKEUP || atomic_load(&log->revision) == after)
        return;
    pthread_mutex_lock(&log->wakeup_lock);
    if (atomic_compare_exchange_strong(&log->wake_after, &after, NO_WAKEUP))
        log->wake(log->wake_context);
    pthread_mutex_unlock(&log->wakeup_lock);
}

void change_list_free(struct change *changes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        instance_unref(changes[i].instance);
    free(changes);
}
