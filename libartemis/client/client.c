/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/client/client.h"

#include "libartemis/base/clock.h"
#include "libartemis/base/problem.h"
#include "libartemis/client/client_loop.h"

#include <curl/curl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* --- waiting ---------------------------------------------------------------------------------- */

bool client_is_loop(const struct artemis_client *client)
{
    return client->shared.thread_known && pthread_equal(client->shared.loop_thread, pthread_self());
}

bool client_wait(struct artemis_client *client, bool (*done)(void *context), void *context,
                 uint64_t deadline_ms)
{
    const struct timespec deadline = {.tv_sec = (time_t)(deadline_ms / 1000),
                                      .tv_nsec = (long)(deadline_ms % 1000) * 1000000};
    http_wake(client->http);
    while (!done(context)) {
        if (client_clock_ms() >= deadline_ms)
            return false;
        if (!client_is_loop(client)) {
            pthread_cond_timedwait(&client->changed, &client->lock, &deadline);
            continue;
        }
        pthread_mutex_unlock(&client->lock);
        loop_turn(client, deadline_ms);
        pthread_mutex_lock(&client->lock);
    }
    return true;
}

enum artemis_error client_check_call(const struct artemis_client *client, int timeout_ms,
                                     struct artemis_problem *problem)
{
    if (!client)
        return problem_set(problem, ARTEMIS_INVALID, "client: is required");
    if (timeout_ms < 0 || timeout_ms > ARTEMIS_TIMEOUT_MAX_MS)
        return problem_set(problem, ARTEMIS_INVALID, "timeout_ms: must be 0 to %d, is %d",
                           ARTEMIS_TIMEOUT_MAX_MS, timeout_ms);
    return ARTEMIS_OK;
}

/* --- opening and closing ---------------------------------------------------------------------- */

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_code;

/* libcurl is initialized once per process, and never cleaned up: the program may use it too. */
static void start_curl(void)
{
    curl_code = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static void init_servers(struct servers *servers, const struct settings *settings)
{
    servers->count = settings->servers.count;
}

/* The thread blocks all signals: the program handles them. */
static int start_thread(struct artemis_client *client)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&client->thread, NULL, loop_run, client);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure;
}

static void init_locks(struct artemis_client *client)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&client->lock, NULL);
    pthread_cond_init(&client->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void free_client(struct artemis_client *client)
{
    if (client->http)
        loop_free(client);
    registrations_free(&client->shared.registrations);
    publications_free(&client->shared.publications);
    topic_sync_free(&client->shared.topics);
    cache_sync_free(&client->shared.sync);
    settings_free(&client->settings);
    pthread_cond_destroy(&client->changed);
    pthread_mutex_destroy(&client->lock);
    free(client);
}

enum artemis_error artemis_open(const struct artemis_options *options, struct artemis_client **out,
                                struct artemis_problem *problem)
{
    if (!out)
        return problem_set(problem, ARTEMIS_INVALID, "client: is required");
    pthread_once(&curl_once, start_curl);
    if (curl_code != CURLE_OK)
        return problem_set(problem, ARTEMIS_SYSTEM, "libcurl cannot be initialized: %s",
                           curl_easy_strerror(curl_code));
    struct artemis_client *client = calloc(1, sizeof *client);
    if (!client)
        return problem_no_memory(problem);
    init_locks(client);
    cache_sync_init(&client->shared.sync);
    topic_sync_init(&client->shared.topics, &client->shared.sync.callbacks);
    publications_init(&client->shared.publications);
    STAILQ_INIT(&client->loop.pushes);
    enum artemis_error error = settings_read(&client->settings, options, problem);
    if (error)
        goto out;
    client->shared.registrations.heartbeat_ms = client->settings.heartbeat_ms;
    client->shared.registrations.client_revision = client_clock_wall_us();
    client->shared.sync.poll_ms = client->settings.poll_ms;
    client->shared.refresh.interval_ms = client->settings.nodes_ms;
    init_servers(&client->shared.registry_servers, &client->settings);
    init_servers(&client->shared.push_servers, &client->settings);
    init_servers(&client->shared.event_servers, &client->settings);
    if (http_create(&client->settings, &client->http)) {
        error = problem_no_memory(problem);
        goto out;
    }
    int failure = start_thread(client);
    if (failure)
        error = problem_set(problem, ARTEMIS_SYSTEM, "the thread cannot be created: %s",
                            strerrordesc_np(failure));
out:
    if (error)
        free_client(client);
    else
        *out = client;
    return error;
}

/* Nothing is left to be sent. */
static bool is_finished(void *context)
{
    const struct artemis_client *client = context;
    return publications_is_empty(&client->shared.publications) &&
           (client->settings.stay_registered ||
            registrations_is_empty(&client->shared.registrations));
}

/* Under the lock: unregisters the instances, and publishes the events that wait. */
static enum artemis_error finish(struct artemis_client *client, int timeout_ms,
                                 struct artemis_problem *problem)
{
    uint64_t deadline_ms = client_clock_ms() + (uint64_t)timeout_ms;
    if (!client->settings.stay_registered)
        registrations_unregister_all(&client->shared.registrations, UINT64_MAX);
    publications_keep(&client->shared.publications);
    if (client_wait(client, is_finished, client, deadline_ms))
        return ARTEMIS_OK;
    if (!publications_is_empty(&client->shared.publications))
        return problem_set(problem, ARTEMIS_TIMED_OUT, "%zu event%s not published in %d ms",
                           client->shared.publications.count,
                           client->shared.publications.count == 1 ? " was" : "s were", timeout_ms);
    return problem_set(problem, ARTEMIS_TIMED_OUT, "not unregistered in %d ms: %s", timeout_ms,
                       client->shared.registry_problem);
}

enum artemis_error artemis_close(struct artemis_client *client, int timeout_ms,
                                 struct artemis_problem *problem)
{
    if (!client)
        return ARTEMIS_OK;
    enum artemis_error error = client_check_call(client, timeout_ms, problem);
    if (error)
        return error;
    pthread_mutex_lock(&client->lock);
    if (client_is_loop(client)) {
        pthread_mutex_unlock(&client->lock);
        return problem_set(problem, ARTEMIS_INVALID,
                           "artemis_close must not be called in a callback");
    }
    error = finish(client, timeout_ms, problem);
    client->shared.stopping = true;
    http_stop(client->http);
    http_wake(client->http);
    pthread_mutex_unlock(&client->lock);
    pthread_join(client->thread, NULL);
    free_client(client);
    return error;
}
