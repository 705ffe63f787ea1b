/* SPDX-License-Identifier: Apache-2.0
 *
 * relay - accepts connections and forwards their bytes to another port, in both directions.
 *
 *   relay --port PORT --to PORT
 *
 * Stopped by SIGSTOP it is a link that is cut: connections stay open and nothing arrives. When it
 * continues, it resets them all: nothing that was sent meanwhile arrives late.
 */
#include "bench/common.h"

#include <poll.h>
#include <signal.h>

enum { PAIRS_MAX = 64, BUFFER_BYTES = 65536 };

struct pair {
    int sockets[2]; /* accepted, and connected; -1: not in use */
};

static volatile sig_atomic_t has_continued;

static void on_continue(int signal_number)
{
    (void)signal_number;
    has_continued = 1;
}

static int listen_at(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int on = 1;
    int socket_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(socket_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(socket_fd, (struct sockaddr *)&address, sizeof address) || listen(socket_fd, 64))
        die("relay: port %u: %s", port, strerror(errno));
    return socket_fd;
}

static void close_pair(struct pair *pair)
{
    close(pair->sockets[0]);
    close(pair->sockets[1]);
    pair->sockets[0] = pair->sockets[1] = -1;
}

/* Also connections that were not accepted yet end with the listener. */
static int restart(int listener, uint16_t port, struct pair pairs[PAIRS_MAX])
{
    has_continued = 0;
    for (int i = 0; i < PAIRS_MAX; i++)
        if (pairs[i].sockets[0] >= 0)
            close_pair(&pairs[i]);
    close(listener);
    return listen_at(port);
}

static void accept_pair(int listener, uint16_t to, struct pair pairs[PAIRS_MAX])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(to)};
    int accepted = accept(listener, NULL, NULL);
    int connected = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; accepted >= 0 && i < PAIRS_MAX; i++) {
        if (pairs[i].sockets[0] >= 0)
            continue;
        if (connect(connected, (struct sockaddr *)&address, sizeof address))
            break;
        setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(connected, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        pairs[i] = (struct pair){{accepted, connected}};
        return;
    }
    close(accepted);
    close(connected);
}

/* Forwards what has arrived. False: one side has closed. */
static bool forward(int from, int to)
{
    static char buffer[BUFFER_BYTES];
    ssize_t size = recv(from, buffer, sizeof buffer, 0);

    for (ssize_t sent = 0; size > 0 && sent < size;) {
        ssize_t more = send(to, buffer + sent, (size_t)(size - sent), MSG_NOSIGNAL);
        if (more <= 0)
            return false;
        sent += more;
    }
    return size > 0;
}

int main(int argc, char **argv)
{
    (void)argc;
    uint16_t to = (uint16_t)option_number(argv, "--to", 0);
    uint16_t port = option_port(argv);
    int listener = listen_at(port);
    struct pair pairs[PAIRS_MAX];

    memset(pairs, -1, sizeof pairs);
    signal(SIGCONT, on_continue);
    for (;;) {
        if (has_continued)
            listener = restart(listener, port, pairs);
        struct pollfd polled[1 + 2 * PAIRS_MAX];
        polled[0] = (struct pollfd){.fd = listener, .events = POLLIN};
        for (int i = 0; i < 2 * PAIRS_MAX; i++)
            polled[1 + i] = (struct pollfd){.fd = pairs[i / 2].sockets[i % 2], .events = POLLIN};
        if (poll(polled, 1 + 2 * PAIRS_MAX, -1) < 0)
            continue;
        for (int i = 0; i < 2 * PAIRS_MAX; i++) {
            struct pair *pair = &pairs[i / 2];
            if (polled[1 + i].revents && pair->sockets[0] >= 0 &&
                !forward(pair->sockets[i % 2], pair->sockets[1 - i % 2]))
                close_pair(pair);
        }
        if (polled[0].revents)
            accept_pair(listener, to, pairs);
    }
}
