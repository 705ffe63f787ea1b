/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/push/long_polls.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "artemis-server/auth/token_table.h"
#include "artemis-server/registry/registry.h"

static struct slice id_of(const struct long_poll *poll)
{
    if (poll->id_size == 0)
        return SLICE("*");
    return (struct slice){poll->id, poll->id_size};
}

struct long_polls *long_polls_create(uint64_t now_ms)
{
    struct long_polls *polls = calloc(1, sizeof(*polls));
    if (!polls)
        return NULL;
    polls->next_slot = now_ms / LONG_POLL_SLOT_MS;
    TAILQ_INIT(&polls->unwatched);
    return polls;
}

struct long_poll *long_poll_create(const struct long_poll_condition *condition, void *connection,
                                   int socket)
{
    struct long_poll *poll = malloc(sizeof(*poll) + condition->id_size);
    if (!poll)
        return NULL;
    *poll = (struct long_poll){
        .client.kind = CLIENT_LONG_POLL,
        .connection = connection,
        .socket = socket,
        .revision = condition->revision,
        .until_ms = condition->until_ms,
        .token = condition->token,
        .id_size = condition->id_size,
    };
    memcpy(poll->id, condition->id, condition->id_size);
    return poll;
}

static bool is_due(const struct push *push, const struct long_poll *poll)
{
    return poll->until_ms <= push->now.mono_ms;
}

static bool is_unauthorized(const struct push *push, const struct long_poll *poll)
{
    const struct token *token = poll->token;
    return token && token_check(token, push->now.wall_ms);
}

/* Changes after the handler has read the registry and before now count, and so does a reload. */
static bool is_over(struct push *push, const struct long_poll *poll)
{
    return registry_has_newer(push->engine->registry, id_of(poll), poll->revision) ||
           is_due(push, poll) || is_unauthorized(push, poll) || atomic_load(&push->draining);
}

/* False: no memory. */
static bool insert(struct push *push, struct long_poll *poll)
{
    struct topic *topic = topics_get(&push->topics, id_of(poll));
    uint64_t slot = poll->until_ms / LONG_POLL_SLOT_MS;
    if (!topic)
        return false;
    poll->state = LONG_POLL_WAITING;
    poll->topic = topic;
    LIST_INSERT_HEAD(&topic->long_polls, poll, topic_link);
    LIST_INSERT_HEAD(&push->long_polls->slots[slot % LONG_POLL_SLOTS], poll, slot_link);
    poll->watch_from_ms = push->now.mono_ms + LONG_POLL_UNWATCHED_MS;
    TAILQ_INSERT_TAIL(&push->long_polls->unwatched, poll, unwatched_link);
    return true;
}

static void remove_from_lists(struct push *push, struct long_poll *poll)
{
    LIST_REMOVE(poll, topic_link);
    LIST_REMOVE(poll, slot_link);
    topics_subscriber_removed(&push->topics, poll->topic);
    if (poll->is_watched)
        epoll_ctl(push->epoll, EPOLL_CTL_DEL, poll->socket, NULL);
    else
        TAILQ_REMOVE(&push->long_polls->unwatched, poll, unwatched_link);
}

void long_poll_start(struct push *push, struct long_poll *poll)
{
    push_count(&push->counters.long_polls_started, 1);
    push_count(&push->counters.long_polls, 1);
    if (is_over(push, poll) || !insert(push, poll))
        long_poll_end(push, poll);
}

void long_poll_end(struct push *push, struct long_poll *poll)
{
    if (poll->state == LONG_POLL_ENDED)
        return;
    if (poll->state == LONG_POLL_WAITING)
        remove_from_lists(push, poll);
    poll->state = LONG_POLL_ENDED;
    push_uncount(&push->counters.long_polls);
    push_uncount(&push->counters.clients);
    STAILQ_INSERT_TAIL(&push->ended_clients, &poll->client, link);
    struct long_polls *polls = push->long_polls;
    polls->ended[polls->ended_count++] = poll->connection;
    if (polls->ended_count == RESUMES_MAX)
        long_polls_resume(push);
}

void long_polls_resume(struct push *push)
{
    struct long_polls *polls = push->long_polls;
    if (polls->ended_count)
        push->http.resume(polls->ended, polls->ended_count);
    polls->ended_count = 0;
}

void long_polls_end_topic(struct push *push, struct topic *topic, uint64_t revision)
{
    struct long_poll *next;
    for (struct long_poll *poll = LIST_FIRST(&topic->long_polls); poll; poll = next) {
        next = LIST_NEXT(poll, topic_link);
        if (poll->revision < revision)
            long_poll_end(push, poll);
    }
}

void long_polls_end_all(struct push *push)
{
    for (uint64_t slot = 0; slot < LONG_POLL_SLOTS; slot++)
        while (!LIST_EMPTY(&push->long_polls->slots[slot]))
            long_poll_end(push, LIST_FIRST(&push->long_polls->slots[slot]));
}

static void end_in_slot(struct push *push, uint64_t slot,
                        bool (*ends)(const struct push *, const struct long_poll *))
{
    struct long_poll *next;
    struct long_poll_list *list = &push->long_polls->slots[slot % LONG_POLL_SLOTS];
    for (struct long_poll *poll = LIST_FIRST(list); poll; poll = next) {
        next = LIST_NEXT(poll, slot_link);
        if (ends(push, poll))
            long_poll_end(push, poll);
    }
}

void long_polls_end_revoked(struct push *push)
{
    for (uint64_t slot = 0; slot < LONG_POLL_SLOTS; slot++)
        end_in_slot(push, slot, is_unauthorized);
}

/* Has epoll report the end of the connection. Without memory, the long poll ends. */
static void watch(struct push *push, struct long_poll *poll)
{
    struct epoll_event disconnect = {.events = EPOLLRDHUP | EPOLLET, .data.ptr = &poll->client};
    if (epoll_ctl(push->epoll, EPOLL_CTL_ADD, poll->socket, &disconnect) != 0) {
        long_poll_end(push, poll);
        return;
    }
    TAILQ_REMOVE(&push->long_polls->unwatched, poll, unwatched_link);
    poll->is_watched = true;
}

static void watch_connections(struct push *push)
{
    struct long_poll *poll;
    while ((poll = TAILQ_FIRST(&push->long_polls->unwatched)) &&
           poll->watch_from_ms <= push->now.mono_ms)
        watch(push, poll);
}

void long_polls_end_due(struct push *push)
{
    struct long_polls *polls = push->long_polls;
    uint64_t current = push->now.mono_ms / LONG_POLL_SLOT_MS;
    if (current > polls->next_slot + LONG_POLL_SLOTS)
        polls->next_slot = current - LONG_POLL_SLOTS; /* one revolution covers all slots */
    for (; polls->next_slot < current; polls->next_slot++)
        end_in_slot(push, polls->next_slot, is_due); /* others are of the next revolution */
    watch_connections(push);
}

int long_polls_next_ms(const struct push *push)
{
    const struct long_polls *polls = push->long_polls;
    if (atomic_load_explicit(&push->counters.long_polls, memory_order_relaxed) == 0)
        return -1;
    const struct long_poll *unwatched = TAILQ_FIRST(&polls->unwatched);
    uint64_t slot = polls->next_slot;
    while (slot < polls->next_slot + LONG_POLL_SLOTS &&
           LIST_EMPTY(&polls->slots[slot % LONG_POLL_SLOTS]))
        slot++;
    uint64_t due_ms = (slot + 1) * LONG_POLL_SLOT_MS;
    if (unwatched && unwatched->watch_from_ms < due_ms)
        due_ms = unwatched->watch_from_ms;
    return due_ms > push->now.mono_ms ? (int)(due_ms - push->now.mono_ms) : 0;
}
