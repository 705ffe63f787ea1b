/* SPDX-License-Identifier: Apache-2.0
 *
 * The sweep: the timeouts of connections.
 */
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "artemis-web/connections/connections_internal.h"

enum {
    MS_PER_SEC = 1000,
    /* A connection is checked for a client that disconnected for this long after it became idle.
     * Later a disconnect is an event of its own. */
    DISCONNECT_CHECK_MS = 4000,
    /* How long a client must have been gone before a sweep ends its connection: its last request
     * may have been read from the socket and not yet be recorded here. */
    DISCONNECTED_MS = 500,
    /* Age of a response before its client is checked, and interval of the checks. */
    STALL_CHECK_MS = 900,
    /* System calls of a sweep before it releases the locks, and for how long. Without the pause the
     * mutex would go to the sweep again, before the threads that wait for it. */
    SYSCALLS_PER_LOCK = 64,
    SWEEP_PAUSE_US = 100,
};

/* --- one connection; the caller holds both locks ---------------------------------------------- */

/* The same as connections_end, after an error response. */
static void refuse(struct connections *table, struct connection *connection, enum error error,
                   uint64_t now_ms)
{
    char response[ERROR_RESPONSE_BYTES];
    connection->end_error = error;
    if (connection->from.has_tls) {
        connections_start_closing(table, connection, now_ms);
        connection->end_later(connection);
        return;
    }
    size_t size = connection_write_end_error(connection, response);
    if (size > 0)
        send(connection->socket, response, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    connections_end(table, connection, now_ms);
}

/* Returns true when the client has sent something since the connection got into its state: a part
 * of a header. */
static bool has_sent(const struct connection *connection, uint64_t now_ms)
{
    struct tcp_info info;
    if (!connection_tcp_info(connection->socket, &info))
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
    if (connection->from.has_tls)
        return !atomic_load_explicit(&connection->has_read_all, memory_order_relaxed);
    return unread_bytes > 0;
}

/* Returns true when the library has read nothing for too long, although bytes have arrived. */
static bool is_blocked(struct connection *connection)
{
    struct tcp_info info;
    int unread = 0;
    if (ioctl(connection->socket, FIONREAD, &unread) != 0 || !has_unread(connection, unread) ||
        !connection_tcp_info(connection->socket, &info)) {
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

/* Returns true when the time of the client has passed. It starts again when the client has
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
        !connection_tcp_info(connection->socket, &info))
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

/* --- all connections -------------------------------------------------------------------------- */

/* Checks each connection of one list and moves it to the end with its age unchanged, which restores
 * the order at the end. Releases the locks in between. */
static void sweep_list(struct connections *table, struct connection_group *group,
                       enum connection_state state, uint64_t now_ms)
{
    struct connection_list *list = &group->lists[state];
    connections_lock(table, group);
    for (uint32_t left = group->counts[state]; left > 0 && !TAILQ_EMPTY(list); left--) {
        struct connection *connection = TAILQ_FIRST(list);
        if (!sweep_one(table, connection, now_ms))
            connection_move(connection, state, connection->since_ms);
        if (left % SYSCALLS_PER_LOCK == 0) {
            connections_unlock(table, group);
            usleep(SWEEP_PAUSE_US);
            connections_lock(table, group);
        }
    }
    connections_unlock(table, group);
}

void connections_sweep(struct connections *table, uint64_t now_ms)
{
    for (int i = 0; i < CONNECTION_GROUPS; i++) {
        sweep_list(table, &table->groups[i], CONNECTION_NEW, now_ms);
        sweep_list(table, &table->groups[i], CONNECTION_IDLE, now_ms);
        sweep_list(table, &table->groups[i], CONNECTION_READING, now_ms);
        sweep_list(table, &table->groups[i], CONNECTION_SERVING, now_ms);
    }
}
