/* SPDX-License-Identifier: Apache-2.0
 *
 * fake_server - a server whose responses a test writes, for behaviour that a real server does not
 * show. It serves one connection at a time, with one request each, in its own thread.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

/* Writes the complete response (status line, head and body) to one request; `head` is the text of
 * the request up to the empty line. Called in the server's thread. */
typedef void fake_server_response(const char *head, char *response, size_t size, void *context);

struct fake_server {
    int listener;
    uint16_t port;
    char url[40];
    pthread_t thread;
    fake_server_response *response;
    void *context;
};

void fake_server_start(struct fake_server *server, fake_server_response *response, void *context);
void fake_server_stop(struct fake_server *server);
