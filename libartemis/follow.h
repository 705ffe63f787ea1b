/* SPDX-License-Identifier: Apache-2.0
 *
 * follow - keeps the entries in step with one server: what to say and to fetch, and what follows
 * from what comes back.
 *
 * On a connection, each entry subscribes. If it has a state from that very process of the server
 * (its `run`) it names the version, and the server pushes the whole state if that has changed;
 * else the state is fetched once the subscription stands, and pushes that come meanwhile wait for
 * it. Whatever arrives as a whole is compared with what was known, and the difference is told. When
 * the connection is lost, everything known stays, and counts as stale. Where a server has no
 * pushes, each entry is fetched every poll_ms.
 *
 * "*" never names a version: its state is never pushed, so it would be fetched all the same.
 *
 *     follow_connected(&follow, polls);
 *     while (follow_next(&follow, now_ms, &work, &at_ms)) ... say it, or fetch it ...
 *
 * Pure; one thread at a time. `now_ms` is on the monotonic clock, `wall_ms` labels changes.
 */
#pragma once

#include "libartemis/entry.h"

enum {
    FOLLOW_FETCHES_MAX = 8,    /* at a time */
    FOLLOW_IDLE_MS = 600000,   /* what was not asked for so long is forgotten */
    FOLLOW_PATIENCE_MS = 5000, /* for what the server should say by itself */
    FOLLOW_REFUSED_MS = 10000, /* until what was refused is tried again */
    FOLLOW_NO_MEMORY_MS = 1000,
};

struct follow {
    struct entry *entries;
    struct events events;
    bool connected;
    bool polls; /* the server has no pushes */
    uint64_t poll_ms;
    uint64_t heard_ms; /* when the server was last heard */
    size_t fetches;    /* under way */
    uint64_t generation;
};

/* Something to do. Both texts are the caller's to free. */
struct follow_work {
    struct text say;              /* a message to send; empty: fetch instead */
    struct text path;             /* where the state is */
    char etag[WIRE_WORD_MAX * 2]; /* of the state that is known; "" for none */
    char id[ID_BYTES_MAX + 1];
    uint64_t generation; /* to be handed back with what was fetched */
};

/* The entry of the service, new if need be; `id` is in lower case. ERR_NO_MEMORY. */
MUST_USE enum error follow_entry(struct follow *follow, const char *id, struct entry **out);

/* There is a connection; it counts as lost at first. */
void follow_connected(struct follow *follow, bool polls, uint64_t now_ms);
void follow_lost(struct follow *follow);

/* True: do this now. False: nothing is to be done before *at_ms (UINT64_MAX: before something
 * changes). */
MUST_USE bool follow_next(struct follow *follow, uint64_t now_ms, struct follow_work *work,
                          uint64_t *at_ms);

/* A message came. Takes its changes over, and frees it. */
void follow_heard(struct follow *follow, struct push_message *message, uint64_t now_ms,
                  int64_t wall_ms);

/* What was asked for by follow_next has come; `etag` may be "". NULL for `state`: it has not
 * changed (304). */
void follow_fetched(struct follow *follow, const char *id, uint64_t generation,
                    struct wire_state *state, const char *etag, uint64_t now_ms, int64_t wall_ms);
/* It was refused, for good as it seems. */
void follow_refused(struct follow *follow, const char *id, uint64_t generation, const char *reason,
                    uint64_t now_ms);

void follow_free(struct follow *follow);
