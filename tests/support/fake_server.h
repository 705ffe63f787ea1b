/* SPDX-License-Identifier: Apache-2.0
 *
 * fake_server - a server that answers as a test tells it, for what a real one does rarely or not
 * any more. One connection at a time, one request each, in a thread of its own.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

/* Writes the whole answer (status line, head and body) to one request, of which `head` is the text
 * up to the empty line. In the server's thread. */
typedef void fake_server_answer(const char *head, char *answer, size_t size, void *context);

struct fake_server {
    int listener;
    uint16_t port;
    char url[40];
    pthread_t thread;
    fake_server_answer *answer;
    void *context;
};

void fake_server_start(struct fake_server *server, fake_server_answer *answer, void *context);
void fake_server_stop(struct fake_server *server);
