/* SPDX-License-Identifier: Apache-2.0
 *
 * What a client may send on a WebSocket, in any pieces, through the read path of the push thread:
 * the test is its loop, and a pair of sockets the connection. Whatever comes, what goes out are
 * whole frames of texts that are JSON, pongs and closes, and nothing is left of the connection.
 *
 * The first byte chooses the endpoint and how the rest is read: as raw bytes, or as a list of
 * frames (a byte of header, a byte of size, the payload), which are masked as they should be, so
 * that more of them come through. The second byte is a seed for where the pieces are cut.
 */
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "artemis-server/registry/registry_watch.h"
#include "artemis-web/push/push_internal.h"
#include "tests/fuzz/fuzz.h"

enum { BYTES_MAX = 256 * 1024, HEARD_MAX = 4 * 1024 * 1024, AS_FRAMES = 4, WIDE = 8 };

static struct config config;
static struct engine engine = {.config = &config, .epoch = "run"};
static struct push push;

/* In place of libmicrohttpd's; the handle is the socket. */
enum MHD_Result MHD_upgrade_action(struct MHD_UpgradeResponseHandle *upgraded,
                                   enum MHD_UpgradeAction action, ...)
{
    assert(action == MHD_UPGRADE_ACTION_CLOSE);
    close((int)(intptr_t)upgraded);
    return MHD_YES;
}

static void prepare(void)
{
    struct registry_options options = {.hash_seed = 1,
                                       .ttl_ms = 3600 * 1000,
                                       .cleanup_interval_ms = 60000,
                                       .cache_enabled = true,
                                       .cache_expiry_ms = 300000,
                                       .change_log_capacity = 64};
    struct moment now = {1000, 1771056000000};
    enum error error = registry_create(&options, now, &engine.registry);
    assert(!error);
    atomic_store(&engine.state, NODE_READY);
    error = push_init(&engine, 10, &push);
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

/* --- what is said ----------------------------------------------------------------------------- */

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

/* --- what is heard ---------------------------------------------------------------------------- */

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

struct ear {
    int socket;
    uint8_t *bytes;
    size_t size;
};

static void hear(struct ear *ear)
{
    ssize_t got;
    while ((got = recv(ear->socket, ear->bytes + ear->size, HEARD_MAX - ear->size, MSG_DONTWAIT)) >
           0) {
        ear->size += (size_t)got;
        size_t whole = check_frames(ear->bytes, ear->size);
        memmove(ear->bytes, ear->bytes + whole, ear->size - whole);
        ear->size -= whole;
    }
}

/* --- the connection --------------------------------------------------------------------------- */

static struct websocket *connect_one(enum endpoint endpoint, struct ear *ear)
{
    int ends[2];
    struct websocket *websocket = calloc(1, sizeof(*websocket));
    int made = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
    assert(websocket && made == 0);
    ear->socket = ends[1];
    websocket->source.kind = SOURCE_WEBSOCKET;
    websocket->push = &push;
    websocket->endpoint = endpoint;
    websocket->socket = ends[0];
    websocket->upgraded = (struct MHD_UpgradeResponseHandle *)(intptr_t)ends[0];
    bool reserved = push_reserve(&push);
    assert(reserved);
    websocket_begin(&push, websocket);
    return websocket;
}

static void free_closed(void)
{
    while (push.closed) {
        struct websocket *websocket = (struct websocket *)push.closed;
        push.closed = push.closed->next;
        wslay_event_context_free(websocket->reader);
        free(websocket);
    }
}

/* Feeds the bytes in pieces, with changes in between. */
static void feed(struct websocket *websocket, struct ear *ear, const uint8_t *bytes, size_t size,
                 uint32_t seed)
{
    for (size_t at = 0; at < size && websocket->state != WEBSOCKET_CLOSED;) {
        seed = seed * 1664525 + 1013904223;
        size_t piece = seed >> 30 ? (seed >> 8) % 64 + 1 : (seed >> 8) % 20000 + 1;
        piece = piece < size - at ? piece : size - at;
        ssize_t sent = send(ear->socket, bytes + at, piece, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0)
            break; /* it does not read any more */
        at += (size_t)sent;
        websocket_on_event(websocket, EPOLLIN);
        if (seed % 4 == 0)
            change();
        push_dispatch(&push, registry_revision(engine.registry));
        if (websocket->state != WEBSOCKET_CLOSED)
            websocket_on_event(websocket, EPOLLOUT);
        hear(ear);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t frames[BYTES_MAX];
    static uint8_t heard[HEARD_MAX];
    struct ear ear = {.bytes = heard};
    if (!engine.registry)
        prepare();
    if (size < 2)
        return 0;
    struct websocket *websocket = connect_one(data[0] % ENDPOINT_COUNT, &ear);
    if (data[0] & AS_FRAMES) {
        size_t bytes = write_frames(data + 2, size - 2, data[0] & WIDE, frames);
        feed(websocket, &ear, frames, bytes, data[1]);
    } else {
        feed(websocket, &ear, data + 2, size - 2, data[1]);
    }
    websocket_end(websocket);
    hear(&ear);
    close(ear.socket);
    free_closed();
    assert(!push.websockets && push.counters.clients == 0 && push.counters.subscriptions == 0);
    return 0;
}
