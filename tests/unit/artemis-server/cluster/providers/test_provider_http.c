/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP client of membership providers against a server that responds as each test needs.
 */
#include "artemis-server/cluster/providers/provider_http.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"
#include "tests/support/servers/fake_server.h"
#include "tests/support/temp_folder.h"
#include "tests/support/wait.h"

enum { LINES_MAX = 8, BYTES_MAX = 1000, TEXT_BYTES = 2048, ROUND_MS = 100 };

/* What the callbacks have got. */
struct result {
    size_t lines;
    char line[LINES_MAX][TEXT_BYTES];
    size_t refuse_from; /* the line that is refused; 0: none */
    unsigned ends;
    long status;
    char body[TEXT_BYTES];
    char problem[PROVIDER_HTTP_PROBLEM_BYTES];
    char index[32]; /* of the header X-Index */
};

static bool on_line(void *context, struct slice line)
{
    struct result *result = context;
    assert_true(result->lines < LINES_MAX);
    snprintf(result->line[result->lines++], TEXT_BYTES, "%.*s", (int)line.size, line.data);
    return result->refuse_from == 0 || result->lines < result->refuse_from;
}

static void on_end(void *context, const struct provider_http_response *response)
{
    struct result *result = context;
    const char *number = provider_http_header(response, "X-Index");
    result->ends++;
    result->status = response->status;
    snprintf(result->body, TEXT_BYTES, "%.*s", (int)response->body.size, response->body.data);
    snprintf(result->problem, sizeof result->problem, "%s", response->problem);
    snprintf(result->index, sizeof result->index, "%s", number ? number : "none");
}

/* The server: responds with what the path asks for, and keeps the head of the last request. */
struct server {
    struct fake_server fake;
    pthread_mutex_t lock;
    char head[TEXT_BYTES];
};

static void respond(const char *head, char *response, size_t size, void *context)
{
    struct server *server = context;
    char big[BYTES_MAX * 2];
    pthread_mutex_lock(&server->lock);
    snprintf(server->head, sizeof server->head, "%s", head);
    pthread_mutex_unlock(&server->lock);
    memset(big, 'x', sizeof big);
    if (strstr(head, " /denied"))
        snprintf(response, size, "HTTP/1.1 401 No\r\nContent-Length: 6\r\n\r\nreason");
    else if (strstr(head, " /cut"))
        snprintf(response, size, "HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\none\ntwo");
    else if (strstr(head, " /big"))
        snprintf(response, size, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%.*s", sizeof big,
                 (int)sizeof big, big);
    else if (strstr(head, " /moved"))
        snprintf(response, size, "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n");
    else
        snprintf(
            response, size,
            "HTTP/1.1 200 OK\r\nX-Index: 7\r\nContent-Length: 17\r\n\r\none\r\n\ntwo\nthree\r\n");
}

/* Blocks of 500 empty lines; after each one a line, or nothing else. */
static void send_empty_lines(int fd, const char *line)
{
    static const char begin[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    char empty[500];
    memset(empty, '\n', sizeof empty);
    if (!fake_server_send(fd, begin, sizeof begin - 1))
        return;
    for (int blocks = 0; !line[0] || blocks < 2 * LINES_MAX; blocks++) {
        if (!fake_server_send(fd, empty, sizeof empty))
            return;
        if (blocks % 2 == 1 && !fake_server_send(fd, line, strlen(line)))
            return;
    }
}

/* /stream sends a line and a half, and then nothing more. */
static bool stream(int fd, const char *head, void *context)
{
    if (strstr(head, " /empty"))
        return send_empty_lines(fd, ""), true;
    if (strstr(head, " /sparse"))
        return send_empty_lines(fd, "line\n"), true;
    static const char begin[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nfirst\nhalf";
    (void)context;
    if (!strstr(head, " /stream"))
        return false;
    fake_server_send(fd, begin, sizeof begin - 1);
    fake_server_drain(fd);
    return true;
}

struct fixture {
    struct server server;
    struct provider_http *http;
    struct temp_folder folder;
    struct result result;
};

static struct provider_http *create(const struct provider_http_options *options)
{
    struct provider_http *http;
    assert_int_equal(provider_http_create(options, &http), ERR_NONE);
    return http;
}

static const struct provider_http_options plain = {
    .ca = "", .cert = "", .key = "", .token_file = "", .connect_timeout_ms = 60000};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    pthread_mutex_init(&fixture->server.lock, NULL);
    fake_server_start_stream(&fixture->server.fake, respond, stream, &fixture->server);
    temp_folder_make(&fixture->folder);
    fixture->http = create(&plain);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    provider_http_free(fixture->http);
    fake_server_stop(&fixture->server.fake);
    pthread_mutex_destroy(&fixture->server.lock);
    temp_folder_remove(&fixture->folder);
    free(fixture);
    return 0;
}

/* Starts a GET of the path, or of a whole url. */
static struct provider_http_call *start(struct fixture *fixture, const char *path, bool has_lines)
{
    char url[256];
    struct provider_http_request request = {.method = "GET",
                                            .url = url,
                                            .bytes_max = BYTES_MAX,
                                            .on_line = has_lines ? on_line : NULL,
                                            .on_end = on_end,
                                            .context = &fixture->result};
    snprintf(url, sizeof url, "%s%s", path[0] == '/' ? fixture->server.fake.url : "", path);
    struct provider_http_call *call = provider_http_start(fixture->http, &request);
    assert_non_null(call);
    return call;
}

static void run_until_end(struct fixture *fixture)
{
    int64_t deadline_ms = wait_deadline_ms();
    while (fixture->result.ends == 0) {
        assert_true(wait_now_ms() < deadline_ms);
        provider_http_run(fixture->http, ROUND_MS);
    }
}

static void get(struct fixture *fixture, const char *path, bool has_lines)
{
    memset(&fixture->result, 0, sizeof fixture->result);
    start(fixture, path, has_lines);
    run_until_end(fixture);
}

/* --- responses -------------------------------------------------------------------------------- */

static void response_is_collected(void **state)
{
    struct fixture *fixture = *state;
    get(fixture, "/", false);
    assert_int_equal(fixture->result.status, 200);
    assert_string_equal(fixture->result.body, "one\r\n\ntwo\nthree\r\n");
    assert_string_equal(fixture->result.problem, "");
    assert_string_equal(fixture->result.index, "7");
    assert_int_equal(fixture->result.ends, 1);
}

static void lines_are_passed_on_without_ends_and_empty_ones(void **state)
{
    struct fixture *fixture = *state;
    get(fixture, "/", true);
    assert_int_equal(fixture->result.lines, 3);
    assert_string_equal(fixture->result.line[0], "one");
    assert_string_equal(fixture->result.line[1], "two");
    assert_string_equal(fixture->result.line[2], "three");
    assert_string_equal(fixture->result.body, "");
    assert_string_equal(fixture->result.problem, "");
}

/* The second stream is aborted by tear_down. */
static void line_of_a_stream_arrives_before_its_end(void **state)
{
    struct fixture *fixture = *state;
    int64_t deadline_ms = wait_deadline_ms();
    struct provider_http_call *call = start(fixture, "/stream", true);
    while (fixture->result.lines == 0) {
        assert_true(wait_now_ms() < deadline_ms);
        provider_http_run(fixture->http, ROUND_MS);
    }
    start(fixture, "/stream", true);
    assert_string_equal(fixture->result.line[0], "first");
    provider_http_cancel(fixture->http, call);
    provider_http_run(fixture->http, 0);
    assert_int_equal(fixture->result.ends, 0);
}

/* A server that sends nothing else would cost a core, for as long as it likes. */
static void endless_empty_lines_end_the_request(void **state)
{
    struct fixture *fixture = *state;
    get(fixture, "/empty", true);
    assert_int_equal(fixture->result.lines, 0);
    assert_non_null(strstr(fixture->result.problem, "too many empty lines"));
}

static void empty_lines_between_others_are_left_out(void **state)
{
    struct fixture *fixture = *state;
    int64_t deadline_ms = wait_deadline_ms();
    start(fixture, "/sparse", true); /* tear_down aborts it */
    while (fixture->result.lines < LINES_MAX) {
        assert_true(wait_now_ms() < deadline_ms);
        assert_int_equal(fixture->result.ends, 0);
        provider_http_run(fixture->http, ROUND_MS);
    }
}

static void refused_line_ends_the_request(void **state)
{
    struct fixture *fixture = *state;
    fixture->result.refuse_from = 1;
    start(fixture, "/stream", true);
    run_until_end(fixture);
    assert_int_equal(fixture->result.lines, 1);
    assert_non_null(strstr(fixture->result.problem, "refused"));
}

static void cut_response_has_a_problem_and_no_half_line(void **state)
{
    struct fixture *fixture = *state;
    get(fixture, "/cut", true);
    assert_int_equal(fixture->result.lines, 1);
    assert_string_not_equal(fixture->result.problem, "");
}

static void status_of_a_failure_is_reported_with_its_body(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 2; i++) {
        get(fixture, "/denied?token=hidden", i == 1);
        assert_int_equal(fixture->result.status, 401);
        assert_string_equal(fixture->result.body, "reason");
        assert_int_equal(fixture->result.lines, 0);
        assert_non_null(strstr(fixture->result.problem, "/denied: HTTP 401"));
        assert_null(strstr(fixture->result.problem, "hidden"));
    }
    get(fixture, "/moved", false);
    assert_non_null(strstr(fixture->result.problem, "HTTP 302"));
}

static void large_response_is_refused(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 2; i++) {
        get(fixture, "/big", i == 1);
        assert_non_null(strstr(fixture->result.problem, "too large"));
    }
}

static void unreachable_server_is_reported_without_the_user(void **state)
{
    struct fixture *fixture = *state;
    get(fixture, "http://name:hidden@127.0.0.1:1/v3/kv/range", false);
    assert_int_equal(fixture->result.status, 0);
    assert_int_equal(strncmp(fixture->result.problem, "http://127.0.0.1:1/v3/kv/range: ", 32), 0);
    assert_null(strstr(fixture->result.problem, "hidden"));
}

/* --- requests --------------------------------------------------------------------------------- */

static const char *last_head(struct server *server, char out[TEXT_BYTES])
{
    pthread_mutex_lock(&server->lock);
    snprintf(out, TEXT_BYTES, "%s", server->head);
    pthread_mutex_unlock(&server->lock);
    return out;
}

static void body_and_header_are_sent(void **state)
{
    struct fixture *fixture = *state;
    char head[TEXT_BYTES];
    struct provider_http_request request = {.method = "PUT",
                                            .url = fixture->server.fake.url,
                                            .body = SLICE("{}"),
                                            .header = "X-Test: 1",
                                            .bytes_max = BYTES_MAX,
                                            .on_end = on_end,
                                            .context = &fixture->result};
    assert_non_null(provider_http_start(fixture->http, &request));
    run_until_end(fixture);
    assert_string_equal(fixture->result.problem, "");
    last_head(&fixture->server, head);
    assert_int_equal(strncmp(head, "PUT / HTTP/1.1\r\n", 16), 0);
    assert_non_null(strstr(head, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(head, "\r\nContent-Length: 2\r\n"));
    assert_non_null(strstr(head, "\r\nX-Test: 1\r\n"));
}

static void token_is_read_for_each_request(void **state)
{
    struct fixture *fixture = *state;
    char head[TEXT_BYTES];
    char path[128];
    snprintf(path, sizeof path, "%s", temp_folder_write(&fixture->folder, "token", "first\n"));
    struct provider_http_options options = plain;
    options.token_file = path;
    options.token_prefix = "Authorization: Bearer ";
    provider_http_free(fixture->http);
    fixture->http = create(&options);
    get(fixture, "/", false);
    assert_non_null(
        strstr(last_head(&fixture->server, head), "\r\nAuthorization: Bearer first\r\n"));
    temp_folder_write(&fixture->folder, "token", " second");
    get(fixture, "/", false);
    assert_non_null(
        strstr(last_head(&fixture->server, head), "\r\nAuthorization: Bearer second\r\n"));
    temp_folder_write(&fixture->folder, "token", "two\nlines");
    get(fixture, "/", false);
    assert_non_null(strstr(fixture->result.problem, "one line"));
    assert_null(strstr(fixture->result.problem, "lines"));
    static char large[PROVIDER_HTTP_SECRET_BYTES];
    memset(large, 'x', sizeof large - 1);
    temp_folder_write(&fixture->folder, "token", large);
    get(fixture, "/", false); /* a part of it would be another secret */
    assert_non_null(strstr(fixture->result.problem, "too large"));
    assert_int_equal(unlink(path), 0);
    get(fixture, "/", false);
    assert_non_null(strstr(fixture->result.problem, path));
    assert_non_null(strstr(fixture->result.problem, "No such file"));
    assert_int_equal(fixture->result.ends, 1);
}

static void request_without_a_response_ends_at_its_timeout(void **state)
{
    struct fixture *fixture = *state;
    char url[64];
    snprintf(url, sizeof url, "%s/stream", fixture->server.fake.url);
    struct provider_http_request request = {.method = "GET",
                                            .url = url,
                                            .timeout_ms = 50,
                                            .bytes_max = BYTES_MAX,
                                            .on_end = on_end,
                                            .context = &fixture->result};
    assert_non_null(provider_http_start(fixture->http, &request));
    run_until_end(fixture);
    assert_string_not_equal(fixture->result.problem, "");
}

/* --- the client ------------------------------------------------------------------------------- */

static void *wake(void *http)
{
    provider_http_wake(http);
    return NULL;
}

/* Without the wake, the run would last for a minute. */
static void wake_from_another_thread_ends_the_wait(void **state)
{
    struct fixture *fixture = *state;
    pthread_t thread;
    int64_t begin_ms = wait_now_ms();
    assert_int_equal(pthread_create(&thread, NULL, wake, fixture->http), 0);
    provider_http_run(fixture->http, 60000);
    pthread_join(thread, NULL);
    assert_true(wait_now_ms() - begin_ms < 30000);
}

static void restart_on_end(void *context, const struct provider_http_response *response)
{
    struct fixture *fixture = context;
    assert_string_equal(response->problem, "");
    start(fixture, "/", false);
}

static void callback_may_start_the_next_request(void **state)
{
    struct fixture *fixture = *state;
    struct provider_http_request request = {.method = "GET",
                                            .url = fixture->server.fake.url,
                                            .bytes_max = BYTES_MAX,
                                            .on_end = restart_on_end,
                                            .context = fixture};
    assert_non_null(provider_http_start(fixture->http, &request));
    run_until_end(fixture);
    assert_int_equal(fixture->result.status, 200);
}

/* Without a writer, or with one that writes nothing, reading it would not end. */
static void secret_in_a_fifo_is_refused(void **state)
{
    struct fixture *fixture = *state;
    char path[128];
    char secret[PROVIDER_HTTP_SECRET_BYTES];
    char problem[PROVIDER_HTTP_PROBLEM_BYTES] = "";
    snprintf(path, sizeof path, "%s/fifo", fixture->folder.path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_false(provider_http_read_secret(path, secret, problem));
    assert_non_null(strstr(problem, "/fifo: it is not a regular file"));
    assert_false(provider_http_read_secret(fixture->folder.path, secret, problem));
    assert_non_null(strstr(problem, ": it is not a regular file"));
    assert_int_equal(unlink(path), 0);
}

static void failed_allocations_are_handled(void **state)
{
    struct fixture *fixture = *state;
    char path[128];
    snprintf(path, sizeof path, "%s", temp_folder_write(&fixture->folder, "token", "secret"));
    struct provider_http_options options = plain;
    options.token_file = path;
    options.token_prefix = "Authorization: Bearer ";
    struct provider_http_request request = {.method = "POST",
                                            .url = fixture->server.fake.url,
                                            .body = SLICE("{}"),
                                            .bytes_max = BYTES_MAX,
                                            .on_end = on_end,
                                            .context = &fixture->result};
    for (long n = 1;; n++) {
        struct provider_http *http = NULL;
        struct provider_http_call *call = NULL;
        long live = failing_malloc_live();
        failing_malloc_after(n);
        enum error error = provider_http_create(&options, &http);
        if (!error)
            call = provider_http_start(http, &request);
        bool has_failed = failing_malloc_happened();
        failing_malloc_after(-1);
        provider_http_free(http);
        assert_int_equal(failing_malloc_live(), live);
        assert_int_equal(has_failed, call == NULL);
        if (!has_failed)
            break;
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(response_is_collected),
        TEST(lines_are_passed_on_without_ends_and_empty_ones),
        TEST(line_of_a_stream_arrives_before_its_end),
        TEST(endless_empty_lines_end_the_request),
        TEST(empty_lines_between_others_are_left_out),
        TEST(refused_line_ends_the_request),
        TEST(cut_response_has_a_problem_and_no_half_line),
        TEST(status_of_a_failure_is_reported_with_its_body),
        TEST(large_response_is_refused),
        TEST(unreachable_server_is_reported_without_the_user),
        TEST(body_and_header_are_sent),
        TEST(token_is_read_for_each_request),
        TEST(secret_in_a_fifo_is_refused),
        TEST(request_without_a_response_ends_at_its_timeout),
        TEST(wake_from_another_thread_ends_the_wait),
        TEST(callback_may_start_the_next_request),
        TEST(failed_allocations_are_handled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
