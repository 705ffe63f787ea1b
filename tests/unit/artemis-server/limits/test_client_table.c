/* SPDX-License-Identifier: Apache-2.0
 *
 * The rate of each client, and which client a full table replaces.
 */
#include "artemis-server/limits/client_table.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/cmocka_all.h"

#define NOW_MS 1000000

static struct client_table table;

static int start(void **state)
{
    (void)state;
    memset(&table, 0, sizeof(table));
    client_table_init(&table, 7);
    client_table_set(&table, 100, 5);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    client_table_free(&table);
    return 0;
}

static struct client_address numbered(uint32_t number)
{
    struct client_address address = {.size = 4};
    memcpy(address.bytes, &number, sizeof(number));
    return address;
}

static unsigned admitted(uint32_t number, unsigned bucket, uint64_t now_ms, unsigned tries)
{
    unsigned count = 0;
    struct client_address address = numbered(number);
    struct client client = {NULL, &address};
    for (unsigned i = 0; i < tries; i++)
        count += client_table_admit(&table, &client, bucket, now_ms);
    return count;
}

static void each_client_and_kind_has_its_own_bucket(void **state)
{
    (void)state;
    for (uint32_t client = 1; client <= 3; client++)
        for (unsigned bucket = 0; bucket < CLIENT_BUCKETS; bucket++)
            assert_int_equal(admitted(client, bucket, NOW_MS, 20), 5);
    assert_int_equal(admitted(1, 0, NOW_MS + 9, 20), 0);
    assert_int_equal(admitted(1, 0, NOW_MS + 10, 20), 1);
    assert_int_equal(table.count, 3);
}

static void number_of_clients_is_bounded(void **state)
{
    (void)state;
    for (uint32_t client = 0; client < 3 * CLIENTS_MAX; client++)
        assert_int_equal(admitted(client, 0, NOW_MS + client, 1), 1);
    assert_in_range(table.count, CLIENTS_MAX * 9 / 10, CLIENTS_MAX);
    assert_int_equal(table.count + table.replaced, 3 * CLIENTS_MAX);
}

/* The client that is used all the time stays, whatever the others do. */
static void least_recently_used_client_is_replaced(void **state)
{
    (void)state;
    client_table_set(&table, 1, 5);
    assert_int_equal(admitted(1, 0, NOW_MS, 20), 5);
    for (uint32_t other = 2; other < 10 * CLIENTS_MAX; other++) {
        uint64_t now_ms = NOW_MS + other / 100; /* less than a second in all: adds no token */
        if (other % CLIENTS_PER_SET == 0)
            assert_int_equal(admitted(1, 0, now_ms, 1), 0);
        admitted(other, 0, now_ms, 1);
    }
    assert_int_equal(admitted(1, 0, NOW_MS + 500, 1), 0);
}

static void changed_limit_fills_all_buckets(void **state)
{
    (void)state;
    client_table_set(&table, 1, 1000);
    assert_int_equal(admitted(1, 0, NOW_MS, 2000), 1000);
    client_table_set(&table, 1, 1000); /* no change */
    assert_int_equal(admitted(1, 0, NOW_MS, 10), 0);
    client_table_set(&table, 10, 3);
    assert_int_equal(admitted(1, 0, NOW_MS, 10), 3);
    client_table_set(&table, 0, 3);
    assert_false(client_table_is_on(&table));
}

static void client_with_most_refused_requests_is_named_once(void **state)
{
    (void)state;
    char name[CLIENT_NAME_BYTES] = "";
    struct client_address address = numbered(1);
    assert_int_equal(client_table_take_heaviest(&table, name), 0);
    admitted(1, 0, NOW_MS, 5 + 3);
    client_table_add_refused(&table, &(struct client){"shop", &address}, NOW_MS);
    admitted(2, 1, NOW_MS, 5 + 7);
    assert_int_equal(client_table_take_heaviest(&table, name), 7);
    assert_string_equal(name, "2.0.0.0");
    assert_int_equal(client_table_take_heaviest(&table, name), 0);
    client_table_add_refused(&table, &(struct client){"shop", &address}, NOW_MS);
    assert_int_equal(client_table_take_heaviest(&table, name), 1);
    assert_string_equal(name, "token shop");
}

enum { THREADS = 8, TRIES = 5000 };

static void *try_often(void *context)
{
    unsigned *count = context;
    for (uint32_t i = 0; i < TRIES; i++) {
        *count += admitted(1, 0, NOW_MS, 1);
        admitted(i, 1, NOW_MS, 1);
    }
    return NULL;
}

static void threads_share_the_bucket_of_a_client(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    unsigned counts[THREADS] = {0};
    unsigned sum = 0;
    client_table_set(&table, 1, 100);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, try_often, &counts[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        sum += counts[i];
    }
    assert_true(sum >= 100); /* more, if others have replaced it meanwhile */
    assert_in_range(table.count, 1, CLIENTS_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_client_and_kind_has_its_own_bucket),
        TEST(number_of_clients_is_bounded),
        TEST(least_recently_used_client_is_replaced),
        TEST(changed_limit_fills_all_buckets),
        TEST(client_with_most_refused_requests_is_named_once),
        TEST(threads_share_the_bucket_of_a_client),
    };
    return cmocka_run_group_tests_name("client_table", tests, NULL, NULL);
}
