/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/connections/listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HOST_BYTES = 256 };

/* Splits at the last colon, and takes the brackets off an IPv6 address. */
static enum error split(const char *address, char host[HOST_BYTES], const char **port)
{
    const char *colon = strrchr(address, ':');
    if (!colon || colon == address || !colon[1])
        return ERR_INVALID_FIELD;
    size_t size = (size_t)(colon - address);
    if (address[0] == '[' && address[size - 1] == ']') {
        address++;
        size -= 2;
    }
    if (size == 0 || size >= HOST_BYTES)
        return ERR_INVALID_FIELD;
    memcpy(host, address, size);
    host[size] = '\0';
    *port = colon + 1;
    return ERR_NONE;
}

static int open_one(const struct addrinfo *candidate)
{
    int on = 1;
    int fd = socket(candidate->ai_family, candidate->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
                    candidate->ai_protocol);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
        bind(fd, candidate->ai_addr, candidate->ai_addrlen) == 0 &&
        listen(fd, LISTENER_BACKLOG) == 0)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

static void describe(int fd, char *bound, size_t bound_size)
{
    struct sockaddr_storage name;
    socklen_t size = sizeof(name);
    char host[HOST_BYTES];
    char port[16];
    if (getsockname(fd, (struct sockaddr *)&name, &size) != 0 ||
        getnameinfo((struct sockaddr *)&name, size, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        snprintf(bound, bound_size, "?");
        return;
    }
    snprintf(bound, bound_size, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

enum error listener_open(const char *key, const char *address, int *out, char *bound,
                         size_t bound_size, char *problem, size_t problem_size)
{
    char host[HOST_BYTES];
    const char *port;
    if (split(address, host, &port) != ERR_NONE) {
        snprintf(problem, problem_size, "%s: must be HOST:PORT, is \"%s\"", key, address);
        return ERR_INVALID_FIELD;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found;
    int code = getaddrinfo(host, port, &hints, &found);
    if (code != 0) {
        snprintf(problem, problem_size, "%s: cannot resolve \"%s\": %s", key, address,
                 gai_strerror(code));
        return ERR_INVALID_FIELD;
    }
    int fd = -1;
    for (struct addrinfo *candidate = found; candidate && fd < 0; candidate = candidate->ai_next)
        fd = open_one(candidate);
    int why = errno;
    freeaddrinfo(found);
    if (fd < 0) {
        snprintf(problem, problem_size, "cannot listen on %s: %s%s%s", address, strerror(why),
                 why == EADDRINUSE ? "; another process has that port, choose one with " : "",
                 why != EADDRINUSE                        ? ""
                 : strcmp(key, "server.listen_addr") == 0 ? "--addr"
                                                          : key);
        return ERR_SYSTEM;
    }
    describe(fd, bound, bound_size);
    *out = fd;
    return ERR_NONE;
}
