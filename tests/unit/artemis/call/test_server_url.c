/* SPDX-License-Identifier: Apache-2.0
 *
 * The address of a server is accepted in every usual form, and never shown with a password.
 */
#include "artemis/call/server_url.h"

#include "tests/support/cmocka_all.h"

#include <string.h>

static void read_is_lenient_about_form(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *base;
    } cases[] = {
        {"http://10.0.0.7:8080", "http://10.0.0.7:8080"},
        {"http://10.0.0.7:8080/", "http://10.0.0.7:8080"},
        {"10.0.0.7:8080", "http://10.0.0.7:8080"},
        {"registry.example", "http://registry.example"},
        {"HTTPS://registry.example//", "https://registry.example"},
        {"http://[::1]:8080/", "http://[::1]:8080"},
        {"http://gate.example/artemis/", "http://gate.example/artemis"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct server_url url;
        assert_int_equal(server_url_read(&url, cases[i].text, false), ERR_NONE);
        assert_string_equal(url.base, cases[i].base);
        assert_string_equal(url.shown, cases[i].base);
    }
}

static void read_other_text_is_refused(void **state)
{
    (void)state;
    char endless[2 * SERVER_URL_MAX];
    memset(endless, 'a', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    const char *const cases[] = {"",
                                 "http://",
                                 "ftp://host",
                                 "file:///etc/passwd",
                                 "http://host:port",
                                 "http://host:99999",
                                 "two words",
                                 "http://host/?query=1",
                                 "http://host/#part",
                                 "http://host\n",
                                 endless};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct server_url url = {.base = "kept"};
        assert_int_equal(server_url_read(&url, cases[i], false), ERR_INVALID_FIELD);
        assert_string_equal(url.base, "kept");
    }
}

static void read_password_is_used_and_not_shown(void **state)
{
    (void)state;
    struct server_url url;
    assert_int_equal(server_url_read(&url, "http://user:secret@host:1/x/", false), ERR_NONE);
    assert_string_equal(url.base, "http://user:secret@host:1/x");
    assert_string_equal(url.shown, "http://host:1/x");
}

static void read_loopback_is_recognised(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool loopback;
    } cases[] = {
        {"127.0.0.1:8080", true},     {"http://127.8.9.1", true}, {"LOCALHOST:8080", true},
        {"http://[::1]:8080", true},  {"10.0.0.1", false},        {"http://[::2]", false},
        {"localhost.example", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct server_url url;
        assert_int_equal(server_url_read(&url, cases[i].text, false), ERR_NONE);
        assert_int_equal(url.loopback, cases[i].loopback);
    }
}

static void servers_are_separated_by_commas(void **state)
{
    (void)state;
    struct server_list servers;
    assert_int_equal(server_list_read(&servers, "a:1,https://b/x/,10.0.0.7", false), ERR_NONE);
    assert_int_equal(servers.count, 3);
    assert_string_equal(servers.urls[0].base, "http://a:1");
    assert_string_equal(servers.urls[1].base, "https://b/x");
    assert_string_equal(servers.urls[2].base, "http://10.0.0.7");
    server_list_free(&servers);
}

static void scheme_is_https_with_certificates(void **state)
{
    (void)state;
    struct server_list servers;
    assert_int_equal(server_list_read(&servers, "a:1,http://b:2,https://c", true), ERR_NONE);
    assert_string_equal(servers.urls[0].base, "https://a:1");
    assert_string_equal(servers.urls[1].base, "http://b:2");
    assert_string_equal(servers.urls[2].base, "https://c");
    server_list_free(&servers);
}

static void servers_with_one_bad_address_are_refused(void **state)
{
    (void)state;
    char many[SERVER_LIST_MAX * 2 + 2] = "a";
    for (size_t i = 0; i < SERVER_LIST_MAX; i++)
        memcpy(many + 1 + i * 2, ",a", sizeof ",a");
    const char *const cases[] = {"", ",", "a,", ",a", "a,,b", "a,ftp://b", "a, b", many};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct server_list servers = {.count = 77};
        assert_int_equal(server_list_read(&servers, cases[i], false), ERR_INVALID_FIELD);
        assert_int_equal(servers.count, 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_is_lenient_about_form),
        cmocka_unit_test(read_other_text_is_refused),
        cmocka_unit_test(read_password_is_used_and_not_shown),
        cmocka_unit_test(read_loopback_is_recognised),
        cmocka_unit_test(servers_are_separated_by_commas),
        cmocka_unit_test(scheme_is_https_with_certificates),
        cmocka_unit_test(servers_with_one_bad_address_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
