/* SPDX-License-Identifier: Apache-2.0
 *
 * websocket_handshake - the parts of the WebSocket opening handshake (RFC 6455, section 4) that
 * client and server share: the key, the accept value that answers it, and header fields that hold a
 * list of tokens.
 *
 * Pure and thread-safe. Sizes include the terminating zero.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "artemis-core/base/text.h"

enum { WEBSOCKET_NONCE_BYTES = 16, WEBSOCKET_KEY_BYTES = 25, WEBSOCKET_ACCEPT_BYTES = 29 };

/* Writes Sec-WebSocket-Key: the nonce in base64. The nonce must be random. */
void websocket_key_make(const uint8_t nonce[WEBSOCKET_NONCE_BYTES], char key[WEBSOCKET_KEY_BYTES]);

/* Whether `key` is 16 bytes in base64. */
bool websocket_key_is_valid(const char *key);

/* Writes the Sec-WebSocket-Accept that answers `key`, which must be valid. */
void websocket_accept(const char *key, char accept[WEBSOCKET_ACCEPT_BYTES]);

/* Whether a list such as "keep-alive, Upgrade" contains `token`. Case is ignored; commas, spaces
 * and tabs separate tokens. */
bool websocket_list_has(struct slice list, const char *token);
