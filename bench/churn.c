/* SPDX-License-Identifier: Apache-2.0
 *
 * churn - what deployments of a day do to a registry, as fast as it takes them.
 *
 *   churn --port PORT [--count 200000] [--instances-per-service 10] [--hours 24] [--empty yes]
 *
 * Registers the instances of all services. Then, for each hour, an eighth of the services deploy a
 * new release: each of their instances unregisters, and registers with another id and other
 * metadata; one service in 20 is asked for, and one in 20 changes the status of an instance. The
 * sizes of metadata differ by service and release (20 to 400 bytes). The instances of a service
 * have the same metadata, except that one service in four has an entry that differs for each.
 * With --empty, all instances unregister in the end.
 *
 * The numbers of a run are always the same. Prints "instances=N registered=N secs=S".
 */
#include "bench/common.h"

enum { DEPLOYING = 8, ASKED = 20, CHANGING = 20, UNIQUE = 4, BATCH = 500 };

static uint32_t per_service;
static uint16_t *releases; /* of each service */

/* A number that looks random. */
static uint32_t mix(uint32_t n)
{
    n = (n ^ n >> 16) * 0x45d9f3bu;
    n = (n ^ n >> 16) * 0x45d9f3bu;
    return n ^ n >> 16;
}

static void add_key(struct text *t, uint32_t n)
{
    uint32_t service = n / per_service;

    text_printf(t,
                "{\"region_id\":\"local\",\"zone_id\":\"zone%u\",\"service_id\":\"bench-%06u\","
                "\"instance_id\":\"i-%u-%u\"",
                n % 3, service, n, releases[service]);
}

static void add_end(struct text *t)
{
    text_append_char(t, '}');
}

static void add_instance(struct text *t, uint32_t n, const char *status)
{
    uint32_t service = n / per_service, release = releases[service];
    uint32_t size = mix(service * 131 + release) % 380;

    add_key(t, n);
    text_printf(t, ",\"ip\":\"10.%u.%u.%u\",\"port\":8080,\"status\":\"%s\",\"protocol\":\"http\"",
                n >> 16 & 255, n >> 8 & 255, n & 255, status);
    text_printf(t, ",\"metadata\":{\"release\":\"%u\",\"notes\":\"%0*u\"", release, (int)size, 0);
    if (service % UNIQUE == 0)
        text_printf(t, ",\"started\":\"2026-11-30 %08x\"", mix(n + release));
    text_append_string(t, "}}");
}

/* Sends the instances [first, end) of a list of calls, at most BATCH at once. */
static void post(struct http *h, const char *path, const char *list, uint32_t first, uint32_t end,
                 const char *status)
{
    while (first < end) {
        struct text body = {0};
        uint32_t to = end - first < BATCH ? end : first + BATCH;

        text_printf(&body, "{\"%s\":[", list);
        for (uint32_t n = first; n < to; n++) {
            text_append_string(&body, n == first ? "" : ",");
            if (status) {
                add_instance(&body, n, status);
            } else {
                add_key(&body, n);
                add_end(&body);
            }
        }
        text_append_string(&body, "]}");
        struct http_response response = http_post(h, path, &body);
        if (response.status != 200 || strstr(response.body, "\"failed_"))
            die("%s from item %u: status %d: %.300s", path, first, response.status, response.body);
        text_free(&body);
        first = to;
    }
}

static void register_instances(struct http *h, uint32_t first, uint32_t end, const char *status)
{
    post(h, "/api/registry/register", "instances", first, end, status);
}

static void unregister_instances(struct http *h, uint32_t first, uint32_t end)
{
    post(h, "/api/registry/unregister", "instance_keys", first, end, NULL);
}

static void ask(struct http *h, uint32_t service)
{
    char path[128];

    snprintf(path, sizeof path, "/api/discovery/service?service_id=bench-%06u", service);
    struct http_response response = http_get(h, path);
    if (response.status != 200)
        die("%s: status %d: %.300s", path, response.status, response.body);
}

/* Returns how many instances registered. */
static uint32_t deploy(struct http *h, uint32_t hour, uint32_t services)
{
    uint32_t registered = 0;

    for (uint32_t service = 0; service < services; service++) {
        uint32_t first = service * per_service, chance = mix(service * 977 + hour);
        if (chance % DEPLOYING == 0) {
            unregister_instances(h, first, first + per_service);
            releases[service]++;
            register_instances(h, first, first + per_service, "up");
            registered += per_service;
        }
        if (chance / DEPLOYING % CHANGING == 0)
            register_instances(h, first, first + 1, chance & 1 ? "down" : "up");
        if (chance / DEPLOYING % ASKED == 1)
            ask(h, service);
    }
    return registered;
}

int main(int argc, char **argv)
{
    (void)argc;
    uint16_t port = option_port(argv);
    uint32_t count = option_number(argv, "--count", 200000);
    uint32_t hours = option_number(argv, "--hours", 24);
    bool empty = option_text(argv, "--empty", NULL) != NULL;
    struct http server;

    per_service = option_number(argv, "--instances-per-service", 10);
    if (per_service == 0 || count < per_service)
        die("%s: --count must be at least --instances-per-service", argv[0]);
    uint32_t services = count / per_service, registered = services * per_service;
    releases = calloc(services, sizeof *releases);
    if (!releases)
        die("out of memory");
    http_open(&server, port);
    double begin = now_secs();
    register_instances(&server, 0, services * per_service, "up");
    for (uint32_t hour = 0; hour < hours; hour++)
        registered += deploy(&server, hour, services);
    if (empty)
        unregister_instances(&server, 0, services * per_service);
    printf("instances=%u registered=%u secs=%.1f\n", empty ? 0 : services * per_service, registered,
           now_secs() - begin);
    http_close(&server);
    free(releases);
    return 0;
}
