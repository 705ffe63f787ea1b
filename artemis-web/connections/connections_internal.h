/* SPDX-License-Identifier: Apache-2.0
 *
 * connections_internal - what the files of connections.h share: connections_addresses.c counts the
 * connections of each address, connections_sweep.c ends those whose timeouts have passed. The
 * caller holds the lock of the table, and that of the group where it says so. Not for other
 * modules.
 */
#pragma once

#include "artemis-web/connections/connections.h"

enum { CLOSING_MAX = 32 }; /* connections beyond a limit that are shut down but not yet closed */

struct tcp_info;

/* Takes, and releases, the lock of the table and that of a group. */
void connections_lock(struct connections *table, struct connection_group *group);
void connections_unlock(struct connections *table, struct connection_group *group);
/* Moves a connection to the end of the list of a state. With the lock of its group alone. */
void connection_move(struct connection *connection, enum connection_state to, uint64_t now_ms);
/* Lists a connection as one that is being closed. With the lock of its group. */
void connections_start_closing(struct connections *table, struct connection *connection,
                               uint64_t now_ms);
/* What the kernel knows of a connection; false: nothing. Needs no lock. */
bool connection_tcp_info(int socket, struct tcp_info *info);
/* Shuts a connection down; libmicrohttpd then closes it, at the latest after ENDED_SECS. With the
 * lock of its group. */
void connections_end(struct connections *table, struct connection *connection, uint64_t now_ms);
/* For how long the connection has been in its state. With the lock of its group. */
uint64_t connections_age_ms(const struct connection *connection, uint64_t now_ms);

/* The functions below do nothing while connections are not counted by address. */

/* Counts a connection that is about to be admitted. ERR_TOO_MANY_CONNECTIONS: it must not be. At a
 * limit an idle connection of the address, or one that is stalled in its handshake, is ended in
 * exchange. */
MUST_USE enum error addresses_enter(struct connections *table, const struct connection_origin *from,
                                    uint64_t now_ms);
/* Reverts that, for a connection that was not added. */
void addresses_cancel(struct connections *table, const struct connection_origin *from);
/* Adds a connection that has been counted. */
void addresses_add(struct connections *table, struct connection *connection);
/* The connection has ended, or is being closed. */
void addresses_leave(struct connection *connection);
/* The first request of the connection has begun. */
void addresses_end_handshake(struct connection *connection);
/* Frees the table of addresses, which must be empty. */
void addresses_free(struct connections *table);
