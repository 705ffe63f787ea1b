/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/parallel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/command.h"
#include "tests/support/servers/server_process.h"

enum { TESTS_MAX = 32, AT_ONCE_MAX = 4 };

struct child {
    pid_t pid; /* 0: it has not started, or has ended */
    int output_fd;
};

static _Noreturn void run_child(const struct CMUnitTest *test, int output_fd)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(output_fd, STDOUT_FILENO);
    dup2(output_fd, STDERR_FILENO);
    int code = server_process_finish(_cmocka_run_group_tests(test->name, test, 1, NULL, NULL));
    fflush(NULL);
    exit(code);
}

static bool start(struct child *child, const struct CMUnitTest *test)
{
    child->output_fd = command_temp_file();
    fflush(NULL); /* the child has a copy of what is not written yet */
    child->pid = fork();
    if (child->pid == 0)
        run_child(test, child->output_fd);
    return child->pid > 0;
}

static void print_output(const struct child *child)
{
    char *output = command_read_all(child->output_fd);
    fputs(output, stdout);
    free(output);
    close(child->output_fd);
}

/* Waits for the end of any child. True: its test has passed. */
static bool finish_one(struct child children[], size_t count)
{
    int status = 0;
    pid_t pid;
    do
        pid = waitpid(-1, &status, 0);
    while (pid < 0 && errno == EINTR);
    for (size_t i = 0; i < count; i++) {
        if (pid > 0 && children[i].pid == pid) {
            print_output(&children[i]);
            children[i].pid = 0;
        }
    }
    return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int parallel_run(const struct CMUnitTest tests[], size_t count)
{
    struct child children[TESTS_MAX] = {0};
    size_t started = 0;
    size_t running = 0;
    int failed = 0;
    if (count > TESTS_MAX)
        return 1;
    while (started < count || running > 0) {
        if (started < count && running < AT_ONCE_MAX) {
            if (!start(&children[started], &tests[started]))
                return 1;
            started++;
            running++;
        } else {
            failed += !finish_one(children, started);
            running--;
        }
    }
    printf("%d of %zu tests failed\n", failed, count);
    return failed != 0;
}
