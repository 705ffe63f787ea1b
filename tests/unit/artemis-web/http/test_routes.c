/* SPDX-License-Identifier: Apache-2.0
 *
 * The route table is sorted, because it is searched by halving. Every path is found by all of its
 * names: with and without .json, by the prefix of the Java clients, and as an absolute address.
 */
#include "artemis-web/api/route_table.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/cmocka_all.h"

static void table_is_sorted_and_complete(void **state)
{
    (void)state;
    for (size_t i = 0; i < api_routes.count; i++) {
        assert_non_null(api_routes.routes[i].path);
        assert_non_null(api_routes.routes[i].handle);
        assert_true(strlen(api_routes.routes[i].description) > 0);
        assert_true(strlen(api_routes.routes[i].path) < ROUTE_PATH_BYTES);
        if (i > 0)
            assert_true(strcmp(api_routes.routes[i - 1].path, api_routes.routes[i].path) < 0);
    }
}

static void names_in_metrics_are_unique(void **state)
{
    (void)state;
    for (size_t i = 0; i < api_routes.count; i++)
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(api_routes.routes[i].name, api_routes.routes[j].name);
}

/* A route whose role was forgotten would be open to everybody. */
static void every_route_but_two_needs_a_role(void **state)
{
    (void)state;
    for (size_t i = 0; i < api_routes.count; i++) {
        const struct route *route = &api_routes.routes[i];
        bool is_open = !strcmp(route->path, "/health") || !strcmp(route->path, "/ready");
        if (is_open != (route->role == ROLE_NONE))
            fail_msg("%s needs the role %s", route->path, auth_role_word(route->role));
        if (route->class == ROUTE_PEER)
            assert_true(route->role >= ROLE_ADMIN);
        else
            assert_true(route->role < ROLE_PEER);
        if (route->class == ROUTE_REGISTRY || route->class == ROUTE_WRITE)
            assert_true(route->role >= ROLE_WRITE);
    }
}

static void every_path_is_found_by_all_its_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < api_routes.count; i++) {
        char path[128];
        bool java = true;
        assert_ptr_equal(route_find(&api_routes, api_routes.routes[i].path, &java),
                         &api_routes.routes[i]);
        assert_false(java);
        snprintf(path, sizeof(path), "%s.json", api_routes.routes[i].path);
        assert_ptr_equal(route_find(&api_routes, path, &java), &api_routes.routes[i]);
        snprintf(path, sizeof(path), "/artemis%s", api_routes.routes[i].path);
        bool below_api = strncmp(api_routes.routes[i].path, "/api/", 5) == 0;
        assert_ptr_equal(route_find(&api_routes, path, &java),
                         below_api ? &api_routes.routes[i] : NULL);
        assert_true(java);
        snprintf(path, sizeof(path), "http://a.example:8080%s", api_routes.routes[i].path);
        assert_ptr_equal(route_find(&api_routes, path, &java), &api_routes.routes[i]);
        assert_false(java);
        snprintf(path, sizeof(path), "HTTP://[::1]/artemis%s.json", api_routes.routes[i].path);
        assert_ptr_equal(route_find(&api_routes, path, &java),
                         below_api ? &api_routes.routes[i] : NULL);
        assert_true(java);
    }
}

static void other_paths_are_not_found(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "",
        "/",
        "/api",
        "/api/",
        ".json",
        "/api/registry/register/",
        "/api/registry/register.json.json",
        "/api/registry/Register",
        "/api/registry/register.xml",
        "/artemis/artemis/api/registry/register",
        "/api/registry/registe",
        "/api/registry/registers",
        "http://",
        "http://a",
        "http://a/",
        "http://health",
        "http:///http://a/health",
        "/http://a/health",
        "ftp://a/health",
        "http:/health",
    };
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        bool java;
        assert_null(route_find(&api_routes, paths[i], &java));
    }
    char endless[4096];
    memset(endless, 'a', sizeof(endless) - 1);
    endless[0] = '/';
    endless[sizeof(endless) - 1] = '\0';
    bool java;
    assert_null(route_find(&api_routes, endless, &java));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_sorted_and_complete),
        cmocka_unit_test(names_in_metrics_are_unique),
        cmocka_unit_test(every_path_is_found_by_all_its_names),
        cmocka_unit_test(other_paths_are_not_found),
        cmocka_unit_test(every_route_but_two_needs_a_role),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
