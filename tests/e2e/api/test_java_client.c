/* SPDX-License-Identifier: Apache-2.0
 *
 * The messages of the Java clients, in the order in which they send them: bodies that are
 * compressed and chunked, heartbeats on a WebSocket, registrations made from the response to a
 * heartbeat, and pushed changes. Once with the paths of the newer client, once with those of the
 * older one.
 */
#include "tests/support/client/calls.h"
#include "tests/support/client/websocket_client.h"
#include "tests/support/gzip.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JAVA_MESSAGE_BYTES_MAX = 8191, PUSH_MS_MAX = 1000 };

static const struct client_paths {
    const char *api, *sockets;
} clients[] = {{"/artemis/api", "/artemis/websocket"}, {"/api", "/ws"}};
enum { CLIENTS = sizeof clients / sizeof *clients };

#define JAVA_INSTANCE                                                                              \
    "{\"regionId\":\"lab\",\"zoneId\":\"zone1\",\"groupId\":null,\"serviceId\":\"%s\","            \
    "\"instanceId\":\"%s\",\"machineName\":null,\"ip\":\"10.0.0.1\",\"port\":80,"                  \
    "\"protocol\":null,\"url\":\"http://10.0.0.1\",\"healthCheckUrl\":null,\"status\":\"up\","     \
    "\"metadata\":null}"
#define JAVA_INSTANCES "{\"instances\":[" JAVA_INSTANCE "]}"

static int start(void **state)
{
    return fixture_start(state, (const char *const[]){"--set", "server.region=lab", "--set",
                                                      "lease.ttl_secs=20", NULL});
}

/* --- as the clients call ---------------------------------------------------------------------- */

/* The response may come compressed, as the client says it may. */
static struct http_response *inflate(struct http_response *response)
{
    const char *encoding = http_field(response, "Content-Encoding");
    if (encoding == NULL)
        return response;
    assert_string_equal(encoding, "gzip");
    size_t size;
    char *body = gzip_unpack(response->body, response->body_size, &size);
    assert_non_null(body);
    free(response->body);
    json_decref(response->json);
    response->body = body;
    response->body_size = size;
    response->json = json_loadb(body, size, 0, NULL);
    return response;
}

/* Compressed, in chunks, and with the fields that the client sends. */
static struct http_response *post_bytes(struct http *http, const struct client_paths *paths,
                                        const char *call, const char *body)
{
    static const char *const fields[] = {"Content-Type: application/json", "Content-Encoding: gzip",
                                         "Accept: application/json",
                                         "Accept-Encoding: gzip,deflate", NULL};
    char path[128];
    size_t size;
    unsigned char *packed = gzip_pack(body, strlen(body), &size);
    snprintf(path, sizeof path, "%s/%s.json", paths->api, call);
    struct http_response *response = http_send(http, &(struct http_request){.method = "POST",
                                                                            .path = path,
                                                                            .fields = fields,
                                                                            .body = packed,
                                                                            .body_size = size,
                                                                            .chunked = true});
    free(packed);
    return inflate(response);
}

__attribute__((format(printf, 4, 5))) static struct http_response *
post(struct http *http, const struct client_paths *paths, const char *call, const char *format, ...)
{
    char *body = NULL;
    va_list args;
    va_start(args, format);
    assert_true(vasprintf(&body, format, args) >= 0);
    va_end(args);
    struct http_response *response = post_bytes(http, paths, call, body);
    free(body);
    return response;
}

/* What the client goes by: HTTP below 300, a status that is there, and success. */
static void check_success(struct http_response *response)
{
    check_http(response, 200);
    check_json(response, "responseStatus.status", "'success'");
    check_json(response, "responseStatus.errorCode", "'success'");
}

static void open_socket(struct fixture *fixture, const struct client_paths *paths,
                        const char *endpoint, struct websocket_client *client)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", paths->sockets, endpoint);
    websocket_client_open(client, fixture->server.port, path);
}

static struct http_response *beat(struct websocket_client *client, const char *service_id,
                                  const char *instance_id)
{
    websocket_client_send_json(client, JAVA_INSTANCES, service_id, instance_id);
    struct http_response *response = websocket_client_next(client);
    assert_true(response->body_size <= JAVA_MESSAGE_BYTES_MAX);
    return response;
}

/* Once a second, and the response must come within a second. */
static void ping(struct websocket_client *client)
{
    SEND(client, .opcode = OPCODE_PING);
    websocket_client_check_frame(client, OPCODE_PONG, "", 0);
}

/* --- the registry client ---------------------------------------------------------------------- */

static void find_addresses(struct fixture *fixture, const struct client_paths *paths)
{
    static const char *const calls[] = {"cluster/up-registry-nodes", "cluster/up-discovery-nodes"};
    for (int i = 0; i < 2; i++) {
        struct http_response *response =
            post(fixture->http, paths, calls[i], "{\"regionId\":\"lab\",\"zoneId\":\"zone1\"}");
        check_success(response);
        check_count(response, "nodes", 1);
        assert_string_equal(check_text(response, "nodes[0].url"), fixture->server.url);
        check_json(response, "nodes[0].zone.regionId", "'lab'");
        check_json(response, "nodes[0].zone.zoneId", "'zone1'");
    }
}

/* Its register() unregisters, beats, and registers what the response says is not known. */
static void register_by_heartbeat(struct fixture *fixture, const struct client_paths *paths,
                                  struct websocket_client *socket, const char *service_id,
                                  const char *instance_id)
{
    check_success(
        post(fixture->http, paths, "registry/unregister", JAVA_INSTANCES, service_id, instance_id));
    struct http_response *response = beat(socket, service_id, instance_id);
    check_json(response, "responseStatus.status", "'partial_fail'");
    check_json(response, "responseStatus.errorCode", "'partial_fail'");
    check_count(response, "failedInstances", 1);
    check_json(response, "failedInstances[0].errorCode", "'data-not-found'");
    check_contains(response, "failedInstances[0].errorMessage", instance_id);
    const json_t *echo = check_find(response->json, "failedInstances[0].instance");
    assert_string_equal(json_string_value(json_object_get(echo, "serviceId")), service_id);
    assert_string_equal(json_string_value(json_object_get(echo, "instanceId")), instance_id);
    assert_string_equal(json_string_value(json_object_get(echo, "url")), "http://10.0.0.1");
    assert_int_equal(json_integer_value(json_object_get(echo, "port")), 80);
    char *instance = json_dumps(echo, JSON_COMPACT);
    check_success(
        post(fixture->http, paths, "registry/register", "{\"instances\":[%s]}", instance));
    free(instance);
    response = beat(socket, service_id, instance_id);
    check_json(response, "responseStatus.status", "'success'");
    check_json(response, "failedInstances", "null");
}

static void client_registers_and_renews_and_a_subscriber_gets_the_change(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < CLIENTS; i++) {
        const struct client_paths *paths = &clients[i];
        struct websocket_client heartbeat;
        struct websocket_client changes;
        char service[16];
        snprintf(service, sizeof service, "java-%d", i);
        find_addresses(fixture, paths);
        open_socket(fixture, paths, "registry/heartbeat", &heartbeat);
        register_by_heartbeat(fixture, paths, &heartbeat, service, "i1");
        ping(&heartbeat);
        /* The discovery client looks up, and then subscribes. */
        struct http_response *response =
            post(fixture->http, paths, "discovery/lookup",
                 "{\"discoveryConfigs\":[{\"serviceId\":\"%s\",\"regionId\":null,\"zoneId\":null,"
                 "\"discoveryData\":null}],\"regionId\":\"lab\",\"zoneId\":\"zone1\"}",
                 service);
        check_success(response);
        check_count(response, "services", 1);
        assert_string_equal(check_text(response, "services[0].serviceId"), service);
        check_count(response, "services[0].instances", 1);
        check_json(response, "services[0].instances[0].instanceId", "'i1'");
        open_socket(fixture, paths, "discovery/instance-change", &changes);
        websocket_client_send_json(&changes,
                                   "{'serviceId':'%s','regionId':null,'zoneId':null,"
                                   "'discoveryData':null}",
                                   service);
        response = websocket_client_next(&changes); /* it may have changed since the lookup */
        check_json(response, "changeType", "'reload'");
        assert_string_equal(check_text(response, "instance.serviceId"), service);
        ping(&changes); /* nothing but that is answered */
        int64_t began_ms = wait_now_ms();
        register_by_heartbeat(fixture, paths, &heartbeat, service, "i2");
        response = websocket_client_next(&changes);
        check_json(response, "changeType", "'new'");
        check_json(response, "instance.instanceId", "'i2'");
        assert_string_equal(check_text(response, "instance.serviceId"), service);
        check_json(response, "instance.groupId", "null");
        check_json(response, "instance.metadata", "null");
        assert_true(check_integer(response, "changeTime") > 1700000000000);
        check_count(response, "", 3);
        check_success(
            post(fixture->http, paths, "registry/unregister", JAVA_INSTANCES, service, "i2"));
        response = websocket_client_next(&changes);
        check_json(response, "changeType", "'delete'");
        check_json(response, "instance.instanceId", "'i2'");
        assert_true(wait_slow_build() || wait_now_ms() - began_ms < PUSH_MS_MAX);
        websocket_client_check_quiet(&changes);
        websocket_client_close(&heartbeat);
        websocket_client_close(&changes);
    }
}

/* Nothing is pushed for a service that nobody registered. A client that subscribes again after each
 * reload makes no loop. */
static void subscription_to_a_known_service_gets_one_reload(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < CLIENTS; i++) {
        struct websocket_client client;
        char name[16];
        snprintf(name, sizeof name, "known-%d", i);
        open_socket(fixture, &clients[i], "discovery/instance-change", &client);
        websocket_client_send_json(&client, "{'serviceId':'never'}");
        websocket_client_check_quiet(&client);
        call_register(fixture->http, name, "i1");
        for (int times = 0; times < 3; times++)
            websocket_client_send_json(&client, "{'serviceId':'%s'}", name);
        struct http_response *response = websocket_client_next(&client);
        check_json(response, "changeType", "'reload'");
        assert_string_equal(check_text(response, "instance.serviceId"), name);
        websocket_client_check_quiet(&client);
        websocket_client_close(&client);
    }
}

/* --- heartbeats ------------------------------------------------------------------------------- */

/* The clients' messages have 8 KiB at most; more is answered all the same, and the response never
 * has more. The response to the next heartbeat lists what was omitted. */
static void heartbeat_response_with_all_items_failed_fits_the_limit(void **state)
{
    struct fixture *fixture = *state;
    static const int counts[] = {1, 20, 30, 100, 250};
    for (int i = 0; i < CLIENTS; i++) {
        struct websocket_client client;
        open_socket(fixture, &clients[i], "registry/heartbeat", &client);
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            char *body = call_list_body("instances", JAVA_INSTANCE, "lost", 0, (size_t)counts[c]);
            websocket_client_send_json(&client, "%s", body);
            free(body);
            struct http_response *response = websocket_client_next(&client);
            assert_true(response->body_size <= JAVA_MESSAGE_BYTES_MAX);
            check_json(response, "responseStatus.status", "'partial_fail'");
            const json_t *failed = check_find(response->json, "failedInstances");
            assert_in_range(json_array_size(failed), 1, (size_t)counts[c]);
            assert_true(json_array_size(failed) == (size_t)counts[c] || counts[c] > 10);
            size_t at;
            const json_t *one;
            json_array_foreach(failed, at, one)
            {
                char id[32];
                snprintf(id, sizeof id, "i%zu", at);
                assert_string_equal(json_string_value(check_find(one, "instance.instanceId")), id);
            }
        }
        websocket_client_close(&client);
    }
}

/* One message has all instances of a client: more than the 64 KiB of other endpoints. */
static void heartbeat_of_a_thousand_instances_renews_all(void **state)
{
    enum { COUNT = 1000 };
    struct fixture *fixture = *state;
    struct websocket_client client;
    char *body = call_list_body("instances", JAVA_INSTANCE, "thousand", 0, COUNT);
    size_t size = strlen(body);
    assert_true(size > 64 * 1024);
    check_success(post_bytes(fixture->http, &clients[0], "registry/register", body));
    open_socket(fixture, &clients[0], "registry/heartbeat", &client);
    SEND(&client, .opcode = OPCODE_TEXT, .payload = body, .size = size);
    struct http_response *response = websocket_client_next(&client);
    check_json(response, "responseStatus.status", "'success'");
    check_json(response, "failedInstances", "null");
    free(body);
    websocket_client_close(&client);
}

/* A message above 1 MiB closes the connection. */
static void heartbeat_above_the_limit_is_closed(void **state)
{
    enum { LIMIT = 1024 * 1024 };
    struct fixture *fixture = *state;
    struct websocket_client client;
    char *message = calloc(1, LIMIT + 1);
    assert_non_null(message);
    memset(message, ' ', LIMIT + 1);
    open_socket(fixture, &clients[0], "registry/heartbeat", &client);
    SEND(&client, .opcode = OPCODE_TEXT, .payload = message, .size = LIMIT);
    check_json(websocket_client_next(&client), "responseStatus.status", "'success'");
    (void)websocket_client_send(
        &client,
        &(struct websocket_frame){.opcode = OPCODE_TEXT, .payload = message, .size = LIMIT + 1});
    websocket_client_check_closed(&client, 1009);
    free(message);
    websocket_client_close(&client);
}

static void unreadable_heartbeat_gets_success(void **state)
{
    struct fixture *fixture = *state;
    static const char *const messages[] = {"nonsense", "{", "[]", "7", "{\"instances\":[}"};
    for (int i = 0; i < CLIENTS; i++) {
        struct websocket_client client;
        open_socket(fixture, &clients[i], "registry/heartbeat", &client);
        for (size_t m = 0; m < sizeof messages / sizeof *messages; m++) {
            websocket_client_send_json(&client, "%s", messages[m]);
            struct http_response *response = websocket_client_next(&client);
            check_json(response, "responseStatus.status", "'success'");
            check_json(response, "responseStatus.errorCode", "'success'");
            check_json(response, "failedInstances", "null");
        }
        websocket_client_send_json(&client, "{'instances':[]}"); /* can be read */
        check_json(websocket_client_next(&client), "responseStatus.status", "'fail'");
        check_json(&client.message, "responseStatus.errorCode", "'bad-request'");
        websocket_client_send_json(&client, "{'instances':null}");
        check_json(websocket_client_next(&client), "responseStatus.errorCode", "'bad-request'");
        websocket_client_close(&client);
    }
}

static void heartbeats_renew_the_lease(void **state)
{
    struct fixture *fixture = *state;
    struct websocket_client client;
    open_socket(fixture, &clients[0], "registry/heartbeat", &client);
    register_by_heartbeat(fixture, &clients[0], &client, "kept", "i1");
    double renewed = call_metric(fixture->http, "artemis_renewals_total");
    for (int i = 0; i < 10; i++)
        check_json(beat(&client, "kept", "i1"), "responseStatus.status", "'success'");
    assert_int_equal(call_metric(fixture->http, "artemis_renewals_total"), renewed + 10);
    websocket_client_close(&client);
}

static void drained_node_refuses_heartbeats(void **state)
{
    struct fixture *fixture = *state;
    struct websocket_client client;
    open_socket(fixture, &clients[0], "registry/heartbeat", &client);
    server_process_signal(&fixture->server, 15);
    websocket_client_check_closed(&client, 1001); /* it reconnects elsewhere */
    websocket_client_close(&client);
}

/* --- changes ---------------------------------------------------------------------------------- */

static void unreadable_subscription_is_ignored(void **state)
{
    struct fixture *fixture = *state;
    static const char *const messages[] = {
        "nonsense", "[]", "{}", "{'serviceId':null}", "{'serviceId':''}", "{'serviceId':7}"};
    for (int i = 0; i < CLIENTS; i++) {
        struct websocket_client client;
        open_socket(fixture, &clients[i], "discovery/instance-change", &client);
        for (size_t m = 0; m < sizeof messages / sizeof *messages; m++)
            websocket_client_send_json(&client, "%s", messages[m]);
        websocket_client_check_quiet(&client);
        websocket_client_send_json(&client, "{'serviceId':'Ignored-%d'}", i); /* one that can be */
        websocket_client_check_quiet(&client);
        char name[16];
        snprintf(name, sizeof name, "ignored-%d", i);
        call_register(fixture->http, name, "i1");
        struct http_response *response = websocket_client_next(&client);
        assert_string_equal(check_text(response, "instance.serviceId"),
                            name); /* in small letters */
        websocket_client_close(&client);
    }
}

static void one_socket_subscribes_to_several_services(void **state)
{
    struct fixture *fixture = *state;
    struct websocket_client client;
    open_socket(fixture, &clients[0], "discovery/instance-change", &client);
    for (int i = 0; i < 20; i++)
        websocket_client_send_json(&client, "{'serviceId':'many-%d'}", i);
    websocket_client_send_json(&client, "{'serviceId':'many-7'}"); /* again, as after a reconnect */
    websocket_client_check_quiet(&client);
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "many-%d", i);
        call_register(fixture->http, name, "i1");
        assert_string_equal(check_text(websocket_client_next(&client), "instance.serviceId"), name);
    }
    websocket_client_check_quiet(&client);
    websocket_client_close(&client);
}

static void all_changes_arrive_without_a_subscription(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < CLIENTS; i++) {
        struct websocket_client client;
        char name[16];
        open_socket(fixture, &clients[i], "discovery/all-instance-change", &client);
        websocket_client_send_json(&client, "{'whatever':1}");
        websocket_client_check_quiet(&client);
        snprintf(name, sizeof name, "all-%d", i);
        call_register(fixture->http, name, "i1");
        call_register_many(fixture->http, name, 3);
        struct http_response *response = websocket_client_next(&client);
        check_json(response, "instance.instanceId", "'i1'");
        check_json(response, "changeType", "'new'");
        check_json(websocket_client_next(&client), "instance.instanceId", "'i0'");
        check_json(websocket_client_next(&client), "instance.instanceId", "'i2'");
        websocket_client_check_quiet(&client);
        websocket_client_close(&client);
    }
}

/* It could not be read; a reload has the client look up. */
static void change_that_is_too_large_arrives_as_reload(void **state)
{
    struct fixture *fixture = *state;
    struct websocket_client client;
    char filler[8001];
    char item[9000];
    memset(filler, 'x', sizeof filler - 1);
    filler[sizeof filler - 1] = '\0';
    snprintf(item, sizeof item, "{" INSTANCE_FIELDS ",'metadata':{'f':'%s'}}", "%s", "%s", filler);
    open_socket(fixture, &clients[0], "discovery/instance-change", &client);
    websocket_client_send_json(&client, "{'serviceId':'large'}");
    websocket_client_check_quiet(&client);
    char *body = call_list_body("instances", item, "large", 0, 1);
    check_status(call_post_bytes(fixture->http, REGISTER, body, strlen(body)), 200, "success",
                 NULL);
    free(body);
    struct http_response *response = websocket_client_next(&client);
    assert_true(response->body_size <= JAVA_MESSAGE_BYTES_MAX);
    check_json(response, "changeType", "'reload'");
    check_json(response, "instance.serviceId", "'large'");
    check_json(response, "instance.instanceId", "'reload'");
    check_json(response, "instance.ip", "'0.0.0.0'");
    check_json(response, "instance.url", "'http://large/reload'");
    websocket_client_close(&client);
}

/* --- status ----------------------------------------------------------------------------------- */

static void node_and_cluster_status_decode(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < CLIENTS; i++) {
        struct http_response *response =
            post(fixture->http, &clients[i], "status/node", "{\"regionId\":\"lab\"}");
        check_success(response);
        check_json(response, "nodeStatus.status", "'up'");
        check_json(response, "nodeStatus.canServiceRegistry", "true");
        check_json(response, "nodeStatus.canServiceDiscovery", "true");
        check_json(response, "nodeStatus.allowRegistryFromOtherZone", "true");
        check_json(response, "nodeStatus.allowDiscoveryFromOtherZone", "true");
        assert_string_equal(check_text(response, "nodeStatus.node.url"), fixture->server.url);
        check_json(response, "nodeStatus.node.zone.regionId", "'lab'");
        response = post(fixture->http, &clients[i], "status/cluster", "{\"regionId\":\"lab\"}");
        check_success(response);
        check_json(response, "nodeCount", "1");
        check_count(response, "nodesStatus", 1);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, fixture_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(client_registers_and_renews_and_a_subscriber_gets_the_change),
        TEST(heartbeat_response_with_all_items_failed_fits_the_limit),
        TEST(subscription_to_a_known_service_gets_one_reload),
        TEST(heartbeat_of_a_thousand_instances_renews_all),
        TEST(heartbeat_above_the_limit_is_closed),
        TEST(unreadable_heartbeat_gets_success),
        TEST(heartbeats_renew_the_lease),
        TEST(drained_node_refuses_heartbeats),
        TEST(unreadable_subscription_is_ignored),
        TEST(one_socket_subscribes_to_several_services),
        TEST(all_changes_arrive_without_a_subscription),
        TEST(change_that_is_too_large_arrives_as_reload),
        TEST(node_and_cluster_status_decode),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
