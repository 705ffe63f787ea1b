/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/api/handshake.h"

#include <stdio.h>
#include <string.h>

enum { QUOTED_BYTES = 160 };

static enum error refuse(enum error error, char message[MESSAGE_BYTES], const char *rule,
                         const char *value)
{
    char quoted[QUOTED_BYTES] = "missing";
    if (value)
        text_quote(quoted, sizeof(quoted), slice_of(value));
    snprintf(message, MESSAGE_BYTES, "%s, is %s", rule, quoted);
    return error;
}

enum error handshake_check(const struct handshake *handshake, char accept[WEBSOCKET_ACCEPT_BYTES],
                           char message[MESSAGE_BYTES])
{
    if (!websocket_list_has(slice_of(handshake->upgrade), "websocket"))
        return refuse(ERR_UPGRADE_REQUIRED, message,
                      "Upgrade: this path speaks WebSocket; must be websocket", handshake->upgrade);
    if (strcmp(handshake->http_version, "HTTP/1.1") != 0)
        return refuse(ERR_INVALID_FIELD, message, "request: a WebSocket needs HTTP/1.1",
                      handshake->http_version);
    if (!websocket_list_has(slice_of(handshake->connection), "upgrade"))
        return refuse(ERR_INVALID_FIELD, message, "Connection: must have Upgrade",
                      handshake->connection);
    if (!handshake->version || strcmp(handshake->version, "13") != 0)
        return refuse(ERR_UPGRADE_REQUIRED, message, "Sec-WebSocket-Version: must be 13",
                      handshake->version);
    if (!handshake->key || !websocket_key_is_valid(handshake->key))
        return refuse(ERR_INVALID_FIELD, message, "Sec-WebSocket-Key: must be 16 bytes in base64",
                      handshake->key);
    websocket_accept(handshake->key, accept);
    return ERR_NONE;
}
