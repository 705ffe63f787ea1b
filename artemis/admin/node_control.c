/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/admin/node_control.h"

#include <stdio.h>

#include "artemis-server/clock.h"
#include "artemis-server/log.h"

static enum error refuse(struct config_problem *problem)
{
    snprintf(problem->text, sizeof(problem->text), "this node is starting or shutting down");
    return ERR_DRAINING;
}

/* --- what the thread does --------------------------------------------------------------------- */

/* Puts the loaded settings into force. */
static enum error apply(struct node_control *control, struct config *loaded,
                        const struct audit_origin *origin, struct reload_report *report)
{
    pthread_mutex_lock(&control->lock);
    enum error error = control->web ? reload_apply(control->engine, control->settings->config,
                                                   loaded, origin, report)
                                    : refuse(&report->problem);
    pthread_mutex_unlock(&control->lock);
    return error;
}

/* NULL: the node does not serve. The server lives as long as the thread. */
static struct web *serving_web(struct node_control *control)
{
    pthread_mutex_lock(&control->lock);
    struct web *web = control->web;
    pthread_mutex_unlock(&control->lock);
    return web;
}

static void check_credentials(struct node_control *control, bool force, struct moment now)
{
    struct web *web = serving_web(control);
    engine_check_credentials(control->engine, force, now);
    if (web)
        web_check_credentials(web, force, now);
}

/* Ends what the settings and certificates do not allow any more. Returns the number of certificates
 * that cannot be used. */
static uint32_t check_clients(struct node_control *control)
{
    struct web *web = serving_web(control);
    uint32_t failing = credential_store_is_failing(control->engine->peer_credentials);
    if (!web)
        return failing;
    web_check_clients(web);
    return failing + web_is_certificate_failing(web);
}

static enum error load_and_apply(struct node_control *control, const struct audit_origin *origin,
                                 struct reload_report *report)
{
    const struct node_settings *settings = control->settings;
    struct config loaded;
    enum error error = settings->load(settings->context, &loaded, &report->problem);
    if (error)
        return error;
    error = apply(control, &loaded, origin, report);
    config_free(&loaded);
    if (error)
        return error;
    check_credentials(control, true, clock_now());
    report->certificates_failing = check_clients(control);
    return ERR_NONE;
}

static void note_reload(struct engine *engine, const struct audit_origin *origin,
                        const struct reload_report *report, enum error error)
{
    char after[96];
    char certificates[48] = "";
    if (report->certificates_failing)
        snprintf(certificates, sizeof(certificates), ", %u certificate%s cannot be used",
                 report->certificates_failing, report->certificates_failing == 1 ? "" : "s");
    snprintf(after, sizeof(after), "%u changed, %u need a restart%s", report->changed,
             report->need_restart, certificates);
    const struct audit_event event = {
        .origin = *origin,
        .action = "reload",
        .after = error ? NULL : after,
        .outcome = error ? report->problem.text : "done",
        .is_logged_apart = true,
    };
    audit_record(engine->audit, &event, clock_now());
    atomic_fetch_add(error ? &engine->reloads_failed : &engine->reloads, 1);
    if (error)
        log_event(LOG_LEVEL_ERROR, "settings were not reloaded; nothing has changed",
                  LOG_TEXT("reason", report->problem.text));
    else
        log_event(LOG_LEVEL_INFO, "settings reloaded", LOG_NUMBER("changed", report->changed),
                  LOG_NUMBER("need_restart", report->need_restart));
}

static enum error on_reload(void *context, const struct audit_origin *origin,
                            struct reload_report *report)
{
    struct node_control *control = context;
    enum error error = load_and_apply(control, origin, report);
    note_reload(control->engine, origin, report, error);
    return error;
}

static void on_tick(void *context)
{
    struct node_control *control = context;
    check_credentials(control, false, clock_now());
    engine_store_blocks(control->engine);
}

/* --- start and stop --------------------------------------------------------------------------- */

enum error node_control_start(struct node_control *control, const struct node_settings *settings,
                              struct engine *engine)
{
    const struct reload_calls calls = {on_reload, on_tick, control};
    *control = (struct node_control){.settings = settings, .engine = engine};
    pthread_mutex_init(&control->lock, NULL);
    enum error error = reload_thread_start(&calls, &control->thread);
    engine->reload_thread = control->thread;
    return error;
}

static void set_web(struct node_control *control, struct web *web)
{
    pthread_mutex_lock(&control->lock);
    control->web = web;
    pthread_mutex_unlock(&control->lock);
}

void node_control_serve(struct node_control *control, struct web *web)
{
    set_web(control, web);
}

void node_control_refuse(struct node_control *control)
{
    set_web(control, NULL);
    reload_thread_refuse(control->thread);
}

bool node_control_stop(struct node_control *control, uint64_t timeout_ms)
{
    return !control->thread || reload_thread_stop(control->thread, timeout_ms);
}

void node_control_free(struct node_control *control)
{
    reload_thread_free(control->thread);
    pthread_mutex_destroy(&control->lock);
}

/* --- calls of operators ----------------------------------------------------------------------- */

void node_control_reload_later(struct node_control *control, const struct audit_origin *origin)
{
    enum error error = reload_thread_add(control->thread, origin, NULL);
    if (error)
        log_event(LOG_LEVEL_ERROR, "settings were not reloaded; nothing has changed",
                  LOG_TEXT("reason", error == ERR_OVERLOADED ? "too many reloads wait"
                                                             : error_info(error)->message));
}

enum error node_control_reload(struct node_control *control, const struct audit_origin *origin,
                               struct reload_report *report)
{
    struct reload_job *job;
    enum error error = reload_thread_add(control->thread, origin, &job);
    if (error) {
        snprintf(report->problem.text, sizeof(report->problem.text), "%s",
                 error == ERR_OVERLOADED ? "too many reloads wait" : error_info(error)->message);
        return error;
    }
    if (!reload_job_wait(job, RELOAD_WAIT_MS, &error, report)) {
        error = ERR_OVERLOADED;
        snprintf(report->problem.text, sizeof(report->problem.text),
                 "the reload has not ended within %d s; the log will have its result",
                 RELOAD_WAIT_MS / 1000);
    }
    reload_job_release(job);
    return error;
}

enum error node_control_log_level(struct node_control *control, const char *level,
                                  const struct audit_origin *origin, struct config_problem *problem)
{
    pthread_mutex_lock(&control->lock);
    enum error error = control->web ? reload_log_level(control->engine, control->settings->config,
                                                       level, origin, problem)
                                    : refuse(problem);
    pthread_mutex_unlock(&control->lock);
    return error;
}
