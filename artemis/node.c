/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/node.h"

#include "artemis-server/clock.h"
#include "artemis-server/engine.h"
#include "artemis-server/log.h"
#include "artemis-web/web.h"
#include "artemis/client/client_exit.h"
#include "artemis/output/client_text.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { TICK_SECS = 1, DRAIN_TIMEOUT_MS = 30 * 1000, LEAVE_TIMEOUT_MS = 10 * 1000 };

/* Blocks the signals before any thread starts, so that only the main thread receives them. */
static void block_signals(sigset_t *blocked)
{
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(blocked);
    sigaddset(blocked, SIGTERM);
    sigaddset(blocked, SIGINT);
    sigaddset(blocked, SIGHUP);
    pthread_sigmask(SIG_BLOCK, blocked, NULL);
}

/* Runs the periodic work of the HTTP server until a signal asks for the end. Returns the signal. */
static int serve_until_signal(struct web *web, const sigset_t *blocked)
{
    const struct timespec tick = {.tv_sec = TICK_SECS};
    for (;;) {
        int signal_number = sigtimedwait(blocked, NULL, &tick);
        if (signal_number == SIGTERM || signal_number == SIGINT)
            return signal_number;
        if (signal_number == SIGHUP)
            log_line(LOG_LEVEL_WARN, "SIGHUP ignored: settings are read only at the start; restart "
                                     "the node to change them");
        web_tick(web, clock_now());
    }
}

static void stop(struct engine *engine, struct web *web, int signal_number)
{
    log_line(LOG_LEVEL_INFO, "SIG%s: draining", sigabbrev_np(signal_number));
    engine_set_state(engine, NODE_DRAINING);
    web_drain(web, DRAIN_TIMEOUT_MS);
    engine_leave(engine, LEAVE_TIMEOUT_MS);
}

int node_run(const struct config *config)
{
    sigset_t blocked;
    struct engine *engine = NULL;
    struct web *web = NULL;
    char problem[WEB_PROBLEM_BYTES];
    int exit_code = CLIENT_REFUSED;
    block_signals(&blocked);
    enum error error = engine_create(config, &engine);
    if (error) {
        client_text_print_error(stderr, NULL, "cannot start: %s", error_info(error)->message);
        return exit_code;
    }
    if (web_start(engine, &web, problem)) {
        client_text_print_error(stderr, NULL, "%s", problem);
        goto out;
    }
    error = engine_join(engine);
    if (error) {
        client_text_print_error(stderr, NULL, "cannot join the cluster: %s",
                                error_info(error)->message);
        goto out;
    }
    printf("Listening on %s\n", web_address(web));
    fflush(stdout);
    log_line(LOG_LEVEL_INFO, "artemis %s: node %s serves %s", ARTEMIS_VERSION,
             config->server.node_id, engine->url);
    stop(engine, web, serve_until_signal(web, &blocked));
    exit_code = CLIENT_DONE;
out:
    web_stop(web);
    engine_free(engine);
    if (exit_code == CLIENT_DONE)
        log_line(LOG_LEVEL_INFO, "stopped");
    return exit_code;
}
