/* SPDX-License-Identifier: Apache-2.0
 *
 * sender_pool - sends the same bytes to many sockets, with several threads.
 *
 * The cost of a change with thousands of subscribers is one system call per socket. The pool makes
 * these calls and nothing else: the caller chooses the sockets before, and handles the results
 * after. The pool belongs to one thread, and none of its other threads touches a job when
 * sender_pool_send has returned.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "artemis-core/base/error.h"
#include "artemis-core/base/text.h"

enum { SENDER_THREADS_MAX = 4, SEND_JOBS_MAX = 4096 };

struct send_job {
    void *context; /* of the caller */
    int socket;
    int error;    /* result: errno, where `size` is -1 */
    ssize_t size; /* result: bytes that the socket accepted */
};

struct sender_pool;

/* Uses `threads` threads, the caller among them, but at most SENDER_THREADS_MAX. ERR_NO_MEMORY,
 * ERR_SYSTEM. */
MUST_USE enum error sender_pool_start(uint32_t threads, struct sender_pool **out);
void sender_pool_stop(struct sender_pool *pool); /* accepts NULL */
/* Sends the bytes to the socket of each job, without blocking, and sets the results. */
void sender_pool_send(struct sender_pool *pool, struct slice bytes, struct send_job *jobs,
                      uint32_t count);
