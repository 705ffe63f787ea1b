/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP server of a node in this process, through a socket. The input is sent as it is, in
 * pieces: a byte 0xff starts the next piece. Whatever it is, the server goes on, and serves a
 * complete request on another connection.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "artemis-core/config/config.h"
#include "artemis-web/api/route_table.h"
#include "artemis-web/web.h"
#include "tests/fuzz/support/fuzz.h"

enum { RESPONSE_BYTES = 64 * 1024, QUIET_MS = 2, CHECK_MS = 10000, CHECK_EVERY = 64 };

static struct web *web;

static void start_server(void)
{
    static struct config config;
    struct engine *engine = NULL;
    char problem[WEB_PROBLEM_BYTES];
    char engine_problem[ENGINE_PROBLEM_BYTES];
    config_init(&config, "fuzz", 1);
    snprintf(config.server.listen_addr, sizeof(config.server.listen_addr), "127.0.0.1:0");
    config.server.threads = 1;
    config.ratelimit.enabled = false;
    assert(engine_create(&config, &engine, engine_problem) == ERR_NONE);
    assert(web_start(engine, &api_routes, &web, problem) == ERR_NONE);
    assert(engine_join(engine) == ERR_NONE);
}

static int open_connection(void)
{
    const char *port = strrchr(web_address(web, CONFIG_LISTENER_PLAIN), ':') + 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)atoi(port)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    return fd;
}

/* Reads what arrives within timeout_ms; returns the number of bytes, and 0 at the end. */
static size_t read_some(int fd, char *out, size_t max, int timeout_ms)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    if (poll(&readable, 1, timeout_ms) <= 0)
        return 0;
    ssize_t got = recv(fd, out, max, 0);
    return got > 0 ? (size_t)got : 0;
}

static void check_still_serves(void)
{
    static const char request[] = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
    static const char expected[] = "HTTP/1.1 200 OK\r\n";
    char response[1024];
    int fd = open_connection();
    assert(send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) == (ssize_t)sizeof(request) - 1);
    assert(read_some(fd, response, sizeof(response), CHECK_MS) >= sizeof(expected) - 1);
    assert(memcmp(response, expected, sizeof(expected) - 1) == 0);
    close(fd);
}

static void send_pieces(int fd, const uint8_t *data, size_t size)
{
    static char response[RESPONSE_BYTES];
    while (size > 0) {
        const uint8_t *end = memchr(data, 0xff, size);
        size_t piece = end ? (size_t)(end - data) : size;
        if (piece > 0 && send(fd, data, piece, MSG_NOSIGNAL) < 0)
            return;
        size_t taken = end ? piece + 1 : piece;
        data += taken;
        size -= taken;
        if (end)
            (void)read_some(fd, response, sizeof(response), QUIET_MS);
    }
    (void)shutdown(fd, SHUT_WR);
    while (read_some(fd, response, sizeof(response), QUIET_MS) > 0)
        ;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned runs;
    if (!web)
        start_server();
    int fd = open_connection();
    send_pieces(fd, data, size);
    struct linger reset = {.l_onoff = 1}; /* leaves no port behind */
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(fd);
    if (++runs % CHECK_EVERY == 0)
        check_still_serves();
    return 0;
}
