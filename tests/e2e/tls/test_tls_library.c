/* SPDX-License-Identifier: Apache-2.0
 *
 * libartemis and the commands of artemis with servers that require certificates.
 */
#include "libartemis/artemis.h"

#include "tests/support/certificates.h"
#include "tests/support/client/calls.h"
#include "tests/support/command.h"
#include "tests/support/parallel.h"
#include "tests/support/servers/cluster.h"
#include "tests/support/wait.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_MS = 20000, NODES = 2 };

static struct temp_folder folder;
static struct cluster cluster;
static struct artemis_client *client;
static char texts[4][320];
static char urls[128];

static const char *file(const char *name)
{
    return certificates_path(&folder, name);
}

static int start(void **state)
{
    (void)state;
    temp_folder_make(&folder);
    certificates_make_authority(&folder, "ca");
    certificates_make_authority(&folder, "foreign-ca");
    certificates_make(&folder, "ca", "server", NULL);
    certificates_make(&folder, "ca", "client", NULL);
    snprintf(texts[0], sizeof texts[0], "tls.cert=%s", file("server.pem"));
    snprintf(texts[1], sizeof texts[1], "tls.key=%s", file("server.key"));
    snprintf(texts[2], sizeof texts[2], "tls.client_ca=%s", file("ca.pem"));
    const char *const settings[] = {texts[0],
                                    texts[1],
                                    texts[2],
                                    "tls.require_client_cert=true",
                                    "server.tls_listen_addr=127.0.0.1:0",
                                    NULL};
    cluster_start(&cluster, NODES, settings);
    snprintf(urls, sizeof urls, "https://127.0.0.1:%u,https://localhost:%u",
             cluster.nodes[0].tls_port, cluster.nodes[1].tls_port);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    if (client)
        (void)artemis_close(client, TIMEOUT_MS, NULL);
    client = NULL;
    cluster_stop(&cluster);
    temp_folder_remove(&folder);
    return 0;
}

static void open_client(struct artemis_options options)
{
    struct artemis_problem problem = {.text = ""};
    options.servers = urls;
    options.heartbeat_ms = 300;
    options.attempt_timeout_ms = 2000;
    if (artemis_open(&options, &client, &problem))
        fail_msg("%s", problem.text);
}

static void open_with_certificate(void)
{
    open_client((struct artemis_options){
        .cacert = file("ca.pem"), .cert = file("client.pem"), .key = file("client.key")});
}

static enum artemis_error register_one(const char *id, int timeout_ms,
                                       struct artemis_problem *problem)
{
    struct artemis_instance instance = {
        .service_id = "shop", .instance_id = id, .ip = "10.0.0.1", .port = 80};
    return artemis_register(client, &instance, timeout_ms, problem);
}

static void instance_is_registered_and_found(void **state)
{
    (void)state;
    struct artemis_problem problem = {.text = ""};
    const struct artemis_service *service = NULL;
    open_with_certificate();
    if (register_one("s-1", TIMEOUT_MS, &problem))
        fail_msg("%s", problem.text);
    cluster_wait_count(&cluster, "shop", 1);
    assert_int_equal(artemis_discover(client, "shop", TIMEOUT_MS, &service, &problem), ARTEMIS_OK);
    assert_int_equal(service->instance_count, 1);
    artemis_service_free(service);
    assert_int_equal(artemis_close(client, TIMEOUT_MS, NULL), ARTEMIS_OK);
    client = NULL;
    cluster_wait_count(&cluster, "shop", 0);
}

static atomic_int changes;

static void on_change(const struct artemis_change *change, void *context)
{
    (void)change;
    (void)context;
    atomic_fetch_add(&changes, 1);
}

static bool has_changes(void *context)
{
    return atomic_load(&changes) >= *(int *)context;
}

static void wait_changes(int count)
{
    assert_true(wait_until(has_changes, &count, wait_deadline_ms()));
}

static void on_event(const struct artemis_event *event, void *context)
{
    (void)context;
    atomic_fetch_add(&changes, event->type == ARTEMIS_EVENT);
}

/* Events are published over HTTPS, and come over the WebSocket. */
static void events_are_published_and_received(void **state)
{
    (void)state;
    struct artemis_problem problem = {.text = ""};
    struct artemis_subscription *subscription = NULL;
    atomic_store(&changes, 0);
    open_with_certificate();
    if (artemis_subscribe_topic(client, "t", on_event, NULL, TIMEOUT_MS, &subscription, &problem))
        fail_msg("%s", problem.text);
    if (artemis_publish(client, "t", "1", TIMEOUT_MS, NULL, &problem))
        fail_msg("%s", problem.text);
    wait_changes(1);
    cluster_kill_node(&cluster, 0);
    call_wait_metric(cluster.http[1], "artemis_event_subscriptions", 1);
    if (artemis_publish(client, "t", "2", TIMEOUT_MS, NULL, &problem))
        fail_msg("%s", problem.text);
    wait_changes(2);
}

/* Changes come over the WebSocket, from the other node after the first one has ended. */
static void watch_continues_with_another_node(void **state)
{
    (void)state;
    struct artemis_problem problem = {.text = ""};
    struct artemis_watch *watch = NULL;
    atomic_store(&changes, 0);
    open_with_certificate();
    assert_int_equal(
        artemis_watch(client, "other", 0, on_change, NULL, TIMEOUT_MS, &watch, &problem),
        ARTEMIS_OK);
    call_wait_metric(cluster.http[0], "artemis_websockets", 1);
    call_register(cluster.http[0], "other", "o-1");
    wait_changes(1);
    if (register_one("s-1", TIMEOUT_MS, &problem))
        fail_msg("%s", problem.text);
    cluster_wait_count(&cluster, "shop", 1);
    cluster_kill_node(&cluster, 0);
    call_wait_metric(cluster.http[1], "artemis_websockets", 1);
    call_register(cluster.http[1], "other", "o-2");
    wait_changes(2);
    if (register_one("s-2", TIMEOUT_MS, &problem))
        fail_msg("%s", problem.text);
    cluster_wait_count(&cluster, "shop", 2);
}

static void untrusted_servers_are_not_used(void **state)
{
    (void)state;
    struct artemis_problem problem = {.text = ""};
    open_client((struct artemis_options){
        .cacert = file("foreign-ca.pem"), .cert = file("client.pem"), .key = file("client.key")});
    assert_int_equal(register_one("s-1", 1000, &problem), ARTEMIS_TIMED_OUT);
    assert_non_null(strstr(problem.text, "certificate"));
    (void)artemis_close(client, 0, NULL);
    client = NULL;
    open_client((struct artemis_options){.cacert = file("ca.pem")}); /* shows no certificate */
    assert_int_equal(register_one("s-1", 1000, &problem), ARTEMIS_TIMED_OUT);
    cluster_wait_count(&cluster, "shop", 0);
    (void)artemis_close(client, 0, NULL); /* it cannot unregister */
    client = NULL;
}

static void commands_take_certificates(void **state)
{
    (void)state;
    char environment[4][320];
    const char *args[] = {"register",
                          "shop",
                          "s-1",
                          "--ip",
                          "10.0.0.1",
                          "--port",
                          "80",
                          "--server",
                          urls,
                          "--cacert",
                          file("ca.pem"),
                          "--cert",
                          file("client.pem"),
                          "--key",
                          file("client.key"),
                          NULL};
    struct command_result result = command_run(args, NULL);
    if (result.exit_code != 0)
        fail_msg("%s", result.err);
    command_free(&result);
    cluster_wait_count(&cluster, "shop", 1);

    /* An address without a scheme is called with TLS. */
    snprintf(environment[0], sizeof environment[0], "127.0.0.1:%u", cluster.nodes[0].tls_port);
    const char *const show[] = {"config",   "show",   "--server", environment[0],
                                "--cacert", args[10], "--cert",   args[12],
                                "--key",    args[14], NULL};
    result = command_run(show, NULL);
    if (result.exit_code != 0)
        fail_msg("%s", result.err);
    assert_non_null(strstr(result.out, "tls.client_ca"));
    command_free(&result);

    snprintf(environment[0], sizeof environment[0], "ARTEMIS_URL=%s", urls);
    snprintf(environment[1], sizeof environment[1], "ARTEMIS_CACERT=%s", file("ca.pem"));
    snprintf(environment[2], sizeof environment[2], "ARTEMIS_CERT=%s", file("client.pem"));
    snprintf(environment[3], sizeof environment[3], "ARTEMIS_KEY=%s", file("client.key"));
    const char *env[] = {environment[0], environment[1], environment[2], environment[3], NULL};
    result = command_run((const char *const[]){"service", "shop", NULL}, env);
    assert_int_equal(result.exit_code, 0);
    assert_non_null(strstr(result.out, "s-1"));
    command_free(&result);

    env[1] = NULL;
    result = command_run((const char *const[]){"service", "shop", NULL}, env);
    assert_int_equal(result.exit_code, 3);
    assert_non_null(strstr(result.err, "--cacert"));
    command_free(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(instance_is_registered_and_found, start, stop),
        cmocka_unit_test_setup_teardown(watch_continues_with_another_node, start, stop),
        cmocka_unit_test_setup_teardown(events_are_published_and_received, start, stop),
        cmocka_unit_test_setup_teardown(untrusted_servers_are_not_used, start, stop),
        cmocka_unit_test_setup_teardown(commands_take_certificates, start, stop),
    };
    return PARALLEL_RUN(tests);
}
