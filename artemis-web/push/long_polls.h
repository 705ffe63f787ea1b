/* SPDX-License-Identifier: Apache-2.0
 *
 * long_polls - requests that are suspended until a service changes.
 *
 * A long poll ends at the first of: a change of its service, its time (at most one slot of the
 * wheel late), the end of its connection, a reload that revokes its token, push_drain. Then the
 * HTTP server handles its request once more. The cost of timeouts follows the long polls that are
 * due. The end of a connection is noticed only after LONG_POLL_UNWATCHED_MS: most long polls of a
 * service that changes often end before, without the two system calls. Belongs to the push thread.
 */
#pragma once

#include <assert.h>

#include "artemis-web/push/shared_state.h"

enum {
    LONG_POLL_SLOT_MS = 64,
    LONG_POLL_SLOTS = 1024,
    LONG_POLL_UNWATCHED_MS = 100, /* then the end of its connection is noticed */
};
static_assert(LONG_POLL_SLOTS * LONG_POLL_SLOT_MS > LONG_POLL_MS_MAX,
              "a long poll ends within one revolution of the wheel");

enum long_poll_state {
    LONG_POLL_NEW,
    LONG_POLL_WAITING, /* in its topic, in a slot of the wheel, and in epoll or `unwatched` */
    LONG_POLL_ENDED,   /* resumed or about to be; in push.ended_clients */
};

struct long_poll {
    struct push_client client;
    enum long_poll_state state;
    int socket;
    void *connection; /* of the HTTP server */
    struct topic *topic;
    LIST_ENTRY(long_poll) topic_link;
    LIST_ENTRY(long_poll) slot_link;
    bool is_watched;                       /* epoll reports the end of its connection; */
    TAILQ_ENTRY(long_poll) unwatched_link; /* before that, */
    uint64_t watch_from_ms;                /* until then */
    /* As in struct long_poll_condition: */
    uint64_t revision;
    uint64_t until_ms;
    const struct token *token;
    size_t id_size;
    char id[];
};

TAILQ_HEAD(long_poll_queue, long_poll);

/* A wheel of long polls by the time at which they end. */
struct long_polls {
    struct long_poll_list slots[LONG_POLL_SLOTS];
    struct long_poll_queue unwatched; /* in the order of watch_from_ms */
    uint64_t next_slot;               /* the next to end; slots are counted from time 0 */
    void *ended[RESUMES_MAX];         /* connections that are not resumed yet */
    size_t ended_count;
};

/* Allocates the wheel, at a time of the monotonic clock; freed with free(). NULL: no memory. */
struct long_polls *long_polls_create(uint64_t now_ms);

/* Allocates a long poll. NULL: no memory. */
struct long_poll *long_poll_create(const struct long_poll_condition *condition, void *connection,
                                   int socket);
/* Adds it to the push thread; ends it at once where its condition holds already, or without
 * memory. */
void long_poll_start(struct push *push, struct long_poll *poll);
/* Ends a long poll; one that has ended is ignored. Its request is resumed with others by
 * long_polls_resume: each time that libmicrohttpd resumes requests, it searches all that are
 * suspended. */
void long_poll_end(struct push *push, struct long_poll *poll);
/* Resumes the requests of the long polls that have ended. To be called at the end of a turn. */
void long_polls_resume(struct push *push);
/* Ends the long polls of a topic that wait for a revision up to this one. */
void long_polls_end_topic(struct push *push, struct topic *topic, uint64_t revision);
void long_polls_end_all(struct push *push);
/* Ends those whose token is not valid any more. */
void long_polls_end_revoked(struct push *push);
/* Ends those whose time has run out, and watches the connections of those that have waited for
 * LONG_POLL_UNWATCHED_MS. */
void long_polls_end_due(struct push *push);
/* Milliseconds until long_polls_end_due has something to do; -1: there is no long poll. */
int long_polls_next_ms(const struct push *push);
