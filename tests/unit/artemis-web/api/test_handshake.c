/* SPDX-License-Identifier: Apache-2.0
 *
 * The check of a WebSocket handshake: each header valid, invalid and absent.
 */
#include "artemis-web/api/handshake.h"

#include <string.h>

#include "tests/support/cmocka_all.h"

static const struct handshake good = {
    .http_version = "HTTP/1.1",
    .upgrade = "websocket",
    .connection = "Upgrade",
    .version = "13",
    .key = "dGhlIHNhbXBsZSBub25jZQ==",
};

static void check_accepted(struct handshake handshake, const char *expected)
{
    char accept[WEBSOCKET_ACCEPT_BYTES] = "";
    char message[MESSAGE_BYTES] = "";
    assert_int_equal(handshake_check(&handshake, accept, message), ERR_NONE);
    assert_string_equal(accept, expected);
    assert_string_equal(message, "");
}

static void check_refused(struct handshake handshake, enum error error, const char *expected)
{
    char accept[WEBSOCKET_ACCEPT_BYTES] = "untouched";
    char message[MESSAGE_BYTES] = "";
    assert_int_equal(handshake_check(&handshake, accept, message), error);
    assert_string_equal(message, expected);
    assert_string_equal(accept, "untouched");
}

static void accept_is_that_of_the_rfc(void **state)
{
    (void)state;
    struct handshake handshake = good;
    check_accepted(handshake, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="); /* RFC 6455, 1.3 */
    handshake.key = "x3JJHMbDL1EzLkh9GBhXDw==";
    check_accepted(handshake, "HSmrc0sMlYUkAGmm5OPpG2HaGWk="); /* one that is often quoted */
}

static void tokens_are_found_in_lists_without_regard_to_case(void **state)
{
    (void)state;
    static const char *const upgrades[] = {"WebSocket",        "WEBSOCKET",    "h2c, websocket",
                                           "h2c,websocket",    " websocket ",  ",,websocket,,",
                                           "websocket\t, h2c", "a b websocket"};
    static const char *const connections[] = {"upgrade", "keep-alive, Upgrade",
                                              "Upgrade,keep-alive", "close,\tUPGRADE"};
    for (size_t i = 0; i < sizeof(upgrades) / sizeof(*upgrades); i++) {
        struct handshake handshake = good;
        handshake.upgrade = upgrades[i];
        check_accepted(handshake, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
    for (size_t i = 0; i < sizeof(connections) / sizeof(*connections); i++) {
        struct handshake handshake = good;
        handshake.connection = connections[i];
        check_accepted(handshake, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}

static void upgrade_must_name_websocket(void **state)
{
    (void)state;
    static const struct {
        const char *value, *message;
    } cases[] = {
        {NULL, "Upgrade: this path speaks WebSocket; must be websocket, is missing"},
        {"", "Upgrade: this path speaks WebSocket; must be websocket, is \"\""},
        {"h2c", "Upgrade: this path speaks WebSocket; must be websocket, is \"h2c\""},
        {"websocket2", "Upgrade: this path speaks WebSocket; must be websocket, is \"websocket2\""},
        {"web socket", "Upgrade: this path speaks WebSocket; must be websocket, is \"web socket\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct handshake handshake = good;
        handshake.upgrade = cases[i].value;
        check_refused(handshake, ERR_UPGRADE_REQUIRED, cases[i].message);
    }
}

static void connection_must_have_upgrade(void **state)
{
    (void)state;
    struct handshake handshake = good;
    handshake.connection = NULL;
    check_refused(handshake, ERR_INVALID_FIELD, "Connection: must have Upgrade, is missing");
    handshake.connection = "keep-alive";
    check_refused(handshake, ERR_INVALID_FIELD, "Connection: must have Upgrade, is \"keep-alive\"");
}

static void http_must_be_1_1(void **state)
{
    (void)state;
    struct handshake handshake = good;
    handshake.http_version = "HTTP/1.0";
    check_refused(handshake, ERR_INVALID_FIELD,
                  "request: a WebSocket needs HTTP/1.1, is \"HTTP/1.0\"");
}

static void version_must_be_13(void **state)
{
    (void)state;
    static const struct {
        const char *value, *message;
    } cases[] = {
        {NULL, "Sec-WebSocket-Version: must be 13, is missing"},
        {"", "Sec-WebSocket-Version: must be 13, is \"\""},
        {"8", "Sec-WebSocket-Version: must be 13, is \"8\""},
        {"13, 8", "Sec-WebSocket-Version: must be 13, is \"13, 8\""},
        {"130", "Sec-WebSocket-Version: must be 13, is \"130\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct handshake handshake = good;
        handshake.version = cases[i].value;
        check_refused(handshake, ERR_UPGRADE_REQUIRED, cases[i].message);
    }
}

static void key_must_be_16_bytes_in_base64(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "",
        "=",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZTE=", /* 17 bytes */
        "dGhlIHNhbXBsZSBub25jZTEy", /* 18 bytes */
        "dGhlIHNhbXBsZSBub25j====", /* 15 bytes */
        "dGhlIHNhbXBsZSB*b25jZQ==", /* not base64 */
        "========================",
        "dGhlIHNhbXBsZSBub25jZQ==A", /* more than there is */
        "\xc3\xa4hlIHNhbXBsZSBub25jZQ==",
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        struct handshake handshake = good;
        char accept[WEBSOCKET_ACCEPT_BYTES];
        char message[MESSAGE_BYTES] = "";
        handshake.key = keys[i];
        assert_int_equal(handshake_check(&handshake, accept, message), ERR_INVALID_FIELD);
        assert_non_null(strstr(message, "Sec-WebSocket-Key: must be 16 bytes in base64, is \""));
    }
    struct handshake handshake = good;
    handshake.key = NULL;
    check_refused(handshake, ERR_INVALID_FIELD,
                  "Sec-WebSocket-Key: must be 16 bytes in base64, is missing");
}

static void long_values_are_cut_in_the_message(void **state)
{
    (void)state;
    static char value[16 * 1024];
    struct handshake handshake = good;
    char accept[WEBSOCKET_ACCEPT_BYTES];
    char message[MESSAGE_BYTES];
    memset(value, 'x', sizeof(value) - 1);
    handshake.upgrade = value;
    assert_int_equal(handshake_check(&handshake, accept, message), ERR_UPGRADE_REQUIRED);
    assert_true(strlen(message) < 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accept_is_that_of_the_rfc),
        cmocka_unit_test(tokens_are_found_in_lists_without_regard_to_case),
        cmocka_unit_test(upgrade_must_name_websocket),
        cmocka_unit_test(connection_must_have_upgrade),
        cmocka_unit_test(http_must_be_1_1),
        cmocka_unit_test(version_must_be_13),
        cmocka_unit_test(key_must_be_16_bytes_in_base64),
        cmocka_unit_test(long_values_are_cut_in_the_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
