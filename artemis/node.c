/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/node.h"

#include "artemis-server/clock.h"
#include "artemis-server/engine.h"
#include "artemis-server/log.h"
#include "artemis-web/api/route_table.h"
#include "artemis-web/web.h"
#include "artemis/admin/admin_commands.h"
#include "artemis/admin/admin_socket.h"
#include "artemis/admin/node_control.h"
#include "artemis/shutdown.h"
#include "artemis/terminal/exit_code.h"
#include "artemis/terminal/terminal_text.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    TICK_SECS = 1,
    RELOAD_STOP_MS = 5000, /* for a reload that runs at the end of a shutdown */
    AUDIT_FLUSH_MS = 2000,
};

/* Signals that the main thread receives. Without this, each would end the process at once. */
static const struct {
    int number;
    const char *ignored; /* why it has no effect, for the log; NULL: it has one */
} handled[] = {
    {SIGTERM, NULL},
    {SIGINT, NULL},
    {SIGHUP, NULL}, /* reloads the settings */
    {SIGUSR1, "it has no function in a node"},
    {SIGUSR2, "it has no function in a node"},
    {SIGALRM, "it has no function in a node"},
};

/* Blocks the signals before any thread starts, so that only the main thread receives them. */
static void block_signals(sigset_t *blocked)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a log file at its size limit: the write fails instead */
    sigemptyset(blocked);
    for (size_t i = 0; i < sizeof handled / sizeof *handled; i++)
        sigaddset(blocked, handled[i].number);
    pthread_sigmask(SIG_BLOCK, blocked, NULL);
}

/* True if the signal starts the shutdown; logs the others. */
static bool ends_node(int signal_number)
{
    for (size_t i = 0; i < sizeof handled / sizeof *handled; i++) {
        if (handled[i].number != signal_number)
            continue;
        if (!handled[i].ignored)
            return signal_number != SIGHUP;
        log_line(LOG_LEVEL_WARN, "SIG%s ignored: %s", sigabbrev_np(signal_number),
                 handled[i].ignored);
    }
    return false;
}

/* Runs the periodic work of the node until a signal asks for the end. Returns the signal. */
static int serve_until_signal(struct node_control *control, struct web *web,
                              const sigset_t *blocked)
{
    static const struct audit_origin hang_up = {.address = "signal HUP"};
    const struct timespec tick = {.tv_sec = TICK_SECS};
    for (;;) {
        int signal_number = sigtimedwait(blocked, NULL, &tick);
        if (ends_node(signal_number))
            return signal_number;
        if (signal_number == SIGHUP)
            node_control_reload_later(control, &hang_up);
        struct moment now = clock_now();
        call_limits_report(&control->engine->limits, now.mono_ms);
        web_tick(web, now);
    }
}

static void stop(struct engine *engine, struct web *web, int signal_number,
                 const struct shutdown_watch *watch)
{
    log_event(LOG_LEVEL_INFO, "draining", LOG_TEXT("signal", sigabbrev_np(signal_number)));
    engine_begin_shutdown(engine);
    web_drain(web, watch->limits.requests_ms, &watch->is_hurried);
    call_limits_flush(&engine->limits);
    engine_leave(engine, watch->limits.peers_ms, watch->limits.hurried_ms, &watch->is_hurried);
}

/* A reload reads a file that does not respond. It may use any memory of the node when it continues,
 * so nothing is freed: what must not be lost is written, and the process ends. */
static _Noreturn void end_within_reload(struct engine *engine)
{
    log_line(LOG_LEVEL_ERROR,
             "a reload has not ended, because a file does not respond; the process "
             "ends now");
    if (engine->storage)
        storage_stop(engine->storage, false); /* other threads still issue stamps */
    audit_flush(engine->audit, AUDIT_FLUSH_MS);
    log_stop();
    _exit(EXIT_REFUSED);
}

/* The address for plain HTTP comes last: it shows that the node serves. */
static void print_addresses(const struct web *web)
{
    if (web_address(web, CONFIG_LISTENER_TLS)[0])
        printf("Listening with TLS on %s\n", web_address(web, CONFIG_LISTENER_TLS));
    if (web_address(web, CONFIG_LISTENER_PEER)[0])
        printf("Listening for peers on %s\n", web_address(web, CONFIG_LISTENER_PEER));
    printf("Listening on %s\n", web_address(web, CONFIG_LISTENER_PLAIN));
    fflush(stdout);
}

/* Starts the admin socket if it is set. Prints the error. */
static enum error start_admin(struct admin_commands *commands, struct admin_socket **out)
{
    const struct admin_socket_options options = {
        .path = commands->engine->config->admin.socket,
        .handle = admin_commands_handle,
        .context = commands,
        .audit = commands->engine->audit,
    };
    char problem[ADMIN_PROBLEM_BYTES];
    if (!options.path[0])
        return ERR_NONE;
    enum error error = admin_socket_start(&options, out, problem);
    if (error)
        terminal_text_print_error(stderr, NULL, "cannot start: %s", problem);
    return error;
}

static int run(const struct node_settings *settings, const sigset_t *blocked)
{
    const struct config *config = settings->config;
    struct shutdown_watch watch = {0};
    struct node_control control;
    struct admin_socket *admin = NULL;
    struct engine *engine = NULL;
    struct web *web = NULL;
    char problem[WEB_PROBLEM_BYTES];
    char engine_problem[ENGINE_PROBLEM_BYTES];
    int exit_code = EXIT_REFUSED;
    enum error error = engine_create(config, &engine, engine_problem);
    if (error) {
        terminal_text_print_error(stderr, NULL, "cannot start: %s", engine_problem);
        return exit_code;
    }
    error = node_control_start(&control, settings, engine);
    if (error) {
        terminal_text_print_error(stderr, NULL, "cannot start: %s", error_info(error)->message);
        goto out;
    }
    if (web_start(engine, &api_routes, &web, problem)) {
        terminal_text_print_error(stderr, NULL, "%s", problem);
        goto out;
    }
    struct admin_commands commands = {&control, engine, web};
    if (start_admin(&commands, &admin))
        goto out;
    error = engine_join(engine);
    if (error) {
        terminal_text_print_error(stderr, NULL, "cannot join the cluster: %s",
                                  error_info(error)->message);
        goto out;
    }
    node_control_serve(&control, web);
    print_addresses(web);
    log_event(LOG_LEVEL_INFO, "serving", LOG_TEXT("version", ARTEMIS_VERSION),
              LOG_TEXT("node_id", config->server.node_id), LOG_TEXT("url", engine->url));
    int signal_number = serve_until_signal(&control, web, blocked);
    shutdown_watch_start(&watch, &shutdown_limits, blocked);
    node_control_refuse(&control);
    stop(engine, web, signal_number, &watch);
    exit_code = EXIT_DONE;
out:
    admin_socket_stop(admin);
    if (!node_control_stop(&control, RELOAD_STOP_MS))
        end_within_reload(engine);
    web_stop(web);
    node_control_free(&control);
    engine_free(engine);
    shutdown_watch_stop(&watch);
    if (exit_code == EXIT_DONE)
        log_line(LOG_LEVEL_INFO, "stopped");
    return exit_code;
}

int node_run(const struct node_settings *settings)
{
    sigset_t blocked;
    block_signals(&blocked);
    enum error error = log_start();
    if (error) {
        terminal_text_print_error(stderr, NULL, "cannot start: %s", error_info(error)->message);
        return EXIT_REFUSED;
    }
    int exit_code = run(settings, &blocked);
    log_stop();
    return exit_code;
}
