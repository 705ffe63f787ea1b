/* SPDX-License-Identifier: Apache-2.0
 *
 * send_queue - the frames that wait until a socket takes them: bounded, and by reference.
 *
 * Memory is taken when a frame has to wait, and given back when none does: most sockets never have
 * one. A frame has an owner, for whom it was sent, so that what is dropped can be made up for; NULL
 * where nobody asks. Belongs to one thread.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "artemis-web/push/frame.h"

enum { QUEUE_FRAMES_MAX = 256, QUEUE_BYTES_MAX = 256 * 1024 };

struct queued {
    struct frame *frame;
    void *owner;
};

struct send_queue {
    struct queued *items; /* a ring; NULL while nothing waits */
    uint32_t capacity;
    uint32_t first;
    uint32_t count;
    size_t sent;  /* bytes of the first frame */
    size_t bytes; /* of all that wait, whole */
};

void send_queue_free(struct send_queue *queue);
/* Is there room for so many bytes? For the first frame there always is. */
bool send_queue_has_room(const struct send_queue *queue, size_t bytes);
/* Takes a reference. `sent` bytes of the frame have gone out: not 0 only for the first one. False:
 * out of memory. */
bool send_queue_put(struct send_queue *queue, struct frame *frame, size_t sent, void *owner);
/* Sends what the socket takes. -1 with errno where it failed; else bytes that went out. */
ssize_t send_queue_write(struct send_queue *queue, int socket);
/* Drops what has an owner and has not begun to go out, and tells the owner. */
typedef void send_queue_dropped(void *owner);
void send_queue_drop(struct send_queue *queue, send_queue_dropped *tell);
/* An owner goes: it is told nothing any more. */
void send_queue_forget(struct send_queue *queue, const void *owner);
