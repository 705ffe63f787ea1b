/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/lease_thread.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "artemis-server/clock.h"
#include "artemis-server/log.h"
#include "artemis-server/registry/lease_wheel.h"

enum { CLEANUP_INTERVAL_MS = 1000 };

struct lease_thread {
    struct registry *registry;
    pthread_t id;
    bool node_guarded; /* as last logged; the thread's own, like the next */
    uint64_t guarded_services;
    struct {
        pthread_mutex_t lock;
        pthread_cond_t evictions_suspended;
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
        pthread_cond_timedwait(&thread->_shared.evictions_suspended, &thread->_shared.lock, &until);
    bool stop = thread->_shared.stop;
    pthread_mutex_unlock(&thread->_shared.lock);
    return stop;
}

/* What an operator must know without confirming: that evictions have evictions_suspended, or go on.
 */
static void log_guards(struct lease_thread *thread)
{
    struct registry_stats stats;
    registry_stats(thread->registry, &stats);
    bool node_guarded = stats.node_guard.state == GUARD_ENGAGED;
    if (node_guarded != thread->node_guarded)
        log_line(
            LOG_LEVEL_WARN,
            node_guarded ? "guard of the node: on, %u of %u expected renewals came; nothing is "
                           "evicted, %llu ended leases are held"
                         : "guard of the node: off, %u of %u expected renewals; %llu held",
            stats.node_guard.renewed, stats.node_guard.expected, (unsigned long long)stats.guarded);
    if (stats.guarded_services != thread->guarded_services)
        log_line(LOG_LEVEL_WARN,
                 "guards of services: on for %llu (before: %llu), %llu ended leases "
                 "are guarded; /api/status/leases tells which",
                 (unsigned long long)stats.guarded_services,
                 (unsigned long long)thread->guarded_services, (unsigned long long)stats.guarded);
    thread->node_guarded = node_guarded;
    thread->guarded_services = stats.guarded_services;
}

static void *run(void *argument)
{
    struct lease_thread *thread = argument;
    struct moment now = clock_now();
    uint64_t cleaned_ms = now.mono_ms;
    while (!wait_for_tick(thread, now.mono_ms)) {
        now = clock_now();
        registry_expire(thread->registry, now);
        if (now.mono_ms - cleaned_ms >= CLEANUP_INTERVAL_MS) {
            registry_cleanup(thread->registry, now);
            log_guards(thread);
            cleaned_ms = now.mono_ms;
        }
    }
    return NULL;
}

enum error lease_thread_start(struct registry *registry, struct lease_thread **out)
{
    struct lease_thread *thread = calloc(1, sizeof(*thread));
    if (!thread)
        return ERR_NO_MEMORY;
    thread->registry = registry;
    pthread_mutex_init(&thread->_shared.lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC); /* a jumped clock wakes nobody */
    pthread_cond_init(&thread->_shared.evictions_suspended, &attributes);
    pthread_condattr_destroy(&attributes);
    if (pthread_create(&thread->id, NULL, run, thread) != 0) {
        pthread_cond_destroy(&thread->_shared.evictions_suspended);
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
    pthread_cond_signal(&thread->_shared.evictions_suspended);
    pthread_mutex_unlock(&thread->_shared.lock);
    pthread_join(thread->id, NULL);
    pthread_cond_destroy(&thread->_shared.evictions_suspended);
    pthread_mutex_destroy(&thread->_shared.lock);
    free(thread);
}
