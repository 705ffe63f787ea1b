/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/api/handlers.h"

#include <stdio.h>

#include "artemis-web/api/handshake.h"

static enum error upgrade_to(enum endpoint endpoint, struct request *request,
                             struct response *response, char message[MESSAGE_BYTES])
{
    struct response_upgrade upgrade = {.endpoint = endpoint};
    struct handshake handshake = {
        .http_version = request->http_version,
        .upgrade = request_header(request, HEADER_UPGRADE),
        .connection = request_header(request, HEADER_CONNECTION),
        .version = request_header(request, HEADER_WEBSOCKET_VERSION),
        .key = request_header(request, HEADER_WEBSOCKET_KEY),
    };
    if (request->is_head) {
        snprintf(message, MESSAGE_BYTES, "method: a WebSocket is opened by GET, not by HEAD");
        return ERR_WRONG_METHOD;
    }
    enum error error = handshake_check(&handshake, upgrade.accept, message);
    if (error)
        return error;
    error = request_reserve(request, message);
    if (error)
        return error;
    response->kind = RESPONSE_UPGRADE;
    response->upgrade = upgrade;
    return ERR_NONE;
}

enum error handle_websocket(struct request *request, struct response *response,
                            char message[MESSAGE_BYTES])
{
    return upgrade_to(ENDPOINT_NATIVE, request, response, message);
}

enum error handle_websocket_heartbeat(struct request *request, struct response *response,
                                      char message[MESSAGE_BYTES])
{
    return upgrade_to(ENDPOINT_JAVA_HEARTBEAT, request, response, message);
}

enum error handle_websocket_changes(struct request *request, struct response *response,
                                    char message[MESSAGE_BYTES])
{
    return upgrade_to(ENDPOINT_JAVA_CHANGES, request, response, message);
}

enum error handle_websocket_all_changes(struct request *request, struct response *response,
                                        char message[MESSAGE_BYTES])
{
    enum error error = request_check_read(request, SLICE("*"), message);
    if (error)
        return error;
    return upgrade_to(ENDPOINT_JAVA_ALL_CHANGES, request, response, message);
}
