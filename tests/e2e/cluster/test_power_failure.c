/* SPDX-License-Identifier: Apache-2.0
 *
 * All nodes of a cluster with storage are killed at once under load and started again:
 * registrations, heartbeats, polls, long polls and watches go on all the time.
 *
 * Consumers never get an empty or partial list: the whole list, 503, or no connection. What was
 * acknowledged, replicated and committed before the kill is found again. A watch reports no
 * instance as gone that is not, and misses no change.
 */
#include "libartemis/artemis.h"

#include "tests/support/client/websocket_client.h"
#include "tests/support/servers/cluster.h"
#include "tests/support/temp_folder.h"
#include "tests/support/wait.h"

#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    NODES = 3,
    ROUNDS = 2,
    STABLE = 200, /* instances of the service that consumers ask for */
    CHURN_MAX = 20000,
    SURE_MS = 1000, /* what is older than this at the kill must be found again */
    TIMEOUT_MS = 20000,
};

static struct temp_folder folder;
static struct cluster cluster;
static _Atomic bool stop; /* ends the threads of the clients */

static void start_node(int node)
{
    char setting[160];
    snprintf(setting, sizeof setting, "storage.data_dir=%s/node%d", folder.path, node);
    cluster_start_node(&cluster, node, setting);
}

static void start_all(void)
{
    for (int node = 0; node < NODES; node++)
        start_node(node);
    for (int node = 0; node < NODES; node++)
        cluster_wait_ready(&cluster, node);
}

/* Kills all nodes before it waits for the end of the first. */
static void cut_power(void)
{
    for (int node = 0; node < NODES; node++)
        server_process_signal(&cluster.nodes[node], SIGKILL);
    for (int node = 0; node < NODES; node++)
        cluster_kill_node(&cluster, node);
}

/* --- clients in threads ----------------------------------------------------------------------- */

/* A client with its own connection. Problems are noted, because only the main thread may fail the
 * test. */
struct client {
    pthread_t thread;
    int node;   /* the first one to call */
    CURL *curl; /* NULL: its thread does not run */
    char *body; /* of the last response, NUL-terminated */
    size_t size;
    _Atomic int served;
    _Atomic int refused; /* 503 */
    _Atomic int failed;  /* no response */
    char problem[512];
};

static size_t receive(char *bytes, size_t size, size_t count, void *context)
{
    struct client *client = context;
    char *grown = realloc(client->body, client->size + size * count + 1);
    if (!grown)
        return 0;
    memcpy(grown + client->size, bytes, size * count);
    client->size += size * count;
    grown[client->size] = '\0';
    client->body = grown;
    return size * count;
}

/* The HTTP status; 0: no response. `post` NULL: GET. */
static long call(struct client *client, int node, const char *path, const char *post)
{
    char url[256];
    long status = 0;
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", cluster.ports[node], path);
    client->size = 0;
    if (client->body)
        client->body[0] = '\0';
    curl_easy_reset(client->curl);
    curl_easy_setopt(client->curl, CURLOPT_URL, url);
    curl_easy_setopt(client->curl, CURLOPT_PROXY, "");
    curl_easy_setopt(client->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(client->curl, CURLOPT_TIMEOUT_MS, 10000L);
    curl_easy_setopt(client->curl, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(client->curl, CURLOPT_WRITEDATA, client);
    if (post)
        curl_easy_setopt(client->curl, CURLOPT_POSTFIELDS, post);
    if (curl_easy_perform(client->curl) == CURLE_OK)
        curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
    client->served += status == 200;
    client->refused += status == 503;
    client->failed += status == 0;
    return status;
}

static int count_instances(const char *body)
{
    static const char member[] = "\"instance_id\"";
    int count = 0;
    for (const char *at = body; at && (at = strstr(at, member)); at += strlen(member))
        count++;
    return count;
}

/* Notes a list that is not whole; 503 and no connection are allowed. */
static void check_list(struct client *client, long status)
{
    if (status == 0 || status == 503 || client->problem[0])
        return;
    if (status != 200 || count_instances(client->body) < STABLE)
        snprintf(client->problem, sizeof client->problem, "node %d: HTTP %ld, %d instances: %.300s",
                 client->node + 1, status, count_instances(client->body),
                 client->body ? client->body : "");
}

static void *poll_service(void *context)
{
    struct client *client = context;
    while (!stop) {
        check_list(client,
                   call(client, client->node, "/api/discovery/service?service_id=stable", NULL));
        usleep(2000);
    }
    return NULL;
}

static void *long_poll_service(void *context)
{
    struct client *client = context;
    long long version = 0;
    while (!stop) {
        char path[128];
        snprintf(path, sizeof path, "/api/discovery/service?service_id=stable&version=%lld&wait=1s",
                 version);
        long status = call(client, client->node, path, NULL);
        if (status == 304)
            continue;
        check_list(client, status);
        const char *member = status == 200 ? strstr(client->body, "\"version\":") : NULL;
        if (member)
            version = strtoll(member + strlen("\"version\":"), NULL, 10);
        usleep(2000);
    }
    return NULL;
}

static void *send_heartbeats(void *context)
{
    struct client *client = context;
    char *body = call_list_body("instance_keys", KEY, "stable", 0, STABLE);
    for (int turn = client->node; !stop; turn++) {
        call(client, turn % NODES, HEARTBEAT, body);
        usleep(50000);
    }
    free(body);
    return NULL;
}

/* Registers i0, i1, ... of the service `churn`, at each node in turn. One that is not acknowledged
 * is registered again at the next node. */
static _Atomic int registered;

static void *register_instances(void *context)
{
    struct client *client = context;
    for (int turn = client->node; !stop && registered < CHURN_MAX; turn++) {
        char *body = call_list_body("instances", INSTANCE, "churn", (size_t)registered, 1);
        if (call(client, turn % NODES, REGISTER, body) == 200)
            registered++;
        free(body);
        usleep(1000);
    }
    return NULL;
}

static struct client pollers[NODES];
static struct client long_pollers[NODES];
static struct client heartbeats;
static struct client registrations;

static void start_client(struct client *client, void *(*run)(void *), int node)
{
    *client = (struct client){.node = node, .curl = curl_easy_init()};
    assert_non_null(client->curl);
    assert_int_equal(pthread_create(&client->thread, NULL, run, client), 0);
}

/* Ends the thread, if it runs. */
static void end_client(struct client *client)
{
    if (!client->curl)
        return;
    pthread_join(client->thread, NULL);
    curl_easy_cleanup(client->curl);
    free(client->body);
    client->curl = NULL;
    client->body = NULL;
}

static void end_clients(void)
{
    stop = true;
    for (int node = 0; node < NODES; node++) {
        end_client(&pollers[node]);
        end_client(&long_pollers[node]);
    }
    end_client(&heartbeats);
    end_client(&registrations);
}

static void check_client(const struct client *client)
{
    if (client->problem[0])
        fail_msg("%s", client->problem);
    assert_true(client->served > 0);
}

/* --- watches ---------------------------------------------------------------------------------- */

struct watcher {
    struct artemis_client *client; /* NULL: closed */
    _Atomic int added;
    _Atomic int deleted;
};

static struct watcher watchers[NODES];

static void on_change(const struct artemis_change *change, void *context)
{
    struct watcher *watcher = context;
    watcher->added += change->type == ARTEMIS_NEW;
    watcher->deleted += change->type == ARTEMIS_DELETE;
}

/* Each watcher uses another node first. */
static void start_watcher(struct watcher *watcher, int node)
{
    char servers[256];
    struct artemis_problem problem = {.text = ""};
    struct artemis_watch *watch;
    size_t size = 0;
    for (int i = 0; i < NODES; i++)
        size += (size_t)snprintf(servers + size, sizeof servers - size, "%shttp://127.0.0.1:%u",
                                 i ? "," : "", cluster.ports[(node + i) % NODES]);
    const struct artemis_options options = {.servers = servers, .ping_ms = 500};
    *watcher = (struct watcher){.client = NULL};
    if (artemis_open(&options, &watcher->client, &problem) ||
        artemis_watch(watcher->client, "stable", ARTEMIS_WATCH_CURRENT, on_change, watcher,
                      TIMEOUT_MS, &watch, &problem))
        fail_msg("%s", problem.text);
}

static void end_watchers(void)
{
    for (int node = 0; node < NODES; node++) {
        assert_int_equal(artemis_close(watchers[node].client, 0, NULL), ARTEMIS_OK);
        watchers[node].client = NULL;
    }
}

struct expected {
    struct watcher *watcher;
    int added;
};

static bool has_seen(void *context)
{
    const struct expected *expected = context;
    return expected->watcher->added >= expected->added || expected->watcher->deleted;
}

static void check_watcher(struct watcher *watcher, int added)
{
    struct expected expected = {watcher, added};
    bool seen = wait_until(has_seen, &expected, wait_deadline_ms());
    if (!seen || watcher->added != added || watcher->deleted)
        fail_msg("a watch has reported %d new instances of %d, and %d deleted", watcher->added,
                 added, watcher->deleted);
}

/* A WebSocket subscriber that connected before the kill: it forgets nothing. */
static void check_resubscription(int node, long long version, const char *run)
{
    struct websocket_client client;
    websocket_client_open(&client, cluster.ports[node], "/ws");
    websocket_client_send_json(&client,
                               "{'type':'subscribe','service_id':'stable','version':%lld,"
                               "'run':'%s'}",
                               version, run);
    check_json(websocket_client_next(&client), "type", "'subscribed'");
    struct http_response *response = websocket_client_next(&client);
    check_json(response, "changes[0].change_type", "'reload'");
    assert_true(json_array_size(check_find(response->json, "changes")) >= 1 + STABLE);
    websocket_client_close(&client);
}

/* A Java client forgets its list only for a lookup, which returns the whole list. */
static void check_java_subscription(int node)
{
    struct websocket_client client;
    websocket_client_open(&client, cluster.ports[node],
                          "/artemis/websocket/discovery/instance-change");
    websocket_client_send_json(&client, "{'serviceId':'stable'}");
    check_json(websocket_client_next(&client), "changeType", "'reload'");
    websocket_client_close(&client);
    struct http_response *response =
        http_post(cluster.http[node], "/artemis/api/discovery/lookup.json",
                  "{'discoveryConfigs':[{'serviceId':'stable'}]}");
    assert_true(json_array_size(check_find(response->json, "services[0].instances")) >= STABLE);
}

/* --- the test --------------------------------------------------------------------------------- */

static double metric_at(int node, const char *name)
{
    return call_metric(cluster.http[node], name);
}

struct cut {
    int registered;
    double commits[NODES];
};

static bool has_reached_all(void *context)
{
    const struct cut *cut = context;
    for (int node = 0; node < NODES; node++)
        if (call_count(cluster.http[node], "churn") < cut->registered)
            return false;
    return true;
}

/* The second commit from now on began after the present. */
static bool is_committed_by_all(void *context)
{
    const struct cut *cut = context;
    for (int node = 0; node < NODES; node++)
        if (metric_at(node, "artemis_storage_commits_total") < cut->commits[node] + 2)
            return false;
    return true;
}

/* Lets the load run for at least SURE_MS. Returns how many registrations were acknowledged before
 * that, which must be found again. On a machine with a busy disk that takes longer. */
static int run_load(void)
{
    usleep(300000);
    struct cut cut = {.registered = registered};
    int64_t until_ms = wait_now_ms() + SURE_MS;
    assert_true(wait_until(has_reached_all, &cut, wait_deadline_ms()));
    for (int node = 0; node < NODES; node++)
        cut.commits[node] = metric_at(node, "artemis_storage_commits_total");
    assert_true(wait_until(is_committed_by_all, &cut, wait_deadline_ms()));
    wait_for_time(until_ms);
    return cut.registered;
}

static void check_found_again(int node, int count)
{
    enum { AT_ONCE = 5000 };
    for (int from = 0; from < count; from += AT_ONCE) {
        size_t size = (size_t)(count - from < AT_ONCE ? count - from : AT_ONCE);
        check_status(call_with_keys(cluster.http[node], HEARTBEAT, "churn", (size_t)from, size),
                     200, "success", NULL);
    }
}

/* What was acknowledged just before the kill may be lost; its clients register it again. */
static void register_again(int count)
{
    enum { AT_ONCE = 5000 };
    for (int from = 0; from < count; from += AT_ONCE) {
        size_t size = (size_t)(count - from < AT_ONCE ? count - from : AT_ONCE);
        char *body = call_list_body("instances", INSTANCE, "churn", (size_t)from, size);
        check_status(call_post_bytes(cluster.http[0], REGISTER, body, strlen(body)), 200, "success",
                     NULL);
        free(body);
    }
}

static void kill_and_restart(int round)
{
    char id[32];
    char run[64];
    int sure = run_load();
    struct http_response *response =
        http_get(cluster.http[0], "/api/discovery/service?service_id=stable&version=0&wait=1s");
    long long version = check_integer(response, "version");
    snprintf(run, sizeof run, "%s", http_field(response, "X-Artemis-Run"));
    cut_power();
    int acknowledged = registered;
    start_all();
    for (int node = 0; node < NODES; node++) {
        assert_true(call_count(cluster.http[node], "stable") >= STABLE);
        check_found_again(node, sure);
        check_resubscription(node, version, run);
        check_java_subscription(node);
    }
    register_again(acknowledged);
    snprintf(id, sizeof id, "after-%d", round);
    call_register(cluster.http[round % NODES], "stable", id);
    for (int node = 0; node < NODES; node++)
        check_watcher(&watchers[node], STABLE + round + 1);
}

static int set_up(void **state)
{
    (void)state;
    stop = false;
    registered = 0;
    temp_folder_make(&folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    end_clients();
    end_watchers();
    cluster_stop(&cluster);
    temp_folder_remove(&folder);
    return 0;
}

static void all_nodes_killed_at_once_lose_nothing(void **state)
{
    (void)state;
    static const char *const settings[] = {"ratelimit.enabled=false", "lease.ttl_secs=60",
                                           "replication.anti_entropy_secs=1", NULL};
    cluster_plan(&cluster, NODES, settings);
    start_all();
    call_register_many(cluster.http[0], "stable", STABLE);
    cluster_wait_count(&cluster, "stable", STABLE);
    for (int node = 0; node < NODES; node++) {
        start_watcher(&watchers[node], node);
        check_watcher(&watchers[node], STABLE);
        start_client(&pollers[node], poll_service, node);
        start_client(&long_pollers[node], long_poll_service, node);
    }
    start_client(&heartbeats, send_heartbeats, 1);
    start_client(&registrations, register_instances, 2);
    for (int round = 0; round < ROUNDS; round++)
        kill_and_restart(round);
    end_clients();
    for (int node = 0; node < NODES; node++) {
        check_client(&pollers[node]);
        check_client(&long_pollers[node]);
    }
    check_client(&heartbeats);
    check_client(&registrations);
    cluster_wait_agreement(&cluster);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
    const struct CMUnitTest tests[] = {
        TEST(all_nodes_killed_at_once_lose_nothing),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
