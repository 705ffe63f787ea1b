/* SPDX-License-Identifier: Apache-2.0
 *
 * client - what the push thread and its callers have in common: the kinds of clients, their limits,
 * and the calls into the HTTP server.
 */
#pragma once

#include "artemis-core/model/instance.h"
#include "artemis-server/limits/client.h"

struct token;

enum {
    LONG_POLL_MS_MAX = 60 * 1000,
    WEBSOCKET_PING_MS = 30 * 1000, /* without input; then a ping is sent */
    WEBSOCKET_IDLE_MS = 60 * 1000, /* without input; then the WebSocket is closed */
    WEBSOCKET_CLOSE_MS = 2 * 1000, /* maximum duration of a closing handshake */
    WEBSOCKET_MESSAGE_BYTES_MAX = 64 * 1024,
    JAVA_HEARTBEAT_BYTES_MAX =
        1024 * 1024,          /* a Java client sends all its instances in one message */
    SUBSCRIPTIONS_MAX = 1000, /* per WebSocket */
    SUBSCRIPTIONS_ALL_MAX = 1000 * 1000,
    FILTERED_SUBSCRIPTIONS_MAX = 100,   /* subscriptions with a filter, per WebSocket */
    FILTERS_PER_SERVICE_MAX = 64,       /* filters that differ; "*" counts as a service */
    FILTERS_ALL_MAX = 10 * 1000,        /* and of all services together */
    EVENT_TOPICS_MAX = 100,             /* subscriptions to topics of events, per WebSocket */
    EVENT_TOPICS_ALL_MAX = 1000 * 1000, /* and of all WebSockets */
    RESUMES_MAX = 256,                  /* long polls in one call of push_http.resume */
};

/* The protocol of a WebSocket; each has its own path. */
enum endpoint {
    ENDPOINT_NATIVE,
    ENDPOINT_JAVA_HEARTBEAT,
    ENDPOINT_JAVA_CHANGES,
    ENDPOINT_JAVA_ALL_CHANGES,
    ENDPOINT_COUNT,
};

/* The client of a WebSocket. */
struct push_caller {
    const struct token *token; /* NULL: none is needed */
    struct client_address address;
};

/* What ends a long poll. */
struct long_poll_condition {
    char id[ID_BYTES_MAX]; /* service id, canonical */
    size_t id_size;        /* 0: every service */
    uint64_t revision;     /* the poll ends at a later one */
    uint64_t until_ms;     /* or at this time, monotonic */
    /* or when it is revoked; NULL: none is needed. Its request has the reference. */
    const struct token *token;
};

/* Calls into the HTTP server. The push thread makes them, and push_add_long_poll and
 * push_add_websocket when they fail. */
struct push_http {
    /* Long polls have ended: handle their requests once more. At most RESUMES_MAX at a time. */
    void (*resume)(void *const connections[], size_t count);
    /* A WebSocket has ended: close its socket. */
    void (*close)(void *upgraded);
};
