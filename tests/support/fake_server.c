/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fake_server.h"

#include "tests/support/cmocka_all.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD_BYTES = 8192, RESPONSE_BYTES = 8192 };

/* Reads only the part of the body that arrives with the head: tests send little. */
static void serve(const struct fake_server *server, int fd)
{
    char head[HEAD_BYTES] = "";
    char response[RESPONSE_BYTES] = "";
    size_t size = 0;
    while (!strstr(head, "\r\n\r\n")) {
        ssize_t got = recv(fd, head + size, sizeof head - 1 - size, 0);
        if (got <= 0)
            return;
        size += (size_t)got;
        head[size] = '\0';
    }
    server->response(head, response, sizeof response, server->context);
    (void)!send(fd, response, strlen(response), MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    while (recv(fd, head, sizeof head, 0) > 0)
        ;
}

static void *run(void *context)
{
    const struct fake_server *server = context;
    int fd;
    while ((fd = accept(server->listener, NULL, NULL)) >= 0) {
        serve(server, fd);
        close(fd);
    }
    return NULL;
}

void fake_server_start(struct fake_server *server, fake_server_response *response, void *context)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    *server = (struct fake_server){.response = response, .context = context};
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(server->listener, 100), 0);
    assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &size), 0);
    server->port = ntohs(address.sin_port);
    snprintf(server->url, sizeof server->url, "http://127.0.0.1:%u", server->port);
    assert_int_equal(pthread_create(&server->thread, NULL, run, server), 0);
}

void fake_server_stop(struct fake_server *server)
{
    shutdown(server->listener, SHUT_RDWR); /* accept returns */
    pthread_join(server->thread, NULL);
    close(server->listener);
}
