/* SPDX-License-Identifier: Apache-2.0
 *
 * frame - a WebSocket frame (RFC 6455, 5.2) that was encoded once and is sent to many.
 *
 * What a server sends is not masked, so the bytes are the same for everybody: a change is encoded
 * once, however many subscribers get it. Immutable, and counted by reference. Belongs to the push
 * thread: the count is not atomic.
 */
#pragma once

#include <stdint.h>

#include "artemis-core/base/text.h"

enum frame_kind { FRAME_TEXT = 0x1, FRAME_CLOSE = 0x8, FRAME_PING = 0x9 };

enum { CLOSE_REASON_BYTES_MAX = 123 };

struct frame {
    uint32_t refs;
    size_t size;
    unsigned char bytes[]; /* header and payload */
};

/* A whole message of one frame, with one reference. NULL: out of memory. */
struct frame *frame_create(enum frame_kind kind, struct slice payload);
/* A close frame; of the reason goes out what fits. */
struct frame *frame_close(uint16_t code, const char *reason);
/* Frames that were encoded elsewhere, as they are. */
struct frame *frame_raw(struct slice bytes);
struct frame *frame_ref(struct frame *frame); /* returns it */
void frame_unref(struct frame *frame);        /* takes NULL */
