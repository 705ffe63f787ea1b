/* SPDX-License-Identifier: Apache-2.0
 *
 * repeat - sends one kind of request again and again over one connection, and checks each response.
 * instructions.sh counts what the server spends on them.
 *
 *   repeat --port PORT [--kind KIND] [--requests 1000]
 *
 * A KIND is heartbeat, heartbeat_100 (keys), discovery, register or peer_heartbeat_100 (as a node
 * without stamps sends it). The instances are those of `fill --count 1000`, 10 to a service, taken
 * in turn; `register` registers new ones.
 */
#include "bench/common.h"

enum { INSTANCES = 1000, INSTANCES_PER_SERVICE = 10, BATCH = 100 };

static void discover(struct http *server, uint32_t n)
{
    char path[128];

    snprintf(path, sizeof path, "/api/discovery/service?service_id=bench-%06u",
             n % (INSTANCES / INSTANCES_PER_SERVICE));
    struct http_response response = http_get(server, path);
    if (response.status != 200)
        die("%s: status %d: %.300s", path, response.status, response.body);
}

static void heartbeat(struct http *server, uint32_t n)
{
    http_renew(server, n % INSTANCES, 1, INSTANCES_PER_SERVICE);
}

static void heartbeat_100(struct http *server, uint32_t n)
{
    http_renew(server, n * BATCH % INSTANCES, BATCH, INSTANCES_PER_SERVICE);
}

static void register_new(struct http *server, uint32_t n)
{
    http_register(server, INSTANCES + n, 1, INSTANCES_PER_SERVICE);
}

static void peer_heartbeat_100(struct http *server, uint32_t n)
{
    http_post_batch(server, "/api/replication/registry/batch-heartbeat",
                    "X-Artemis-Replication: true\r\n", "instance_keys", text_add_key,
                    n * BATCH % INSTANCES, BATCH, INSTANCES_PER_SERVICE);
}

static const struct {
    const char *name;
    void (*send)(struct http *server, uint32_t n);
} kinds[] = {
    {"heartbeat", heartbeat},   {"heartbeat_100", heartbeat_100},           {"discovery", discover},
    {"register", register_new}, {"peer_heartbeat_100", peer_heartbeat_100},
};

int main(int argc, char **argv)
{
    (void)argc;
    uint16_t port = option_port(argv);
    const char *kind = option_text(argv, "--kind", "heartbeat");
    uint32_t requests = option_number(argv, "--requests", 1000);
    struct http server;
    size_t found = 0;

    while (found < sizeof(kinds) / sizeof(kinds[0]) && strcmp(kinds[found].name, kind) != 0)
        found++;
    if (found == sizeof(kinds) / sizeof(kinds[0]))
        die("%s: unknown kind %s", argv[0], kind);
    http_open(&server, port);
    for (uint32_t n = 0; n < requests; n++)
        kinds[found].send(&server, n);
    http_close(&server);
    return 0;
}
