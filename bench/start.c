/* SPDX-License-Identifier: Apache-2.0
 *
 * start - how long a server takes from its spawn to the first 200 of /ready.
 *
 *   start [--runs 10] -- COMMAND [ARGUMENT]...
 *
 * The command must listen on port 0 and print "127.0.0.1:PORT" on stdout or stderr. Each run is
 * ended by SIGTERM to the process that was spawned, and waited for. Prints "median_ms=M
 * worst_ms=W".
 */
#include "bench/common.h"

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#define DEADLINE_SECS 10
#define MAX_RUNS      1000

extern char **environ;

struct server {
    pid_t pid;
    int output;
    char text[4096]; /* what it has printed so far */
    size_t length;
};

static void spawn(struct server *s, char **command)
{
    posix_spawn_file_actions_t actions;
    int ends[2];

    *s = (struct server){0};
    if (pipe(ends) != 0)
        die("pipe: %s", strerror(errno));
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    int failure = posix_spawnp(&s->pid, command[0], &actions, NULL, command, environ);
    if (failure != 0)
        die("%s: %s", command[0], strerror(failure));
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    s->output = ends[0];
}

__attribute__((noreturn)) static void give_up(struct server *s, const char *why)
{
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
    die("start: %s; the server printed:\n%s", why, s->text);
}

/* The first port other than 0 after "127.0.0.1:", or 0. */
static uint16_t printed_port(const char *text)
{
    static const char host[] = "127.0.0.1:";

    for (const char *at = strstr(text, host); at; at = strstr(at + 1, host)) {
        char *end;
        unsigned long port = strtoul(at + strlen(host), &end, 10);
        if (port > 0 && port <= UINT16_MAX && *end != '\0')
            return (uint16_t)port;
    }
    return 0;
}

static uint16_t wait_for_port(struct server *s, double deadline)
{
    for (;;) {
        struct pollfd ready = {.fd = s->output, .events = POLLIN};
        uint16_t port = printed_port(s->text);
        if (port != 0)
            return port;
        if (poll(&ready, 1, 100) > 0) {
            ssize_t got = read(s->output, s->text + s->length, sizeof s->text - 1 - s->length);
            if (got <= 0)
                give_up(s, "it ended, or said too much, without an address");
            s->length += (size_t)got;
        }
        if (now_secs() > deadline)
            give_up(s, "no address in time");
    }
}

static bool is_ready(uint16_t port)
{
    struct http h;

    if (!http_try_open(&h, port))
        return false;
    int status = http_get(&h, "/ready").status;
    http_close(&h);
    return status == 200;
}

static double run_ms(char **command)
{
    static struct server s;
    double begin = now_secs();

    spawn(&s, command);
    uint16_t port = wait_for_port(&s, begin + DEADLINE_SECS);
    while (!is_ready(port)) {
        if (now_secs() > begin + DEADLINE_SECS)
            give_up(&s, "not ready in time");
        nanosleep(&(struct timespec){.tv_nsec = 100 * 1000}, NULL);
    }
    double ready = now_secs();
    kill(s.pid, SIGTERM);
    waitpid(s.pid, NULL, 0);
    close(s.output);
    return (ready - begin) * 1e3;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static double ms[MAX_RUNS];
    uint32_t runs = option_number(argv, "--runs", 10);
    int command = 1;

    while (command < argc && strcmp(argv[command], "--") != 0)
        command++;
    if (command + 1 >= argc || runs == 0 || runs > MAX_RUNS)
        die("usage: start [--runs 1..%d] -- COMMAND [ARGUMENT]...", MAX_RUNS);
    for (uint32_t i = 0; i < runs; i++)
        ms[i] = run_ms(argv + command + 1);
    qsort(ms, runs, sizeof ms[0], compare);
    printf("median_ms=%.2f worst_ms=%.2f\n", (ms[(runs - 1) / 2] + ms[runs / 2]) / 2, ms[runs - 1]);
    return 0;
}
