/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/servers/dns_server.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/servers/cluster.h"
#include "tests/support/wait.h"

static const char program[] = "/usr/sbin/dnsmasq";

enum { ARGS_MAX = 32, SERVICE_BYTES = 128 };

bool dns_server_is_installed(void)
{
    return access(program, X_OK) == 0;
}

void dns_server_plan(struct dns_server *server)
{
    *server = (struct dns_server){.port = cluster_choose_port()};
    snprintf(server->address, sizeof server->address, "127.0.0.1:%u", server->port);
    temp_folder_make(&server->folder);
}

static bool accepts(void *context)
{
    const struct dns_server *server = context;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(server->port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    bool is_open = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return is_open;
}

static pid_t spawn(const char *const args[])
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    char *copy[ARGS_MAX + 1] = {NULL};
    for (size_t i = 0; args[i]; i++)
        copy[i] = strdup(args[i]);
    execv(program, copy);
    _exit(127);
}

void dns_server_start(struct dns_server *server, const char *hosts, const char *const services[])
{
    char port[16];
    char file[128];
    char service[8][SERVICE_BYTES];
    snprintf(port, sizeof port, "--port=%u", server->port);
    snprintf(file, sizeof file, "--addn-hosts=%s",
             temp_folder_write(&server->folder, "hosts", hosts));
    const char *args[ARGS_MAX] = {program,
                                  "--keep-in-foreground",
                                  "--conf-file=/dev/null",
                                  "--pid-file=",
                                  "--user=root", /* it reads the folder of the test */
                                  "--listen-address=127.0.0.1",
                                  "--bind-interfaces",
                                  "--no-resolv",
                                  "--no-hosts",
                                  "--local=/test/",
                                  "--local-ttl=1",
                                  "--log-facility=/dev/null",
                                  port,
                                  file};
    size_t count = 14;
    if (geteuid() != 0)
        args[4] = "--user=";
    for (size_t i = 0; services && services[i]; i++) {
        assert_true(i < sizeof service / sizeof *service);
        snprintf(service[i], SERVICE_BYTES, "--srv-host=%s", services[i]);
        args[count++] = service[i];
    }
    server->pid = spawn(args);
    if (!wait_until(accepts, server, wait_deadline_ms()))
        fail_msg("%s does not listen on %s", program, server->address);
}

void dns_server_set_hosts(struct dns_server *server, const char *hosts)
{
    temp_folder_write(&server->folder, "hosts", hosts);
    assert_int_equal(kill(server->pid, SIGHUP), 0);
}

void dns_server_stop(struct dns_server *server)
{
    if (server->pid <= 0)
        return;
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    server->pid = 0;
}

void dns_server_free(struct dns_server *server)
{
    dns_server_stop(server);
    if (server->folder.path[0])
        temp_folder_remove(&server->folder);
    server->folder.path[0] = '\0';
}
