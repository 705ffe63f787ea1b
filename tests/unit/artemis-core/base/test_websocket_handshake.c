/* SPDX-License-Identifier: Apache-2.0
 *
 * Key, accept value and token lists of the WebSocket handshake, with the examples of RFC 6455.
 */
#include "artemis-core/base/websocket_handshake.h"

#include "tests/support/cmocka_all.h"

static void accept_matches_the_rfc(void **state)
{
    (void)state;
    char accept[WEBSOCKET_ACCEPT_BYTES];
    websocket_accept("dGhlIHNhbXBsZSBub25jZQ==", accept); /* section 1.3 */
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    websocket_accept("x3JJHMbDL1EzLkh9GBhXDw==", accept);
    assert_string_equal(accept, "HSmrc0sMlYUkAGmm5OPpG2HaGWk=");
}

static void key_is_the_nonce_in_base64(void **state)
{
    (void)state;
    char key[WEBSOCKET_KEY_BYTES];
    websocket_key_make((const uint8_t *)"the sample nonce", key);
    assert_string_equal(key, "dGhlIHNhbXBsZSBub25jZQ==");
    assert_true(websocket_key_is_valid(key));
}

static void key_of_other_than_16_bytes_is_invalid(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "",
        "=",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZTE=", /* 17 bytes */
        "dGhlIHNhbXBsZSBub25jZTEy", /* 18 bytes */
        "dGhlIHNhbXBsZSBub25j====", /* 15 bytes */
        "dGhlIHNhbXBsZSB*b25jZQ==",
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
        assert_false(websocket_key_is_valid(keys[i]));
}

static void list_has_token_in_any_case_and_place(void **state)
{
    (void)state;
    static const char *const lists[] = {
        "Upgrade",         "upgrade",      "keep-alive, Upgrade", "UPGRADE,keep-alive",
        "close,\tupgrade", " ,, upgrade ,"};
    for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
        assert_true(websocket_list_has(slice_of(lists[i]), "upgrade"));
}

static void list_without_the_whole_token_does_not_have_it(void **state)
{
    (void)state;
    static const char *const lists[] = {NULL,       "",           ",",       "upgrade2",
                                        "up grade", "keep-alive", "xupgrade"};
    for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
        assert_false(websocket_list_has(slice_of(lists[i]), "upgrade"));
}

/* The list is a slice: bytes behind its end are not read. */
static void list_ends_at_its_size(void **state)
{
    (void)state;
    assert_false(websocket_list_has((struct slice){"upgrade", 6}, "upgrade"));
    assert_true(websocket_list_has((struct slice){"upgradeX", 7}, "upgrade"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accept_matches_the_rfc),
        cmocka_unit_test(key_is_the_nonce_in_base64),
        cmocka_unit_test(key_of_other_than_16_bytes_is_invalid),
        cmocka_unit_test(list_has_token_in_any_case_and_place),
        cmocka_unit_test(list_without_the_whole_token_does_not_have_it),
        cmocka_unit_test(list_ends_at_its_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
