/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/client/client_session.h"

#include "artemis/client/client_call.h"
#include "artemis/client/client_exit.h"
#include "artemis/client/client_url.h"
#include "artemis/output/client_text.h"

#include "artemis-core/base/text.h"

#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* --- servers ---------------------------------------------------------------------------------- */

/* Converts the list to the form of the library: complete URLs. ERR_INVALID_FIELD, ERR_NO_MEMORY. */
static enum error read_servers(const char *list, struct text *urls)
{
    enum error error = ERR_NONE;
    for (const char *at = list; !error; at++) {
        struct client_url url;
        char one[CLIENT_URL_MAX];
        size_t length = strcspn(at, ",");
        if (length >= sizeof one)
            return ERR_INVALID_FIELD;
        memcpy(one, at, length);
        one[length] = '\0';
        error = client_url_read(&url, one);
        if (!error)
            text_printf(urls, "%s%s", urls->size > 0 ? "," : "", url.base);
        at += length;
        if (*at == '\0')
            break;
    }
    return text_failed(urls) ? ERR_NO_MEMORY : error;
}

/* Called by the thread of the library. The first connection is not reported. */
static void on_log(enum artemis_log_level level, const char *message, void *context)
{
    struct client_session *session = context;
    bool lost = level == ARTEMIS_LOG_WARNING;
    bool report = lost || session->disconnected;
    session->disconnected = lost;
    if (!report)
        return;
    client_text_print_error(stderr, NULL, "%s", message);
    client_session_wake(session);
}

static bool open_client(struct client_session *session, const struct client_args *args,
                        int *exit_code)
{
    struct text urls = {0};
    struct artemis_problem problem;
    const char *servers = client_call_server(args);
    enum error error = read_servers(servers, &urls);
    if (error) {
        bool secret = strchr(servers, '@') != NULL;
        client_text_print_error(stderr,
                                "give --server or ARTEMIS_URL as http://HOST:PORT, or HOST:PORT",
                                "not a server address: %s",
                                secret     ? "(not shown, since it may hold a password)"
                                : *servers ? servers
                                           : "(empty)");
        *exit_code = error == ERR_NO_MEMORY ? client_call_no_memory() : CLIENT_USAGE;
        text_free(&urls);
        return false;
    }
    const struct artemis_options options = {
        .servers = text_string(&urls), .log = on_log, .log_context = session};
    enum artemis_error failure = artemis_open(&options, &session->client, &problem);
    text_free(&urls);
    if (failure)
        *exit_code = client_session_print_error(&problem);
    return !failure;
}

int client_session_print_error(const struct artemis_problem *problem)
{
    static const enum client_exit codes[] = {
        [ARTEMIS_INVALID] = CLIENT_USAGE,
        [ARTEMIS_TIMED_OUT] = CLIENT_UNREACHABLE,
    };
    size_t index = (size_t)problem->error;
    client_text_print_error(stderr, NULL, "%s", problem->text);
    if (index < sizeof codes / sizeof *codes && codes[index] != CLIENT_DONE)
        return (int)codes[index];
    return CLIENT_REFUSED;
}

/* --- the session ------------------------------------------------------------------------------ */

bool client_session_begin(struct client_session *session, const struct client_args *args,
                          int *exit_code)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    *session = (struct client_session){
        .signals_fd = signalfd(-1, &signals, SFD_CLOEXEC),
        .wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
    };
    if (session->signals_fd < 0 || session->wake_fd < 0) {
        client_text_print_error(stderr, NULL, "no file descriptors are available");
        *exit_code = CLIENT_REFUSED;
    } else if (open_client(session, args, exit_code)) {
        return true;
    }
    client_session_end(session);
    return false;
}

void client_session_end(struct client_session *session)
{
    (void)artemis_close(session->client, 0, NULL);
    if (session->signals_fd >= 0)
        close(session->signals_fd);
    if (session->wake_fd >= 0)
        close(session->wake_fd);
}

enum client_event client_session_wait(const struct client_session *session, int timeout_ms)
{
    uint64_t woken;
    struct pollfd fds[] = {{.fd = session->signals_fd, .events = POLLIN},
                           {.fd = session->wake_fd, .events = POLLIN}};
    if (poll(fds, 2, timeout_ms) <= 0)
        return CLIENT_TIMED_OUT;
    if (fds[0].revents)
        return CLIENT_INTERRUPTED;
    (void)!read(session->wake_fd, &woken, sizeof woken);
    return CLIENT_WOKEN;
}

bool client_session_sleep(const struct client_session *session, int sleep_ms)
{
    struct pollfd fd = {.fd = session->signals_fd, .events = POLLIN};
    return poll(&fd, 1, sleep_ms) > 0;
}

void client_session_wake(const struct client_session *session)
{
    const uint64_t one = 1;
    (void)!write(session->wake_fd, &one, sizeof one);
}
