/* SPDX-License-Identifier: Apache-2.0
 *
 * Registers an instance of the service "orders", and keeps it registered until Ctrl-C. The library
 * sends heartbeats, and registers the instance again with a server that does not know it.
 *
 *     cc register_service.c $(pkg-config --cflags --libs artemis) -o register_service
 *     ./register_service http://127.0.0.1:8080,http://127.0.0.1:8081 orders-1 10.0.0.1 8080
 */
#include <artemis.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static void on_log(enum artemis_log_level level, const char *message, void *context)
{
    (void)context;
    fprintf(stderr, "%s%s\n", level == ARTEMIS_LOG_WARNING ? "warning: " : "", message);
}

/* Waits for Ctrl-C or SIGTERM. The library's thread blocks all signals. */
static void wait_for_signal(void)
{
    int signal = 0;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    sigwait(&signals, &signal);
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: %s SERVERS INSTANCE IP PORT\n", argv[0]);
        return 2;
    }
    const struct artemis_options options = {.servers = argv[1], .log = on_log};
    const struct artemis_metadata metadata[] = {{"version", "1.4.2"}};
    const struct artemis_instance instance = {
        .service_id = "orders",
        .instance_id = argv[2],
        .ip = argv[3],
        .port = (uint16_t)strtoul(argv[4], NULL, 10),
        .metadata = metadata,
        .metadata_count = 1,
    };
    struct artemis_client *client = NULL;
    struct artemis_problem problem;
    if (artemis_open(&options, &client, &problem)) {
        fprintf(stderr, "%s\n", problem.text);
        return 2;
    }

    /* If no server answers within 5 s, the client keeps trying. A rejection is final. */
    enum artemis_error error = artemis_register(client, &instance, 5000, &problem);
    if (error)
        fprintf(stderr, "%s\n", problem.text);
    if (!error || error == ARTEMIS_TIMED_OUT) {
        printf("serving orders/%s\n", argv[2]);
        fflush(stdout);
        wait_for_signal();
        error = ARTEMIS_OK;
    }

    /* Unregisters the instance. */
    if (artemis_close(client, 5000, &problem))
        fprintf(stderr, "%s\n", problem.text);
    return error ? 1 : 0;
}
