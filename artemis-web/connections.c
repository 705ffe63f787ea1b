/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/connections.h"

#include <assert.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include "artemis-core/codec.h"

enum {
    MS_PER_SEC = 1000,
    REFUSAL_BYTES = 768,
    /* A connection that has just become idle is looked at whether its client has left; later than
     * that its leaving is an event of its own. */
    LEFT_NOTICED_MS = 3000,
};

void connections_init(struct connections *table, uint32_t limit)
{
    *table = (struct connections){.limit = limit};
    pthread_mutex_init(&table->_shared.lock, NULL);
}

void connections_free(struct connections *table)
{
    assert(!table->_shared.first);
    pthread_mutex_destroy(&table->_shared.lock);
}

/* --- ending from outside ---------------------------------------------------------------------- */

static const char *status_phrase(int status)
{
    switch (status) {
    case 400:
        return "Bad Request";
    case 408:
        return "Request Timeout";
    case 413:
        return "Content Too Large";
    case 431:
        return "Request Header Fields Too Large";
    case 503:
        return "Service Unavailable";
    default:
        return "Internal Server Error";
    }
}

void connection_refuse(int socket, enum error error, const char *message)
{
    int status = error_info(error)->http_status;
    struct text body = {0};
    codec_write_refusal(&body, DIALECT_SNAKE, error, message);
    char reply[REFUSAL_BYTES];
    int size = snprintf(reply, sizeof(reply),
                        "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\n%s"
                        "Connection: close\r\nContent-Length: %zu\r\n\r\n%s",
                        status, status_phrase(status), status == 503 ? "Retry-After: 1\r\n" : "",
                        body.size, text_string(&body));
    if (!text_failed(&body) && size > 0 && (size_t)size < sizeof(reply))
        send(socket, reply, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);
    text_free(&body);
}

/* Takes a connection out of `from`; false when it has moved on meanwhile. */
static bool claim(struct connection *connection, enum connection_state from)
{
    return atomic_compare_exchange_strong(&connection->state, &from, CONNECTION_CLOSING);
}

static uint64_t age_ms(const struct connection *connection, uint64_t now_ms)
{
    uint64_t since_ms = atomic_load_explicit(&connection->since_ms, memory_order_relaxed);
    return now_ms > since_ms ? now_ms - since_ms : 0;
}

static void end_silently(struct connection *connection, enum connection_state state)
{
    if (claim(connection, state))
        shutdown(connection->socket, SHUT_RDWR);
}

/* Makes room among those that have long been idle, oldest first. The table is locked. */
static bool make_room(struct connections *table, uint64_t now_ms)
{
    int displaced = 0;
    for (struct connection *c = table->_shared.first; c && displaced < DISPLACED_AT_ONCE;
         c = c->next) {
        enum connection_state state = atomic_load(&c->state);
        if ((state != CONNECTION_IDLE && state != CONNECTION_NEW) ||
            age_ms(c, now_ms) < IDLE_BEFORE_DISPLACED_MS)
            continue;
        end_silently(c, state);
        displaced++;
    }
    table->_shared.counters.displaced += (uint64_t)displaced;
    return displaced > 0;
}

/* --- coming and going ------------------------------------------------------------------------- */

void connections_add(struct connections *table, struct connection *connection, int socket,
                     uint64_t now_ms)
{
    *connection = (struct connection){.socket = socket};
    atomic_init(&connection->state, CONNECTION_NEW);
    atomic_init(&connection->since_ms, now_ms);

    pthread_mutex_lock(&table->_shared.lock);
    bool refused = table->_shared.count >= table->limit && !make_room(table, now_ms);
    connection->prev = table->_shared.last;
    if (connection->prev)
        connection->prev->next = connection;
    else
        table->_shared.first = connection;
    table->_shared.last = connection;
    table->_shared.count++;
    table->_shared.counters.accepted += !refused;
    table->_shared.counters.refused += refused;
    pthread_mutex_unlock(&table->_shared.lock);

    if (!refused || !claim(connection, CONNECTION_NEW))
        return;
    char message[128];
    snprintf(message, sizeof(message),
             "connections: server.max_connections is %u, and all are busy", table->limit);
    connection_refuse(socket, ERR_TOO_MANY_CONNECTIONS, message);
    shutdown(socket, SHUT_RDWR);
}

void connections_remove(struct connections *table, struct connection *connection)
{
    pthread_mutex_lock(&table->_shared.lock);
    if (connection->next)
        connection->next->prev = connection->prev;
    else
        table->_shared.last = connection->prev;
    if (connection->prev)
        connection->prev->next = connection->next;
    else
        table->_shared.first = connection->next;
    table->_shared.count--;
    pthread_mutex_unlock(&table->_shared.lock);
}

/* --- requests --------------------------------------------------------------------------------- */

static bool move(struct connection *connection, enum connection_state to, uint64_t now_ms)
{
    enum connection_state from = atomic_load(&connection->state);
    atomic_store_explicit(&connection->since_ms, now_ms, memory_order_relaxed);
    return from != CONNECTION_CLOSING &&
           atomic_compare_exchange_strong(&connection->state, &from, to);
}

void connection_reading(struct connection *connection, uint64_t now_ms)
{
    atomic_store_explicit(&connection->body_bytes, 0, memory_order_relaxed);
    move(connection, CONNECTION_READING, now_ms);
}

bool connection_serving(struct connection *connection, uint64_t now_ms)
{
    return move(connection, CONNECTION_SERVING, now_ms);
}

void connection_idle(struct connection *connection, uint64_t now_ms)
{
    move(connection, CONNECTION_IDLE, now_ms);
}

/* --- sweeping --------------------------------------------------------------------------------- */

/* Has the client of a connection without a request sent anything at all? */
static bool has_sent(int socket)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof(info);
    return getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
           info.tcpi_bytes_received > 0;
}

/* The client has ended its side, and there is nothing left to read: what it began never gets whole.
 * libmicrohttpd misses it when the last bytes and the end arrive as one event. */
static bool has_left(int socket)
{
    char byte;
    return recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static uint64_t allowed_ms(const struct connection *connection, enum connection_state state)
{
    if (state == CONNECTION_IDLE)
        return IDLE_SECS * MS_PER_SEC;
    uint64_t body = atomic_load_explicit(&connection->body_bytes, memory_order_relaxed);
    return (REQUEST_SECS + body / BODY_BYTES_A_SEC) * MS_PER_SEC;
}

static void end_overdue(struct connections *table, struct connection *connection,
                        enum connection_state state)
{
    if (!claim(connection, state))
        return;
    table->_shared.counters.timed_out++;
    if (state == CONNECTION_READING || (state == CONNECTION_NEW && has_sent(connection->socket))) {
        char message[128];
        snprintf(message, sizeof(message), "request: must arrive within %d s", REQUEST_SECS);
        connection_refuse(connection->socket, ERR_REQUEST_TIMEOUT, message);
    }
    shutdown(connection->socket, SHUT_RDWR);
}

void connections_sweep(struct connections *table, uint64_t now_ms)
{
    pthread_mutex_lock(&table->_shared.lock);
    for (struct connection *c = table->_shared.first; c; c = c->next) {
        enum connection_state state = atomic_load(&c->state);
        if (state == CONNECTION_SERVING || state == CONNECTION_CLOSING)
            continue;
        bool fresh = age_ms(c, now_ms) < LEFT_NOTICED_MS;
        if ((state == CONNECTION_READING || fresh) && has_left(c->socket))
            end_silently(c, state);
        else if (age_ms(c, now_ms) >= allowed_ms(c, state))
            end_overdue(table, c, state);
    }
    pthread_mutex_unlock(&table->_shared.lock);
}

void connections_close_idle(struct connections *table)
{
    pthread_mutex_lock(&table->_shared.lock);
    for (struct connection *c = table->_shared.first; c; c = c->next) {
        enum connection_state state = atomic_load(&c->state);
        /* Only the reading side: what has been sent to us before this is still answered. */
        if (state == CONNECTION_IDLE || state == CONNECTION_NEW)
            shutdown(c->socket, SHUT_RD);
    }
    pthread_mutex_unlock(&table->_shared.lock);
}

void connections_view(struct connections *table, struct connections_view *view)
{
    *view = (struct connections_view){0};
    pthread_mutex_lock(&table->_shared.lock);
    view->open = table->_shared.count;
    view->counters = table->_shared.counters;
    for (struct connection *c = table->_shared.first; c; c = c->next) {
        enum connection_state state = atomic_load_explicit(&c->state, memory_order_relaxed);
        view->busy += state == CONNECTION_READING || state == CONNECTION_SERVING;
    }
    pthread_mutex_unlock(&table->_shared.lock);
}
