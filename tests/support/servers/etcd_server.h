/* SPDX-License-Identifier: Apache-2.0
 *
 * etcd_server - a real etcd of Debian, with one or several members on ports of 127.0.0.1.
 *
 * Its data is in a folder of the test and lasts until etcd_server_free. Keys and values are texts
 * here. Every error fails the test. The members are killed when the test program ends.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/support/temp_folder.h"

enum { ETCD_MEMBERS_MAX = 3 };

struct etcd_member {
    pid_t pid; /* 0: it does not run */
    uint16_t port, peer_port;
};

struct etcd_server {
    size_t count;
    struct etcd_member members[ETCD_MEMBERS_MAX];
    const struct temp_folder *certificates; /* with ca, etcd and client; NULL: without TLS */
    char endpoints[128];                    /* of all members, as cluster.etcd.endpoints */
    struct temp_folder folder;
};

/* Tests that need it are skipped where it is not installed. */
bool etcd_server_is_installed(void);

/* Chooses ports and starts nothing. */
void etcd_server_plan(struct etcd_server *server, size_t members);
/* Starts the members that do not run, and returns when the first can write. */
void etcd_server_start(struct etcd_server *server);
void etcd_server_kill(struct etcd_server *server, size_t member);
void etcd_server_erase(struct etcd_server *server); /* kills all, and removes their data */
void etcd_server_free(struct etcd_server *server);

/* Sends a request to the first member that runs, without TLS. `body` is JSON with ' for ". Returns
 * whether the status is 200. */
bool etcd_server_call(const struct etcd_server *server, const char *path, const char *body);
void etcd_server_put(const struct etcd_server *server, const char *key, const char *value);
void etcd_server_delete(const struct etcd_server *server, const char *key);
