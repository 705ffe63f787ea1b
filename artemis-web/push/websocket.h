/* SPDX-License-Identifier: Apache-2.0
 *
 * websocket - one WebSocket: its state, its output, its input and its subscriptions.
 *
 * Output: a frame is sent at once where the socket accepts it, and queued otherwise. A frame of a
 * subscription that does not fit into the queue makes the subscription lag (push.h). Frames are
 * shared by many WebSockets (frame.h). A subscription to a topic of events that lags loses events:
 * when the queue is empty, it gets their number.
 *
 * Input: wslay parses frames and responds to pings, closes and errors. Messages are passed to a
 * function of the caller.
 *
 * A WebSocket that has failed or is closed enters WEBSOCKET_ENDED and is freed at the end of the
 * turn. Until then every call ignores it. All of it belongs to the push thread.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "artemis-web/frames/send_queue.h"
#include "artemis-web/push/shared_state.h"

struct websocket_reader;

enum { CODE_TRY_AGAIN_LATER = 1013 }; /* of a close frame; wslay does not have it */

enum websocket_state {
    WEBSOCKET_OPEN,
    WEBSOCKET_PINGED,  /* open; a ping is unanswered */
    WEBSOCKET_CLOSING, /* our close frame is queued or sent */
    WEBSOCKET_SHUT,    /* all output is sent, our side is shut down; the client closes next */
    WEBSOCKET_ENDED,   /* in push.ended_clients */
};

enum websocket_output {
    OUTPUT_READY,   /* nothing is queued: frames are sent at once */
    OUTPUT_BLOCKED, /* frames are queued; epoll reports when the socket is writable */
    OUTPUT_RESYNC,  /* nothing is queued and subscriptions lag: in push.resyncs */
};

enum subscription_state {
    SUBSCRIPTION_CURRENT,
    SUBSCRIPTION_LAGGING, /* has missed changes: gets no more before the full state */
    SUBSCRIPTION_ENDED,   /* in push.ended_subscriptions */
};

struct subscription {
    struct topic *topic;
    struct topic_view *view; /* of the topic */
    struct websocket *websocket;
    LIST_ENTRY(subscription) view_link;
    TAILQ_ENTRY(subscription) link; /* in the list of its state */
    enum push_form form;
    enum subscription_state state;
    bool is_of_events; /* to a topic of events: there is no full state */
    uint64_t lost;     /* events since it lags */
};

struct websocket {
    struct push_client client;
    struct push *push;
    LIST_ENTRY(websocket) link;          /* in push.websockets */
    TAILQ_ENTRY(websocket) resyncs_link; /* in push.resyncs */
    enum endpoint endpoint;
    enum websocket_state state;
    enum websocket_output output;
    int socket;
    uint32_t subscription_count;   /* to services */
    uint32_t filtered_count;       /* of these, with a filter */
    uint32_t topic_count;          /* to topics of events */
    struct client_address address; /* of its client */
    void *upgraded;                /* of the HTTP server */
    const struct token *token;     /* with a reference to its table; NULL: none is needed */
    uint64_t timer_ms; /* when input arrived last; in a closing handshake, when that began */
    struct send_queue queue;
    struct subscription_queue current, lagging;
    struct websocket_reader *reader; /* NULL between messages: it takes 8 KiB */
};

/* --- websocket.c ------------------------------------------------------------------------------ */

/* Allocates a WebSocket whose handshake is done. NULL: no memory. */
struct websocket *websocket_create(struct push *push, enum endpoint endpoint, int socket,
                                   void *upgraded);
/* Limits it to what the token of its client allows; takes its own reference. */
void websocket_set_caller(struct websocket *websocket, const struct push_caller *caller);
/* Frees one that is not in the push thread, or not any more. Accepts NULL. */
void websocket_free(struct websocket *websocket);
/* Adds it to the push thread. */
void websocket_start(struct websocket *websocket);

static inline bool websocket_is_open(const struct websocket *websocket)
{
    return websocket->state == WEBSOCKET_OPEN || websocket->state == WEBSOCKET_PINGED;
}

/* Sends a frame to a subscription that is current and whose WebSocket is open; ignores others. */
void websocket_send(struct subscription *subscription, struct frame *frame);
/* The same in two steps, for a frame that the sender pool sends to many sockets: whether the socket
 * may be given the frame now, and the result of send(). */
bool websocket_can_send(const struct subscription *subscription);
void websocket_sent(struct subscription *subscription, struct frame *frame, ssize_t size,
                    int error);
/* Sends a frame that belongs to no subscription. A client that does not read these is closed. */
void websocket_send_control(struct websocket *websocket, struct frame *frame);
/* Sends a text message, which may have failed for lack of memory. */
void websocket_respond(struct websocket *websocket, const struct text *message);
/* Sends what is queued. */
void websocket_flush(struct websocket *websocket);

/* Starts the closing handshake. */
void websocket_close(struct websocket *websocket, uint16_t code, const char *reason);
/* The same for a client that cannot be resynced: it is asked to connect again. */
void websocket_close_lagging(struct websocket *websocket);
/* The same after the caller has sent the close frame. */
void websocket_close_sent(struct websocket *websocket);
/* Ends it at once. */
void websocket_end(struct websocket *websocket);

/* To be called when input arrived. */
void websocket_input_arrived(struct websocket *websocket);
/* Pings or closes it after a time without input, and closes it when its token is no longer valid.
 */
void websocket_check_timeout(struct websocket *websocket);

/* Counts events that a subscription does not get. */
void subscription_lose(struct subscription *subscription, uint64_t count);
/* Moves a subscription into a state. */
void subscription_set_state(struct subscription *subscription, enum subscription_state state);

/* --- subscriptions.c -------------------------------------------------------------------------- */

enum { SUBSCRIPTION_PROBLEM_BYTES = 96 };

/* Adds a subscription, or changes the form and the filter of an existing one. A filter of NULL, or
 * that selects every instance: all instances. NULL: no memory, or at a limit, which *problem then
 * names. */
struct subscription *subscription_add(struct websocket *websocket, struct slice service_id,
                                      enum push_form form, const struct instance_filter *filter,
                                      char problem[SUBSCRIPTION_PROBLEM_BYTES]);
/* The same for a topic of events. */
struct subscription *subscription_add_events(struct websocket *websocket, struct slice topic,
                                             char problem[SUBSCRIPTION_PROBLEM_BYTES]);
/* Makes all subscriptions to services lag. */
void subscriptions_lag(struct websocket *websocket);
/* Returns the subscription to a topic, or NULL. */
struct subscription *subscription_find(const struct websocket *websocket,
                                       const struct topic *topic);
/* Removes a subscription from its topic and its WebSocket. */
void subscription_end(struct subscription *subscription);
void subscriptions_end_all(struct websocket *websocket);

/* --- websocket_input.c ------------------------------------------------------------------------ */

/* Keeps bytes for websocket_read_kept. ERR_NO_MEMORY. */
MUST_USE enum error websocket_keep_input(struct websocket *websocket, struct slice bytes);
/* Handles a text message. */
typedef void websocket_on_message(struct websocket *websocket, struct slice message);
/* Handles the kept bytes. */
void websocket_read_kept(struct websocket *websocket, websocket_on_message *on_message);
/* Receives and handles at most 16 KiB; epoll reports the rest. */
void websocket_receive(struct websocket *websocket, websocket_on_message *on_message);
/* Frees the parser of frames, where there is one. */
void websocket_free_reader(struct websocket *websocket);
