/* SPDX-License-Identifier: Apache-2.0
 *
 * The API server of Kubernetes for the demonstration, which is that of the tests.
 *
 *     kubernetes_server PEER_PORT FOLDER PIPE
 *
 * Makes the folder with the files of the service account, prints its url, and reads lines from the
 * named pipe: all pods, like "a=127.0.0.2 b=127.0.0.3". Runs until it is killed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/servers/api/kubernetes_api.h"

enum { LINE_BYTES = 1024 };

static struct kubernetes_api api;

/* Takes a line apart; `line` is changed. */
static void set_pods(char *line)
{
    struct kubernetes_pod pods[API_PODS_MAX] = {0};
    size_t count = 0;
    char *rest = NULL;
    for (char *word = strtok_r(line, " \n", &rest); word && count < API_PODS_MAX;
         word = strtok_r(NULL, " \n", &rest)) {
        struct kubernetes_pod *pod = &pods[count++];
        char *address = strchr(word, '=');
        if (!address)
            exit(1);
        *address++ = '\0';
        pod->is_ready = true;
        snprintf(pod->name, sizeof pod->name, "%s", word);
        snprintf(pod->address, sizeof pod->address, "%s", address);
    }
    kubernetes_api_set_pods(&api, pods, count);
}

int main(int argc, char *argv[])
{
    char line[LINE_BYTES];
    if (argc != 4) {
        fprintf(stderr, "usage: kubernetes_server PEER_PORT FOLDER PIPE\n");
        return 1;
    }
    kubernetes_api_init(&api, (uint16_t)strtoul(argv[1], NULL, 10), true);
    if (rename(api.http.folder.path, argv[2]) != 0) {
        perror(argv[2]);
        return 1;
    }
    snprintf(api.http.folder.path, sizeof api.http.folder.path, "%s", argv[2]);
    kubernetes_api_start(&api);
    printf("url %s\n", api.http.url);
    fflush(stdout);
    FILE *pipe = fopen(argv[3], "r+"); /* with a writer, so that it never ends */
    while (pipe && fgets(line, sizeof line, pipe))
        set_pods(line);
    perror(argv[3]);
    return 1;
}
