/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/call/library_client.h"

#include "artemis/call/server_call.h"
#include "artemis/call/server_url.h"
#include "artemis/terminal/exit_code.h"
#include "artemis/terminal/terminal_text.h"

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

/* The list in the form of the library: complete URLs. Check text_failed afterwards. */
static void write_urls(const struct server_list *servers, struct text *urls)
{
    for (size_t i = 0; i < servers->count; i++)
        text_printf(urls, "%s%s", i > 0 ? "," : "", servers->urls[i].base);
}

/* Called by the thread of the library. The first connection is not reported. */
static void on_log(enum artemis_log_level level, const char *message, void *context)
{
    struct library_client *library = context;
    bool lost = level == ARTEMIS_LOG_WARNING;
    bool report = lost || library->disconnected;
    library->disconnected = lost;
    if (!report)
        return;
    terminal_text_print_error(stderr, NULL, "%s", message);
    library_client_wake(library);
}

int library_client_open(struct library_client *library, const struct args *args,
                        const struct artemis_options *options)
{
    struct server_list servers;
    struct text urls = {0};
    struct artemis_problem problem;
    struct artemis_options complete = options ? *options : (struct artemis_options){0};
    int exit_code = server_call_servers(args, &servers);
    if (exit_code != EXIT_DONE)
        return exit_code;
    struct server_credentials credentials;
    server_credentials_read(args, &credentials);
    complete.cacert = credentials.cacert;
    complete.cert = credentials.cert;
    complete.key = credentials.key;
    library->timeout_ms = (int)args_number(args, "timeout") * 1000;
    char problem_text[ARGS_PROBLEM_MAX];
    char *authorization;
    enum error error = token_option_read(args, &authorization, problem_text);
    if (error) {
        server_list_free(&servers);
        if (error == ERR_NO_MEMORY)
            return server_call_no_memory();
        terminal_text_print_error(stderr, NULL, "%s", problem_text);
        return EXIT_USAGE;
    }
    complete.authorization = authorization;
    write_urls(&servers, &urls);
    server_list_free(&servers);
    complete.servers = text_string(&urls);
    if (!options) {
        complete.log = on_log;
        complete.log_context = library;
    }
    if (args_has(args, "timeout"))
        complete.attempt_timeout_ms = library->timeout_ms;
    if (text_failed(&urls))
        exit_code = server_call_no_memory();
    else if (artemis_open(&complete, &library->client, &problem))
        exit_code = library_client_print_error(&problem);
    text_free(&urls);
    token_option_free(authorization);
    return exit_code;
}

int library_client_print_error(const struct artemis_problem *problem)
{
    static const enum exit_code codes[] = {
        [ARTEMIS_INVALID] = EXIT_USAGE,
        [ARTEMIS_TIMED_OUT] = EXIT_UNREACHABLE,
    };
    const char *hint = problem->error == ARTEMIS_TIMED_OUT
                           ? "check --server or ARTEMIS_URL; a server with tokens needs "
                             "--token-file FILE"
                           : NULL;
    size_t index = (size_t)problem->error;
    terminal_text_print_error(stderr, hint, "%s", problem->text);
    if (index < sizeof codes / sizeof *codes && codes[index] != EXIT_DONE)
        return (int)codes[index];
    return EXIT_REFUSED;
}

/* --- the library ------------------------------------------------------------------------------ */

int library_client_begin(struct library_client *library)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    *library = (struct library_client){
        .signals_fd = signalfd(-1, &signals, SFD_CLOEXEC),
        .wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
    };
    if (library->signals_fd >= 0 && library->wake_fd >= 0)
        return EXIT_DONE;
    terminal_text_print_error(stderr, NULL, "no file descriptors are available");
    library_client_end(library);
    return EXIT_REFUSED;
}

void library_client_end(struct library_client *library)
{
    (void)artemis_close(library->client, 0, NULL);
    if (library->signals_fd >= 0)
        close(library->signals_fd);
    if (library->wake_fd >= 0)
        close(library->wake_fd);
}

enum library_event library_client_wait(const struct library_client *library, int timeout_ms)
{
    uint64_t woken;
    struct pollfd fds[] = {{.fd = library->signals_fd, .events = POLLIN},
                           {.fd = library->wake_fd, .events = POLLIN}};
    if (poll(fds, 2, timeout_ms) <= 0)
        return LIBRARY_TIMED_OUT;
    if (fds[0].revents)
        return LIBRARY_INTERRUPTED;
    (void)!read(library->wake_fd, &woken, sizeof woken);
    return LIBRARY_WOKEN;
}

bool library_client_sleep(const struct library_client *library, int sleep_ms)
{
    struct pollfd fd = {.fd = library->signals_fd, .events = POLLIN};
    return poll(&fd, 1, sleep_ms) > 0;
}

void library_client_wake(const struct library_client *library)
{
    const uint64_t one = 1;
    (void)!write(library->wake_fd, &one, sizeof one);
}
