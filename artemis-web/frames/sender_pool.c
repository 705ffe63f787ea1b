/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/frames/sender_pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
    JOBS_AT_A_TIME = 16,
    JOBS_MIN =
        64, /* for the other threads; the caller sends fewer before another thread wakes up */
};

struct sender_pool {
    pthread_t threads[SENDER_THREADS_MAX - 1];
    uint32_t thread_count;
    /* The current jobs. They change only while no other thread sends. */
    struct slice bytes;
    struct send_job *jobs;
    uint32_t job_count;
    _Atomic uint32_t next; /* the first job that no thread has taken */
    struct {
        pthread_mutex_t lock;
        pthread_cond_t started;
        pthread_cond_t finished;
        uint64_t round; /* counts the calls of sender_pool_send */
        bool open;      /* threads may join this round */
        bool stop;
        uint32_t sending; /* threads in this round */
    } _shared;
};

static void send_one(struct send_job *job, struct slice bytes)
{
    job->size = send(job->socket, bytes.data, bytes.size, MSG_DONTWAIT | MSG_NOSIGNAL);
    job->error = job->size < 0 ? errno : 0;
}

/* Takes jobs and sends until none is left. */
static void send_jobs(struct sender_pool *pool)
{
    uint32_t from;
    while ((from = atomic_fetch_add(&pool->next, JOBS_AT_A_TIME)) < pool->job_count)
        for (uint32_t i = from; i < pool->job_count && i < from + JOBS_AT_A_TIME; i++)
            send_one(&pool->jobs[i], pool->bytes);
}

static void *run(void *argument)
{
    struct sender_pool *pool = argument;
    uint64_t joined = 0; /* the last round that this thread has joined */
    pthread_mutex_lock(&pool->_shared.lock);
    while (!pool->_shared.stop) {
        if (!pool->_shared.open || pool->_shared.round == joined) {
            pthread_cond_wait(&pool->_shared.started, &pool->_shared.lock);
            continue;
        }
        joined = pool->_shared.round;
        pool->_shared.sending++;
        pthread_mutex_unlock(&pool->_shared.lock);
        send_jobs(pool);
        pthread_mutex_lock(&pool->_shared.lock);
        if (--pool->_shared.sending == 0)
            pthread_cond_signal(&pool->_shared.finished);
    }
    pthread_mutex_unlock(&pool->_shared.lock);
    return NULL;
}

enum error sender_pool_start(uint32_t threads, struct sender_pool **out)
{
    struct sender_pool *pool = calloc(1, sizeof(*pool));
    if (!pool)
        return ERR_NO_MEMORY;
    pthread_mutex_init(&pool->_shared.lock, NULL);
    pthread_cond_init(&pool->_shared.started, NULL);
    pthread_cond_init(&pool->_shared.finished, NULL);
    while (pool->thread_count + 1 < threads && pool->thread_count < SENDER_THREADS_MAX - 1) {
        pthread_t *thread = &pool->threads[pool->thread_count];
        if (pthread_create(thread, NULL, run, pool) != 0) {
            sender_pool_stop(pool);
            return ERR_SYSTEM;
        }
        pthread_setname_np(*thread, "push-sender");
        pool->thread_count++;
    }
    *out = pool;
    return ERR_NONE;
}

void sender_pool_stop(struct sender_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->_shared.lock);
    pool->_shared.stop = true;
    pthread_cond_broadcast(&pool->_shared.started);
    pthread_mutex_unlock(&pool->_shared.lock);
    for (uint32_t i = 0; i < pool->thread_count; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_mutex_destroy(&pool->_shared.lock);
    pthread_cond_destroy(&pool->_shared.started);
    pthread_cond_destroy(&pool->_shared.finished);
    free(pool);
}

static void open_round(struct sender_pool *pool)
{
    pthread_mutex_lock(&pool->_shared.lock);
    pool->_shared.round++;
    pool->_shared.open = true;
    pthread_cond_broadcast(&pool->_shared.started);
    pthread_mutex_unlock(&pool->_shared.lock);
}

/* Waits for the threads that have joined; others cannot join any more. */
static void close_round(struct sender_pool *pool)
{
    pthread_mutex_lock(&pool->_shared.lock);
    pool->_shared.open = false;
    while (pool->_shared.sending)
        pthread_cond_wait(&pool->_shared.finished, &pool->_shared.lock);
    pthread_mutex_unlock(&pool->_shared.lock);
}

void sender_pool_send(struct sender_pool *pool, struct slice bytes, struct send_job *jobs,
                      uint32_t count)
{
    bool shared = pool->thread_count && count >= JOBS_MIN;
    pool->bytes = bytes;
    pool->jobs = jobs;
    pool->job_count = count;
    atomic_store(&pool->next, 0);
    if (shared)
        open_round(pool);
    send_jobs(pool);
    if (shared)
        close_round(pool);
}
