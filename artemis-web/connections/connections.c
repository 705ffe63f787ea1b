/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/connections/connections.h"

#include <assert.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include "artemis-core/json/codec.h"
#include "artemis-web/connections/connections_internal.h"
#include "artemis-web/connections/framing.h"

enum {
    US_PER_MS = 1000,
    END_DELAY_MS_MAX = 500,
    /* Connections with TLS beyond the limit: each gets the response that it is refused. */
    EXCESS_MAX = 16,
    BEYOND_LIMIT_MAX = CLOSING_MAX + EXCESS_MAX,
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
    for (int i = 0; i < CONNECTION_GROUPS; i++) {
        for (int state = 0; state < CONNECTION_STATES; state++)
            TAILQ_INIT(&table->groups[i].lists[state]);
        pthread_mutex_init(&table->groups[i].lock, NULL);
    }
    pthread_mutex_init(&table->_shared.lock, NULL);
}

void connections_free(struct connections *table)
{
    for (int i = 0; i < CONNECTION_GROUPS; i++) {
        for (int state = 0; state < CONNECTION_STATES; state++)
            assert(TAILQ_EMPTY(&table->groups[i].lists[state]));
        pthread_mutex_destroy(&table->groups[i].lock);
    }
    addresses_free(table);
    pthread_mutex_destroy(&table->_shared.lock);
}

/* --- lists; the caller holds the lock of the group -------------------------------------------- */

static void unlink_one(struct connection *connection)
{
    TAILQ_REMOVE(&connection->group->lists[connection->state], connection, link);
    connection->group->counts[connection->state]--;
}

static void link_last(struct connection *connection, enum connection_state state, uint64_t now_ms)
{
    connection->state = state;
    connection->since_ms = now_ms;
    TAILQ_INSERT_TAIL(&connection->group->lists[state], connection, link);
    connection->group->counts[state]++;
}

void connection_move(struct connection *connection, enum connection_state to, uint64_t now_ms)
{
    unlink_one(connection);
    link_last(connection, to, now_ms);
}

uint64_t connections_age_ms(const struct connection *connection, uint64_t now_ms)
{
    return now_ms > connection->since_ms ? now_ms - connection->since_ms : 0;
}

/* --- ending a connection; the caller holds both locks ----------------------------------------- */

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

void connections_start_closing(struct connections *table, struct connection *connection,
                               uint64_t now_ms)
{
    connection_move(connection, CONNECTION_CLOSING, now_ms);
    table->_shared.admitted--;
    table->_shared.closing++;
    addresses_leave(connection);
}

void connections_end(struct connections *table, struct connection *connection, uint64_t now_ms)
{
    bool is_reading = connection->state == CONNECTION_READING;
    connections_start_closing(table, connection, now_ms);
    shutdown(connection->socket, SHUT_RDWR);
    if (is_reading && connection->end_later)
        connection->end_later(connection);
}

/* Returns the connection of the group that has been idle for longest, if that is
 * IDLE_BEFORE_DISPLACED_MS; otherwise NULL. The caller holds the lock of the group. */
static struct connection *oldest_idle(const struct connection_group *group, uint64_t now_ms)
{
    struct connection *oldest = TAILQ_FIRST(&group->lists[CONNECTION_IDLE]);
    struct connection *fresh = TAILQ_FIRST(&group->lists[CONNECTION_NEW]);
    if (!oldest || (fresh && fresh->since_ms < oldest->since_ms))
        oldest = fresh;
    bool is_old = oldest && connections_age_ms(oldest, now_ms) >= IDLE_BEFORE_DISPLACED_MS;
    return is_old ? oldest : NULL;
}

/* Returns the group of the connection that has been idle for longest; NULL: none has been for
 * IDLE_BEFORE_DISPLACED_MS. */
static struct connection_group *group_of_oldest(struct connections *table, uint64_t now_ms)
{
    struct connection_group *found = NULL;
    uint64_t since_ms = UINT64_MAX;
    for (int i = 0; i < CONNECTION_GROUPS; i++) {
        struct connection_group *group = &table->groups[i];
        pthread_mutex_lock(&group->lock);
        const struct connection *oldest = oldest_idle(group, now_ms);
        if (oldest && oldest->since_ms < since_ms) {
            found = group;
            since_ms = oldest->since_ms;
        }
        pthread_mutex_unlock(&group->lock);
    }
    return found;
}

/* Ends the connection that has been idle for longest. Returns false when none has been idle for
 * IDLE_BEFORE_DISPLACED_MS. The caller holds the lock of the table. */
static bool displace_idle(struct connections *table, uint64_t now_ms)
{
    if (table->_shared.closing >= CLOSING_MAX)
        return false;
    struct connection_group *group;
    struct connection *oldest = NULL;
    while (!oldest && (group = group_of_oldest(table, now_ms))) {
        pthread_mutex_lock(&group->lock);
        oldest = oldest_idle(group, now_ms); /* NULL: it has a request now */
        if (oldest)
            connections_end(table, oldest, now_ms);
        pthread_mutex_unlock(&group->lock);
    }
    table->_shared.counters.displaced += oldest != NULL;
    return oldest != NULL;
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

void connections_lock(struct connections *table, struct connection_group *group)
{
    pthread_mutex_lock(&table->_shared.lock);
    pthread_mutex_lock(&group->lock);
}

void connections_unlock(struct connections *table, struct connection_group *group)
{
    pthread_mutex_unlock(&group->lock);
    pthread_mutex_unlock(&table->_shared.lock);
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
                     const struct connection_origin *from, connection_ender *end_later,
                     uint32_t thread, uint64_t now_ms)
{
    *connection = (struct connection){.group = &table->groups[thread % CONNECTION_GROUPS],
                                      .socket = socket,
                                      .from = *from,
                                      .end_later = end_later,
                                      .has_read_all = true};
    connections_lock(table, connection->group);
    connection->is_excess = from->has_tls && table->_shared.admitted > table->limit;
    link_last(connection, CONNECTION_NEW, now_ms);
    addresses_add(table, connection);
    connections_unlock(table, connection->group);
}

void connections_remove(struct connections *table, struct connection *connection)
{
    connections_lock(table, connection->group);
    bool is_closing = connection->state == CONNECTION_CLOSING;
    unlink_one(connection);
    table->_shared.admitted -= !is_closing;
    table->_shared.closing -= is_closing;
    addresses_leave(connection);
    connections_unlock(table, connection->group);
}

/* --- requests --------------------------------------------------------------------------------- */

/* Returns false when the table has ended the connection. *age_ms: the time in the state before. */
static bool advance(struct connection *connection, enum connection_state to, uint64_t now_ms,
                    uint64_t *age_ms)
{
    pthread_mutex_lock(&connection->group->lock);
    bool alive = connection->state != CONNECTION_CLOSING;
    *age_ms = connections_age_ms(connection, now_ms);
    if (alive)
        connection_move(connection, to, now_ms);
    connection->ended_ms = 0;
    if (to == CONNECTION_READING) {
        connection->reading.body_bytes = 0;
        connection->reading.read_bytes = 0;
        connection->checked_ms = 0;
        connection->blocked_checks = 0;
    }
    pthread_mutex_unlock(&connection->group->lock);
    return alive;
}

uint64_t connection_reading(struct connections *table, struct connection *connection,
                            uint64_t now_ms)
{
    uint64_t age_ms;
    if (connection->in_handshake) {
        pthread_mutex_lock(&table->_shared.lock);
        addresses_end_handshake(connection);
        pthread_mutex_unlock(&table->_shared.lock);
    }
    advance(connection, CONNECTION_READING, now_ms, &age_ms);
    return age_ms;
}

void connection_received(struct connection *connection, uint64_t body_bytes)
{
    atomic_fetch_add_explicit(&connection->reading.body_bytes, body_bytes, memory_order_relaxed);
}

bool connection_serving(struct connection *connection, uint64_t now_ms)
{
    uint64_t age_ms;
    return advance(connection, CONNECTION_SERVING, now_ms, &age_ms);
}

void connection_idle(struct connection *connection, uint64_t now_ms)
{
    uint64_t age_ms;
    advance(connection, CONNECTION_IDLE, now_ms, &age_ms);
}

bool connection_tcp_info(int socket, struct tcp_info *info)
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
    if (!connection_tcp_info(socket, &info) || info.tcpi_last_data_recv > now_ms)
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
    if (!connection_tcp_info(socket, &info))
        return 0;
    return connection_two_round_trips_ms(info.tcpi_rtt, info.tcpi_min_rtt);
}

void connections_close_idle(struct connections *table)
{
    struct connection *connection;
    for (int i = 0; i < CONNECTION_GROUPS; i++) {
        struct connection_group *group = &table->groups[i];
        pthread_mutex_lock(&group->lock);
        /* Shuts down the reading side alone: requests that were sent before are still answered. */
        TAILQ_FOREACH (connection, &group->lists[CONNECTION_NEW], link)
            shutdown(connection->socket, SHUT_RD);
        TAILQ_FOREACH (connection, &group->lists[CONNECTION_IDLE], link)
            shutdown(connection->socket, SHUT_RD);
        pthread_mutex_unlock(&group->lock);
    }
}

void connections_view(struct connections *table, struct connections_view *view)
{
    pthread_mutex_lock(&table->_shared.lock);
    *view = (struct connections_view){
        .open = table->_shared.admitted,
        .closing = table->_shared.closing,
        .counters = table->_shared.counters,
    };
    pthread_mutex_unlock(&table->_shared.lock);
    for (int i = 0; i < CONNECTION_GROUPS; i++) {
        struct connection_group *group = &table->groups[i];
        pthread_mutex_lock(&group->lock);
        view->busy += group->counts[CONNECTION_READING] + group->counts[CONNECTION_SERVING];
        pthread_mutex_unlock(&group->lock);
    }
}
