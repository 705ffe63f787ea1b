/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/admin/node_control.h"

#include <stdio.h>

#include "artemis-server/clock.h"
#include "artemis-server/log.h"

static enum error on_reload(void *context, const struct audit_origin *origin,
                            struct reload_report *report)
{
    return node_control_reload(context, origin, report);
}

void node_control_init(struct node_control *control, const struct node_settings *settings,
                       struct engine *engine)
{
    *control = (struct node_control){.settings = settings, .engine = engine};
    pthread_mutex_init(&control->lock, NULL);
    engine->control = (struct engine_control){on_reload, control};
}

void node_control_free(struct node_control *control)
{
    pthread_mutex_destroy(&control->lock);
}

static void set_web(struct node_control *control, struct web *web)
{
    pthread_mutex_lock(&control->lock);
    control->web = web;
    pthread_mutex_unlock(&control->lock);
}

void node_control_start(struct node_control *control, struct web *web)
{
    set_web(control, web);
}

void node_control_stop(struct node_control *control)
{
    set_web(control, NULL);
}

void node_control_tick(struct node_control *control, struct moment now)
{
    pthread_mutex_lock(&control->lock);
    engine_check_credentials(control->engine, false, now);
    call_limits_report(&control->engine->limits, now.mono_ms);
    web_tick(control->web, now);
    pthread_mutex_unlock(&control->lock);
}

/* --- reload ----------------------------------------------------------------------------------- */

static enum error refuse(struct config_problem *problem)
{
    snprintf(problem->text, sizeof(problem->text), "this node is starting or shutting down");
    return ERR_DRAINING;
}

static enum error load_and_apply(struct node_control *control, const struct audit_origin *origin,
                                 struct reload_report *report)
{
    const struct node_settings *settings = control->settings;
    struct config loaded;
    if (!control->web)
        return refuse(&report->problem);
    enum error error = settings->load(settings->context, &loaded, &report->problem);
    if (error)
        return error;
    error = reload_apply(control->engine, settings->config, &loaded, origin, report);
    config_free(&loaded);
    if (error)
        return error;
    struct moment now = clock_now();
    engine_check_credentials(control->engine, true, now);
    report->certificates_failing = credential_store_is_failing(control->engine->peer_credentials);
    report->certificates_failing += !web_reload(control->web, now);
    return ERR_NONE;
}

static void note_reload(struct engine *engine, const struct audit_origin *origin,
                        const struct reload_report *report, enum error error)
{
    char after[96];
    char certificates[48] = "";
    if (report->certificates_failing)
        snprintf(certificates, sizeof(certificates), ", %u certificates cannot be used",
                 report->certificates_failing);
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

enum error node_control_reload(struct node_control *control, const struct audit_origin *origin,
                               struct reload_report *report)
{
    pthread_mutex_lock(&control->lock);
    enum error error = load_and_apply(control, origin, report);
    note_reload(control->engine, origin, report, error);
    pthread_mutex_unlock(&control->lock);
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
