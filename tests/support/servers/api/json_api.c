/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/servers/api/json_api.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/support/certificates.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/servers/cluster.h"
#include "tests/support/wait.h"

enum { BODY_BYTES_MAX = 16384, MOMENT_NS = 20 * 1000 * 1000, NS_PER_SEC = 1000 * 1000 * 1000 };

/* --- requests --------------------------------------------------------------------------------- */

struct request {
    char body[BODY_BYTES_MAX];
    size_t size;
};

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *data,
                              size_t *size, void **space)
{
    struct json_api *api = context;
    struct request *request = *space;
    (void)version;
    if (!request) {
        *space = calloc(1, sizeof *request);
        return *space ? MHD_YES : MHD_NO;
    }
    if (*size > 0) {
        assert_true(request->size + *size < BODY_BYTES_MAX);
        memcpy(request->body + request->size, data, *size);
        request->size += *size;
        *size = 0;
        return MHD_YES;
    }
    return api->handler(api->context, connection, method, path, request->body);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **space,
                         enum MHD_RequestTerminationCode why)
{
    (void)context;
    (void)connection;
    (void)why;
    free(*space);
    *space = NULL;
}

const char *json_api_argument(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, name);
}

enum MHD_Result json_api_respond(struct MHD_Connection *connection, unsigned status,
                                 const char *body, const char *const headers[])
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(body), (void *)body, MHD_RESPMEM_MUST_COPY);
    assert_non_null(response);
    for (size_t i = 0; headers && headers[i]; i += 2)
        MHD_add_response_header(response, headers[i], headers[i + 1]);
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

/* --- waiting ---------------------------------------------------------------------------------- */

void json_api_wait_for_change(struct json_api *api)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += MOMENT_NS;
    if (until.tv_nsec >= NS_PER_SEC) {
        until.tv_sec++;
        until.tv_nsec -= NS_PER_SEC;
    }
    pthread_cond_timedwait(&api->on_change, &api->lock, &until);
}

unsigned json_api_count(struct json_api *api, const unsigned *counter)
{
    pthread_mutex_lock(&api->lock);
    unsigned value = *counter;
    pthread_mutex_unlock(&api->lock);
    return value;
}

void json_api_wait_above(struct json_api *api, const unsigned *counter, unsigned value)
{
    int64_t deadline_ms = wait_deadline_ms();
    pthread_mutex_lock(&api->lock);
    while (*counter <= value && wait_now_ms() < deadline_ms)
        json_api_wait_for_change(api);
    bool is_above = *counter > value;
    pthread_mutex_unlock(&api->lock);
    if (!is_above)
        fail_msg("the server gets no further request");
}

/* --- start and stop --------------------------------------------------------------------------- */

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    char *text = calloc(1, BODY_BYTES_MAX);
    assert_non_null(file);
    assert_non_null(text);
    assert_true(fread(text, 1, BODY_BYTES_MAX - 1, file) > 0);
    fclose(file);
    return text;
}

static void make_certificate(struct json_api *api)
{
    certificates_make_authority(&api->folder, "authority");
    certificates_make(&api->folder, "authority", "server", NULL);
    char *authority = read_file(certificates_path(&api->folder, "authority.pem"));
    temp_folder_write(&api->folder, "ca.crt", authority);
    free(authority);
    api->certificate = read_file(certificates_path(&api->folder, "server.pem"));
    api->key = read_file(certificates_path(&api->folder, "server.key"));
}

void json_api_init(struct json_api *api, bool has_tls, json_api_handler *handler, void *context)
{
    pthread_condattr_t attributes;
    memset(api, 0, sizeof *api);
    api->port = cluster_choose_port();
    api->has_tls = has_tls;
    api->handler = handler;
    api->context = context;
    snprintf(api->url, sizeof api->url, "%s://127.0.0.1:%u", has_tls ? "https" : "http", api->port);
    pthread_mutex_init(&api->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&api->on_change, &attributes);
    pthread_condattr_destroy(&attributes);
    temp_folder_make(&api->folder);
    if (has_tls)
        make_certificate(api);
}

void json_api_start(struct json_api *api)
{
    unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(api->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, api->certificate},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, api->key},
        {MHD_OPTION_END, 0, NULL},
    };
    api->is_stopping = false;
    api->daemon =
        MHD_start_daemon(flags | (api->has_tls ? MHD_USE_TLS : 0), api->port, NULL, NULL, handle,
                         api, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_LISTENING_ADDRESS_REUSE,
                         1u, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_ARRAY,
                         tls + (api->has_tls ? 0 : 2), MHD_OPTION_END);
    assert_non_null(api->daemon);
}

void json_api_stop(struct json_api *api)
{
    if (!api->daemon)
        return;
    pthread_mutex_lock(&api->lock);
    api->is_stopping = true;
    pthread_cond_broadcast(&api->on_change);
    pthread_mutex_unlock(&api->lock);
    MHD_stop_daemon(api->daemon);
    api->daemon = NULL;
}

void json_api_free(struct json_api *api)
{
    json_api_stop(api);
    free(api->certificate);
    free(api->key);
    pthread_mutex_destroy(&api->lock);
    pthread_cond_destroy(&api->on_change);
    temp_folder_remove(&api->folder);
    memset(api, 0, sizeof *api);
}
