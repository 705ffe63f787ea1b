/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/entry.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum error entry_create(const char *id, struct events *events, struct entry **out)
{
    struct entry *entry = calloc(1, sizeof *entry);
    if (!entry)
        return ERR_NO_MEMORY;
    snprintf(entry->id, sizeof entry->id, "%s", id);
    entry->events = events;
    *out = entry;
    return ERR_NONE;
}

/* What was given out lives on; turns go on from there. */
static void unpublish(struct entry *entry)
{
    for (size_t i = 0; i < 2; i++) {
        struct snapshot *snapshot = entry->published[i];
        if (!snapshot)
            continue;
        uint64_t turn = atomic_load_explicit(&snapshot->turn, memory_order_relaxed);
        if (turn > entry->turn)
            entry->turn = turn;
        artemis_service_free(&snapshot->view);
        entry->published[i] = NULL;
    }
}

void entry_free(struct entry *entry)
{
    while (entry->watches) {
        struct artemis_watch *watch = entry->watches;
        entry_remove_watch(entry, watch);
        watch_unref(watch); /* the caller's: it ends with its client */
    }
    unpublish(entry);
    entry_drop_held(entry);
    cache_clear(&entry->cache);
    free(entry);
}

/* --- watches ---------------------------------------------------------------------------------- */

enum error entry_add_watch(struct entry *entry, struct artemis_watch *watch, int64_t wall_ms)
{
    struct event *mark = entry->events->last;
    enum error error = ERR_NONE;
    bool tells_current = entry->known && (watch->flags & ARTEMIS_WATCH_CURRENT);
    for (size_t i = 0; tells_current && i < entry->cache.count && !error; i++)
        error = events_add_change(entry->events, watch, ARTEMIS_NEW, NULL, entry->cache.records[i],
                                  wall_ms);
    if (error) {
        events_rewind(entry->events, mark);
        return error;
    }
    watch->refs++;
    watch->entry = entry;
    watch->next = entry->watches;
    entry->watches = watch;
    return ERR_NONE;
}

void entry_remove_watch(struct entry *entry, struct artemis_watch *watch)
{
    struct artemis_watch **at = &entry->watches;
    while (*at && *at != watch)
        at = &(*at)->next;
    if (!*at)
        return;
    *at = watch->next;
    watch->entry = NULL;
    watch_unref(watch);
}

/* --- what changes ----------------------------------------------------------------------------- */

struct telling {
    struct entry *entry;
    int64_t time_ms;
};

static enum error tell(void *context, enum artemis_change_type type, struct record *before,
                       struct record *now)
{
    const struct telling *telling = context;
    const struct entry *entry = telling->entry;
    enum error error = ERR_NONE;
    for (struct artemis_watch *watch = entry->watches; watch && !error; watch = watch->next)
        if (entry->known || (watch->flags & ARTEMIS_WATCH_CURRENT))
            error = events_add_change(entry->events, watch, type, before, now, telling->time_ms);
    return error;
}

enum error entry_replace(struct entry *entry, const char *service_id, struct record **records,
                         size_t count, int64_t wall_ms)
{
    struct event *mark = entry->events->last;
    struct telling telling = {.entry = entry, .time_ms = wall_ms};
    enum error error = cache_replace(&entry->cache, service_id, records, count, tell, &telling);
    if (error) {
        events_rewind(entry->events, mark);
        return error;
    }
    entry->known = true;
    unpublish(entry);
    return ERR_NONE;
}

/* Is there a later change of the same instance? */
static bool is_overtaken(const struct push_change *changes, size_t count, size_t index)
{
    for (size_t i = index + 1; i < count; i++)
        if (record_compare(changes[i].record, changes[index].record) == 0)
            return true;
    return false;
}

enum error entry_change(struct entry *entry, const struct push_change *changes, size_t count,
                        bool only_last, int64_t wall_ms)
{
    enum error error = ERR_NONE;
    for (size_t i = 0; i < count && !error; i++) {
        if (!changes[i].record || (only_last && is_overtaken(changes, count, i)))
            continue;
        struct event *mark = entry->events->last;
        struct telling telling = {.entry = entry,
                                  .time_ms = changes[i].time_ms ? changes[i].time_ms : wall_ms};
        error = changes[i].type == CHANGE_DELETE
                    ? cache_remove(&entry->cache, changes[i].record, tell, &telling)
                    : cache_put(&entry->cache, changes[i].record, tell, &telling);
        if (error)
            events_rewind(entry->events, mark);
    }
    unpublish(entry);
    return error;
}

void entry_set_fresh(struct entry *entry, bool fresh, uint64_t heard_ms)
{
    if (entry->fresh != fresh)
        unpublish(entry);
    entry->fresh = fresh;
    entry->heard_ms = heard_ms;
}

enum error entry_snapshot(struct entry *entry, bool only_up, struct snapshot **out)
{
    if (!entry->published[only_up]) {
        const struct snapshot_facts facts = {
            .service_id = entry->id,
            .version = entry->version,
            .stale = !entry->fresh,
            .heard_ms = entry->heard_ms,
            .turn = entry->turn,
            .only_up = only_up,
        };
        enum error error = snapshot_create(&entry->cache, &facts, &entry->published[only_up]);
        if (error)
            return error;
    }
    artemis_service_ref(&entry->published[only_up]->view);
    *out = entry->published[only_up];
    return ERR_NONE;
}

/* --- pushes for later ------------------------------------------------------------------------- */

enum error entry_hold(struct entry *entry, struct push_message *message)
{
    struct held_push *held = calloc(1, sizeof *held);
    if (!held)
        return ERR_NO_MEMORY;
    held->message = *message;
    message->changes = NULL;
    message->count = 0;
    struct held_push **at = &entry->held;
    while (*at)
        at = &(*at)->next;
    *at = held;
    return ERR_NONE;
}

enum error entry_hold_copy(struct entry *entry, const struct push_message *message)
{
    struct push_message copy = *message;
    copy.changes = calloc(message->count ? message->count : 1, sizeof *copy.changes);
    if (!copy.changes)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < message->count; i++) {
        copy.changes[i] = message->changes[i];
        if (copy.changes[i].record)
            record_ref(copy.changes[i].record);
    }
    enum error error = entry_hold(entry, &copy);
    wire_free_push(&copy);
    return error;
}

bool entry_take_held(struct entry *entry, struct push_message *message)
{
    struct held_push *held = entry->held;
    if (!held)
        return false;
    entry->held = held->next;
    *message = held->message;
    free(held);
    return true;
}

void entry_drop_held(struct entry *entry)
{
    struct push_message message;
    while (entry_take_held(entry, &message))
        wire_free_push(&message);
}
