/* SPDX-License-Identifier: Apache-2.0
 *
 * repeat - sends one kind of request again and again over one connection, and checks each response.
 * instructions.sh counts what the server spends on them.
 *
 *   repeat --port PORT [--kind KIND] [--requests 1000] [--instances 1000]
 *
 * A KIND is heartbeat, heartbeat_100 (keys), discovery, discovery_filtered (by zone), register,
 * register_100 (instances), peer_heartbeat_100 (as a node without stamps sends it), peer_renewals
 * (1,000 keys with stamps) or push_50 (a change that 50 WebSockets receive). The instances are
 * those of `fill --count INSTANCES`, 10 to a service, taken in turn; `register` registers new ones.
 */
#include "bench/common.h"

enum { INSTANCES_PER_SERVICE = 10, BATCH = 100, PEER_BATCH = 1000, SUBSCRIBERS = 50 };

static uint32_t instances;

static void discover_by(struct http *server, uint32_t n, const char *filter)
{
    char path[128];

    snprintf(path, sizeof path, "/api/discovery/service?service_id=bench-%06u%s",
             n % (instances / INSTANCES_PER_SERVICE), filter);
    struct http_response response = http_get(server, path);
    if (response.status != 200)
        die("%s: status %d: %.300s", path, response.status, response.body);
}

static void discover(struct http *server, uint32_t n)
{
    discover_by(server, n, "");
}

static void discover_filtered(struct http *server, uint32_t n)
{
    discover_by(server, n, "&zone=zone1");
}

static void heartbeat(struct http *server, uint32_t n)
{
    http_renew(server, n % instances, 1, INSTANCES_PER_SERVICE);
}

static void heartbeat_100(struct http *server, uint32_t n)
{
    http_renew(server, n * BATCH % instances, BATCH, INSTANCES_PER_SERVICE);
}

static void register_new(struct http *server, uint32_t n)
{
    http_register(server, instances + n, 1, INSTANCES_PER_SERVICE);
}

static void register_100(struct http *server, uint32_t n)
{
    http_register(server, instances + n * BATCH, BATCH, INSTANCES_PER_SERVICE);
}

static void peer_heartbeat_100(struct http *server, uint32_t n)
{
    http_post_batch(server, "/api/replication/registry/batch-heartbeat",
                    "X-Artemis-Replication: true\r\n", "instance_keys", text_add_key,
                    n * BATCH % instances, BATCH, INSTANCES_PER_SERVICE);
}

static void text_add_renewal(struct text *t, uint32_t n, uint32_t per_service)
{
    text_add_ids(t, n, per_service);
    text_append_string(t, ",\"version\":115900000000000000,\"origin\":\"node-1\",\"age_ms\":12}");
}

static void peer_renewals(struct http *server, uint32_t n)
{
    http_post_batch(server, "/api/replication/registry/batch-heartbeat",
                    "X-Artemis-Replication: true\r\n", "instance_keys", text_add_renewal,
                    n * PEER_BATCH % instances, PEER_BATCH, INSTANCES_PER_SERVICE);
}

/* --- push ------------------------------------------------------------------------------------- */

static struct http subscribers[SUBSCRIBERS];

/* Registers an instance of the service that is followed, each time with another port. */
static void change(struct http *server, uint32_t port)
{
    struct text body = {0};

    text_printf(&body,
                "{\"instances\":[{\"region_id\":\"local\",\"zone_id\":\"zone1\",\"service_id\":"
                "\"pushed\",\"instance_id\":\"i\",\"ip\":\"10.0.0.1\",\"port\":%u}]}",
                port);
    struct http_response response = http_post(server, "/api/registry/register", &body);
    if (response.status != 200 || !strstr(response.body, "\"success\""))
        die("register: status %d: %.300s", response.status, response.body);
    text_free(&body);
}

/* Reads messages until one contains `wanted`. Each has come in one piece: it is small. */
static void receive_message(struct http *subscriber, const char *wanted)
{
    do {
        text_clear(&subscriber->in);
        http_read_more(subscriber);
    } while (!memmem(subscriber->in.data, subscriber->in.size, wanted, strlen(wanted)));
}

static void subscribe(struct http *server, uint16_t port)
{
    static const char upgrade[] = "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                                  "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n\r\n";
    static const char text[] = "{\"type\":\"subscribe\",\"service_id\":\"pushed\"}";
    char frame[6 + sizeof text - 1] = {(char)0x81, (char)(0x80 | (sizeof text - 1))}; /* mask 0 */

    memcpy(frame + 6, text, sizeof text - 1);
    change(server, 1);
    for (int i = 0; i < SUBSCRIBERS; i++) {
        http_open(&subscribers[i], port);
        http_send(&subscribers[i], upgrade, sizeof upgrade - 1);
        receive_message(&subscribers[i], " 101 ");
        http_send(&subscribers[i], frame, sizeof frame);
        receive_message(&subscribers[i], "\"subscribed\"");
    }
}

static void push(struct http *server, uint32_t n)
{
    char wanted[32];

    snprintf(wanted, sizeof wanted, "\"port\":%u", n + 1024);
    change(server, n + 1024);
    for (int i = 0; i < SUBSCRIBERS; i++)
        receive_message(&subscribers[i], wanted);
}

static const struct {
    const char *name;
    void (*send)(struct http *server, uint32_t n);
} kinds[] = {
    {"heartbeat", heartbeat},
    {"heartbeat_100", heartbeat_100},
    {"discovery", discover},
    {"discovery_filtered", discover_filtered},
    {"register", register_new},
    {"peer_heartbeat_100", peer_heartbeat_100},
    {"register_100", register_100},
    {"peer_renewals", peer_renewals},
    {"push_50", push},
};

int main(int argc, char **argv)
{
    (void)argc;
    uint16_t port = option_port(argv);
    const char *kind = option_text(argv, "--kind", "heartbeat");
    uint32_t requests = option_number(argv, "--requests", 1000);
    instances = option_number(argv, "--instances", 1000);
    struct http server;
    size_t found = 0;

    while (found < sizeof(kinds) / sizeof(kinds[0]) && strcmp(kinds[found].name, kind) != 0)
        found++;
    if (found == sizeof(kinds) / sizeof(kinds[0]))
        die("%s: unknown kind %s", argv[0], kind);
    http_open(&server, port);
    if (kinds[found].send == push)
        subscribe(&server, port);
    for (uint32_t n = 0; n < requests; n++)
        kinds[found].send(&server, n);
    http_close(&server);
    return 0;
}
