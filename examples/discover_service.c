/* SPDX-License-Identifier: Apache-2.0
 *
 * Finds the instances of a service, and uses them in turn, as a caller of that service would. Only
 * the first call uses the network: afterwards the server pushes changes, and a lookup before each
 * call costs almost nothing. If no server answers, the last known instances are returned.
 *
 *     cc discover_service.c $(pkg-config --cflags --libs artemis) -o discover_service
 *     ./discover_service http://127.0.0.1:8080 orders 5
 */
#include <artemis.h>
#include <stdio.h>
#include <stdlib.h>

/* Prints the instance that one call of the service would use. */
static int call_once(struct artemis_client *client, const char *service_id)
{
    const struct artemis_service *service = NULL;
    struct artemis_problem problem;
    if (artemis_discover(client, service_id, 5000, &service, &problem)) {
        fprintf(stderr, "%s\n", problem.text);
        return 1;
    }
    const struct artemis_instance *instance = artemis_pick(service, ARTEMIS_ROUND_ROBIN);
    if (instance) /* NULL: the service has no instances */
        printf("%s at %s%s\n", instance->instance_id, instance->url,
               service->stale ? " (last known)" : "");
    else
        printf("no instances of %s\n", service_id);

    /* The instance is part of the service, and must not be used after this. */
    artemis_service_free(service);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: %s SERVERS SERVICE CALLS\n", argv[0]);
        return 2;
    }
    const struct artemis_options options = {.servers = argv[1]};
    struct artemis_client *client = NULL;
    struct artemis_problem problem;
    if (artemis_open(&options, &client, &problem)) {
        fprintf(stderr, "%s\n", problem.text);
        return 2;
    }
    int failed = 0;
    for (unsigned long i = strtoul(argv[3], NULL, 10); i > 0 && !failed; i--)
        failed = call_once(client, argv[2]);
    artemis_close(client, 0, NULL);
    return failed;
}
