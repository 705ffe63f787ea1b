/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/frames/send_queue.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { FIRST_CAPACITY = 4, FRAMES_PER_CALL = 16 };

static struct queued_frame *item(const struct send_queue *queue, uint32_t index)
{
    return &queue->items[(queue->first + index) % queue->capacity];
}

static void remove_first(struct send_queue *queue)
{
    struct frame *frame = item(queue, 0)->frame;
    queue->bytes -= frame->size;
    queue->first = (queue->first + 1) % queue->capacity;
    queue->count--;
    queue->sent = 0;
    frame_unref(frame);
}

void send_queue_free(struct send_queue *queue)
{
    while (queue->count)
        remove_first(queue);
    free(queue->items);
    *queue = (struct send_queue){0};
}

bool send_queue_has_space(const struct send_queue *queue, size_t bytes)
{
    return queue->count == 0 ||
           (queue->count < QUEUE_FRAMES_MAX && queue->bytes + bytes <= QUEUE_BYTES_MAX);
}

static bool grow(struct send_queue *queue)
{
    uint32_t capacity = queue->capacity ? queue->capacity * 2 : FIRST_CAPACITY;
    struct queued_frame *items = malloc(capacity * sizeof(*items));
    if (!items)
        return false;
    for (uint32_t i = 0; i < queue->count; i++)
        items[i] = *item(queue, i);
    free(queue->items);
    queue->items = items;
    queue->capacity = capacity;
    queue->first = 0;
    return true;
}

bool send_queue_put(struct send_queue *queue, struct frame *frame, size_t sent, void *owner)
{
    if (queue->count == queue->capacity && !grow(queue))
        return false;
    if (queue->count == 0)
        queue->sent = sent;
    queue->count++;
    *item(queue, queue->count - 1) = (struct queued_frame){frame_ref(frame), owner};
    queue->bytes += frame->size;
    return true;
}

static void remove_sent(struct send_queue *queue, size_t size)
{
    while (queue->count) {
        size_t left = item(queue, 0)->frame->size - queue->sent;
        if (size < left)
            break;
        size -= left;
        remove_first(queue);
    }
    queue->sent += size;
    if (queue->count == 0)
        send_queue_free(queue);
}

ssize_t send_queue_write(struct send_queue *queue, int socket)
{
    ssize_t total = 0;
    while (queue->count) {
        struct iovec parts[FRAMES_PER_CALL];
        struct msghdr message = {.msg_iov = parts};
        size_t total_size = 0;
        for (uint32_t i = 0; i < queue->count && i < FRAMES_PER_CALL; i++) {
            struct frame *frame = item(queue, i)->frame;
            size_t from = i == 0 ? queue->sent : 0;
            parts[i] = (struct iovec){frame->bytes + from, frame->size - from};
            total_size += frame->size - from;
            message.msg_iovlen = i + 1;
        }
        ssize_t size = sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (size < 0)
            return total ? total : -1;
        remove_sent(queue, (size_t)size);
        total += size;
        if ((size_t)size < total_size)
            break;
    }
    return total;
}

void send_queue_drop(struct send_queue *queue, send_queue_dropped *on_dropped)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < queue->count; i++) {
        struct queued_frame queued = *item(queue, i);
        bool started = i == 0 && queue->sent > 0;
        if (started || !queued.owner) {
            *item(queue, kept++) = queued;
            continue;
        }
        on_dropped(queued.owner);
        queue->bytes -= queued.frame->size;
        frame_unref(queued.frame);
    }
    queue->count = kept;
    if (kept == 0)
        send_queue_free(queue);
}

void send_queue_forget(struct send_queue *queue, const void *owner)
{
    for (uint32_t i = 0; i < queue->count; i++)
        if (item(queue, i)->owner == owner)
            item(queue, i)->owner = NULL;
}
