/* SPDX-License-Identifier: Apache-2.0
 *
 * cache_sync - keeps the service caches up to date with one server: decides what to send and what
 * to fetch, and applies what arrives.
 *
 * On a new connection each cache subscribes. If it holds the state of the server's epoch, it names
 * its revision, and the server pushes the complete state if that has changed. Otherwise the state
 * is fetched after the subscription is confirmed, and pushes that arrive earlier are deferred; if
 * there are too many, they are dropped, and the state is fetched again until it contains them. A
 * complete state is compared with the known one, and only the differences reach the watches. When
 * the connection is lost, the known state stays and is stale. If a server does not push, each cache
 * is fetched every poll_ms.
 *
 * A fetch names the revision of the known state, if that is of the server's epoch, and the server
 * sends only the changes since. An older server, and one that no longer has the changes, sends the
 * complete state.
 *
 * "*" never names a revision: a server does not push its state, so it is fetched in any case.
 *
 *     cache_sync_connected(&sync, polls, now_ms);
 *     while (cache_sync_next(&sync, now_ms, &action, &at_ms)) ... send the message, or fetch ...
 *
 * Pure; one thread at a time. `now_ms` is on the monotonic clock, `wall_ms` labels changes.
 */
#pragma once

#include "libartemis/watch/service_cache.h"

enum {
    SYNC_FETCHES_MAX = 8,            /* concurrent fetches */
    SYNC_IDLE_MS = 600000,           /* a cache is removed after this time without use */
    SYNC_RESPONSE_TIMEOUT_MS = 5000, /* for messages that the server must push */
    SYNC_REFUSED_MS = 10000,         /* until a refused fetch is repeated */
    SYNC_NO_MEMORY_MS = 1000,
    SYNC_LIMITED_MS = 1000,    /* until a subscription over a rate limit is repeated */
    SYNC_MISSED_MS = 100,      /* until a state that lacks dropped pushes is fetched again */
    SYNC_DEFERRED_MAX = 20000, /* changes; beyond that, pushes are dropped and the state fetched */
};

struct cache_sync {
    LIST_HEAD(, service_cache) caches;
    struct callback_queue callbacks;
    bool connected;
    bool polls; /* the server does not push */
    uint64_t poll_ms;
    uint64_t contact_ms; /* last contact with the server */
    size_t fetches;      /* concurrent fetches now */
    size_t deferred;     /* changes that the caches defer */
    uint64_t generation;
};

/* One message to send, or one state to fetch. The caller frees both texts. */
struct sync_action {
    struct text message;          /* to send; empty: fetch `path` instead */
    struct text path;             /* of the state */
    char etag[WIRE_WORD_MAX * 2]; /* of the known state; "" if there is none */
    char id[ID_BYTES_MAX + 1];
    uint64_t generation; /* to be passed to cache_sync_fetched */
};

void cache_sync_init(struct cache_sync *sync); /* then set poll_ms */
void cache_sync_free(struct cache_sync *sync);

/* Finds or creates the cache of the service; `id` is in lower case. ERR_NO_MEMORY. */
MUST_USE enum error cache_sync_find_or_create(struct cache_sync *sync, const char *id,
                                              struct service_cache **out);

void cache_sync_connected(struct cache_sync *sync, bool polls, uint64_t now_ms);
void cache_sync_disconnected(struct cache_sync *sync); /* also the initial state */

/* True: *action is due now. False: nothing is due before *at_ms (UINT64_MAX: before an event). */
MUST_USE bool cache_sync_next(struct cache_sync *sync, uint64_t now_ms, struct sync_action *action,
                              uint64_t *at_ms);

/* Applies a message that the server pushed, and frees it. */
void cache_sync_push(struct cache_sync *sync, struct push_message *message, uint64_t now_ms,
                     int64_t wall_ms);

/* The fields of a response header that identify the fetched state; "" if absent. */
struct fetched_header {
    const char *etag;
    const char *run;
};

/* Applies a fetched state, or the changes to it. `state` is NULL if it has not changed (304). */
void cache_sync_fetched(struct cache_sync *sync, const char *id, uint64_t generation,
                        struct wire_instances *state, const struct fetched_header *header,
                        uint64_t now_ms, int64_t wall_ms);
/* The server refused the fetch. It is repeated after SYNC_REFUSED_MS. */
void cache_sync_refused(struct cache_sync *sync, const char *id, uint64_t generation,
                        const char *reason, uint64_t now_ms);
