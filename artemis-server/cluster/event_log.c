/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/cluster/event_log.h"

#include <stdio.h>
#include <string.h>

#include "artemis-server/clock.h"
#include "artemis-server/log.h"

void event_log_init(struct event_log *log)
{
    pthread_mutex_init(&log->lock, NULL);
    log->last = 0;
    log->find_id = NULL;
}

void event_log_free(struct event_log *log)
{
    pthread_mutex_destroy(&log->lock);
}

/* The lock is held. */
static void add(struct event_log *log, enum cluster_log_kind kind, const char *url,
                const struct cluster_event *event, uint64_t wall_ms)
{
    struct cluster_log_event *added = &log->events[log->last % CLUSTER_EVENTS_MAX];
    added->number = ++log->last;
    added->wall_ms = wall_ms;
    added->kind = kind;
    added->members = event->topology->count;
    added->node_id[0] = '\0';
    snprintf(added->url, sizeof(added->url), "%s", url);
    snprintf(added->reason, sizeof(added->reason), "%s", event->reason ? event->reason : "");
}

/* The join of a member that leaves now gets its id, too. */
static void set_id(struct event_log *log, const char *url, const char *node_id)
{
    uint64_t first = log->last > CLUSTER_EVENTS_MAX ? log->last - CLUSTER_EVENTS_MAX : 0;
    for (uint64_t i = first; node_id[0] && i < log->last; i++) {
        struct cluster_log_event *event = &log->events[i % CLUSTER_EVENTS_MAX];
        if (!event->node_id[0] && strcmp(event->url, url) == 0)
            snprintf(event->node_id, sizeof(event->node_id), "%s", node_id);
    }
}

static void set_ids(struct event_log *log, const struct member_list *left)
{
    char node_id[MEMBER_NAME_BYTES] = "";
    for (size_t i = 0; log->find_id && i < left->count; i++) {
        log->find_id(log->context, left->items[i].url, node_id);
        set_id(log, left->items[i].url, node_id);
    }
}

static void add_members(struct event_log *log, enum cluster_log_kind kind,
                        const struct member_list *list, const struct cluster_event *event,
                        uint64_t wall_ms)
{
    for (size_t i = 0; i < list->count; i++)
        if (kind != CLUSTER_LOG_LEFT || !member_list_has(event->blocked, list->items[i].url))
            add(log, kind, list->items[i].url, event, wall_ms);
}

/* A member that is blocked while it was in the topology. */
static void add_blocked(struct event_log *log, const struct cluster_event *event, uint64_t wall_ms)
{
    for (size_t i = 0; i < event->left->count; i++)
        if (member_list_has(event->blocked, event->left->items[i].url))
            add(log, CLUSTER_LOG_BLOCKED, event->left->items[i].url, event, wall_ms);
}

static void write_line(const struct cluster_event *event)
{
    switch (event->kind) {
    case CLUSTER_TOPOLOGY_UPDATED:
        log_event(LOG_LEVEL_INFO, "topology changed", LOG_TEXT("reason", event->reason),
                  LOG_NUMBER("members", event->topology->count),
                  LOG_NUMBER("joined", event->joined->count),
                  LOG_NUMBER("left", event->left->count),
                  LOG_NUMBER("blocked", event->blocked->count));
        return;
    case CLUSTER_STARTUP_FAILED:
    case CLUSTER_SHUTDOWN_FAILED:
        log_event(LOG_LEVEL_ERROR,
                  event->kind == CLUSTER_STARTUP_FAILED ? "membership provider failed to start"
                                                        : "membership provider failed to stop",
                  LOG_TEXT("reason", event->reason));
        return;
    case CLUSTER_PROVIDER_FAILED:
        log_event(LOG_LEVEL_ERROR, "membership provider fails; its last list of members stays",
                  LOG_TEXT("reason", event->reason));
        return;
    case CLUSTER_PROVIDER_RECOVERED:
        log_event(LOG_LEVEL_INFO, "membership provider works again",
                  LOG_TEXT("provider", event->reason));
        return;
    case CLUSTER_STARTUP:
    case CLUSTER_SHUTDOWN:
        return;
    }
}

enum cluster_log_kind cluster_log_kind_of(enum cluster_event_kind kind)
{
    static const enum cluster_log_kind kinds[] = {
        [CLUSTER_STARTUP] = CLUSTER_LOG_STARTED,
        [CLUSTER_STARTUP_FAILED] = CLUSTER_LOG_START_FAILED,
        [CLUSTER_SHUTDOWN] = CLUSTER_LOG_STOPPED,
        [CLUSTER_SHUTDOWN_FAILED] = CLUSTER_LOG_STOP_FAILED,
        [CLUSTER_PROVIDER_FAILED] = CLUSTER_LOG_PROVIDER_FAILED,
        [CLUSTER_PROVIDER_RECOVERED] = CLUSTER_LOG_PROVIDER_RECOVERED,
    };
    return kinds[kind];
}

void event_log_on_event(void *context, const struct cluster_event *event)
{
    struct event_log *log = context;
    uint64_t wall_ms = clock_now().wall_ms;
    write_line(event);
    pthread_mutex_lock(&log->lock);
    if (event->kind == CLUSTER_TOPOLOGY_UPDATED) {
        add_members(log, CLUSTER_LOG_LEFT, event->left, event, wall_ms);
        add_blocked(log, event, wall_ms);
        set_ids(log, event->left);
        add_members(log, CLUSTER_LOG_JOINED, event->joined, event, wall_ms);
    } else {
        add(log, cluster_log_kind_of(event->kind), "", event, wall_ms);
    }
    pthread_mutex_unlock(&log->lock);
}

bool event_log_next(struct event_log *log, uint64_t after, struct cluster_log_event *out)
{
    pthread_mutex_lock(&log->lock);
    uint64_t first = log->last > CLUSTER_EVENTS_MAX ? log->last - CLUSTER_EVENTS_MAX : 0;
    uint64_t number = after > first ? after : first;
    bool is_found = number < log->last;
    if (is_found)
        *out = log->events[number % CLUSTER_EVENTS_MAX];
    pthread_mutex_unlock(&log->lock);
    return is_found;
}

const char *cluster_log_word(enum cluster_log_kind kind)
{
    static const char *const words[] = {
        [CLUSTER_LOG_JOINED] = "joined",
        [CLUSTER_LOG_LEFT] = "left",
        [CLUSTER_LOG_BLOCKED] = "blocked",
        [CLUSTER_LOG_STARTED] = "started",
        [CLUSTER_LOG_START_FAILED] = "start-failed",
        [CLUSTER_LOG_STOPPED] = "stopped",
        [CLUSTER_LOG_STOP_FAILED] = "stop-failed",
        [CLUSTER_LOG_PROVIDER_FAILED] = "provider-failed",
        [CLUSTER_LOG_PROVIDER_RECOVERED] = "provider-recovered",
    };
    return words[kind];
}
