/* SPDX-License-Identifier: Apache-2.0
 *
 * The push thread: what wakes it, and its life.
 */
#include "artemis-web/push/push.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "artemis-server/clock.h"
#include "artemis-server/registry/registry_watch.h"
#include "artemis-web/push/push_internal.h"

enum { EVENTS_AT_ONCE = 32, CHECK_INTERVAL_MS = 1000 };

/* --- the thread ------------------------------------------------------------------------------- */

static void wake(void *context)
{
    struct push *push = context;
    eventfd_write(push->wake, 1);
}

/* Is anybody there who wants to hear of changes? */
static bool has_subscribers(const struct push *push)
{
    return atomic_load(&push->counters.subscriptions) || atomic_load(&push->counters.long_polls);
}

void push_start_reading(struct push *push)
{
    if (!has_subscribers(push))
        atomic_store(&push->dispatched, registry_revision(push->engine->registry));
}

/* How long to sleep. Not at all when there are changes to hand out. */
static int sleep_ms(struct push *push)
{
    if (has_subscribers(push) &&
        !registry_arm_wakeup(push->engine->registry, atomic_load(&push->dispatched)))
        return 0;
    int wait_ms = long_polls_next_ms(push);
    int check_ms = push->websockets ? CHECK_INTERVAL_MS : -1;
    if (wait_ms < 0)
        return check_ms;
    return check_ms < 0 || wait_ms < check_ms ? wait_ms : check_ms;
}

void push_on_event(struct push *push, const struct epoll_event *event)
{
    struct source *source = event->data.ptr;
    eventfd_t value;
    switch (source->kind) {
    case SOURCE_WAKE:
        eventfd_read(push->wake, &value);
        return;
    case SOURCE_WEBSOCKET:
        websocket_on_event((struct websocket *)source, event->events);
        return;
    case SOURCE_LONG_POLL: /* the client has left */
        if (((struct long_poll *)source)->connection)
            long_poll_end(push, (struct long_poll *)source);
        return;
    }
}

/* What was handed over begins, in the order of its arrival. */
static void take_arrived(struct push *push)
{
    struct source *in_order = NULL;
    pthread_mutex_lock(&push->_shared.lock);
    struct source *arrived = push->_shared.arrived;
    push->_shared.arrived = NULL;
    pthread_mutex_unlock(&push->_shared.lock);
    while (arrived) {
        struct source *next = arrived->next;
        arrived->next = in_order;
        in_order = arrived;
        arrived = next;
    }
    while (in_order) {
        struct source *source = in_order;
        in_order = source->next;
        if (source->kind == SOURCE_LONG_POLL)
            long_poll_start(push, (struct long_poll *)source);
        else
            websocket_begin(push, (struct websocket *)source);
    }
}

static void check_timeouts(struct push *push)
{
    struct websocket *next;
    if (push->now.mono_ms < push->checked_ms + CHECK_INTERVAL_MS)
        return;
    push->checked_ms = push->now.mono_ms;
    topics_drop_states(&push->topics); /* they serve when many have missed the same at once */
    for (struct websocket *websocket = push->websockets; websocket; websocket = next) {
        next = websocket->next;
        websocket_check_timeouts(websocket);
    }
}

void push_free_closed(struct push *push)
{
    while (push->closed) {
        struct source *next = push->closed->next;
        if (push->closed->kind == SOURCE_WEBSOCKET)
            wslay_event_context_free(((struct websocket *)push->closed)->reader);
        free(push->closed);
        push->closed = next;
    }
}

static void close_all(struct push *push)
{
    struct websocket *next;
    long_polls_end_all(push);
    for (struct websocket *websocket = push->websockets; websocket; websocket = next) {
        next = websocket->next;
        websocket_close(websocket, WSLAY_CODE_GOING_AWAY, "the node is shutting down");
    }
}

static void *run(void *argument)
{
    struct push *push = argument;
    struct epoll_event events[EVENTS_AT_ONCE];
    bool drained = false;
    while (!atomic_load(&push->stop)) {
        int count = epoll_wait(push->epoll, events, EVENTS_AT_ONCE, sleep_ms(push));
        push->now = clock_now();
        for (int i = 0; i < count; i++)
            push_on_event(push, &events[i]);
        take_arrived(push);
        if (has_subscribers(push))
            push_dispatch(push, registry_revision(push->engine->registry));
        long_polls_end_due(push);
        check_timeouts(push);
        if (atomic_load(&push->draining) && !drained) {
            close_all(push);
            drained = true;
        }
        push_free_closed(push);
    }
    long_polls_end_all(push);
    while (push->websockets)
        websocket_end(push->websockets);
    push_free_closed(push);
    return NULL;
}

/* --- what other threads call ------------------------------------------------------------------ */

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

/* False: the thread has ended, and takes nothing. */
static bool arrive(struct push *push, struct source *source)
{
    pthread_mutex_lock(&push->_shared.lock);
    bool taken = !push->_shared.stopped;
    bool first = !push->_shared.arrived;
    if (taken) {
        source->next = push->_shared.arrived;
        push->_shared.arrived = source;
    }
    pthread_mutex_unlock(&push->_shared.lock);
    if (taken && first)
        wake(push);
    return taken;
}

void push_add_long_poll(struct push *push, const struct long_poll_condition *wait,
                        struct MHD_Connection *connection, int socket)
{
    struct long_poll *long_poll = malloc(sizeof(*long_poll));
    MHD_suspend_connection(connection);
    if (long_poll) {
        *long_poll = (struct long_poll){.source.kind = SOURCE_LONG_POLL,
                                        .condition = *wait,
                                        .connection = connection,
                                        .socket = socket};
        if (arrive(push, &long_poll->source))
            return;
    }
    free(long_poll);
    push_release(push);
    MHD_resume_connection(connection);
}

void push_add_websocket(struct push *push, enum endpoint endpoint, int socket,
                        struct MHD_UpgradeResponseHandle *upgraded, struct slice received)
{
    struct websocket *websocket = calloc(1, sizeof(*websocket));
    if (websocket) {
        websocket->source.kind = SOURCE_WEBSOCKET;
        websocket->push = push;
        websocket->endpoint = endpoint;
        websocket->socket = socket;
        websocket->upgraded = upgraded;
        text_append_slice(&websocket->early, received);
        if (!text_failed(&websocket->early) && arrive(push, &websocket->source))
            return;
        text_free(&websocket->early);
    }
    free(websocket);
    push_release(push);
    MHD_upgrade_action(upgraded, MHD_UPGRADE_ACTION_CLOSE);
}

/* --- life ------------------------------------------------------------------------------------- */

enum error push_init(struct engine *engine, uint32_t clients_max, struct push *push)
{
    uint64_t seed;
    *push = (struct push){.engine = engine,
                          .clients_max = clients_max,
                          .wake_source.kind = SOURCE_WAKE,
                          .now = clock_now(),
                          .epoll = epoll_create1(EPOLL_CLOEXEC),
                          .wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    pthread_mutex_init(&push->_shared.lock, NULL);
    push->slot = push->now.mono_ms / LONG_POLL_SLOT_MS;
    atomic_init(&push->dispatched, registry_revision(engine->registry));
    push->batch = malloc(CHANGES_AT_ONCE * sizeof(*push->batch));
    push->next_of_topic = malloc(CHANGES_AT_ONCE * sizeof(*push->next_of_topic));
    push->jobs = malloc(SEND_JOBS_MAX * sizeof(*push->jobs));
    struct epoll_event wake_source = {.events = EPOLLIN, .data.ptr = &push->wake_source};
    if (push->epoll < 0 || push->wake < 0 ||
        epoll_ctl(push->epoll, EPOLL_CTL_ADD, push->wake, &wake_source) != 0 ||
        getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
        return ERR_SYSTEM;
    if (!push->batch || !push->next_of_topic || !push->jobs)
        return ERR_NO_MEMORY;
    enum error error = sender_pool_start(engine->config->server.threads, &push->sender_pool);
    return error ? error : topics_init(&push->topics, seed);
}

enum error push_start(struct engine *engine, uint32_t clients_max, struct push **out)
{
    struct push *push = malloc(sizeof(*push));
    if (!push)
        return ERR_NO_MEMORY;
    enum error error = push_init(engine, clients_max, push);
    if (!error) {
        registry_on_revision(engine->registry, wake, push);
        if (pthread_create(&push->id, NULL, run, push) != 0)
            error = ERR_SYSTEM;
    }
    if (error) {
        push_free(push);
        return error;
    }
    pthread_setname_np(push->id, "push");
    *out = push;
    return ERR_NONE;
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
    pthread_join(push->id, NULL);
    registry_disarm_wakeup(
        push->engine->registry); /* which changes still, by leases and by peers */
    pthread_mutex_lock(&push->_shared.lock);
    push->_shared.stopped = true;
    pthread_mutex_unlock(&push->_shared.lock);
    push->now = clock_now();
    take_arrived(push); /* came in between */
    long_polls_end_all(push);
    while (push->websockets)
        websocket_end(push->websockets);
    push_free_closed(push);
}

void push_clear(struct push *push)
{
    topics_free(&push->topics);
    sender_pool_stop(push->sender_pool);
    free(push->batch);
    free(push->next_of_topic);
    free(push->jobs);
    text_free(&push->scratch[0]);
    text_free(&push->scratch[1]);
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

void push_view(struct push *push, struct push_view *view)
{
    struct push_counters *counters = &push->counters;
    *view = (struct push_view){
        .websockets = get(&counters->websockets),
        .subscriptions = get(&counters->subscriptions),
        .long_polls = get(&counters->long_polls),
        .clients_max = push->clients_max,
        .frames = get(&counters->frames),
        .bytes = get(&counters->bytes),
        .resyncs = get(&counters->resyncs),
        .messages = get(&counters->messages),
        .long_polls_started = get(&counters->long_polls_started),
        .refused = get(&counters->refused),
        .closed_idle = get(&counters->closed_idle),
        .closed_slow = get(&counters->closed_slow),
        .closed_errors = get(&counters->closed_errors),
    };
    uint64_t seen = atomic_load(&push->dispatched); /* before the version, which is never less */
    if (has_subscribers(push))
        view->pending_changes = registry_revision(push->engine->registry) - seen;
}
