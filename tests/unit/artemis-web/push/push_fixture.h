/* SPDX-License-Identifier: Apache-2.0
 *
 * push_fixture - the state of the push thread without the thread: the test runs the turns, in
 * virtual time, and socket pairs replace connections. The calls into the HTTP server are counted. A
 * test program includes this once.
 */
#pragma once

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "artemis-server/registry/registry.h"
#include "artemis-web/push/dispatch.h"
#include "artemis-web/push/long_polls.h"
#include "artemis-web/push/push_internal.h"
#include "artemis-web/push/websocket.h"
#include "tests/support/client/websocket_client.h"
#include "tests/support/failing_malloc.h"
#include "tests/unit/artemis-server/registry/registry_fixture.h"

enum { GRACE_MS = 30 * 1000 };

struct push_fixture {
    struct config config;
    struct engine engine;
    struct push push;
};

/* --- the HTTP server -------------------------------------------------------------------------- */

static unsigned upgrades_closed;
static unsigned resumed;

/* The socket stands for what the HTTP server keeps. */
static void count_close(void *upgraded)
{
    close((int)(intptr_t)upgraded);
    upgrades_closed++;
}

static void count_resume(void *const connections[], size_t count)
{
    assert_in_range(count, 1, RESUMES_MAX);
    for (size_t i = 0; i < count; i++)
        assert_non_null(connections[i]);
    resumed += (unsigned)count;
}

static inline void ignore_wakeup(void *context)
{
    (void)context;
}

static const struct push_http counting_http = {.resume = count_resume, .close = count_close};

/* --- life ------------------------------------------------------------------------------------- */

static inline void push_fixture_start(struct push_fixture *fixture, uint32_t log_capacity)
{
    static const char run[] = "run0";
    struct registry_options options = usual_options();
    options.change_log_capacity = log_capacity;
    *fixture = (struct push_fixture){0};
    fixture->engine.config = &fixture->config;
    fixture->engine.started = at_ms(0);
    fixture->config.cluster.bootstrap_grace_secs = GRACE_MS / 1000;
    fixture->engine.registry = make_registry_with(options);
    memcpy(fixture->engine.epoch, run, sizeof(run));
    event_hub_init(&fixture->engine.event_hub, "node", fixture->engine.epoch);
    event_hub_set_local(&fixture->engine.event_hub, ignore_wakeup, NULL);
    atomic_store(&fixture->engine.state, NODE_READY);
    upgrades_closed = resumed = 0;
    assert_int_equal(push_init(&fixture->engine, 1000, &counting_http, &fixture->push), ERR_NONE);
    fixture->push.now = at_ms(0);
    fixture->push.long_polls->next_slot = fixture->push.now.mono_ms / LONG_POLL_SLOT_MS;
}

static inline void push_fixture_stop(struct push_fixture *fixture)
{
    struct push *push = &fixture->push;
    failing_malloc_after(-1);
    push_end_all(push);
    assert_int_equal(push->counters.clients, 0);
    assert_int_equal(push->counters.websockets, 0);
    assert_int_equal(push->counters.subscriptions, 0);
    assert_int_equal(push->counters.long_polls, 0);
    assert_int_equal(fixture->engine.event_hub.subscriptions, 0);
    push_clear(push);
    event_hub_free(&fixture->engine.event_hub);
    registry_free(fixture->engine.registry);
}

/* --- turns ------------------------------------------------------------------------------------ */

/* Runs turns until there is nothing left to do. */
static inline void push_fixture_run(struct push *push)
{
    struct epoll_event events[16];
    bool more = true;
    while (more) {
        uint64_t dispatched = push->dispatched;
        int count = epoll_wait(push->epoll, events, 16, 0);
        push_turn(push, events, count, push->now);
        more = count > 0 || dispatched != push->dispatched || !TAILQ_EMPTY(&push->resyncs);
    }
}

/* Sets the time, and runs turns that check the timeouts. */
static inline void push_fixture_at(struct push *push, uint64_t ms)
{
    push->now = at_ms(ms);
    push->checked_ms = 0;
    push_fixture_run(push);
}

/* Connects a client to a WebSocket whose handshake is done. */
static inline struct websocket *push_fixture_connect(struct push *push, enum endpoint endpoint,
                                                     struct websocket_client *client)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    struct websocket *websocket =
        websocket_create(push, endpoint, ends[0], (void *)(intptr_t)ends[0]);
    assert_non_null(websocket);
    websocket_client_adopt(client, ends[1]);
    assert_true(push_reserve(push));
    push_start_client(push, &websocket->client);
    return websocket;
}
