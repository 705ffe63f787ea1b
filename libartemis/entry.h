/* SPDX-License-Identifier: Apache-2.0
 *
 * entry - one service that is followed (or "*", all of them): what is known, and who is told.
 *
 * What comes from the servers goes in here; what differs from before goes to the events, one for
 * each watcher. The first state ever known is no change: only those are told of it who asked for
 * what is there already. How it is kept in step with a server is the work of follow.
 *
 * Pure; one thread at a time.
 */
#pragma once

#include "libartemis/events.h"
#include "libartemis/snapshot.h"
#include "libartemis/wire.h"

enum entry_phase {
    ENTRY_AWAY,     /* not subscribed */
    ENTRY_ASKED,    /* subscribing; taken to be refused at due_ms */
    ENTRY_RELOAD,   /* subscribed; the server will push the state, by due_ms */
    ENTRY_WANTED,   /* the state is to be fetched, from due_ms on */
    ENTRY_FETCHING, /* it is being fetched */
    ENTRY_LIVE,     /* in step; where polled, to be fetched again at due_ms */
};

/* A push that came while the state was being fetched. */
struct held_push {
    struct held_push *next;
    struct push_message message;
};

struct entry {
    struct entry *next;
    char id[ID_BYTES_MAX + 1]; /* in lower case; or "*" */
    struct events *events;
    struct artemis_watch *watches;

    struct cache cache;
    bool known;        /* a state was, once */
    bool fresh;        /* and it is kept in step */
    uint64_t heard_ms; /* when it last was */
    uint64_t version;  /* of the server process `run`, which the entry is subscribed at */
    char run[WIRE_RUN_MAX];
    bool in_step; /* what is known is what `run` had at `version`: changes since then will do */
    struct snapshot *published[2]; /* [only_up]; NULL: to be made */
    uint64_t turn;

    bool refused; /* the last fetch was, for this reason */
    char reason[WIRE_MESSAGE_MAX];

    enum entry_phase phase;
    bool polled; /* no pushes come for it */
    uint64_t due_ms;
    uint64_t generation; /* of the fetch under way: an answer to an older one is not taken */
    struct held_push *held;
    char etag[WIRE_WORD_MAX * 2];

    unsigned pins;    /* who waits for it */
    uint64_t used_ms; /* when it was last asked for by discover */
    bool used;        /* ever */
};

/* ERR_NO_MEMORY. `id` fits. */
MUST_USE enum error entry_create(const char *id, struct events *events, struct entry **out);
/* Ends its watches, and frees what their callers have of them. */
void entry_free(struct entry *entry);

/* Tells the watch what is there, if it asked for that and something is known. ERR_NO_MEMORY. */
MUST_USE enum error entry_add_watch(struct entry *entry, struct artemis_watch *watch,
                                    int64_t wall_ms);
void entry_remove_watch(struct entry *entry, struct artemis_watch *watch);

/* The whole state of the service (NULL: of all that the entry is about). Takes the records' order
 * apart. ERR_NO_MEMORY: nothing has changed. */
MUST_USE enum error entry_replace(struct entry *entry, const char *service_id,
                                  struct record **records, size_t count, int64_t wall_ms);
/* Some changes. `only_last`: what is known may have the first of them already, so of each instance
 * only the last counts. ERR_NO_MEMORY: some may be done; fetch it anew. */
MUST_USE enum error entry_change(struct entry *entry, const struct push_change *changes,
                                 size_t count, bool only_last, int64_t wall_ms);

/* It is in step from now on, or is not any more; `heard_ms` is when a server was last heard. */
void entry_set_fresh(struct entry *entry, bool fresh, uint64_t heard_ms);

/* What is known, with a reference for the caller. ERR_NO_MEMORY. */
MUST_USE enum error entry_snapshot(struct entry *entry, bool only_up, struct snapshot **out);

/* Keeps a push for later; takes its changes over. ERR_NO_MEMORY. */
MUST_USE enum error entry_hold(struct entry *entry, struct push_message *message);
/* Keeps a copy of it. ERR_NO_MEMORY. */
MUST_USE enum error entry_hold_copy(struct entry *entry, const struct push_message *message);
/* The oldest that is held, the caller's; false: there is none. */
bool entry_take_held(struct entry *entry, struct push_message *message);
void entry_drop_held(struct entry *entry);
