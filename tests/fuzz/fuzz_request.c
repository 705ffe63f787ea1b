/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests as the handlers see them, of clients and of peers: target, header, body. Handlers run
 * without a socket, on one registry per input and at a fixed time. A byte 0xff starts the next
 * request; a request is its first line (method and target), header lines, an empty line, a body.
 *
 * Each handler either fails with a message that fits a response, or its response is valid JSON. A
 * long poll that was suspended responds when it is handled again. After the last request, a second
 * node copies the snapshot, and both hold the same.
 */
#include <stdlib.h>
#include <string.h>

#include "artemis-core/json/codec_peer.h"
#include "artemis-server/log.h"
#include "artemis-server/registry/registry_replication.h"
#include "artemis-web/api/handlers.h"
#include "artemis-web/api/route_table.h"
#include "artemis-web/http/authentication.h"
#include "artemis-web/http/web_internal.h"
#include "artemis-web/push/long_poll_share.h"
#include "artemis-web/push/push_internal.h"
#include "tests/fuzz/support/fake_microhttpd.h"
#include "tests/fuzz/support/fuzz.h"

enum {
    REQUESTS_MAX = 8,
    LINE_BYTES = 2048,
    PIECES_MAX = 10000,
    TTL_MS = 30000,
    PUSH_CLIENTS = 4,
};

/* --- the node --------------------------------------------------------------------------------- */

static struct config config;
static struct engine engine = {.config = &config, .epoch = "run"};
static struct web web;
static struct push push;
static struct long_poll_share share; /* none is left: each long poll is deferred once */

static void unused(void *connection)
{
    (void)connection;
    abort();
}

static void unused_resume(void *const connections[], size_t count)
{
    (void)connections;
    (void)count;
    abort();
}

static struct registry *create_registry(const char *node_id)
{
    struct registry_options options = {.hash_seed = 1,
                                       .ttl_ms = TTL_MS,
                                       .cleanup_interval_ms = 60000,
                                       .guard_percent = 15,
                                       .guard_min_leases = 10,
                                       .guard_max_ms = 300000,
                                       .cache_expiry_ms = 300000,
                                       .change_log_capacity = 64,
                                       .node_id = node_id,
                                       .tombstone_ms = 600000};
    struct registry *registry = NULL;
    enum error error = registry_create(&options, now, &registry);
    assert(!error);
    return registry;
}

static void create_node(void)
{
    static const struct push_http http = {.resume = unused_resume, .close = unused};
    static bool is_prepared;
    engine.registry = create_registry("fuzz");
    registry_set_replicating(engine.registry, true);
    enum error error = response_cache_create(
        engine.registry, (struct response_cache_settings){.enabled = true, .expiry_ms = 300000},
        &engine.responses);
    assert(!error);
    if (is_prepared)
        return;
    is_prepared = true;
    log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, NULL);
    config_init(&config, "fuzz", 1);
    cluster_init(&engine.cluster);
    engine.started = now;
    strcpy(engine.url, "http://127.0.0.1:8080");
    atomic_store(&engine.state, NODE_READY);
    error = push_init(&engine, PUSH_CLIENTS, &http, &push);
    assert(!error);
    web.engine = &engine;
    web.push = &push;
    connections_init(&web.connections, 10);
}

static void free_node(void)
{
    registry_validate(engine.registry);
    registry_free(engine.registry);
    response_cache_free(engine.responses);
}

/* --- responses -------------------------------------------------------------------------------- */

static void check_error(const struct request *request, enum error error, const char *message)
{
    struct text response = {0};
    assert(error != ERR_NO_MEMORY && error != ERR_SYSTEM);
    assert(text_is_utf8(slice_of(message)));
    codec_write_error(&response, request_dialect(request), error, message[0] ? message : NULL);
    fuzz_check_response(&response);
}

static struct text read_stream(const struct response_stream *stream)
{
    struct text body = {0};
    bool ended = false;
    for (int i = 0; !ended; i++) {
        enum error error = stream->next(stream->context, &body, &ended);
        assert(!error && i < PIECES_MAX);
    }
    return body;
}

static void check_json(struct slice body)
{
    json_t *root = json_loadb(body.data, body.size, JSON_REJECT_DUPLICATES, NULL);
    assert(json_is_object(root));
    json_decref(root);
}

static void check_body(struct response *response)
{
    struct text streamed = {0};
    switch (response->kind) {
    case RESPONSE_TEXT:
        assert(!text_failed(&response->body));
        if (!response->content_type && !response->not_modified)
            check_json((struct slice){response->body.data, response->body.size});
        break;
    case RESPONSE_CONSTANT:
        check_json(response->constant);
        break;
    case RESPONSE_CACHED:
        check_json((struct slice){response->cached->body.data, response->cached->body.size});
        break;
    case RESPONSE_STREAM:
        streamed = read_stream(&response->stream);
        check_json((struct slice){streamed.data, streamed.size});
        text_free(&streamed);
        break;
    case RESPONSE_UPGRADE:
        assert(strlen(response->upgrade.accept) == WEBSOCKET_ACCEPT_BYTES - 1);
        break;
    case RESPONSE_LONG_POLL:
    case RESPONSE_DEFERRED:
        assert(false); /* handled again before */
        break;
    case RESPONSE_LATER:
        assert(false); /* no thread that reads the settings */
        break;
    }
}

/* --- requests --------------------------------------------------------------------------------- */

static enum error handle(struct request *request, struct response *response,
                         char message[MESSAGE_BYTES])
{
    enum error error = request->refused;
    if (error == ERR_NOT_A_PEER || error == ERR_CLUSTER_MISMATCH)
        authentication_describe_peer(request, error, message);
    if (!error && !request->long_poll_done && !request->is_deferred)
        error = request_inflate(request, message);
    return error ? error : request->route->handle(request, response, message);
}

static void serve(struct request *request)
{
    char message[MESSAGE_BYTES] = "";
    struct response response = {0};
    enum error error = handle(request, &response, message);
    if (!error && response.kind == RESPONSE_DEFERRED) {
        assert(request->is_deferred);
        response = (struct response){0};
        error = handle(request, &response, message);
    }
    if (!error && response.kind == RESPONSE_LONG_POLL) {
        assert(request->long_poll_done && request->has_reservation);
        assert(response.long_poll.until_ms - now.mono_ms <= LONG_POLL_MS_MAX);
        response_clear(&response);
        response = (struct response){0};
        error = handle(request, &response, message);
        assert(error || response.kind != RESPONSE_LONG_POLL);
    }
    if (request->has_reservation)
        push_release(&push);
    if (error)
        check_error(request, error, message);
    else
        check_body(&response);
    response_clear(&response);
}

static bool find_route(struct request *request, const char *method, char *target)
{
    char *query = strchr(target, '?');
    if (query) {
        *query++ = '\0';
        read_arguments(query);
    }
    decode(target);
    request->route = route_find(&api_routes, target, &request->java);
    request->is_head = strcmp(method, "HEAD") == 0;
    request->is_get = strcmp(method, "POST") != 0;
    if (!request->route)
        return false;
    assert(!request->java || strstr(target, "/artemis/"));
    return request->route->methods & (request->is_get ? METHOD_GET : METHOD_POST);
}

/* Reads the lines up to the empty one. Returns the rest: the body. */
static char *read_header(char *at)
{
    char *line;
    while ((line = strsep(&at, "\n")) && line[0]) {
        char *value = strchr(line, ':');
        if (!value)
            continue;
        *value++ = '\0';
        value += strspn(value, " ");
        add_field(MHD_HEADER_KIND, line, value, strlen(value));
    }
    return at;
}

static void run_request(const uint8_t *data, size_t size)
{
    static char head[LINE_BYTES + 1];
    struct request request = {.web = &web,
                              .engine = &engine,
                              .push = &push,
                              .long_poll_share = &share,
                              .mhd = (struct MHD_Connection *)&library,
                              .http_version = "HTTP/1.1",
                              .now = now};
    size_t kept = size < LINE_BYTES ? size : LINE_BYTES;
    memcpy(head, data, kept);
    head[kept] = '\0';
    library.count = 0;
    char *rest = head;
    char *target = strsep(&rest, "\n");
    const char *method = strsep(&target, " ");
    if (!target)
        return;
    char *body = rest ? read_header(rest) : NULL;
    if (!find_route(&request, method, target))
        return;
    request.header = library_header();
    if (body)
        text_append(&request.body, (const char *)data + (body - head),
                    size - (size_t)(body - head));
    if (request.route->class == ROUTE_PEER)
        request.refused = authentication_check_peer(&request);
    serve(&request);
    text_free(&request.body);
}

/* --- a second node ---------------------------------------------------------------------------- */

struct copy {
    struct registry *registry;
    bool has_ended_leases; /* a node does not store all of these */
};

static void copy_record(void *context, enum peer_list list, const struct wire_record *record)
{
    struct copy *copy = context;
    assert(list == PEER_LIST_INSTANCES || list == PEER_LIST_KEYS);
    enum error error = list == PEER_LIST_KEYS
                           ? registry_apply_unregister(copy->registry, record, now)
                           : registry_apply(copy->registry, record, now);
    assert(!error);
    copy->has_ended_leases |= list == PEER_LIST_INSTANCES && record->age_ms >= TTL_MS;
}

static void check_snapshot(void)
{
    static uint64_t ours[DIGEST_BUCKETS];
    static uint64_t copied[DIGEST_BUCKETS];
    char message[MESSAGE_BYTES];
    bool java;
    struct copy copy = {.registry = create_registry("copy")};
    struct peer_reader *reader = NULL;
    struct response response = {0};
    struct request request = {
        .web = &web, .engine = &engine, .push = &push, .long_poll_share = &share, .now = now};
    const struct route *route =
        route_find(&api_routes, "/api/replication/registry/services", &java);
    enum error error = route->handle(&request, &response, message);
    assert(!error && response.kind == RESPONSE_STREAM);
    struct text body = read_stream(&response.stream);
    error = peer_reader_create(copy_record, NULL, &copy, &reader);
    assert(!error);
    error = peer_reader_feed(reader, (struct slice){body.data, body.size});
    assert(!error && peer_reader_complete(reader) && peer_reader_invalid(reader) == 0);
    registry_digests(engine.registry, ours);
    registry_digests(copy.registry, copied);
    assert(copy.has_ended_leases || memcmp(ours, copied, sizeof(ours)) == 0);
    peer_reader_free(reader);
    text_free(&body);
    response_clear(&response);
    registry_free(copy.registry);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    create_node();
    for (int i = 0; i < REQUESTS_MAX && size > 0; i++) {
        const uint8_t *end = memchr(data, 0xff, size);
        size_t piece = end ? (size_t)(end - data) : size;
        run_request(data, piece);
        size_t taken = end ? piece + 1 : piece;
        data += taken;
        size -= taken;
    }
    registry_tick(engine.registry, now);
    check_snapshot();
    free_node();
    return 0;
}
