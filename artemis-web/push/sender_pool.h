/* SPDX-License-Identifier: Apache-2.0
 *
 * sender_pool - sends one frame to many sockets: a few threads lend a hand.
 *
 * What a change to thousands of subscribers costs is the system's work for each socket. That is
 * done here and nothing else: who gets the frame, and what follows from what became of it, is the
 * caller's to decide, before and after. Belongs to one thread; all help is over when a call
 * returns.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "artemis-core/base/error.h"
#include "artemis-core/base/text.h"

enum { SENDER_POOL_MAX = 4, SEND_JOBS_MAX = 4096 };

struct send_job {
    void *of; /* the caller's */
    int socket;
    int error;    /* errno, where the size is -1 */
    ssize_t size; /* what the socket took */
};

struct sender_pool;

/* `threads` in all, the caller's among them, or SENDER_POOL_MAX. ERR_NO_MEMORY, ERR_SYSTEM. */
MUST_USE enum error sender_pool_start(uint32_t threads, struct sender_pool **out);
void sender_pool_stop(struct sender_pool *sender_pool); /* takes NULL */
/* Offers the bytes to each socket, and fills in what became of it. */
void sender_pool_send(struct sender_pool *sender_pool, struct slice bytes, struct send_job *list,
                      uint32_t count);
