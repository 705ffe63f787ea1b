/* SPDX-License-Identifier: Apache-2.0
 *
 * Which nodes of a cluster become servers of a client, and which numbers they get.
 */
#include "libartemis/base/node_urls.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct node_urls list;
static bool is_busy[SERVER_NUMBERS_MAX];
static size_t added;

static int set_up(void **state)
{
    (void)state;
    memset(is_busy, 0, sizeof is_busy);
    node_urls_add_option(&list, strdup("http://a"), false);
    node_urls_add_option(&list, strdup("http://b"), false);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    node_urls_free(&list);
    return 0;
}

/* Nodes like "http://a http://b"; a URL with a ! before it is that of a node that is down. */
static struct server_nodes nodes_of(const char *text)
{
    struct server_nodes nodes = {0};
    char copy[1024];
    char *rest = copy;
    char *url;
    snprintf(copy, sizeof copy, "%s", text);
    while ((url = strsep(&rest, " "))) {
        bool is_down = url[0] == '!';
        snprintf(nodes.items[nodes.count].url, SERVER_URL_BYTES, "%s", url + is_down);
        nodes.items[nodes.count++].is_up = !is_down;
    }
    return nodes;
}

static bool update(size_t source, const char *text)
{
    const struct server_nodes nodes = nodes_of(text);
    return node_urls_update(&list, source, &nodes, is_busy, &added);
}

/* The servers as "+" for a node, "=" for another option and "-" for one that is gone, each with the
 * host. */
static void check_servers(const char *expected)
{
    char found[512] = "";
    for (size_t i = 0; i < list.count; i++)
        snprintf(found + strlen(found), sizeof found - strlen(found), "%c%s",
                 "=+-"[list.each[i].use], strstr(list.each[i].url, "//") + 2);
    assert_string_equal(found, expected);
}

static void named_nodes_are_added(void **state)
{
    (void)state;
    assert_true(update(0, "http://a http://c http://d"));
    assert_int_equal(added, 2);
    check_servers("+a=b+c+d");
    assert_true(update(2, "http://a http://c http://d"));
    assert_int_equal(added, 0);
    check_servers("+a=b+c+d");
}

static void list_without_its_source_is_not_used(void **state)
{
    (void)state;
    assert_false(update(0, "http://c http://b"));
    check_servers("=a=b");
}

static void options_stay_and_other_servers_go(void **state)
{
    (void)state;
    assert_true(update(0, "http://a http://b http://c"));
    assert_true(update(2, "http://c http://d"));
    check_servers("=a=b+c+d");
    assert_true(update(3, "http://d http://e"));
    check_servers("=a=b-c+d+e");
}

static void number_is_given_to_another_when_it_is_free(void **state)
{
    (void)state;
    assert_true(update(0, "http://a http://c"));
    assert_true(update(0, "http://a http://d")); /* 2 was in use until now */
    check_servers("+a=b-c+d");
    is_busy[2] = true;
    assert_true(update(0, "http://a http://d http://e"));
    check_servers("+a=b-c+d+e");
    is_busy[2] = false;
    assert_true(update(0, "http://a http://d http://e http://f"));
    check_servers("+a=b+f+d+e");
}

static void node_that_is_down_is_kept_and_not_added(void **state)
{
    (void)state;
    assert_true(update(0, "http://a http://c !http://d"));
    check_servers("+a=b+c");
    assert_true(update(0, "http://a !http://c"));
    check_servers("+a=b+c");
}

static void server_with_tls_names_none_without(void **state)
{
    (void)state;
    node_urls_add_option(&list, strdup("https://s"), false);
    assert_true(update(2, "https://s https://t http://u"));
    check_servers("=a=b+s+t");
}

static void nodes_beyond_the_limit_are_left_out(void **state)
{
    (void)state;
    struct server_nodes nodes = nodes_of("http://a");
    for (int round = 0; round < 3; round++) {
        for (nodes.count = 1; nodes.count < SERVER_NODES_MAX; nodes.count++) {
            nodes.items[nodes.count].is_up = true;
            snprintf(nodes.items[nodes.count].url, SERVER_URL_BYTES, "http://n%d-%zu", round,
                     nodes.count);
        }
        assert_true(node_urls_update(&list, 0, &nodes, is_busy, &added));
        assert_in_range(list.count, 2 + SERVER_NODES_MAX - 1, SERVER_NUMBERS_MAX);
    }
    /* Those of the second list are gone, and their numbers are free. */
    assert_true(node_urls_update(&list, 0, &nodes, is_busy, &added));
    size_t used = 0;
    for (size_t i = 0; i < list.count; i++)
        used += list.each[i].use == SERVER_NODE;
    assert_int_equal(used, SERVER_NODES_MAX);
}

static void node_is_left_out_without_memory(void **state)
{
    (void)state;
    failing_malloc_after(1);
    assert_true(update(0, "http://a http://c"));
    failing_malloc_after(-1);
    assert_int_equal(added, 0);
    check_servers("+a=b");
    assert_true(update(0, "http://a http://c"));
    check_servers("+a=b+c");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(named_nodes_are_added),
        TEST(list_without_its_source_is_not_used),
        TEST(options_stay_and_other_servers_go),
        TEST(number_is_given_to_another_when_it_is_free),
        TEST(node_that_is_down_is_kept_and_not_added),
        TEST(server_with_tls_names_none_without),
        TEST(nodes_beyond_the_limit_are_left_out),
        TEST(node_is_left_out_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
