/* SPDX-License-Identifier: Apache-2.0
 *
 * The WebSocket opening handshake: the example of RFC 6455, section 1.3, and invalid responses.
 */
#include "libartemis/wire/handshake.h"

#include "tests/support/cmocka_all.h"

#include <string.h>

#define KEY    "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define HEAD   "HTTP/1.1 101 Switching Protocols\r\n"
#define FIELDS "Upgrade: websocket\r\nConnection: Upgrade\r\n"

static enum handshake_result read_text(const char *text, struct handshake_response *response)
{
    return handshake_read((struct slice){text, strlen(text)}, KEY, response);
}

static void keys_have_16_bytes_and_differ(void **state)
{
    (void)state;
    char keys[2][WEBSOCKET_KEY_BYTES];
    handshake_make_key(keys[0]);
    handshake_make_key(keys[1]);
    assert_int_equal(strlen(keys[0]), 24);
    assert_string_not_equal(keys[0], keys[1]);
}

static void request_has_host_path_and_key(void **state)
{
    (void)state;
    struct text out = {0};
    handshake_write(&out, "http://10.0.0.7:8080/behind", "/ws", KEY, "Bearer x");
    const char *text = text_string(&out);
    assert_ptr_equal(strstr(text, "GET /behind/ws HTTP/1.1\r\nHost: 10.0.0.7:8080\r\n"), text);
    assert_non_null(strstr(text, "\r\nSec-WebSocket-Key: " KEY "\r\n"));
    assert_non_null(strstr(text, "\r\nAuthorization: Bearer x\r\n"));
    assert_string_equal(text + out.size - 4, "\r\n\r\n");
    text_clear(&out);
    handshake_write(&out, "http://a", "/ws", KEY, NULL);
    assert_ptr_equal(strstr(text_string(&out), "GET /ws HTTP/1.1\r\nHost: a\r\n"), out.data);
    assert_null(strstr(text_string(&out), "Authorization"));
    text_free(&out);
}

static void valid_response_opens_and_marks_the_first_frame(void **state)
{
    (void)state;
    static const char whole[] = HEAD "upgrade: WebSocket\r\nConnection: keep-alive, upgrade\r\n"
                                     "SEC-WEBSOCKET-ACCEPT:  " ACCEPT " \r\n\r\n";
    struct handshake_response response;
    for (size_t size = 0; size < sizeof whole - 1; size++)
        assert_int_equal(handshake_read((struct slice){whole, size}, KEY, &response),
                         HANDSHAKE_INCOMPLETE);
    assert_int_equal(read_text(whole, &response), HANDSHAKE_OPEN);
    assert_int_equal(response.size_bytes, sizeof whole - 1);
    assert_int_equal(response.status, 101);
}

static void invalid_responses_do_not_open(void **state)
{
    (void)state;
    static const char *const responses[] = {
        HEAD FIELDS "\r\n",
        HEAD FIELDS "Sec-WebSocket-Accept: xxxx\r\n\r\n",
        HEAD "Connection: Upgrade\r\nSec-WebSocket-Accept: " ACCEPT "\r\n\r\n",
        HEAD "Upgrade: websocket\r\nSec-WebSocket-Accept: " ACCEPT "\r\n\r\n",
        HEAD "Upgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " ACCEPT "\r\n\r\n",
        HEAD FIELDS "Sec-WebSocket-Accept: " ACCEPT "\r\nSec-WebSocket-Protocol: x\r\n\r\n",
        HEAD FIELDS "Sec-WebSocket-Accept: " ACCEPT "\r\nSec-WebSocket-Extensions: x\r\n\r\n",
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 x01\r\n\r\n",
        "\r\n\r\n",
    };
    struct handshake_response response;
    for (size_t i = 0; i < sizeof responses / sizeof *responses; i++)
        assert_int_equal(read_text(responses[i], &response), HANDSHAKE_INVALID);
}

static void rejection_has_status_and_retry_after(void **state)
{
    (void)state;
    struct handshake_response response;
    assert_int_equal(read_text("HTTP/1.1 404 Not Found\r\n\r\n", &response), HANDSHAKE_REFUSED);
    assert_int_equal(response.status, 404);
    assert_int_equal(response.retry_after_ms, 0);
    assert_int_equal(read_text("HTTP/1.1 503 x\r\nRetry-After: 7\r\n\r\n", &response),
                     HANDSHAKE_REFUSED);
    assert_int_equal(response.status, 503);
    assert_int_equal(response.retry_after_ms, 7000);
    assert_int_equal(read_text("HTTP/1.1 503 x\r\nRetry-After: -5\r\n\r\n", &response),
                     HANDSHAKE_REFUSED);
    assert_int_equal(response.retry_after_ms, 0);
}

static void endless_response_is_invalid(void **state)
{
    (void)state;
    static char endless[HANDSHAKE_RESPONSE_MAX];
    struct handshake_response response;
    memset(endless, 'x', sizeof endless);
    assert_int_equal(handshake_read((struct slice){endless, sizeof endless - 1}, KEY, &response),
                     HANDSHAKE_INCOMPLETE);
    assert_int_equal(handshake_read((struct slice){endless, sizeof endless}, KEY, &response),
                     HANDSHAKE_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_have_16_bytes_and_differ),
        cmocka_unit_test(request_has_host_path_and_key),
        cmocka_unit_test(valid_response_opens_and_marks_the_first_frame),
        cmocka_unit_test(invalid_responses_do_not_open),
        cmocka_unit_test(rejection_has_status_and_retry_after),
        cmocka_unit_test(endless_response_is_invalid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
