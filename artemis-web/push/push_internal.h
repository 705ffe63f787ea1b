/* SPDX-License-Identifier: Apache-2.0
 *
 * push_internal - what the files of the push thread share. Not for other rooms. All of it belongs
 * to the push thread, but for what is marked.
 */
#pragma once

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <wslay/wslay.h>

#include "artemis-web/push/push.h"
#include "artemis-web/push/send_queue.h"
#include "artemis-web/push/senders.h"
#include "artemis-web/push/topics.h"

enum source_kind { SOURCE_WAKE, SOURCE_WEBSOCKET, SOURCE_WAITER };

/* What an event of epoll is about; the first member of what it belongs to. */
struct source {
    enum source_kind kind;
    struct source *next; /* on its way to the thread, or waiting to be freed */
};

struct subscription {
    struct watcher watcher; /* first: a topic finds it here */
    struct websocket *websocket;
    struct subscription *next;
    struct subscription *prev;
    enum push_form form;
    bool stale; /* it has missed something: the newest state is due */
};

enum websocket_state {
    WEBSOCKET_OPEN,
    WEBSOCKET_CLOSING, /* our close frame is in the queue or sent */
    WEBSOCKET_ENDING,  /* all is sent, and our side is shut; the client's end is awaited */
    WEBSOCKET_GONE,
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
    bool awaits_room; /* epoll tells when the socket takes more */
    bool pinged;
    bool behind;       /* some subscription is stale */
    uint64_t heard_ms; /* when the client last sent something */
    uint64_t closed_ms;
    struct subscription *subscriptions;
    uint32_t subscription_count;
    /* Reading. wslay's state takes 8 KiB and is there only while a message is under way. */
    wslay_event_context_ptr reader;
    struct slice input; /* received, and not read yet */
    uint64_t fed;       /* bytes that the reader has got, */
    uint64_t framed;    /* and those of the frames that it has begun */
    bool in_fragments;
    struct text early; /* what came with the handshake */
};

struct waiter {
    struct source source;
    struct watcher watcher;
    struct waiter *next; /* in its slot of the wheel */
    struct waiter *prev;
    struct wait wait;
    struct MHD_Connection *connection;
    int socket;
    bool linked;
    bool ended; /* and is resumed at the end of the round */
};

enum { WAIT_SLOT_MS = 64, WAIT_SLOTS = 1024, CHANGES_AT_ONCE = 1024 };
static_assert(WAIT_SLOTS * WAIT_SLOT_MS > WAIT_MS_MAX, "a wait ends within one round");

/* Read by any thread. */
struct push_counters {
    _Atomic uint64_t clients, websockets, subscriptions, waiting;
    _Atomic uint64_t frames, bytes, reloads, messages, waits, refused;
    _Atomic uint64_t closed_idle, closed_slow, closed_errors;
};

struct push {
    struct engine *engine; /* constant, like the next */
    uint32_t clients_max;
    pthread_t id;
    int epoll;
    int wake;           /* an eventfd */
    struct source bell; /* of the eventfd */
    struct push_counters counters;
    struct {
        pthread_mutex_t lock;
        struct source *arrived; /* the newest first */
        bool stopped;
    } _shared;
    atomic_bool draining;
    atomic_bool stop;
    _Atomic uint64_t seen; /* the version up to which changes were handed out; written here only */

    struct moment now; /* of this round */
    uint64_t looked_ms;
    struct topics topics;
    struct websocket *websockets;
    struct waiter *slots[WAIT_SLOTS]; /* by the end of the wait */
    uint64_t slot;                    /* the next to end, as a count since the clock's start */
    struct source *gone;              /* freed at the end of the round */
    struct change *batch;             /* room for CHANGES_AT_ONCE */
    uint32_t *next_of_topic;          /* of each: the next change of the same service, from 1 */
    struct senders *senders;
    struct sending *sendings; /* room for SENDINGS_MAX */
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

/* To be called before somebody watches: where nobody did, the log is read from here on. */
void push_begin_watching(struct push *push);

/* --- dispatch.c: changes to watchers ---------------------------------------------------------- */

/* Hands out all changes up to `version`. */
void push_dispatch(struct push *push, uint64_t version);
/* Sends the newest state to the stale subscriptions of a WebSocket, as long as it takes them. */
void push_make_up(struct push *push, struct websocket *websocket);
/* Has the client of a service missed something after `version`? */
bool push_has_missed(struct push *push, struct slice service_id, uint64_t version);

/* --- waiting.c: requests that wait ------------------------------------------------------------ */

void waiting_begin(struct push *push, struct waiter *waiter);
/* Resumes the request. */
void waiting_end(struct push *push, struct waiter *waiter);
void waiting_end_topic(struct push *push, struct topic *topic);
void waiting_end_all(struct push *push);
void waiting_end_due(struct push *push);
/* Milliseconds until the next wait ends; -1: there is none. */
int waiting_next_ms(const struct push *push);

/* --- websocket.c ------------------------------------------------------------------------------ */

void websocket_begin(struct push *push, struct websocket *websocket);
void websocket_on_event(struct websocket *websocket, uint32_t events);
/* Sends, or queues; what does not fit makes the subscription stale. NULL: it is an answer. */
void websocket_send(struct websocket *websocket, struct frame *frame, struct subscription *of);
void websocket_say(struct websocket *websocket, const struct text *message);
/* The same in halves, for one that is sent to many: may the socket be offered a frame, as nothing
 * waits before it? And what follows from the answer, which is send()'s. */
bool websocket_is_free(const struct websocket *websocket, const struct subscription *of);
void websocket_sent(struct websocket *websocket, struct frame *frame, struct subscription *of,
                    ssize_t size, int error);
/* It has missed something: it gets nothing more before the newest state. */
void subscription_make_stale(struct subscription *subscription);
/* Begins the closing handshake. */
void websocket_close(struct websocket *websocket, uint16_t code, const char *reason);
/* Ends it at once. It is freed at the end of the round. */
void websocket_end(struct websocket *websocket);
/* What must be done about once a second. */
void websocket_look(struct websocket *websocket);

/* --- protocol.c: what clients say ------------------------------------------------------------- */

void protocol_begin(struct websocket *websocket);
void protocol_text(struct websocket *websocket, struct slice message);
/* Adds a subscription, or finds the one there is. NULL: out of memory, or at the limit. */
struct subscription *subscription_add(struct websocket *websocket, struct slice service_id,
                                      enum push_form form, bool *is_new);
void subscription_remove(struct subscription *subscription);
