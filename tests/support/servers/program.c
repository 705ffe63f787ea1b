/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/servers/program.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/wait.h"

enum { ARGS_MAX = 32 };

bool program_is_installed(const char *path)
{
    return access(path, X_OK) == 0;
}

static bool accepts(void *context)
{
    const uint16_t *port = context;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(*port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    bool is_open = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return is_open;
}

static void redirect_output(const char *log)
{
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        _exit(127);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
}

pid_t program_start(const char *const args[], uint16_t port, const char *log)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char *copy[ARGS_MAX + 1] = {NULL};
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (size_t i = 0; args[i] && i < ARGS_MAX; i++)
            copy[i] = strdup(args[i]);
        redirect_output(log ? log : "/dev/null");
        execv(copy[0], copy);
        _exit(127);
    }
    if (!wait_until(accepts, &port, wait_deadline_ms()))
        fail_msg("%s does not listen on port %u", args[0], port);
    return pid;
}

void program_kill(pid_t *pid)
{
    if (*pid <= 0)
        return;
    kill(*pid, SIGKILL);
    waitpid(*pid, NULL, 0);
    *pid = 0;
}
