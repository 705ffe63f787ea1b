/* SPDX-License-Identifier: Apache-2.0
 *
 * dispatch - sends changes, and full states, to subscriptions.
 *
 * Changes are dispatched in the order of their revisions; push.dispatched is the revision of the
 * last one. Changes of one service that are dispatched together share a message. A subscription to
 * "*" gets messages in the order of their revisions, so that its last revision identifies the
 * changes that it has missed; with such subscriptions only consecutive changes of one service share
 * a message. A filtered view gets the changes as change_filter.h defines them, and no message where
 * it sees none of them.
 *
 * A resync sends a full state to lagging subscriptions. It dispatches all changes up to the
 * revision of the state first, so that no older change follows the state. WebSockets take turns:
 * each gets a limited number of bytes in a turn of the push thread.
 *
 * Belongs to the push thread.
 */
#pragma once

#include "artemis-server/registry/change_log.h"
#include "artemis-web/frames/sender_pool.h"
#include "artemis-web/push/shared_state.h"

enum { CHANGES_PER_BATCH = 1024 };

/* Buffers and threads for sending. */
struct dispatch {
    struct sender_pool *sender_pool;
    struct send_job *jobs;     /* SEND_JOBS_MAX */
    struct change *changes;    /* CHANGES_PER_BATCH */
    uint32_t *next_of_topic;   /* for each change: the next one of its topic, from 1; 0: none */
    struct text list, message; /* changes encoded for one message; the message */
};

/* `threads` send, the push thread among them. ERR_NO_MEMORY, ERR_SYSTEM. */
MUST_USE enum error dispatch_create(uint32_t threads, struct dispatch **out);
void dispatch_free(struct dispatch *dispatch); /* accepts NULL */

/* Dispatches the changes up to a revision. False: the change log had dropped some of them already.
 * Then all long polls have ended and all subscriptions lag. */
bool dispatch_until(struct push *push, uint64_t revision);
/* Sends a frame to the subscriptions of a view that have this form. No socket occurs twice in a
 * topic, so the result for one socket does not affect another. */
void dispatch_send(struct dispatch *dispatch, struct topic_view *view, enum push_form form,
                   struct frame *frame);
/* Sends the events that wait to the subscriptions of their topics. True: more wait. */
bool dispatch_events(struct push *push);
/* Encodes the message about the events that a subscription has lost. NULL: no memory. */
struct frame *dispatch_lost_events(const struct subscription *subscription);
/* Resyncs the WebSockets in push.resyncs, up to a limit of bytes; the rest stays there. */
void dispatch_resync(struct push *push);
