/* SPDX-License-Identifier: Apache-2.0
 *
 * Responses of etcd as its gateway sends them, and those that are not valid.
 */
#include "artemis-server/cluster/providers/etcd/etcd_response.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

/* The keys that were passed on, as text: "+/a/n1={}@7 -/a/n2=@0 ". */
static char keys[1024];

static void on_key(void *context, const struct etcd_key *key)
{
    size_t size = strlen(keys);
    (void)context;
    snprintf(keys + size, sizeof keys - size, "%c%.*s=%.*s@%llu ", key->is_deleted ? '-' : '+',
             (int)key->key.size, key->key.data, (int)key->value.size,
             key->value.data ? key->value.data : "", (unsigned long long)key->lease);
}

static bool read_range(const char *body, uint64_t *revision)
{
    keys[0] = '\0';
    return etcd_read_range(slice_of(body), on_key, NULL, revision);
}

static bool read_watch(const char *line, struct etcd_watch_line *out)
{
    keys[0] = '\0';
    return etcd_read_watch(slice_of(line), on_key, NULL, out);
}

#define HEADER "\"header\":{\"cluster_id\":\"3\",\"revision\":\"12\",\"raft_term\":\"2\"}"
#define N1     "{\"key\":\"L2EvbjE=\",\"create_revision\":\"2\",\"value\":\"e30=\",\"lease\":\"7\"}"
#define N2     "{\"key\":\"L2EvbjI=\",\"mod_revision\":\"3\"}"

static void range_has_keys_and_a_revision(void **state)
{
    (void)state;
    uint64_t revision = 0;
    assert_true(read_range("{" HEADER ",\"kvs\":[" N1 "," N2 "],\"count\":\"2\"}", &revision));
    assert_string_equal(keys, "+/a/n1={}@7 +/a/n2=@0 ");
    assert_int_equal(revision, 12);
    assert_true(read_range("{\"header\":{\"revision\":4}}", &revision)); /* without keys */
    assert_int_equal(revision, 4);
}

static void watch_has_events(void **state)
{
    (void)state;
    struct etcd_watch_line line;
    assert_true(read_watch("{\"result\":{" HEADER ",\"created\":true}}", &line));
    assert_string_equal(keys, "");
    assert_true(read_watch("{\"result\":{" HEADER ",\"events\":[{\"kv\":" N1
                           "},{\"type\":\"DELETE\",\"kv\":" N2 "}]}}",
                           &line));
    assert_string_equal(keys, "+/a/n1={}@7 -/a/n2=@0 ");
    assert_string_equal(line.problem, "");
    assert_false(line.is_compacted);
}

static void end_of_a_watch_has_a_reason(void **state)
{
    (void)state;
    struct etcd_watch_line line;
    assert_true(read_watch("{\"result\":{\"canceled\":true,\"compact_revision\":\"9\"}}", &line));
    assert_true(line.is_compacted);
    assert_true(read_watch(
        "{\"result\":{\"created\":true,\"canceled\":true,\"cancel_reason\":\"denied\\n\"}}",
        &line));
    assert_false(line.is_compacted);
    assert_string_equal(line.problem, "denied");
    assert_true(read_watch("{\"error\":{\"grpc_code\":14,\"message\":\"no leader\"}}", &line));
    assert_string_equal(line.problem, "no leader");
    assert_true(read_watch("{\"error\":{}}", &line));
    assert_string_equal(line.problem, "etcd has ended the watch");
}

static void lease_is_read_from_a_grant_and_a_renewal(void **state)
{
    (void)state;
    uint64_t lease;
    uint64_t ttl;
    assert_true(etcd_read_lease(SLICE("{" HEADER ",\"ID\":\"18446744073709551615\",\"TTL\":\"5\"}"),
                                &lease, &ttl));
    assert_true(lease == UINT64_MAX && ttl == 5);
    assert_true(etcd_read_lease(SLICE("{\"result\":{" HEADER ",\"ID\":\"7\",\"TTL\":\"5\"}}"),
                                &lease, &ttl));
    assert_true(lease == 7 && ttl == 5);
    assert_true(etcd_read_lease(SLICE("{\"result\":{\"ID\":\"7\"}}"), &lease, &ttl));
    assert_int_equal(ttl, 0);
}

static void voters_are_counted_without_learners(void **state)
{
    (void)state;
    size_t voters;
    assert_true(etcd_read_voters(
        SLICE("{\"members\":[{\"ID\":\"1\"},{\"ID\":\"2\"},{\"ID\":\"3\",\"isLearner\":true}]}"),
        &voters));
    assert_int_equal(voters, 2);
    assert_false(etcd_read_voters(SLICE("{\"members\":[]}"), &voters));
}

static void token_message_and_address_are_read(void **state)
{
    (void)state;
    char token[ETCD_TOKEN_BYTES];
    char message[ETCD_MESSAGE_BYTES];
    char url[MEMBER_URL_BYTES];
    char big[2 * ETCD_TOKEN_BYTES];
    assert_true(etcd_read_token(SLICE("{" HEADER ",\"token\":\"abc.5\"}"), token));
    assert_string_equal(token, "abc.5");
    assert_false(etcd_read_token(SLICE("{\"token\":\"a\\r\\nX: 1\"}"), token));
    assert_false(etcd_read_token(SLICE("{\"token\":\"\"}"), token));
    snprintf(big, sizeof big, "{\"token\":\"%*d\"}", ETCD_TOKEN_BYTES, 1);
    assert_false(etcd_read_token(slice_of(big), token));
    etcd_read_message(SLICE("{\"error\":\"e\",\"message\":\"m\\u001b\\u00e9!\"}"), message);
    assert_string_equal(message, "m!");
    etcd_read_message(SLICE("bad header Authorization: abc.5"), message);
    assert_string_equal(message, "");
    etcd_read_message(SLICE("{\"token\":\"abc.5\""), message); /* was cut off */
    assert_string_equal(message, "");
    etcd_read_message((struct slice){NULL, 0}, message);
    assert_string_equal(message, "");
    assert_true(etcd_read_url(SLICE("{\"url\":\"http://a:1\",\"zone\":\"z\"}"), url));
    assert_string_equal(url, "http://a:1");
    assert_false(etcd_read_url(SLICE("{\"url\":\"a\\u0000b\"}"), url));
    assert_false(etcd_read_url(SLICE("{\"url\":7}"), url));
    assert_false(etcd_read_url(SLICE("http://a:1"), url));
}

static void responses_that_are_not_valid_are_refused(void **state)
{
    (void)state;
    static const char *const ranges[] = {"",
                                         "{",
                                         "[]",
                                         "{}",
                                         "{\"header\":{}}",
                                         "{\"header\":{\"revision\":\"x\"}}",
                                         "{\"header\":{\"revision\":\"-1\"}}",
                                         "{\"header\":{\"revision\":-1}}",
                                         "{\"header\":{\"revision\":1.5}}",
                                         "{" HEADER ",\"kvs\":{}}",
                                         "{" HEADER ",\"kvs\":[7]}",
                                         "{" HEADER ",\"kvs\":[{\"value\":\"e30=\"}]}",
                                         "{" HEADER ",\"kvs\":[{\"key\":\"*\"}]}",
                                         "{" HEADER ",\"kvs\":[{\"key\":\"L2E=\",\"value\":7}]}",
                                         "{" HEADER
                                         ",\"kvs\":[{\"key\":\"L2E=\",\"lease\":true}]}"};
    static const char *const lines[] = {
        "",
        "7",
        "{}",
        "{\"result\":[]}",
        "{\"result\":{\"events\":{}}}",
        "{\"error\":\"text\"}",
        "{\"result\":{\"events\":[{}]}}",
        "{\"result\":{\"events\":[{\"kv\":{}}]}}",
        "{\"result\":{\"canceled\":true,\"compact_revision\":\"x\"}}"};
    static const char *const leases[] = {"",
                                         "{}",
                                         "{\"ID\":\"0\"}",
                                         "{\"ID\":\"x\"}",
                                         "{\"TTL\":\"5\"}",
                                         "{\"result\":7}",
                                         "{\"ID\":\"1\",\"TTL\":\"1s\"}"};
    uint64_t number;
    uint64_t other;
    size_t voters;
    struct etcd_watch_line line;
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (read_range(ranges[i], &number))
            fail_msg("read: %s", ranges[i]);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (read_watch(lines[i], &line))
            fail_msg("read: %s", lines[i]);
    for (size_t i = 0; i < sizeof leases / sizeof *leases; i++)
        if (etcd_read_lease(slice_of(leases[i]), &number, &other))
            fail_msg("read: %s", leases[i]);
    assert_false(etcd_read_voters(SLICE("[]"), &voters));
    assert_false(etcd_read_range((struct slice){NULL, 0}, on_key, NULL, &number));
}

static void failed_allocations_are_handled(void **state)
{
    (void)state;
    json_set_alloc_funcs(malloc, free);
    for (long n = 1;; n++) {
        uint64_t revision;
        long live = failing_malloc_live();
        failing_malloc_after(n);
        bool is_read = read_range("{" HEADER ",\"kvs\":[" N1 "," N2 "]}", &revision);
        bool has_failed = failing_malloc_happened();
        failing_malloc_after(-1);
        assert_int_equal(failing_malloc_live(), live);
        assert_true(is_read || has_failed);
        if (is_read) /* Jansson does without some allocations */
            assert_string_equal(keys, "+/a/n1={}@7 +/a/n2=@0 ");
        if (!has_failed)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failed_allocations_are_handled), /* before the first JSON value */
        cmocka_unit_test(range_has_keys_and_a_revision),
        cmocka_unit_test(watch_has_events),
        cmocka_unit_test(end_of_a_watch_has_a_reason),
        cmocka_unit_test(lease_is_read_from_a_grant_and_a_renewal),
        cmocka_unit_test(voters_are_counted_without_learners),
        cmocka_unit_test(token_message_and_address_are_read),
        cmocka_unit_test(responses_that_are_not_valid_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
