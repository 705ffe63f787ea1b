/* SPDX-License-Identifier: Apache-2.0
 *
 * client - the common part of a WebSocket and a long poll.
 *
 * It is the first member of both. Another thread allocates the client and hands it over to the push
 * thread, which owns it from then on. Events of epoll point to it.
 */
#pragma once

#include <sys/queue.h>

enum client_kind { CLIENT_WEBSOCKET, CLIENT_LONG_POLL };

struct push_client {
    enum client_kind kind;
    STAILQ_ENTRY(push_client) link; /* in the list of arrivals, later in that of ended clients */
};
STAILQ_HEAD(push_client_list, push_client);
