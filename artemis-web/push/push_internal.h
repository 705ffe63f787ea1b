/* SPDX-License-Identifier: Apache-2.0
 *
 * push_internal - what the files of the push thread share. Not for other rooms. All of it belongs
 * to the push thread, but for what is marked.
 */
#pragma once

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <wslay/wslay.h>

#include "artemis-web/push/push.h"
#include "artemis-web/push/send_queue.h"
#include "artemis-web/push/sender_pool.h"
#include "artemis-web/push/topics.h"

enum source_kind { SOURCE_WAKE, SOURCE_WEBSOCKET, SOURCE_LONG_POLL };

/* What an event of epoll is about; the first member of what it belongs to. */
struct source {
    enum source_kind kind;
    struct source *next; /* on its way to the thread, or waiting to be freed */
};

struct subscription {
    struct subscriber subscriber; /* first: a topic finds it here */
    struct websocket *websocket;
    struct subscription *next;
    struct subscription *prev;
    enum push_form form;
    bool lagging; /* it has missed something: the newest state is due */
};

enum websocket_state {
    WEBSOCKET_OPEN,
    WEBSOCKET_CLOSING, /* our close frame is in the queue or sent */
    WEBSOCKET_SHUT,    /* all is sent, and our side is shut; the client's end is awaited */
    WEBSOCKET_CLOSED,
};

struct websocket {
    struct source source;
    struct push *push;
    struct websocket *next;
    struct websocket *prev;
    enum endpoint endpoint;
    enum websocket_state state;
    int socket;
    struct MHD_UpgradeResponseHandle *upgraded;
    struct send_queue queue;
    bool awaits_writable; /* epoll tells when the socket takes more */
    bool ping_sent;
    bool lagging;         /* some subscription is lagging */
    uint64_t received_ms; /* when the client last sent something */
    uint64_t closed_ms;
    struct subscription *subscriptions;
    uint32_t subscription_count;
    /* Reading. wslay's state takes 8 KiB and is there only while a message is under way. */
    wslay_event_context_ptr reader;
    struct slice input; /* received, and not read yet */
    uint64_t fed;       /* bytes that the reader has got, */
    uint64_t framed;    /* and those of the frames that it has begun */
    bool in_fragments;
    uint32_t fragments; /* of the message under way */
    struct text early;  /* what came with the handshake */
};

struct long_poll {
    struct source source;
    struct subscriber subscriber;
    struct long_poll *next; /* in its slot of the wheel */
    struct long_poll *prev;
    struct long_poll_condition condition;
    struct MHD_Connection *connection;
    int socket;
    bool linked;
};

enum { LONG_POLL_SLOT_MS = 64, LONG_POLL_SLOTS = 1024, CHANGES_AT_ONCE = 1024 };
static_assert(LONG_POLL_SLOTS * LONG_POLL_SLOT_MS > LONG_POLL_MS_MAX,
              "a wait ends within one round");

/* Read by any thread. */
struct push_counters {
    _Atomic uint64_t clients, websockets, subscriptions, long_polls;
    _Atomic uint64_t frames, bytes, resyncs, messages, long_polls_started, refused;
    _Atomic uint64_t closed_idle, closed_slow, closed_errors;
};

struct push {
    struct engine *engine; /* constant, like the next */
    uint32_t clients_max;
    pthread_t id;
    int epoll;
    int wake;                  /* an eventfd */
    struct source wake_source; /* of the eventfd */
    struct push_counters counters;
    struct {
        pthread_mutex_t lock;
        struct source *arrived; /* the newest first */
        bool stopped;
    } _shared;
    atomic_bool draining;
    atomic_bool stop;
    _Atomic uint64_t
        dispatched; /* the version up to which changes were handed out; written here only */

    struct moment now; /* of this round */
    uint64_t checked_ms;
    uint64_t overruns; /* how often the log had dropped what was not handed out */
    struct topics topics;
    struct websocket *websockets;
    struct long_poll *slots[LONG_POLL_SLOTS]; /* by the end of the wait */
    uint64_t slot;           /* the next to end, as a count since the clock's start */
    struct source *closed;   /* freed at the end of the round */
    struct change *batch;    /* room for CHANGES_AT_ONCE */
    uint32_t *next_of_topic; /* of each: the next change of the same service, from 1 */
    struct sender_pool *sender_pool;
    struct send_job *jobs; /* room for SEND_JOBS_MAX */
    struct text scratch[2];
};

static inline void push_count(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}
static inline void push_uncount(_Atomic uint64_t *counter)
{
    atomic_fetch_sub_explicit(counter, 1, memory_order_relaxed);
}

/* --- push.c ----------------------------------------------------------------------------------- */

/* All of it but the thread; push_clear also after a failure. ERR_NO_MEMORY, ERR_SYSTEM. */
MUST_USE enum error push_init(struct engine *engine, uint32_t clients_max, struct push *push);
void push_clear(struct push *push);
void push_on_event(struct push *push, const struct epoll_event *event);
/* Ends a round: frees what has ended in it. */
void push_free_closed(struct push *push);
/* To be called before somebody watches: where nobody did, the log is read from here on. */
void push_start_reading(struct push *push);

/* --- dispatch.c: changes to subscribers ------------------------------------------------------- */

/* Hands out all changes up to `version`. */
void push_dispatch(struct push *push, uint64_t version);
/* Sends the newest state to the lagging subscriptions of a WebSocket, as long as it takes them. */
void push_resync(struct push *push, struct websocket *websocket);
/* Has the client of a service missed something after `version`? */
bool push_has_newer(struct push *push, struct slice service_id, uint64_t version);

/* --- waiting.c: requests that wait ------------------------------------------------------------ */

void long_poll_start(struct push *push, struct long_poll *long_poll);
/* Resumes the request. */
void long_poll_end(struct push *push, struct long_poll *long_poll);
void long_polls_end_topic(struct push *push, struct topic *topic);
void long_polls_end_all(struct push *push);
void long_polls_end_due(struct push *push);
/* Milliseconds until the next wait ends; -1: there is none. */
int long_polls_next_ms(const struct push *push);

/* --- websocket.c ------------------------------------------------------------------------------ */

void websocket_begin(struct push *push, struct websocket *websocket);
void websocket_on_event(struct websocket *websocket, uint32_t events);
/* Sends, or queues; what does not fit makes the subscription lagging. NULL: it is an answer. */
void websocket_send(struct websocket *websocket, struct frame *frame, struct subscription *of);
void websocket_reply(struct websocket *websocket, const struct text *message);
/* The same in halves, for one that is sent to many: may the socket be offered a frame, as nothing
 * waits before it? And what follows from the answer, which is send()'s. */
bool websocket_can_send_now(const struct websocket *websocket, const struct subscription *of);
void websocket_sent(struct websocket *websocket, struct frame *frame, struct subscription *of,
                    ssize_t size, int error);
/* It has missed something: it gets nothing more before the newest state. */
void subscription_mark_lagging(struct subscription *subscription);
/* It cannot be made up for what it has missed: the client is to connect again. */
void websocket_close_lagging(struct websocket *websocket);
/* Begins the closing handshake. */
void websocket_close(struct websocket *websocket, uint16_t code, const char *reason);
/* Ends it at once. It is freed at the end of the round. */
void websocket_end(struct websocket *websocket);
/* What must be done about once a second. */
void websocket_check_timeouts(struct websocket *websocket);

/* --- protocol.c: what clients say ------------------------------------------------------------- */

void protocol_begin(struct websocket *websocket);
void protocol_text(struct websocket *websocket, struct slice message);
/* Adds a subscription, or finds the one there is. NULL: out of memory, or at the limit. */
struct subscription *subscription_add(struct websocket *websocket, struct slice service_id,
                                      enum push_form form, bool *is_new);
void subscription_remove(struct subscription *subscription);
