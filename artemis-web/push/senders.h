/* SPDX-License-Identifier: Apache-2.0
 *
 * senders - sends one frame to many sockets: a few threads lend a hand.
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

enum { SENDERS_MAX = 4, SENDINGS_MAX = 4096 };

struct sending {
    void *of; /* the caller's */
    int socket;
    int error;    /* errno, where the size is -1 */
    ssize_t size; /* what the socket took */
};

struct senders;

/* `threads` in all, the caller's among them, or SENDERS_MAX. ERR_NO_MEMORY, ERR_SYSTEM. */
MUST_USE enum error senders_start(uint32_t threads, struct senders **out);
void senders_stop(struct senders *senders); /* takes NULL */
/* Offers the bytes to each socket, and fills in what became of it. */
void senders_send(struct senders *senders, struct slice bytes, struct sending *list,
                  uint32_t count);
