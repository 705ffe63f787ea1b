/* SPDX-License-Identifier: Apache-2.0
 *
 * dns_server - a real DNS server, dnsmasq of Debian, on a port of 127.0.0.1.
 *
 * It knows the names below "test" alone, with a TTL of a second. Its addresses are lines of
 * /etc/hosts. Every error fails the test. It is killed when the test program ends.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/support/temp_folder.h"

struct dns_server {
    pid_t pid; /* 0: it does not run */
    uint16_t port;
    char address[32]; /* 127.0.0.1:PORT */
    struct temp_folder folder;
};

/* Tests that need it are skipped where it is not installed. */
bool dns_server_is_installed(void);

/* Chooses a port and starts nothing. */
void dns_server_plan(struct dns_server *server);
/* Returns when it answers. `hosts` is like "127.0.0.2 n1.test artemis.test\n". `services` are SRV
 * records like "_artemis._tcp.test,n1.test,8080"; they end with NULL, or are NULL. */
void dns_server_start(struct dns_server *server, const char *hosts, const char *const services[]);
/* Replaces the addresses of a server that runs. */
void dns_server_set_hosts(struct dns_server *server, const char *hosts);
void dns_server_stop(struct dns_server *server); /* it can be started again, at the same port */
void dns_server_free(struct dns_server *server); /* also one that runs */
