/* SPDX-License-Identifier: Apache-2.0
 *
 * client - the parts of a client, and how a call waits for the client's thread.
 *
 * One lock protects the parts that decide (registrations, cache_sync, topic_sync, publications,
 * servers). Callers and the client's thread hold it briefly: to read, to request, to apply what
 * arrived. No I/O, no parsing and no callback happens under the lock. Only the client's thread uses
 * libcurl and the push socket.
 */
#pragma once

#include "libartemis/base/node_refresh.h"
#include "libartemis/base/servers.h"
#include "libartemis/base/settings.h"
#include "libartemis/client/publications.h"
#include "libartemis/client/registrations.h"
#include "libartemis/watch/cache_sync.h"
#include "libartemis/watch/topic_sync.h"
#include "libartemis/wire/http.h"
#include "libartemis/wire/push_socket.h"

#include <pthread.h>
#include <sys/queue.h>

enum { CLIENT_PROBLEM_MAX = 480 };

/* A push that was received and is not applied yet. */
struct pending_push {
    STAILQ_ENTRY(pending_push) link;
    struct push_message message;
};

struct artemis_client {
    struct settings settings; /* immutable, except its list of servers, of the client's thread */
    struct http *http;        /* of the client's thread; any thread may call http_wake */

    struct {                        /* of the client's thread */
        struct push_socket *socket; /* NULL: none */
        enum push_state socket_state;
        STAILQ_HEAD(, pending_push) pushes; /* the oldest first */
        bool limit_logged;                  /* for this connection: a message was over a limit */
        bool push_lost;                     /* there was no memory for a push */
    } loop;

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* monotonic clock; signalled after each turn and callback */

    struct { /* under the lock */
        struct registrations registrations;
        struct cache_sync sync;
        struct topic_sync topics;
        struct publications publications;
        struct servers registry_servers;
        struct servers push_servers;
        struct servers event_servers; /* to publish at */
        struct node_refresh refresh;
        bool registry_failing, push_failing;       /* the failure is in the log already */
        char registry_problem[CLIENT_PROBLEM_MAX]; /* the last one, "URL: problem"; or "" */
        char push_problem[CLIENT_PROBLEM_MAX];
        bool polling;             /* push_server has no WebSocket */
        size_t push_server;       /* the server that pushes, or is polled */
        uint64_t socket_retry_ms; /* while polling: when to try a WebSocket again */
        const void *running;      /* the watch or subscription whose callback runs */
        bool thread_known;
        pthread_t loop_thread;
        bool stopping;
    } shared;
};

/* Under the lock: waits until `done` (called under the lock) returns true. False: the deadline came
 * first. In a callback, it runs turns of the loop meanwhile. */
bool client_wait(struct artemis_client *client, bool (*done)(void *context), void *context,
                 uint64_t deadline_ms);
/* Under the lock: is this the client's thread? */
bool client_is_loop(const struct artemis_client *client);

/* Checks arguments that most calls have. ARTEMIS_INVALID: client is NULL, or timeout_ms is not 0 to
 * ARTEMIS_TIMEOUT_MAX_MS. */
ARTEMIS_MUST_USE enum artemis_error client_check_call(const struct artemis_client *client,
                                                      int timeout_ms,
                                                      struct artemis_problem *problem);
