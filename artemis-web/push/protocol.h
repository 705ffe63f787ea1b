/* SPDX-License-Identifier: Apache-2.0
 *
 * protocol - the messages that clients send on WebSockets: the native protocol on /ws and the three
 * protocols of the Java clients. docs/CONTRACT.md defines them. Belongs to the push thread.
 */
#pragma once

#include "artemis-web/push/websocket.h"

/* To be called when a WebSocket has started. */
void protocol_start(struct websocket *websocket);
/* Handles a text message. */
void protocol_message(struct websocket *websocket, struct slice message);
