/* SPDX-License-Identifier: Apache-2.0
 *
 * The Lease of a node: its name; created, renewed, taken over, and read again after a conflict.
 */
#include "artemis-server/cluster/providers/kubernetes/kubernetes_lease.h"

#include <string.h>

#include "tests/support/cmocka_all.h"

enum { START_MS = 1000000, TTL_MS = 15000, RENEWAL_MS = 5000 };

static struct kubernetes_lease lease;

static int set_up(void **state)
{
    (void)state;
    lease = (struct kubernetes_lease){.ttl_ms = TTL_MS};
    return 0;
}

static void start(enum kubernetes_lease_step expected, uint64_t now_ms)
{
    assert_true(kubernetes_lease_is_due(&lease, now_ms));
    assert_int_equal(lease.step, expected);
    kubernetes_lease_started(&lease);
    assert_false(kubernetes_lease_is_due(&lease, now_ms));
}

static void name_is_valid_and_unique(void **state)
{
    (void)state;
    static const struct {
        const char *node_id, *name;
    } rows[] = {
        {"artemis-0", "peers.artemis-0"},
        {"Artemis_0", "peers.n-rtemis-0-"},
        {"a.example", "peers.na-example-"},
        {"-a", "peers.n-a-"},
        {"a-", "peers.na--"},
        {"\xc3\xbc", "peers.n---"},
    };
    char name[KUBERNETES_NAME_BYTES];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t size = strlen(rows[i].name);
        kubernetes_lease_name("peers", rows[i].node_id, name);
        assert_int_equal(strncmp(name, rows[i].name, size), 0);
        assert_int_equal(strlen(name), size + (i == 0 ? 0 : 8)); /* with a digest */
    }
}

static void long_names_are_cut(void **state)
{
    (void)state;
    char service[64], one[256], other[256];
    char names[2][KUBERNETES_NAME_BYTES];
    memset(service, 's', sizeof(service));
    memset(one, 'n', sizeof(one));
    service[63] = one[255] = '\0';
    memcpy(other, one, sizeof(one));
    other[254] = 'x';
    kubernetes_lease_name(service, one, names[0]);
    kubernetes_lease_name(service, other, names[1]);
    assert_string_not_equal(names[0], names[1]);
    assert_true(strlen(names[0]) < KUBERNETES_NAME_BYTES - 1);
}

static void missing_lease_is_created_and_renewed(void **state)
{
    (void)state;
    start(KUBERNETES_READ, START_MS);
    assert_false(lease.may_exist);
    assert_false(kubernetes_lease_on_failure(&lease, 404, 0, 0, START_MS));
    start(KUBERNETES_CREATE, START_MS);
    assert_true(lease.may_exist);
    kubernetes_lease_on_response(&lease, "5", START_MS);
    assert_false(kubernetes_lease_is_due(&lease, START_MS + RENEWAL_MS - 1));
    start(KUBERNETES_REPLACE, START_MS + RENEWAL_MS);
    assert_string_equal(lease.version, "5");
    kubernetes_lease_on_response(&lease, "6", START_MS + RENEWAL_MS);
    start(KUBERNETES_REPLACE, START_MS + 2 * RENEWAL_MS);
    assert_string_equal(lease.version, "6");
}

static void lease_of_an_earlier_node_is_taken_over_at_once(void **state)
{
    (void)state;
    start(KUBERNETES_READ, START_MS);
    kubernetes_lease_on_response(&lease, "3", START_MS);
    start(KUBERNETES_REPLACE, START_MS);
    assert_string_equal(lease.version, "3");
}

static void restart_reads_the_lease_and_renews_it(void **state)
{
    (void)state;
    start(KUBERNETES_READ, START_MS);
    kubernetes_lease_on_response(&lease, "3", START_MS);
    start(KUBERNETES_REPLACE, START_MS); /* aborted: the server may have executed it */
    kubernetes_lease_restart(&lease, START_MS + 1);
    start(KUBERNETES_READ, START_MS + 1);
    kubernetes_lease_on_response(&lease, "4", START_MS + 2);
    start(KUBERNETES_REPLACE, START_MS + 2);
    assert_string_equal(lease.version, "4");
    assert_true(lease.may_exist);
}

static void changed_and_deleted_leases_are_read_again(void **state)
{
    (void)state;
    lease.step = KUBERNETES_REPLACE;
    start(KUBERNETES_REPLACE, START_MS);
    assert_false(kubernetes_lease_on_failure(&lease, 409, 0, 0, START_MS));
    start(KUBERNETES_READ, START_MS);
    kubernetes_lease_on_response(&lease, "8", START_MS);
    start(KUBERNETES_REPLACE, START_MS);
    kubernetes_lease_on_response(&lease, "9", START_MS);
    start(KUBERNETES_REPLACE, START_MS + RENEWAL_MS);
    assert_false(kubernetes_lease_on_failure(&lease, 404, 0, 0, START_MS + RENEWAL_MS));
    start(KUBERNETES_CREATE, START_MS + RENEWAL_MS);
    assert_false(kubernetes_lease_on_failure(&lease, 409, 0, 0, START_MS + RENEWAL_MS));
    start(KUBERNETES_READ, START_MS + RENEWAL_MS);
}

static void conflicts_without_end_are_a_failure(void **state)
{
    (void)state;
    unsigned conflicts = 0;
    for (; conflicts < 10; conflicts++) {
        lease.step = KUBERNETES_REPLACE;
        start(KUBERNETES_REPLACE, START_MS);
        if (kubernetes_lease_on_failure(&lease, 409, 0, 0, START_MS))
            break;
    }
    assert_int_equal(conflicts, 3);
    assert_false(kubernetes_lease_is_due(&lease, START_MS));
    assert_int_equal(lease.step, KUBERNETES_READ);
}

static void failure_is_repeated_within_a_renewal(void **state)
{
    (void)state;
    uint64_t now_ms = START_MS;
    lease.step = KUBERNETES_REPLACE;
    for (int i = 0; i < 12; i++) {
        start(KUBERNETES_REPLACE, now_ms);
        assert_true(kubernetes_lease_on_failure(&lease, i % 2 ? 500 : 0, 0, 0, now_ms));
        assert_in_range(lease.due_ms - now_ms, 1, RENEWAL_MS);
        now_ms = lease.due_ms;
    }
    start(KUBERNETES_REPLACE, now_ms);
    assert_true(kubernetes_lease_on_failure(&lease, 429, 30000, 0, now_ms));
    assert_int_equal(lease.due_ms, now_ms + 30000); /* the server demands it */
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(name_is_valid_and_unique),
        TEST(long_names_are_cut),
        TEST(missing_lease_is_created_and_renewed),
        TEST(lease_of_an_earlier_node_is_taken_over_at_once),
        TEST(changed_and_deleted_leases_are_read_again),
        TEST(restart_reads_the_lease_and_renews_it),
        TEST(conflicts_without_end_are_a_failure),
        TEST(failure_is_repeated_within_a_renewal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
