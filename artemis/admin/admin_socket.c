/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/admin/admin_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "artemis-server/clock.h"
#include "artemis-server/log.h"

enum { BACKLOG = 16, ACCEPT_PAUSE_MS = 100, ORIGIN_BYTES = 48 };

struct admin_socket {
    struct admin_socket_options options;
    int listener;
    int stop_event; /* readable when the thread ends */
    dev_t device;   /* with inode, the identity of the file */
    ino_t inode;
    pthread_t thread;
};

/* --- the file --------------------------------------------------------------------------------- */

static enum error fail(char problem[ADMIN_PROBLEM_BYTES], const char *path, const char *reason)
{
    snprintf(problem, ADMIN_PROBLEM_BYTES, "admin.socket: %s: %s", path, reason);
    return ERR_SYSTEM;
}

/* Whether a process listens at the address. */
static bool is_alive(const struct sockaddr_un *address)
{
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (client < 0)
        return true;
    int result = connect(client, (const struct sockaddr *)address, sizeof(*address));
    bool is_refused = result != 0 && errno == ECONNREFUSED;
    close(client);
    return !is_refused;
}

/* Removes the socket that a process has left. */
static enum error remove_stale(const struct sockaddr_un *address, char problem[ADMIN_PROBLEM_BYTES])
{
    struct stat status;
    const char *path = address->sun_path;
    if (lstat(path, &status) != 0)
        return errno == ENOENT ? ERR_NONE : fail(problem, path, strerror(errno));
    if (!S_ISSOCK(status.st_mode))
        return fail(problem, path, "the file exists and is no socket");
    if (is_alive(address))
        return fail(problem, path, "another process uses it");
    if (unlink(path) != 0 && errno != ENOENT)
        return fail(problem, path, strerror(errno));
    return ERR_NONE;
}

/* Nobody can connect before listen, so the mode is in force for all clients. */
static enum error open_listener(struct admin_socket *admin, char problem[ADMIN_PROBLEM_BYTES])
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat status;
    const char *path = admin->options.path;
    if (strlen(path) >= sizeof(address.sun_path))
        return fail(problem, path, "the path is too long");
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    enum error error = remove_stale(&address, problem);
    if (error)
        return error;
    admin->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (admin->listener < 0 ||
        bind(admin->listener, (const struct sockaddr *)&address, sizeof(address)) != 0)
        return fail(problem, path, errno == ENOENT ? "its folder does not exist" : strerror(errno));
    if (chmod(path, S_IRUSR | S_IWUSR) != 0 || lstat(path, &status) != 0 ||
        listen(admin->listener, BACKLOG) != 0) {
        error = fail(problem, path, strerror(errno));
        unlink(path);
        return error;
    }
    admin->device = status.st_dev;
    admin->inode = status.st_ino;
    return ERR_NONE;
}

static void remove_file(const struct admin_socket *admin)
{
    struct stat status;
    if (lstat(admin->options.path, &status) == 0 && status.st_dev == admin->device &&
        status.st_ino == admin->inode)
        unlink(admin->options.path);
}

/* --- a client --------------------------------------------------------------------------------- */

/* Waits until the client can be read or written. False: too late, or the thread ends. */
static bool wait_for(const struct admin_socket *admin, int client, short events,
                     uint64_t deadline_ms)
{
    for (;;) {
        uint64_t now_ms = clock_now().mono_ms;
        struct pollfd polled[] = {{.fd = client, .events = events},
                                  {.fd = admin->stop_event, .events = POLLIN}};
        if (now_ms >= deadline_ms)
            return false;
        int count = poll(polled, 2, (int)(deadline_ms - now_ms));
        if (count < 0 && errno != EINTR)
            return false;
        if (count > 0)
            return polled[1].revents == 0;
    }
}

/* Reads up to the line break. False: there is no whole line. */
static bool read_line(const struct admin_socket *admin, int client,
                      char line[ADMIN_REQUEST_BYTES_MAX], size_t *size)
{
    uint64_t deadline_ms = clock_now().mono_ms + ADMIN_IO_MS;
    size_t received = 0;
    while (received < ADMIN_REQUEST_BYTES_MAX && wait_for(admin, client, POLLIN, deadline_ms)) {
        ssize_t count = recv(client, line + received, ADMIN_REQUEST_BYTES_MAX - received, 0);
        if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR))
            return false;
        if (count < 0)
            continue;
        const char *end = memchr(line + received, '\n', (size_t)count);
        received += (size_t)count;
        if (end) {
            *size = (size_t)(end - line);
            return true;
        }
    }
    return false;
}

static void send_all(const struct admin_socket *admin, int client, struct slice bytes)
{
    uint64_t deadline_ms = clock_now().mono_ms + ADMIN_IO_MS;
    while (bytes.size > 0 && wait_for(admin, client, POLLOUT, deadline_ms)) {
        ssize_t count = send(client, bytes.data, bytes.size, MSG_NOSIGNAL);
        if (count < 0 && errno != EAGAIN && errno != EINTR)
            return;
        if (count > 0) {
            bytes.data += count;
            bytes.size -= (size_t)count;
        }
    }
}

static void respond(const struct admin_socket *admin, int client, struct text *response)
{
    static const char failure[] = "{\"ok\":false,\"error_message\":\"out of memory\"}\n";
    text_append_char(response, '\n');
    struct slice bytes = {response->data, response->size};
    if (text_failed(response) || response->size > ADMIN_RESPONSE_BYTES_MAX)
        bytes = (struct slice){failure, sizeof(failure) - 1};
    send_all(admin, client, bytes);
}

/* Whether the client is the user of this process, or root. Writes the origin. */
static bool check_user(const struct admin_socket *admin, int client, char origin[ORIGIN_BYTES])
{
    struct ucred user;
    socklen_t size = sizeof(user);
    snprintf(origin, ORIGIN_BYTES, "admin socket");
    if (getsockopt(client, SOL_SOCKET, SO_PEERCRED, &user, &size) != 0)
        return false;
    snprintf(origin, ORIGIN_BYTES, "admin socket uid %u", (unsigned)user.uid);
    if (user.uid == geteuid() || user.uid == 0)
        return true;
    const struct audit_event event = {
        .origin = {.address = origin},
        .action = "authenticate",
        .object = "admin socket",
        .outcome = "another user",
        .is_logged_apart = true,
    };
    if (audit_record_failure(admin->options.audit, &event, clock_now()))
        log_event(LOG_LEVEL_WARN, "refused a client of the admin socket",
                  LOG_TEXT("client", origin));
    return false;
}

static void serve(const struct admin_socket *admin, int client)
{
    char line[ADMIN_REQUEST_BYTES_MAX];
    char address[ORIGIN_BYTES];
    size_t size = 0;
    struct text response = {0};
    if (!check_user(admin, client, address))
        text_append_string(&response,
                           "{\"ok\":false,\"error_message\":\"only the user of the node may use "
                           "this socket\"}");
    else if (!read_line(admin, client, line, &size))
        text_append_string(&response, "{\"ok\":false,\"error_message\":\"a request is one JSON "
                                      "object of at most 4 KiB on one line, within 5 s\"}");
    else
        admin->options.handle(admin->options.context, (struct slice){line, size},
                              &(struct audit_origin){.address = address}, &response);
    respond(admin, client, &response);
    text_free(&response);
}

/* --- the thread ------------------------------------------------------------------------------- */

static void *run(void *context)
{
    const struct admin_socket *admin = context;
    for (;;) {
        struct pollfd polled[] = {{.fd = admin->listener, .events = POLLIN},
                                  {.fd = admin->stop_event, .events = POLLIN}};
        if (poll(polled, 2, -1) < 0 && errno != EINTR)
            return NULL;
        if (polled[1].revents)
            return NULL;
        int client = accept4(admin->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (client < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            poll(&polled[1], 1, ACCEPT_PAUSE_MS); /* no descriptors are left */
        if (client < 0)
            continue;
        serve(admin, client);
        close(client);
    }
}

static void free_socket(struct admin_socket *admin)
{
    if (admin->listener >= 0)
        close(admin->listener);
    if (admin->stop_event >= 0)
        close(admin->stop_event);
    free(admin);
}

enum error admin_socket_start(const struct admin_socket_options *options, struct admin_socket **out,
                              char problem[ADMIN_PROBLEM_BYTES])
{
    struct admin_socket *admin = calloc(1, sizeof(*admin));
    snprintf(problem, ADMIN_PROBLEM_BYTES, "%s", error_info(ERR_NO_MEMORY)->message);
    if (!admin)
        return ERR_NO_MEMORY;
    *admin = (struct admin_socket){.options = *options, .listener = -1};
    admin->stop_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    enum error error = admin->stop_event < 0 ? fail(problem, options->path, strerror(errno))
                                             : open_listener(admin, problem);
    if (!error && pthread_create(&admin->thread, NULL, run, admin) != 0) {
        remove_file(admin);
        error = fail(problem, options->path, "cannot start its thread");
    }
    if (error) {
        free_socket(admin);
        return error;
    }
    pthread_setname_np(admin->thread, "admin");
    *out = admin;
    return ERR_NONE;
}

void admin_socket_stop(struct admin_socket *admin)
{
    if (!admin)
        return;
    eventfd_write(admin->stop_event, 1);
    pthread_join(admin->thread, NULL);
    remove_file(admin);
    free_socket(admin);
}
