/* SPDX-License-Identifier: Apache-2.0
 *
 * fill - registers many instances, in batches.
 *
 *   fill --port PORT [--count 1000] [--instances-per-service 10] [--batch 1000] [--connections 1]
 *        [--ask-every N]
 *
 * Several connections are used in turn: while the server handles a batch, the next ones arrive.
 * With --ask-every it then asks for each N-th service, in snake_case and in camelCase.
 * Prints "instances=N secs=S json_bytes=B", B being the JSON of one instance on average.
 */
#include "bench/common.h"

enum { CONNECTIONS_MAX = 64 };

static void ask(struct http *server, uint32_t service)
{
    static const char *const names[] = {"service_id", "serviceId"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, "/api/discovery/service?%s=bench-%06u", names[i], service);
        struct http_response response = http_get(server, path);
        if (response.status != 200)
            die("%s: status %d: %.300s", path, response.status, response.body);
    }
}

/* Batch n uses connection n % connections, once it has received the response to its last batch. */
static void register_all(struct http *servers, uint32_t connections, uint32_t count, uint32_t batch,
                         uint32_t per_service)
{
    uint32_t batches = (count + batch - 1) / batch;
    for (uint32_t n = 0; n < batches + connections; n++) {
        struct http *server = &servers[n % connections];
        uint32_t first = n * batch;
        if (n >= connections && n - connections < batches)
            http_check_batch(server);
        if (n < batches)
            http_send_register(server, first, count - first < batch ? count - first : batch,
                               per_service);
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    uint16_t port = option_port(argv);
    uint32_t count = option_number(argv, "--count", 1000);
    uint32_t per_service = option_number(argv, "--instances-per-service", 10);
    uint32_t batch = option_number(argv, "--batch", 1000);
    uint32_t ask_every = option_number(argv, "--ask-every", 0);
    uint32_t connections = option_number(argv, "--connections", 1);
    struct text sample = {0};
    struct http servers[CONNECTIONS_MAX];

    if (count == 0 || per_service == 0 || batch == 0)
        die("%s: --count, --instances-per-service and --batch must be positive", argv[0]);
    if (connections == 0 || connections > CONNECTIONS_MAX)
        die("%s: --connections must be 1 to %d", argv[0], CONNECTIONS_MAX);
    for (uint32_t i = 0; i < connections; i++)
        http_open(&servers[i], port);
    double begin = now_secs();
    register_all(servers, connections, count, batch, per_service);
    double secs = now_secs() - begin;
    for (uint32_t service = 0; ask_every && service < count / per_service; service += ask_every)
        ask(&servers[0], service);
    for (uint32_t i = 0; i < connections; i++)
        http_close(&servers[i]);

    text_add_instance(&sample, count / 2, per_service);
    printf("instances=%u secs=%.3f json_bytes=%zu\n", count, secs, sample.size);
    text_free(&sample);
    return 0;
}
