/* SPDX-License-Identifier: Apache-2.0
 *
 * bystander - another client, who asks one thing again and again on one connection of its own while
 * a test misbehaves. Its thread lives from start to stop; the bystander must stay where it is
 * meanwhile.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct bystander {
    pthread_t thread;
    uint16_t port;
    const char *path;
    char *expected; /* the body it got first, which must come each time */
    _Atomic bool stop;
    _Atomic bool ended; /* its thread has come to its end, for a complaint perhaps */
    _Atomic int served;
    _Atomic int64_t longest_ms; /* the longest it had to wait */
    char complaint[512];
};

/* What `path` answers must not change until stop. */
void bystander_start(struct bystander *bystander, uint16_t port, const char *path);

/* Fails the test unless each request was answered as the first one, and some since the start. */
void bystander_stop(struct bystander *bystander);

/* Waits until it was served `count` times more; fails the test when it is not. */
void bystander_check_served(struct bystander *bystander, int count);
