/* SPDX-License-Identifier: Apache-2.0
 *
 * repeat - sends one kind of request again and again over one connection, and checks each response.
 * instructions.sh counts what the server spends on them.
 *
 *   repeat --port PORT [--kind heartbeat|discovery] [--requests 1000] [--instances 1000]
 *
 * The instances are those of `fill --count 1000`, 10 to a service, taken in turn.
 */
#include "bench/common.h"

#define INSTANCES_PER_SERVICE 10

static void discover(struct http *server, uint32_t n)
{
    char path[128];

    snprintf(path, sizeof path, "/api/discovery/service?service_id=bench-%06u",
             n / INSTANCES_PER_SERVICE);
    struct http_response response = http_get(server, path);
    if (response.status != 200)
        die("%s: status %d: %.300s", path, response.status, response.body);
}

int main(int argc, char **argv)
{
    (void)argc;
    uint16_t port = option_port(argv);
    bool heartbeat = strcmp(option_text(argv, "--kind", "heartbeat"), "heartbeat") == 0;
    uint32_t requests = option_number(argv, "--requests", 1000);
    uint32_t instances = option_number(argv, "--instances", 1000);
    struct http server;

    http_open(&server, port);
    for (uint32_t i = 0; i < requests; i++)
        if (heartbeat)
            http_renew(&server, i % instances, 1, INSTANCES_PER_SERVICE);
        else
            discover(&server, i * INSTANCES_PER_SERVICE % instances);
    http_close(&server);
    return 0;
}
