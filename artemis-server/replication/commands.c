/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/replication/commands.h"

#include <string.h>

void command_queue_init(struct command_queue *queue)
{
    queue->list.has_topology = false;
    queue->list.goodbye_count = 0;
    queue->list.has_releases = false;
    queue->list.releases.count = 0;
    queue->list.releases.last = 0;
    queue->list.recompare = 0;
    queue->list.check_clocks = false;
    queue->list.flush = 0;
    pthread_mutex_init(&queue->lock, NULL);
    atomic_init(&queue->pending, false);
}

void command_queue_free(struct command_queue *queue)
{
    pthread_mutex_destroy(&queue->lock);
}

void command_queue_put_topology(struct command_queue *queue, const struct member_list *topology)
{
    pthread_mutex_lock(&queue->lock);
    queue->list.topology = *topology;
    queue->list.has_topology = true;
    atomic_store(&queue->pending, true);
    pthread_mutex_unlock(&queue->lock);
}

static bool has_goodbye(const struct command_list *list, const char *node_id)
{
    for (size_t i = 0; i < list->goodbye_count; i++)
        if (strcmp(list->goodbyes[i], node_id) == 0)
            return true;
    return false;
}

void command_queue_put_goodbye(struct command_queue *queue, const char *node_id)
{
    size_t size = strlen(node_id) + 1;
    if (!node_id[0] || size > PEER_NAME_BYTES)
        return;
    pthread_mutex_lock(&queue->lock);
    struct command_list *list = &queue->list;
    if (list->goodbye_count < MEMBERS_MAX && !has_goodbye(list, node_id))
        memcpy(list->goodbyes[list->goodbye_count++], node_id, size);
    atomic_store(&queue->pending, true);
    pthread_mutex_unlock(&queue->lock);
}

bool command_queue_can_put_release(struct command_queue *queue, struct slice service_id,
                                   uint64_t clock_ms, uint64_t now_ms)
{
    pthread_mutex_lock(&queue->lock);
    bool can_put = release_list_can_put(&queue->list.releases, service_id, clock_ms, now_ms);
    pthread_mutex_unlock(&queue->lock);
    return can_put;
}

enum error command_queue_put_release(struct command_queue *queue, struct slice service_id,
                                     uint64_t clock_ms, uint64_t until_ms, uint64_t now_ms)
{
    pthread_mutex_lock(&queue->lock);
    struct release_list *releases = &queue->list.releases;
    uint64_t last = releases->last;
    enum error error = release_list_put(releases, service_id, clock_ms, until_ms, now_ms);
    if (releases->last != last) {
        queue->list.has_releases = true;
        atomic_store(&queue->pending, true);
    }
    pthread_mutex_unlock(&queue->lock);
    return error;
}

void command_queue_put_recompare(struct command_queue *queue, uint64_t number)
{
    pthread_mutex_lock(&queue->lock);
    queue->list.recompare = number;
    atomic_store(&queue->pending, true);
    pthread_mutex_unlock(&queue->lock);
}

void command_queue_put_check_clocks(struct command_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->list.check_clocks = true;
    atomic_store(&queue->pending, true);
    pthread_mutex_unlock(&queue->lock);
}

uint64_t command_queue_put_flush(struct command_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    uint64_t request = ++queue->list.flush;
    atomic_store(&queue->pending, true);
    pthread_mutex_unlock(&queue->lock);
    return request;
}

bool command_queue_take(struct command_queue *queue, struct command_list *out)
{
    if (!atomic_load(&queue->pending))
        return false;
    pthread_mutex_lock(&queue->lock);
    *out = queue->list;
    queue->list.has_topology = false;
    queue->list.goodbye_count = 0;
    queue->list.has_releases = false;
    queue->list.recompare = 0;
    queue->list.check_clocks = false;
    atomic_store(&queue->pending, false);
    pthread_mutex_unlock(&queue->lock);
    return true;
}
