/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/http/connections.h"

#include <assert.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include "artemis-core/json/codec.h"

enum {
    MS_PER_SEC = 1000,
    REFUSAL_BYTES = 768,
    /* A connection that has just become idle is looked at whether its client has left; later than
     * that its leaving is an event of its own. */
    LEFT_NOTICED_MS = 3000,
    /* Connections that are shut down, but still hold a file: so many beyond the limit, not more. */
    CLOSING_AT_ONCE = 32,
    /* How long an answer is under way before its client is looked at, and how long between
     * looks. */
    LOOK_MS = 900,
    /* System calls in a row under the lock. */
    CALLS_A_STRETCH = 64,
};

void connections_init(struct connections *table, uint32_t limit)
{
    *table = (struct connections){.limit = limit};
    pthread_mutex_init(&table->_shared.lock, NULL);
}

void connections_free(struct connections *table)
{
    for (int state = 0; state < CONNECTION_STATES; state++)
        assert(!table->_shared.lists[state].first);
    pthread_mutex_destroy(&table->_shared.lock);
}

/* --- lists, the table locked ------------------------------------------------------------------ */

static void unlink_one(struct connections *table, struct connection *connection)
{
    struct connection_list *list = &table->_shared.lists[connection->state];
    if (connection->next)
        connection->next->prev = connection->prev;
    else
        list->last = connection->prev;
    if (connection->prev)
        connection->prev->next = connection->next;
    else
        list->first = connection->next;
    list->count--;
}

static void link_last(struct connections *table, struct connection *connection,
                      enum connection_state state, uint64_t now_ms)
{
    struct connection_list *list = &table->_shared.lists[state];
    connection->state = state;
    connection->since_ms = now_ms;
    connection->next = NULL;
    connection->prev = list->last;
    if (list->last)
        list->last->next = connection;
    else
        list->first = connection;
    list->last = connection;
    list->count++;
}

static void move(struct connections *table, struct connection *connection, enum connection_state to,
                 uint64_t now_ms)
{
    unlink_one(table, connection);
    link_last(table, connection, to, now_ms);
}

static uint64_t age_ms(const struct connection *connection, uint64_t now_ms)
{
    return now_ms > connection->since_ms ? now_ms - connection->since_ms : 0;
}

/* --- ending from outside ---------------------------------------------------------------------- */

static const char *status_phrase(int status)
{
    switch (status) {
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 413:
        return "Content Too Large";
    case 429:
        return "Too Many Requests";
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
    codec_write_error(&body, DIALECT_SNAKE, error, message);
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

/* Shuts a connection down; libmicrohttpd does the rest. The table is locked. */
static void end(struct connections *table, struct connection *connection, uint64_t now_ms)
{
    move(table, connection, CONNECTION_CLOSING, now_ms);
    table->_shared.admitted--;
    shutdown(connection->socket, SHUT_RDWR);
}

/* Ends the connection that has been idle for longest, if it has been for a while. */
static bool make_room(struct connections *table, uint64_t now_ms)
{
    struct connection *oldest = table->_shared.lists[CONNECTION_IDLE].first;
    struct connection *fresh = table->_shared.lists[CONNECTION_NEW].first;
    if (!oldest || (fresh && fresh->since_ms < oldest->since_ms))
        oldest = fresh;
    if (!oldest || age_ms(oldest, now_ms) < IDLE_BEFORE_DISPLACED_MS ||
        table->_shared.lists[CONNECTION_CLOSING].count >= CLOSING_AT_ONCE)
        return false;
    end(table, oldest, now_ms);
    table->_shared.counters.displaced++;
    return true;
}

/* --- coming and going ------------------------------------------------------------------------- */

bool connections_admit(struct connections *table, int socket, uint64_t now_ms)
{
    pthread_mutex_lock(&table->_shared.lock);
    bool admitted = table->_shared.admitted < table->limit || make_room(table, now_ms);
    table->_shared.admitted += admitted;
    table->_shared.counters.accepted += admitted;
    table->_shared.counters.refused += !admitted;
    pthread_mutex_unlock(&table->_shared.lock);
    if (admitted)
        return true;
    char message[128];
    snprintf(message, sizeof(message),
             "connections: server.max_connections is %u, and all are busy", table->limit);
    connection_refuse(socket, ERR_TOO_MANY_CONNECTIONS, message);
    return false;
}

void connections_give_up(struct connections *table)
{
    pthread_mutex_lock(&table->_shared.lock);
    table->_shared.admitted--;
    pthread_mutex_unlock(&table->_shared.lock);
}

void connections_add(struct connections *table, struct connection *connection, int socket,
                     uint64_t now_ms)
{
    *connection = (struct connection){.socket = socket};
    pthread_mutex_lock(&table->_shared.lock);
    link_last(table, connection, CONNECTION_NEW, now_ms);
    pthread_mutex_unlock(&table->_shared.lock);
}

void connections_remove(struct connections *table, struct connection *connection)
{
    pthread_mutex_lock(&table->_shared.lock);
    unlink_one(table, connection);
    table->_shared.admitted -= connection->state != CONNECTION_CLOSING;
    pthread_mutex_unlock(&table->_shared.lock);
}

/* --- requests --------------------------------------------------------------------------------- */

static bool advance(struct connections *table, struct connection *connection,
                    enum connection_state to, uint64_t now_ms)
{
    pthread_mutex_lock(&table->_shared.lock);
    bool alive = connection->state != CONNECTION_CLOSING;
    if (alive)
        move(table, connection, to, now_ms);
    if (to == CONNECTION_READING)
        connection->body_bytes = 0;
    pthread_mutex_unlock(&table->_shared.lock);
    return alive;
}

void connection_reading(struct connections *table, struct connection *connection, uint64_t now_ms)
{
    advance(table, connection, CONNECTION_READING, now_ms);
}

void connection_received(struct connections *table, struct connection *connection,
                         uint64_t body_bytes)
{
    pthread_mutex_lock(&table->_shared.lock);
    connection->body_bytes += body_bytes;
    pthread_mutex_unlock(&table->_shared.lock);
}

bool connection_serving(struct connections *table, struct connection *connection, uint64_t now_ms)
{
    return advance(table, connection, CONNECTION_SERVING, now_ms);
}

void connection_idle(struct connections *table, struct connection *connection, uint64_t now_ms)
{
    advance(table, connection, CONNECTION_IDLE, now_ms);
}

/* --- sweeping --------------------------------------------------------------------------------- */

static bool tcp_state(int socket, struct tcp_info *info)
{
    *info = (struct tcp_info){0};
    socklen_t size = sizeof(*info);
    return getsockopt(socket, IPPROTO_TCP, TCP_INFO, info, &size) == 0;
}

/* Has the client sent something since the connection got into its state? Then a header is under way
 * that is not whole. */
static bool has_sent(const struct connection *connection, uint64_t now_ms)
{
    struct tcp_info info;
    if (!tcp_state(connection->socket, &info))
        return false;
    if (connection->state == CONNECTION_NEW)
        return info.tcpi_bytes_received > 0;
    return info.tcpi_last_data_recv + MS_PER_SEC / 2 < age_ms(connection, now_ms);
}

/* The client has ended its side, and there is nothing left to read: what it began never gets whole.
 * libmicrohttpd misses it when the last bytes and the end arrive as one event. */
static bool has_left(int socket)
{
    char byte;
    return recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static bool is_overdue(const struct connection *connection, uint64_t now_ms)
{
    uint64_t secs = age_ms(connection, now_ms) / MS_PER_SEC;
    if (connection->state == CONNECTION_IDLE) /* now and then: is a header dripping in? */
        return secs >= IDLE_SECS ||
               (secs > 0 && secs % REQUEST_SECS == 0 && has_sent(connection, now_ms));
    return secs >= REQUEST_SECS + connection->body_bytes / BODY_BYTES_A_SEC;
}

/* Has the client of an answer taken none of it for too long? While nothing waits for it, it is we
 * who are slow. */
static bool is_stalled(struct connection *connection, uint64_t now_ms)
{
    struct tcp_info info;
    if (now_ms < connection->looked_ms + LOOK_MS || age_ms(connection, now_ms) < LOOK_MS ||
        !tcp_state(connection->socket, &info))
        return false;
    connection->looked_ms = now_ms;
    bool waits = info.tcpi_notsent_bytes > 0 || info.tcpi_unacked > 0;
    if (!waits || info.tcpi_bytes_acked != connection->taken_bytes ||
        connection->taken_ms < connection->since_ms) {
        connection->taken_bytes = info.tcpi_bytes_acked;
        connection->taken_ms = now_ms;
    }
    return now_ms - connection->taken_ms >= STALLED_SECS * MS_PER_SEC;
}

/* True when it was ended. The kernel forgets the rest of its answer, too: it would keep it for as
 * long as the client lets it. */
static bool sweep_serving(struct connections *table, struct connection *connection, uint64_t now_ms)
{
    if (!is_stalled(connection, now_ms))
        return false;
    struct linger not_at_all = {.l_onoff = 1};
    setsockopt(connection->socket, SOL_SOCKET, SO_LINGER, &not_at_all, sizeof(not_at_all));
    table->_shared.counters.timed_out++;
    end(table, connection, now_ms);
    return true;
}

/* Looks at one connection; true when it was ended. */
static bool sweep_one(struct connections *table, struct connection *connection, uint64_t now_ms)
{
    enum connection_state state = connection->state;
    if (state == CONNECTION_SERVING)
        return sweep_serving(table, connection, now_ms);
    bool fresh = age_ms(connection, now_ms) < LEFT_NOTICED_MS;
    if ((state == CONNECTION_READING || fresh) && has_left(connection->socket)) {
        end(table, connection, now_ms);
        return true;
    }
    if (!is_overdue(connection, now_ms))
        return false;
    table->_shared.counters.timed_out++;
    if (state == CONNECTION_READING || has_sent(connection, now_ms)) {
        char message[128];
        snprintf(message, sizeof(message), "request: must arrive within %d s", REQUEST_SECS);
        connection_refuse(connection->socket, ERR_REQUEST_TIMEOUT, message);
    }
    end(table, connection, now_ms);
    return true;
}

/* Looks at all of one list, in stretches; who is looked at goes to the end of the list and keeps
 * its age, so the order comes round to where it was. */
static void sweep_list(struct connections *table, enum connection_state state, uint64_t now_ms)
{
    struct connection_list *list = &table->_shared.lists[state];
    pthread_mutex_lock(&table->_shared.lock);
    for (uint32_t left = list->count; left > 0 && list->first; left--) {
        struct connection *connection = list->first;
        if (!sweep_one(table, connection, now_ms))
            move(table, connection, state, connection->since_ms);
        if (left % CALLS_A_STRETCH == 0) {
            pthread_mutex_unlock(&table->_shared.lock);
            pthread_mutex_lock(&table->_shared.lock);
        }
    }
    pthread_mutex_unlock(&table->_shared.lock);
}

void connections_sweep(struct connections *table, uint64_t now_ms)
{
    sweep_list(table, CONNECTION_NEW, now_ms);
    sweep_list(table, CONNECTION_IDLE, now_ms);
    sweep_list(table, CONNECTION_READING, now_ms);
    sweep_list(table, CONNECTION_SERVING, now_ms);
}

void connections_close_idle(struct connections *table)
{
    pthread_mutex_lock(&table->_shared.lock);
    /* Only the reading side: what has been sent to us before this is still answered. */
    for (struct connection *c = table->_shared.lists[CONNECTION_NEW].first; c; c = c->next)
        shutdown(c->socket, SHUT_RD);
    for (struct connection *c = table->_shared.lists[CONNECTION_IDLE].first; c; c = c->next)
        shutdown(c->socket, SHUT_RD);
    pthread_mutex_unlock(&table->_shared.lock);
}

void connections_view(struct connections *table, struct connections_view *view)
{
    pthread_mutex_lock(&table->_shared.lock);
    const struct connection_list *lists = table->_shared.lists;
    *view = (struct connections_view){
        .open = table->_shared.admitted,
        .closing = lists[CONNECTION_CLOSING].count,
        .busy = lists[CONNECTION_READING].count + lists[CONNECTION_SERVING].count,
        .counters = table->_shared.counters,
    };
    pthread_mutex_unlock(&table->_shared.lock);
}
