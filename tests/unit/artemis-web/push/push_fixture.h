/* SPDX-License-Identifier: Apache-2.0
 *
 * push_fixture - a push thread without its thread: the test is its loop, on virtual time, and the
 * sockets are pairs. What libmicrohttpd would do with a connection is counted instead; a test
 * program includes this once.
 */
#pragma once

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "artemis-server/registry/registry_watch.h"
#include "artemis-web/push/push_internal.h"
#include "tests/support/failing_malloc.h"
#include "tests/support/websocket_client.h"
#include "tests/unit/artemis-server/registry/registry_fixture.h"

struct push_fixture {
    struct config config;
    struct engine engine;
    struct push push;
};

/* --- in place of libmicrohttpd ---------------------------------------------------------------- */

static unsigned upgrades_closed; /* each closes its socket, as the library would */
static unsigned resumed;

/* Its handle is the socket. */
enum MHD_Result MHD_upgrade_action(struct MHD_UpgradeResponseHandle *upgraded,
                                   enum MHD_UpgradeAction action, ...)
{
    assert_int_equal(action, MHD_UPGRADE_ACTION_CLOSE);
    close((int)(intptr_t)upgraded);
    upgrades_closed++;
    return MHD_YES;
}

void MHD_resume_connection(struct MHD_Connection *connection)
{
    assert_non_null(connection);
    resumed++;
}

/* --- life ------------------------------------------------------------------------------------- */

static inline void push_fixture_start(struct push_fixture *fixture, uint32_t log_capacity)
{
    static const char run[] = "run0";
    struct registry_options options = usual_options();
    options.change_log_capacity = log_capacity;
    *fixture = (struct push_fixture){0};
    fixture->engine.config = &fixture->config;
    fixture->engine.registry = make_registry_with(options);
    memcpy(fixture->engine.epoch, run, sizeof(run));
    atomic_store(&fixture->engine.state, NODE_READY);
    upgrades_closed = resumed = 0;
    assert_int_equal(push_init(&fixture->engine, 1000, &fixture->push), ERR_NONE);
    fixture->push.now = at_ms(0);
    fixture->push.slot = fixture->push.now.mono_ms / LONG_POLL_SLOT_MS;
}

static inline void push_fixture_stop(struct push_fixture *fixture)
{
    struct push *push = &fixture->push;
    failing_malloc_after(-1);
    long_polls_end_all(push);
    while (push->websockets)
        websocket_end(push->websockets);
    push_free_closed(push);
    assert_int_equal(push->counters.clients, 0);
    assert_int_equal(push->counters.websockets, 0);
    assert_int_equal(push->counters.subscriptions, 0);
    assert_int_equal(push->counters.long_polls, 0);
    push_clear(push);
    registry_free(fixture->engine.registry);
}

/* --- rounds ----------------------------------------------------------------------------------- */

/* All that the sockets have to tell, and the changes after it. */
static inline void push_fixture_round(struct push *push)
{
    struct epoll_event events[16];
    int count;
    do {
        count = epoll_wait(push->epoll, events, 16, 0);
        for (int i = 0; i < count; i++)
            push_on_event(push, &events[i]);
        uint64_t seen = push->dispatched;
        push_dispatch(push, registry_revision(push->engine->registry));
        count += seen != push->dispatched; /* who has missed something has room */
        push_free_closed(push);
    } while (count > 0);
    long_polls_end_due(push);
    push_free_closed(push);
}

/* The time goes on, and the WebSockets are looked at. */
static inline void push_fixture_at(struct push *push, uint64_t ms)
{
    struct websocket *next;
    push->now = at_ms(ms);
    for (struct websocket *websocket = push->websockets; websocket; websocket = next) {
        next = websocket->next;
        websocket_check_timeouts(websocket);
    }
    push_fixture_round(push);
}

/* A WebSocket whose handshake is done, and the client at its other end. */
static inline struct websocket *push_fixture_connect(struct push *push, enum endpoint endpoint,
                                                     struct websocket_client *client)
{
    int ends[2];
    struct websocket *websocket = calloc(1, sizeof(*websocket));
    assert_non_null(websocket);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    *websocket = (struct websocket){
        .source.kind = SOURCE_WEBSOCKET,
        .push = push,
        .endpoint = endpoint,
        .socket = ends[0],
        .upgraded = (struct MHD_UpgradeResponseHandle *)(intptr_t)ends[0],
    };
    websocket_client_adopt(client, ends[1]);
    assert_true(push_reserve(push));
    websocket_begin(push, websocket);
    return websocket;
}
