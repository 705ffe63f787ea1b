/* SPDX-License-Identifier: Apache-2.0
 *
 * Invalid options are refused with the name of the option; absent options get defaults.
 */
#include "libartemis/base/settings.h"

#include "libartemis/base/node_refresh.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

#include <string.h>

static void assert_refused(const struct artemis_options *options, const char *part)
{
    struct settings settings;
    struct artemis_problem problem;
    assert_int_equal(settings_read(&settings, options, &problem), ARTEMIS_INVALID);
    assert_int_equal(problem.error, ARTEMIS_INVALID);
    if (!strstr(problem.text, part))
        fail_msg("\"%s\" does not have \"%s\"", problem.text, part);
    assert_null(settings.servers.each[0].url);
    assert_int_equal(settings_read(&settings, options, NULL), ARTEMIS_INVALID);
}

static void defaults_are_filled_in(void **state)
{
    (void)state;
    struct settings settings;
    const struct artemis_options options = {.servers = "http://10.0.0.7:8080"};
    assert_int_equal(settings_read(&settings, &options, NULL), ARTEMIS_OK);
    assert_int_equal(settings.servers.count, 1);
    assert_string_equal(settings.region_id, "local");
    assert_string_equal(settings.zone_id, "zone1");
    assert_int_equal(settings.heartbeat_ms, 10000);
    assert_int_equal(settings.attempt_timeout_ms, 3000);
    assert_int_equal(settings.ping_ms, 10000);
    assert_int_equal(settings.poll_ms, 5000);
    assert_int_equal(settings.response_bytes_max, 64 << 20);
    assert_null(settings.authorization);
    assert_false(settings.servers.each[0].is_loopback);
    settings_free(&settings);
}

static void server_urls_are_read_with_and_without_a_path(void **state)
{
    (void)state;
    static const struct {
        const char *servers;
        const char *urls[3];
        bool loopback;
    } rows[] = {
        {"http://127.0.0.1:8080", {"http://127.0.0.1:8080"}, true},
        {"http://127.0.0.1:8080/", {"http://127.0.0.1:8080"}, true},
        {"http://localhost:1/api", {"http://localhost:1"}, true},
        {"https://a.b/behind/api/", {"https://a.b/behind"}, false},
        {"http://[::1]:80/x", {"http://[::1]:80/x"}, true},
        {"http://a:1,http://b:2 , http://c:3", {"http://a:1", "http://b:2", "http://c:3"}, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct settings settings;
        const struct artemis_options options = {.servers = rows[i].servers};
        assert_int_equal(settings_read(&settings, &options, NULL), ARTEMIS_OK);
        for (size_t j = 0; j < settings.servers.count; j++)
            assert_string_equal(settings.servers.each[j].url, rows[i].urls[j]);
        assert_true(settings.servers.count == 3 || !rows[i].urls[settings.servers.count]);
        assert_int_equal(settings.servers.each[0].is_loopback, rows[i].loopback);
        settings_free(&settings);
    }
}

static void invalid_server_urls_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *servers, *part;
    } rows[] = {
        {NULL, "options.servers: is required"},
        {"", "must be at least one URL"},
        {" , ", "must be at least one URL"},
        {"10.0.0.7:8080",
         "\"10.0.0.7:8080\" is not a URL like http://host:port or https://host:port"},
        {"ftp://a", "must begin with http:// or https://"},
        {"http://a:99999", "is not a URL"},
        {"http://u:secret@a", "a URL must not contain a user"},
        {"http://a?x=1", "must not have a query"},
        {"http://a#x", "must not have a fragment"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_refused(&(struct artemis_options){.servers = rows[i].servers}, rows[i].part);
    assert_refused(NULL, "is required");

    char many[33 * 10 + 1] = "";
    for (int i = 0; i < 33; i++)
        memcpy(many + i * 9, "http://a,", 10);
    assert_refused(&(struct artemis_options){.servers = many}, "at most 32 URLs");
}

static void options_out_of_range_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct artemis_options options;
        const char *part;
    } rows[] = {
        {{.heartbeat_ms = -1}, "options.heartbeat_ms: must be 0 to 86400000, is -1"},
        {{.attempt_timeout_ms = 86400001}, "options.attempt_timeout_ms"},
        {{.ping_ms = -5}, "options.ping_ms"},
        {{.poll_ms = -5}, "options.poll_ms"},
        {{.nodes_ms = -2}, "options.nodes_ms: must be -1 to 86400000, is -2"},
        {{.nodes_ms = 86400001}, "options.nodes_ms"},
        {{.max_response_mb = 4097}, "options.max_response_mb: must be 0 to 4096, is 4097"},
        {{.max_response_mb = -1}, "options.max_response_mb"},
        {{.region_id = ""}, "options.region_id"},
        {{.zone_id = "a\nb"}, "options.zone_id"},
        {{.authorization = "a\r\nX: y"}, "options.authorization"},
        {{.authorization = ""}, "options.authorization"},
        {{.reserved = {"x"}}, "options.reserved: must be zero"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct artemis_options options = rows[i].options;
        options.servers = "http://a";
        assert_refused(&options, rows[i].part);
    }
}

static void nodes_are_requested_by_default_and_can_be_switched_off(void **state)
{
    static const struct {
        int given;
        uint64_t expected;
    } rows[] = {{0, 10000}, {1, 1}, {86400000, 86400000}, {-1, NODES_NEVER}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct settings settings;
        const struct artemis_options options = {.servers = "http://a", .nodes_ms = rows[i].given};
        assert_int_equal(settings_read(&settings, &options, NULL), ARTEMIS_OK);
        assert_true(settings.nodes_ms == rows[i].expected);
        settings_free(&settings);
    }
}

static void out_of_memory_leaves_settings_empty(void **state)
{
    (void)state;
    const struct artemis_options options = {.servers = "http://a,http://b", .authorization = "x"};
    for (long n = 1;; n++) {
        struct settings settings;
        struct artemis_problem problem;
        failing_malloc_after(n);
        enum artemis_error error = settings_read(&settings, &options, &problem);
        bool happened = failing_malloc_happened();
        failing_malloc_after(-1);
        if (!happened) {
            assert_int_equal(error, ARTEMIS_OK);
            settings_free(&settings);
            break;
        }
        assert_int_equal(error, ARTEMIS_NO_MEMORY);
        assert_int_equal(problem.error, ARTEMIS_NO_MEMORY);
        assert_null(settings.servers.each[0].url);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_filled_in),
        cmocka_unit_test(server_urls_are_read_with_and_without_a_path),
        cmocka_unit_test(invalid_server_urls_are_refused),
        cmocka_unit_test(options_out_of_range_are_refused),
        cmocka_unit_test(nodes_are_requested_by_default_and_can_be_switched_off),
        cmocka_unit_test(out_of_memory_leaves_settings_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
