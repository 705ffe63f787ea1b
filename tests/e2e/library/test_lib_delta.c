/* SPDX-License-Identifier: Apache-2.0
 *
 * The client library fetches the changes since the state that it has: after dropped pushes, and
 * from a server that it polls. A proxy in front of a real server plays one without a WebSocket,
 * and an older one that does not know `delta`.
 */
#include "libartemis/artemis.h"

#include "tests/support/client/calls.h"
#include "tests/support/client/watch_log.h"
#include "tests/support/servers/fake_server.h"
#include "tests/support/wait.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TIMEOUT_MS = 20000,
    WIDE = 700,    /* instances of 8 KB: their state is too large for a push */
    CHANGES = 600, /* of 16 KB each as pushes: more than the sockets hold */
    PER_REQUEST = 100,
    FILLER_BYTES = 8000,
};

static struct server_process server;
static struct http *http;

static int start(void **state)
{
    (void)state;
    server_process_start(&server,
                         (const char *const[]){"--set", "lease.ttl_secs=3600", "--set",
                                               "ratelimit.enabled=false", NULL},
                         NULL);
    http = http_new(server.port);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    http_free(http);
    server_process_stop(&server);
    return 0;
}

static struct artemis_client *open_client(const char *servers)
{
    struct artemis_client *client = NULL;
    struct artemis_problem problem = {.text = ""};
    const struct artemis_options options = {.servers = servers, .poll_ms = 50};
    if (artemis_open(&options, &client, &problem))
        fail_msg("%s", problem.text);
    return client;
}

/* --- dropped pushes --------------------------------------------------------------------------- */

static const char *filler_of(int number)
{
    (void)number;
    static char filler[FILLER_BYTES + 1];
    memset(filler, 'x', FILLER_BYTES);
    return filler;
}

static void register_wide(int from, int count, int port)
{
    call_register_wide(http, "wide", from, count, port, filler_of);
}

struct blocking {
    atomic_bool released;
    atomic_int count;
};

static bool is_released(void *context)
{
    const struct blocking *blocking = context;
    return atomic_load(&blocking->released);
}

/* The first change blocks the thread of the client, which then reads no pushes. */
static void on_change(const struct artemis_change *change, void *context)
{
    (void)change;
    struct blocking *blocking = context;
    if (atomic_fetch_add(&blocking->count, 1) == 0)
        (void)wait_until(is_released, blocking, wait_deadline_ms());
}

static bool is_blocked(void *context)
{
    const struct blocking *blocking = context;
    return atomic_load(&blocking->count) > 0;
}

static bool has_all(void *context)
{
    const struct blocking *blocking = context;
    return atomic_load(&blocking->count) == CHANGES;
}

static void dropped_pushes_are_fetched_as_changes(void **state)
{
    (void)state;
    struct blocking blocking = {0};
    struct artemis_watch *watch = NULL;
    const struct artemis_service *service = NULL;
    for (int i = 0; i < WIDE; i += PER_REQUEST)
        register_wide(i, PER_REQUEST, 1);
    struct artemis_client *client = open_client(server.url);
    assert_int_equal(
        artemis_watch(client, "wide", 0, on_change, &blocking, TIMEOUT_MS, &watch, NULL),
        ARTEMIS_OK);
    register_wide(0, 1, 2);
    assert_true(wait_until(is_blocked, &blocking, wait_deadline_ms()));
    register_wide(1, PER_REQUEST - 1, 2);
    for (int i = PER_REQUEST; i < CHANGES; i += PER_REQUEST)
        register_wide(i, PER_REQUEST, 2);
    call_wait_metric(http, "artemis_push_behind", 0);
    atomic_store(&blocking.released, true);
    assert_true(wait_until(has_all, &blocking, wait_deadline_ms())); /* each once */
    assert_int_equal(artemis_discover(client, "wide", TIMEOUT_MS, &service, NULL), ARTEMIS_OK);
    assert_int_equal(service->instance_count, WIDE);
    int changed = 0;
    for (size_t i = 0; i < service->instance_count; i++)
        changed += service->instances[i]->port == 2;
    assert_int_equal(changed, CHANGES);
    artemis_service_free(service);
    assert_true(call_metric(http, "artemis_push_reloads_total") >= 1);
    assert_true(call_metric(http, "artemis_deltas_built_total") >= 1);
    assert_int_equal(call_metric(http, "artemis_deltas_whole_total"), 0);
    assert_int_equal(artemis_close(client, 0, NULL), ARTEMIS_OK);
    assert_int_equal(atomic_load(&blocking.count), CHANGES);
}

/* --- polling ---------------------------------------------------------------------------------- */

struct proxy {
    pthread_mutex_t lock; /* each connection of the fake server has a thread */
    struct http *http;
    bool is_older; /* knows no `delta` and sends no run */
    atomic_int wholes, deltas;
};

static void remove_text(char *from, const char *text)
{
    char *at = strstr(from, text);
    if (at)
        memmove(at, at + strlen(text), strlen(at + strlen(text)) + 1);
}

static void respond(const char *head, char *out, size_t size, void *context)
{
    struct proxy *proxy = context;
    char path[512];
    char fields[160] = "";
    if (sscanf(head, "GET %511s ", path) != 1 || strncmp(path, "/ws", 3) == 0) {
        snprintf(out, size, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        return;
    }
    if (proxy->is_older)
        remove_text(path, "&delta=1");
    pthread_mutex_lock(&proxy->lock);
    struct http_response *response = http_get(proxy->http, "%s", path);
    const char *run = http_field(response, "X-Artemis-Run");
    if (run && !proxy->is_older)
        snprintf(fields, sizeof fields, "X-Artemis-Run: %s\r\n", run);
    proxy->wholes += check_find(response->json, "service") != NULL;
    proxy->deltas += check_find(response->json, "changes") != NULL;
    snprintf(out, size, "HTTP/1.1 %d X\r\n%sConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
             response->status, fields, response->body_size, response->body);
    pthread_mutex_unlock(&proxy->lock);
}

static void unregister(const char *id)
{
    check_status(http_post(http, UNREGISTER, "{'instance_keys':[" KEY "]}", "shop", id), 200,
                 "success", NULL);
}

static void follow_by_polling(struct proxy *proxy)
{
    struct fake_server front;
    struct watch_log changes;
    struct artemis_watch *watch = NULL;
    watch_log_init(&changes);
    pthread_mutex_init(&proxy->lock, NULL);
    proxy->http = http_new(server.port);
    fake_server_start(&front, respond, proxy);
    call_register_many(http, "shop", 5);
    struct artemis_client *client = open_client(front.url);
    assert_int_equal(
        artemis_watch(client, "shop", 0, watch_log_on_change, &changes, TIMEOUT_MS, &watch, NULL),
        ARTEMIS_OK);
    call_register(http, "shop", "a");
    watch_log_wait(&changes, "+a ");
    unregister("i2");
    watch_log_wait(&changes, "+a -i2 ");
    check_http(http_post(http, REGISTER, "{'instances':[{" INSTANCE_FIELDS ",'status':'down'}]}",
                         "shop", "a"),
               200);
    watch_log_wait(&changes, "+a -i2 ~a ");
    assert_int_equal(artemis_close(client, 0, NULL), ARTEMIS_OK);
    fake_server_stop(&front);
    http_free(proxy->http);
    pthread_mutex_destroy(&proxy->lock);
    watch_log_free(&changes);
}

static void polled_server_sends_changes(void **state)
{
    (void)state;
    struct proxy proxy = {0};
    follow_by_polling(&proxy);
    assert_int_equal(proxy.wholes, 1);
    assert_int_equal(proxy.deltas, 3);
}

static void polled_older_server_sends_whole_states(void **state)
{
    (void)state;
    struct proxy proxy = {.is_older = true};
    follow_by_polling(&proxy);
    assert_true(proxy.wholes >= 4);
    assert_int_equal(proxy.deltas, 0);
    assert_int_equal(call_metric(http, "artemis_deltas_built_total"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(dropped_pushes_are_fetched_as_changes),
        TEST(polled_server_sends_changes),
        TEST(polled_older_server_sends_whole_states),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
