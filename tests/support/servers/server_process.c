/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/servers/server_process.h"

#include "tests/support/certificates.h"
#include "tests/support/client/tls_tunnel.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/command.h"
#include "tests/support/temp_folder.h"
#include "tests/support/wait.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STARTED_MAX = 500, ARGS_MAX = 60, LOG_SHOWN_MAX = 16384 };

static const char listening[] = "Listening on 127.0.0.1:";
static const char listening_with_tls[] = "Listening with TLS on 127.0.0.1:";
static const char listening_for_peers[] = "Listening for peers on 127.0.0.1:";

/* Every server this program has started: its log, and its pid while it runs. */
static struct {
    pid_t pid;
    int log_fd;
} started[STARTED_MAX];
static size_t started_count;

static void forget_pid(pid_t pid)
{
    for (size_t i = 0; i < started_count; i++) {
        if (started[i].pid == pid) {
            started[i].pid = 0;
        }
    }
}

/* The port after a text of the banner; 0 before the whole line is there. */
static uint16_t find_port(const struct server_process *server, const char *before)
{
    const char *found = strstr(server->banner, before);
    if (found == NULL || strchr(found, '\n') == NULL) {
        return 0;
    }
    long port = strtol(found + strlen(before), NULL, 10);
    assert_in_range(port, 1, 65535);
    return (uint16_t)port;
}

/* True once a whole line says where it listens. The line for plain HTTP is the last one. */
static bool find_address(struct server_process *server)
{
    server->port = find_port(server, listening);
    if (server->port == 0) {
        return false;
    }
    server->tls_port = find_port(server, listening_with_tls);
    server->peer_port = find_port(server, listening_for_peers);
    snprintf(server->address, sizeof server->address, "127.0.0.1:%u", server->port);
    snprintf(server->url, sizeof server->url, "http://127.0.0.1:%u", server->port);
    return true;
}

static void read_banner(struct server_process *server)
{
    int64_t deadline = wait_deadline_ms();
    size_t size = 0;
    while (!find_address(server)) {
        assert_true(size < sizeof server->banner - 1);
        if (!wait_readable(server->stdout_fd, deadline)) {
            fail_msg("the server does not say where it listens; it said \"%s\"", server->banner);
        }
        ssize_t got =
            read(server->stdout_fd, server->banner + size, sizeof server->banner - 1 - size);
        if (got <= 0) {
            fail_msg("the server ended before it listened; it said \"%s\"", server->banner);
        }
        size += (size_t)got;
        server->banner[size] = '\0';
    }
}

void server_process_start(struct server_process *server, const char *const args[],
                          const char *const env[])
{
    server_process_start_at(server, 0, args, env);
}

/* --- over TLS --------------------------------------------------------------------------------- */

bool server_process_over_tls(void)
{
    return getenv("TEST_OVER_TLS") != NULL;
}

static struct temp_folder tls_folder;

static void remove_tls_folder(void)
{
    temp_folder_remove(&tls_folder);
}

/* Adds the settings of a TLS listener; its certificate is made once. Returns the new count. */
static size_t add_tls(const char *all[ARGS_MAX], size_t count)
{
    static char cert[128];
    static char key[128];
    if (tls_folder.path[0] == '\0') {
        temp_folder_make(&tls_folder);
        atexit(remove_tls_folder);
        certificates_make_authority(&tls_folder, "ca");
        certificates_make(&tls_folder, "ca", "server", NULL);
        snprintf(cert, sizeof cert, "tls.cert=%s", certificates_path(&tls_folder, "server.pem"));
        snprintf(key, sizeof key, "tls.key=%s", certificates_path(&tls_folder, "server.key"));
    }
    const char *added[] = {"--set", "server.tls_listen_addr=127.0.0.1:0", "--set", cert, "--set",
                           key};
    for (size_t i = 0; i < sizeof added / sizeof *added; i++) {
        assert_true(count < ARGS_MAX - 1);
        all[count++] = added[i];
    }
    return count;
}

/* Replaces the port of the server by that of a tunnel to its TLS listener. */
static void use_tunnel(struct server_process *server)
{
    const struct tls_identity anyone = {0};
    server->port = tls_tunnel_port(tls_tunnel_start(server->tls_port, &anyone));
    snprintf(server->address, sizeof server->address, "127.0.0.1:%u", server->port);
    snprintf(server->url, sizeof server->url, "http://127.0.0.1:%u", server->port);
}

/* --- start ------------------------------------------------------------------------------------ */

/* Starts the server; its stderr is a file, or `stderr_fd` where that is not negative. */
static void start(struct server_process *server, uint16_t port, const char *const args[],
                  const char *const env[], int stderr_fd)
{
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    const char *all[ARGS_MAX] = {"server", "--addr", address};
    size_t count = 3;
    for (size_t i = 0; args != NULL && args[i] != NULL; i++) {
        assert_true(count < ARGS_MAX - 1);
        all[count++] = args[i];
    }
    bool over_tls = server_process_over_tls();
    if (over_tls) {
        count = add_tls(all, count);
    }
    assert_true(started_count < STARTED_MAX);
    int out[2];
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    int log_fd = command_temp_file();
    *server = (struct server_process){.stdout_fd = out[0], .log_fd = log_fd};
    server->pid = command_spawn(all, env, out[1], stderr_fd < 0 ? log_fd : stderr_fd);
    close(out[1]);
    started[started_count].pid = server->pid;
    started[started_count++].log_fd = log_fd;
    read_banner(server);
    if (over_tls) {
        use_tunnel(server);
    }
}

void server_process_start_at(struct server_process *server, uint16_t port, const char *const args[],
                             const char *const env[])
{
    start(server, port, args, env, -1);
}

void server_process_start_with_stderr(struct server_process *server, const char *const args[],
                                      int stderr_fd)
{
    start(server, 0, args, NULL, stderr_fd);
}

void server_process_signal(const struct server_process *server, int signal)
{
    assert_true(server->pid > 0);
    assert_int_equal(kill(server->pid, signal), 0);
}

void server_process_suspend(const struct server_process *server)
{
    int status;
    server_process_signal(server, SIGSTOP);
    assert_int_equal(waitpid(server->pid, &status, WUNTRACED), server->pid);
    assert_true(WIFSTOPPED(status));
}

void server_process_continue(const struct server_process *server)
{
    server_process_signal(server, SIGCONT);
}

int server_process_wait(struct server_process *server)
{
    int exit_code = command_wait(server->pid, wait_deadline_ms());
    if (exit_code < 0) {
        fail_msg("the server still runs after %lld ms", (long long)wait_timeout_ms());
    }
    forget_pid(server->pid);
    server->pid = 0;
    close(server->stdout_fd);
    return exit_code;
}

void server_process_stop(struct server_process *server)
{
    if (server->pid == 0) {
        return;
    }
    server_process_signal(server, SIGTERM);
    assert_int_equal(server_process_wait(server), 0);
}

void server_process_stop_all(struct server_process *const servers[], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (servers[i]->pid > 0) {
            server_process_signal(servers[i], SIGTERM);
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (servers[i]->pid > 0) {
            assert_int_equal(server_process_wait(servers[i]), 0);
        }
    }
}

char *server_process_stop_and_read_log(struct server_process *server)
{
    server_process_stop(server);
    return command_read_all(server->log_fd);
}

void server_process_kill(struct server_process *server)
{
    server_process_signal(server, SIGKILL);
    assert_int_equal(server_process_wait(server), 128 + SIGKILL);
}

long server_process_peak_kib(const struct server_process *server)
{
    char path[64];
    char line[256];
    long kib = -1;
    snprintf(path, sizeof path, "/proc/%d/status", (int)server->pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL && kib < 0) {
        if (strncmp(line, "VmHWM:", 6) == 0) {
            kib = strtol(line + 6, NULL, 10);
        }
    }
    fclose(file);
    assert_true(kib > 0);
    return kib;
}

long server_process_cpu_ms(const struct server_process *server)
{
    char path[64];
    char line[1024] = "";
    unsigned long user = 0;
    unsigned long kernel = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)server->pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    fclose(file);
    /* Its name, in brackets, may hold anything; the numbers come after it. */
    const char *after_name = strrchr(line, ')');
    assert_non_null(after_name);
    assert_int_equal(sscanf(after_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                            &user, &kernel),
                     2);
    return (long)(user + kernel) * 1000 / sysconf(_SC_CLK_TCK);
}

int server_process_open_files(const struct server_process *server)
{
    char path[64];
    int count = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)server->pid);
    DIR *folder = opendir(path);
    assert_non_null(folder);
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        count += entry->d_name[0] != '.';
    }
    closedir(folder);
    return count;
}

int server_process_finish(int failed)
{
    for (size_t i = 0; i < started_count; i++) {
        if (started[i].pid > 0) {
            kill(started[i].pid, SIGKILL);
            waitpid(started[i].pid, NULL, 0);
        }
        char *log = failed != 0 ? command_read_all(started[i].log_fd) : NULL;
        size_t size = log != NULL ? strlen(log) : 0;
        if (size > 0) {
            const char *tail = size > LOG_SHOWN_MAX ? log + size - LOG_SHOWN_MAX : log;
            fprintf(stderr, "--- log of server %zu of this test program ---\n%s\n", i + 1, tail);
        }
        free(log);
        close(started[i].log_fd);
    }
    started_count = 0;
    return failed != 0;
}
