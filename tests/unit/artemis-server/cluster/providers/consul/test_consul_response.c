/* SPDX-License-Identifier: Apache-2.0
 *
 * Responses of Consul as its API documents them, and those that are not valid.
 */
#include "artemis-server/cluster/providers/consul/consul_response.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

/* The instances that were passed on, as text: "a=http://h:1 b= ". */
static char found[1024];

static void on_instance(void *context, const struct consul_instance *instance)
{
    size_t size = strlen(found);
    (void)context;
    snprintf(found + size, sizeof found - size, "%.200s=%.200s ", instance->id, instance->url);
}

static bool read_text(const char *body)
{
    found[0] = '\0';
    return consul_read_instances(slice_of(body), on_instance, NULL);
}

#define NODE                   "\"Node\":{\"Node\":\"agent\",\"Address\":\"10.0.0.9\"}"
#define CHECK(status)          "{\"CheckID\":\"c\",\"Status\":\"" status "\"}"
#define ENTRY(service, checks) "{" NODE ",\"Service\":{" service "},\"Checks\":[" checks "]}"

static void instances_have_an_id_and_a_url(void **state)
{
    (void)state;
    assert_true(read_text("[" ENTRY(
        "\"ID\":\"a\",\"Service\":\"artemis\",\"Address\":\"h.x\",\"Port\":1,"
        "\"Meta\":{\"scheme\":\"https\",\"zone\":\"z\"},\"Tags\":[]",
        CHECK("passing") "," CHECK(
            "passing")) "," ENTRY("\"ID\":\"b\",\"Address\":\"\",\"Port\":65535,\"Meta\":null",
                                  "") "," ENTRY("\"ID\":\"c\",\"Address\":\"::1\",\"Port\":2",
                                                "") "]"));
    assert_string_equal(found, "a=https://h.x:1 b=http://10.0.0.9:65535 c=http://[::1]:2 ");
    assert_true(read_text("[]"));
    assert_string_equal(found, "");
}

static void instance_whose_checks_are_not_all_passing_is_left_out(void **state)
{
    (void)state;
#define A "\"ID\":\"a\",\"Address\":\"h\",\"Port\":1"
    assert_true(read_text("[" ENTRY(A, CHECK("passing") "," CHECK("critical")) "," ENTRY(
        A, CHECK("warning")) "," ENTRY(A, CHECK("")) "," ENTRY(A, "7") "," ENTRY(A, "{}") "]"));
    assert_string_equal(found, "");
    assert_true(read_text("[{" NODE ",\"Service\":{" A "},\"Checks\":null}]"));
    assert_string_equal(found, "a=http://h:1 ");
}

static void instance_without_a_valid_address_has_no_url(void **state)
{
    (void)state;
    static const char *const services[] = {
        "\"Address\":\"h\"",
        "\"Address\":\"h\",\"Port\":0",
        "\"Address\":\"h\",\"Port\":-1",
        "\"Address\":\"h\",\"Port\":65536",
        "\"Address\":\"h\",\"Port\":4294967297",
        "\"Address\":\"h\",\"Port\":\"80\"",
        "\"Address\":\"h\",\"Port\":1.5",
    };
    char body[512];
    for (size_t i = 0; i < sizeof services / sizeof *services; i++) {
        snprintf(body, sizeof body, "[{%s,\"Service\":{\"ID\":\"a\",%s}}]", NODE, services[i]);
        assert_true(read_text(body));
        assert_string_equal(found, "a= ");
    }
    snprintf(body, sizeof body, "[{\"Node\":{},\"Service\":{\"ID\":\"a\",\"Port\":1}}]");
    assert_true(read_text(body));
    assert_string_equal(found, "a= ");
    snprintf(body, sizeof body,
             "[{\"Node\":{},\"Service\":{\"ID\":\"a\",\"Address\":\"%0*d\",\"Port\":1}}]",
             MEMBER_URL_BYTES, 1);
    assert_true(read_text(body));
    assert_string_equal(found, "a= ");
}

static void list_that_is_not_valid_is_refused_as_a_whole(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "",
        "{",
        "{}",
        "null",
        "7",
        "[7]",
        "[null]",
        "[[]]",
        "[{}]",
        "[] x",
        "[{" NODE "}]",
        "[{" NODE ",\"Service\":7}]",
        "[{" NODE ",\"Service\":{}}]",
        "[{" NODE ",\"Service\":{\"ID\":7}}]",
        "[{" NODE ",\"Service\":{\"ID\":\"\"}}]",
        "[{" NODE ",\"Service\":{\"ID\":\"a\\u0000b\"}}]",
        "[{\"Node\":7,\"Service\":{\"ID\":\"a\"}}]",
        "[{" NODE ",\"Service\":{\"ID\":\"a\"},\"Checks\":{}}]",
        "[" ENTRY(A, "") ",7]",
        "[{" NODE ",\"Service\":{\"ID\":\"a\",\"ID\":\"b\"}}]",
        "[{" NODE ",\"Service\":{\"ID\":\"\xff\"}}]",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        if (read_text(bodies[i]))
            fail_msg("this is accepted: %s", bodies[i]);
        assert_string_equal(found, "");
    }
    assert_false(consul_read_instances((struct slice){NULL, 0}, on_instance, NULL));
    static char deep[100001];
    memset(deep, '[', sizeof deep - 1);
    assert_false(read_text(deep));
}

static void id_is_printable_and_cut(void **state)
{
    (void)state;
    char body[2 * CONSUL_ID_BYTES];
    assert_true(read_text("[{" NODE ",\"Service\":{\"ID\":\"a\\u001b\\u00e9b\"}}]"));
    assert_string_equal(found, "ab= ");
    snprintf(body, sizeof body, "[{\"Node\":{},\"Service\":{\"ID\":\"%0*d\"}}]", CONSUL_ID_BYTES,
             1);
    assert_true(read_text(body));
}

static void index_is_at_least_one(void **state)
{
    (void)state;
    static const char *const invalid[] = {"",   "-1",  "+1", " 1",
                                          "1 ", "1.5", "x",  "18446744073709551616"};
    uint64_t index = 0;
    assert_true(consul_read_index("7", &index));
    assert_int_equal(index, 7);
    assert_true(consul_read_index("18446744073709551615", &index));
    assert_true(index == UINT64_MAX);
    assert_true(consul_read_index("0", &index));
    assert_int_equal(index, 1);
    assert_false(consul_read_index(NULL, &index));
    for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++)
        assert_false(consul_read_index(invalid[i], &index));
}

static void message_is_printable(void **state)
{
    (void)state;
    char message[CONSUL_MESSAGE_BYTES];
    consul_read_message(SLICE("No cluster leader\n\x1b\xff"), message);
    assert_string_equal(message, "No cluster leader");
    consul_read_message((struct slice){NULL, 0}, message);
    assert_string_equal(message, "");
}

static void no_memory_refuses_the_list(void **state)
{
    (void)state;
    static const char body[] = "[" ENTRY(A, CHECK("passing")) "]";
    long n = 1;
    for (;; n++) {
        long live = failing_malloc_live();
        failing_malloc_after(n);
        bool is_read = read_text(body);
        bool has_failed = failing_malloc_happened();
        failing_malloc_after(-1);
        assert_int_equal(failing_malloc_live(), live);
        assert_int_equal(is_read, !has_failed);
        assert_string_equal(found, is_read ? "a=http://h:1 " : "");
        if (!has_failed)
            break;
    }
    assert_true(n > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instances_have_an_id_and_a_url),
        cmocka_unit_test(instance_whose_checks_are_not_all_passing_is_left_out),
        cmocka_unit_test(instance_without_a_valid_address_has_no_url),
        cmocka_unit_test(list_that_is_not_valid_is_refused_as_a_whole),
        cmocka_unit_test(id_is_printable_and_cut),
        cmocka_unit_test(index_is_at_least_one),
        cmocka_unit_test(message_is_printable),
        cmocka_unit_test(no_memory_refuses_the_list),
    };
    json_set_alloc_funcs(malloc, free);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
