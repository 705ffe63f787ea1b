/* SPDX-License-Identifier: Apache-2.0
 *
 * push_internal - the turns of the push thread, for its loop and for tests. Not for other modules.
 *
 * The files call each other in one direction only (websocket_input.c calls protocol.c through a
 * function that push.c passes):
 *
 *   push.c                            the thread: one turn of its loop after the other
 *     websocket_input.c               reads frames
 *       protocol.c                    handles the messages of clients
 *     dispatch_events.c               sends events to the subscriptions of their topics
 *     dispatch_resync.c               sends full states to lagging subscriptions
 *       dispatch.c                    sends changes to subscriptions and ends long polls
 *         sender_pool.c               sends one frame to many sockets
 *         long_polls.c                starts and ends long polls
 *     subscriptions.c                 subscriptions and their filters; all files above call it
 *     websocket.c                     state and output; all files above call it
 *       send_queue.c, frame.c         queued frames
 *     topics.c                        topics by service id; all files above call it
 *
 * A turn handles the events of epoll, starts the clients that arrived, dispatches events of topics
 * and changes, resyncs WebSockets, checks timeouts, and frees what has ended. Nothing is freed
 * before that: a WebSocket, a subscription, a long poll or a topic that ends within a turn stays
 * valid until the turn's end. A filtered view is freed with its last subscription, while nothing is
 * dispatched.
 */
#pragma once

#include "artemis-web/push/push.h"
#include "artemis-web/push/shared_state.h"

struct epoll_event;

/* Initialises everything but the thread. push_clear is called also after a failure. ERR_NO_MEMORY,
 * ERR_SYSTEM. */
MUST_USE enum error push_init(struct engine *engine, uint32_t clients_max,
                              const struct push_http *http, struct push *push);
void push_clear(struct push *push);
/* Starts a client that arrived. */
void push_start_client(struct push *push, struct push_client *client);
/* One turn. */
void push_turn(struct push *push, const struct epoll_event *events, int count, struct moment now);
/* How long epoll may wait for the next turn; -1: without limit. */
int push_wait_ms(struct push *push);
/* Ends every client and frees it. */
void push_end_all(struct push *push);
