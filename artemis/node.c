/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/node.h"

#include "artemis-server/clock.h"
#include "artemis-server/engine.h"
#include "artemis-server/log.h"
#include "artemis-server/reload.h"
#include "artemis-web/api/route_table.h"
#include "artemis-web/web.h"
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

enum {
    TICK_SECS = 1,
    DRAIN_TIMEOUT_MS = 30 * 1000,
    LEAVE_TIMEOUT_MS = 10 * 1000,
    HURRIED_TIMEOUT_MS = 1000,
};

/* Signals that the main thread receives. Without this, each would end the process at once. */
static const struct {
    int number;
    const char *ignored; /* why it has no effect, for the log; NULL: it has one */
} handled[] = {
    {SIGTERM, NULL},
    {SIGINT, NULL},
    {SIGHUP, NULL}, /* see reload */
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

static void reload_failed(struct engine *engine, const char *reason)
{
    atomic_fetch_add(&engine->reloads_failed, 1);
    log_event(LOG_LEVEL_ERROR, "settings were not reloaded; nothing has changed",
              LOG_TEXT("reason", reason));
}

static void reload(const struct node_settings *settings, struct engine *engine, struct web *web,
                   struct moment now)
{
    struct config loaded;
    struct config_problem problem;
    struct reload_counts counts;
    if (settings->load(settings->context, &loaded, &problem)) {
        reload_failed(engine, problem.text);
        return;
    }
    enum error error = reload_apply(engine, settings->config, &loaded, &counts, &problem);
    config_free(&loaded);
    if (error) {
        reload_failed(engine, problem.text);
        return;
    }
    atomic_fetch_add(&engine->reloads, 1);
    log_event(LOG_LEVEL_INFO, "settings reloaded", LOG_NUMBER("changed", counts.changed),
              LOG_NUMBER("need_restart", counts.need_restart));
    engine_check_credentials(engine, true, now);
    web_reload(web, now);
}

/* Runs the periodic work of the node until a signal asks for the end. Returns the signal. */
static int serve_until_signal(const struct node_settings *settings, struct engine *engine,
                              struct web *web, const sigset_t *blocked)
{
    const struct timespec tick = {.tv_sec = TICK_SECS};
    for (;;) {
        int signal_number = sigtimedwait(blocked, NULL, &tick);
        if (ends_node(signal_number))
            return signal_number;
        struct moment now = clock_now();
        if (signal_number == SIGHUP)
            reload(settings, engine, web, now);
        engine_check_credentials(engine, false, now);
        web_tick(web, now);
    }
}

static void stop(struct engine *engine, struct web *web, int signal_number,
                 const atomic_bool *is_hurried)
{
    log_event(LOG_LEVEL_INFO, "draining", LOG_TEXT("signal", sigabbrev_np(signal_number)));
    engine_set_state(engine, NODE_DRAINING);
    web_drain(web, DRAIN_TIMEOUT_MS, is_hurried);
    engine_leave(engine, atomic_load(is_hurried) ? HURRIED_TIMEOUT_MS : LEAVE_TIMEOUT_MS);
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

static int run(const struct node_settings *settings, const sigset_t *blocked)
{
    const struct config *config = settings->config;
    struct shutdown_watch watch = {0};
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
    if (web_start(engine, &api_routes, &web, problem)) {
        terminal_text_print_error(stderr, NULL, "%s", problem);
        goto out;
    }
    error = engine_join(engine);
    if (error) {
        terminal_text_print_error(stderr, NULL, "cannot join the cluster: %s",
                                  error_info(error)->message);
        goto out;
    }
    print_addresses(web);
    log_event(LOG_LEVEL_INFO, "serving", LOG_TEXT("version", ARTEMIS_VERSION),
              LOG_TEXT("node_id", config->server.node_id), LOG_TEXT("url", engine->url));
    int signal_number = serve_until_signal(settings, engine, web, blocked);
    shutdown_watch_start(&watch, blocked);
    stop(engine, web, signal_number, &watch.is_hurried);
    exit_code = EXIT_DONE;
out:
    web_stop(web);
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
