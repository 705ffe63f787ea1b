/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/follow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_everything(const struct entry *entry)
{
    return strcmp(entry->id, "*") == 0;
}

static struct entry *find(const struct follow *follow, const char *id)
{
    struct entry *entry = follow->entries;
    while (entry && strcmp(entry->id, id) != 0)
        entry = entry->next;
    return entry;
}

enum error follow_entry(struct follow *follow, const char *id, struct entry **out)
{
    struct entry *entry = find(follow, id);
    if (!entry) {
        enum error error = entry_create(id, &follow->events, &entry);
        if (error)
            return error;
        entry->next = follow->entries;
        follow->entries = entry;
    }
    *out = entry;
    return ERR_NONE;
}

void follow_free(struct follow *follow)
{
    while (follow->entries) {
        struct entry *entry = follow->entries;
        follow->entries = entry->next;
        entry_free(entry);
    }
    events_rewind(&follow->events, NULL);
}

/* --- phases ----------------------------------------------------------------------------------- */

static void end_fetch(struct follow *follow, struct entry *entry)
{
    if (entry->phase == ENTRY_FETCHING)
        follow->fetches--;
}

static void fetch_from(struct follow *follow, struct entry *entry, uint64_t at_ms)
{
    end_fetch(follow, entry);
    entry->phase = ENTRY_WANTED;
    entry->in_step = false;
    entry->due_ms = at_ms;
}

static void set_live(struct follow *follow, struct entry *entry, uint64_t now_ms)
{
    end_fetch(follow, entry);
    entry->phase = ENTRY_LIVE;
    entry->due_ms = entry->polled ? now_ms + follow->poll_ms : UINT64_MAX;
    entry->refused = false;
    entry->in_step = true;
    entry_set_fresh(entry, true, now_ms);
}

/* What is known cannot be kept in step without memory: begin again in a while. */
static void no_memory(struct follow *follow, struct entry *entry, uint64_t now_ms)
{
    entry_drop_held(entry);
    entry->etag[0] = '\0';
    entry_set_fresh(entry, false, entry->heard_ms);
    fetch_from(follow, entry, now_ms + FOLLOW_NO_MEMORY_MS);
}

void follow_connected(struct follow *follow, bool polls, uint64_t now_ms)
{
    follow_lost(follow);
    follow->connected = true;
    follow->polls = polls;
    follow->heard_ms = now_ms;
}

void follow_lost(struct follow *follow)
{
    for (struct entry *entry = follow->entries; entry; entry = entry->next) {
        bool was_fresh = entry->fresh;
        end_fetch(follow, entry);
        entry->phase = ENTRY_AWAY;
        entry->polled = false;
        entry->etag[0] = '\0'; /* it was another server's */
        entry_drop_held(entry);
        entry_set_fresh(entry, false,
                        was_fresh && !follow->polls ? follow->heard_ms : entry->heard_ms);
    }
    follow->connected = false;
}

/* --- what is to be done ----------------------------------------------------------------------- */

static uint64_t forgotten_at(const struct entry *entry)
{
    if (entry->watches || entry->pins > 0)
        return UINT64_MAX;
    return entry->used ? entry->used_ms + FOLLOW_IDLE_MS : 0;
}

/* Takes out an entry that nobody wants; true: the server must be told. */
static bool forget_one(struct follow *follow, uint64_t now_ms, struct follow_work *work)
{
    for (struct entry **at = &follow->entries; *at;) {
        struct entry *entry = *at;
        if (forgotten_at(entry) > now_ms) {
            at = &entry->next;
            continue;
        }
        bool told = follow->connected && !follow->polls && entry->phase != ENTRY_AWAY;
        if (told)
            wire_write_unsubscribe(&work->say, entry->id);
        end_fetch(follow, entry);
        *at = entry->next;
        entry_free(entry);
        if (told)
            return true;
    }
    return false;
}

static void write_subscribe(struct entry *entry, uint64_t now_ms, struct follow_work *work)
{
    if (!entry->in_step || is_everything(entry))
        entry->run[0] = '\0';
    wire_write_subscribe(&work->say, entry->id, entry->version, entry->run);
    entry->phase = ENTRY_ASKED;
    entry->due_ms = now_ms + FOLLOW_PATIENCE_MS;
}

static void write_fetch(struct follow *follow, struct entry *entry, struct follow_work *work)
{
    wire_write_state_path(&work->path, entry->id);
    snprintf(work->etag, sizeof work->etag, "%s", entry->etag);
    snprintf(work->id, sizeof work->id, "%s", entry->id);
    entry->generation = work->generation = ++follow->generation;
    entry->phase = ENTRY_FETCHING;
    follow->fetches++;
}

/* Is something to be done for this one? */
static bool work_for(struct follow *follow, struct entry *entry, uint64_t now_ms,
                     struct follow_work *work)
{
    if (entry->phase == ENTRY_AWAY && !follow->polls) {
        write_subscribe(entry, now_ms, work);
        return true;
    }
    bool never_told = entry->phase == ENTRY_ASKED && entry->due_ms <= now_ms;
    if (never_told || entry->phase == ENTRY_AWAY)
        entry->polled = true;
    bool fetch =
        entry->phase == ENTRY_AWAY || (entry->phase != ENTRY_FETCHING && entry->due_ms <= now_ms);
    if (!fetch)
        return false;
    if (follow->fetches == FOLLOW_FETCHES_MAX) {
        if (entry->phase != ENTRY_LIVE)
            fetch_from(follow, entry, 0);
        return false;
    }
    write_fetch(follow, entry, work);
    return true;
}

bool follow_next(struct follow *follow, uint64_t now_ms, struct follow_work *work, uint64_t *at_ms)
{
    *at_ms = UINT64_MAX;
    *work = (struct follow_work){0};
    if (forget_one(follow, now_ms, work))
        return true;
    for (struct entry *entry = follow->entries; entry; entry = entry->next) {
        uint64_t due_ms = forgotten_at(entry);
        if (follow->connected && work_for(follow, entry, now_ms, work))
            return true;
        /* What is overdue waits for the end of another fetch. */
        bool waits = follow->connected && entry->phase != ENTRY_FETCHING && entry->due_ms > now_ms;
        if (waits && entry->due_ms < due_ms)
            due_ms = entry->due_ms;
        if (due_ms < *at_ms)
            *at_ms = due_ms;
    }
    return false;
}

/* --- what comes ------------------------------------------------------------------------------- */

static void on_subscribed(struct follow *follow, struct entry *entry,
                          const struct push_message *message, uint64_t now_ms)
{
    bool resumes = entry->phase == ENTRY_ASKED && entry->run[0];
    bool same_run = resumes && strcmp(entry->run, message->run) == 0;
    if (same_run) {
        set_live(follow, entry, now_ms); /* if it has changed, that comes next */
        return;
    }
    entry->in_step = false;
    entry->polled = false;
    entry->version = message->version;
    snprintf(entry->run, sizeof entry->run, "%s", message->run);
    if (!resumes) {
        fetch_from(follow, entry, now_ms);
        return;
    }
    entry->phase = ENTRY_RELOAD;
    entry->due_ms = now_ms + FOLLOW_PATIENCE_MS;
}

/* When something came, and whether it waited for the state that was fetched meanwhile. */
struct arrival {
    uint64_t now_ms;
    int64_t wall_ms;
    bool waited;
};

/* The changes after the first are the whole state. */
static enum error reload(struct follow *follow, struct entry *entry,
                         const struct push_message *message, const struct arrival *arrival)
{
    bool is_part = is_everything(entry) && strcmp(message->service_id, "*") != 0;
    if (message->incomplete) {
        fetch_from(follow, entry, arrival->now_ms);
        return ERR_NONE;
    }
    size_t count = 0;
    struct record **records = calloc(message->count, sizeof(struct record *));
    if (!records)
        return ERR_NO_MEMORY;
    for (size_t i = 1; i < message->count; i++)
        if (message->changes[i].record)
            records[count++] = message->changes[i].record;
    enum error error = entry_replace(entry, is_part ? message->service_id : NULL, records, count,
                                     arrival->wall_ms);
    free(records);
    if (error || is_part)
        return error;
    entry->version = message->version;
    set_live(follow, entry, arrival->now_ms);
    return ERR_NONE;
}

static enum error apply(struct follow *follow, struct entry *entry,
                        const struct push_message *message, const struct arrival *arrival)
{
    if (message->count == 0)
        return ERR_NONE;
    if (message->changes[0].type == CHANGE_RELOAD)
        return reload(follow, entry, message, arrival);
    if (message->version <= entry->version)
        return ERR_NONE; /* it is known already */
    enum error error =
        entry_change(entry, message->changes, message->count, arrival->waited, arrival->wall_ms);
    if (!error)
        entry->version = message->version;
    return error;
}

/* `shared`: the message is needed after this. */
static void on_change(struct follow *follow, struct entry *entry, struct push_message *message,
                      bool shared, const struct arrival *arrival)
{
    if (entry->phase == ENTRY_AWAY || entry->phase == ENTRY_ASKED)
        return;
    bool waits = entry->phase == ENTRY_WANTED || entry->phase == ENTRY_FETCHING;
    enum error error = ERR_NONE;
    if (waits && !shared)
        error = entry_hold(entry, message);
    else if (waits)
        error = entry_hold_copy(entry, message);
    else
        error = apply(follow, entry, message, arrival);
    if (error)
        no_memory(follow, entry, arrival->now_ms);
}

void follow_heard(struct follow *follow, struct push_message *message, uint64_t now_ms,
                  int64_t wall_ms)
{
    follow->heard_ms = now_ms;
    struct entry *entry = message->service_id[0] ? find(follow, message->service_id) : NULL;
    struct entry *everything = find(follow, "*");
    if (message->type == PUSH_SUBSCRIBED && entry)
        on_subscribed(follow, entry, message, now_ms);
    const struct arrival arrival = {.now_ms = now_ms, .wall_ms = wall_ms};
    if (message->type == PUSH_CHANGE) {
        if (everything && everything != entry)
            on_change(follow, everything, message, entry != NULL, &arrival);
        if (entry)
            on_change(follow, entry, message, false, &arrival);
    }
    wire_free_push(message);
}

/* --- what was fetched ------------------------------------------------------------------------- */

/* The entry that this answers; NULL: nobody wants it any more. */
static struct entry *fetching(const struct follow *follow, const char *id, uint64_t generation)
{
    struct entry *entry = find(follow, id);
    bool wanted = entry && entry->phase == ENTRY_FETCHING && entry->generation == generation;
    return wanted ? entry : NULL;
}

static enum error take_state(struct follow *follow, struct entry *entry, struct wire_state *state,
                             uint64_t now_ms, int64_t wall_ms)
{
    enum error error = ERR_NONE;
    if (state) {
        error = entry_replace(entry, NULL, state->records, state->count, wall_ms);
        if (!error && (state->version > entry->version || entry->polled))
            entry->version = state->version;
    }
    if (!error)
        set_live(follow, entry, now_ms);
    const struct arrival arrival = {.now_ms = now_ms, .wall_ms = wall_ms, .waited = true};
    struct push_message held;
    while (!error && entry->phase == ENTRY_LIVE && entry_take_held(entry, &held)) {
        error = apply(follow, entry, &held, &arrival);
        wire_free_push(&held);
    }
    return error;
}

void follow_fetched(struct follow *follow, const char *id, uint64_t generation,
                    struct wire_state *state, const char *etag, uint64_t now_ms, int64_t wall_ms)
{
    struct entry *entry = fetching(follow, id, generation);
    if (!entry)
        return;
    if (state)
        snprintf(entry->etag, sizeof entry->etag, "%s", entry->polled ? etag : "");
    if (take_state(follow, entry, state, now_ms, wall_ms))
        no_memory(follow, entry, now_ms);
}

void follow_refused(struct follow *follow, const char *id, uint64_t generation, const char *reason,
                    uint64_t now_ms)
{
    struct entry *entry = fetching(follow, id, generation);
    if (!entry)
        return;
    entry->refused = true;
    snprintf(entry->reason, sizeof entry->reason, "%s", reason);
    entry_set_fresh(entry, false, entry->heard_ms);
    fetch_from(follow, entry, now_ms + FOLLOW_REFUSED_MS);
}
