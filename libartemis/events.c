/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/events.h"

#include <stdlib.h>
#include <string.h>

static void add(struct events *events, struct event *event)
{
    if (events->last)
        events->last->next = event;
    else
        events->first = event;
    events->last = event;
}

enum error events_add_change(struct events *events, struct artemis_watch *watch,
                             enum artemis_change_type type, struct record *before,
                             struct record *now, int64_t time_ms)
{
    struct event *event = calloc(1, sizeof *event);
    if (!event)
        return ERR_NO_MEMORY;
    watch->refs++;
    event->watch = watch;
    event->type = type;
    event->before = before ? record_ref(before) : NULL;
    event->now = now ? record_ref(now) : NULL;
    event->time_ms = time_ms;
    add(events, event);
    return ERR_NONE;
}

void events_add_line(struct events *events, enum artemis_log_level level, const char *line)
{
    size_t size = strlen(line) + 1;
    struct event *event = calloc(1, sizeof *event + size);
    if (!event)
        return;
    event->level = level;
    memcpy(event->line, line, size);
    add(events, event);
}

void events_rewind(struct events *events, struct event *mark)
{
    struct event **from = mark ? &mark->next : &events->first;
    struct event *event = *from;
    *from = NULL;
    events->last = mark;
    while (event) {
        struct event *next = event->next;
        event_free(event);
        event = next;
    }
}

struct event *events_take(struct events *events)
{
    struct event *event = events->first;
    if (!event)
        return NULL;
    events->first = event->next;
    if (!events->first)
        events->last = NULL;
    event->next = NULL;
    return event;
}

void event_free(struct event *event)
{
    record_unref(event->before);
    record_unref(event->now);
    watch_unref(event->watch);
    free(event);
}

void watch_unref(struct artemis_watch *watch)
{
    if (watch && --watch->refs == 0)
        free(watch);
}
