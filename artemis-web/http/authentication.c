/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/http/authentication.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "artemis-server/clock.h"
#include "artemis-server/log.h"
#include "artemis-web/http/routes.h"

/* --- the headers of a peer -------------------------------------------------------------------- */

enum error authentication_check_peer(const struct request *request)
{
    if (!request_header(request, HEADER_REPLICATION))
        return ERR_NOT_A_PEER;
    /* A legacy peer does not send its cluster id. */
    const char *cluster = request_header(request, HEADER_PEER_CLUSTER);
    const char *own = request->engine->config->cluster.cluster_id;
    if (cluster && strcmp(cluster, own) != 0)
        return ERR_CLUSTER_MISMATCH;
    return request_is_of_blocked(request) ? ERR_NODE_BLOCKED : ERR_NONE;
}

void authentication_describe_peer(const struct request *request, enum error error,
                                  char message[MESSAGE_BYTES])
{
    char quoted[160];
    if (error == ERR_NOT_A_PEER) {
        snprintf(message, MESSAGE_BYTES, "%s: is required here; clients register at %s",
                 framing_field_name(HEADER_REPLICATION), "/api/registry/register");
    } else if (error == ERR_NODE_BLOCKED) {
        text_quote(quoted, sizeof(quoted), slice_of(request_header(request, HEADER_PEER_NODE)));
        snprintf(message, MESSAGE_BYTES, "%s: an operator has blocked %s in this cluster",
                 framing_field_name(HEADER_PEER_NODE), quoted);
    } else {
        text_quote(quoted, sizeof(quoted), slice_of(request_header(request, HEADER_PEER_CLUSTER)));
        snprintf(message, MESSAGE_BYTES, "%s: must be \"%s\" (cluster.cluster_id), is %s",
                 framing_field_name(HEADER_PEER_CLUSTER),
                 request->engine->config->cluster.cluster_id, quoted);
    }
    if (log_admit(LOG_LEVEL_WARN))
        log_event(LOG_LEVEL_WARN, "refused a replication request",
                  LOG_TEXT("peer", request_header(request, HEADER_PEER_NODE)),
                  LOG_TEXT("reason", message));
}

/* --- the header ------------------------------------------------------------------------------- */

/* The value of the only field; a proxy may have read another one of several. */
static enum error read_value(const struct http_connection *http, struct slice *value)
{
    *value = slice_of(request_header(&http->request, HEADER_AUTHORIZATION));
    if (http->request.header->authorizations == 0)
        return ERR_NO_TOKEN;
    return http->request.header->authorizations == 1 ? ERR_NONE : ERR_INVALID_TOKEN;
}

/* --- checks ----------------------------------------------------------------------------------- */

/* A path that does not exist needs a token too. A node that copies and compares records with the
 * token of an operator would be refused as soon as it sends some; so it is refused at once. */
static enum auth_role role_of(const struct request *request)
{
    if (!request->route)
        return ROLE_READ;
    bool is_node = request->route->role == ROLE_PEER_OR_OPERATOR &&
                   request_header(request, HEADER_PEER_NODE) != NULL;
    return is_node ? ROLE_PEER : request->route->role;
}

/* At the listener of peers, TLS has checked that the certificate names a member. */
static bool is_certified_peer(const struct http_connection *http)
{
    return http->listener->kind == CONFIG_LISTENER_PEER && http->tls &&
           http->tls->state == TLS_ESTABLISHED;
}

enum error authentication_check(struct http_connection *http)
{
    struct request *request = &http->request;
    struct auth *auth = &request->engine->auth;
    enum auth_role need = role_of(request);
    struct slice value;
    if (!auth_is_required(auth) || need == ROLE_NONE)
        return ERR_NONE;
    if (need != ROLE_ADMIN && is_certified_peer(http))
        return ERR_NONE;
    enum error error = read_value(http, &value);
    if (error)
        return error;
    if (!http->auth)
        http->auth = calloc(1, sizeof(*http->auth));
    if (!http->auth)
        return ERR_NO_MEMORY;
    error = auth_find(auth, http->auth, value, &request->token);
    if (!error && request->token->expires_ms)
        error = token_check(request->token, clock_now().wall_ms);
    if (error)
        return error;
    return auth_role_allows(request->token->role, need) ? ERR_NONE : ERR_NO_PERMISSION;
}

enum error authentication_check_again(const struct request *request)
{
    return request->token ? token_check(request->token, request->now.wall_ms) : ERR_NONE;
}

bool authentication_has_failed(enum error error)
{
    return error == ERR_NO_TOKEN || error == ERR_INVALID_TOKEN || error == ERR_TOKEN_EXPIRED ||
           error == ERR_NO_PERMISSION;
}

uint64_t authentication_failed(struct http_connection *http, enum error error)
{
    const struct request *request = &http->request;
    char client[REQUEST_ADDRESS_BYTES];
    request_address_write(request->mhd, client);
    const struct audit_event event = {
        .origin = {request->token ? request->token->name : NULL, client},
        .action = "authenticate",
        .object = request->route ? request->route->path : NULL,
        .outcome = error_info(error)->reason,
        .is_logged_apart = true,
    };
    if (audit_record_failure(request->engine->audit, &event, clock_now()))
        log_event(LOG_LEVEL_WARN, "refused a request", LOG_TEXT("client", client),
                  LOG_TEXT("path", event.object), LOG_TEXT("token", event.origin.token),
                  LOG_TEXT("reason", error_info(error)->message));
    struct auth *auth = &request->engine->auth;
    if (error == ERR_NO_PERMISSION) {
        auth_refused(auth);
        return 0;
    }
    return auth_failed(auth, request_client_hash(request), clock_now());
}

void authentication_describe(const struct http_connection *http, enum error error,
                             char message[MESSAGE_BYTES])
{
    const struct request *request = &http->request;
    const struct token *token = request->token;
    message[0] = '\0';
    if (error == ERR_NO_TOKEN)
        snprintf(message, MESSAGE_BYTES,
                 "Authorization: this node needs a token, as `Authorization: Bearer TOKEN`");
    else if (error == ERR_INVALID_TOKEN && http->request.header->authorizations > 1)
        snprintf(message, MESSAGE_BYTES, "Authorization: must be given once");
    else if (error == ERR_INVALID_TOKEN)
        snprintf(message, MESSAGE_BYTES, "Authorization: this node does not know the token");
    else if (error == ERR_TOKEN_EXPIRED)
        snprintf(message, MESSAGE_BYTES, "Authorization: token \"%s\" has expired", token->name);
    else if (error == ERR_NO_PERMISSION)
        snprintf(message, MESSAGE_BYTES,
                 "Authorization: token \"%s\" has the role %s; this path needs %s", token->name,
                 auth_role_word(token->role), auth_role_word(role_of(request)));
}

void authentication_end(struct http_connection *http)
{
    if (!http->auth)
        return;
    auth_memory_free(http->auth);
    free(http->auth);
    http->auth = NULL;
}
