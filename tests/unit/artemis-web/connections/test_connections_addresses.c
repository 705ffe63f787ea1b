/* SPDX-License-Identifier: Apache-2.0
 *
 * The limits of the connections of one address, on virtual time.
 */
#include "artemis-web/connections/connections.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "artemis-server/log.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

enum { LIMIT = 100, PER_ADDRESS = 3, HANDSHAKES = 2, SLOTS = 200 };

static struct connections table;
static struct connection slots[SLOTS];

static int start_with(uint32_t connections_max, uint32_t handshakes_max)
{
    connections_init(&table, LIMIT);
    assert_int_equal(connections_limit_addresses(&table, connections_max, handshakes_max, 7),
                     ERR_NONE);
    return 0;
}

static int start(void **state)
{
    (void)state;
    return start_with(PER_ADDRESS, 0);
}

static int start_default(void **state)
{
    (void)state;
    return start_with(0, 0);
}

static int start_handshakes(void **state)
{
    (void)state;
    return start_with(0, HANDSHAKES);
}

static int stop(void **state)
{
    (void)state;
    connections_free(&table); /* requires that no address is left */
    return 0;
}

static struct connection_origin from(uint8_t host, bool has_tls)
{
    return (struct connection_origin){.address = {.size = 4, .bytes = {10, 0, 0, host}},
                                      .has_tls = has_tls};
}

static void end_later(struct connection *connection)
{
    (void)connection;
}

/* Returns whether the connection is admitted. Its socket does not exist. */
static bool try_open(int slot, uint8_t host, bool has_tls, uint64_t now_ms)
{
    struct connection_origin origin = from(host, has_tls);
    if (!connections_admit(&table, -1, &origin, now_ms))
        return false;
    connections_add(&table, &slots[slot], -1, &origin, end_later, (uint32_t)slot, now_ms);
    return true;
}

static void close_slot(int slot)
{
    connections_remove(&table, &slots[slot]);
}

static void make_busy(int slot, uint64_t now_ms)
{
    connection_reading(&table, &slots[slot], now_ms);
    connection_serving(&slots[slot], now_ms);
}

static struct connection_counters counters(void)
{
    struct connections_view view;
    connections_view(&table, &view);
    return view.counters;
}

static void busy_address_is_refused_and_others_are_not(void **state)
{
    (void)state;
    for (int i = 0; i < PER_ADDRESS; i++) {
        assert_true(try_open(i, 1, false, 0));
        make_busy(i, 0);
    }
    assert_false(try_open(PER_ADDRESS, 1, false, 5000));
    assert_false(try_open(PER_ADDRESS, 1, true, 5000));
    assert_int_equal(counters().refused_by_address, 2);
    assert_int_equal(counters().refused, 0);
    assert_true(try_open(PER_ADDRESS, 2, false, 5000));
    close_slot(0);
    assert_true(try_open(0, 1, false, 5000));
    for (int i = 0; i <= PER_ADDRESS; i++)
        close_slot(i);
}

static void longest_idle_connection_of_the_address_gives_way(void **state)
{
    (void)state;
    assert_true(try_open(0, 2, false, 0)); /* is idle for longest, but of another address */
    for (int i = 1; i <= PER_ADDRESS; i++)
        assert_true(try_open(i, 1, false, 100 * (uint64_t)i));
    make_busy(1, 1000);
    assert_false(try_open(4, 1, false, 100 + IDLE_BEFORE_DISPLACED_MS));
    assert_true(try_open(4, 1, false, 200 + IDLE_BEFORE_DISPLACED_MS));
    assert_int_equal(slots[0].state, CONNECTION_NEW);
    assert_int_equal(slots[1].state, CONNECTION_SERVING);
    assert_int_equal(slots[2].state, CONNECTION_CLOSING);
    assert_int_equal(slots[3].state, CONNECTION_NEW);
    assert_int_equal(counters().displaced, 1);
    for (int i = 0; i <= 4; i++)
        close_slot(i);
}

/* Without a limit in the settings, no address can take all connections. */
static void address_leaves_a_share_of_the_table_to_others(void **state)
{
    (void)state;
    enum { SHARE = LIMIT * ADDRESS_SHARE_PERCENT / 100 };
    for (int i = 0; i < SHARE; i++) {
        assert_true(try_open(i, 1, false, 0));
        make_busy(i, 0);
    }
    assert_false(try_open(SHARE, 1, false, 5000));
    assert_int_equal(counters().refused_by_address, 1);
    for (int i = SHARE; i < LIMIT; i++)
        assert_true(try_open(i, 2, false, 5000));
    for (int i = 0; i < LIMIT; i++)
        close_slot(i);
}

/* Sidecars and proxies on the host of the node have it. */
static void loopback_may_take_the_whole_table(void **state)
{
    (void)state;
    struct connection_origin both[] = {
        {.address = {.size = 4, .bytes = {127, 0, 0, 1}}}, {.address = {.size = 8}}, /* ::1 */
    };
    for (int i = 0; i < LIMIT; i++) {
        const struct connection_origin *origin = &both[i < LIMIT - 5];
        assert_true(connections_admit(&table, -1, origin, 0));
        connections_add(&table, &slots[i], -1, origin, NULL, (uint32_t)i, 0);
        make_busy(i, 0);
    }
    assert_false(connections_admit(&table, -1, &both[0], 5000));
    assert_int_equal(counters().refused, 1);
    for (int i = 0; i < LIMIT; i++)
        close_slot(i);
}

static void cancelled_connection_returns_its_place(void **state)
{
    (void)state;
    struct connection_origin origin = from(1, true);
    for (int i = 0; i < 10 * PER_ADDRESS; i++) {
        assert_true(connections_admit(&table, -1, &origin, 0));
        connections_cancel(&table, &origin);
    }
}

/* A new connection that finds the table full must not count. */
static void full_table_counts_nothing_for_the_address(void **state)
{
    (void)state;
    for (int i = 0; i < LIMIT; i++) {
        assert_true(try_open(i, (uint8_t)(10 + i), false, 0));
        make_busy(i, 0);
    }
    for (int i = 0; i < 2 * PER_ADDRESS; i++)
        assert_false(try_open(LIMIT, 1, false, 0));
    assert_int_equal(counters().refused, 2 * PER_ADDRESS);
    assert_int_equal(counters().refused_by_address, 0);
    for (int i = 0; i < LIMIT; i++)
        close_slot(i);
}

static void stalled_handshake_of_the_address_gives_way(void **state)
{
    (void)state;
    for (int i = 0; i < HANDSHAKES; i++)
        assert_true(try_open(i, 1, true, 0));
    assert_false(try_open(2, 1, true, IDLE_BEFORE_DISPLACED_MS - 1));
    assert_true(try_open(2, 1, false, 500)); /* plain connections are not counted here */
    assert_true(try_open(3, 2, true, 500));
    assert_int_equal(counters().handshakes_refused, 1);
    assert_true(try_open(4, 1, true, IDLE_BEFORE_DISPLACED_MS));
    assert_int_equal(slots[0].state, CONNECTION_CLOSING);
    assert_int_equal(slots[1].state, CONNECTION_NEW);
    for (int i = 0; i <= 4; i++)
        close_slot(i);
}

static void first_request_ends_the_handshake(void **state)
{
    (void)state;
    for (int i = 0; i < 10 * HANDSHAKES; i++) {
        assert_true(try_open(i, 1, true, 0));
        connection_reading(&table, &slots[i], 0);
        connection_serving(&slots[i], 0);
        connection_idle(&slots[i], 0);
        connection_reading(&table, &slots[i], 0);
    }
    assert_int_equal(counters().handshakes_refused, 0);
    for (int i = 0; i < 10 * HANDSHAKES; i++)
        close_slot(i);
}

static void connection_without_memory_is_refused(void **state)
{
    (void)state;
    failing_malloc_after(1);
    assert_false(try_open(0, 1, true, 0));
    failing_malloc_after(-1);
    assert_true(try_open(0, 1, true, 0));
    close_slot(0);
}

/* --- the log ---------------------------------------------------------------------------------- */

static FILE *log_file;

static const char *take_log(void)
{
    static char text[4096];
    rewind(log_file);
    text[fread(text, 1, sizeof(text) - 1, log_file)] = '\0';
    rewind(log_file);
    assert_int_equal(ftruncate(fileno(log_file), 0), 0);
    return text;
}

static void refused_connections_are_logged_once_in_ten_seconds(void **state)
{
    (void)state;
    int saved = dup(STDERR_FILENO);
    log_file = tmpfile();
    dup2(fileno(log_file), STDERR_FILENO);
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, NULL);
    connections_report(&table, 1000, false);
    assert_string_equal(take_log(), "");
    for (int i = 0; i < PER_ADDRESS; i++) {
        assert_true(try_open(i, 1, false, 1000));
        make_busy(i, 1000);
    }
    for (int i = 0; i < 5; i++)
        assert_false(try_open(PER_ADDRESS, 1, false, 1000));
    connections_report(&table, 1000, false);
    assert_non_null(strstr(take_log(), "limits refused or closed connections refused=0 displaced=0 "
                                       "refused_by_address=5 handshakes_refused=0 closed_slow=0 "
                                       "heaviest_address=10.0.0.1 heaviest_refused=5"));
    assert_false(try_open(PER_ADDRESS, 1, false, 1000));
    connections_report(&table, 1000 + CONNECTIONS_REPORT_MS - 1, false);
    assert_string_equal(take_log(), "");
    connections_report(&table, 1000 + CONNECTIONS_REPORT_MS, false);
    assert_non_null(strstr(take_log(), "refused_by_address=1"));
    connections_report(&table, 1000 + 10 * CONNECTIONS_REPORT_MS, true);
    assert_string_equal(take_log(), "");
    dup2(saved, STDERR_FILENO);
    close(saved);
    fclose(log_file);
    for (int i = 0; i < PER_ADDRESS; i++)
        close_slot(i);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(busy_address_is_refused_and_others_are_not),
        TEST(longest_idle_connection_of_the_address_gives_way),
        cmocka_unit_test_setup_teardown(address_leaves_a_share_of_the_table_to_others,
                                        start_default, stop),
        cmocka_unit_test_setup_teardown(loopback_may_take_the_whole_table, start_default, stop),
        TEST(cancelled_connection_returns_its_place),
        TEST(full_table_counts_nothing_for_the_address),
        cmocka_unit_test_setup_teardown(stalled_handshake_of_the_address_gives_way,
                                        start_handshakes, stop),
        cmocka_unit_test_setup_teardown(first_request_ends_the_handshake, start_handshakes, stop),
        TEST(connection_without_memory_is_refused),
        TEST(refused_connections_are_logged_once_in_ten_seconds),
    };
    return cmocka_run_group_tests_name("connections_addresses", tests, NULL, NULL);
}
