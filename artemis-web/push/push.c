/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/push/push.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>
#include <wslay/wslay.h>

#include "artemis-server/clock.h"
#include "artemis-server/registry/registry.h"
#include "artemis-web/push/dispatch.h"
#include "artemis-web/push/long_polls.h"
#include "artemis-web/push/protocol.h"
#include "artemis-web/push/push_internal.h"
#include "artemis-web/push/websocket.h"

enum { EVENTS_PER_TURN = 32, CHECK_INTERVAL_MS = 1000 };

/* --- a turn of the thread --------------------------------------------------------------------- */

static void wake(void *context)
{
    struct push *push = context;
    eventfd_write(push->wake, 1);
}

static bool has_subscribers(const struct push *push)
{
    return atomic_load(&push->counters.subscriptions) || atomic_load(&push->counters.long_polls);
}

int push_wait_ms(struct push *push)
{
    if (!TAILQ_EMPTY(&push->resyncs))
        return 0;
    if (has_subscribers(push) &&
        !registry_arm_wakeup(push->engine->registry, atomic_load(&push->dispatched)))
        return 0; /* there are changes to dispatch */
    int poll_ms = long_polls_next_ms(push);
    int check_ms = LIST_EMPTY(&push->websockets) ? -1 : CHECK_INTERVAL_MS;
    if (poll_ms < 0)
        return check_ms;
    return check_ms < 0 || poll_ms < check_ms ? poll_ms : check_ms;
}

static void on_event(struct push *push, const struct epoll_event *event)
{
    struct push_client *client = event->data.ptr;
    eventfd_t ignored;
    if (!client) {
        eventfd_read(push->wake, &ignored);
        return;
    }
    if (client->kind == CLIENT_LONG_POLL) { /* its client has disconnected */
        long_poll_end(push, (struct long_poll *)client);
        return;
    }
    if (event->events & EPOLLOUT)
        websocket_flush((struct websocket *)client);
    if (event->events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        websocket_receive((struct websocket *)client, protocol_message);
}

static void close_going_away(struct websocket *websocket)
{
    websocket_close(websocket, WSLAY_CODE_GOING_AWAY, "the node is shutting down");
}

void push_start_client(struct push *push, struct push_client *client)
{
    if (client->kind == CLIENT_LONG_POLL) {
        long_poll_start(push, (struct long_poll *)client);
        return;
    }
    struct websocket *websocket = (struct websocket *)client;
    websocket_start(websocket);
    protocol_start(websocket);
    websocket_read_kept(websocket, protocol_message);
    if (atomic_load(&push->draining))
        close_going_away(websocket);
}

static void start_arrivals(struct push *push)
{
    struct push_client_list arrivals = STAILQ_HEAD_INITIALIZER(arrivals);
    pthread_mutex_lock(&push->_shared.lock);
    STAILQ_CONCAT(&arrivals, &push->_shared.arrivals);
    pthread_mutex_unlock(&push->_shared.lock);
    while (!STAILQ_EMPTY(&arrivals)) {
        struct push_client *client = STAILQ_FIRST(&arrivals);
        STAILQ_REMOVE_HEAD(&arrivals, link);
        push_start_client(push, client);
    }
}

/* Dispatches at most one batch, so that new clients and timeouts do not wait for a long backlog. */
static void dispatch_some(struct push *push)
{
    uint64_t latest = registry_revision(push->engine->registry);
    uint64_t limit = atomic_load(&push->dispatched) + CHANGES_PER_BATCH;
    if (has_subscribers(push))
        dispatch_until(push, latest < limit ? latest : limit);
}

/* Calls a function for each WebSocket; it may end. */
static void for_each_websocket(struct push *push, void (*call)(struct websocket *))
{
    struct websocket *next;
    for (struct websocket *websocket = LIST_FIRST(&push->websockets); websocket; websocket = next) {
        next = LIST_NEXT(websocket, link);
        call(websocket);
    }
}

static void reload_java_client(struct websocket *websocket)
{
    if (websocket->endpoint == ENDPOINT_JAVA_CHANGES)
        subscriptions_lag(websocket);
}

/* A node that does not replicate starts without data, or with stored data. When its clients have
 * had time to register again, the Java clients that subscribed meanwhile look up once more; see
 * protocol.c. */
static void reload_after_start(struct push *push)
{
    if (push->reregister_over || engine_is_recently_started(push->engine, push->now))
        return;
    push->reregister_over = true;
    if (!push->engine->replication)
        for_each_websocket(push, reload_java_client);
}

static void check_timeouts(struct push *push)
{
    long_polls_end_due(push);
    if (push->now.mono_ms < push->checked_ms + CHECK_INTERVAL_MS)
        return;
    push->checked_ms = push->now.mono_ms;
    topics_drop_states(&push->topics); /* they serve subscriptions that lag at the same time */
    for_each_websocket(push, websocket_check_timeout);
    reload_after_start(push);
}

static void check_tokens(struct push *push)
{
    if (!atomic_exchange(&push->tokens_changed, false))
        return;
    long_polls_end_revoked(push);
    for_each_websocket(push, websocket_check_timeout);
}

static void drain(struct push *push)
{
    if (!atomic_load(&push->draining) || push->drained)
        return;
    push->drained = true;
    long_polls_end_all(push);
    for_each_websocket(push, close_going_away);
}

static void free_websocket(struct push *push, struct websocket *websocket)
{
    subscriptions_end_all(websocket);
    epoll_ctl(push->epoll, EPOLL_CTL_DEL, websocket->socket, NULL);
    push->http.close(websocket->upgraded);
    push_uncount(&push->counters.websockets);
    push_uncount(&push->counters.clients);
    websocket_free(websocket);
}

/* Frees what has ended in this turn: the only place where the thread frees clients, subscriptions
 * and topics. */
static void free_ended(struct push *push)
{
    while (!STAILQ_EMPTY(&push->ended_clients)) {
        struct push_client *client = STAILQ_FIRST(&push->ended_clients);
        STAILQ_REMOVE_HEAD(&push->ended_clients, link);
        if (client->kind == CLIENT_WEBSOCKET)
            free_websocket(push, (struct websocket *)client);
        else
            free(client);
    }
    while (!TAILQ_EMPTY(&push->ended_subscriptions)) {
        struct subscription *subscription = TAILQ_FIRST(&push->ended_subscriptions);
        TAILQ_REMOVE(&push->ended_subscriptions, subscription, link);
        free(subscription);
    }
    topics_free_idle(&push->topics);
    topics_free_idle(&push->event_topics);
}

void push_turn(struct push *push, const struct epoll_event *events, int count, struct moment now)
{
    push->now = now;
    if (!has_subscribers(push)) /* changes before the first subscription are not dispatched */
        atomic_store(&push->dispatched, registry_revision(push->engine->registry));
    for (int i = 0; i < count; i++)
        on_event(push, &events[i]);
    start_arrivals(push);
    if (dispatch_events(push))
        wake(push);
    dispatch_some(push);
    long_polls_resume(push); /* they do not wait for full states to be sent */
    dispatch_resync(push);
    check_timeouts(push);
    check_tokens(push);
    drain(push);
    long_polls_resume(push);
    free_ended(push);
}

void push_end_all(struct push *push)
{
    start_arrivals(push);
    long_polls_end_all(push);
    for_each_websocket(push, websocket_end);
    long_polls_resume(push);
    free_ended(push);
}

static void *run(void *argument)
{
    struct push *push = argument;
    struct epoll_event events[EVENTS_PER_TURN];
    while (!atomic_load(&push->stop)) {
        int count = epoll_wait(push->epoll, events, EVENTS_PER_TURN, push_wait_ms(push));
        push_turn(push, events, count, clock_now());
    }
    push_end_all(push);
    return NULL;
}

/* --- calls of other threads ------------------------------------------------------------------- */

bool push_reserve(struct push *push)
{
    if (atomic_fetch_add(&push->counters.clients, 1) < push->clients_max)
        return true;
    push_release(push);
    push_count(&push->counters.refused, 1);
    return false;
}

void push_release(struct push *push)
{
    push_uncount(&push->counters.clients);
}

uint32_t push_clients_max(const struct push *push)
{
    return push->clients_max;
}

/* Hands a client over to the thread, which the caller wakes. False: the thread has ended. */
static bool hand_over(struct push *push, struct push_client *client)
{
    pthread_mutex_lock(&push->_shared.lock);
    bool accepted = !push->_shared.stopped;
    if (accepted)
        STAILQ_INSERT_TAIL(&push->_shared.arrivals, client, link);
    pthread_mutex_unlock(&push->_shared.lock);
    return accepted;
}

void push_add_long_poll(struct push *push, const struct long_poll_condition *condition,
                        void *connection, int socket)
{
    struct long_poll *poll = long_poll_create(condition, connection, socket);
    if (poll && hand_over(push, &poll->client)) {
        atomic_store(&push->wake_is_due, true);
        return;
    }
    free(poll);
    push_release(push);
    push->http.resume(&connection, 1);
}

void push_wake_for_long_polls(struct push *push)
{
    if (atomic_load_explicit(&push->wake_is_due, memory_order_relaxed) &&
        atomic_exchange(&push->wake_is_due, false))
        wake(push);
}

void push_add_websocket(struct push *push, enum endpoint endpoint, int socket, void *upgraded,
                        const struct push_caller *caller, struct slice received)
{
    struct websocket *websocket = websocket_create(push, endpoint, socket, upgraded);
    if (websocket)
        websocket_set_caller(websocket, caller);
    if (websocket && (received.size == 0 || !websocket_keep_input(websocket, received)) &&
        hand_over(push, &websocket->client)) {
        wake(push);
        return;
    }
    websocket_free(websocket);
    push_release(push);
    push->http.close(upgraded);
}

/* --- start and end ---------------------------------------------------------------------------- */

enum error push_init(struct engine *engine, uint32_t clients_max, const struct push_http *http,
                     struct push *push)
{
    uint64_t seed;
    *push = (struct push){.engine = engine,
                          .http = *http,
                          .clients_max = clients_max,
                          .now = clock_now(),
                          .epoll = epoll_create1(EPOLL_CLOEXEC),
                          .wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    pthread_mutex_init(&push->_shared.lock, NULL);
    STAILQ_INIT(&push->_shared.arrivals);
    STAILQ_INIT(&push->ended_clients);
    TAILQ_INIT(&push->ended_subscriptions);
    TAILQ_INIT(&push->resyncs);
    push->long_polls = long_polls_create(push->now.mono_ms);
    atomic_init(&push->dispatched, registry_revision(engine->registry));
    struct epoll_event event = {.events = EPOLLIN};
    if (push->epoll < 0 || push->wake < 0 ||
        epoll_ctl(push->epoll, EPOLL_CTL_ADD, push->wake, &event) != 0 ||
        getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
        return ERR_SYSTEM;
    if (!push->long_polls)
        return ERR_NO_MEMORY;
    enum error error = dispatch_create(engine->config->server.threads, &push->dispatch);
    if (!error)
        error = topics_init(&push->topics, seed);
    return error ? error : topics_init(&push->event_topics, seed);
}

enum error push_start(struct engine *engine, uint32_t clients_max, const struct push_http *http,
                      struct push **out)
{
    struct push *push = malloc(sizeof(*push));
    if (!push)
        return ERR_NO_MEMORY;
    enum error error = push_init(engine, clients_max, http, push);
    if (!error) {
        registry_set_wakeup(engine->registry, wake, push);
        event_hub_set_local(&engine->event_hub, wake, push);
        if (pthread_create(&push->thread, NULL, run, push) != 0) {
            event_hub_set_local(&engine->event_hub, NULL, NULL);
            error = ERR_SYSTEM;
        }
    }
    if (error) {
        push_free(push);
        return error;
    }
    pthread_setname_np(push->thread, "push");
    *out = push;
    return ERR_NONE;
}

void push_check_tokens(struct push *push)
{
    atomic_store(&push->tokens_changed, true);
    wake(push);
}

void push_drain(struct push *push)
{
    atomic_store(&push->draining, true);
    wake(push);
}

void push_stop(struct push *push)
{
    if (!push)
        return;
    atomic_store(&push->stop, true);
    wake(push);
    pthread_join(push->thread, NULL);
    registry_disarm_wakeup(push->engine->registry); /* leases and peers still change it */
    event_hub_set_local(&push->engine->event_hub, NULL, NULL);
    pthread_mutex_lock(&push->_shared.lock);
    push->_shared.stopped = true;
    pthread_mutex_unlock(&push->_shared.lock);
    push->now = clock_now();
    push_end_all(push); /* clients that arrived meanwhile */
}

void push_clear(struct push *push)
{
    topics_free(&push->topics);
    topics_free(&push->event_topics);
    dispatch_free(push->dispatch);
    free(push->long_polls);
    if (push->epoll >= 0)
        close(push->epoll);
    if (push->wake >= 0)
        close(push->wake);
    pthread_mutex_destroy(&push->_shared.lock);
}

void push_free(struct push *push)
{
    if (push)
        push_clear(push);
    free(push);
}

static uint64_t get(_Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void push_status(struct push *push, struct push_status *view)
{
    struct push_counters *counters = &push->counters;
    *view = (struct push_status){
        .websockets = get(&counters->websockets),
        .subscriptions = get(&counters->subscriptions),
        .long_polls = get(&counters->long_polls),
        .filters = get(&counters->filters),
        .clients_max = push->clients_max,
        .frames = get(&counters->frames),
        .bytes = get(&counters->bytes),
        .resyncs = get(&counters->resyncs),
        .messages = get(&counters->messages),
        .long_polls_started = get(&counters->long_polls_started),
        .refused = get(&counters->refused),
        .filters_refused = get(&counters->filters_refused),
        .closed_idle = get(&counters->closed_idle),
        .closed_slow = get(&counters->closed_slow),
        .closed_errors = get(&counters->closed_errors),
        .events = get(&counters->events),
        .events_lost = get(&counters->events_lost),
    };
    uint64_t dispatched = atomic_load(&push->dispatched); /* before the revision, which grows */
    if (has_subscribers(push))
        view->pending_changes = registry_revision(push->engine->registry) - dispatched;
}
