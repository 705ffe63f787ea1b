/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/command.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARGS_MAX = 64, ENV_MAX = 1024 };

extern char **environ;

/* The test's environment without ARTEMIS_*, and the entries given. */
static void fill_environment(const char *filled[ENV_MAX], const char *const env[])
{
    size_t count = 0;
    for (char **entry = environ; *entry != NULL && count < ENV_MAX / 2; entry++) {
        if (strncmp(*entry, "ARTEMIS_", 8) != 0) {
            filled[count++] = *entry;
        }
    }
    for (size_t i = 0; env != NULL && env[i] != NULL; i++) {
        assert_true(count < ENV_MAX - 1);
        filled[count++] = env[i];
    }
    filled[count] = NULL;
}

static void fill_arguments(const char *filled[ARGS_MAX], const char *const args[])
{
    size_t count = 0;
    filled[count++] = getenv("ARTEMIS_BINARY");
    if (filled[0] == NULL) {
        fail_msg("ARTEMIS_BINARY does not name the binary to test");
    }
    for (size_t i = 0; args != NULL && args[i] != NULL; i++) {
        assert_true(count < ARGS_MAX - 1);
        filled[count++] = args[i];
    }
    filled[count] = NULL;
}

pid_t command_spawn(const char *const args[], const char *const env[], int out_fd, int err_fd)
{
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    pid_t pid = command_spawn_reading(args, env, nothing, out_fd, err_fd);
    close(nothing);
    return pid;
}

pid_t command_spawn_reading(const char *const args[], const char *const env[], int in_fd,
                            int out_fd, int err_fd)
{
    const char *argv[ARGS_MAX];
    const char *envp[ENV_MAX];
    fill_arguments(argv, args);
    fill_environment(envp, env);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid != 0) {
        assert_true(pid > 0);
        return pid;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || dup2(in_fd, 0) < 0 || dup2(out_fd, 1) < 0 || dup2(err_fd, 2) < 0) {
        _exit(127);
    }
    /* exec does not change what these point to; its prototype only predates const. */
    execve(argv[0], (char *const *)(uintptr_t)argv, (char *const *)(uintptr_t)envp);
    static const char sentence[] = "cannot run ARTEMIS_BINARY\n";
    (void)!write(2, sentence, sizeof sentence - 1);
    _exit(127);
}

struct child {
    pid_t pid;
    int status;
};

static bool has_ended(void *context)
{
    struct child *child = context;
    return waitpid(child->pid, &child->status, WNOHANG) == child->pid;
}

int command_wait(pid_t pid, long long deadline_ms)
{
    struct child child = {.pid = pid};
    if (!wait_until(has_ended, &child, deadline_ms)) {
        return -1;
    }
    return WIFSIGNALED(child.status) ? 128 + WTERMSIG(child.status) : WEXITSTATUS(child.status);
}

int command_temp_file(void)
{
    char path[] = "/tmp/artemis-test-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC | O_APPEND);
    assert_true(fd >= 0);
    unlink(path);
    return fd;
}

char *command_read_all(int fd)
{
    struct stat about;
    assert_int_equal(fstat(fd, &about), 0);
    size_t size = (size_t)about.st_size;
    char *text = calloc(1, size + 1);
    assert_non_null(text);
    for (size_t at = 0; at < size;) {
        ssize_t got = pread(fd, text + at, size - at, (off_t)at);
        if (got <= 0) {
            break;
        }
        at += (size_t)got;
    }
    return text;
}

struct command_result command_run(const char *const args[], const char *const env[])
{
    int out = command_temp_file();
    int err = command_temp_file();
    pid_t pid = command_spawn(args, env, out, err);
    struct command_result result = {.exit_code = command_wait(pid, wait_deadline_ms())};
    if (result.exit_code < 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    result.out = command_read_all(out);
    result.err = command_read_all(err);
    close(out);
    close(err);
    if (result.exit_code < 0) {
        fail_msg("still runs after %lld ms; it printed \"%s\" and \"%s\"",
                 (long long)wait_timeout_ms(), result.out, result.err);
    }
    return result;
}

struct command_result command_run_reload(const char *const more[], const char *token)
{
    const char *args[10] = {"reload", "--token", token};
    size_t count = token ? 3 : 1;
    for (; *more; more++)
        args[count++] = *more;
    return command_run(args, NULL);
}

void command_free(struct command_result *result)
{
    free(result->out);
    free(result->err);
    *result = (struct command_result){0};
}
