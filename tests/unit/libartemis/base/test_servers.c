/* SPDX-License-Identifier: Apache-2.0
 *
 * Which server is chosen, and how long a failed server is not used.
 */
#include "libartemis/base/servers.h"

#include "tests/support/cmocka_all.h"

static struct servers three(void)
{
    return (struct servers){.count = 3};
}

static void assert_chosen(struct servers *servers, uint64_t now_ms, size_t expected)
{
    size_t which = SERVERS_MAX;
    uint64_t at_ms;
    assert_true(servers_choose(servers, now_ms, &which, &at_ms));
    assert_int_equal(which, expected);
}

static void current_server_stays_while_it_responds(void **state)
{
    (void)state;
    struct servers servers = three();
    for (uint64_t now_ms = 0; now_ms < 10; now_ms++) {
        assert_chosen(&servers, now_ms, 0);
        servers_succeeded(&servers, 0);
    }
}

static void failed_server_is_replaced_and_does_not_return_by_itself(void **state)
{
    (void)state;
    struct servers servers = three();
    assert_chosen(&servers, 1000, 0);
    servers_failed(&servers, 0, 1000, 0, 0);
    assert_chosen(&servers, 1000, 1);
    servers_succeeded(&servers, 1);
    assert_chosen(&servers, 99999, 1);
    servers_failed(&servers, 1, 99999, 0, 0);
    assert_chosen(&servers, 99999, 2);
    servers_failed(&servers, 2, 99999, 0, 0);
    assert_chosen(&servers, 99999, 0);
}

static void first_usable_server_is_next_when_all_failed(void **state)
{
    (void)state;
    struct servers servers = three();
    size_t which = SERVERS_MAX;
    uint64_t at_ms = 0;
    servers_failed(&servers, 0, 1000, 0, 0);
    servers_failed(&servers, 1, 1000, 0, 50); /* 50 ms sooner */
    servers_failed(&servers, 2, 1000, 0, 0);
    assert_false(servers_choose(&servers, 1000, &which, &at_ms));
    assert_int_equal(at_ms, 1050);
    assert_false(servers_choose(&servers, 1049, &which, &at_ms));
    assert_chosen(&servers, 1050, 1);
}

static void failures_accumulate_until_a_success(void **state)
{
    (void)state;
    struct servers servers = {.count = 1};
    size_t which;
    uint64_t at_ms = 0;
    servers_failed(&servers, 0, 0, 0, 0);
    servers_failed(&servers, 0, 0, 0, 0);
    assert_false(servers_choose(&servers, 0, &which, &at_ms));
    assert_int_equal(at_ms, 200);
    servers_succeeded(&servers, 0);
    assert_chosen(&servers, 0, 0);
    servers_failed(&servers, 0, 0, 0, 0);
    assert_false(servers_choose(&servers, 0, &which, &at_ms));
    assert_int_equal(at_ms, 100);
}

static void retry_after_is_honoured_up_to_a_minute(void **state)
{
    (void)state;
    struct servers servers = {.count = 1};
    size_t which;
    uint64_t at_ms = 0;
    servers_failed(&servers, 0, 0, 5000, 0);
    assert_false(servers_choose(&servers, 4999, &which, &at_ms));
    assert_int_equal(at_ms, 5000);
    servers_failed(&servers, 0, 5000, 10, 0); /* less than the backoff */
    assert_false(servers_choose(&servers, 5000, &which, &at_ms));
    assert_int_equal(at_ms, 5200);
    servers_failed(&servers, 0, 6000, UINT64_MAX, 0);
    assert_false(servers_choose(&servers, 6000, &which, &at_ms));
    assert_int_equal(at_ms, 66000);
}

static void retry_after_that_is_not_a_number_of_seconds_is_ignored(void **state)
{
    (void)state;
    static const char *const ignored[] = {"",
                                          "-5",
                                          "+5",
                                          "5 ",
                                          " 5",
                                          "5s",
                                          "0x5",
                                          "1.5",
                                          "18446744073709551616",
                                          "Sun, 29 Nov 2026 14:00:00 GMT"};
    assert_int_equal(servers_retry_after_ms(SLICE("0")), 0);
    assert_int_equal(servers_retry_after_ms(SLICE("5")), 5000);
    assert_int_equal(servers_retry_after_ms(SLICE("59")), 59000);
    assert_int_equal(servers_retry_after_ms(SLICE("61")), 60000);
    assert_int_equal(servers_retry_after_ms(SLICE("18446744073709551615")), 60000);
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        if (servers_retry_after_ms(slice_of(ignored[i])) != 0)
            fail_msg("%s is taken for a number", ignored[i]);
}

static void next_server_is_a_node_then_an_option_then_one_that_failed(void **state)
{
    (void)state;
    struct servers servers = three();
    servers_set_use(&servers, 3, SERVER_NODE);
    servers_set_use(&servers, 4, SERVER_NODE);
    assert_chosen(&servers, 1000, 0); /* it responds, so it stays */
    servers_failed(&servers, 0, 1000, 0, 0);
    assert_chosen(&servers, 1000, 3);
    servers_failed(&servers, 3, 1000, 0, 0);
    assert_chosen(&servers, 2000, 4);
    servers_failed(&servers, 4, 2000, 0, 0);
    assert_chosen(&servers, 3000, 1);
    servers_failed(&servers, 1, 3000, 0, 0);
    servers_failed(&servers, 2, 3000, 0, 0);
    assert_chosen(&servers, 3000, 3);
}

static void server_that_is_gone_is_not_chosen(void **state)
{
    (void)state;
    struct servers servers = three();
    servers_set_use(&servers, 3, SERVER_NODE);
    servers.current = 3;
    assert_chosen(&servers, 1000, 3);
    servers_failed(&servers, 3, 1000, 0, 0);
    servers_set_use(&servers, 3, SERVER_GONE);
    assert_chosen(&servers, 1000, 0);
    for (size_t i = 0; i < 3; i++)
        servers_failed(&servers, i, 1000, 0, 0);
    size_t which = SERVERS_MAX;
    uint64_t at_ms = 0;
    assert_false(servers_choose(&servers, 1000, &which, &at_ms));
    assert_int_not_equal(servers.current, 3);
    servers_set_use(&servers, 3, SERVER_NODE); /* another server, which has not failed */
    assert_chosen(&servers, 1000, 3);
}

static void server_with_the_highest_number_is_chosen(void **state)
{
    (void)state;
    struct {
        struct servers servers;
        char after[sizeof(struct servers)];
    } guarded = {.servers = three()};
    struct servers *servers = &guarded.servers;
    const size_t last = SERVER_NUMBERS_MAX - 1;
    for (size_t i = 0; i < SERVER_NUMBERS_MAX; i++)
        servers_set_use(servers, i, i == last ? SERVER_NODE : SERVER_GONE);
    assert_int_equal(servers->count, SERVER_NUMBERS_MAX);
    assert_chosen(servers, 1000, last);
    servers_failed(servers, last, 1000, 0, 0);
    assert_true(servers->each[last].not_before_ms > 1000);
    for (size_t i = 0; i < sizeof guarded.after; i++)
        assert_int_equal(guarded.after[i], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(next_server_is_a_node_then_an_option_then_one_that_failed),
        cmocka_unit_test(server_that_is_gone_is_not_chosen),
        cmocka_unit_test(server_with_the_highest_number_is_chosen),
        cmocka_unit_test(current_server_stays_while_it_responds),
        cmocka_unit_test(failed_server_is_replaced_and_does_not_return_by_itself),
        cmocka_unit_test(first_usable_server_is_next_when_all_failed),
        cmocka_unit_test(failures_accumulate_until_a_success),
        cmocka_unit_test(retry_after_is_honoured_up_to_a_minute),
        cmocka_unit_test(retry_after_that_is_not_a_number_of_seconds_is_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
