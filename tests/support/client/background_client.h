/* SPDX-License-Identifier: Apache-2.0
 *
 * background_client - a client that repeats one request on its own connection, in its own thread,
 * while a test sends malformed or slow requests. Do not move the struct between start and stop.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct background_client {
    pthread_t thread;
    uint16_t port;
    const char *path;
    char *expected; /* the first body, which each response must equal */
    _Atomic bool stop;
    _Atomic bool ended; /* its thread has ended, perhaps with a problem */
    _Atomic int served;
    _Atomic int64_t longest_ms; /* the longest time to a response */
    char problem[512];
};

/* The response to `path` must not change until stop. */
void background_client_start(struct background_client *background_client, uint16_t port,
                             const char *path);

/* Fails the test unless each response equals the first one, and at least one has arrived. */
void background_client_stop(struct background_client *background_client);

/* Waits for `count` more responses; fails the test at the deadline. */
void background_client_check_served(struct background_client *background_client, int count);
