/* SPDX-License-Identifier: Apache-2.0
 *
 * The client library with a server that responds to the first calls with a fault, and well from
 * then on. Each call returns, no redirect is followed, and the client works afterwards.
 */
#include "libartemis/artemis.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/servers/fake_server.h"
#include "tests/support/servers/response_faults.h"
#include "tests/support/servers/server_process.h"
#include "tests/support/wait.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { ATTEMPT_MS = 500, CALL_MS = 2000, TIMEOUT_MS = 60000 };

#define SUCCESS "{\"response_status\":{\"error_code\":\"success\"}"

static const struct artemis_instance one = {
    .service_id = "shop", .instance_id = "s-1", .ip = "10.0.0.1", .port = 80};

static struct fake_server server;
static struct fake_server elsewhere;
static atomic_uint faults_left;
static atomic_uint handshakes_left;                /* that get the fault */
static atomic_uint followed;                       /* redirects */
static const struct response_fault *_Atomic fault; /* read by the threads of the server */

static bool is_handshake(const char *head)
{
    return strncmp(head, "GET /ws ", 8) == 0;
}

/* It has no WebSocket, so the client polls. */
static void respond(const char *head, char *out, size_t size, void *context)
{
    static const char body[] =
        SUCCESS ",\"version\":1,\"service\":{\"service_id\":\"shop\",\"instances\":[{"
                "\"region_id\":\"r\",\"zone_id\":\"z\",\"service_id\":\"shop\","
                "\"instance_id\":\"s-1\",\"ip\":\"10.0.0.1\",\"port\":80}]}}";
    (void)context;
    snprintf(out, size, "HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
             is_handshake(head) ? "404 Not Found" : "200 OK", sizeof body - 1, body);
}

static void respond_elsewhere(const char *head, char *out, size_t size, void *context)
{
    atomic_fetch_add(&followed, 1);
    respond(head, out, size, context);
}

/* The next calls, or handshakes, get the fault. */
static bool send_fault(int fd, const char *head, void *context)
{
    (void)context;
    atomic_uint *counter = is_handshake(head) ? &handshakes_left : &faults_left;
    unsigned left = atomic_load(counter);
    while (left && !atomic_compare_exchange_weak(counter, &left, left - 1))
        ;
    if (!left)
        return false;
    fault->send(fd, elsewhere.url);
    shutdown(fd, SHUT_RDWR);
    return true;
}

static int start(void **state)
{
    (void)state;
    fake_server_start(&elsewhere, respond_elsewhere, NULL); /* the threads of the other read it */
    fake_server_start_stream(&server, respond, send_fault, NULL);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    fake_server_stop(&server);
    fake_server_stop(&elsewhere);
    return 0;
}

static struct artemis_client *open_client(void)
{
    struct artemis_options options = {.servers = server.url, .attempt_timeout_ms = ATTEMPT_MS};
    struct artemis_client *client = NULL;
    struct artemis_problem problem = {.text = ""};
    if (artemis_open(&options, &client, &problem))
        fail_msg("%s", problem.text);
    return client;
}

/* The calls that meet the fault may succeed or fail; those after them succeed. */
static void check_fault(void)
{
    const struct artemis_service *service = NULL;
    struct artemis_problem problem = {.text = ""};
    struct artemis_client *client = open_client();
    atomic_store(&faults_left, 1);
    if (artemis_discover(client, "shop", CALL_MS, &service, &problem) == ARTEMIS_OK)
        artemis_service_free(service);
    else
        assert_string_not_equal(problem.text, "");
    atomic_store(&faults_left, 1);
    if (artemis_register(client, &one, CALL_MS, &problem))
        assert_string_not_equal(problem.text, "");
    atomic_store(&faults_left, 0);
    if (artemis_discover(client, "shop", TIMEOUT_MS, &service, &problem))
        fail_msg("after \"%s\": %s", fault->name, problem.text);
    artemis_service_free(service);
    if (artemis_register(client, &one, TIMEOUT_MS, &problem))
        fail_msg("after \"%s\": %s", fault->name, problem.text);
    assert_int_equal(artemis_close(client, TIMEOUT_MS, NULL), ARTEMIS_OK);
}

static void client_works_after_each_fault(void **state)
{
    (void)state;
    for (size_t i = 0; i < response_fault_count; i++) {
        fault = &response_faults[i];
        check_fault();
    }
    assert_int_equal(atomic_load(&followed), 0);
}

static void on_change(const struct artemis_change *change, void *context)
{
    (void)change;
    (void)context;
}

static void watch_works_after_each_faulty_handshake(void **state)
{
    (void)state;
    for (size_t i = 0; i < response_fault_count; i++) {
        struct artemis_problem problem = {.text = ""};
        struct artemis_watch *watch = NULL;
        fault = &response_faults[i];
        atomic_store(&handshakes_left, 1);
        struct artemis_client *client = open_client();
        if (artemis_watch(client, "shop", 0, on_change, NULL, TIMEOUT_MS, &watch, &problem))
            fail_msg("after \"%s\": %s", fault->name, problem.text);
        assert_int_equal(atomic_load(&handshakes_left), 0);
        assert_int_equal(artemis_close(client, TIMEOUT_MS, NULL), ARTEMIS_OK);
    }
    assert_int_equal(atomic_load(&followed), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(client_works_after_each_fault, start, stop),
        cmocka_unit_test_setup_teardown(watch_works_after_each_faulty_handshake, start, stop),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
