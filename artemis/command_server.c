/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/command_server.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "artemis-server/clock.h"
#include "artemis-server/engine.h"
#include "artemis-server/log.h"
#include "artemis-web/web.h"
#include "artemis/client_args.h"
#include "artemis/client_exit.h"
#include "artemis/client_text.h"
#include "artemis/settings.h"

enum { TICK_SECS = 1, DRAIN_MS = 30 * 1000, LEAVE_MS = 10 * 1000 };

static const struct client_option options[] = {
    {.name = "config",
     .value = "FILE",
     .sentence = "read settings from FILE and config.d beside it"},
    {.name = "addr", .value = "HOST:PORT", .sentence = "listen there (port 0: any free one)"},
    {.name = "set",
     .value = "SECTION.KEY=VALUE",
     .sentence = "override a setting; may be repeated"},
    {.name = NULL},
};

static const struct client_command command = {
    .name = "server",
    .usage = {"server [options]"},
    .about = "Serves a registry until SIGTERM or SIGINT. Settings come from FILE, FILE's\n"
             "config.d/*.toml, the environment (ARTEMIS_SECTION_KEY) and the command line;\n"
             "the later wins. `artemis config reference` lists them.\n",
    .example = "artemis server --addr 127.0.0.1:8080 --set lease.ttl_secs=60\n",
    .options = options,
};

/* --- settings --------------------------------------------------------------------------------- */

static enum error load_settings(const struct client_args *args, struct config *config,
                                struct config_problem *problem, struct text *warnings)
{
    const char **sets = calloc(args->given_count + 1, sizeof(*sets));
    if (!sets) {
        snprintf(problem->text, sizeof(problem->text), "out of memory");
        return ERR_NO_MEMORY;
    }
    struct settings_input input = {
        .file = client_args_text(args, "config"),
        .environment = environ,
        .sets = sets,
        .addr = client_args_text(args, "addr"),
        .warnings = warnings,
    };
    size_t position = 0;
    for (const char *set; (set = client_args_next(args, "set", &position));)
        sets[input.set_count++] = set;
    enum error error = settings_load(config, &input, problem);
    free(sets);
    return error;
}

static void log_warnings(struct text *warnings)
{
    char *next = NULL;
    text_string(warnings);
    if (text_failed(warnings) || !warnings->data)
        return;
    for (char *line = strtok_r(warnings->data, "\n", &next); line;
         line = strtok_r(NULL, "\n", &next))
        log_line(LOG_LEVEL_WARN, "%s", line);
}

/* A line on stdout that scripts wait for. */
static void announce(const char *what, const char *value)
{
    printf("%s%s\n", what, value);
    fflush(stdout);
}

/* --- signals ---------------------------------------------------------------------------------- */

/* Blocked before any thread starts, so that all of them reach the main thread only. */
static void hold_signals(sigset_t *held)
{
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(held);
    sigaddset(held, SIGTERM);
    sigaddset(held, SIGINT);
    sigaddset(held, SIGHUP);
    pthread_sigmask(SIG_BLOCK, held, NULL);
}

/* Runs the main thread's duties until somebody asks for the end. */
static int serve(struct web *web, const sigset_t *held)
{
    const struct timespec tick = {.tv_sec = TICK_SECS};
    for (;;) {
        int signal_number = sigtimedwait(held, NULL, &tick);
        if (signal_number == SIGTERM || signal_number == SIGINT)
            return signal_number;
        if (signal_number == SIGHUP)
            log_line(LOG_LEVEL_WARN, "SIGHUP: settings are read at the start only; restart to "
                                     "change them");
        web_tick(web, clock_now());
    }
}

/* --- life ------------------------------------------------------------------------------------- */

static int run(const struct config *config)
{
    sigset_t held;
    struct engine *engine = NULL;
    struct web *web = NULL;
    char problem[WEB_PROBLEM_BYTES];
    hold_signals(&held);
    enum error error = engine_create(config, &engine);
    if (error) {
        client_text_complain(stderr, NULL, "cannot start: %s", error_info(error)->message);
        return CLIENT_REFUSED;
    }
    error = web_start(engine, &web, problem);
    if (error) {
        client_text_complain(stderr, NULL, "%s", problem);
        engine_free(engine);
        return CLIENT_REFUSED;
    }
    error = engine_join(engine);
    if (error) {
        client_text_complain(stderr, NULL, "cannot join the cluster: %s",
                             error_info(error)->message);
        web_stop(web);
        engine_free(engine);
        return CLIENT_REFUSED;
    }
    announce("Listening on ", web_address(web));
    log_line(LOG_LEVEL_INFO, "artemis %s: node %s serves %s", ARTEMIS_VERSION,
             config->server.node_id, engine->url);

    int signal_number = serve(web, &held);
    log_line(LOG_LEVEL_INFO, "SIG%s: draining", sigabbrev_np(signal_number));
    engine_set_state(engine, NODE_DRAINING);
    web_drain(web, DRAIN_MS);
    engine_leave(engine, LEAVE_MS);
    web_stop(web);
    engine_free(engine);
    log_line(LOG_LEVEL_INFO, "stopped");
    return CLIENT_DONE;
}

int command_server(int argc, char **argv)
{
    struct client_args args;
    int exit_code;
    if (!client_args_start(&args, &command, argc, argv, &exit_code))
        return exit_code;
    struct config config;
    struct config_problem problem;
    if (client_args_text(&args, "config"))
        announce("Loading configuration from ", client_args_text(&args, "config"));
    struct text warnings = {0};
    enum error error = load_settings(&args, &config, &problem, &warnings);
    client_args_free(&args);
    if (error) {
        text_free(&warnings);
        client_text_complain(stderr, NULL, "%s", problem.text);
        return problem.text[0] == '-' ? CLIENT_USAGE : CLIENT_REFUSED; /* --set, --addr */
    }
    log_setup(config.log.level, config.log.format);
    log_warnings(&warnings);
    text_free(&warnings);
    printf("Node ID: %s, Cluster mode: %s\n", config.server.node_id,
           config.cluster.enabled ? "enabled" : "disabled");
    fflush(stdout);
    exit_code = run(&config);
    config_free(&config);
    return exit_code;
}
