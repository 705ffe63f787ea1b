/* SPDX-License-Identifier: Apache-2.0
 *
 * push_frames - reads and writes the frames of a push socket (wslay), within limits.
 *
 * A text message may consist of any number of fragments; its bytes are kept once, up to
 * PUSH_MESSAGE_BYTES_MAX. One call of push_frames_read takes at most PUSH_TURN_BYTES_MAX bytes,
 * PUSH_TURN_FRAMES_MAX frames and PUSH_TURN_MS_MAX, and leaves the rest for the next call. It stops
 * reading while PUSH_QUEUE_MAX messages, such as pongs, wait to be sent.
 *
 * Pure, except for the callbacks in struct push_frames_io. One thread.
 */
#pragma once

#include "artemis-core/base/error.h"
#include "artemis-core/base/text.h"

#include <sys/types.h>

enum {
    PUSH_MESSAGE_BYTES_MAX = 4 << 20, /* four times the largest state that a server pushes */
    PUSH_TURN_BYTES_MAX = 256 * 1024,
    PUSH_TURN_FRAMES_MAX = 4096,
    PUSH_TURN_MS_MAX = 20,
    PUSH_QUEUE_MAX = 64,
    PUSH_PROBLEM_MAX = 96,
};

struct push_frames_io {
    /* Read or write up to `size` bytes. 0: nothing possible now; -1: the connection is lost. */
    ssize_t (*receive)(void *context, uint8_t *to, size_t size);
    ssize_t (*transmit)(void *context, const uint8_t *from, size_t size);
    void (*on_message)(void *context, struct slice text); /* borrowed for the call */
    uint64_t (*clock_ms)(void);                           /* monotonic */
    uint64_t (*random)(void);                             /* for frame masks */
    void *context;
};

struct push_frames;

/* ERR_NO_MEMORY. */
MUST_USE enum error push_frames_create(const struct push_frames_io *io, struct push_frames **out);
void push_frames_free(struct push_frames *frames); /* accepts NULL */

/* Reads what is there, within the limits of a turn. False: the connection has ended or is lost; see
 * push_frames_problem. */
MUST_USE bool push_frames_read(struct push_frames *frames);
/* The last push_frames_read stopped at a limit of its turn; more bytes may be there. */
bool push_frames_has_more(const struct push_frames *frames);
/* False: too many messages wait to be sent; push_frames_read would read nothing. */
bool push_frames_can_read(const struct push_frames *frames);

/* Queues a text message. ERR_NO_MEMORY. */
MUST_USE enum error push_frames_send(struct push_frames *frames, struct slice text);
bool push_frames_wants_write(const struct push_frames *frames);
/* Writes what is possible. False: the connection is lost. */
MUST_USE bool push_frames_write(struct push_frames *frames);

/* Why the connection has ended; "" if `receive` or `transmit` returned -1. */
const char *push_frames_problem(const struct push_frames *frames);
