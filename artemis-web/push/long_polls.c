/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests that wait: a wheel of slots by the end of the wait, and a subscriber of the service.
 */
#include <microhttpd.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "artemis-web/push/push_internal.h"

static struct long_poll *long_poll_of(struct subscriber *subscriber)
{
    return (struct long_poll *)((char *)subscriber - offsetof(struct long_poll, subscriber));
}

static struct slice id_of(const struct long_poll *long_poll)
{
    return (struct slice){long_poll->condition.id, long_poll->condition.id_size};
}

static struct long_poll **slot_of(struct push *push, const struct long_poll *long_poll)
{
    return &push->slots[long_poll->condition.until_ms / LONG_POLL_SLOT_MS % LONG_POLL_SLOTS];
}

static void link_into_slot(struct push *push, struct long_poll *long_poll)
{
    struct long_poll **slot = slot_of(push, long_poll);
    long_poll->next = *slot;
    if (*slot)
        (*slot)->prev = long_poll;
    *slot = long_poll;
    long_poll->linked = true;
}

static void unlink_from_slot(struct push *push, struct long_poll *long_poll)
{
    if (long_poll->prev)
        long_poll->prev->next = long_poll->next;
    else
        *slot_of(push, long_poll) = long_poll->next;
    if (long_poll->next)
        long_poll->next->prev = long_poll->prev;
    long_poll->linked = false;
}

void long_poll_end(struct push *push, struct long_poll *long_poll)
{
    struct topic *topic = long_poll->subscriber.topic;
    if (topic) {
        topic_unlink(&long_poll->subscriber, SUBSCRIBER_LONG_POLL);
        topics_release(&push->topics, topic);
    }
    if (long_poll->linked) {
        unlink_from_slot(push, long_poll);
        epoll_ctl(push->epoll, EPOLL_CTL_DEL, long_poll->socket, NULL);
    }
    push_uncount(&push->counters.long_polls);
    push_release(push);
    MHD_resume_connection(long_poll->connection);
    long_poll->connection = NULL;
    long_poll->source.next = push->closed;
    push->closed = &long_poll->source;
}

/* Has it what it waits for already? A change between the handler's look and ours counts, also where
 * it was the service's last. */
static bool is_over(struct push *push, const struct long_poll *long_poll)
{
    struct slice id = long_poll->condition.id_size ? id_of(long_poll) : SLICE("*");
    return push_has_newer(push, id, long_poll->condition.version) ||
           long_poll->condition.until_ms <= push->now.mono_ms || atomic_load(&push->draining);
}

void long_poll_start(struct push *push, struct long_poll *long_poll)
{
    push_start_reading(push);
    push_count(&push->counters.long_polls_started, 1);
    push_count(&push->counters.long_polls, 1);
    struct topic *topic = long_poll->condition.id_size
                              ? topics_take(&push->topics, id_of(long_poll))
                              : push->topics.all;
    struct epoll_event left = {.events = EPOLLRDHUP | EPOLLET, .data.ptr = &long_poll->source};
    if (topic)
        topic_link(topic, SUBSCRIBER_LONG_POLL, &long_poll->subscriber);
    if (topic && epoll_ctl(push->epoll, EPOLL_CTL_ADD, long_poll->socket, &left) == 0)
        link_into_slot(push, long_poll);
    if (!long_poll->linked || is_over(push, long_poll))
        long_poll_end(push, long_poll);
}

void long_polls_end_topic(struct push *push, struct topic *topic)
{
    struct subscriber *next;
    for (struct subscriber *subscriber = topic->subscribers[SUBSCRIBER_LONG_POLL]; subscriber;
         subscriber = next) {
        next = subscriber->next; /* the topic may be gone after the last */
        long_poll_end(push, long_poll_of(subscriber));
    }
}

static void end_slot(struct push *push, uint64_t slot, bool all)
{
    struct long_poll *next;
    for (struct long_poll *long_poll = push->slots[slot % LONG_POLL_SLOTS]; long_poll;
         long_poll = next) {
        next = long_poll->next;
        if (all || long_poll->condition.until_ms <= push->now.mono_ms)
            long_poll_end(push, long_poll);
    }
}

void long_polls_end_all(struct push *push)
{
    for (uint64_t slot = 0; slot < LONG_POLL_SLOTS; slot++)
        end_slot(push, slot, true);
}

void long_polls_end_due(struct push *push)
{
    uint64_t current = push->now.mono_ms / LONG_POLL_SLOT_MS;
    if (current > push->slot + LONG_POLL_SLOTS)
        push->slot = current - LONG_POLL_SLOTS; /* once round is all of them */
    while (push->slot < current)
        end_slot(push, push->slot++, false);
}

int long_polls_next_ms(const struct push *push)
{
    if (atomic_load_explicit(&push->counters.long_polls, memory_order_relaxed) == 0)
        return -1;
    uint64_t slot = push->slot;
    while (slot < push->slot + LONG_POLL_SLOTS && !push->slots[slot % LONG_POLL_SLOTS])
        slot++;
    uint64_t due_ms = (slot + 1) * LONG_POLL_SLOT_MS;
    return due_ms > push->now.mono_ms ? (int)(due_ms - push->now.mono_ms) : 0;
}
