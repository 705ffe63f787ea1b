/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/lease_thread.h"

#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "artemis-server/clock.h"
#include "artemis-server/events/guard_events.h"
#include "artemis-server/leases/timing_wheel.h"
#include "artemis-server/log.h"

enum { CLEANUP_INTERVAL_MS = 1000 };

struct lease_thread {
    struct lease_thread_options options;
    pthread_t id;
    /* Used by the thread alone: */
    bool node_guard_engaged;   /* as last logged */
    uint64_t engaged_services; /* as last logged */
    uint64_t highest_bytes;    /* of stored data */
    struct guard_events guard_events;
    struct {
        pthread_mutex_t lock;
        pthread_cond_t stopped;
        bool stop;
    } _shared;
};

/* Sleeps to the next tick; true when it is time to end. */
static bool wait_for_tick(struct lease_thread *thread, uint64_t now_ms)
{
    uint64_t next_ms = (now_ms / WHEEL_TICK_MS + 1) * WHEEL_TICK_MS;
    struct timespec until = {.tv_sec = (time_t)(next_ms / 1000),
                             .tv_nsec = (long)(next_ms % 1000) * 1000000};
    pthread_mutex_lock(&thread->_shared.lock);
    if (!thread->_shared.stop)
        pthread_cond_timedwait(&thread->_shared.stopped, &thread->_shared.lock, &until);
    bool stop = thread->_shared.stop;
    pthread_mutex_unlock(&thread->_shared.lock);
    return stop;
}

static void log_guards(struct lease_thread *thread, const struct registry_stats *stats)
{
    const struct guard *node = &stats->node_guard;
    bool node_guard_engaged = node->state == GUARD_ENGAGED;
    if (node_guard_engaged != thread->node_guard_engaged)
        log_event(LOG_LEVEL_WARN,
                  node_guard_engaged
                      ? "mass-expiry guard of the node engaged; evictions are suspended"
                      : "mass-expiry guard of the node disengaged; evictions continue",
                  LOG_NUMBER("renewals", node->renewed), LOG_NUMBER("expected", node->expected),
                  LOG_NUMBER("guarded_leases", stats->guarded));
    if (stats->engaged_services != thread->engaged_services)
        log_event(
            LOG_LEVEL_WARN,
            "the number of services with an engaged guard has changed; see `artemis guard status`",
            LOG_NUMBER("engaged", stats->engaged_services),
            LOG_NUMBER("engaged_before", thread->engaged_services),
            LOG_NUMBER("guarded_leases", stats->guarded));
    thread->node_guard_engaged = node_guard_engaged;
    thread->engaged_services = stats->engaged_services;
}

bool should_return_memory(uint64_t *highest_bytes, uint64_t bytes)
{
    enum { WORTH_BYTES = 1024 * 1024 };
    if (bytes > *highest_bytes)
        *highest_bytes = bytes;
    uint64_t freed = *highest_bytes - bytes;
    if (freed < *highest_bytes / 4 || freed < WORTH_BYTES)
        return false;
    *highest_bytes = bytes;
    return true;
}

static void return_memory(struct lease_thread *thread, const struct registry_stats *stats)
{
    enum { INSTANCE_BYTES = 256 }; /* about */
    struct response_cache_stats cached;
    response_cache_stats(thread->options.cache, &cached);
    uint64_t bytes = stats->store_bytes + stats->change_log_bytes + cached.service_bytes +
                     cached.all_services_bytes +
                     (stats->instances + stats->tombstones) * INSTANCE_BYTES;
    if (should_return_memory(&thread->highest_bytes, bytes))
        malloc_trim(0);
}

static void clean_up(struct lease_thread *thread, struct moment now)
{
    struct registry_stats stats;
    registry_cleanup(thread->options.registry, now);
    response_cache_cleanup(thread->options.cache, now);
    registry_stats(thread->options.registry, &stats);
    log_guards(thread, &stats);
    guard_events_publish(&thread->guard_events, thread->options.events, thread->options.registry,
                         &stats, now);
    return_memory(thread, &stats);
}

static void *run(void *argument)
{
    struct lease_thread *thread = argument;
    struct moment now = clock_now();
    uint64_t cleaned_ms = now.mono_ms;
    while (!wait_for_tick(thread, now.mono_ms)) {
        now = clock_now();
        uint64_t stalled_ms = stall_tick(thread->options.stall, now.mono_ms);
        if (stalled_ms)
            thread->options.on_stall(thread->options.context, stalled_ms);
        registry_tick(thread->options.registry, now);
        if (now.mono_ms - cleaned_ms >= CLEANUP_INTERVAL_MS) {
            clean_up(thread, now);
            cleaned_ms = now.mono_ms;
        }
    }
    return NULL;
}

enum error lease_thread_start(const struct lease_thread_options *options, struct lease_thread **out)
{
    struct lease_thread *thread = calloc(1, sizeof(*thread));
    if (!thread)
        return ERR_NO_MEMORY;
    thread->options = *options;
    pthread_mutex_init(&thread->_shared.lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC); /* the wall clock may jump */
    pthread_cond_init(&thread->_shared.stopped, &attributes);
    pthread_condattr_destroy(&attributes);
    registry_tick(options->registry,
                  clock_now()); /* the process may be stopped before the thread's first */
    if (pthread_create(&thread->id, NULL, run, thread) != 0) {
        pthread_cond_destroy(&thread->_shared.stopped);
        pthread_mutex_destroy(&thread->_shared.lock);
        free(thread);
        return ERR_SYSTEM;
    }
    pthread_setname_np(thread->id, "leases");
    *out = thread;
    return ERR_NONE;
}

void lease_thread_stop(struct lease_thread *thread)
{
    if (!thread)
        return;
    pthread_mutex_lock(&thread->_shared.lock);
    thread->_shared.stop = true;
    pthread_cond_signal(&thread->_shared.stopped);
    pthread_mutex_unlock(&thread->_shared.lock);
    pthread_join(thread->id, NULL);
    pthread_cond_destroy(&thread->_shared.stopped);
    pthread_mutex_destroy(&thread->_shared.lock);
    free(thread);
}
