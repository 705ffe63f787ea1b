/* SPDX-License-Identifier: Apache-2.0
 *
 * service_cache - what the client knows of one service (or of "*", all services), and its watches.
 *
 * Fetched states and pushed changes are applied here. Each difference queues one callback per
 * watch. The first known state is not a change: only watches with ARTEMIS_WATCH_CURRENT get it.
 * cache_sync keeps the cache up to date with a server.
 *
 * Pure; one thread at a time.
 */
#pragma once

#include "libartemis/watch/callback_queue.h"
#include "libartemis/watch/shared_service.h"
#include "libartemis/wire/wire.h"

enum cache_phase {
    CACHE_UNSUBSCRIBED, /* subscribe must be sent, from due_ms on */
    CACHE_SUBSCRIBING,  /* subscribe was sent; polled if it is not confirmed by due_ms */
    CACHE_RELOADING,    /* subscribed; the server pushes the state; fetched if not by due_ms */
    CACHE_FETCH_DUE,    /* the state must be fetched, from due_ms on */
    CACHE_FETCHING,
    CACHE_LIVE, /* up to date; if polled, fetched again at due_ms */
};

/* A push that arrived before the state was fetched. */
struct deferred_push {
    STAILQ_ENTRY(deferred_push) link;
    struct push_message message;
};

enum { FILTERED_MAX = 16 };

/* A published service with a filter. */
struct filtered_service {
    TAILQ_ENTRY(filtered_service) link;
    struct shared_service *service;
    size_t key_size;
    char key[]; /* of the filter */
};

struct service_cache {
    LIST_ENTRY(service_cache) link; /* in cache_sync */
    char id[ID_BYTES_MAX + 1];      /* in lower case; or "*" */
    struct callback_queue *callbacks;
    LIST_HEAD(, artemis_watch) watches;

    struct instance_set instances;
    bool known;          /* a state was fetched or pushed at least once */
    bool fresh;          /* it is being kept up to date */
    uint64_t contact_ms; /* when it was last up to date */
    uint64_t revision;   /* of the subscription, in the server's `epoch` */
    char epoch[WIRE_EPOCH_MAX];
    bool resumable;                      /* `instances` is the content of `epoch` at `revision` */
    struct shared_service *published[2]; /* [only_up]; NULL: created when it is asked for */
    /* Published with a filter; at most FILTERED_MAX, the least recently used first. */
    TAILQ_HEAD(filtered_list, filtered_service) filtered;
    size_t filtered_count;
    uint64_t next_index; /* of round robin, for the next published service */

    bool refused; /* the server refused the last fetch, for this reason */
    char reason[WIRE_MESSAGE_MAX];

    enum cache_phase phase;
    bool polled; /* the server does not push it */
    uint64_t due_ms;
    uint64_t generation; /* of the current fetch; responses of older fetches are ignored */
    STAILQ_HEAD(, deferred_push) deferred;
    size_t *deferred_total;   /* changes that all caches together defer */
    uint64_t missed_revision; /* of the latest push that was dropped instead; 0: none */
    char etag[WIRE_WORD_MAX * 2];

    unsigned pins;    /* number of calls that wait for it */
    uint64_t used_ms; /* last artemis_discover */
    bool used;        /* artemis_discover was called for it */
};

/* `id` has at most ID_BYTES_MAX bytes. Borrows the queue and the counter. ERR_NO_MEMORY. */
MUST_USE enum error service_cache_create(const char *id, struct callback_queue *callbacks,
                                         size_t *deferred_total, struct service_cache **out);
/* Ends its watches, and releases the references of their callers. */
void service_cache_free(struct service_cache *cache);

/* Adds the watch; with ARTEMIS_WATCH_CURRENT it gets the known instances. ERR_NO_MEMORY. */
MUST_USE enum error service_cache_add_watch(struct service_cache *cache,
                                            struct artemis_watch *watch, int64_t wall_ms);
void service_cache_remove_watch(struct service_cache *cache, struct artemis_watch *watch);

/* Replaces the instances of the service (NULL: all instances of the cache). Reorders `instances`.
 * ERR_NO_MEMORY: nothing has changed. */
MUST_USE enum error service_cache_replace(struct service_cache *cache, const char *service_id,
                                          struct shared_instance **instances, size_t count,
                                          int64_t wall_ms);
/* Applies changes. `only_latest`: the known state may contain the first ones already, so that only
 * the last change of each instance counts. ERR_NO_MEMORY: some may be applied; fetch the state. */
MUST_USE enum error service_cache_change(struct service_cache *cache,
                                         const struct push_change *changes, size_t count,
                                         bool only_latest, int64_t wall_ms);

/* `contact_ms` is the time of the last contact with the server. */
void service_cache_set_fresh(struct service_cache *cache, bool fresh, uint64_t contact_ms);

/* Returns the known state, with a reference for the caller. ERR_NO_MEMORY. */
MUST_USE enum error service_cache_publish(struct service_cache *cache, bool only_up,
                                          struct shared_service **out);

/* The same with the instances that match a filter. */
MUST_USE enum error service_cache_publish_filtered(struct service_cache *cache,
                                                   const struct instance_filter *filter,
                                                   struct shared_service **out);

/* Defers a push; moves its changes. ERR_NO_MEMORY. */
MUST_USE enum error service_cache_defer(struct service_cache *cache, struct push_message *message);
/* Defers a copy of a push. ERR_NO_MEMORY. */
MUST_USE enum error service_cache_defer_copy(struct service_cache *cache,
                                             const struct push_message *message);
/* Removes and returns the oldest deferred push, which the caller then owns; false: none. */
bool service_cache_take_deferred(struct service_cache *cache, struct push_message *message);
/* Drops deferred pushes, and forgets that pushes were missed. */
void service_cache_drop_deferred(struct service_cache *cache);
/* Drops deferred pushes and the push of this revision: the state must be fetched until it contains
 * them. */
void service_cache_miss(struct service_cache *cache, uint64_t revision);
