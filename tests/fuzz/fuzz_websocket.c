/* SPDX-License-Identifier: Apache-2.0
 *
 * Input of a WebSocket, cut anywhere, through the push thread: the fuzzer runs its turns, and a
 * socket pair is the connection. Whatever arrives, the output consists of whole frames: texts that
 * are JSON, pongs and closes. Nothing is left of the connection.
 *
 * The first byte selects the endpoint and the format of the rest: raw bytes, or a list of frames (a
 * byte of header, a byte of size, the payload), which are masked correctly so that more of them are
 * accepted. The second byte is the seed of the cuts.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "artemis-server/registry/registry.h"
#include "artemis-web/push/dispatch.h"
#include "artemis-web/push/long_polls.h"
#include "artemis-web/push/push_internal.h"
#include "artemis-web/push/websocket.h"
#include "tests/fuzz/support/fuzz.h"

enum { BYTES_MAX = 256 * 1024, OUTPUT_MAX = 4 * 1024 * 1024, AS_FRAMES = 4, WIDE = 8 };

static struct config config;
static struct engine engine = {.config = &config, .epoch = "run"};
static struct push push;

/* The socket stands for what the HTTP server keeps. */
static void close_upgraded(void *upgraded)
{
    close((int)(intptr_t)upgraded);
}

static void resume(void *const connections[], size_t count)
{
    (void)connections;
    (void)count;
    assert(false); /* there are no long polls */
}

static void prepare(void)
{
    struct registry_options options = {.hash_seed = 1,
                                       .ttl_ms = 3600 * 1000,
                                       .cleanup_interval_ms = 60000,
                                       .cache_expiry_ms = 300000,
                                       .change_log_capacity = 64};
    struct moment now = {1000, 1771056000000};
    enum error error = registry_create(&options, now, &engine.registry);
    assert(!error);
    atomic_store(&engine.state, NODE_READY);
    const struct push_http http = {.resume = resume, .close = close_upgraded};
    error = push_init(&engine, 10, &http, &push);
    assert(!error);
    push.now = now;
}

/* Another change of the service "s". */
static void change(void)
{
    static int64_t port;
    struct instance *instance = NULL;
    struct field_problem problem;
    struct instance_spec spec = {.text = {[FIELD_REGION] = SLICE("r"),
                                          [FIELD_ZONE] = SLICE("z"),
                                          [FIELD_SERVICE] = SLICE("s"),
                                          [FIELD_INSTANCE] = SLICE("i"),
                                          [FIELD_IP] = SLICE("1")},
                                 .port = port++ % 65536};
    enum error error = instance_create(&spec, &instance, &problem);
    assert(!error);
    error = registry_register(engine.registry, instance, push.now);
    assert(!error);
    instance_unref(instance);
}

/* --- input ------------------------------------------------------------------------------------ */

static size_t write_frame(uint8_t head, const uint8_t *payload, size_t size, uint8_t *out)
{
    static const uint8_t mask[4] = {1, 2, 3, 4};
    size_t at = 0;
    out[at++] = head;
    out[at++] = (uint8_t)(0x80 | (size <= 125 ? size : 126));
    if (size > 125) {
        out[at++] = (uint8_t)(size >> 8);
        out[at++] = (uint8_t)size;
    }
    memcpy(out + at, mask, sizeof(mask));
    at += sizeof(mask);
    for (size_t i = 0; i < size; i++)
        out[at++] = payload[i] ^ mask[i % 4];
    return at;
}

/* The list of frames as bytes. */
static size_t write_frames(const uint8_t *data, size_t size, bool wide, uint8_t *out)
{
    size_t at = 0;
    while (size >= 2 && at + 64 * 1024 < BYTES_MAX) {
        size_t wanted = (size_t)data[1] * (wide ? 64 : 1);
        size_t payload = wanted < size - 2 ? wanted : size - 2;
        at += write_frame(data[0], data + 2, payload, out + at);
        data += 2 + payload;
        size -= 2 + payload;
    }
    return at;
}

/* --- output ----------------------------------------------------------------------------------- */

static void check_frame(uint8_t head, const uint8_t *payload, size_t size)
{
    assert(head == 0x81 || head == 0x88 || head == 0x8a);
    if (head == 0x81) {
        json_t *json = json_loadb((const char *)payload, size, JSON_REJECT_DUPLICATES, NULL);
        assert(json_is_object(json));
        json_decref(json);
    } else {
        assert(size <= 125);
        assert(head != 0x88 || size != 1);
    }
}

/* All whole frames; returns where the first that is not whole begins. */
static size_t check_frames(const uint8_t *bytes, size_t size)
{
    size_t at = 0;
    for (;;) {
        uint64_t payload = size - at >= 2 ? bytes[at + 1] : 0;
        size_t wide = payload == 126 ? 2 : payload == 127 ? 8 : 0;
        if (size - at < 2 + wide)
            return at;
        assert(payload < 128);
        if (wide)
            payload = 0;
        for (size_t i = 0; i < wide; i++)
            payload = payload << 8 | bytes[at + 2 + i];
        if (size - at - 2 - wide < payload)
            return at;
        check_frame(bytes[at], bytes + at + 2 + wide, (size_t)payload);
        at += 2 + wide + (size_t)payload;
    }
}

struct output {
    int socket;
    uint8_t *bytes;
    size_t size;
};

static void read_output(struct output *output)
{
    ssize_t got;
    while ((got = recv(output->socket, output->bytes + output->size, OUTPUT_MAX - output->size,
                       MSG_DONTWAIT)) > 0) {
        output->size += (size_t)got;
        size_t whole = check_frames(output->bytes, output->size);
        memmove(output->bytes, output->bytes + whole, output->size - whole);
        output->size -= whole;
    }
}

/* --- the connection --------------------------------------------------------------------------- */

static void connect_one(enum endpoint endpoint, struct output *output)
{
    int ends[2];
    int made = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
    assert(made == 0);
    output->socket = ends[1];
    struct websocket *websocket =
        websocket_create(&push, endpoint, ends[0], (void *)(intptr_t)ends[0]);
    bool reserved = push_reserve(&push);
    assert(websocket && reserved);
    push_start_client(&push, &websocket->client);
}

/* Sends the bytes in pieces, with changes of the service in between. */
static void feed(struct output *output, const uint8_t *bytes, size_t size, uint32_t seed)
{
    struct epoll_event events[4];
    for (size_t at = 0; at < size && !LIST_EMPTY(&push.websockets);) {
        seed = seed * 1664525 + 1013904223;
        size_t piece = seed >> 30 ? (seed >> 8) % 64 + 1 : (seed >> 8) % 20000 + 1;
        piece = piece < size - at ? piece : size - at;
        ssize_t sent = send(output->socket, bytes + at, piece, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0)
            break; /* the WebSocket does not receive any more */
        at += (size_t)sent;
        if (seed % 4 == 0)
            change();
        push_turn(&push, events, epoll_wait(push.epoll, events, 4, 0), push.now);
        read_output(output);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t frames[BYTES_MAX];
    static uint8_t output_bytes[OUTPUT_MAX];
    struct output output = {.bytes = output_bytes};
    if (!engine.registry)
        prepare();
    if (size < 2)
        return 0;
    connect_one(data[0] % ENDPOINT_COUNT, &output);
    if (data[0] & AS_FRAMES) {
        size_t bytes = write_frames(data + 2, size - 2, data[0] & WIDE, frames);
        feed(&output, frames, bytes, data[1]);
    } else {
        feed(&output, data + 2, size - 2, data[1]);
    }
    push_end_all(&push);
    read_output(&output);
    close(output.socket);
    assert(LIST_EMPTY(&push.websockets) && push.counters.clients == 0 &&
           push.counters.subscriptions == 0 && push.counters.filters == 0);
    return 0;
}
