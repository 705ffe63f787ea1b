/* SPDX-License-Identifier: Apache-2.0
 *
 * The membership provider `etcd`: nodes register in etcd and watch the keys of the others.
 *
 * A thread sends the requests that etcd_plan.h decides on: one at a time, and the watch. A reload
 * aborts them, and the thread goes on with the new settings; the lease stays. A stop aborts them
 * and revokes the lease, which removes the key of this node.
 */
#include "artemis-server/cluster/providers/provider.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "artemis-server/clock.h"
#include "artemis-server/cluster/providers/etcd/etcd_plan.h"
#include "artemis-server/cluster/providers/provider_http.h"
#include "artemis-server/cluster/providers/provider_settings.h"
#include "artemis-server/log.h"

enum {
    CONNECT_TIMEOUT_MS = 1000,
    REVOKE_TIMEOUT_MS = 1500,
    RESPONSE_BYTES_MAX = 4 << 20,
};

struct etcd {
    struct provider *provider;
    pthread_t thread;
    atomic_bool is_stopping;
    struct provider_http *http;
    struct provider_settings settings;
    /* Of the thread alone: */
    struct etcd_plan plan;
    enum etcd_step step; /* of the call */
    struct provider_http_call *call, *watch;
    unsigned failures;                /* of the plan, when they were reported */
    char warning[ETCD_WARNING_BYTES]; /* that was reported */
};

/* --- requests --------------------------------------------------------------------------------- */

static uint64_t now_ms(void)
{
    return clock_now().mono_ms;
}

static void on_response(void *context, const struct provider_http_response *response)
{
    struct etcd *etcd = context;
    etcd->call = NULL;
    if (response->problem[0])
        etcd_plan_on_failure(&etcd->plan, etcd->step, response->status, response->body,
                             response->problem, now_ms());
    else
        etcd_plan_on_response(&etcd->plan, etcd->step, response->body, now_ms());
}

static bool on_line(void *context, struct slice line)
{
    struct etcd *etcd = context;
    return etcd_plan_on_line(&etcd->plan, line, now_ms());
}

static void on_watch_end(void *context, const struct provider_http_response *response)
{
    struct etcd *etcd = context;
    etcd->watch = NULL;
    etcd_plan_on_failure(&etcd->plan, ETCD_WATCH, response->status, response->body,
                         response->problem[0] ? response->problem : "etcd has ended the watch",
                         now_ms());
}

/* On failure, `problem` is written. */
static bool write_user(struct etcd *etcd, struct text *body,
                       char problem[PROVIDER_HTTP_PROBLEM_BYTES])
{
    char secret[PROVIDER_HTTP_SECRET_BYTES];
    const char *path = etcd->settings.current->cluster.etcd.credentials_file;
    if (!provider_http_read_secret(path, secret, problem))
        return false;
    snprintf(problem, PROVIDER_HTTP_PROBLEM_BYTES, "%.240s: must have one line like USER:PASSWORD",
             path);
    return etcd_write_user(secret, body);
}

/* On failure, `problem` is written. */
static struct provider_http_call *start_request(struct etcd *etcd, enum etcd_step step,
                                                char problem[PROVIDER_HTTP_PROBLEM_BYTES])
{
    char header[ETCD_TOKEN_BYTES + 32];
    struct text url = {0};
    struct text body = {0};
    struct provider_http_call *call = NULL;
    bool is_watch = step == ETCD_WATCH;
    bool has_token = etcd->plan.token[0];
    snprintf(problem, PROVIDER_HTTP_PROBLEM_BYTES, "%s", error_info(ERR_NO_MEMORY)->message);
    snprintf(header, sizeof(header), "Authorization: %s", etcd->plan.token);
    if ((step != ETCD_AUTHENTICATE || write_user(etcd, &body, problem)) &&
        etcd_plan_write(&etcd->plan, step, &url, &body)) {
        struct provider_http_request request = {
            .method = "POST",
            .url = text_string(&url),
            .body = {body.data, body.size},
            .header = has_token ? header : NULL,
            .timeout_ms = is_watch ? 0 : etcd_plan_timeout_ms(&etcd->plan),
            .bytes_max = RESPONSE_BYTES_MAX,
            .on_line = is_watch ? on_line : NULL,
            .on_end = is_watch ? on_watch_end : on_response,
            .context = etcd,
        };
        if (!text_failed(&url))
            call = provider_http_start(etcd->http, &request);
    }
    text_free(&url);
    text_free(&body);
    return call;
}

static void start_step(struct etcd *etcd, enum etcd_step step)
{
    char problem[PROVIDER_HTTP_PROBLEM_BYTES];
    struct provider_http_call *call = start_request(etcd, step, problem);
    etcd_plan_on_start(&etcd->plan, step, now_ms());
    if (!call)
        etcd_plan_on_failure(&etcd->plan, step, 0, (struct slice){NULL, 0}, problem, now_ms());
    else if (step == ETCD_WATCH)
        etcd->watch = call;
    else
        etcd->call = call, etcd->step = step;
}

/* --- the thread ------------------------------------------------------------------------------- */

/* A failure of one endpoint of several is no failure of the provider. */
static void report_failures(struct etcd *etcd)
{
    const struct etcd_plan *plan = &etcd->plan;
    if (plan->failures > etcd->failures && etcd_plan_is_failing(plan))
        provider_fail(etcd->provider, plan->problem);
    else if (plan->failures > etcd->failures)
        log_event(LOG_LEVEL_WARN, "etcd fails; the next endpoint is used",
                  LOG_TEXT("reason", plan->problem));
    if (etcd->failures > 0 && plan->failures == 0)
        provider_recover(etcd->provider);
    etcd->failures = plan->failures;
}

static void report(struct etcd *etcd)
{
    struct member_list members;
    char warning[ETCD_WARNING_BYTES];
    const char *reason;
    if (etcd_plan_take_list(&etcd->plan, &members, &reason))
        provider_publish(etcd->provider, &members, reason);
    report_failures(etcd);
    (void)etcd_plan_warning(&etcd->plan, warning);
    if (strcmp(warning, etcd->warning) != 0)
        provider_warn(etcd->provider, warning);
    memcpy(etcd->warning, warning, sizeof(warning));
}

static struct provider_http_options http_options(const struct config *config)
{
    return (struct provider_http_options){
        .ca = config->cluster.etcd.ca,
        .cert = config->cluster.etcd.cert,
        .key = config->cluster.etcd.key,
        .token_file = config->cluster.etcd.token_file,
        .token_prefix = "Authorization: ",
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
    };
}

/* Goes on with the settings of a reload. */
static void take_settings(struct etcd *etcd)
{
    if (!provider_settings_take(&etcd->settings))
        return;
    const struct provider_http_options options = http_options(etcd->settings.current);
    provider_http_cancel(etcd->http, etcd->watch);
    provider_http_cancel(etcd->http, etcd->call);
    etcd->watch = etcd->call = NULL;
    provider_http_set_options(etcd->http, &options);
    etcd_plan_set_settings(&etcd->plan, etcd->settings.current, now_ms());
}

/* Starts what is due, and waits for a response or the next time. */
static void run_once(struct etcd *etcd)
{
    struct etcd_plan *plan = &etcd->plan;
    enum etcd_step step;
    etcd_plan_expire(plan, now_ms());
    for (;;) {
        if (!plan->is_watching) {
            provider_http_cancel(etcd->http, etcd->watch);
            etcd->watch = NULL;
        }
        step = etcd_plan_next(plan, now_ms());
        if (step == ETCD_NO_STEP)
            break;
        start_step(etcd, step);
    }
    report(etcd);
    uint64_t now = now_ms();
    uint64_t due_ms = etcd_plan_due_ms(plan);
    provider_http_run(etcd->http, due_ms > now ? due_ms - now : 0);
}

static void revoke(struct etcd *etcd, uint64_t end_ms)
{
    char problem[PROVIDER_HTTP_PROBLEM_BYTES];
    etcd->step = ETCD_REVOKE;
    etcd_plan_on_start(&etcd->plan, ETCD_REVOKE, now_ms());
    etcd->call = start_request(etcd, ETCD_REVOKE, problem);
    if (!etcd->call)
        etcd_plan_on_failure(&etcd->plan, ETCD_REVOKE, 0, (struct slice){NULL, 0}, problem,
                             now_ms());
    for (uint64_t now; etcd->call && (now = now_ms()) < end_ms;)
        provider_http_run(etcd->http, end_ms - now);
}

/* Deletes the key of this node. */
static void leave(struct etcd *etcd)
{
    struct etcd_plan *plan = &etcd->plan;
    uint64_t end_ms = now_ms() + REVOKE_TIMEOUT_MS;
    provider_http_cancel(etcd->http, etcd->watch);
    provider_http_cancel(etcd->http, etcd->call);
    etcd->call = NULL;
    plan->problem[0] = '\0';
    while (etcd_plan_has_lease(plan) && !plan->problem[0] && now_ms() < end_ms)
        revoke(etcd, end_ms);
    if (etcd_plan_has_lease(plan))
        log_event(LOG_LEVEL_WARN,
                  "this node was not unregistered in etcd; its key ends with its lease",
                  LOG_TEXT("reason", plan->problem));
}

static void *run(void *argument)
{
    struct etcd *etcd = argument;
    while (!atomic_load(&etcd->is_stopping)) {
        take_settings(etcd);
        run_once(etcd);
    }
    leave(etcd);
    return NULL;
}

/* --- the provider ----------------------------------------------------------------------------- */

static void free_etcd(struct etcd *etcd)
{
    provider_http_free(etcd->http);
    provider_settings_free(&etcd->settings);
    free(etcd);
}

static enum error create(struct etcd *etcd, struct provider *provider)
{
    const struct config *config = provider->config;
    enum error error = provider_settings_init(&etcd->settings, "cluster.etcd.", config);
    if (error)
        return error;
    const struct provider_http_options options = http_options(etcd->settings.current);
    etcd->provider = provider;
    etcd_plan_init(&etcd->plan, config, provider->node->peer_url);
    etcd_plan_set_settings(&etcd->plan, etcd->settings.current, now_ms());
    return provider_http_create(&options, &etcd->http);
}

static enum error start(struct provider *provider, const char **reason)
{
    struct etcd *etcd = calloc(1, sizeof(*etcd));
    *reason = "the client of cluster.etcd.endpoints cannot start";
    if (!etcd)
        return ERR_NO_MEMORY;
    enum error error = create(etcd, provider);
    if (!error && pthread_create(&etcd->thread, NULL, run, etcd) != 0)
        error = ERR_SYSTEM;
    if (error) {
        free_etcd(etcd);
        return error;
    }
    pthread_setname_np(etcd->thread, "etcd");
    provider->state = etcd;
    return ERR_NONE;
}

static void reload(struct provider *provider)
{
    struct etcd *etcd = provider->state;
    if (provider_settings_reload(&etcd->settings, provider->config))
        provider_http_wake(etcd->http);
}

static void stop(struct provider *provider)
{
    struct etcd *etcd = provider->state;
    atomic_store(&etcd->is_stopping, true);
    provider_http_wake(etcd->http);
    pthread_join(etcd->thread, NULL);
    provider->state = NULL;
    free_etcd(etcd);
}

const struct provider_kind provider_etcd = {"etcd", start, reload, stop};
