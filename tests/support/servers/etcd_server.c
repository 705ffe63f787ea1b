/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/servers/etcd_server.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "artemis-core/base/base64.h"
#include "tests/support/client/http.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/servers/cluster.h"
#include "tests/support/servers/program.h"
#include "tests/support/wait.h"

static const char program[] = "/usr/bin/etcd";

enum { ARG_BYTES = 256 };

bool etcd_server_is_installed(void)
{
    return program_is_installed(program);
}

static const char *scheme(const struct etcd_server *server)
{
    return server->certificates ? "https" : "http";
}

void etcd_server_plan(struct etcd_server *server, size_t members)
{
    size_t size = 0;
    *server = (struct etcd_server){.count = members};
    temp_folder_make(&server->folder);
    for (size_t i = 0; i < members; i++) {
        struct etcd_member *member = &server->members[i];
        member->port = cluster_choose_port();
        member->peer_port = cluster_choose_port();
        size += (size_t)snprintf(server->endpoints + size, sizeof server->endpoints - size,
                                 "%shttp://127.0.0.1:%u", i > 0 ? "," : "", member->port);
    }
}

/* --- members ---------------------------------------------------------------------------------- */

static void write_members(const struct etcd_server *server, char out[ARG_BYTES])
{
    size_t size = (size_t)snprintf(out, ARG_BYTES, "--initial-cluster=");
    for (size_t i = 0; i < server->count; i++)
        size += (size_t)snprintf(out + size, ARG_BYTES - size, "%sm%zu=http://127.0.0.1:%u",
                                 i > 0 ? "," : "", i, server->members[i].peer_port);
}

static void start_member(struct etcd_server *server, size_t number)
{
    struct etcd_member *member = &server->members[number];
    char args[12][ARG_BYTES];
    const char *list[24] = {program, "--heartbeat-interval=50", "--election-timeout=500",
                            "--log-level=error", "--logger=zap"};
    size_t count = 5;
    size_t used = 0;
#define ARG(...)                                                                                   \
    do {                                                                                           \
        snprintf(args[used], ARG_BYTES, __VA_ARGS__);                                              \
        list[count++] = args[used++];                                                              \
    } while (0)
    ARG("--name=m%zu", number);
    ARG("--data-dir=%s/m%zu", server->folder.path, number);
    ARG("--listen-client-urls=%s://127.0.0.1:%u", scheme(server), member->port);
    ARG("--advertise-client-urls=%s://127.0.0.1:%u", scheme(server), member->port);
    ARG("--listen-peer-urls=http://127.0.0.1:%u", member->peer_port);
    ARG("--initial-advertise-peer-urls=http://127.0.0.1:%u", member->peer_port);
    write_members(server, args[used]);
    list[count++] = args[used++];
    if (server->certificates) {
        ARG("--cert-file=%s/etcd.pem", server->certificates->path);
        ARG("--key-file=%s/etcd.key", server->certificates->path);
        ARG("--trusted-ca-file=%s/ca.pem", server->certificates->path);
        ARG("--client-cert-auth");
    }
#undef ARG
    member->pid = program_start(list, member->port, NULL);
}

static bool can_write(void *context)
{
    return etcd_server_call(context, "/v3/kv/put", "{'key':'AA=='}");
}

void etcd_server_start(struct etcd_server *server)
{
    for (size_t i = 0; i < server->count; i++)
        if (server->members[i].pid == 0)
            start_member(server, i);
    if (!server->certificates && !wait_until(can_write, server, wait_deadline_ms()))
        fail_msg("etcd has no leader");
}

void etcd_server_kill(struct etcd_server *server, size_t member)
{
    program_kill(&server->members[member].pid);
}

static void kill_all(struct etcd_server *server)
{
    for (size_t i = 0; i < server->count; i++)
        etcd_server_kill(server, i);
}

void etcd_server_erase(struct etcd_server *server)
{
    kill_all(server);
    temp_folder_remove(&server->folder);
    temp_folder_make(&server->folder);
}

void etcd_server_free(struct etcd_server *server)
{
    kill_all(server);
    if (server->folder.path[0])
        temp_folder_remove(&server->folder);
    server->folder.path[0] = '\0';
}

/* --- requests --------------------------------------------------------------------------------- */

bool etcd_server_call(const struct etcd_server *server, const char *path, const char *body)
{
    size_t i = 0;
    while (i < server->count && server->members[i].pid == 0)
        i++;
    assert_true(i < server->count);
    struct http *http = http_new(server->members[i].port);
    bool is_done = http_post(http, path, "%s", body)->status == 200;
    http_free(http);
    return is_done;
}

static void call_with_key(const struct etcd_server *server, const char *path, const char *key,
                          const char *value)
{
    struct text body = {0};
    text_append_string(&body, "{'key':'");
    base64_append(&body, slice_of(key));
    text_append_string(&body, "'");
    if (value) {
        text_append_string(&body, ",'value':'");
        base64_append(&body, slice_of(value));
        text_append_string(&body, "'");
    }
    text_append_string(&body, "}");
    assert_true(etcd_server_call(server, path, text_string(&body)));
    text_free(&body);
}

void etcd_server_put(const struct etcd_server *server, const char *key, const char *value)
{
    call_with_key(server, "/v3/kv/put", key, value);
}

void etcd_server_delete(const struct etcd_server *server, const char *key)
{
    call_with_key(server, "/v3/kv/deleterange", key, NULL);
}
