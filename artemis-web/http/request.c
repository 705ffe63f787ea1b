/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/http/request.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "artemis-core/base/gzip.h"
#include "artemis-server/reload_thread.h"

#define CLIENT_HASH_BIT 0x80000000u /* no member of a cluster has such a number */

enum { NAME_BYTES = 64, LOWER_CASE = 0x20 /* the bit of a letter */ };

enum dialect request_dialect(const struct request *request)
{
    return dialect_choose(request->java, request->names,
                          request->engine->config->server.default_casing);
}

struct slice request_body(const struct request *request)
{
    return (struct slice){request->body.data, request->body.size};
}

static bool query_value(const struct request *request, const char *name, struct slice *out)
{
    const struct framing *header = request->header;
    const char *value = NULL;
    size_t size = strlen(name);
    if (header->arguments == 1) {
        *out = header->first_value ? (struct slice){header->first_value, header->first_value_size}
                                   : SLICE("");
        return size == header->first_argument_size &&
               strncasecmp(name, header->first_argument, size) == 0;
    }
    if (MHD_lookup_connection_value_n(request->mhd, MHD_GET_ARGUMENT_KIND, name, size, &value,
                                      &size) != MHD_YES)
        return false;
    *out = (struct slice){value ? value : "", value ? size : 0};
    return true;
}

/* Whether a look-up cannot find the parameter: most queries have one argument or none. Both
 * spellings of a name begin alike. */
static bool is_absent(const struct framing *header, const char *snake_name)
{
    return header->arguments == 0 ||
           (header->arguments == 1 && (header->first_argument_size == 0 ||
                                       (header->first_argument[0] | LOWER_CASE) != snake_name[0]));
}

enum error request_query(struct request *request, const char *snake_name, struct slice *out,
                         char message[MESSAGE_BYTES])
{
    char camel_name[NAME_BYTES];
    if (is_absent(request->header, snake_name))
        return ERR_NONE;
    camel_name[jw_camel(camel_name, snake_name)] = '\0';
    struct slice value;
    bool found = query_value(request, snake_name, &value);
    if (strcmp(camel_name, snake_name) != 0) {
        struct slice other;
        bool in_camel = query_value(request, camel_name, &other);
        if (found)
            name_casing_add(&request->names, NAMES_SNAKE);
        if (in_camel)
            name_casing_add(&request->names, NAMES_CAMEL);
        if (found && in_camel) {
            snprintf(message, MESSAGE_BYTES, "%s: is given twice, as %s and %s", snake_name,
                     snake_name, camel_name);
            return ERR_INVALID_FIELD;
        }
        if (in_camel)
            value = other;
        found |= in_camel;
    }
    if (!found)
        return ERR_NONE;
    if (!text_is_utf8(value)) {
        char quoted[160];
        text_quote(quoted, sizeof(quoted), value);
        snprintf(message, MESSAGE_BYTES, "%s: must be valid UTF-8, is %s", snake_name, quoted);
        return ERR_INVALID_FIELD;
    }
    *out = value;
    return ERR_NONE;
}

struct visit {
    request_visit_argument *argument;
    void *context;
};

static enum MHD_Result visit_argument(void *context, enum MHD_ValueKind kind, const char *name,
                                      size_t name_size, const char *value, size_t value_size)
{
    const struct visit *visit = context;
    (void)kind;
    return visit->argument(visit->context, (struct slice){name, name_size},
                           (struct slice){value, value ? value_size : 0})
               ? MHD_YES
               : MHD_NO;
}

void request_each_argument(const struct request *request, request_visit_argument *visit,
                           void *context)
{
    const struct framing *header = request->header;
    struct visit each = {visit, context};
    if (header->arguments == 1)
        (void)visit(context, (struct slice){header->first_argument, header->first_argument_size},
                    (struct slice){header->first_value,
                                   header->first_value ? header->first_value_size : 0});
    else if (header->arguments > 1)
        (void)MHD_get_connection_values_n(request->mhd, MHD_GET_ARGUMENT_KIND, visit_argument,
                                          &each);
}

void request_address_write(struct MHD_Connection *mhd, char out[REQUEST_ADDRESS_BYTES])
{
    char host[INET6_ADDRSTRLEN] = "";
    const struct sockaddr *address =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
    out[0] = '\0';
    if (address && address->sa_family == AF_INET) {
        const struct sockaddr_in *ip = (const void *)address;
        inet_ntop(AF_INET, &ip->sin_addr, host, sizeof(host));
        snprintf(out, REQUEST_ADDRESS_BYTES, "%s:%u", host, ntohs(ip->sin_port));
    } else if (address && address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *ip = (const void *)address;
        inet_ntop(AF_INET6, &ip->sin6_addr, host, sizeof(host));
        snprintf(out, REQUEST_ADDRESS_BYTES, "[%s]:%u", host, ntohs(ip->sin6_port));
    }
}

void request_audit(const struct request *request, struct audit_event event, enum error error)
{
    char client[REQUEST_ADDRESS_BYTES];
    request_address_write(request->mhd, client);
    event.origin = (struct audit_origin){request->token ? request->token->name : NULL, client};
    event.outcome = error ? error_info(error)->reason : "done";
    audit_record(request->engine->audit, &event, request->now);
}

bool request_is_of_blocked(const struct request *request)
{
    const char *node_id = request_header(request, HEADER_PEER_NODE);
    return node_id && blocks_has_node(&request->engine->blocks, node_id);
}

uint32_t request_client_hash(const struct request *request)
{
    struct client_address address = client_address_of(
        MHD_get_connection_info(request->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr);
    return engine_hash(request->engine, client_address_bytes(&address)) | CLIENT_HASH_BIT;
}

const char *request_header(const struct request *request, enum header_field field)
{
    return framing_value(request->header, field);
}

/* What a list like "deflate, gzip;q=0.5" says of a coding: 1 wanted, 0 refused, -1 nothing. */
static int coding_in_list(const char *list, const char *coding)
{
    size_t size = strlen(coding);
    while (*list) {
        list += strspn(list, " \t,");
        size_t item = strcspn(list, ",");
        size_t name = strcspn(list, " \t;,");
        if (name == size && strncasecmp(list, coding, size) == 0) {
            const char *q = memchr(list, '=', item);
            return !q || strtod(q + 1, NULL) > 0;
        }
        list += item;
    }
    return -1;
}

bool request_accepts_gzip(const struct request *request)
{
    const char *accepted = request_header(request, HEADER_ACCEPT_ENCODING);
    if (!accepted)
        return false;
    int gzip = coding_in_list(accepted, "gzip");
    return gzip < 0 ? coding_in_list(accepted, "*") == 1 : gzip == 1;
}

enum error request_inflate(struct request *request, char message[MESSAGE_BYTES])
{
    const char *encoding = request_header(request, HEADER_CONTENT_ENCODING);
    if (!encoding || strcasecmp(encoding, "identity") == 0 || request->body.size == 0)
        return ERR_NONE;
    if (strcasecmp(encoding, "gzip") != 0 && strcasecmp(encoding, "x-gzip") != 0) {
        char quoted[160];
        text_quote(quoted, sizeof(quoted), slice_of(encoding));
        snprintf(message, MESSAGE_BYTES, "Content-Encoding: must be gzip or identity, is %s",
                 quoted);
        return ERR_INVALID_FIELD;
    }
    uint64_t limit = request->engine->config->server.max_body_bytes;
    struct text inflated = {0};
    enum error error = gzip_decompress(request_body(request), limit, &inflated);
    if (error == ERR_INVALID_JSON)
        snprintf(message, MESSAGE_BYTES, "body: is not valid gzip, or cut short (%zu bytes)",
                 request->body.size);
    if (error == ERR_BODY_TOO_LARGE)
        snprintf(message, MESSAGE_BYTES,
                 "body: must be at most %llu bytes (server.max_body_bytes), is more when inflated",
                 (unsigned long long)limit);
    if (error) {
        text_free(&inflated);
        return error;
    }
    text_free(&request->body);
    request->body = inflated;
    return ERR_NONE;
}

void response_init(struct response *response)
{
    memset(response, 0, offsetof(struct response, body) + sizeof(response->body));
}

void response_set_cached(struct response *response, struct cached_response *cached)
{
    response->kind = RESPONSE_CACHED;
    response->cached = cached;
}

void response_clear(struct response *response)
{
    switch (response->kind) {
    case RESPONSE_TEXT:
        text_free(&response->body);
        break;
    case RESPONSE_CACHED:
        cached_response_unref(response->cached);
        break;
    case RESPONSE_STREAM:
        if (response->stream.context)
            response->stream.free(response->stream.context);
        break;
    case RESPONSE_CONSTANT:
    case RESPONSE_UPGRADE:
    case RESPONSE_LONG_POLL:
    case RESPONSE_DEFERRED:
    case RESPONSE_LATER:
        break;
    }
    response->kind = RESPONSE_TEXT;
    response->body = (struct text){0};
}

enum error request_check_read(const struct request *request, struct slice service_id,
                              char message[MESSAGE_BYTES])
{
    char quoted[160];
    if (!request->token)
        return ERR_NONE;
    bool all = slice_equal(service_id, SLICE("*"));
    if (all ? token_reads_all(request->token) : token_may_read(request->token, service_id))
        return ERR_NONE;
    text_quote(quoted, sizeof(quoted), service_id);
    snprintf(message, MESSAGE_BYTES,
             all ? "service_id: token \"%s\" may see certain services only; name one of them"
                 : "service_id: token \"%s\" may not see %s",
             request->token->name, quoted);
    return ERR_NO_PERMISSION;
}

void request_end_reload(struct request *request)
{
    if (request->reload)
        reload_job_release(request->reload);
    request->reload = NULL;
}

enum error request_reserve(struct request *request, char message[MESSAGE_BYTES])
{
    if (push_reserve(request->push)) {
        request->has_reservation = true;
        return ERR_NONE;
    }
    snprintf(message, MESSAGE_BYTES,
             "connections: at most %u WebSockets and long polls are served "
             "(server.max_connections = %u, limit of open files)",
             push_clients_max(request->push), request->engine->config->server.max_connections);
    return ERR_TOO_MANY_SUBSCRIBERS;
}
