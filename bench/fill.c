/* SPDX-License-Identifier: Apache-2.0
 *
 * fill - registers many instances, in batches over one connection.
 *
 *   fill --port PORT [--count 1000] [--instances-per-service 10] [--batch 1000] [--ask-every N]
 *
 * With --ask-every it then asks for each N-th service, in snake_case and in camelCase.
 * Prints "instances=N secs=S json_bytes=B", B being the JSON of one instance on average.
 */
#include "bench/common.h"

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

int main(int argc, char **argv)
{
    (void)argc;
    uint16_t port = option_port(argv);
    uint32_t count = option_number(argv, "--count", 1000);
    uint32_t per_service = option_number(argv, "--instances-per-service", 10);
    uint32_t batch = option_number(argv, "--batch", 1000);
    uint32_t ask_every = option_number(argv, "--ask-every", 0);
    struct text sample = {0};
    struct http server;

    if (count == 0 || per_service == 0 || batch == 0)
        die("%s: --count, --instances-per-service and --batch must be positive", argv[0]);
    http_open(&server, port);
    double begin = now_secs();
    for (uint32_t first = 0; first < count; first += batch)
        http_register(&server, first, count - first < batch ? count - first : batch, per_service);
    double secs = now_secs() - begin;
    for (uint32_t service = 0; ask_every && service < count / per_service; service += ask_every)
        ask(&server, service);
    http_close(&server);

    text_add_instance(&sample, count / 2, per_service);
    printf("instances=%u secs=%.3f json_bytes=%zu\n", count, secs, sample.size);
    text_free(&sample);
    return 0;
}
