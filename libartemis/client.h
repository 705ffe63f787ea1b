/* SPDX-License-Identifier: Apache-2.0
 *
 * client - what a client consists of, and how a call waits for its thread to have done something.
 *
 * Everything that decides (book, follow, servers) lies under one lock. Callers and the loop take it
 * for moments: to ask, to order, to apply what came. Nothing is sent, received or parsed under it,
 * and no callback called. What libcurl and the socket are made of belongs to the loop alone.
 */
#pragma once

#include "libartemis/book.h"
#include "libartemis/follow.h"
#include "libartemis/http.h"
#include "libartemis/push_socket.h"
#include "libartemis/servers.h"
#include "libartemis/settings.h"

#include <pthread.h>

enum { CLIENT_WHY_MAX = 480 };

/* A push that came and is not applied yet. */
struct heard {
    struct heard *next;
    struct push_message message;
};

struct artemis_client {
    struct settings settings; /* never changes */
    struct http *http;        /* the loop's, but that anybody may wake it */

    struct {                        /* touched by the loop alone */
        struct push_socket *socket; /* NULL: none, or not yet */
        enum push_state socket_state;
        struct heard *heard; /* the oldest first */
        struct heard **heard_end;
        bool heard_failed; /* one was lost for want of memory */
    } loop;

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* on the monotonic clock: something was applied */

    struct { /* under the lock */
        struct book book;
        struct follow follow;
        struct servers registry_servers;
        struct servers push_servers;
        bool registry_troubled, push_troubled; /* that was logged */
        char registry_problem[CLIENT_WHY_MAX]; /* the last, with its URL; "" for none so far */
        char push_problem[CLIENT_WHY_MAX];
        bool polling; /* of the server below, for it has no WebSocket */
        size_t push_server;
        uint64_t socket_retry_ms;            /* when polling: when to try a WebSocket again */
        const struct artemis_watch *telling; /* whose callback runs */
        bool thread_known;
        pthread_t loop_thread;
        bool stopping;
    } shared;
};

/* Under the lock. `done` is asked under it, too. False: the deadline came first. In a callback it
 * drives the client meanwhile. */
bool client_wait(struct artemis_client *client, bool (*done)(void *context), void *context,
                 uint64_t deadline_ms);
/* Under the lock: is this the client's own thread? */
bool client_is_loop(const struct artemis_client *client);

/* 0 to ARTEMIS_TIMEOUT_MAX_MS, for a client that is one; else ARTEMIS_INVALID. */
ARTEMIS_MUST_USE enum artemis_error client_check_call(const struct artemis_client *client,
                                                      int timeout_ms,
                                                      struct artemis_problem *problem);
