/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/servers/member_node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/certificates.h"
#include "tests/support/wait.h"

enum { PEERS_BYTES = 256, SETTING_BYTES = 320 };

void member_node_start_with(struct member_node nodes[MEMBER_NODES_MAX], int number,
                            uint16_t peer_port, const char *file, const char *const settings[])
{
    struct member_node *node = &nodes[number];
    char id[40];
    char listener[64];
    const char *args[2 * MEMBER_SETTINGS_MAX + 16];
    size_t count = 0;
    assert_in_range(number, 1, MEMBER_NODES_MAX - 1);
    snprintf(node->peer_address, sizeof node->peer_address, "127.0.0.%d:%u", number + 1, peer_port);
    snprintf(id, sizeof id, "server.node_id=node%d", number);
    snprintf(listener, sizeof listener, "cluster.listen_addr=%s", node->peer_address);
    const char *own[] = {id, listener, "cluster.enabled=true", "cluster.bootstrap_grace_secs=0",
                         "cluster.health_interval_secs=1"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        args[count++] = "--set";
        args[count++] = own[i];
    }
    for (size_t i = 0; settings[i]; i++) {
        assert_true(i < MEMBER_SETTINGS_MAX);
        args[count++] = "--set";
        args[count++] = settings[i];
    }
    if (file) {
        args[count++] = "--config";
        args[count++] = file;
    }
    args[count] = NULL;
    server_process_start(&node->process, args, NULL);
    node->http = http_new(node->process.port);
}

void member_node_start(struct member_node nodes[MEMBER_NODES_MAX], int number, uint16_t peer_port,
                       const char *const settings[])
{
    member_node_start_with(nodes, number, peer_port, NULL, settings);
}

void member_node_reload(struct member_node *node, const struct temp_folder *folder,
                        const char *name, const char *text)
{
    temp_folder_write(folder, name, text);
    check_status(http_post(node->http, "/api/admin/reload", "{}"), 200, "success", NULL);
}

void member_node_stop(struct member_node *node)
{
    if (!node->http)
        return;
    server_process_stop(&node->process);
    http_free(node->http);
    node->http = NULL;
}

void member_node_kill(struct member_node *node)
{
    server_process_kill(&node->process);
    http_free(node->http);
    node->http = NULL;
}

void member_node_stop_all(struct member_node nodes[MEMBER_NODES_MAX])
{
    struct server_process *processes[MEMBER_NODES_MAX];
    size_t count = 0;
    for (int i = 0; i < MEMBER_NODES_MAX; i++)
        if (nodes[i].http)
            processes[count++] = &nodes[i].process;
    server_process_stop_all(processes, count);
    for (int i = 0; i < MEMBER_NODES_MAX; i++)
        member_node_stop(&nodes[i]);
}

/* --- certificates ----------------------------------------------------------------------------- */

void member_node_make_certificates(const struct temp_folder *folder, const char *name)
{
    const char *const names[] = {name, NULL};
    static const char *const others[] = {"other.test", "127.0.0.4", NULL};
    certificates_make_authority(folder, "ca");
    certificates_make(folder, "ca", "member", &(struct certificate_options){.hosts = names});
    certificates_make(folder, "ca", "outsider", &(struct certificate_options){.hosts = others});
}

void member_node_add_certificate(const char *settings[MEMBER_SETTINGS_MAX],
                                 const struct temp_folder *folder, const char *certificate)
{
    static char texts[3][SETTING_BYTES];
    size_t count = 0;
    while (settings[count])
        count++;
    assert_true(count + 3 < MEMBER_SETTINGS_MAX);
    snprintf(texts[0], SETTING_BYTES, "cluster.tls.ca=%s/ca.pem", folder->path);
    snprintf(texts[1], SETTING_BYTES, "cluster.tls.cert=%s/%s.pem", folder->path, certificate);
    snprintf(texts[2], SETTING_BYTES, "cluster.tls.key=%s/%s.key", folder->path, certificate);
    for (size_t i = 0; i < 3; i++)
        settings[count++] = texts[i];
    settings[count] = NULL;
}

/* --- waiting ---------------------------------------------------------------------------------- */

struct condition {
    struct member_node *node;
    const char *text;
    int count;
    char found[PEERS_BYTES];
};

static bool is_ready(void *context)
{
    const struct condition *condition = context;
    return http_get(condition->node->http, "/ready")->status == 200;
}

void member_node_wait_ready(struct member_node *node)
{
    struct condition condition = {.node = node};
    if (!wait_until(is_ready, &condition, wait_deadline_ms()))
        fail_msg("the node at %s does not become ready", node->peer_address);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A peer that is not up and ready is found as its id and its health. */
static bool has_peers(void *context)
{
    struct condition *condition = context;
    char texts[64][80];
    const char *sorted[64];
    struct http_response *response = http_get(condition->node->http, "/api/status/cluster");
    check_http(response, 200);
    json_t *peers = check_find(response->json, "peers");
    size_t count = json_array_size(peers);
    for (size_t i = 0; i < count; i++) {
        json_t *peer = json_array_get(peers, i);
        const char *health = json_string_value(json_object_get(peer, "health"));
        bool is_up = strcmp(health, "up") == 0 && json_is_true(json_object_get(peer, "ready"));
        snprintf(texts[i], sizeof texts[i], "%s%s%s",
                 json_string_value(json_object_get(peer, "node_id")), is_up ? "" : "=",
                 is_up ? "" : health);
        sorted[i] = texts[i];
    }
    qsort(sorted, count, sizeof *sorted, by_text);
    condition->found[0] = '\0';
    for (size_t i = 0, size = 0; i < count && size < PEERS_BYTES; i++)
        size += (size_t)snprintf(condition->found + size, PEERS_BYTES - size, "%s%s", i ? " " : "",
                                 sorted[i]);
    return strcmp(condition->found, condition->text) == 0;
}

void member_node_wait_peers(struct member_node *node, const char *peers)
{
    struct condition condition = {.node = node, .text = peers};
    if (!wait_until(has_peers, &condition, wait_deadline_ms()))
        fail_msg("the node at %s has the peers \"%s\" instead of \"%s\"", node->peer_address,
                 condition.found, peers);
}

void member_node_wait_mesh(struct member_node nodes[MEMBER_NODES_MAX])
{
    for (int i = 1; i < MEMBER_NODES_MAX; i++) {
        char peers[PEERS_BYTES] = "";
        size_t size = 0;
        for (int other = 1; other < MEMBER_NODES_MAX; other++)
            if (other != i && nodes[other].http)
                size += (size_t)snprintf(peers + size, sizeof peers - size, "%snode%d",
                                         size > 0 ? " " : "", other);
        if (nodes[i].http)
            member_node_wait_peers(&nodes[i], peers);
    }
}

static bool has_count(void *context)
{
    struct condition *condition = context;
    return call_count(condition->node->http, condition->text) == condition->count;
}

void member_node_wait_count(struct member_node nodes[MEMBER_NODES_MAX], const char *service_id,
                            int count)
{
    for (int i = 0; i < MEMBER_NODES_MAX; i++) {
        struct condition condition = {.node = &nodes[i], .text = service_id, .count = count};
        if (nodes[i].http && !wait_until(has_count, &condition, wait_deadline_ms()))
            fail_msg("node %d shows %d instances of %s instead of %d", i,
                     call_count(nodes[i].http, service_id), service_id, count);
    }
}

static bool has_state(void *context)
{
    const struct condition *condition = context;
    struct http_response *response = http_get(condition->node->http, "/api/status/cluster");
    return strcmp(check_text(response, "membership.providers[0].state"), condition->text) == 0;
}

const char *member_node_wait_provider(struct member_node *node, const char *state)
{
    struct condition condition = {.node = node, .text = state};
    if (!wait_until(has_state, &condition, wait_deadline_ms()))
        fail_msg("the provider of the node at %s is not %s", node->peer_address, state);
    return check_text(http_get(node->http, "/api/status/cluster"),
                      "membership.providers[0].problem");
}
