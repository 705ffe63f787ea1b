/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/reload_thread.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <time.h>

#include "artemis-server/clock.h"

enum { MS_PER_SEC = 1000, NS_PER_MS = 1000000, ORIGIN_BYTES = 256 };

enum job_state { JOB_WAITING, JOB_RUNNING, JOB_ENDED };

/* Guarded by the lock of the thread, except for what the running job alone uses. */
struct reload_job {
    STAILQ_ENTRY(reload_job) next; /* while it waits */
    struct reload_thread *thread;
    char token[ORIGIN_BYTES];
    char address[ORIGIN_BYTES];
    enum job_state state;
    bool has_caller;
    enum error error;
    struct reload_report report;
};

struct reload_thread {
    struct reload_calls calls;
    pthread_t id;
    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t changed;
    STAILQ_HEAD(, reload_job) waiting;
    uint32_t waiting_count;
    bool stopping;
    bool has_ended;
};

/* --- the thread ------------------------------------------------------------------------------- */

static struct timespec timespec_of(uint64_t ms)
{
    return (struct timespec){
        .tv_sec = (time_t)(ms / MS_PER_SEC),
        .tv_nsec = (long)(ms % MS_PER_SEC) * NS_PER_MS,
    };
}

static void free_job(struct reload_job *job)
{
    reload_report_free(&job->report);
    free(job);
}

/* The caller holds the lock. */
static void end_job(struct reload_thread *thread, struct reload_job *job, enum error error)
{
    job->state = JOB_ENDED;
    job->error = error;
    if (!job->has_caller)
        free_job(job);
    pthread_cond_broadcast(&thread->changed);
}

/* The caller holds the lock. NULL: there is none. */
static struct reload_job *take_job(struct reload_thread *thread)
{
    struct reload_job *job = STAILQ_FIRST(&thread->waiting);
    if (!job)
        return NULL;
    STAILQ_REMOVE_HEAD(&thread->waiting, next);
    thread->waiting_count--;
    return job;
}

/* Returns the next reload, or NULL when the next tick is due or the thread is to end. */
static struct reload_job *wait_for_job(struct reload_thread *thread, uint64_t tick_ms,
                                       bool *stopping)
{
    const struct timespec until = timespec_of(tick_ms);
    pthread_mutex_lock(&thread->lock);
    while (STAILQ_EMPTY(&thread->waiting) && !thread->stopping && clock_now().mono_ms < tick_ms)
        pthread_cond_timedwait(&thread->changed, &thread->lock, &until);
    struct reload_job *job = take_job(thread);
    if (job)
        job->state = JOB_RUNNING;
    *stopping = thread->stopping;
    pthread_mutex_unlock(&thread->lock);
    return job;
}

static void run_job(struct reload_thread *thread, struct reload_job *job)
{
    const struct audit_origin origin = {job->token, job->address};
    enum error error = thread->calls.reload(thread->calls.context, &origin, &job->report);
    pthread_mutex_lock(&thread->lock);
    end_job(thread, job, error);
    pthread_mutex_unlock(&thread->lock);
}

static void set_ended(struct reload_thread *thread)
{
    pthread_mutex_lock(&thread->lock);
    thread->has_ended = true;
    pthread_cond_broadcast(&thread->changed);
    pthread_mutex_unlock(&thread->lock);
}

static void *run(void *context)
{
    struct reload_thread *thread = context;
    uint64_t tick_ms = clock_now().mono_ms + RELOAD_TICK_MS;
    for (;;) {
        bool stopping;
        struct reload_job *job = wait_for_job(thread, tick_ms, &stopping);
        if (stopping)
            break;
        if (job) {
            run_job(thread, job);
        } else {
            thread->calls.tick(thread->calls.context);
            tick_ms = clock_now().mono_ms + RELOAD_TICK_MS;
        }
    }
    set_ended(thread);
    return NULL;
}

/* --- start and stop --------------------------------------------------------------------------- */

enum error reload_thread_start(const struct reload_calls *calls, struct reload_thread **out)
{
    pthread_condattr_t attributes;
    struct reload_thread *thread = calloc(1, sizeof(*thread));
    if (!thread)
        return ERR_NO_MEMORY;
    thread->calls = *calls;
    STAILQ_INIT(&thread->waiting);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&thread->lock, NULL);
    pthread_cond_init(&thread->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    if (pthread_create(&thread->id, NULL, run, thread) != 0) {
        free(thread);
        return ERR_SYSTEM;
    }
    pthread_setname_np(thread->id, "reload");
    *out = thread;
    return ERR_NONE;
}

void reload_thread_refuse(struct reload_thread *thread)
{
    struct reload_job *job;
    pthread_mutex_lock(&thread->lock);
    thread->stopping = true;
    while ((job = take_job(thread)))
        end_job(thread, job, ERR_DRAINING);
    pthread_cond_broadcast(&thread->changed);
    pthread_mutex_unlock(&thread->lock);
}

bool reload_thread_stop(struct reload_thread *thread, uint64_t timeout_ms)
{
    uint64_t deadline_ms = clock_now().mono_ms + timeout_ms;
    const struct timespec until = timespec_of(deadline_ms);
    reload_thread_refuse(thread);
    pthread_mutex_lock(&thread->lock);
    while (!thread->has_ended && clock_now().mono_ms < deadline_ms)
        pthread_cond_timedwait(&thread->changed, &thread->lock, &until);
    bool has_ended = thread->has_ended;
    pthread_mutex_unlock(&thread->lock);
    return has_ended && pthread_join(thread->id, NULL) == 0;
}

void reload_thread_free(struct reload_thread *thread)
{
    if (!thread)
        return;
    pthread_mutex_destroy(&thread->lock);
    pthread_cond_destroy(&thread->changed);
    free(thread);
}

/* --- reloads ---------------------------------------------------------------------------------- */

/* The caller holds the lock. */
static enum error check(const struct reload_thread *thread)
{
    if (thread->stopping)
        return ERR_DRAINING;
    return thread->waiting_count < RELOADS_MAX ? ERR_NONE : ERR_OVERLOADED;
}

enum error reload_thread_add(struct reload_thread *thread, const struct audit_origin *origin,
                             struct reload_job **out)
{
    struct reload_job *job = calloc(1, sizeof(*job));
    if (!job)
        return ERR_NO_MEMORY;
    job->thread = thread;
    job->has_caller = out != NULL;
    snprintf(job->token, sizeof(job->token), "%s", origin->token ? origin->token : "");
    snprintf(job->address, sizeof(job->address), "%s", origin->address ? origin->address : "");
    pthread_mutex_lock(&thread->lock);
    enum error error = check(thread);
    if (!error) {
        STAILQ_INSERT_TAIL(&thread->waiting, job, next);
        thread->waiting_count++;
        pthread_cond_broadcast(&thread->changed);
    }
    pthread_mutex_unlock(&thread->lock);
    if (error)
        free(job);
    else if (out)
        *out = job;
    return error;
}

static void take_result(struct reload_job *job, enum error *error, struct reload_report *report)
{
    if (job->state == JOB_ENDED) {
        *error = job->error;
        *report = job->report;
        job->report = (struct reload_report){0};
    } else {
        *error = ERR_DRAINING;
    }
    if (*error == ERR_DRAINING && !report->problem.text[0])
        snprintf(report->problem.text, sizeof(report->problem.text),
                 "this node is shutting down; the reload has not ended");
}

bool reload_job_wait(struct reload_job *job, uint64_t timeout_ms, enum error *error,
                     struct reload_report *report)
{
    struct reload_thread *thread = job->thread;
    uint64_t deadline_ms = clock_now().mono_ms + timeout_ms;
    const struct timespec until = timespec_of(deadline_ms);
    pthread_mutex_lock(&thread->lock);
    while (job->state != JOB_ENDED && !thread->stopping && clock_now().mono_ms < deadline_ms)
        pthread_cond_timedwait(&thread->changed, &thread->lock, &until);
    bool has_ended = job->state == JOB_ENDED || thread->stopping;
    *report = (struct reload_report){0};
    if (has_ended)
        take_result(job, error, report);
    pthread_mutex_unlock(&thread->lock);
    return has_ended;
}

void reload_job_release(struct reload_job *job)
{
    struct reload_thread *thread = job->thread;
    pthread_mutex_lock(&thread->lock);
    job->has_caller = false;
    if (job->state == JOB_ENDED)
        free_job(job);
    pthread_mutex_unlock(&thread->lock);
}
