/* SPDX-License-Identifier: Apache-2.0
 *
 * fill - registers many instances, in batches over one connection.
 *
 *   fill --port PORT [--count 1000] [--instances-per-service 10] [--batch 1000]
 *
 * Prints "instances=N secs=S json_bytes=B", B being the JSON of one instance on average.
 */
#include "bench/common.h"

int main(int argc, char **argv)
{
    (void)argc;
    uint16_t port = option_port(argv);
    uint32_t count = option_number(argv, "--count", 1000);
    uint32_t per_service = option_number(argv, "--instances-per-service", 10);
    uint32_t batch = option_number(argv, "--batch", 1000);
    struct text sample = {0};
    struct http server;

    if (count == 0 || per_service == 0 || batch == 0)
        die("%s: --count, --instances-per-service and --batch must be positive", argv[0]);
    http_open(&server, port);
    double begin = now_secs();
    for (uint32_t first = 0; first < count; first += batch)
        http_register(&server, first, count - first < batch ? count - first : batch, per_service);
    double secs = now_secs() - begin;
    http_close(&server);

    text_add_instance(&sample, count / 2, per_service);
    printf("instances=%u secs=%.3f json_bytes=%zu\n", count, secs, sample.size);
    text_free(&sample);
    return 0;
}
