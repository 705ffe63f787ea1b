/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/local/admin_call.h"

#include "artemis/admin/admin_socket.h"
#include "artemis/call/server_call.h"
#include "artemis/terminal/exit_code.h"
#include "artemis/terminal/terminal_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { CHUNK_BYTES = 64 * 1024 };

static int fail(const char *path, const char *reason)
{
    const char *hint = "is the node running, with admin.socket set to this path, as this user?";
    terminal_text_print_error(stderr, hint, "admin socket %s: %s", path, reason);
    return EXIT_UNREACHABLE;
}

/* Returns the socket, or -1 with errno. */
static int open_socket(const char *path, long timeout_secs)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval timeout = {.tv_sec = timeout_secs};
    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}

/* Sends a line. The node may have sent its response and closed the connection before. */
static void send_request(int fd, const json_t *request)
{
    char *line = json_dumps(request, JSON_COMPACT | JSON_ENSURE_ASCII);
    if (!line)
        return;
    (void)!send(fd, line, strlen(line), MSG_NOSIGNAL);
    (void)!send(fd, "\n", 1, MSG_NOSIGNAL);
    free(line);
}

/* Reads until the end of the connection. Returns 0 or an errno. A node that has not read the whole
 * request resets the connection after its response. */
static int read_response(int fd, struct text *response)
{
    while (response->size <= ADMIN_RESPONSE_BYTES_MAX) {
        char *next = text_reserve(response, CHUNK_BYTES);
        if (!next)
            return ENOMEM;
        ssize_t size = recv(fd, next, CHUNK_BYTES, 0);
        if (size == 0 || (size < 0 && errno == ECONNRESET && response->size > 0))
            return 0;
        if (size < 0 && errno == EAGAIN)
            return ETIMEDOUT;
        if (size < 0 && errno != EINTR)
            return errno;
        response->size += size > 0 ? (size_t)size : 0;
    }
    return EMSGSIZE;
}

static int report(const struct args *args, const json_t *root, const struct text *response)
{
    if (args_has(args, "json"))
        terminal_text_print_json(stdout, response->data, response->size);
    if (json_is_true(json_object_get(root, "ok")))
        return EXIT_DONE;
    const char *message = json_string_value(json_object_get(root, "error_message"));
    terminal_text_print_error(stderr, NULL, "%s", message ? message : "the node has refused this");
    return EXIT_REFUSED;
}

static int exchange(const struct args *args, const char *path, const json_t *request,
                    struct text *response)
{
    int fd = open_socket(path, args_number(args, "timeout"));
    if (fd < 0)
        return fail(path, strerror(errno));
    send_request(fd, request);
    int reason = read_response(fd, response);
    close(fd);
    return reason ? fail(path, strerror(reason)) : EXIT_DONE;
}

int admin_call(const struct args *args, const char *path, json_t *request,
               struct admin_call_result *result)
{
    struct text response = {0};
    result->root = NULL;
    if (!request)
        return server_call_no_memory();
    int exit_code = exchange(args, path, request, &response);
    json_decref(request);
    if (exit_code == EXIT_DONE) {
        result->root = json_loadb(response.data, response.size, 0, NULL);
        exit_code = result->root ? report(args, result->root, &response)
                                 : fail(path, "the response is no JSON");
    }
    text_free(&response);
    return exit_code;
}

void admin_call_result_free(struct admin_call_result *result)
{
    json_decref(result->root);
    result->root = NULL;
}
