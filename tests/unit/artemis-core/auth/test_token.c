/* SPDX-License-Identifier: Apache-2.0
 *
 * Proves of roles, patterns, secrets, the Authorization field and times of expiry.
 */
#include "artemis-core/auth/token.h"

#include <string.h>

#include "artemis-core/base/sha256.h"
#include "tests/support/cmocka_all.h"

static void roles_include_each_other_but_for_peer(void **state)
{
    (void)state;
    static const char *const expected[] = {
        /* need: none, read, write, operator, admin, peer, peer or operator */
        [ROLE_READ] = "1100000",  [ROLE_WRITE] = "1110000", [ROLE_OPERATOR] = "1111001",
        [ROLE_ADMIN] = "1111101", [ROLE_PEER] = "1000011",
    };
    for (enum auth_role have = ROLE_READ; have <= ROLE_PEER; have++)
        for (enum auth_role need = ROLE_NONE; need < ROLE_COUNT; need++)
            assert_int_equal(auth_role_allows(have, need), expected[have][need] == '1');
}

static void pattern_matches(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *id;
        bool matches;
    } rows[] = {
        {"shop", "shop", true},
        {"shop", "shop2", false},
        {"shop", "sho", false},
        {"shop-*", "shop-", true},
        {"shop-*", "shop-cart", true},
        {"shop-*", "shop", false},
        {"*", "anything", true},
        {"*", "", true},
        {"", "", true},
        {"", "a", false},
        {"*-web", "a-b-web", true},
        {"*-web", "a-web-b", false},
        {"a*b*c", "abc", true},
        {"a*b*c", "axxbyyc", true},
        {"a*b*c", "acb", false},
        {"**", "x", true},
        {"a**", "a", true},
        {"*a*a*b", "aaaaaaaab", true},
        {"*a*a*b", "aaaaaaaac", false},
        {"a?c", "abc", false},
        {"[a]", "a", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (token_pattern_matches(slice_of(rows[i].pattern), slice_of(rows[i].id)) !=
            rows[i].matches)
            fail_msg("%s, %s", rows[i].pattern, rows[i].id);
}

static void new_secret_is_a_secret(void **state)
{
    (void)state;
    uint8_t random[TOKEN_RANDOM_BYTES];
    char secret[TOKEN_SECRET_BYTES];
    char other[TOKEN_SECRET_BYTES];
    memset(random, 0xff, sizeof(random));
    token_secret_write(random, secret);
    assert_int_equal(strlen(secret), TOKEN_SECRET_BYTES - 1);
    assert_true(token_secret_is_valid(slice_of(secret)));
    assert_memory_equal(secret, "artemis_", 8);
    random[TOKEN_RANDOM_BYTES - 1] = 0; /* the last byte counts */
    token_secret_write(random, other);
    assert_string_not_equal(secret, other);
}

static void authorization_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        enum bearer_result result;
        const char *secret;
    } rows[] = {
        {"Bearer artemis_0123456789abcdef", BEARER_FOUND, "artemis_0123456789abcdef"},
        {"bearer artemis_0123456789abcdef", BEARER_FOUND, "artemis_0123456789abcdef"},
        {"BEARER   artemis_0123456789abcdef", BEARER_FOUND, "artemis_0123456789abcdef"},
        {"Bearer", BEARER_OTHER_SCHEME, NULL},
        {"", BEARER_OTHER_SCHEME, NULL},
        {"Basic artemis_0123456789abcdef", BEARER_OTHER_SCHEME, NULL},
        {"Bearerartemis_0123456789abcdef", BEARER_OTHER_SCHEME, NULL},
        {"artemis_0123456789abcdef", BEARER_OTHER_SCHEME, NULL},
        {"Bearer ", BEARER_INVALID, NULL},
        {"Bearer short", BEARER_INVALID, NULL},
        {"Bearer artemis_0123456789abcdef ", BEARER_INVALID, NULL},
        {"Bearer artemis_0123456789 abcdef", BEARER_INVALID, NULL},
        {"Bearer artemis_0123456789abcdef, Bearer b", BEARER_INVALID, NULL},
        {"Bearer artemis_0123456789abcd\xc3\xa9", BEARER_INVALID, NULL},
        {"Bearer artemis_0123456789\tabcdef", BEARER_INVALID, NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct slice secret = {0};
        if (bearer_read(slice_of(rows[i].value), &secret) != rows[i].result)
            fail_msg("%s", rows[i].value);
        if (rows[i].secret)
            assert_true(slice_equal(secret, slice_of(rows[i].secret)));
        else
            assert_null(secret.data);
    }
}

static void secret_has_a_length_limit(void **state)
{
    (void)state;
    char secret[TOKEN_SECRET_BYTES_MAX + 1];
    memset(secret, 'a', sizeof(secret));
    assert_true(token_secret_is_valid((struct slice){secret, TOKEN_SECRET_BYTES_MAX}));
    assert_false(token_secret_is_valid((struct slice){secret, TOKEN_SECRET_BYTES_MAX + 1}));
    assert_true(token_secret_is_valid((struct slice){secret, TOKEN_SECRET_BYTES_MIN}));
    assert_false(token_secret_is_valid((struct slice){secret, TOKEN_SECRET_BYTES_MIN - 1}));
    secret[5] = '\0';
    assert_false(token_secret_is_valid((struct slice){secret, TOKEN_SECRET_BYTES_MIN}));
}

static void expiry_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t secs; /* 0: invalid */
    } rows[] = {
        {"1970-01-01", 86400},
        {"1970-01-01T00:00:01Z", 1},
        {"2000-02-29T12:00:00Z", 951825600},
        {"2027-01-31", 1801440000},
        {"2027-01-31T23:59:59Z", 1801439999},
        {"2024-12-31", 1735689600},
        {"2027-02-29", 0},
        {"2027-13-01", 0},
        {"2027-00-01", 0},
        {"2027-01-00", 0},
        {"2027-01-32", 0},
        {"1969-12-31", 0},
        {"2027-1-1", 0},
        {"2027-01-31T24:00:00Z", 0},
        {"2027-01-31T12:00:00", 0},
        {"2027-01-31T12:00:00+01:00", 0},
        {"2027-01-31 12:00:00Z", 0},
        {"+027-01-31", 0},
        {"never", 0},
        {"", 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t wall_ms = 0;
        bool valid = token_expiry_read(slice_of(rows[i].text), &wall_ms);
        if (valid != (rows[i].secs != 0) || wall_ms != rows[i].secs * 1000)
            fail_msg("%s: %llu", rows[i].text, (unsigned long long)wall_ms);
    }
}

static void digest_is_that_of_sha256sum(void **state)
{
    (void)state;
    char hex[SHA256_HEX_BYTES];
    struct sha256 digest = sha256_of(SLICE("abc"));
    struct sha256 read;
    sha256_write_hex(&digest, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_true(sha256_read_hex(slice_of(hex), &read));
    assert_true(sha256_equal(&digest, &read));
    hex[0] = 'B';
    assert_true(sha256_read_hex(slice_of(hex), &read));
    assert_true(sha256_equal(&digest, &read));
    hex[63] = 'e';
    assert_true(sha256_read_hex(slice_of(hex), &read));
    assert_false(sha256_equal(&digest, &read));
    hex[10] = ' ';
    assert_false(sha256_read_hex(slice_of(hex), &read));
    assert_false(sha256_read_hex(SLICE(""), &read));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roles_include_each_other_but_for_peer),
        cmocka_unit_test(pattern_matches),
        cmocka_unit_test(new_secret_is_a_secret),
        cmocka_unit_test(authorization_is_read),
        cmocka_unit_test(secret_has_a_length_limit),
        cmocka_unit_test(expiry_is_read),
        cmocka_unit_test(digest_is_that_of_sha256sum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
