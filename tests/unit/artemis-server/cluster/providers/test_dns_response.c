/* SPDX-License-Identifier: Apache-2.0
 *
 * Records in DNS messages: addresses, targets and times; what is not valid is refused or left out.
 */
#include "artemis-server/cluster/providers/dns_response.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/random.h"

#include <stdio.h>
#include <string.h>

enum { MESSAGE_MAX = 8192, TYPE_CNAME = 5, CLASS_IN = 1, CLASS_CHAOS = 3 };

/* A message that is being built. */
static uint8_t message[MESSAGE_MAX];
static size_t size;
static struct dns_response response;

static void put(const void *data, size_t bytes)
{
    assert_true(size + bytes <= sizeof(message));
    memcpy(message + size, data, bytes);
    size += bytes;
}

static void put16(unsigned number)
{
    put((uint8_t[]){(uint8_t)(number >> 8), (uint8_t)number}, 2);
}

/* Labels separated by dots. */
static void put_name(const char *name)
{
    while (*name) {
        size_t label = strcspn(name, ".");
        put(&(uint8_t){(uint8_t)label}, 1);
        put(name, label);
        name += label + (name[label] == '.');
    }
    put("", 1);
}

/* A response to a query of "n.example". */
static void begin(unsigned type)
{
    size = 0;
    put16(7);
    put16(0x8180);
    put16(1);
    put16(0); /* the number of answers */
    put16(0);
    put16(0);
    put_name("n.example");
    put16(type);
    put16(CLASS_IN);
}

static void put_record(unsigned type, unsigned class, uint32_t ttl_secs, const void *data,
                       size_t bytes)
{
    message[7]++;
    put16(0xC00C); /* the name of the query */
    put16(type);
    put16(class);
    put16(ttl_secs >> 16);
    put16(ttl_secs & 0xFFFF);
    put16((unsigned)bytes);
    put(data, bytes);
}

static void put_target(const char *target, unsigned port, uint32_t ttl_secs)
{
    uint8_t data[300] = {0, 1, 0, 2, (uint8_t)(port >> 8), (uint8_t)port};
    size_t at = 6;
    for (const char *name = target; *name;) {
        size_t label = strcspn(name, ".");
        data[at++] = (uint8_t)label;
        memcpy(data + at, name, label);
        at += label;
        name += label + (name[label] == '.');
    }
    put_record(DNS_SRV, CLASS_IN, ttl_secs, data, at + 1);
}

static bool read_as(enum dns_type type)
{
    return dns_response_read(message, size, type, &response);
}

static void addresses_are_read_with_the_lowest_ttl(void **state)
{
    (void)state;
    begin(DNS_A);
    put_record(DNS_A, CLASS_IN, 60, (uint8_t[]){10, 0, 0, 1}, 4);
    put_record(DNS_A, CLASS_IN, 30, (uint8_t[]){10, 0, 0, 2}, 4);
    assert_true(read_as(DNS_A));
    assert_int_equal(response.count, 2);
    assert_string_equal(response.records[0].host, "10.0.0.1");
    assert_string_equal(response.records[1].host, "10.0.0.2");
    assert_int_equal(response.ttl_secs, 30);
    begin(DNS_AAAA);
    put_record(DNS_AAAA, CLASS_IN, 5, (uint8_t[16]){0xfd, 0, [15] = 1}, 16);
    assert_true(read_as(DNS_AAAA));
    assert_int_equal(response.count, 1);
    assert_string_equal(response.records[0].host, "fd00::1");
}

static void targets_are_read_with_their_ports(void **state)
{
    (void)state;
    begin(DNS_SRV);
    put_target("Node-1.Example", 9443, 20);
    put_target("node-2.example", 80, 10);
    assert_true(read_as(DNS_SRV));
    assert_int_equal(response.count, 2);
    assert_string_equal(response.records[0].host, "node-1.example");
    assert_int_equal(response.records[0].port, 9443);
    assert_string_equal(response.records[1].host, "node-2.example");
    assert_int_equal(response.records[1].port, 80);
    assert_int_equal(response.ttl_secs, 10);
}

static void alias_counts_for_the_ttl_alone(void **state)
{
    (void)state;
    begin(DNS_A);
    put_record(TYPE_CNAME, CLASS_IN, 3, "\1m\0", 3);
    put_record(DNS_A, CLASS_IN, 60, (uint8_t[]){10, 0, 0, 1}, 4);
    assert_true(read_as(DNS_A));
    assert_int_equal(response.count, 1);
    assert_int_equal(response.ttl_secs, 3);
}

static void other_records_are_left_out(void **state)
{
    (void)state;
    begin(DNS_A);
    put_record(DNS_A, CLASS_CHAOS, 60, (uint8_t[]){10, 0, 0, 1}, 4);
    put_record(DNS_A, CLASS_IN, 60, (uint8_t[]){10, 0, 0}, 3);
    put_record(DNS_AAAA, CLASS_IN, 60, (uint8_t[16]){0xfd}, 16);
    assert_true(read_as(DNS_A));
    assert_int_equal(response.count, 0);
    begin(DNS_SRV);
    put_target("", 80, 60); /* the root: there is no such service */
    put_target("no port.example", 80, 60);
    put_target("node.example", 0, 60);
    put_record(DNS_SRV, CLASS_IN, 60, "\0\0\0\0\0", 5);
    assert_true(read_as(DNS_SRV));
    assert_int_equal(response.count, 0);
}

static void empty_response_is_valid(void **state)
{
    (void)state;
    begin(DNS_A);
    assert_true(read_as(DNS_A));
    assert_int_equal(response.count, 0);
}

static void records_beyond_the_limit_are_counted(void **state)
{
    (void)state;
    begin(DNS_A);
    for (unsigned i = 0; i < DNS_RECORDS_MAX + 3; i++)
        put_record(DNS_A, CLASS_IN, 60, (uint8_t[]){10, 0, 0, (uint8_t)i}, 4);
    assert_true(read_as(DNS_A));
    assert_int_equal(response.count, DNS_RECORDS_MAX);
    assert_int_equal(response.left_out, 3);
}

static bool has_address(const char *address)
{
    for (size_t i = 0; i < response.count; i++)
        if (strcmp(response.records[i].host, address) == 0)
            return true;
    return false;
}

/* Servers rotate their records. */
static void same_records_are_kept_in_any_order(void **state)
{
    (void)state;
    unsigned count = DNS_RECORDS_MAX + 3;
    for (unsigned shift = 0; shift < count; shift += 13) {
        begin(DNS_A);
        for (unsigned i = 0; i < count; i++) {
            uint8_t last = (uint8_t)(100 + (i + shift) % count);
            put_record(DNS_A, CLASS_IN, 60, (uint8_t[]){10, 0, 0, last}, 4);
        }
        assert_true(read_as(DNS_A));
        assert_int_equal(response.count, DNS_RECORDS_MAX);
        assert_true(has_address("10.0.0.100") && has_address("10.0.0.163"));
        assert_false(has_address("10.0.0.164") || has_address("10.0.0.166"));
    }
}

static void cut_messages_are_refused(void **state)
{
    (void)state;
    begin(DNS_SRV);
    put_target("node.example", 80, 60);
    size_t whole = size;
    for (size = 0; size < whole; size++)
        assert_false(read_as(DNS_SRV));
    assert_true(read_as(DNS_SRV));
    assert_false(dns_response_read(message, 100000, DNS_SRV, &response));
}

static void damaged_messages_are_survived(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (int i = 0; i < 20000; i++) {
        begin(DNS_SRV);
        put_target("node.example", 80, 60);
        put_target("other.example", 81, 60);
        for (int j = 0; j < 3; j++)
            message[random_below(&seed, size)] = (uint8_t)next_random(&seed);
        (void)read_as(DNS_SRV);
        for (size_t j = 0; j < response.count; j++)
            assert_true(strlen(response.records[j].host) < DNS_HOST_BYTES);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_with_the_lowest_ttl),
        cmocka_unit_test(targets_are_read_with_their_ports),
        cmocka_unit_test(alias_counts_for_the_ttl_alone),
        cmocka_unit_test(other_records_are_left_out),
        cmocka_unit_test(empty_response_is_valid),
        cmocka_unit_test(records_beyond_the_limit_are_counted),
        cmocka_unit_test(same_records_are_kept_in_any_order),
        cmocka_unit_test(cut_messages_are_refused),
        cmocka_unit_test(damaged_messages_are_survived),
    };
    return cmocka_run_group_tests_name("DNS responses", tests, NULL, NULL);
}
