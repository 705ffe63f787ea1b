/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/cluster/providers/kubernetes/kubernetes_watch.h"

#include <stdio.h>

#include "artemis-core/base/backoff.h"

enum { STATUS_GONE = 410 };

uint64_t kubernetes_retry_ms(unsigned failures, uint64_t wait_ms, uint64_t random)
{
    if (wait_ms == 0)
        return backoff_ms(failures, random);
    return wait_ms < KUBERNETES_RETRY_MAX_MS ? wait_ms : KUBERNETES_RETRY_MAX_MS;
}

/* A server that ends every watch at once must not be called without a pause. */
static uint64_t after_start(const struct kubernetes_watch *watch, uint64_t now_ms)
{
    uint64_t next_ms = watch->started_ms + KUBERNETES_RETRY_MS;
    return next_ms > now_ms ? next_ms : now_ms;
}

uint64_t kubernetes_watch_due_ms(const struct kubernetes_watch *watch)
{
    bool is_waiting = watch->running == KUBERNETES_NONE ||
                      (watch->running == KUBERNETES_WATCH && watch->is_refreshing);
    return is_waiting ? watch->due_ms : UINT64_MAX;
}

enum kubernetes_request kubernetes_watch_next(const struct kubernetes_watch *watch, uint64_t now_ms)
{
    if (kubernetes_watch_due_ms(watch) > now_ms)
        return KUBERNETES_NONE;
    return watch->is_listed && !watch->is_refreshing ? KUBERNETES_WATCH : KUBERNETES_LIST;
}

void kubernetes_watch_refresh(struct kubernetes_watch *watch)
{
    watch->is_refreshing = true;
}

void kubernetes_watch_restart(struct kubernetes_watch *watch, uint64_t now_ms)
{
    watch->running = KUBERNETES_NONE;
    watch->is_listed = false;
    watch->due_ms = now_ms;
}

void kubernetes_watch_started(struct kubernetes_watch *watch, enum kubernetes_request request,
                              uint64_t now_ms)
{
    watch->running = request;
    watch->started_ms = now_ms;
}

static void succeed(struct kubernetes_watch *watch)
{
    watch->failing = KUBERNETES_NONE;
    watch->failures = 0;
}

void kubernetes_watch_cancelled(struct kubernetes_watch *watch)
{
    watch->running = KUBERNETES_NONE;
}

void kubernetes_watch_listed(struct kubernetes_watch *watch, const char *version, uint64_t now_ms)
{
    snprintf(watch->version, sizeof(watch->version), "%s", version);
    watch->running = KUBERNETES_NONE;
    watch->is_listed = true;
    watch->is_refreshing = false;
    watch->due_ms = now_ms;
    if (watch->failing == KUBERNETES_LIST)
        succeed(watch);
}

void kubernetes_watch_tick(struct kubernetes_watch *watch, uint64_t now_ms)
{
    if (watch->running == KUBERNETES_WATCH && now_ms >= watch->started_ms + KUBERNETES_STEADY_MS)
        succeed(watch);
}

void kubernetes_watch_moved(struct kubernetes_watch *watch, const char *version)
{
    snprintf(watch->version, sizeof(watch->version), "%s", version);
    succeed(watch);
}

void kubernetes_watch_ended(struct kubernetes_watch *watch, uint64_t now_ms)
{
    watch->running = KUBERNETES_NONE;
    watch->due_ms = after_start(watch, now_ms);
    succeed(watch);
}

bool kubernetes_watch_failed(struct kubernetes_watch *watch, int64_t status, uint64_t wait_ms,
                             uint64_t random, uint64_t now_ms)
{
    enum kubernetes_request failed = watch->running;
    watch->running = KUBERNETES_NONE;
    if (failed == KUBERNETES_WATCH && status != 0)
        watch->is_listed = false;
    if (failed == KUBERNETES_WATCH && status == STATUS_GONE) {
        watch->due_ms = after_start(watch, now_ms);
        return false;
    }
    watch->failing = failed;
    watch->failures++;
    watch->due_ms = now_ms + kubernetes_retry_ms(watch->failures, wait_ms, random);
    return true;
}
