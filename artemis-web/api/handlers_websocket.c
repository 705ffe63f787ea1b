/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/api/handlers.h"

#include <stdio.h>
#include <string.h>

#include "artemis-web/api/handshake.h"
#include "artemis-web/http/web_internal.h"

static enum endpoint endpoint_of(const struct route *route)
{
    static const char *const paths[ENDPOINT_COUNT] = {
        [ENDPOINT_NATIVE] = "/ws",
        [ENDPOINT_JAVA_HEARTBEAT] = "/ws/registry/heartbeat",
        [ENDPOINT_JAVA_CHANGES] = "/ws/discovery/instance-change",
        [ENDPOINT_JAVA_ALL_CHANGES] = "/ws/discovery/all-instance-change",
    };
    enum endpoint endpoint = ENDPOINT_NATIVE;
    while (endpoint + 1 < ENDPOINT_COUNT && strcmp(paths[endpoint], route->path) != 0)
        endpoint++;
    return endpoint;
}

enum error handle_websocket(struct request *request, struct response *response,
                            char message[MESSAGE_BYTES])
{
    struct response_upgrade *upgrade = &response->upgrade;
    struct handshake handshake = {
        .http_version = request->http_version,
        .upgrade = request_header(request, "Upgrade"),
        .connection = request_header(request, "Connection"),
        .version = request_header(request, "Sec-WebSocket-Version"),
        .key = request_header(request, "Sec-WebSocket-Key"),
    };
    if (request->is_head) {
        snprintf(message, MESSAGE_BYTES, "method: a WebSocket is opened by GET, not by HEAD");
        return ERR_WRONG_METHOD;
    }
    enum error error = handshake_check(&handshake, upgrade->accept_buffer, message);
    if (error)
        return error;
    error = request_reserve(request, message);
    if (error)
        return error;
    upgrade->endpoint = endpoint_of(request->route);
    upgrade->accept = upgrade->accept_buffer;
    return ERR_NONE;
}
