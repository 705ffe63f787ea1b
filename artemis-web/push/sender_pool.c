/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/push/sender_pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
    AT_A_TIME = 16,
    WORTH_HELP = 64, /* fewer are sent before anybody has woken */
};

struct sender_pool {
    pthread_t ids[SENDER_POOL_MAX - 1];
    uint32_t helpers;
    /* What is to be sent; changes only while nobody helps. */
    struct slice bytes;
    struct send_job *list;
    uint32_t count;
    _Atomic uint32_t next;
    struct {
        pthread_mutex_t lock;
        pthread_cond_t begun;
        pthread_cond_t left;
        uint64_t round;
        bool open; /* help is welcome */
        bool stop;
        uint32_t helping;
    } _shared;
};

static void send_one(struct send_job *job, struct slice bytes)
{
    job->size = send(job->socket, bytes.data, bytes.size, MSG_DONTWAIT | MSG_NOSIGNAL);
    job->error = job->size < 0 ? errno : 0;
}

static void take_turns(struct sender_pool *sender_pool)
{
    uint32_t from;
    while ((from = atomic_fetch_add(&sender_pool->next, AT_A_TIME)) < sender_pool->count)
        for (uint32_t i = from; i < sender_pool->count && i < from + AT_A_TIME; i++)
            send_one(&sender_pool->list[i], sender_pool->bytes);
}

static void *help(void *argument)
{
    struct sender_pool *sender_pool = argument;
    uint64_t helped = 0;
    pthread_mutex_lock(&sender_pool->_shared.lock);
    while (!sender_pool->_shared.stop) {
        if (!sender_pool->_shared.open || sender_pool->_shared.round == helped) {
            pthread_cond_wait(&sender_pool->_shared.begun, &sender_pool->_shared.lock);
            continue;
        }
        helped = sender_pool->_shared.round;
        sender_pool->_shared.helping++;
        pthread_mutex_unlock(&sender_pool->_shared.lock);
        take_turns(sender_pool);
        pthread_mutex_lock(&sender_pool->_shared.lock);
        if (--sender_pool->_shared.helping == 0)
            pthread_cond_signal(&sender_pool->_shared.left);
    }
    pthread_mutex_unlock(&sender_pool->_shared.lock);
    return NULL;
}

enum error sender_pool_start(uint32_t threads, struct sender_pool **out)
{
    struct sender_pool *sender_pool = calloc(1, sizeof(*sender_pool));
    if (!sender_pool)
        return ERR_NO_MEMORY;
    pthread_mutex_init(&sender_pool->_shared.lock, NULL);
    pthread_cond_init(&sender_pool->_shared.begun, NULL);
    pthread_cond_init(&sender_pool->_shared.left, NULL);
    while (sender_pool->helpers + 1 < threads && sender_pool->helpers < SENDER_POOL_MAX - 1) {
        pthread_t *id = &sender_pool->ids[sender_pool->helpers];
        if (pthread_create(id, NULL, help, sender_pool) != 0) {
            sender_pool_stop(sender_pool);
            return ERR_SYSTEM;
        }
        pthread_setname_np(*id, "push-sender");
        sender_pool->helpers++;
    }
    *out = sender_pool;
    return ERR_NONE;
}

void sender_pool_stop(struct sender_pool *sender_pool)
{
    if (!sender_pool)
        return;
    pthread_mutex_lock(&sender_pool->_shared.lock);
    sender_pool->_shared.stop = true;
    pthread_cond_broadcast(&sender_pool->_shared.begun);
    pthread_mutex_unlock(&sender_pool->_shared.lock);
    for (uint32_t i = 0; i < sender_pool->helpers; i++)
        pthread_join(sender_pool->ids[i], NULL);
    pthread_mutex_destroy(&sender_pool->_shared.lock);
    pthread_cond_destroy(&sender_pool->_shared.begun);
    pthread_cond_destroy(&sender_pool->_shared.left);
    free(sender_pool);
}

static void welcome_help(struct sender_pool *sender_pool)
{
    pthread_mutex_lock(&sender_pool->_shared.lock);
    sender_pool->_shared.round++;
    sender_pool->_shared.open = true;
    pthread_cond_broadcast(&sender_pool->_shared.begun);
    pthread_mutex_unlock(&sender_pool->_shared.lock);
}

/* Who has not come by now is not waited for. */
static void end_help(struct sender_pool *sender_pool)
{
    pthread_mutex_lock(&sender_pool->_shared.lock);
    sender_pool->_shared.open = false;
    while (sender_pool->_shared.helping)
        pthread_cond_wait(&sender_pool->_shared.left, &sender_pool->_shared.lock);
    pthread_mutex_unlock(&sender_pool->_shared.lock);
}

void sender_pool_send(struct sender_pool *sender_pool, struct slice bytes, struct send_job *list,
                      uint32_t count)
{
    bool helped = sender_pool->helpers && count >= WORTH_HELP;
    sender_pool->bytes = bytes;
    sender_pool->list = list;
    sender_pool->count = count;
    atomic_store(&sender_pool->next, 0);
    if (helped)
        welcome_help(sender_pool);
    take_turns(sender_pool);
    if (helped)
        end_help(sender_pool);
}
