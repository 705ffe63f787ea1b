/* SPDX-License-Identifier: Apache-2.0
 *
 * http - a correct HTTP client for tests: one connection, kept alive between requests.
 *
 * The response belongs to the client and is valid until its next request. In JSON passed to
 * http_post, single quotes stand for double quotes: "{'service_id':'%s'}". A request without a
 * response fails the test. For malformed requests, see raw_socket.h.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct http_response {
    int status;
    char *head;       /* the received fields: "Name: value\r\n"... */
    char *body;       /* NUL-terminated */
    size_t body_size; /* as received, before decoding */
    json_t *json;     /* NULL if the body is not JSON */
    char field[1024]; /* the last value that http_field returned */
};

struct http_request {
    const char *method;
    const char *path;
    const char *const *fields; /* "Name: value", ended by NULL; or NULL */
    const void *body;          /* NULL for none */
    size_t body_size;
    bool chunked; /* send the body in chunks, without Content-Length */
};

struct http;

struct http *http_new(uint16_t port);
void http_free(struct http *http);

struct http_response *http_send(struct http *http, const struct http_request *request);

struct http_response *http_get(struct http *http, const char *path, ...)
    __attribute__((format(printf, 2, 3)));

/* As application/json. */
struct http_response *http_post(struct http *http, const char *path, const char *body, ...)
    __attribute__((format(printf, 3, 4)));

/* The number of connections opened so far. */
long http_connections(const struct http *http);

/* The value of a header field, NULL if absent; valid until the next call. */
const char *http_field(struct http_response *response, const char *name);

void http_response_clear(struct http_response *response);
