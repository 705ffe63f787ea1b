/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/frames/frame.h"

#include <stdlib.h>
#include <string.h>

enum {
    HEADER_BYTES_MAX = 10,
    FIN = 0x80,
    SMALL_MAX = 125,
    SIZE_OF_16_BITS = 126,
    SIZE_OF_64_BITS = 127,
};

static struct frame *allocate(size_t size)
{
    struct frame *frame = malloc(sizeof(*frame) + size);
    if (frame)
        *frame = (struct frame){.refs = 1};
    return frame;
}

static void put(struct frame *frame, const void *bytes, size_t size)
{
    if (size)
        memcpy(frame->bytes + frame->size, bytes, size);
    frame->size += size;
}

static void put_number(struct frame *frame, uint64_t value, int size)
{
    while (size-- > 0)
        frame->bytes[frame->size++] = (unsigned char)(value >> (8 * size));
}

struct frame *frame_create(enum frame_kind kind, struct slice payload)
{
    struct frame *frame = allocate(HEADER_BYTES_MAX + payload.size);
    if (!frame)
        return NULL;
    put_number(frame, FIN | (unsigned)kind, 1);
    if (payload.size <= SMALL_MAX) {
        put_number(frame, payload.size, 1);
    } else if (payload.size <= UINT16_MAX) {
        put_number(frame, SIZE_OF_16_BITS, 1);
        put_number(frame, payload.size, 2);
    } else {
        put_number(frame, SIZE_OF_64_BITS, 1);
        put_number(frame, payload.size, 8);
    }
    put(frame, payload.data, payload.size);
    return frame;
}

struct frame *frame_close(uint16_t code, const char *reason)
{
    char payload[2 + CLOSE_REASON_BYTES_MAX] = {(char)(code >> 8), (char)(code & 0xff)};
    size_t size = strnlen(reason, CLOSE_REASON_BYTES_MAX);
    memcpy(payload + 2, reason, size);
    return frame_create(FRAME_CLOSE, (struct slice){payload, 2 + size});
}

struct frame *frame_raw(struct slice bytes)
{
    struct frame *frame = allocate(bytes.size);
    if (frame)
        put(frame, bytes.data, bytes.size);
    return frame;
}

struct frame *frame_ref(struct frame *frame)
{
    frame->refs++;
    return frame;
}

void frame_unref(struct frame *frame)
{
    if (frame && --frame->refs == 0)
        free(frame);
}
