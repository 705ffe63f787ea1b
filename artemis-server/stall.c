/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/stall.h"

void stall_set_limit(struct stall *stall, uint64_t ttl_ms)
{
    uint64_t limit_ms = ttl_ms / 3 > STALL_MS_MIN ? ttl_ms / 3 : STALL_MS_MIN;
    atomic_store_explicit(&stall->limit_ms, limit_ms, memory_order_relaxed);
}

void stall_init(struct stall *stall, uint64_t ttl_ms, uint64_t now_ms)
{
    stall_set_limit(stall, ttl_ms);
    atomic_init(&stall->ticked_ms, now_ms);
    atomic_init(&stall->ended_ms, 0);
    atomic_init(&stall->count, 0);
}

bool stall_is_unrecorded(const struct stall *stall, uint64_t now_ms)
{
    uint64_t limit_ms = atomic_load_explicit(&stall->limit_ms, memory_order_relaxed);
    return now_ms > atomic_load_explicit(&stall->ticked_ms, memory_order_acquire) + limit_ms;
}

uint64_t stall_tick(struct stall *stall, uint64_t now_ms)
{
    uint64_t last_ms = atomic_load_explicit(&stall->ticked_ms, memory_order_relaxed);
    bool has_ended = stall_is_unrecorded(stall, now_ms);
    if (has_ended) {
        atomic_store_explicit(&stall->ended_ms, now_ms, memory_order_relaxed);
        atomic_fetch_add_explicit(&stall->count, 1, memory_order_relaxed);
    }
    atomic_store_explicit(&stall->ticked_ms, now_ms, memory_order_release);
    return has_ended ? now_ms - last_ms : 0;
}

bool stall_is_recent(const struct stall *stall, uint64_t now_ms)
{
    if (stall_is_unrecorded(stall, now_ms))
        return true;
    uint64_t ended_ms = atomic_load_explicit(&stall->ended_ms, memory_order_relaxed);
    return ended_ms && now_ms < ended_ms + STALL_RECENT_MS;
}

bool stall_has_queued(const struct stall *stall, uint64_t received_ms, uint64_t now_ms)
{
    if (stall_is_unrecorded(stall, now_ms))
        return true;
    uint64_t ended_ms = atomic_load_explicit(&stall->ended_ms, memory_order_relaxed);
    return ended_ms && received_ms <= ended_ms + STALL_RECEIVE_ERROR_MS;
}
