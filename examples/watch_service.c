/* SPDX-License-Identifier: Apache-2.0
 *
 * Prints the instances of a service ("*": of all services), and then each change, until Ctrl-C.
 * After a server restarts, or another one takes over, the library reports the differences, each
 * once.
 *
 *     cc watch_service.c $(pkg-config --cflags --libs artemis) -o watch_service
 *     ./watch_service http://127.0.0.1:8080,http://127.0.0.1:8081 orders
 */
#include <artemis.h>
#include <signal.h>
#include <stdio.h>

/* Called in the client's thread, one change at a time. The change is borrowed for the call. */
static void on_change(const struct artemis_change *change, void *context)
{
    static const char *const words[] = {
        [ARTEMIS_NEW] = "new", [ARTEMIS_CHANGE] = "change", [ARTEMIS_DELETE] = "delete"};
    const struct artemis_instance *instance = change->instance;
    (void)context;
    printf("%s %s/%s %s %s\n", words[change->type], instance->service_id, instance->instance_id,
           instance->url, instance->status);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    int signal = 0;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    if (argc != 3) {
        fprintf(stderr, "usage: %s SERVERS SERVICE\n", argv[0]);
        return 2;
    }

    const struct artemis_options options = {.servers = argv[1]};
    struct artemis_client *client = NULL;
    struct artemis_watch *watch = NULL;
    struct artemis_problem problem;
    if (artemis_open(&options, &client, &problem)) {
        fprintf(stderr, "%s\n", problem.text);
        return 2;
    }
    /* After this returns, no change is missed. */
    enum artemis_error error = artemis_watch(client, argv[2], ARTEMIS_WATCH_CURRENT, on_change,
                                             NULL, 5000, &watch, &problem);
    if (error)
        fprintf(stderr, "%s\n", problem.text);
    else
        sigwait(&signals, &signal);

    artemis_unwatch(watch); /* on_change is not called after this */
    artemis_close(client, 0, NULL);
    return error ? 1 : 0;
}
