/* SPDX-License-Identifier: Apache-2.0
 *
 * The client library with servers that send too much: pushes without end, gzip bombs, fragments of
 * one byte, huge frames, responses and headers without end, deep JSON. Heartbeats are sent, memory
 * stays bounded, and artemis_close returns in time.
 */
#include "libartemis/artemis.h"

#include "artemis-core/base/text.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/gzip.h"
#include "tests/support/servers/fake_server.h"
#include "tests/support/servers/server_process.h"
#include "tests/support/wait.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_MS = 20000, HEARTBEAT_MS = 50 };

/* Growth during a test. Without the limits, each test takes gigabytes; with them, 10 MB. A
 * sanitizer keeps freed memory. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { MEMORY_MB_MAX = 800 };
#else
enum { MEMORY_MB_MAX = 100 };
#endif

#define SUCCESS "{\"response_status\":{\"error_code\":\"success\"}"

static const struct artemis_instance one = {
    .service_id = "shop", .instance_id = "s-1", .ip = "10.0.0.1", .port = 80};

/* --- a server and a client -------------------------------------------------------------------- */

struct fixture {
    struct fake_server server;
    struct artemis_client *client;
    /* What the server sends on a WebSocket, and as a response to a fetch. NULL: nothing. */
    void (*push)(struct fixture *fixture, int fd);
    void (*respond)(struct fixture *fixture, int fd);
    unsigned char *body; /* of some responses */
    size_t body_size;
    atomic_int heartbeats;
    atomic_int pushes;
    atomic_int changes;
    int callback_ms; /* duration of each callback */
    char log[8192];  /* under the lock */
    pthread_mutex_t lock;
};

static void respond_to_request(const char *head, char *out, size_t size, void *context)
{
    struct fixture *fixture = context;
    static const char body[] = SUCCESS ",\"version\":1,\"service\":{\"instances\":[]}}";
    fixture->heartbeats += strncmp(head, "POST /api/registry/heartbeat ", 29) == 0;
    snprintf(out, size, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
             sizeof body - 1, body);
}

static bool stream(int fd, const char *head, void *context)
{
    struct fixture *fixture = context;
    if (strncmp(head, "GET /ws ", 8) == 0) {
        if (fake_server_open_websocket(fd, head) && fixture->push)
            fixture->push(fixture, fd);
        fake_server_drain(fd);
        return true;
    }
    if (strncmp(head, "GET /api/discovery/", 19) != 0 || !fixture->respond)
        return false;
    fixture->respond(fixture, fd);
    fake_server_drain(fd);
    return true;
}

static void on_log(enum artemis_log_level level, const char *message, void *context)
{
    (void)level;
    struct fixture *fixture = context;
    pthread_mutex_lock(&fixture->lock);
    size_t size = strlen(fixture->log);
    snprintf(fixture->log + size, sizeof fixture->log - size, "%s\n", message);
    pthread_mutex_unlock(&fixture->lock);
}

static void on_change(const struct artemis_change *change, void *context)
{
    struct fixture *fixture = context;
    (void)change;
    fixture->changes++;
    if (fixture->callback_ms > 0)
        wait_for_time(wait_now_ms() + fixture->callback_ms);
}

static int start(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    pthread_mutex_init(&fixture->lock, NULL);
    fake_server_start_stream(&fixture->server, respond_to_request, stream, fixture);
    *state = fixture;
    return 0;
}

static void open_client(struct fixture *fixture, struct artemis_options options)
{
    struct artemis_problem problem = {.text = ""};
    options.servers = fixture->server.url;
    options.heartbeat_ms = HEARTBEAT_MS;
    options.log = on_log;
    options.log_context = fixture;
    if (artemis_open(&options, &fixture->client, &problem))
        fail_msg("%s", problem.text);
    assert_int_equal(artemis_register(fixture->client, &one, TIMEOUT_MS, NULL), ARTEMIS_OK);
}

static int stop(void **state)
{
    struct fixture *fixture = *state;
    int64_t start_ms = wait_now_ms();
    assert_int_equal(artemis_close(fixture->client, TIMEOUT_MS, NULL), ARTEMIS_OK);
    assert_true(wait_now_ms() - start_ms < TIMEOUT_MS);
    fake_server_stop(&fixture->server);
    free(fixture->body);
    pthread_mutex_destroy(&fixture->lock);
    free(fixture);
    return 0;
}

/* --- checks ----------------------------------------------------------------------------------- */

/* The largest resident memory of this process so far. */
static long peak_mb(void)
{
    char line[128];
    long peak_kb = 0;
    FILE *status = fopen("/proc/self/status", "r");
    assert_non_null(status);
    while (fgets(line, sizeof line, status))
        if (strncmp(line, "VmHWM:", 6) == 0)
            peak_kb = strtol(line + 6, NULL, 10);
    fclose(status);
    return peak_kb / 1024;
}

static long start_mb; /* resident memory at the last reset_peak */

static void reset_peak(void)
{
    FILE *file = fopen("/proc/self/clear_refs", "w");
    assert_non_null(file);
    fputs("5", file);
    fclose(file);
    start_mb = peak_mb();
}

static void check_memory(void)
{
    assert_true(peak_mb() - start_mb < MEMORY_MB_MAX);
}

struct expected {
    struct fixture *fixture;
    int heartbeats;
    const char *logged;
};

static bool has_heartbeats(void *context)
{
    const struct expected *expected = context;
    return expected->fixture->heartbeats >= expected->heartbeats;
}

static void wait_heartbeats(struct fixture *fixture, int more)
{
    struct expected expected = {.fixture = fixture, .heartbeats = fixture->heartbeats + more};
    assert_true(wait_until(has_heartbeats, &expected, wait_deadline_ms()));
}

static bool has_logged(void *context)
{
    const struct expected *expected = context;
    struct fixture *fixture = expected->fixture;
    pthread_mutex_lock(&fixture->lock);
    bool found = strstr(fixture->log, expected->logged) != NULL;
    pthread_mutex_unlock(&fixture->lock);
    return found;
}

static void wait_logged(struct fixture *fixture, const char *text)
{
    struct expected expected = {.fixture = fixture, .logged = text};
    if (!wait_until(has_logged, &expected, wait_deadline_ms()))
        fail_msg("\"%s\" is not in the log:\n%s", text, fixture->log);
}

static void watch_shop(struct fixture *fixture)
{
    struct artemis_watch *watch = NULL;
    assert_int_equal(artemis_watch(fixture->client, "shop", 0, on_change, fixture, 0, &watch, NULL),
                     ARTEMIS_OK);
}

/* --- pushes without end ----------------------------------------------------------------------- */

#define SUBSCRIBED                                                                                 \
    "{\"type\":\"subscribed\",\"service_id\":\"shop\",\"version\":1,\"run\":\"r\",\"padding\":\""  \
    "-------------------------------------------------------------------------------------\"}"

static void push_without_end(struct fixture *fixture, int fd)
{
    char text[1024];
    bool open = fake_server_push(fd, SUBSCRIBED);
    for (int i = 2; open; i++) {
        snprintf(text, sizeof text,
                 "{\"type\":\"service_change\",\"service_id\":\"shop\",\"version\":%d,\"changes\":"
                 "[{\"change_type\":\"change\",\"instance\":{\"region_id\":\"r\",\"zone_id\":\"z\","
                 "\"service_id\":\"shop\",\"instance_id\":\"i-%d\",\"ip\":\"10.0.0.1\","
                 "\"port\":%d}}]}",
                 i, i % 100, i % 60000 + 1);
        open = fake_server_push(fd, text);
        fixture->pushes++;
    }
}

struct progress {
    const atomic_int *counter;
    int before;
};

static bool has_progress(void *context)
{
    const struct progress *progress = context;
    return *progress->counter > progress->before;
}

static void check_pushes_without_end(struct fixture *fixture, const atomic_int *counter)
{
    fixture->push = push_without_end;
    reset_peak();
    open_client(fixture, (struct artemis_options){0});
    watch_shop(fixture);
    wait_heartbeats(fixture, 10);
    for (int i = 0; i < 5; i++) {
        struct progress progress = {counter, *counter};
        wait_heartbeats(fixture, 10);
        assert_true(wait_until(has_progress, &progress, wait_deadline_ms()));
    }
    check_memory();
}

static void heartbeats_are_sent_during_pushes_without_end(void **state)
{
    struct fixture *fixture = *state;
    check_pushes_without_end(fixture, &fixture->pushes);
}

/* The client reads pushes no faster than its callbacks run. */
static void slow_callbacks_delay_neither_heartbeats_nor_close(void **state)
{
    struct fixture *fixture = *state;
    fixture->callback_ms = 20;
    check_pushes_without_end(fixture, &fixture->changes);
}

static void calls_work_during_pushes_without_end(void **state)
{
    struct fixture *fixture = *state;
    const struct artemis_service *service = NULL;
    fixture->push = push_without_end;
    open_client(fixture, (struct artemis_options){0});
    watch_shop(fixture);
    for (int i = 0; i < 10; i++) {
        wait_heartbeats(fixture, 1);
        assert_int_equal(artemis_discover(fixture->client, "shop", TIMEOUT_MS, &service, NULL),
                         ARTEMIS_OK);
        artemis_service_free(service);
        assert_int_equal(
            artemis_set_status(fixture->client, &one, i % 2 ? "up" : "down", TIMEOUT_MS, NULL),
            ARTEMIS_OK);
    }
}

/* --- frames ----------------------------------------------------------------------------------- */

static void send_without_end(int fd, const char *bytes, size_t size)
{
    static const size_t block_bytes = 64 * 1024;
    char *block = malloc(block_bytes);
    assert_non_null(block);
    for (size_t i = 0; i < block_bytes; i++)
        block[i] = bytes[i % size];
    while (fake_server_send(fd, block, block_bytes - block_bytes % size))
        ;
    free(block);
}

static void push_fragments(struct fixture *fixture, int fd)
{
    (void)fixture;
    if (fake_server_send(fd, "\x01\x00", 2))
        send_without_end(fd, "\x00\x01x", 3);
}

static void push_huge_frame(struct fixture *fixture, int fd)
{
    (void)fixture;
    if (fake_server_send(fd, "\x81\x7f\x00\x00\x00\x00\x0f\xff\xff\xff", 10)) /* 256 MB */
        send_without_end(fd, "x", 1);
}

static void push_pings(struct fixture *fixture, int fd)
{
    (void)fixture;
    send_without_end(fd, "\x89\x00", 2); /* and the pongs are not read */
}

static void check_frames(struct fixture *fixture, void (*push)(struct fixture *, int),
                         const char *logged)
{
    fixture->push = push;
    reset_peak();
    open_client(fixture, (struct artemis_options){.ping_ms = 500});
    watch_shop(fixture);
    wait_heartbeats(fixture, 10);
    if (logged)
        wait_logged(fixture, logged);
    wait_heartbeats(fixture, 10);
    check_memory();
}

static void message_of_endless_fragments_ends_the_connection(void **state)
{
    check_frames(*state, push_fragments, "sent a message of more than 4194304 bytes");
}

static void huge_frame_ends_the_connection(void **state)
{
    check_frames(*state, push_huge_frame, "violated the WebSocket protocol");
}

static void endless_pings_are_bounded(void **state)
{
    check_frames(*state, push_pings, NULL);
}

/* --- responses -------------------------------------------------------------------------------- */

#define HEAD "HTTP/1.1 200 OK\r\nConnection: close\r\n"

static void respond_with_gzip(struct fixture *fixture, int fd)
{
    static const char head[] = HEAD "Content-Encoding: gzip\r\n\r\n";
    if (fake_server_send(fd, head, sizeof head - 1))
        (void)fake_server_send(fd, fixture->body, fixture->body_size);
    /* The end of the connection is the end of the body: the client must not wait for it. */
}

static void respond_without_end(struct fixture *fixture, int fd)
{
    static const char head[] = HEAD "\r\n" SUCCESS ",\"service\":{\"instances\":[";
    (void)fixture;
    if (fake_server_send(fd, head, sizeof head - 1))
        send_without_end(fd, "{},", 3);
}

static void respond_with_endless_header(struct fixture *fixture, int fd)
{
    (void)fixture;
    if (fake_server_send(fd, HEAD, sizeof HEAD - 1))
        send_without_end(fd, "X-Padding: 0123456789\r\n", 23);
}

static void respond_with_deep_json(struct fixture *fixture, int fd)
{
    static const char head[] = HEAD "\r\n" SUCCESS ",\"service\":{\"instances\":[{\"a\":";
    (void)fixture;
    if (fake_server_send(fd, head, sizeof head - 1))
        send_without_end(fd, "[", 1);
}

/* The client fetches the state after this. */
static void push_subscribed(struct fixture *fixture, int fd)
{
    (void)fixture;
    (void)fake_server_push(fd, SUBSCRIBED);
}

static void check_response(struct fixture *fixture, void (*respond)(struct fixture *, int),
                           int max_response_mb)
{
    const struct artemis_service *service = NULL;
    struct artemis_problem problem = {.text = ""};
    fixture->respond = respond;
    fixture->push = push_subscribed;
    reset_peak();
    open_client(fixture, (struct artemis_options){.max_response_mb = max_response_mb});
    watch_shop(fixture);
    wait_heartbeats(fixture, 5);
    wait_logged(fixture, "the response is over a limit of this client");
    wait_heartbeats(fixture, 5);
    assert_int_equal(artemis_discover(fixture->client, "shop", 0, &service, &problem),
                     ARTEMIS_TIMED_OUT);
    assert_non_null(strstr(problem.text, "the response is over a limit of this client"));
    check_memory();
}

/* A few KB that become 24 MB of JSON, and a gigabyte as a tree. The limit is far lower, because
 * libcurl copies the rest of what it has unpacked whenever the client pauses the response. */
static void gzip_bomb_ends_at_the_limit(void **state)
{
    struct fixture *fixture = *state;
    struct text item = {0};
    struct text text = {0};
    text_append_string(&item, "{\"a\":[");
    for (int i = 0; i < 1000; i++)
        text_append_string(&item, "[],");
    text_append_string(&item, "[]]},");
    text_append_string(&text, SUCCESS ",\"service\":{\"instances\":[");
    while (text.size < 24 << 20)
        text_append(&text, item.data, item.size);
    text_append_string(&text, "{}]}}");
    assert_false(text_failed(&text));
    fixture->body = gzip_pack(text.data, text.size, &fixture->body_size);
    text_free(&item);
    text_free(&text);
    assert_true(fixture->body_size < 1024 * 1024);
    check_response(fixture, respond_with_gzip, 2);
}

static void response_without_end_ends_at_the_limit(void **state)
{
    check_response(*state, respond_without_end, 1);
}

static void header_without_end_ends_at_the_limit(void **state)
{
    check_response(*state, respond_with_endless_header, 0);
}

static void deep_json_is_refused(void **state)
{
    check_response(*state, respond_with_deep_json, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(heartbeats_are_sent_during_pushes_without_end),
        TEST(slow_callbacks_delay_neither_heartbeats_nor_close),
        TEST(calls_work_during_pushes_without_end),
        TEST(message_of_endless_fragments_ends_the_connection),
        TEST(huge_frame_ends_the_connection),
        TEST(endless_pings_are_bounded),
        TEST(gzip_bomb_ends_at_the_limit),
        TEST(response_without_end_ends_at_the_limit),
        TEST(header_without_end_ends_at_the_limit),
        TEST(deep_json_is_refused),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
