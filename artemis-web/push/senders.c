/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/push/senders.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
    AT_A_TIME = 16,
    WORTH_HELP = 64, /* fewer are sent before anybody has woken */
};

struct senders {
    pthread_t ids[SENDERS_MAX - 1];
    uint32_t helpers;
    /* What is to be sent; changes only while nobody helps. */
    struct slice bytes;
    struct sending *list;
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

static void send_one(struct sending *sending, struct slice bytes)
{
    sending->size = send(sending->socket, bytes.data, bytes.size, MSG_DONTWAIT | MSG_NOSIGNAL);
    sending->error = sending->size < 0 ? errno : 0;
}

static void take_turns(struct senders *senders)
{
    uint32_t from;
    while ((from = atomic_fetch_add(&senders->next, AT_A_TIME)) < senders->count)
        for (uint32_t i = from; i < senders->count && i < from + AT_A_TIME; i++)
            send_one(&senders->list[i], senders->bytes);
}

static void *help(void *argument)
{
    struct senders *senders = argument;
    uint64_t helped = 0;
    pthread_mutex_lock(&senders->_shared.lock);
    while (!senders->_shared.stop) {
        if (!senders->_shared.open || senders->_shared.round == helped) {
            pthread_cond_wait(&senders->_shared.begun, &senders->_shared.lock);
            continue;
        }
        helped = senders->_shared.round;
        senders->_shared.helping++;
        pthread_mutex_unlock(&senders->_shared.lock);
        take_turns(senders);
        pthread_mutex_lock(&senders->_shared.lock);
        if (--senders->_shared.helping == 0)
            pthread_cond_signal(&senders->_shared.left);
    }
    pthread_mutex_unlock(&senders->_shared.lock);
    return NULL;
}

enum error senders_start(uint32_t threads, struct senders **out)
{
    struct senders *senders = calloc(1, sizeof(*senders));
    if (!senders)
        return ERR_NO_MEMORY;
    pthread_mutex_init(&senders->_shared.lock, NULL);
    pthread_cond_init(&senders->_shared.begun, NULL);
    pthread_cond_init(&senders->_shared.left, NULL);
    while (senders->helpers + 1 < threads && senders->helpers < SENDERS_MAX - 1) {
        pthread_t *id = &senders->ids[senders->helpers];
        if (pthread_create(id, NULL, help, senders) != 0) {
            senders_stop(senders);
            return ERR_SYSTEM;
        }
        pthread_setname_np(*id, "push-sender");
        senders->helpers++;
    }
    *out = senders;
    return ERR_NONE;
}

void senders_stop(struct senders *senders)
{
    if (!senders)
        return;
    pthread_mutex_lock(&senders->_shared.lock);
    senders->_shared.stop = true;
    pthread_cond_broadcast(&senders->_shared.begun);
    pthread_mutex_unlock(&senders->_shared.lock);
    for (uint32_t i = 0; i < senders->helpers; i++)
        pthread_join(senders->ids[i], NULL);
    pthread_mutex_destroy(&senders->_shared.lock);
    pthread_cond_destroy(&senders->_shared.begun);
    pthread_cond_destroy(&senders->_shared.left);
    free(senders);
}

static void welcome_help(struct senders *senders)
{
    pthread_mutex_lock(&senders->_shared.lock);
    senders->_shared.round++;
    senders->_shared.open = true;
    pthread_cond_broadcast(&senders->_shared.begun);
    pthread_mutex_unlock(&senders->_shared.lock);
}

/* Who has not come by now is not waited for. */
static void end_help(struct senders *senders)
{
    pthread_mutex_lock(&senders->_shared.lock);
    senders->_shared.open = false;
    while (senders->_shared.helping)
        pthread_cond_wait(&senders->_shared.left, &senders->_shared.lock);
    pthread_mutex_unlock(&senders->_shared.lock);
}

void senders_send(struct senders *senders, struct slice bytes, struct sending *list, uint32_t count)
{
    bool helped = senders->helpers && count >= WORTH_HELP;
    senders->bytes = bytes;
    senders->list = list;
    senders->count = count;
    atomic_store(&senders->next, 0);
    if (helped)
        welcome_help(senders);
    take_turns(senders);
    if (helped)
        end_help(senders);
}
