/* SPDX-License-Identifier: Apache-2.0
 *
 * How clients are identified and named: by token, IPv4 address or network of IPv6.
 */
#include "artemis-server/limits/client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "tests/support/cmocka_all.h"

static struct client_address address_of(const char *text)
{
    struct sockaddr_in ipv4 = {.sin_family = AF_INET};
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &ipv4.sin_addr) == 1)
        return client_address_of((const void *)&ipv4);
    assert_int_equal(inet_pton(AF_INET6, text, &ipv6.sin6_addr), 1);
    return client_address_of((const void *)&ipv6);
}

static void check_named(const char *text, const char *expected)
{
    char name[CLIENT_NAME_BYTES];
    struct client_address address = address_of(text);
    struct client client = {NULL, &address};
    struct client_id id = client_id_of(&client);
    client_address_write(&address, name);
    assert_string_equal(name, expected);
    client_id_write(&id, name);
    assert_string_equal(name, expected);
}

static void address_is_named(void **state)
{
    (void)state;
    check_named("10.0.0.1", "10.0.0.1");
    check_named("255.255.255.255", "255.255.255.255");
    check_named("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64");
    check_named("::1", "::/64");
    check_named("::ffff:10.0.0.1", "10.0.0.1");
}

static void loopback_is_known(void **state)
{
    (void)state;
    static const char *const loopback[] = {"127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1"};
    static const char *const others[] = {"10.0.0.1", "128.0.0.1", "2001:db8::1", "::ffff:10.0.0.1"};
    struct client_address none = client_address_of(NULL);
    assert_false(client_address_is_loopback(&none));
    for (int i = 0; i < 4; i++) {
        struct client_address yes = address_of(loopback[i]);
        struct client_address no = address_of(others[i]);
        assert_true(client_address_is_loopback(&yes));
        assert_false(client_address_is_loopback(&no));
    }
}

static void address_of_another_family_is_unknown(void **state)
{
    (void)state;
    char name[CLIENT_NAME_BYTES];
    struct sockaddr other = {.sa_family = AF_UNIX};
    struct client_address none = client_address_of(NULL);
    struct client_address unix_socket = client_address_of(&other);
    assert_true(client_address_equal(&none, &unix_socket));
    client_address_write(&none, name);
    assert_string_equal(name, "unknown");
}

static void ipv6_addresses_of_a_network_are_one_client(void **state)
{
    (void)state;
    struct client_address first = address_of("2001:db8::1");
    struct client_address same = address_of("2001:db8::ffff:ffff:ffff:ffff");
    struct client_address other = address_of("2001:db8:0:1::1");
    struct client_address mapped = address_of("::ffff:10.0.0.1");
    struct client_address ipv4 = address_of("10.0.0.1");
    struct client_address mapped_other = address_of("::ffff:10.0.0.2");
    assert_true(client_address_equal(&first, &same));
    assert_false(client_address_equal(&first, &other));
    assert_true(client_address_equal(&mapped, &ipv4));
    assert_false(client_address_equal(&mapped, &mapped_other));
}

static void token_identifies_its_client_whatever_the_address(void **state)
{
    (void)state;
    char name[CLIENT_NAME_BYTES];
    struct client_address first = address_of("10.0.0.1");
    struct client_address second = address_of("10.0.0.2");
    struct client clients[] = {
        {"shop", &first}, {"shop", &second}, {"shop2", &first}, {NULL, &first}};
    struct client_id ids[4];
    for (int i = 0; i < 4; i++)
        ids[i] = client_id_of(&clients[i]);
    assert_true(client_id_equal(&ids[0], &ids[1]));
    assert_false(client_id_equal(&ids[0], &ids[2]));
    assert_false(client_id_equal(&ids[0], &ids[3]));
    client_id_write(&ids[0], name);
    assert_string_equal(name, "token shop");
}

static void token_with_the_bytes_of_an_address_is_another_client(void **state)
{
    (void)state;
    struct client_address address = address_of("97.98.99.100"); /* "abcd" */
    struct client by_token = {"abcd", &address};
    struct client by_address = {NULL, &address};
    struct client_id ids[] = {client_id_of(&by_token), client_id_of(&by_address)};
    assert_false(client_id_equal(&ids[0], &ids[1]));
}

static void longest_name_of_a_token_is_written(void **state)
{
    (void)state;
    char token[TOKEN_NAME_BYTES_MAX + 1];
    char name[CLIENT_NAME_BYTES];
    struct client_address address = {0};
    memset(token, 'x', TOKEN_NAME_BYTES_MAX);
    token[TOKEN_NAME_BYTES_MAX] = '\0';
    struct client client = {token, &address};
    struct client_id id = client_id_of(&client);
    client_id_write(&id, name);
    assert_string_equal(name + strlen("token "), token);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(address_is_named),
        cmocka_unit_test(loopback_is_known),
        cmocka_unit_test(address_of_another_family_is_unknown),
        cmocka_unit_test(ipv6_addresses_of_a_network_are_one_client),
        cmocka_unit_test(token_identifies_its_client_whatever_the_address),
        cmocka_unit_test(token_with_the_bytes_of_an_address_is_another_client),
        cmocka_unit_test(longest_name_of_a_token_is_written),
    };
    return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
