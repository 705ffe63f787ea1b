/* SPDX-License-Identifier: Apache-2.0
 *
 * Three nodes are replaced one after the other by three with other names and addresses, under load:
 * no request fails that is repeated at another node, no ready node ever lacks an instance, no lease
 * ends, and no node is restarted or reloaded.
 */
#include "libartemis/artemis.h"

#include "tests/support/client/retrying_client.h"
#include "tests/support/servers/cluster.h"
#include "tests/support/servers/dns_server.h"
#include "tests/support/servers/member_node.h"
#include "tests/support/wait.h"

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LIBRARY_CLIENTS = 3,
    HTTP_CLIENTS = 2,
    INSTANCES = 20, /* of each client */
    TIMEOUT_MS = 20000,
    PAUSE_MS = 5, /* between two rounds of a thread */
    HOSTS_BYTES = 256,
    ROUNDS = 30, /* that must be made while the nodes do not change */
};

/* Heartbeats are sent far more often, also on a slow host. */
#define LEASE "lease.ttl_secs=6"

static struct member_node nodes[MEMBER_NODES_MAX];
static struct dns_server dns;
static uint16_t peer_port;

/* --- the load --------------------------------------------------------------------------------- */

static struct {
    atomic_bool is_ending;
    pthread_mutex_t lock; /* of the first problem */
    char problem[1024];
    atomic_int requests, discoveries, polls, registered;
    atomic_int states[LIBRARY_CLIENTS][INSTANCES]; /* of the registrations */
    struct {
        atomic_int port; /* 0: the node does not run */
        atomic_bool is_leaving;
    } nodes[MEMBER_NODES_MAX];
} load;

__attribute__((format(printf, 1, 2))) static void report(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    pthread_mutex_lock(&load.lock);
    if (!load.problem[0])
        vsnprintf(load.problem, sizeof load.problem, format, args);
    pthread_mutex_unlock(&load.lock);
    va_end(args);
}

static void check_load(void)
{
    char problem[sizeof load.problem];
    pthread_mutex_lock(&load.lock);
    memcpy(problem, load.problem, sizeof problem);
    pthread_mutex_unlock(&load.lock);
    if (problem[0])
        fail_msg("%s", problem);
}

static void pause_thread(void)
{
    wait_for_time(wait_now_ms() + PAUSE_MS);
}

static int count_of(const char *body, const char *part)
{
    int count = 0;
    for (const char *at = body; (at = strstr(at, part)); at += strlen(part))
        count++;
    return count;
}

/* --- clients of the library ------------------------------------------------------------------- */

struct library_client {
    struct artemis_client *client;
    pthread_t thread;
    struct artemis_watch *watch;
};

static struct library_client library_clients[LIBRARY_CLIENTS];

static void on_registration(const struct artemis_registration_event *event, void *context)
{
    const struct library_client *one = context;
    size_t number = strtoul(event->instance->instance_id + 1, NULL, 10);
    atomic_store(&load.states[one - library_clients][number], event->state);
    if (event->state == ARTEMIS_REGISTERED)
        atomic_fetch_add(&load.registered, 1);
    if (event->state == ARTEMIS_REJECTED || strcmp(event->reason, "instance-not-found") == 0)
        report("%s: %s: %s", event->server, event->instance->instance_id, event->message);
}

static void on_change(const struct artemis_change *change, void *context)
{
    (void)context;
    if (change->type == ARTEMIS_DELETE && !atomic_load(&load.is_ending))
        report("a watch has lost the instance %s", change->instance->instance_id);
}

/* Asks for the instances of all clients of the library. */
static void *discover(void *argument)
{
    struct library_client *one = argument;
    while (!atomic_load(&load.is_ending)) {
        const struct artemis_service *service;
        struct artemis_problem problem;
        if (artemis_discover(one->client, "shop", TIMEOUT_MS, &service, &problem)) {
            report("artemis_discover: %s", problem.text);
            return NULL;
        }
        if (service->instance_count != LIBRARY_CLIENTS * INSTANCES)
            report("artemis_discover has found %zu instances", service->instance_count);
        artemis_service_free(service);
        atomic_fetch_add(&load.discoveries, 1);
        pause_thread();
    }
    return NULL;
}

/* The first server of each is another of the first three nodes. */
static void open_library_client(int number)
{
    struct library_client *one = &library_clients[number];
    struct artemis_problem problem;
    char servers[3 * 40];
    const struct server_process *first = &nodes[1 + number % 3].process;
    const struct server_process *second = &nodes[1 + (number + 1) % 3].process;
    const struct server_process *third = &nodes[1 + (number + 2) % 3].process;
    snprintf(servers, sizeof servers, "%s,%s,%s", first->url, second->url, third->url);
    const struct artemis_options options = {
        .servers = servers,
        .heartbeat_ms = 300,
        .nodes_ms = 300,
        .on_registration = on_registration,
        .registration_context = one,
    };
    if (artemis_open(&options, &one->client, &problem))
        fail_msg("%s", problem.text);
    for (int i = 0; i < INSTANCES; i++) {
        char id[16];
        snprintf(id, sizeof id, "i%d-%d", i, number);
        const struct artemis_instance instance = {
            .service_id = "shop", .instance_id = id, .ip = "10.0.0.1", .port = 80};
        if (artemis_register(one->client, &instance, TIMEOUT_MS, &problem))
            fail_msg("%s", problem.text);
    }
}

static void start_library_client(int number)
{
    struct library_client *one = &library_clients[number];
    struct artemis_problem problem;
    if (artemis_watch(one->client, "shop", ARTEMIS_WATCH_CURRENT, on_change, NULL, TIMEOUT_MS,
                      &one->watch, &problem))
        fail_msg("%s", problem.text);
    assert_int_equal(pthread_create(&one->thread, NULL, discover, one), 0);
}

/* --- plain HTTP clients ----------------------------------------------------------------------- */

struct http_client {
    struct retrying_client *client;
    pthread_t thread;
    char service[16]; /* of its instances */
    char *registration, *heartbeat;
};

static struct http_client http_clients[HTTP_CLIENTS];

static const char *request(struct http_client *one, const char *path, const char *body)
{
    const char *response = retrying_client_send(one->client, path, body);
    if (!response)
        report("a request failed at all nodes: %s", retrying_client_problem(one->client));
    else if (strstr(response, "\"failed_") || !strstr(response, "\"error_code\":\"success\""))
        report("%s: %.300s", path, response);
    atomic_fetch_add(&load.requests, 1);
    return response;
}

static void discover_plain(struct http_client *one, const char *service, int count)
{
    char path[64];
    snprintf(path, sizeof path, "/api/discovery/service?service_id=%s", service);
    const char *response = request(one, path, NULL);
    int found = response ? count_of(response, "\"instance_id\"") : count;
    if (found != count)
        report("%s has %d of %d instances: %.200s", service, found, count, response);
}

/* Renews its instances, finds all, and changes one. */
static void *send_requests(void *argument)
{
    struct http_client *one = argument;
    char *changes[2] = {
        call_list_body("instances", "{" INSTANCE_FIELDS ",'weight':1}", one->service, 0, 1),
        call_list_body("instances", "{" INSTANCE_FIELDS ",'weight':2}", one->service, 0, 1)};
    for (int round = 0; !atomic_load(&load.is_ending); round++) {
        (void)request(one, HEARTBEAT, one->heartbeat);
        discover_plain(one, "shop", LIBRARY_CLIENTS * INSTANCES);
        discover_plain(one, one->service, INSTANCES);
        (void)request(one, REGISTER, changes[round % 2]);
        pause_thread();
    }
    free(changes[0]);
    free(changes[1]);
    return NULL;
}

static void start_http_client(int number)
{
    struct http_client *one = &http_clients[number];
    snprintf(one->service, sizeof one->service, "plain%d", number);
    one->client = retrying_client_new(nodes[1 + number].process.port, true);
    one->registration = call_list_body("instances", INSTANCE, one->service, 0, INSTANCES);
    one->heartbeat = call_list_body("instance_keys", KEY, one->service, 0, INSTANCES);
    assert_non_null(request(one, REGISTER, one->registration));
    check_load();
    member_node_wait_count(nodes, one->service, INSTANCES);
    assert_int_equal(pthread_create(&one->thread, NULL, send_requests, one), 0);
}

/* --- polls of each node ----------------------------------------------------------------------- */

static pthread_t poller;

/* Every response of discovery has all instances. A node that has served it once serves it until it
 * leaves. */
static void poll_node(int number, struct retrying_client *client, bool *was_ready)
{
    bool was_leaving = atomic_load(&load.nodes[number].is_leaving);
    for (int i = 0; i <= HTTP_CLIENTS; i++) {
        char path[64];
        int expected = i < HTTP_CLIENTS ? INSTANCES : LIBRARY_CLIENTS * INSTANCES;
        const char *service = i < HTTP_CLIENTS ? http_clients[i].service : "shop";
        snprintf(path, sizeof path, "/api/discovery/service?service_id=%s", service);
        const char *response = retrying_client_send(client, path, NULL);
        int found = response ? count_of(response, "\"instance_id\"") : -1;
        if (response && found != expected)
            report("node%d shows %d of %d instances of %s: %.200s", number, found, expected,
                   service, response);
        if (!response && *was_ready && !was_leaving && !atomic_load(&load.nodes[number].is_leaving))
            report("node%d was ready and is not any more: %s", number,
                   retrying_client_problem(client));
        *was_ready |= response != NULL;
        atomic_fetch_add(&load.polls, 1);
    }
}

static void *poll_nodes(void *argument)
{
    struct retrying_client *clients[MEMBER_NODES_MAX] = {NULL};
    bool was_ready[MEMBER_NODES_MAX] = {false};
    (void)argument;
    while (!atomic_load(&load.is_ending)) {
        for (int i = 1; i < MEMBER_NODES_MAX; i++) {
            int port = atomic_load(&load.nodes[i].port);
            if (port && !clients[i])
                clients[i] = retrying_client_new((uint16_t)port, false);
            if (port)
                poll_node(i, clients[i], &was_ready[i]);
        }
        pause_thread();
    }
    for (int i = 1; i < MEMBER_NODES_MAX; i++)
        retrying_client_free(clients[i]);
    return NULL;
}

/* --- the test --------------------------------------------------------------------------------- */

static void start_load(void)
{
    for (int i = 0; i < LIBRARY_CLIENTS; i++)
        open_library_client(i);
    member_node_wait_count(nodes, "shop", LIBRARY_CLIENTS * INSTANCES);
    for (int i = 0; i < LIBRARY_CLIENTS; i++)
        start_library_client(i);
    for (int i = 0; i < HTTP_CLIENTS; i++)
        start_http_client(i);
    assert_int_equal(pthread_create(&poller, NULL, poll_nodes, NULL), 0);
}

static void join(pthread_t *thread)
{
    if (*thread)
        pthread_join(*thread, NULL);
    *thread = 0;
}

static void end_load(void)
{
    atomic_store(&load.is_ending, true);
    join(&poller);
    for (int i = 0; i < HTTP_CLIENTS; i++) {
        struct http_client *one = &http_clients[i];
        join(&one->thread);
        retrying_client_free(one->client);
        free(one->registration);
        free(one->heartbeat);
        *one = (struct http_client){0};
    }
    for (int i = 0; i < LIBRARY_CLIENTS; i++) {
        struct library_client *one = &library_clients[i];
        join(&one->thread);
        artemis_unwatch(one->watch);
        if (artemis_close(one->client, TIMEOUT_MS, NULL))
            report("a client of the library was not closed in time");
        *one = (struct library_client){0};
    }
}

static void start_node(int number, const char *const settings[])
{
    member_node_start(nodes, number, peer_port, settings);
    atomic_store(&load.nodes[number].is_leaving, false);
    atomic_store(&load.nodes[number].port, nodes[number].process.port);
}

/* Checks first that no lease of an instance has ended at the node. Its clients still have
 * connections, so it waits for a moment without a request. */
static void begin_stop(int number)
{
    check_load();
    assert_true(call_metric(nodes[number].http, "artemis_leases_due_total") == 0);
    atomic_store(&load.nodes[number].is_leaving, true);
    atomic_store(&load.nodes[number].port, 0);
    server_process_signal(&nodes[number].process, SIGTERM);
    http_free(nodes[number].http);
    nodes[number].http = NULL;
}

static void end_stop(int number)
{
    assert_int_equal(server_process_wait(&nodes[number].process), 0);
}

struct goal {
    atomic_int *value;
    int count;
};

static bool is_reached(void *context)
{
    const struct goal *goal = context;
    return load.problem[0] || atomic_load(goal->value) >= goal->count;
}

static bool are_renewed(void *context)
{
    (void)context;
    for (int i = 0; i < LIBRARY_CLIENTS; i++)
        for (int j = 0; j < INSTANCES; j++)
            if (atomic_load(&load.states[i][j]) != ARTEMIS_RENEWED)
                return false;
    return true;
}

/* Waits until each thread has made some more rounds, and no heartbeat is without a response. */
static void wait_for_load(void)
{
    assert_true(wait_until(are_renewed, NULL, wait_deadline_ms()));
    atomic_int *values[] = {&load.requests, &load.discoveries, &load.polls};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct goal goal = {values[i], atomic_load(values[i]) + ROUNDS};
        assert_true(wait_until(is_reached, &goal, wait_deadline_ms()));
    }
    check_load();
}

/* Every instance is there, and was registered once. */
static void check_end(void)
{
    wait_for_load();
    assert_int_equal(atomic_load(&load.registered), LIBRARY_CLIENTS * INSTANCES);
    member_node_wait_count(nodes, "shop", LIBRARY_CLIENTS * INSTANCES);
    for (int i = 0; i < HTTP_CLIENTS; i++)
        member_node_wait_count(nodes, http_clients[i].service, INSTANCES);
    for (int i = 4; i <= 6; i++)
        assert_true(call_metric(nodes[i].http, "artemis_leases_due_total") == 0);
    end_load();
    check_load();
}

static int set_up(void **state)
{
    (void)state;
    memset(&load, 0, sizeof load);
    pthread_mutex_init(&load.lock, NULL);
    peer_port = cluster_choose_port();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    end_load();
    member_node_stop_all(nodes);
    if (dns.port)
        dns_server_free(&dns);
    dns.port = 0;
    pthread_mutex_destroy(&load.lock);
    return 0;
}

/* --- the replacement -------------------------------------------------------------------------- */

/* The topologies are the peers of the first to the last node that runs. */
struct provider {
    void (*start_node)(int number);
    void (*list_nodes)(int first, int last); /* NULL: nodes list themselves */
    const char *of_first[3];
    const char *of_four[4][4]; /* [step]: while nodes `step` to `step + 3` run */
    const char *of_last[3];
};

static void wait_for_topologies(int first, int count, const char *const peers[])
{
    for (int i = 0; i < count; i++)
        member_node_wait_peers(&nodes[first + i], peers[i]);
}

static void list_nodes(const struct provider *provider, int first, int last)
{
    if (provider->list_nodes)
        provider->list_nodes(first, last);
}

/* The shutdown of a node goes on while the next one starts. */
static void replace_nodes(const struct provider *provider)
{
    for (int i = 1; i <= 3; i++)
        provider->start_node(i);
    wait_for_topologies(1, 3, provider->of_first);
    start_load();
    for (int step = 1; step <= 3; step++) {
        list_nodes(provider, step, step + 3);
        provider->start_node(step + 3);
        member_node_wait_ready(&nodes[step + 3]);
        wait_for_topologies(step, 4, provider->of_four[step]);
        wait_for_load();
        list_nodes(provider, step + 1, step + 3);
        begin_stop(step);
    }
    for (int i = 1; i <= 3; i++)
        end_stop(i);
    wait_for_topologies(4, 3, provider->of_last);
    check_end();
}

/* --- dns -------------------------------------------------------------------------------------- */

/* One name has the addresses of these nodes. */
static void write_hosts(int first, int last, char hosts[HOSTS_BYTES])
{
    size_t size = 0;
    for (int i = first; i <= last; i++)
        size +=
            (size_t)snprintf(hosts + size, HOSTS_BYTES - size, "127.0.0.%d artemis.test\n", i + 1);
}

static void change_zone(int first, int last)
{
    char hosts[HOSTS_BYTES];
    write_hosts(first, last, hosts);
    dns_server_set_hosts(&dns, hosts);
}

static void start_dns_node(int number)
{
    char names[64];
    char servers[64];
    snprintf(names, sizeof names, "cluster.dns.names=artemis.test:%u", peer_port);
    snprintf(servers, sizeof servers, "cluster.dns.servers=%s", dns.address);
    start_node(number, (const char *const[]){"cluster.provider=dns", names, servers,
                                             "cluster.dns.max_interval_secs=1", LEASE, NULL});
}

static const struct provider by_dns = {
    .start_node = start_dns_node,
    .list_nodes = change_zone,
    .of_first = {"node2 node3", "node1 node3", "node1 node2"},
    .of_four =
        {
            [1] = {"node2 node3 node4", "node1 node3 node4", "node1 node2 node4",
                   "node1 node2 node3"},
            [2] = {"node3 node4 node5", "node2 node4 node5", "node2 node3 node5",
                   "node2 node3 node4"},
            [3] = {"node4 node5 node6", "node3 node5 node6", "node3 node4 node6",
                   "node3 node4 node5"},
        },
    .of_last = {"node5 node6", "node4 node6", "node4 node5"},
};

static void nodes_found_by_dns_are_replaced_under_load(void **state)
{
    (void)state;
    char hosts[HOSTS_BYTES];
    if (!dns_server_is_installed())
        skip();
    dns_server_plan(&dns);
    write_hosts(1, 3, hosts);
    dns_server_start(&dns, hosts, NULL);
    replace_nodes(&by_dns);
}

/* --- registry --------------------------------------------------------------------------------- */

/* The seed of a new node is one that runs. */
static void start_registry_node(int number)
{
    static const int seeds[] = {[1] = 1, 1, 1, 3, 4, 4};
    char text[64];
    snprintf(text, sizeof text, "cluster.seeds=127.0.0.%d:%u", seeds[number] + 1, peer_port);
    start_node(number, (const char *const[]){"cluster.provider=registry", text, LEASE, NULL});
}

/* A node that has left is down at those whose seed it is. */
static const struct provider by_registry = {
    .start_node = start_registry_node,
    .of_first = {"node2 node3", "node1 node3", "node1 node2"},
    .of_four =
        {
            [1] = {"node2 node3 node4", "node1 node3 node4", "node1 node2 node4",
                   "node1 node2 node3"},
            [2] = {"node1=down node3 node4 node5", "node1=down node2 node4 node5",
                   "node2 node3 node5", "node2 node3 node4"},
            [3] = {"node1=down node4 node5 node6", "node3 node5 node6", "node3 node4 node6",
                   "node3 node4 node5"},
        },
    .of_last = {"node3=down node5 node6", "node4 node6", "node4 node5"},
};

static void nodes_that_register_are_replaced_under_load(void **state)
{
    (void)state;
    replace_nodes(&by_registry);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nodes_found_by_dns_are_replaced_under_load),
        TEST(nodes_that_register_are_replaced_under_load),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
