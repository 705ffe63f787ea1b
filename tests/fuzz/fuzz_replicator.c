/* SPDX-License-Identifier: Apache-2.0
 *
 * What a peer responds to the messages of a replicator, through libcurl, the peer client and the
 * reader of responses into the replicator and the registry. A socket pair is the connection; time
 * is virtual.
 *
 * A byte 0xff starts the next response. The first byte of a response selects its head: raw (it is
 * part of the input), a body with status 200, the same with gzip, a status of its own, or a good
 * health response; 'd' sends a body byte by byte. When there are no more responses, connections are
 * closed.
 *
 * Whatever arrives, each message gets one result, the registry takes no more records than there are
 * objects in the input, and the node becomes ready.
 */
#include <curl/curl.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "artemis-core/base/gzip.h"
#include "artemis-server/clock.h"
#include "artemis-server/replication/peer_client.h"
#include "tests/fuzz/support/fuzz.h"

enum {
    PEER = 3,
    CONNECTIONS_MAX = 64,
    RESPONSES_MAX = 32,
    TURNS_MAX = 200,
    STEP_MS = 1000,
    TTL_MS = 30000,
    GRACE_MS = 30000,
    RUNS = 4, /* of libcurl, for one piece of a response */
    OWN_INSTANCES = 2,
};

static struct moment now;

struct moment clock_now(void)
{
    return now;
}

uint64_t clock_mono_ns(void)
{
    return now.mono_ms * 1000000;
}

/* --- connections ------------------------------------------------------------------------------ */

/* The ends of the peer. */
static struct {
    int fds[CONNECTIONS_MAX];
    size_t count;
} peer;

static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    int ends[2];
    (void)context;
    (void)purpose;
    (void)address;
    if (peer.count == CONNECTIONS_MAX ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends))
        return CURL_SOCKET_BAD;
    peer.fds[peer.count++] = ends[1];
    return ends[0];
}

/* Takes the place of the C library's function, for libcurl: a socket pair is connected. */
int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t size)
{
    (void)fd;
    (void)address;
    (void)size;
    return 0;
}

/* Takes the place of libcurl's: the handle gets one end of a socket pair. */
CURLMcode curl_multi_add_handle(CURLM *multi, CURL *easy)
{
    static CURLMcode (*add)(CURLM *, CURL *);
    if (!add)
        *(void **)&add = dlsym(RTLD_NEXT, "curl_multi_add_handle");
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    return add(multi, easy);
}

/* --- the node --------------------------------------------------------------------------------- */

static struct {
    struct registry *registry;
    struct replicator *replicator;
    struct peer_client *client;
    size_t in_flight;
    bool is_legacy;
} node;

static void on_record(void *context, const struct message *message,
                      const struct wire_record *record)
{
    (void)context;
    replicator_on_record(node.replicator, message, record, now);
}

static void on_response(void *context, const struct peer_response *response)
{
    struct peer_view view;
    (void)context;
    assert(node.in_flight > 0);
    node.in_flight--;
    assert((response->result == SEND_DELIVERED) == !response->error_text[0]);
    assert(text_is_utf8(slice_of(response->node_id)));
    if (response->has_health)
        replicator_on_health(node.replicator, response->message, &response->health, now);
    if (response->digests)
        replicator_on_digests(node.replicator, response->message, response->digests, now);
    replicator_on_result(node.replicator, response->message, response->result, now);
    replicator_view(node.replicator, PEER, now, &view);
    node.is_legacy = view.is_legacy;
}

static void register_own(int number)
{
    char id[8];
    struct instance *instance = NULL;
    struct field_problem problem;
    snprintf(id, sizeof(id), "own%d", number);
    struct instance_spec spec = {.text = {[FIELD_REGION] = SLICE("r"),
                                          [FIELD_ZONE] = SLICE("z"),
                                          [FIELD_SERVICE] = SLICE("s"),
                                          [FIELD_INSTANCE] = slice_of(id),
                                          [FIELD_IP] = SLICE("1")}};
    enum error error = instance_create(&spec, &instance, &problem);
    assert(!error);
    error = registry_register(node.registry, instance, now);
    assert(!error);
    instance_unref(instance);
}

static void create_node(void)
{
    static const struct peer_client_options client = {
        .node_id = "self", .cluster_id = "c", .epoch = "run", .region = "r", .timeout_ms = 5000};
    static const struct peer_client_handler handler = {.on_record = on_record,
                                                       .on_response = on_response};
    const struct registry_options options = {.hash_seed = 1,
                                             .ttl_ms = TTL_MS,
                                             .cleanup_interval_ms = 60000,
                                             .guard_percent = 15,
                                             .guard_min_leases = 10,
                                             .guard_max_ms = 300000,
                                             .cache_expiry_ms = 300000,
                                             .change_log_capacity = 64,
                                             .node_id = "self",
                                             .tombstone_ms = 600000};
    const struct replicator_options replicator = {.batch_size = 4,
                                                  .batch_interval_ms = 100,
                                                  .max_retries = 3,
                                                  .anti_entropy_ms = 10000,
                                                  .fetch_max = 2,
                                                  .health_interval_ms = 5000,
                                                  .snapshot_timeout_ms = 60000,
                                                  .bootstrap_grace_ms = GRACE_MS,
                                                  .bootstrap_refill_ms = GRACE_MS / 2,
                                                  .seed = 7};
    now = (struct moment){1000000, 1771056000000};
    node.in_flight = 0;
    node.is_legacy = false;
    enum error error = registry_create(&options, now, &node.registry);
    assert(!error);
    error = replicator_create(&replicator, node.registry, now, &node.replicator);
    assert(!error);
    error = peer_client_create(&client, node.registry, &handler, &node.client);
    assert(!error);
    replicator_add_peer(node.replicator, PEER, now);
    for (int i = 0; i < OWN_INSTANCES; i++)
        register_own(i);
}

static void free_node(void)
{
    peer_client_free(node.client);
    replicator_free(node.replicator);
    registry_validate(node.registry);
    registry_free(node.registry);
}

static void run_client(void)
{
    for (int i = 0; i < RUNS; i++)
        peer_client_run(node.client);
}

/* --- responses -------------------------------------------------------------------------------- */

#define NAMES                                                                                      \
    "X-Artemis-Node: n2\r\nX-Artemis-Cluster: c\r\nX-Artemis-State: ready\r\n"                     \
    "X-Artemis-Run: other\r\nX-Artemis-Clock: 1771056000500\r\n"

static void send_bytes(int fd, const void *bytes, size_t size, size_t piece)
{
    for (size_t at = 0; at < size; at += piece) {
        size_t count = size - at < piece ? size - at : piece;
        if (send(fd, (const char *)bytes + at, count, MSG_NOSIGNAL) < 0)
            return;
        if (piece < size)
            peer_client_run(node.client);
    }
}

static void send_head(int fd, const char *status, const char *fields, size_t size)
{
    char head[512];
    int length = snprintf(head, sizeof(head),
                          "HTTP/1.1 %s\r\n" NAMES "%sConnection: close\r\n"
                          "Content-Length: %zu\r\n\r\n",
                          status, fields, size);
    send_bytes(fd, head, (size_t)length, (size_t)length);
}

static void send_body(int fd, const char *status, struct slice body, size_t piece)
{
    send_head(fd, status, "", body.size);
    send_bytes(fd, body.data, body.size, piece);
}

static void send_gzip(int fd, struct slice body)
{
    struct text packed = {0};
    if (gzip_compress(body, &packed))
        return;
    send_head(fd, "200 OK", "Content-Encoding: gzip\r\n", packed.size);
    send_bytes(fd, packed.data, packed.size, packed.size);
    text_free(&packed);
}

static void send_response(int fd, struct slice response)
{
    struct slice body = {response.data + 1, response.size - 1};
    char status[8] = "500";
    switch (response.data[0]) {
    case 'b':
        send_body(fd, "200 OK", body, body.size + 1);
        break;
    case 'd':
        send_body(fd, "200 OK", body, 1);
        break;
    case 'z':
        send_gzip(fd, body);
        break;
    case 'h':
        send_body(fd, "200 OK", SLICE("OK"), 2);
        break;
    case 's':
        if (body.size >= 3)
            memcpy(status, body.data, 3);
        send_body(fd, status, body, body.size + 1);
        break;
    default:
        send_bytes(fd, body.data, body.size, body.size + 1);
        break;
    }
}

struct input {
    struct slice rest;
    size_t responses;
};

/* Responds on each connection and closes it. */
static void serve(struct input *input)
{
    static char request[64 * 1024];
    for (size_t i = 0; i < peer.count; i++) {
        while (recv(peer.fds[i], request, sizeof(request), 0) > 0)
            peer_client_run(node.client); /* the rest of a large request */
        if (input->rest.size > 0 && input->responses++ < RESPONSES_MAX) {
            const char *end = memchr(input->rest.data, 0xff, input->rest.size);
            size_t size = end ? (size_t)(end - input->rest.data) : input->rest.size;
            if (size > 0)
                send_response(peer.fds[i], (struct slice){input->rest.data, size});
            size_t taken = end ? size + 1 : size;
            input->rest.data += taken;
            input->rest.size -= taken;
        }
        run_client();
        close(peer.fds[i]);
    }
    peer.count = 0;
    run_client();
    assert(node.in_flight == 0);
}

/* --- turns ------------------------------------------------------------------------------------ */

static void run_turn(struct input *input)
{
    struct message *message;
    registry_tick(node.registry, now);
    replicator_drain_dirty(node.replicator, now);
    while ((message = replicator_next(node.replicator, now))) {
        node.in_flight++;
        const struct peer_address receiver = {
            .url = "http://10.0.0.2:80", .name = "", .is_legacy = node.is_legacy};
        peer_client_send(node.client, &receiver, message);
    }
    run_client();
    serve(input);
    uint64_t due_ms = replicator_due_ms(node.replicator, now);
    uint64_t step_ms = due_ms > now.mono_ms ? due_ms - now.mono_ms : 1;
    step_ms = step_ms < STEP_MS ? step_ms : STEP_MS;
    now.mono_ms += step_ms;
    now.wall_ms += step_ms;
}

static size_t count_objects(struct slice input)
{
    size_t count = 0;
    for (size_t i = 0; i < input.size; i++)
        count += input.data[i] == '{';
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {.rest = fuzz_slice(data, size)};
    struct registry_stats stats;
    create_node();
    size_t objects = count_objects(input.rest);
    uint64_t quiet_ms = 0;
    for (int turn = 0; turn < TURNS_MAX && !(quiet_ms && now.mono_ms > quiet_ms); turn++) {
        run_turn(&input);
        if (!quiet_ms && (input.rest.size == 0 || input.responses >= RESPONSES_MAX))
            quiet_ms = now.mono_ms + GRACE_MS + STEP_MS;
    }
    if (quiet_ms && now.mono_ms > quiet_ms)
        assert(replicator_is_ready(node.replicator));
    registry_stats(node.registry, &stats);
    assert(stats.instances <= objects + OWN_INSTANCES);
    free_node();
    return 0;
}
