/* SPDX-License-Identifier: Apache-2.0
 *
 * The headers of a WebSocket handshake, one per line: HTTP version, Upgrade, Connection,
 * Sec-WebSocket-Version, Sec-WebSocket-Key; a line that begins with '-' is absent. An accepted
 * handshake has an accept value of 28 characters of base64, a refused one a valid error message.
 */
#include "artemis-web/api/handshake.h"

#include <string.h>

#include "artemis-core/json/codec.h"
#include "tests/fuzz/support/fuzz.h"

enum { LINES = 5, LINE_BYTES = 512 };

static size_t take_line(const uint8_t *data, size_t size, char line[LINE_BYTES])
{
    const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
    size_t taken = end ? (size_t)(end - data) : size;
    size_t kept = taken < LINE_BYTES ? taken : LINE_BYTES - 1;
    if (kept)
        memcpy(line, data, kept);
    line[kept] = '\0';
    return end ? taken + 1 : taken;
}

static void check_error(enum error error, const char *message)
{
    struct text response = {0};
    assert(error == ERR_UPGRADE_REQUIRED || error == ERR_INVALID_FIELD);
    assert(message[0]);
    codec_write_error(&response, DIALECT_JAVA, error, message);
    fuzz_check_response(&response);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char lines[LINES][LINE_BYTES];
    const char *values[LINES];
    for (int i = 0; i < LINES; i++) {
        size_t taken = take_line(data, size, lines[i]);
        data += taken;
        size -= taken;
        values[i] = i > 0 && lines[i][0] == '-' ? NULL : lines[i];
    }
    struct handshake handshake = {.http_version = values[0],
                                  .upgrade = values[1],
                                  .connection = values[2],
                                  .version = values[3],
                                  .key = values[4]};
    char accept[WEBSOCKET_ACCEPT_BYTES];
    char message[MESSAGE_BYTES] = "";
    enum error error = handshake_check(&handshake, accept, message);
    if (error) {
        check_error(error, message);
        return 0;
    }
    assert(strlen(accept) == WEBSOCKET_ACCEPT_BYTES - 1);
    assert(strspn(accept, base64) == WEBSOCKET_ACCEPT_BYTES - 2 &&
           accept[WEBSOCKET_ACCEPT_BYTES - 2] == '=');
    assert(strlen(handshake.key) == 24);
    return 0;
}
