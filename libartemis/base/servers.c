/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/base/servers.h"

#include "artemis-core/base/backoff.h"

enum { RETRY_AFTER_MAX_MS = 60000 }; /* longer requests are cut to this */

/* The smaller, the better. */
static int rank_of(const struct servers *servers, size_t index)
{
    if (servers->each[index].failures > 0)
        return 2;
    return servers->each[index].use == SERVER_NODE ? 0 : 1;
}

/* Whether `index` is a better choice than `best`, which comes before it. */
static bool is_better(const struct servers *servers, size_t index, size_t best, uint64_t now_ms)
{
    uint64_t at_ms = servers->each[index].not_before_ms;
    uint64_t best_ms = servers->each[best].not_before_ms;
    if (servers->each[best].use == SERVER_GONE)
        return true;
    if (at_ms > now_ms || best_ms > now_ms)
        return at_ms < best_ms && best_ms > now_ms;
    return rank_of(servers, index) < rank_of(servers, best);
}

static bool is_steady(const struct servers *servers, size_t index, uint64_t now_ms)
{
    return servers->each[index].use != SERVER_GONE && servers->each[index].failures == 0 &&
           servers->each[index].not_before_ms <= now_ms;
}

bool servers_choose(struct servers *servers, uint64_t now_ms, size_t *which, uint64_t *at_ms)
{
    size_t best = servers->current;
    for (size_t step = 1; step < servers->count && !is_steady(servers, servers->current, now_ms);
         step++) {
        size_t index = (servers->current + step) % servers->count;
        if (servers->each[index].use != SERVER_GONE && is_better(servers, index, best, now_ms))
            best = index;
    }
    servers->current = best;
    *at_ms = servers->each[best].not_before_ms;
    if (*at_ms > now_ms)
        return false;
    *which = best;
    return true;
}

void servers_set_use(struct servers *servers, size_t which, enum server_use use)
{
    bool is_other = which >= servers->count || servers->each[which].use == SERVER_GONE;
    if (which >= servers->count)
        servers->count = which + 1;
    if (is_other) {
        servers->each[which].failures = 0;
        servers->each[which].not_before_ms = 0;
    }
    servers->each[which].use = use;
}

void servers_succeeded(struct servers *servers, size_t which)
{
    servers->each[which].failures = 0;
    servers->each[which].not_before_ms = 0;
}

uint64_t servers_retry_after_ms(struct slice value)
{
    uint64_t secs = 0;
    if (!slice_to_u64(value, &secs))
        return 0;
    return secs < RETRY_AFTER_MAX_MS / 1000 ? secs * 1000 : RETRY_AFTER_MAX_MS;
}

void servers_failed(struct servers *servers, size_t which, uint64_t now_ms, uint64_t retry_after_ms,
                    uint64_t random)
{
    if (servers->each[which].failures < UINT32_MAX)
        servers->each[which].failures++;
    uint64_t pause_ms = backoff_ms(servers->each[which].failures, random);
    if (retry_after_ms > RETRY_AFTER_MAX_MS)
        retry_after_ms = RETRY_AFTER_MAX_MS;
    servers->each[which].not_before_ms =
        now_ms + (retry_after_ms > pause_ms ? retry_after_ms : pause_ms);
}
