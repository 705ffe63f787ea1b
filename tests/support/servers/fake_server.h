/* SPDX-License-Identifier: Apache-2.0
 *
 * fake_server - a server whose responses a test writes, for what a real server does rarely or no
 * longer does. Each connection has its own thread and serves one request.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

/* Writes the complete response (status line, head and body) to one request; `head` is the text of
 * the request up to the empty line. Called in the thread of the connection. */
typedef void fake_server_response(const char *head, char *response, size_t size, void *context);

/* Serves the connection by itself, until fake_server_send fails at the latest. False: `response` is
 * called. */
typedef bool fake_server_stream(int fd, const char *head, void *context);

struct fake_server {
    int listener;
    uint16_t port;
    char url[40];
    pthread_t thread;
    fake_server_response *response;
    fake_server_stream *stream; /* NULL: none */
    void *context;
    LIST_HEAD(, fake_connection) connections;
};

void fake_server_start(struct fake_server *server, fake_server_response *response, void *context);
void fake_server_start_stream(struct fake_server *server, fake_server_response *response,
                              fake_server_stream *stream, void *context);
/* The same on a given port; 0 chooses a free one. */
void fake_server_start_at(struct fake_server *server, uint16_t port, fake_server_response *response,
                          fake_server_stream *stream, void *context);
void fake_server_stop(struct fake_server *server);

/* Sends all bytes. False: the client has closed the connection, or the server is being stopped. */
bool fake_server_send(int fd, const void *bytes, size_t size);
/* Reads until the client closes the connection. */
void fake_server_drain(int fd);
/* Answers the request for a WebSocket. */
bool fake_server_open_websocket(int fd, const char *head);
/* Sends a text message in one frame. */
bool fake_server_push(int fd, const char *text);
