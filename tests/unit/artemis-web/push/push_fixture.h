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
    memcpy(fixture->engine.run_id, run, sizeof(run));
    atomic_store(&fixture->engine.state, NODE_READY);
    upgrades_closed = resumed = 0;
    struct push *push = &fixture->push;
    push->engine = &fixture->engine;
    push->clients_max = 1000;
    push->now = at_ms(0);
    push->slot = push->now.mono_ms / WAIT_SLOT_MS;
    push->epoll = epoll_create1(EPOLL_CLOEXEC);
    push->wake = -1;
    push->batch = calloc(CHANGES_AT_ONCE, sizeof(*push->batch));
    push->next_of_topic = calloc(CHANGES_AT_ONCE, sizeof(*push->next_of_topic));
    assert_non_null(push->batch);
    assert_non_null(push->next_of_topic);
    assert_int_equal(topics_init(&push->topics, 1), ERR_NONE);
}

/* What has ended is freed, as at the end of each round. */
static inline void push_fixture_free_gone(struct push *push)
{
    while (push->gone) {
        struct source *next = push->gone->next;
        if (push->gone->kind == SOURCE_WEBSOCKET)
            wslay_event_context_free(((struct websocket *)push->gone)->reader);
        free(push->gone);
        push->gone = next;
    }
}

static inline void push_fixture_stop(struct push_fixture *fixture)
{
    struct push *push = &fixture->push;
    failing_malloc_after(-1);
    waiting_end_all(push);
    while (push->websockets)
        websocket_end(push->websockets);
    push_fixture_free_gone(push);
    assert_int_equal(push->counters.clients, 0);
    assert_int_equal(push->counters.websockets, 0);
    assert_int_equal(push->counters.subscriptions, 0);
    assert_int_equal(push->counters.waiting, 0);
    topics_free(&push->topics);
    free(push->batch);
    free(push->next_of_topic);
    text_free(&push->scratch[0]);
    text_free(&push->scratch[1]);
    close(push->epoll);
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
        for (int i = 0; i < count; i++) {
            struct source *source = events[i].data.ptr;
            if (source->kind == SOURCE_WEBSOCKET)
                websocket_on_event((struct websocket *)source, events[i].events);
            else if (((struct waiter *)source)->connection)
                waiting_end(push, (struct waiter *)source);
        }
        uint64_t seen = push->seen;
        push_dispatch(push, registry_version(push->engine->registry));
        count += seen != push->seen; /* who has missed something has room */
        push_fixture_free_gone(push);
    } while (count > 0);
    waiting_end_due(push);
    push_fixture_free_gone(push);
}

/* The time goes on, and the WebSockets are looked at. */
static inline void push_fixture_at(struct push *push, uint64_t ms)
{
    struct websocket *next;
    push->now = at_ms(ms);
    for (struct websocket *websocket = push->websockets; websocket; websocket = next) {
        next = websocket->next;
        websocket_look(websocket);
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
