/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/servers/fake_server.h"

#include "tests/support/cmocka_all.h"

#include "artemis-core/base/websocket_handshake.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD_BYTES = 8192, RESPONSE_BYTES = 8192 };

struct fake_connection {
    LIST_ENTRY(fake_connection) link;
    struct fake_server *server;
    int fd;
    pthread_t thread;
};

/* --- connections ------------------------------------------------------------------------------ */

bool fake_server_send(int fd, const void *bytes, size_t size)
{
    const char *at = bytes;
    while (size > 0) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        at += sent;
        size -= (size_t)sent;
    }
    return true;
}

void fake_server_drain(int fd)
{
    char bytes[4096];
    while (recv(fd, bytes, sizeof bytes, 0) > 0)
        ;
}

/* Reads only the part of the body that arrives with the head: tests send little. */
static bool read_head(int fd, char head[HEAD_BYTES])
{
    size_t size = 0;
    head[0] = '\0';
    while (!strstr(head, "\r\n\r\n")) {
        ssize_t got = recv(fd, head + size, HEAD_BYTES - 1 - size, 0);
        if (got <= 0)
            return false;
        size += (size_t)got;
        head[size] = '\0';
    }
    return true;
}

static void *serve(void *context)
{
    const struct fake_connection *connection = context;
    const struct fake_server *server = connection->server;
    int fd = connection->fd;
    char head[HEAD_BYTES];
    char response[RESPONSE_BYTES] = "";
    if (!read_head(fd, head) || (server->stream && server->stream(fd, head, server->context)))
        return NULL;
    server->response(head, response, sizeof response, server->context);
    if (fake_server_send(fd, response, strlen(response)))
        shutdown(fd, SHUT_WR);
    fake_server_drain(fd);
    return NULL;
}

/* In the thread of the server. The connection is closed by fake_server_stop. */
static void add_connection(struct fake_server *server, int fd)
{
    struct fake_connection *connection = calloc(1, sizeof *connection);
    assert_non_null(connection);
    connection->server = server;
    connection->fd = fd;
    assert_int_equal(pthread_create(&connection->thread, NULL, serve, connection), 0);
    LIST_INSERT_HEAD(&server->connections, connection, link);
}

/* --- server ----------------------------------------------------------------------------------- */

static void *run(void *context)
{
    struct fake_server *server = context;
    int fd;
    while ((fd = accept(server->listener, NULL, NULL)) >= 0)
        add_connection(server, fd);
    return NULL;
}

void fake_server_start(struct fake_server *server, fake_server_response *response, void *context)
{
    fake_server_start_stream(server, response, NULL, context);
}

void fake_server_start_stream(struct fake_server *server, fake_server_response *response,
                              fake_server_stream *stream, void *context)
{
    fake_server_start_at(server, 0, response, stream, context);
}

void fake_server_start_at(struct fake_server *server, uint16_t port, fake_server_response *response,
                          fake_server_stream *stream, void *context)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int reuse = 1;
    *server = (struct fake_server){.response = response, .stream = stream, .context = context};
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(server->listener, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse);
    assert_int_equal(bind(server->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(server->listener, 100), 0);
    assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &size), 0);
    server->port = ntohs(address.sin_port);
    snprintf(server->url, sizeof server->url, "http://127.0.0.1:%u", server->port);
    assert_int_equal(pthread_create(&server->thread, NULL, run, server), 0);
}

void fake_server_stop(struct fake_server *server)
{
    struct fake_connection *connection;
    shutdown(server->listener, SHUT_RDWR); /* accept returns */
    pthread_join(server->thread, NULL);
    close(server->listener);
    while ((connection = LIST_FIRST(&server->connections))) {
        LIST_REMOVE(connection, link);
        shutdown(connection->fd, SHUT_RDWR);
        pthread_join(connection->thread, NULL);
        close(connection->fd);
        free(connection);
    }
}

/* --- WebSocket -------------------------------------------------------------------------------- */

bool fake_server_open_websocket(int fd, const char *head)
{
    static const char name[] = "Sec-WebSocket-Key: ";
    char key[WEBSOCKET_KEY_BYTES] = "";
    char accept_value[WEBSOCKET_ACCEPT_BYTES];
    char response[256];
    const char *at = strstr(head, name);
    assert_non_null(at);
    memcpy(key, at + sizeof name - 1, sizeof key - 1);
    websocket_accept(key, accept_value);
    int size = snprintf(response, sizeof response,
                        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                        accept_value);
    return fake_server_send(fd, response, (size_t)size);
}

bool fake_server_push(int fd, const char *text)
{
    size_t size = strlen(text);
    unsigned char header[4] = {0x81, 126, (unsigned char)(size >> 8), (unsigned char)size};
    assert_true(size > 125 && size <= UINT16_MAX);
    return fake_server_send(fd, header, sizeof header) && fake_server_send(fd, text, size);
}
