/* SPDX-License-Identifier: Apache-2.0
 *
 * The posted bodies have the fields of CONTRACT 1 and 2 and only the given values, and every failed
 * allocation is reported.
 */
#include "artemis/call/call_request.h"

#include "tests/support/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct args_option options[] = {
    INSTANCE_OPTIONS,
    KEY_OPTIONS,
    {.name = NULL},
};

static const struct args_command command = {
    .name = "test",
    .positionals = {"SERVICE", "INSTANCE"},
    .options = options,
};

#define WORDS_MAX 24

/* getopt_long reorders the words, so they are copied to writable memory. */
static void read_words(struct args *args, const char *const words[])
{
    static char copies[WORDS_MAX][64];
    static char *argv[WORDS_MAX + 1];
    char problem[ARGS_PROBLEM_MAX];
    int argc = 0;
    for (; words[argc]; argc++) {
        assert_true(argc < WORDS_MAX);
        snprintf(copies[argc], sizeof copies[argc], "%s", words[argc]);
        argv[argc] = copies[argc];
    }
    argv[argc] = NULL;
    assert_int_equal(args_read(args, &command, argc, argv, problem), ERR_NONE);
}

#define READ(args, ...) read_words((args), (const char *const[]){"test", __VA_ARGS__, NULL})

static const struct key_args orders_key = {
    .service = "orders", .instance = "o-1", .group = "", .region = "local", .zone = "zone1"};

static void assert_json(json_t *body, const char *expected)
{
    char *text = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
    assert_non_null(text);
    assert_string_equal(text, expected);
    free(text);
    json_decref(body);
}

static void instance_has_only_the_given_fields(void **state)
{
    (void)state;
    struct args args;
    json_t *body = NULL;
    READ(&args, "orders", "o-1", "--ip", "10.0.0.7", "--port", "0");
    assert_int_equal(call_request_instance(&args, &orders_key, &body), ERR_NONE);
    assert_json(body, "{\"instances\":[{\"instance_id\":\"o-1\",\"ip\":\"10.0.0.7\",\"port\":0,"
                      "\"region_id\":\"local\",\"service_id\":\"orders\",\"zone_id\":\"zone1\"}]}");
    args_free(&args);
}

static void instance_takes_every_field(void **state)
{
    (void)state;
    struct args args;
    json_t *body = NULL;
    const struct key_args key = {
        .service = "s", .instance = "i", .group = "g", .region = "r", .zone = "z"};
    READ(&args, "s", "i", "--url=http://x", "--status=starting", "--protocol=grpc", "--machine=m",
         "--health-url=http://x/health", "--meta=a=1", "--meta=b=x=y", "--meta=a=2",
         "--meta=empty=");
    assert_int_equal(call_request_instance(&args, &key, &body), ERR_NONE);
    assert_json(body,
                "{\"instances\":[{\"group_id\":\"g\",\"health_check_url\":\"http://x/health\","
                "\"instance_id\":\"i\",\"machine_name\":\"m\","
                "\"metadata\":{\"a\":\"2\",\"b\":\"x=y\",\"empty\":\"\"},\"protocol\":\"grpc\","
                "\"region_id\":\"r\",\"service_id\":\"s\",\"status\":\"starting\","
                "\"url\":\"http://x\",\"zone_id\":\"z\"}]}");
    args_free(&args);
}

static void key_has_the_fields_of_a_key(void **state)
{
    (void)state;
    json_t *body = NULL;
    const struct key_args key = {
        .service = "s", .instance = "größe", .group = "g", .region = "r", .zone = "z"};
    assert_int_equal(call_request_key(&key, &body), ERR_NONE);
    assert_json(body, "{\"instance_keys\":[{\"group_id\":\"g\",\"instance_id\":\"größe\","
                      "\"region_id\":\"r\",\"service_id\":\"s\",\"zone_id\":\"z\"}]}");
}

/* --- checks ----------------------------------------------------------------------------------- */

static void options_of_an_instance_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *option, *other, *problem; /* "" when it is valid */
    } cases[] = {
        {"--ip=10.0.0.7", "--port=80", ""},
        {"--ip=::1", "--status=down", ""},
        {"--url=https://h.example:1/x", "--health-url=http://h/health", ""},
        {"--url=grpc://[::1]:9", "--status=unknown", ""},
        {"--port=80", "--status=up", "--ip IP --port N, or --url URL"},
        {"--ip=host", "--port=80", "--ip must be an IPv4 or IPv6 address, is host"},
        {"--ip=", "--port=80", "--ip must be an IPv4 or IPv6 address, is empty"},
        {"--ip=1", "--port=80", "--ip must be an IPv4 or IPv6 address, is 1"},
        {"--ip=10.0.0.256", "--port=80", "--ip must be an IPv4 or IPv6 address"},
        {"--url=host:80", "--port=80", "--url must be a URL such as http://HOST:PORT, is host:80"},
        {"--url=http://", "--port=80", "--url must be a URL"},
        {"--url=http:///x", "--port=80", "--url must be a URL"},
        {"--url=http://a b", "--port=80", "--url must be a URL"},
        {"--url=://h", "--port=80", "--url must be a URL"},
        {"--url=", "--port=80", "--url must be a URL such as http://HOST:PORT, is empty"},
        {"--ip=10.0.0.7", "--health-url=/x", "--health-url must be a URL"},
        {"--ip=10.0.0.7", "--status=upp", "is upp; did you mean up?"},
        {"--ip=10.0.0.7", "--status=UP", "--status must be up, down, starting, unhealthy or"},
        {"--ip=10.0.0.7", "--status=", "is empty"},
        {"--ip=10.0.0.7", "--meta=", "--meta must be KEY=VALUE, is empty"},
        {"--ip=10.0.0.7", "--meta=x", "--meta must be KEY=VALUE, is x"},
        {"--ip=10.0.0.7", "--meta==x", "--meta must be KEY=VALUE, is =x"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct args args;
        char problem[ARGS_PROBLEM_MAX] = "";
        READ(&args, "s", "i", cases[i].option, cases[i].other);
        enum error error = call_request_check_instance(&args, problem);
        assert_int_equal(error, *cases[i].problem ? ERR_INVALID_FIELD : ERR_NONE);
        if (!strstr(problem, cases[i].problem))
            fail_msg("\"%s\" should contain \"%s\"", problem, cases[i].problem);
        args_free(&args);
    }
}

static void assert_path(const char *service, bool all, const char *expected)
{
    struct text path = {0};
    call_request_service_path(service, all, &path);
    assert_string_equal(text_string(&path), expected);
    text_free(&path);
}

static void service_path_is_escaped(void **state)
{
    (void)state;
    assert_path("a.B-c_9~", false, "/api/discovery/service?service_id=a.B-c_9~");
    assert_path("\x01", false, "/api/discovery/service?service_id=%01");
    assert_path("a b&c=d/é+%", true,
                "/api/discovery/service?service_id=a%20b%26c%3Dd%2F%C3%A9%2B%25&status=all");
}

/* --- without memory --------------------------------------------------------------------------- */

static size_t allocations_left;

static void *scarce_malloc(size_t size)
{
    if (allocations_left == 0)
        return NULL;
    allocations_left--;
    return malloc(size);
}

/* Fails the first, the second, the third allocation of Jansson and so on, until the call succeeds.
 * The address sanitizer finds leaks. */
static void body_each_failed_allocation_is_reported(void **state)
{
    (void)state;
    struct args args;
    READ(&args, "s", "i", "--ip=::1", "--port=80", "--meta=a=1", "--meta=b=2");
    json_set_alloc_funcs(scarce_malloc, free);
    bool failed[2] = {true, true};
    size_t rounds = 0;
    for (; (failed[0] || failed[1]) && rounds < 1000; rounds++) {
        json_t *bodies[2] = {NULL, NULL};
        allocations_left = rounds;
        enum error first = call_request_instance(&args, &orders_key, &bodies[0]);
        allocations_left = rounds;
        enum error second = call_request_key(&orders_key, &bodies[1]);
        assert_true(first == ERR_NONE || first == ERR_NO_MEMORY);
        assert_true(second == ERR_NONE || second == ERR_NO_MEMORY);
        failed[0] = first != ERR_NONE;
        failed[1] = second != ERR_NONE;
        assert_true(failed[0] == (bodies[0] == NULL));
        assert_true(failed[1] == (bodies[1] == NULL));
        json_decref(bodies[0]);
        json_decref(bodies[1]);
    }
    json_set_alloc_funcs(malloc, free);
    assert_in_range(rounds, 10, 999);
    args_free(&args);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instance_has_only_the_given_fields),
        cmocka_unit_test(instance_takes_every_field),
        cmocka_unit_test(key_has_the_fields_of_a_key),
        cmocka_unit_test(options_of_an_instance_are_checked),
        cmocka_unit_test(service_path_is_escaped),
        cmocka_unit_test(body_each_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
