/* SPDX-License-Identifier: Apache-2.0
 *
 * json_api - what servers of a JSON API for tests share: they listen on a port of 127.0.0.1, with
 * or without TLS, and have a thread for each connection, so that a handler may block.
 *
 * What a server keeps is under `lock`. Every error fails the test.
 */
#pragma once

#include <jansson.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/support/temp_folder.h"

/* Answers one request; `body` is a text. Called by several threads, without the lock. */
typedef enum MHD_Result json_api_handler(void *context, struct MHD_Connection *connection,
                                         const char *method, const char *path, const char *body);

struct json_api {
    struct temp_folder folder; /* for the files of the test; with TLS: ca.crt */
    uint16_t port;             /* the same after each start */
    char url[48];
    bool has_tls;
    struct MHD_Daemon *daemon; /* NULL: it does not run */
    char *certificate, *key;   /* PEM */
    json_api_handler *handler;
    void *context;
    pthread_mutex_t lock; /* also of what the server keeps */
    pthread_cond_t on_change;
    bool is_stopping;
};

/* Chooses a port and starts nothing. With TLS, it makes an authority and a certificate. */
void json_api_init(struct json_api *api, bool has_tls, json_api_handler *handler, void *context);
void json_api_free(struct json_api *api); /* also one that runs */
void json_api_start(struct json_api *api);
void json_api_stop(struct json_api *api); /* closes all connections */

/* Waits for a change, or a moment. The lock is held. */
void json_api_wait_for_change(struct json_api *api);
/* Waits until a counter is above a value. */
void json_api_wait_above(struct json_api *api, const unsigned *counter, unsigned value);
unsigned json_api_count(struct json_api *api, const unsigned *counter);

/* Of the query; NULL: there is none. */
const char *json_api_argument(struct MHD_Connection *connection, const char *name);
/* `headers` are pairs of a name and a value, and end with NULL; or NULL. */
enum MHD_Result json_api_respond(struct MHD_Connection *connection, unsigned status,
                                 const char *body, const char *const headers[]);
