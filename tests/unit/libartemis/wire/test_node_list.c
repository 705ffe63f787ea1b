/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the nodes of a cluster from the response of a server that is not trusted.
 */
#include "libartemis/wire/node_list.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

#include <stdio.h>
#include <string.h>

#define SUCCESS "\"response_status\":{\"error_code\":\"success\"}"

/* The caller frees the result. */
static enum error read_list(const char *body, struct node_list *list)
{
    struct wire_reader reader;
    node_list_start(&reader, list);
    enum error error = ERR_NONE;
    for (size_t i = 0; body[i] && !error; i++)
        error = wire_reader_feed(&reader, (struct slice){body + i, 1});
    if (!error)
        error = wire_reader_end(&reader);
    wire_reader_free(&reader);
    return error;
}

static void nodes_are_read_with_url_and_status(void **state)
{
    (void)state;
    struct node_list list;
    static const char body[] =
        "{" SUCCESS ",\"nodes\":["
        "{\"node_id\":\"n1\",\"url\":\"http://10.0.0.7:8080/\",\"status\":\"up\"},"
        "{\"node_id\":\"n2\",\"url\":\"https://localhost:1\",\"status\":\"starting\"},"
        "{\"node_id\":\"n3\",\"url\":\"http://10.0.0.9:8080\",\"status\":\"down\"}]}";
    assert_int_equal(read_list(body, &list), ERR_NONE);
    assert_true(list.result.done);
    assert_int_equal(list.nodes.count, 3);
    assert_string_equal(list.nodes.items[0].url, "http://10.0.0.7:8080");
    assert_string_equal(list.nodes.items[1].url, "https://localhost:1");
    assert_string_equal(list.nodes.items[2].url, "http://10.0.0.9:8080");
    assert_true(list.nodes.items[0].is_up && list.nodes.items[1].is_up);
    assert_false(list.nodes.items[2].is_up);
    assert_true(list.nodes.items[1].is_loopback);
    assert_false(list.nodes.items[0].is_loopback);
    wire_free_result(&list.result);
}

/* /api at the end of a path is left out, since request paths begin with it. */
static void host_named_api_stays(void **state)
{
    (void)state;
    struct node_list list;
    static const char body[] = "{" SUCCESS ",\"nodes\":[{\"url\":\"http://api\"},"
                               "{\"url\":\"https://api/api/\"},{\"url\":\"http://api/x/api\"}]}";
    assert_int_equal(read_list(body, &list), ERR_NONE);
    assert_int_equal(list.nodes.count, 3);
    assert_string_equal(list.nodes.items[0].url, "http://api");
    assert_string_equal(list.nodes.items[1].url, "https://api");
    assert_string_equal(list.nodes.items[2].url, "http://api/x");
    wire_free_result(&list.result);
}

static void nodes_without_a_valid_url_are_left_out(void **state)
{
    (void)state;
    struct node_list list;
    char body[2048];
    snprintf(body, sizeof body,
             "{" SUCCESS ",\"nodes\":[{},{\"url\":7,\"status\":\"up\"},{\"url\":\"file:///x\"},"
             "{\"url\":\"http://u:p@h\"},{\"url\":\"http://h/%0*d\"},{\"url\":\"http://ok\"}]}",
             SERVER_URL_BYTES, 0);
    assert_int_equal(read_list(body, &list), ERR_NONE);
    assert_int_equal(list.nodes.count, 1);
    assert_string_equal(list.nodes.items[0].url, "http://ok");
    assert_false(list.nodes.items[0].is_up);
    wire_free_result(&list.result);
}

static void nodes_beyond_the_limit_are_left_out(void **state)
{
    (void)state;
    struct node_list list;
    struct text body = {0};
    text_append_string(&body, "{" SUCCESS ",\"nodes\":[{}");
    for (int i = 0; i <= SERVER_NODES_MAX; i++)
        text_printf(&body, ",{\"url\":\"http://n%d\",\"status\":\"up\"}", i);
    text_append_string(&body, "]}");
    assert_int_equal(read_list(text_string(&body), &list), ERR_NONE);
    assert_int_equal(list.nodes.count, SERVER_NODES_MAX);
    wire_free_result(&list.result);
    text_free(&body);
}

static void other_responses_are_refused(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "",
        "[]",
        "<html>",
        "{\"nodes\":[{\"url\":\"http://a\"}]}",
        "{" SUCCESS ",\"nodes\":[{\"url\"}]}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct node_list list;
        assert_int_equal(read_list(bodies[i], &list), ERR_INVALID_JSON);
        wire_free_result(&list.result);
    }
}

static void out_of_memory_is_an_error(void **state)
{
    (void)state;
    static const char body[] = "{" SUCCESS ",\"nodes\":[{\"url\":\"http://a\"}]}";
    for (long n = 1;; n++) {
        struct node_list list;
        failing_malloc_after(n);
        enum error error = read_list(body, &list);
        bool happened = failing_malloc_happened();
        failing_malloc_after(-1);
        wire_free_result(&list.result);
        if (!happened) {
            assert_int_equal(error, ERR_NONE);
            break;
        }
        assert_int_not_equal(error, ERR_NONE); /* Jansson does not always say that it was memory */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_are_read_with_url_and_status),
        cmocka_unit_test(host_named_api_stays),
        cmocka_unit_test(nodes_without_a_valid_url_are_left_out),
        cmocka_unit_test(nodes_beyond_the_limit_are_left_out),
        cmocka_unit_test(other_responses_are_refused),
        cmocka_unit_test(out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
