/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/servers/cluster.h"

#include "tests/support/wait.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- ports ------------------------------------------------------------------------------------ */

static bool is_free(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int reuse = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse);
    bool free = bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return free;
}

/* Each test program starts at another one. */
uint16_t cluster_choose_port(void)
{
    enum { FIRST = 10000, COUNT = 20000 };
    static unsigned next;
    if (next == 0)
        next = (unsigned)getpid() * 16;
    for (int tries = 0; tries < COUNT; tries++) {
        uint16_t port = (uint16_t)(FIRST + next++ % COUNT);
        if (is_free(port))
            return port;
    }
    fail_msg("no port is free");
    return 0;
}

/* --- nodes ------------------------------------------------------------------------------------ */

enum { PEER_URL_BYTES = 48 };

/* The address at which peers reach the node with that port. */
static void write_peer_url(const struct cluster *cluster, uint16_t port, char url[PEER_URL_BYTES])
{
    uint16_t peer_port = 0;
    for (int i = 0; i < cluster->count; i++)
        if (cluster->ports[i] == port)
            peer_port = cluster->peer_ports[i];
    snprintf(url, PEER_URL_BYTES, "%s://127.0.0.1:%u", peer_port ? "https" : "http",
             peer_port ? peer_port : port);
}

void cluster_plan(struct cluster *cluster, int count, const char *const settings[])
{
    *cluster = (struct cluster){.count = count};
    assert_in_range(count, 1, CLUSTER_NODES_MAX);
    bool has_tls = false;
    for (size_t i = 0; settings && settings[i]; i++)
        has_tls |= strncmp(settings[i], "cluster.tls.cert=", strlen("cluster.tls.cert=")) == 0;
    size_t size = (size_t)snprintf(cluster->peers, sizeof cluster->peers, "cluster.peers=");
    for (int i = 0; i < count; i++) {
        char url[PEER_URL_BYTES];
        cluster->ports[i] = cluster_choose_port();
        cluster->peer_ports[i] = has_tls ? cluster_choose_port() : 0;
        write_peer_url(cluster, cluster->ports[i], url);
        size += (size_t)snprintf(cluster->peers + size, sizeof cluster->peers - size, "%s%s",
                                 i ? "," : "", url);
    }
    for (size_t i = 0; settings && settings[i]; i++) {
        assert_true(i < CLUSTER_SETTINGS_MAX);
        cluster->settings[i] = settings[i];
    }
}

void cluster_start_node(struct cluster *cluster, int node, const char *setting)
{
    char name[40];
    char listener[64];
    const char *args[2 * CLUSTER_SETTINGS_MAX + 16];
    size_t count = 0;
    snprintf(name, sizeof name, "server.node_id=node%d", node + 1);
    snprintf(listener, sizeof listener, "cluster.listen_addr=127.0.0.1:%u",
             cluster->peer_ports[node]);
    const char *own[] = {name, "cluster.enabled=true", cluster->peers,
                         "cluster.bootstrap_grace_secs=0", /* ready at once without data */
                         cluster->peer_ports[node] ? listener : NULL};
    for (size_t i = 0; i < sizeof own / sizeof own[0] && own[i]; i++) {
        args[count++] = "--set";
        args[count++] = own[i];
    }
    for (size_t i = 0; cluster->settings[i]; i++) {
        args[count++] = "--set";
        args[count++] = cluster->settings[i];
    }
    if (cluster->config) {
        args[count++] = "--config";
        args[count++] = cluster->config;
    }
    if (setting) {
        args[count++] = "--set";
        args[count++] = setting;
    }
    args[count] = NULL;
    server_process_start_at(&cluster->nodes[node], cluster->ports[node], args, NULL);
    cluster->http[node] = http_new(cluster->ports[node]);
}

static void close_client(struct cluster *cluster, int node)
{
    http_free(cluster->http[node]);
    cluster->http[node] = NULL;
}

void cluster_stop_node(struct cluster *cluster, int node)
{
    server_process_stop(&cluster->nodes[node]);
    close_client(cluster, node);
}

void cluster_kill_node(struct cluster *cluster, int node)
{
    server_process_kill(&cluster->nodes[node]);
    close_client(cluster, node);
}

void cluster_stop(struct cluster *cluster)
{
    struct server_process *processes[CLUSTER_NODES_MAX];
    size_t count = 0;
    for (int i = 0; i < cluster->count; i++)
        if (cluster->http[i])
            processes[count++] = &cluster->nodes[i];
    server_process_stop_all(processes, count);
    for (int i = 0; i < cluster->count; i++)
        if (cluster->http[i])
            cluster_stop_node(cluster, i);
}

/* --- waiting ---------------------------------------------------------------------------------- */

struct condition {
    struct cluster *cluster;
    int node;
    uint16_t port;
    const char *text;
    int count;
};

static bool is_ready(void *context)
{
    struct condition *condition = context;
    return http_get(condition->cluster->http[condition->node], "/ready")->status == 200;
}

void cluster_wait_ready(struct cluster *cluster, int node)
{
    struct condition condition = {cluster, node, 0, NULL, 0};
    if (!wait_until(is_ready, &condition, wait_deadline_ms()))
        fail_msg("node %d does not become ready", node + 1);
}

json_t *cluster_peer_status(struct cluster *cluster, int node, uint16_t port, const char *member)
{
    char url[PEER_URL_BYTES];
    size_t i;
    json_t *peer;
    write_peer_url(cluster, port, url);
    struct http_response *response = http_get(cluster->http[node], "/api/status/cluster");
    check_http(response, 200);
    json_array_foreach(check_find(response->json, "peers"), i,
                       peer) if (strcmp(json_string_value(json_object_get(peer, "url")), url) ==
                                 0) return json_object_get(peer, member);
    return NULL;
}

static bool has_health(void *context)
{
    struct condition *condition = context;
    const char *health = json_string_value(
        cluster_peer_status(condition->cluster, condition->node, condition->port, "health"));
    return health && strcmp(health, condition->text) == 0;
}

void cluster_wait_health(struct cluster *cluster, int node, uint16_t port, const char *health)
{
    struct condition condition = {cluster, node, port, health, 0};
    if (!wait_until(has_health, &condition, wait_deadline_ms()))
        fail_msg("node %d does not see the peer at %u as %s", node + 1, port, health);
}

void cluster_start(struct cluster *cluster, int count, const char *const settings[])
{
    cluster_plan(cluster, count, settings);
    for (int i = 0; i < count; i++)
        cluster_start_node(cluster, i, NULL);
    for (int i = 0; i < count; i++) {
        cluster_wait_ready(cluster, i);
        for (int peer = 0; peer < count; peer++)
            if (peer != i)
                cluster_wait_health(cluster, i, cluster->ports[peer], "up");
    }
}

static bool has_count(void *context)
{
    struct condition *condition = context;
    int found = call_count(condition->cluster->http[condition->node], condition->text);
    return found == condition->count || (found < 0 && condition->count == 0);
}

void cluster_wait_count(struct cluster *cluster, const char *service_id, int count)
{
    for (int i = 0; i < cluster->count; i++) {
        struct condition condition = {cluster, i, 0, service_id, count};
        if (cluster->http[i] && !wait_until(has_count, &condition, wait_deadline_ms()))
            fail_msg("node %d shows %d instances of %s instead of %d", i + 1,
                     call_count(cluster->http[i], service_id), service_id, count);
    }
}

/* --- peer calls ------------------------------------------------------------------------------- */

struct http_response *cluster_peer_call(struct http *http, const char *method, const char *path,
                                        const char *body)
{
    static const char *const fields[] = {"X-Artemis-Replication: true",
                                         "X-Artemis-Cluster: artemis", "X-Artemis-Node: tester",
                                         "Content-Type: application/json", NULL};
    return http_send(http, &(struct http_request){.method = method,
                                                  .path = path,
                                                  .fields = fields,
                                                  .body = body,
                                                  .body_size = body ? strlen(body) : 0});
}

static bool agree(void *context)
{
    struct cluster *cluster = context;
    char *first = NULL;
    bool same = true;
    for (int i = 0; i < cluster->count && same; i++) {
        if (!cluster->http[i])
            continue;
        struct http_response *response =
            cluster_peer_call(cluster->http[i], "GET", "/api/replication/registry/digest", NULL);
        check_http(response, 200);
        same = !first || strcmp(first, response->body) == 0;
        if (!first)
            first = strdup(response->body);
    }
    free(first);
    return same;
}

void cluster_wait_agreement(struct cluster *cluster)
{
    if (!wait_until(agree, cluster, wait_deadline_ms()))
        fail_msg("the digests of the nodes differ");
}
