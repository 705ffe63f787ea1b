/* SPDX-License-Identifier: Apache-2.0
 *
 * send_queue - the frames that a socket has not accepted yet. Bounded; holds references.
 *
 * An empty queue uses no memory, and most queues are always empty. A frame may have an owner, the
 * subscription for which it was sent: such frames can be dropped, and their owners are notified.
 * Belongs to one thread.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "artemis-web/frames/frame.h"

enum { QUEUE_FRAMES_MAX = 256, QUEUE_BYTES_MAX = 256 * 1024 };

struct queued_frame {
    struct frame *frame;
    void *owner; /* NULL: none */
};

struct send_queue {
    struct queued_frame *items; /* a ring; NULL while the queue is empty */
    uint32_t capacity;
    uint32_t first;
    uint32_t count;
    size_t sent;  /* bytes of the first frame that are sent */
    size_t bytes; /* total size of the frames, sent bytes included */
};

void send_queue_free(struct send_queue *queue);
/* Whether a frame of this size fits. An empty queue takes a frame of any size. */
bool send_queue_has_space(const struct send_queue *queue, size_t bytes);
/* Appends a frame; takes a reference. `sent` bytes of it are sent already: other than 0 only in an
 * empty queue. False: no memory. */
bool send_queue_put(struct send_queue *queue, struct frame *frame, size_t sent, void *owner);
/* Sends what the socket accepts. Returns the bytes sent, or -1 with errno where that fails. */
ssize_t send_queue_write(struct send_queue *queue, int socket);
/* Drops the frames that have an owner and of which nothing is sent, and calls on_dropped for
 * each. */
typedef void send_queue_dropped(void *owner);
void send_queue_drop(struct send_queue *queue, send_queue_dropped *on_dropped);
/* Removes an owner from its frames: they are still sent and can no longer be dropped. */
void send_queue_forget(struct send_queue *queue, const void *owner);
