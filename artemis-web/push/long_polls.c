/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests that wait: a wheel of slots by the end of the wait, and a watcher of the service.
 */
#include <microhttpd.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "artemis-web/push/push_internal.h"

static struct waiter *waiter_of(struct watcher *watcher)
{
    return (struct waiter *)((char *)watcher - offsetof(struct waiter, watcher));
}

static struct slice id_of(const struct waiter *waiter)
{
    return (struct slice){waiter->wait.id, waiter->wait.id_size};
}

static struct waiter **slot_of(struct push *push, const struct waiter *waiter)
{
    return &push->slots[waiter->wait.until_ms / WAIT_SLOT_MS % WAIT_SLOTS];
}

static void link_into_slot(struct push *push, struct waiter *waiter)
{
    struct waiter **slot = slot_of(push, waiter);
    waiter->next = *slot;
    if (*slot)
        (*slot)->prev = waiter;
    *slot = waiter;
    waiter->linked = true;
}

static void unlink_from_slot(struct push *push, struct waiter *waiter)
{
    if (waiter->prev)
        waiter->prev->next = waiter->next;
    else
        *slot_of(push, waiter) = waiter->next;
    if (waiter->next)
        waiter->next->prev = waiter->prev;
    waiter->linked = false;
}

void waiting_end(struct push *push, struct waiter *waiter)
{
    struct topic *topic = waiter->watcher.topic;
    if (topic) {
        topic_unlink(&waiter->watcher, WATCHER_WAITING);
        topics_release(&push->topics, topic);
    }
    if (waiter->linked) {
        unlink_from_slot(push, waiter);
        epoll_ctl(push->epoll, EPOLL_CTL_DEL, waiter->socket, NULL);
    }
    push_uncount(&push->counters.waiting);
    push_release(push);
    MHD_resume_connection(waiter->connection);
    waiter->connection = NULL;
    waiter->source.next = push->gone;
    push->gone = &waiter->source;
}

/* Has it what it waits for already? A change between the handler's look and ours counts, also where
 * it was the service's last. */
static bool is_over(struct push *push, const struct waiter *waiter)
{
    struct slice id = waiter->wait.id_size ? id_of(waiter) : SLICE("*");
    return push_has_missed(push, id, waiter->wait.version) ||
           waiter->wait.until_ms <= push->now.mono_ms || atomic_load(&push->draining);
}

void waiting_begin(struct push *push, struct waiter *waiter)
{
    push_begin_watching(push);
    push_count(&push->counters.waits, 1);
    push_count(&push->counters.waiting, 1);
    struct topic *topic =
        waiter->wait.id_size ? topics_take(&push->topics, id_of(waiter)) : push->topics.all;
    struct epoll_event left = {.events = EPOLLRDHUP | EPOLLET, .data.ptr = &waiter->source};
    if (topic)
        topic_link(topic, WATCHER_WAITING, &waiter->watcher);
    if (topic && epoll_ctl(push->epoll, EPOLL_CTL_ADD, waiter->socket, &left) == 0)
        link_into_slot(push, waiter);
    if (!waiter->linked || is_over(push, waiter))
        waiting_end(push, waiter);
}

void waiting_end_topic(struct push *push, struct topic *topic)
{
    struct watcher *next;
    for (struct watcher *watcher = topic->watchers[WATCHER_WAITING]; watcher; watcher = next) {
        next = watcher->next; /* the topic may be gone after the last */
        waiting_end(push, waiter_of(watcher));
    }
}

static void end_slot(struct push *push, uint64_t slot, bool all)
{
    struct waiter *next;
    for (struct waiter *waiter = push->slots[slot % WAIT_SLOTS]; waiter; waiter = next) {
        next = waiter->next;
        if (all || waiter->wait.until_ms <= push->now.mono_ms)
            waiting_end(push, waiter);
    }
}

void waiting_end_all(struct push *push)
{
    for (uint64_t slot = 0; slot < WAIT_SLOTS; slot++)
        end_slot(push, slot, true);
}

void waiting_end_due(struct push *push)
{
    uint64_t current = push->now.mono_ms / WAIT_SLOT_MS;
    if (current > push->slot + WAIT_SLOTS)
        push->slot = current - WAIT_SLOTS; /* once round is all of them */
    while (push->slot < current)
        end_slot(push, push->slot++, false);
}

int waiting_next_ms(const struct push *push)
{
    if (atomic_load_explicit(&push->counters.waiting, memory_order_relaxed) == 0)
        return -1;
    uint64_t slot = push->slot;
    while (slot < push->slot + WAIT_SLOTS && !push->slots[slot % WAIT_SLOTS])
        slot++;
    uint64_t due_ms = (slot + 1) * WAIT_SLOT_MS;
    return due_ms > push->now.mono_ms ? (int)(due_ms - push->now.mono_ms) : 0;
}
