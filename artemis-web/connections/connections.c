/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/connections/connections.h"

#include <assert.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "artemis-core/json/codec.h"
#include "artemis-web/connections/connections_internal.h"
#include "artemis-web/connections/framing.h"

enum {
    MS_PER_SEC = 1000,
    US_PER_MS = 1000,
    END_DELAY_MS_MAX = 500,
    /* A connection is checked for a client that disconnected for this long after it became idle.
     * Later a disconnect is an event of its own. */
    DISCONNECT_CHECK_MS = 4000,
    /* How long a client must have been gone before a sweep ends its connection: its last request
     * may have been read from the socket and not yet be recorded here. */
    DISCONNECTED_MS = 500,
    /* Connections with TLS beyond the limit: each gets the response that it is refused. */
    EXCESS_MAX = 16,
    BEYOND_LIMIT_MAX = CLOSING_MAX + EXCESS_MAX,
    /* Age of a response before its client is checked, and interval of the checks. */
    STALL_CHECK_MS = 900,
    /* System calls of a sweep before it releases the lock, and for how long. Without the pause the
     * mutex would go to the sweep again, before the threads that wait for it. */
    SYSCALLS_PER_LOCK = 64,
    SWEEP_PAUSE_US = 100,
};

uint64_t connections_files(uint32_t limit, uint32_t reserved)
{
    return (uint64_t)limit + BEYOND_LIMIT_MAX + reserved;
}

uint32_t connections_limit(uint32_t wanted, uint64_t files, uint32_t reserved)
{
    if (files >= connections_files(wanted, reserved))
        return wanted;
    if (reserved > files / 2)
        reserved = (uint32_t)(files / 2);
    uint64_t left = files - reserved;
    uint64_t limit = left > 2 * BEYOND_LIMIT_MAX ? left - BEYOND_LIMIT_MAX : left / 2;
    if (limit == 0)
        limit = 1;
    return limit < wanted ? (uint32_t)limit : wanted;
}

void connections_init(struct connections *table, uint32_t limit)
{
    *table = (struct connections){.limit = limit};
    for (int state = 0; state < CONNECTION_STATES; state++)
        TAILQ_INIT(&table->_shared.lists[state]);
    pthread_mutex_init(&table->_shared.lock, NULL);
}

void connections_free(struct connections *table)
{
    for (int state = 0; state < CONNECTION_STATES; state++)
        assert(TAILQ_EMPTY(&table->_shared.lists[state]));
    addresses_free(table);
    pthread_mutex_destroy(&table->_shared.lock);
}

/* --- lists; the caller holds the lock --------------------------------------------------------- */

static void unlink_one(struct connections *table, struct connection *connection)
{
    TAILQ_REMOVE(&table->_shared.lists[connection->state], connection, link);
    table->_shared.counts[connection->state]--;
}

static void link_last(struct connections *table, struct connection *connection,
                      enum connection_state state, uint64_t now_ms)
{
    connection->state = state;
    connection->since_ms = now_ms;
    TAILQ_INSERT_TAIL(&table->_shared.lists[state], connection, link);
    table->_shared.counts[state]++;
}

static void move(struct connections *table, struct connection *connection, enum connection_state to,
                 uint64_t now_ms)
{
    unlink_one(table, connection);
    link_last(table, connection, to, now_ms);
}

uint64_t connections_age_ms(const struct connection *connection, uint64_t now_ms)
{
    return now_ms > connection->since_ms ? now_ms - connection->since_ms : 0;
}

/* --- ending a connection ---------------------------------------------------------------------- */

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

size_t connection_write_error(enum error error, const char *message, char out[ERROR_RESPONSE_BYTES])
{
    int status = error_info(error)->http_status;
    struct text body = {0};
    codec_write_error(&body, DIALECT_SNAKE, error, message);
    int size = snprintf(out, ERROR_RESPONSE_BYTES,
                        "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\n%s"
                        "Connection: close\r\nContent-Length: %zu\r\n\r\n%s",
                        status, status_phrase(status), status == 503 ? "Retry-After: 1\r\n" : "",
                        body.size, text_string(&body));
    bool complete = !text_failed(&body) && size > 0 && size < ERROR_RESPONSE_BYTES;
    text_free(&body);
    return complete ? (size_t)size : 0;
}

void connection_refuse(int socket, enum error error, const char *message)
{
    char response[ERROR_RESPONSE_BYTES];
    size_t size = connection_write_error(error, message, response);
    if (size > 0)
        send(socket, response, size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

size_t connection_write_end_error(const struct connection *connection,
                                  char out[ERROR_RESPONSE_BYTES])
{
    static_assert(REQUEST_SECS == 10, "as in the message");
    return connection_write_error(connection->end_error,
                                  connection->end_error == ERR_REQUEST_TIMEOUT
                                      ? "request: must arrive within 10 s"
                                      : CHUNK_HEADER_TOO_LARGE,
                                  out);
}

static void start_closing(struct connections *table, struct connection *connection, uint64_t now_ms)
{
    move(table, connection, CONNECTION_CLOSING, now_ms);
    table->_shared.admitted--;
    addresses_leave(connection);
}

void connections_end(struct connections *table, struct connection *connection, uint64_t now_ms)
{
    start_closing(table, connection, now_ms);
    shutdown(connection->socket, SHUT_RDWR);
}

/* The same as connections_end, after an error response. The caller holds the lock. */
static void refuse(struct connections *table, struct connection *connection, enum error error,
                   uint64_t now_ms)
{
    char response[ERROR_RESPONSE_BYTES];
    connection->end_error = error;
    if (connection->refuse) {
        start_closing(table, connection, now_ms);
        connection->refuse(connection);
        return;
    }
    size_t size = connection_write_end_error(connection, response);
    if (size > 0)
        send(connection->socket, response, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    connections_end(table, connection, now_ms);
}

/* Ends the connection that has been idle for longest. Returns false when none has been idle for
 * IDLE_BEFORE_DISPLACED_MS. */
static bool displace_idle(struct connections *table, uint64_t now_ms)
{
    struct connection *oldest = TAILQ_FIRST(&table->_shared.lists[CONNECTION_IDLE]);
    struct connection *fresh = TAILQ_FIRST(&table->_shared.lists[CONNECTION_NEW]);
    if (!oldest || (fresh && fresh->since_ms < oldest->since_ms))
        oldest = fresh;
    if (!oldest || connections_age_ms(oldest, now_ms) < IDLE_BEFORE_DISPLACED_MS ||
        table->_shared.counts[CONNECTION_CLOSING] >= CLOSING_MAX)
        return false;
    connections_end(table, oldest, now_ms);
    table->_shared.counters.displaced++;
    return true;
}

/* --- adding and removing ---------------------------------------------------------------------- */

/* Returns why the connection is not admitted, or ERR_NONE. The caller holds the lock. */
static enum error admit(struct connections *table, const struct connection_origin *from,
                        bool *is_excess, uint64_t now_ms)
{
    enum error error = addresses_enter(table, from, now_ms);
    if (error)
        return error;
    uint32_t count = table->_shared.admitted;
    bool fits = count < table->limit || (count == table->limit && displace_idle(table, now_ms));
    *is_excess = !fits && from->has_tls && count < table->limit + EXCESS_MAX;
    table->_shared.counters.accepted += fits;
    table->_shared.counters.refused += !fits;
    table->_shared.admitted += fits || *is_excess;
    if (!fits && !*is_excess)
        addresses_cancel(table, from);
    return fits || *is_excess ? ERR_NONE : ERR_TOO_MANY_CONNECTIONS;
}

static void describe_address_limit(const struct connections *table,
                                   const struct connection_origin *from,
                                   char out[LIMIT_MESSAGE_BYTES])
{
    char address[CLIENT_NAME_BYTES];
    client_address_write(&from->address, address);
    snprintf(out, LIMIT_MESSAGE_BYTES,
             "connections: all %u of %.40s are busy (server.max_connections_per_address)",
             table->_shared.addresses.connections_max, address);
}

bool connections_admit(struct connections *table, int socket, const struct connection_origin *from,
                       uint64_t now_ms)
{
    bool is_excess;
    pthread_mutex_lock(&table->_shared.lock);
    uint64_t refused = table->_shared.counters.refused;
    enum error error = admit(table, from, &is_excess, now_ms);
    bool is_full = table->_shared.counters.refused != refused;
    pthread_mutex_unlock(&table->_shared.lock);
    if (!error || from->has_tls)
        return !error;
    char message[LIMIT_MESSAGE_BYTES];
    if (is_full)
        connections_describe_limit(table, message);
    else
        describe_address_limit(table, from, message);
    connection_refuse(socket, error, error == ERR_NO_MEMORY ? NULL : message);
    return false;
}

void connections_describe_limit(const struct connections *table, char out[LIMIT_MESSAGE_BYTES])
{
    snprintf(out, LIMIT_MESSAGE_BYTES,
             "connections: all %u are busy (server.max_connections, limit of open files)",
             table->limit);
}

void connections_cancel(struct connections *table, const struct connection_origin *from)
{
    pthread_mutex_lock(&table->_shared.lock);
    table->_shared.admitted--;
    addresses_cancel(table, from);
    pthread_mutex_unlock(&table->_shared.lock);
}

void connections_add(struct connections *table, struct connection *connection, int socket,
                     const struct connection_origin *from, connection_refuser *refuse_call,
                     uint64_t now_ms)
{
    *connection = (struct connection){
        .socket = socket, .from = *from, .refuse = refuse_call, .has_read_all = true};
    pthread_mutex_lock(&table->_shared.lock);
    connection->is_excess = refuse_call && table->_shared.admitted > table->limit;
    link_last(table, connection, CONNECTION_NEW, now_ms);
    addresses_add(table, connection);
    pthread_mutex_unlock(&table->_shared.lock);
}

void connections_remove(struct connections *table, struct connection *connection)
{
    pthread_mutex_lock(&table->_shared.lock);
    unlink_one(table, connection);
    table->_shared.admitted -= connection->state != CONNECTION_CLOSING;
    addresses_leave(connection);
    pthread_mutex_unlock(&table->_shared.lock);
}

/* --- requests --------------------------------------------------------------------------------- */

/* Returns false when the table has ended the connection. *age_ms: the time in the state before. */
static bool advance(struct connections *table, struct connection *connection,
                    enum connection_state to, uint64_t now_ms, uint64_t *age_ms)
{
    pthread_mutex_lock(&table->_shared.lock);
    bool alive = connection->state != CONNECTION_CLOSING;
    *age_ms = connections_age_ms(connection, now_ms);
    if (alive)
        move(table, connection, to, now_ms);
    connection->ended_ms = 0;
    if (to == CONNECTION_READING) {
        addresses_end_handshake(connection);
        connection->reading.body_bytes = 0;
        connection->reading.read_bytes = 0;
        connection->checked_ms = 0;
        connection->blocked_checks = 0;
    }
    pthread_mutex_unlock(&table->_shared.lock);
    return alive;
}

uint64_t connection_reading(struct connections *table, struct connection *connection,
                            uint64_t now_ms)
{
    uint64_t age_ms;
    advance(table, connection, CONNECTION_READING, now_ms, &age_ms);
    return age_ms;
}

void connection_received(struct connection *connection, uint64_t body_bytes)
{
    atomic_fetch_add_explicit(&connection->reading.body_bytes, body_bytes, memory_order_relaxed);
}

bool connection_serving(struct connections *table, struct connection *connection, uint64_t now_ms)
{
    uint64_t age_ms;
    return advance(table, connection, CONNECTION_SERVING, now_ms, &age_ms);
}

void connection_idle(struct connections *table, struct connection *connection, uint64_t now_ms)
{
    uint64_t age_ms;
    advance(table, connection, CONNECTION_IDLE, now_ms, &age_ms);
}

static bool tcp_state(int socket, struct tcp_info *info)
{
    *info = (struct tcp_info){0};
    socklen_t size = sizeof(*info);
    return getsockopt(socket, IPPROTO_TCP, TCP_INFO, info, &size) == 0;
}

bool connection_has_ended(int socket)
{
    struct pollfd polled = {.fd = socket, .events = POLLRDHUP};
    return poll(&polled, 1, 0) > 0;
}

uint64_t connection_received_ms(int socket, uint64_t now_ms)
{
    struct tcp_info info;
    if (!tcp_state(socket, &info) || info.tcpi_last_data_recv > now_ms)
        return 0;
    return now_ms - info.tcpi_last_data_recv;
}

uint64_t connection_two_round_trips_ms(uint32_t smoothed_us, uint32_t smallest_us)
{
    uint64_t us = smallest_us < smoothed_us ? smallest_us : smoothed_us; /* UINT32_MAX: not known */
    uint64_t ms = (2 * us + US_PER_MS - 1) / US_PER_MS;
    return ms < END_DELAY_MS_MAX ? ms : END_DELAY_MS_MAX;
}

uint64_t connection_end_delay_ms(int socket)
{
    struct tcp_info info;
    if (!tcp_state(socket, &info))
        return 0;
    return connection_two_round_trips_ms(info.tcpi_rtt, info.tcpi_min_rtt);
}

/* --- sweeping --------------------------------------------------------------------------------- */

/* Returns true when the client has sent something since the connection got into its state: a part
 * of a header. */
static bool has_sent(const struct connection *connection, uint64_t now_ms)
{
    struct tcp_info info;
    if (!tcp_state(connection->socket, &info))
        return false;
    if (connection->state == CONNECTION_NEW)
        return info.tcpi_bytes_received > 0;
    return info.tcpi_last_data_recv + MS_PER_SEC / 2 < connections_age_ms(connection, now_ms);
}

/* Returns true when the client has ended its side and nothing is left to read. libmicrohttpd misses
 * this when the last bytes and the end arrive as one event. */
static bool has_disconnected(int socket)
{
    char byte;
    return recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* Returns true when the client was gone in a sweep before, and its connection has not changed its
 * state since. */
static bool has_left(struct connection *connection, uint64_t now_ms)
{
    if (!has_disconnected(connection->socket))
        return false;
    if (connection->ended_ms == 0)
        connection->ended_ms = now_ms;
    return now_ms >= connection->ended_ms + DISCONNECTED_MS;
}

static bool is_overdue(const struct connection *connection, uint64_t now_ms)
{
    uint64_t secs = connections_age_ms(connection, now_ms) / MS_PER_SEC;
    if (connection->state == CONNECTION_IDLE) /* every REQUEST_SECS, check for a slow header */
        return secs >= IDLE_SECS ||
               (secs > 0 && secs % REQUEST_SECS == 0 && has_sent(connection, now_ms));
    return secs >= REQUEST_SECS + connection->reading.body_bytes / BODY_BYTES_PER_SEC;
}

/* With TLS the rest of a record is unread too. */
static bool has_unread(const struct connection *connection, int unread_bytes)
{
    if (connection->refuse)
        return !atomic_load_explicit(&connection->has_read_all, memory_order_relaxed);
    return unread_bytes > 0;
}

/* Returns true when the library has read nothing for too long, although bytes have arrived. */
static bool is_blocked(struct connection *connection)
{
    struct tcp_info info;
    int unread = 0;
    if (ioctl(connection->socket, FIONREAD, &unread) != 0 || !has_unread(connection, unread) ||
        !tcp_state(connection->socket, &info)) {
        connection->blocked_checks = 0;
        return false;
    }
    uint64_t read_bytes = info.tcpi_bytes_received - (unsigned)unread;
    bool progressed = read_bytes != connection->reading.read_bytes;
    connection->reading.read_bytes = read_bytes;
    connection->blocked_checks = progressed ? 0 : (uint8_t)(connection->blocked_checks + 1);
    return connection->blocked_checks >= BLOCKED_CHECKS;
}

/* Bytes of the response that the kernel has and the client has not acknowledged. */
static uint64_t pending_bytes(const struct connection *connection, const struct tcp_info *info)
{
    int bytes = 0;
    if (info->tcpi_notsent_bytes == 0 && info->tcpi_unacked == 0)
        return 0;
    return ioctl(connection->socket, SIOCOUTQ, &bytes) == 0 && bytes > 0 ? (uint64_t)bytes : 0;
}

/* Returns true when the time of the client has passed. It begins anew when the client has
 * acknowledged all that was pending at its beginning: a client that is sent little is therefore not
 * too slow. Each acknowledged byte extends it, because a client that reads steadily acknowledges in
 * steps, whose size depends on its buffers and on the packets. */
static bool is_too_slow(struct connection *connection, uint64_t now_ms)
{
    struct tcp_info info;
    const uint64_t time_ms = (uint64_t)STALLED_SECS * MS_PER_SEC;
    const uint64_t most_ms =
        (uint64_t)ACKNOWLEDGED_STEP_BYTES * MS_PER_SEC / RESPONSE_BYTES_PER_SEC;
    if (now_ms < connection->checked_ms + STALL_CHECK_MS ||
        connections_age_ms(connection, now_ms) < STALL_CHECK_MS ||
        !tcp_state(connection->socket, &info))
        return false;
    bool is_first = connection->checked_ms < connection->since_ms;
    uint64_t bytes = info.tcpi_bytes_acked - connection->acked_bytes;
    uint64_t pending = pending_bytes(connection, &info);
    connection->checked_ms = now_ms;
    connection->acked_bytes = info.tcpi_bytes_acked;
    if (is_first || pending == 0 || info.tcpi_bytes_acked >= connection->serving.due_bytes) {
        connection->serving.due_bytes = info.tcpi_bytes_acked + pending;
        connection->serving.due_ms = now_ms + time_ms;
    }
    connection->serving.due_ms += bytes * MS_PER_SEC / RESPONSE_BYTES_PER_SEC;
    if (connection->serving.due_ms > now_ms + time_ms + most_ms)
        connection->serving.due_ms = now_ms + time_ms + most_ms;
    return now_ms >= connection->serving.due_ms;
}

/* Returns true when it ended the connection. Without lingering the kernel drops the rest of the
 * response, which it would otherwise keep for as long as the client keeps the connection. */
static bool sweep_serving(struct connections *table, struct connection *connection, uint64_t now_ms)
{
    if (!is_too_slow(connection, now_ms))
        return false;
    struct linger no_linger = {.l_onoff = 1};
    setsockopt(connection->socket, SOL_SOCKET, SO_LINGER, &no_linger, sizeof(no_linger));
    table->_shared.counters.timed_out++;
    table->_shared.counters.closed_slow++;
    connections_end(table, connection, now_ms);
    return true;
}

/* Returns true when it ended the connection. */
static bool sweep_one(struct connections *table, struct connection *connection, uint64_t now_ms)
{
    enum connection_state state = connection->state;
    if (state == CONNECTION_SERVING)
        return sweep_serving(table, connection, now_ms);
    bool fresh = connections_age_ms(connection, now_ms) < DISCONNECT_CHECK_MS;
    if ((state == CONNECTION_READING || fresh) && has_left(connection, now_ms)) {
        connections_end(table, connection, now_ms);
        return true;
    }
    if (state == CONNECTION_READING && is_blocked(connection)) {
        refuse(table, connection, ERR_HEADER_TOO_LARGE, now_ms);
        return true;
    }
    if (!is_overdue(connection, now_ms))
        return false;
    table->_shared.counters.timed_out++;
    connection->timed_out = true;
    if (state == CONNECTION_READING || has_sent(connection, now_ms))
        refuse(table, connection, ERR_REQUEST_TIMEOUT, now_ms);
    else
        connections_end(table, connection, now_ms);
    return true;
}

/* Checks each connection of one list and moves it to the end with its age unchanged, which restores
 * the order at the end. Releases the lock in between. */
static void sweep_list(struct connections *table, enum connection_state state, uint64_t now_ms)
{
    struct connection_list *list = &table->_shared.lists[state];
    pthread_mutex_lock(&table->_shared.lock);
    for (uint32_t left = table->_shared.counts[state]; left > 0 && !TAILQ_EMPTY(list); left--) {
        struct connection *connection = TAILQ_FIRST(list);
        if (!sweep_one(table, connection, now_ms))
            move(table, connection, state, connection->since_ms);
        if (left % SYSCALLS_PER_LOCK == 0) {
            pthread_mutex_unlock(&table->_shared.lock);
            usleep(SWEEP_PAUSE_US);
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
    /* Shuts down the reading side alone: requests that were sent before are still answered. */
    struct connection *connection;
    TAILQ_FOREACH (connection, &table->_shared.lists[CONNECTION_NEW], link)
        shutdown(connection->socket, SHUT_RD);
    TAILQ_FOREACH (connection, &table->_shared.lists[CONNECTION_IDLE], link)
        shutdown(connection->socket, SHUT_RD);
    pthread_mutex_unlock(&table->_shared.lock);
}

void connections_view(struct connections *table, struct connections_view *view)
{
    pthread_mutex_lock(&table->_shared.lock);
    const uint32_t *counts = table->_shared.counts;
    *view = (struct connections_view){
        .open = table->_shared.admitted,
        .closing = counts[CONNECTION_CLOSING],
        .busy = counts[CONNECTION_READING] + counts[CONNECTION_SERVING],
        .counters = table->_shared.counters,
    };
    pthread_mutex_unlock(&table->_shared.lock);
}
