/* SPDX-License-Identifier: Apache-2.0
 *
 * frame - an encoded WebSocket frame (RFC 6455, section 5.2) that many WebSockets share.
 *
 * A server does not mask its frames, so the bytes are the same for every client: a change is
 * encoded once for all subscriptions with the same form. A frame is immutable and
 * reference-counted. Belongs to the push thread: the count is not atomic.
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

/* Encodes a message as one frame, with one reference. NULL: no memory. */
struct frame *frame_create(enum frame_kind kind, struct slice payload);
/* Encodes a close frame; the reason is cut to CLOSE_REASON_BYTES_MAX. NULL: no memory. */
struct frame *frame_close(uint16_t code, const char *reason);
/* Copies bytes that are encoded already. NULL: no memory. */
struct frame *frame_raw(struct slice bytes);
struct frame *frame_ref(struct frame *frame); /* returns it */
void frame_unref(struct frame *frame);        /* accepts NULL */
