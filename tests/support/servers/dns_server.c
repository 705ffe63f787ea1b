/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/servers/dns_server.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/servers/cluster.h"
#include "tests/support/servers/program.h"

static const char program[] = "/usr/sbin/dnsmasq";

enum { ARGS_MAX = 32, SERVICE_BYTES = 128 };

bool dns_server_is_installed(void)
{
    return program_is_installed(program);
}

void dns_server_plan(struct dns_server *server)
{
    *server = (struct dns_server){.port = cluster_choose_port()};
    snprintf(server->address, sizeof server->address, "127.0.0.1:%u", server->port);
    temp_folder_make(&server->folder);
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
    server->pid = program_start(args, server->port, NULL);
}

void dns_server_set_hosts(struct dns_server *server, const char *hosts)
{
    temp_folder_write(&server->folder, "hosts", hosts);
    assert_int_equal(kill(server->pid, SIGHUP), 0);
}

void dns_server_stop(struct dns_server *server)
{
    program_kill(&server->pid);
}

void dns_server_free(struct dns_server *server)
{
    dns_server_stop(server);
    if (server->folder.path[0])
        temp_folder_remove(&server->folder);
    server->folder.path[0] = '\0';
}
