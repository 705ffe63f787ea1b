/* SPDX-License-Identifier: Apache-2.0
 *
 * The membership provider `consul`: nodes register at Consul agents and read the passing instances.
 *
 * A thread sends the requests that consul_plan.h decides on: one of the registration at a time, and
 * the query. A reload of cluster.consul aborts them, and begins again with the new settings. A stop
 * aborts them and deregisters this node.
 */
#include "artemis-server/cluster/providers/provider.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "artemis-server/clock.h"
#include "artemis-server/cluster/providers/consul/consul_plan.h"
#include "artemis-server/cluster/providers/provider_http.h"
#include "artemis-server/cluster/providers/provider_settings.h"
#include "artemis-server/log.h"

enum {
    CONNECT_TIMEOUT_MS = 1000,
    DEREGISTER_TIMEOUT_MS = 1500,
    RESPONSE_BYTES_MAX = 4 << 20,
};

struct consul {
    struct provider *provider;
    pthread_t thread;
    atomic_bool is_stopping;
    struct provider_http *http;
    struct provider_settings settings;
    /* Of the thread alone: */
    struct consul_plan plan;
    enum consul_step step; /* of the call */
    struct provider_http_call *call, *query;
    unsigned failures;                  /* of the plan, when they were reported */
    bool is_failing;                    /* that was reported */
    char warning[CONSUL_WARNING_BYTES]; /* that was reported */
};

/* --- requests --------------------------------------------------------------------------------- */

static uint64_t now_ms(void)
{
    return clock_now().mono_ms;
}

static uint64_t random_number(void)
{
    uint64_t number = 0;
    (void)!getrandom(&number, sizeof(number), 0);
    return number;
}

static void fail(struct consul *consul, enum consul_step step, long status, struct slice body,
                 const char *problem)
{
    consul_plan_on_failure(&consul->plan, step, status, body, problem, random_number(), now_ms());
}

static void on_response(void *context, const struct provider_http_response *response)
{
    struct consul *consul = context;
    consul->call = NULL;
    if (response->problem[0])
        fail(consul, consul->step, response->status, response->body, response->problem);
    else
        consul_plan_on_success(&consul->plan, consul->step, now_ms());
}

static void on_list(void *context, const struct provider_http_response *response)
{
    struct consul *consul = context;
    const struct consul_list list = {
        .body = response->body,
        .index = provider_http_header(response, "X-Consul-Index"),
        .filtered = provider_http_header(response, "X-Consul-Results-Filtered-By-ACLs"),
    };
    consul->query = NULL;
    if (response->problem[0])
        fail(consul, CONSUL_READ, response->status, response->body, response->problem);
    else
        consul_plan_on_list(&consul->plan, &list, random_number(), now_ms());
}

/* NULL: out of memory. */
static struct provider_http_call *start_request(struct consul *consul, enum consul_step step)
{
    char header[CONFIG_TEXT_BYTES + 32];
    struct text url = {0};
    struct text body = {0};
    struct provider_http_call *call = NULL;
    const char *token = consul->settings.current->cluster.consul.token;
    snprintf(header, sizeof(header), "X-Consul-Token: %s", token);
    if (consul_plan_write(&consul->plan, step, &url, &body)) {
        struct provider_http_request request = {
            .method = consul_plan_method(step),
            .url = text_string(&url),
            .body = {body.data, body.size},
            .header = token[0] ? header : NULL,
            .timeout_ms = consul_plan_timeout_ms(&consul->plan, step),
            .bytes_max = RESPONSE_BYTES_MAX,
            .on_end = step == CONSUL_READ ? on_list : on_response,
            .context = consul,
        };
        if (!text_failed(&url))
            call = provider_http_start(consul->http, &request);
    }
    text_free(&url);
    text_free(&body);
    return call;
}

static void start_step(struct consul *consul, enum consul_step step)
{
    struct provider_http_call *call = start_request(consul, step);
    consul_plan_on_start(&consul->plan, step, now_ms());
    if (!call)
        fail(consul, step, 0, (struct slice){NULL, 0}, error_info(ERR_NO_MEMORY)->message);
    else if (step == CONSUL_READ)
        consul->query = call;
    else
        consul->call = call, consul->step = step;
}

/* --- the thread ------------------------------------------------------------------------------- */

static void report_failures(struct consul *consul)
{
    const struct consul_plan *plan = &consul->plan;
    if (plan->failures > consul->failures) {
        provider_fail(consul->provider, plan->problem);
        consul->is_failing = true;
    } else if (consul->is_failing && consul_plan_is_well(plan)) {
        provider_recover(consul->provider);
        consul->is_failing = false;
    }
    consul->failures = plan->failures;
}

static void report(struct consul *consul)
{
    struct member_list members;
    char warning[CONSUL_WARNING_BYTES];
    const char *reason;
    if (consul_plan_take_list(&consul->plan, &members, &reason))
        provider_publish(consul->provider, &members, reason);
    report_failures(consul);
    (void)consul_plan_warning(&consul->plan, warning);
    if (strcmp(warning, consul->warning) != 0)
        provider_warn(consul->provider, warning);
    memcpy(consul->warning, warning, sizeof(warning));
}

static struct provider_http_options http_options(const struct config *config)
{
    return (struct provider_http_options){
        .ca = config->cluster.consul.ca,
        .cert = config->cluster.consul.cert,
        .key = config->cluster.consul.key,
        .token_file = config->cluster.consul.token_file,
        .token_prefix = "X-Consul-Token: ",
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
    };
}

/* Goes on with the settings of a reload. */
static void take_settings(struct consul *consul)
{
    if (!provider_settings_take(&consul->settings))
        return;
    const struct provider_http_options options = http_options(consul->settings.current);
    provider_http_cancel(consul->http, consul->query);
    provider_http_cancel(consul->http, consul->call);
    consul->query = consul->call = NULL;
    provider_http_set_options(consul->http, &options);
    consul_plan_set_settings(&consul->plan, consul->settings.current, now_ms());
}

/* Starts what is due, and waits for a response or the next time. */
static void run_once(struct consul *consul)
{
    struct consul_plan *plan = &consul->plan;
    enum consul_step step;
    consul_plan_expire(plan, now_ms());
    while ((step = consul_plan_next(plan, now_ms())) != CONSUL_NO_STEP)
        start_step(consul, step);
    report(consul);
    uint64_t now = now_ms();
    uint64_t due_ms = consul_plan_due_ms(plan);
    provider_http_run(consul->http, due_ms > now ? due_ms - now : 0);
}

/* Deregisters this node, also if the response to its registration is still to come. */
static void leave(struct consul *consul)
{
    uint64_t end_ms = now_ms() + DEREGISTER_TIMEOUT_MS;
    provider_http_cancel(consul->http, consul->query);
    provider_http_cancel(consul->http, consul->call);
    consul->call = NULL;
    if (!consul->plan.may_be_registered)
        return;
    consul->plan.problem[0] = '\0';
    start_step(consul, CONSUL_DEREGISTER);
    while (consul->call && now_ms() < end_ms)
        provider_http_run(consul->http, end_ms - now_ms());
    if (consul->call || consul->plan.problem[0])
        log_event(LOG_LEVEL_WARN,
                  "this node was not deregistered in Consul; its check becomes critical",
                  LOG_TEXT("reason", consul->plan.problem));
}

static void *run(void *argument)
{
    struct consul *consul = argument;
    while (!atomic_load(&consul->is_stopping)) {
        take_settings(consul);
        run_once(consul);
    }
    leave(consul);
    return NULL;
}

/* --- the provider ----------------------------------------------------------------------------- */

static void free_consul(struct consul *consul)
{
    provider_http_free(consul->http);
    provider_settings_free(&consul->settings);
    free(consul);
}

static enum error create(struct consul *consul, struct provider *provider)
{
    const struct config *config = provider->config;
    enum error error = provider_settings_init(&consul->settings, "cluster.consul.", config);
    if (error)
        return error;
    const struct provider_http_options options = http_options(consul->settings.current);
    consul->provider = provider;
    consul_plan_init(&consul->plan, config, provider->node->peer_url);
    consul_plan_set_settings(&consul->plan, consul->settings.current, now_ms());
    return provider_http_create(&options, &consul->http);
}

static enum error start(struct provider *provider, const char **reason)
{
    struct consul *consul = calloc(1, sizeof(*consul));
    *reason = "the client of cluster.consul.address cannot start";
    if (!consul)
        return ERR_NO_MEMORY;
    enum error error = create(consul, provider);
    if (!error && pthread_create(&consul->thread, NULL, run, consul) != 0)
        error = ERR_SYSTEM;
    if (error) {
        free_consul(consul);
        return error;
    }
    pthread_setname_np(consul->thread, "consul");
    provider->state = consul;
    return ERR_NONE;
}

static void reload(struct provider *provider)
{
    struct consul *consul = provider->state;
    if (provider_settings_reload(&consul->settings, provider->config))
        provider_http_wake(consul->http);
}

static void stop(struct provider *provider)
{
    struct consul *consul = provider->state;
    atomic_store(&consul->is_stopping, true);
    provider_http_wake(consul->http);
    pthread_join(consul->thread, NULL);
    provider->state = NULL;
    free_consul(consul);
}

const struct provider_kind provider_consul = {"consul", start, reload, stop};
