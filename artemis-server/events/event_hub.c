/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/events/event_hub.h"

static void count(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

/* --- queues ----------------------------------------------------------------------------------- */

static bool is_full(const struct event_queue *queue)
{
    return queue->count == EVENTS_WAITING_MAX;
}

/* Takes a reference. */
static void put(struct event_queue *queue, struct event *event, event_wakeup *wake, void *context)
{
    queue->items[(queue->first + queue->count++) % EVENTS_WAITING_MAX] = event_ref(event);
    if (queue->count == 1)
        wake(context);
}

static struct event *take_first(struct event_queue *queue)
{
    struct event *event = queue->items[queue->first];
    queue->first = (queue->first + 1) % EVENTS_WAITING_MAX;
    queue->count--;
    return event;
}

static void clear(struct event_queue *queue)
{
    while (queue->count)
        event_unref(take_first(queue));
}

static size_t take(struct event_hub *hub, struct event_queue *queue, struct event **out, size_t max)
{
    size_t taken = 0;
    pthread_mutex_lock(&hub->_shared.lock);
    while (taken < max && queue->count)
        out[taken++] = take_first(queue);
    pthread_mutex_unlock(&hub->_shared.lock);
    return taken;
}

size_t event_hub_take_local(struct event_hub *hub, struct event **out, size_t max)
{
    return take(hub, &hub->_shared.local, out, max);
}

size_t event_hub_take_for_peers(struct event_hub *hub, struct event **out, size_t max)
{
    return take(hub, &hub->_shared.peers, out, max);
}

/* --- start and end ---------------------------------------------------------------------------- */

void event_hub_init(struct event_hub *hub, const char *node_id, const char *run)
{
    hub->node_id = slice_of(node_id);
    hub->run = slice_of(run);
    pthread_mutex_init(&hub->_shared.lock, NULL);
}

void event_hub_free(struct event_hub *hub)
{
    clear(&hub->_shared.local);
    clear(&hub->_shared.peers);
    event_order_free(&hub->_shared.order);
    pthread_mutex_destroy(&hub->_shared.lock);
}

void event_hub_set_local(struct event_hub *hub, event_wakeup *wake, void *context)
{
    pthread_mutex_lock(&hub->_shared.lock);
    hub->_shared.wake_local = wake;
    hub->_shared.local_context = context;
    if (!wake)
        clear(&hub->_shared.local);
    pthread_mutex_unlock(&hub->_shared.lock);
}

void event_hub_set_peers(struct event_hub *hub, event_wakeup *wake, void *context)
{
    pthread_mutex_lock(&hub->_shared.lock);
    hub->_shared.wake_peers = wake;
    hub->_shared.peers_context = context;
    if (!wake)
        clear(&hub->_shared.peers);
    pthread_mutex_unlock(&hub->_shared.lock);
}

/* --- events ----------------------------------------------------------------------------------- */

/* The lock is held, here and below. */
static bool has_subscribers(const struct event_hub *hub)
{
    return hub->_shared.wake_local && atomic_load(&hub->subscriptions) > 0;
}

static void put_local(struct event_hub *hub, struct event *event)
{
    put(&hub->_shared.local, event, hub->_shared.wake_local, hub->_shared.local_context);
}

static enum error publish(struct event_hub *hub, struct event *event)
{
    bool is_local = has_subscribers(hub);
    bool is_for_peers = hub->_shared.wake_peers != NULL;
    if ((is_local && is_full(&hub->_shared.local)) ||
        (is_for_peers && is_full(&hub->_shared.peers)))
        return ERR_TOO_MANY_EVENTS;
    event->number = ++hub->_shared.last;
    if (is_local)
        put_local(hub, event);
    if (is_for_peers)
        put(&hub->_shared.peers, event, hub->_shared.wake_peers, hub->_shared.peers_context);
    return ERR_NONE;
}

enum error event_hub_publish(struct event_hub *hub, struct slice topic, struct slice payload,
                             struct moment now, uint64_t *number)
{
    struct event *event = event_create(&(struct event_content){.wall_ms = now.wall_ms,
                                                               .node_id = hub->node_id,
                                                               .run = hub->run,
                                                               .topic = topic,
                                                               .payload = payload});
    if (!event)
        return ERR_NO_MEMORY;
    pthread_mutex_lock(&hub->_shared.lock);
    enum error error = publish(hub, event);
    if (!error)
        *number = event->number;
    pthread_mutex_unlock(&hub->_shared.lock);
    count(error ? &hub->counters.refused : &hub->counters.published, 1);
    event_unref(event);
    return error;
}

/* For the subscribers of this node. */
static void deliver(struct event_hub *hub, const struct event_content *content)
{
    if (!has_subscribers(hub))
        return;
    if (is_full(&hub->_shared.local)) {
        count(&hub->counters.dropped_full, 1);
        return;
    }
    struct event *event = event_create(content);
    if (event)
        put_local(hub, event);
    else
        count(&hub->counters.dropped_memory, 1);
    event_unref(event);
}

static enum error receive(struct event_hub *hub, const struct event_content *content,
                          struct moment now)
{
    bool is_admitted = false;
    uint64_t missed = 0;
    enum error error = event_order_admit(&hub->_shared.order, content->node_id, content->run,
                                         content->number, now.mono_ms, &is_admitted, &missed);
    if (error)
        return error;
    count(&hub->counters.missed, missed);
    count(is_admitted ? &hub->counters.received : &hub->counters.duplicates, 1);
    if (is_admitted)
        deliver(hub, content);
    return ERR_NONE;
}

enum error event_hub_receive(struct event_hub *hub, struct slice node_id,
                             const struct event_message *events, struct moment now)
{
    enum error error = ERR_NONE;
    pthread_mutex_lock(&hub->_shared.lock);
    for (size_t i = 0; i < event_message_count(events) && !error; i++) {
        struct event_item item = event_message_item(events, i);
        struct event_content content = {.number = item.number,
                                        .wall_ms = item.wall_ms,
                                        .node_id = node_id,
                                        .run = event_message_run(events),
                                        .topic = item.topic,
                                        .payload = item.payload};
        error = receive(hub, &content, now);
    }
    pthread_mutex_unlock(&hub->_shared.lock);
    return error;
}
