/* SPDX-License-Identifier: Apache-2.0
 *
 * calls - requests that many tests make, and a fixture with a server and a client.
 */
#pragma once

#include "tests/support/client/check.h"
#include "tests/support/client/http.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/servers/server_process.h"

#define REGISTER   "/api/registry/register"
#define HEARTBEAT  "/api/registry/heartbeat"
#define UNREGISTER "/api/registry/unregister"

/* JSON for http_post; the arguments are service id and instance id. */
#define KEY      "{'region_id':'lab','zone_id':'zone1','service_id':'%s','instance_id':'%s'}"
#define INSTANCE "{" INSTANCE_FIELDS "}"
#define INSTANCE_FIELDS                                                                            \
    "'region_id':'lab','zone_id':'zone1','service_id':'%s','instance_id':'%s',"                    \
    "'ip':'10.0.0.1','port':8080"

/* A server and one client of it. */
struct fixture {
    struct server_process server;
    struct http *http;
};

/* A cmocka setup: *state becomes a fixture. `args` as for server_process_start. */
int fixture_start(void **state, const char *const args[]);

/* A cmocka teardown: the exit code of the server must be 0. */
int fixture_stop(void **state);

/* Registers one instance, which must succeed. */
void call_register(struct http *http, const char *service_id, const char *instance_id);

/* Instances "i0", "i1", ... in one request, which must succeed. */
void call_register_many(struct http *http, const char *service_id, size_t count);

/* The same from number `from` on, each with this port and a text of its own in its metadata. */
void call_register_wide(struct http *http, const char *service_id, int from, int count, int port,
                        const char *text_of(int number));

/* Renews, or unregisters, instances `from` to `from + count - 1` of the above. */
struct http_response *call_with_keys(struct http *http, const char *path, const char *service_id,
                                     size_t from, size_t count);

/* The number of instances of the service; -1 if it is unknown. */
int call_count(struct http *http, const char *service_id);

/* Whether discovery returns this instance. */
bool call_shows(struct http *http, const char *service_id, const char *instance_id);

/* The version of the whole registry. */
json_int_t call_version(struct http *http);

/* Returns the value of a metric without labels; waits until it has a value. */
double call_metric(struct http *http, const char *name);
void call_wait_metric(struct http *http, const char *name, double value);

/* {'LIST':[item, item, ...]} with `item` filled in with the service id and "i<number>". The caller
 * frees it. */
char *call_list_body(const char *list, const char *item, const char *service_id, size_t from,
                     size_t count);

/* Posts a body as it is. */
struct http_response *call_post_bytes(struct http *http, const char *path, const void *body,
                                      size_t size);
