/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/client/websocket_client.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/quoted_json.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FIN = 0x80,
    MASKED = 0x80,
    SMALL_MAX = 125,
    SIZE_OF_16_BITS = 126,
    SIZE_OF_64_BITS = 127,
    MASK_BYTES = 4,
    HEADER_BYTES_MAX = 14,
};

/* The accept value of RFC 6455, section 1.3, for the key of HANDSHAKE_FIELDS. */
static const char accepted[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
static const unsigned char mask[MASK_BYTES] = {0x37, 0xfa, 0x21, 0x3d};

__attribute__((format(printf, 3, 4))) static void fail_with(const char *file, int line,
                                                            const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *message = NULL;
    if (vasprintf(&message, format, args) < 0)
        message = NULL;
    va_end(args);
    print_error("%s:%d: %s\n", file, line, message);
    free(message);
    _fail(file, line);
}

/* --- opening ---------------------------------------------------------------------------------- */

static void make_handshake(struct websocket_client *client, const char *path, const void *early,
                           size_t early_size)
{
    char *request = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&request, &size);
    assert_non_null(stream);
    fprintf(stream, "GET %s HTTP/1.1\r\nHost: a\r\n" HANDSHAKE_FIELDS "\r\n", path);
    if (early_size)
        fwrite(early, 1, early_size, stream);
    fclose(stream);
    assert_true(raw_socket_send(&client->raw, request, size));
    free(request);
    assert_int_equal(raw_socket_read(&client->raw, wait_deadline_ms()), RAW_RESPONSE);
    check_http(&client->raw.response, 101);
    check_field(&client->raw.response, "Upgrade", "websocket");
    check_field(&client->raw.response, "Connection", "Upgrade");
    check_field(&client->raw.response, "Sec-WebSocket-Accept", accepted);
}

void websocket_client_open(struct websocket_client *client, uint16_t port, const char *path)
{
    websocket_client_open_with(client, port, path, NULL, 0);
}

void websocket_client_open_with(struct websocket_client *client, uint16_t port, const char *path,
                                const void *early, size_t early_size)
{
    *client = (struct websocket_client){0};
    raw_socket_open(&client->raw, port);
    make_handshake(client, path, early, early_size);
}

void websocket_client_open_small(struct websocket_client *client, int receive_bytes, uint16_t port,
                                 const char *path)
{
    *client = (struct websocket_client){0};
    raw_socket_open_small(&client->raw, receive_bytes, port);
    make_handshake(client, path, NULL, 0);
}

void websocket_client_adopt(struct websocket_client *client, int fd)
{
    *client = (struct websocket_client){.raw.fd = fd};
}

static void drop_frame(struct websocket_client *client)
{
    free((void *)(uintptr_t)client->frame.payload);
    client->frame = (struct websocket_frame){0};
}

void websocket_client_close(struct websocket_client *client)
{
    drop_frame(client);
    http_response_clear(&client->message);
    raw_socket_close(&client->raw);
}

/* --- saying ----------------------------------------------------------------------------------- */

static size_t write_header(const struct websocket_frame *frame, unsigned char *out)
{
    size_t wide = frame->size <= SMALL_MAX ? 0 : frame->size <= UINT16_MAX ? 2 : 8;
    size_t at = 0;
    out[at++] = (unsigned char)((frame->more ? 0 : FIN) | frame->rsv << 4 | frame->opcode);
    out[at] = (unsigned char)(wide == 0   ? frame->size
                              : wide == 2 ? SIZE_OF_16_BITS
                                          : SIZE_OF_64_BITS);
    out[at++] |= frame->unmasked ? 0 : MASKED;
    while (wide-- > 0)
        out[at++] = (unsigned char)(frame->size >> (8 * wide));
    if (!frame->unmasked) {
        memcpy(out + at, mask, MASK_BYTES);
        at += MASK_BYTES;
    }
    return at;
}

void websocket_frame_append(const struct websocket_frame *frame, char **bytes, size_t *size)
{
    *bytes = realloc(*bytes, *size + HEADER_BYTES_MAX + frame->size);
    assert_non_null(*bytes);
    *size += write_header(frame, (unsigned char *)*bytes + *size);
    const unsigned char *payload = frame->payload;
    for (size_t i = 0; i < frame->size; i++)
        (*bytes)[*size + i] = (char)(payload[i] ^ (frame->unmasked ? 0 : mask[i % MASK_BYTES]));
    *size += frame->size;
}

bool websocket_client_send(struct websocket_client *client, const struct websocket_frame *frame)
{
    char *bytes = NULL;
    size_t size = 0;
    websocket_frame_append(frame, &bytes, &size);
    bool sent = raw_socket_send(&client->raw, bytes, size);
    free(bytes);
    return sent;
}

void websocket_client_send_json(struct websocket_client *client, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = quoted_text_args(format, args);
    va_end(args);
    struct websocket_frame frame = {.opcode = OPCODE_TEXT, .payload = text, .size = strlen(text)};
    bool sent = websocket_client_send(client, &frame);
    free(text);
    assert_true(sent);
}

/* --- receiving -------------------------------------------------------------------------------- */

/* Takes the frame at the start of the bytes; false when it is incomplete. */
static bool take_frame(struct websocket_client *client)
{
    struct raw_socket *raw = &client->raw;
    const unsigned char *bytes = (const unsigned char *)raw->bytes;
    if (raw->size < 2)
        return false;
    uint64_t size = bytes[1] & 0x7f;
    size_t wide = size == SIZE_OF_16_BITS ? 2 : size == SIZE_OF_64_BITS ? 8 : 0;
    if (raw->size < 2 + wide)
        return false;
    if (wide > 0)
        size = 0;
    for (size_t i = 0; i < wide; i++)
        size = size << 8 | bytes[2 + i];
    /* This server sends messages of one frame, unmasked, with the shortest encoding of the size. */
    assert_int_equal(bytes[0] & 0xf0, FIN);
    assert_int_equal(bytes[1] & MASKED, 0);
    assert_true(wide == 0 || (wide == 2 ? size > SMALL_MAX : size > UINT16_MAX));
    if (raw->size - 2 - wide < size)
        return false;
    char *payload = malloc(size + 1);
    assert_non_null(payload);
    memcpy(payload, bytes + 2 + wide, size);
    payload[size] = '\0';
    client->frame =
        (struct websocket_frame){.opcode = bytes[0] & 0xf, .payload = payload, .size = size};
    raw_socket_take(raw, 2 + wide + size);
    return true;
}

enum websocket_event websocket_client_receive(struct websocket_client *client, int64_t deadline_ms)
{
    drop_frame(client);
    while (!take_frame(client)) {
        if (client->raw.ended) {
            assert_int_equal(client->raw.size, 0);
            return GOT_END;
        }
        if (!raw_socket_read_more(&client->raw, deadline_ms))
            return GOT_NOTHING;
    }
    return GOT_FRAME;
}

/* --- checking --------------------------------------------------------------------------------- */

static unsigned close_code(const struct websocket_frame *frame)
{
    const unsigned char *bytes = frame->payload;
    return frame->size >= 2 ? (unsigned)bytes[0] << 8 | bytes[1] : 0;
}

static void expect_opcode(struct websocket_client *client, unsigned opcode, const char *file,
                          int line)
{
    enum websocket_event event = websocket_client_receive(client, wait_deadline_ms());
    const struct websocket_frame *frame = &client->frame;
    if (event != GOT_FRAME)
        fail_with(file, line, "expected a frame with opcode %u, got %s", opcode,
                  event == GOT_END ? "the end" : "nothing");
    if (frame->opcode == opcode)
        return;
    if (frame->opcode == OPCODE_CLOSE)
        fail_with(file, line, "expected a frame with opcode %u, got a close: %u %s", opcode,
                  close_code(frame), frame->size > 2 ? (const char *)frame->payload + 2 : "");
    fail_with(file, line, "expected a frame with opcode %u, got %u: %.1000s", opcode, frame->opcode,
              (const char *)frame->payload);
}

struct http_response *websocket_client_next_at(struct websocket_client *client, const char *file,
                                               int line)
{
    expect_opcode(client, OPCODE_TEXT, file, line);
    http_response_clear(&client->message);
    client->message = (struct http_response){
        .status = 101,
        .body = strdup(client->frame.payload),
        .body_size = client->frame.size,
        .json = json_loadb(client->frame.payload, client->frame.size, JSON_REJECT_DUPLICATES, NULL),
    };
    if (!client->message.json)
        fail_with(file, line, "a message is not JSON: %.1000s", client->message.body);
    return &client->message;
}

void websocket_client_check_frame_at(struct websocket_client *client, unsigned opcode,
                                     const void *payload, size_t size, const char *file, int line)
{
    expect_opcode(client, opcode, file, line);
    if (client->frame.size != size || (size && memcmp(client->frame.payload, payload, size) != 0))
        fail_with(file, line, "the frame of opcode %u has %zu bytes, not these %zu", opcode,
                  client->frame.size, size);
}

void websocket_client_check_closed_at(struct websocket_client *client, int code, const char *file,
                                      int line)
{
    expect_opcode(client, OPCODE_CLOSE, file, line);
    unsigned found = close_code(&client->frame);
    if (found != (unsigned)code)
        fail_with(file, line, "the close has code %u instead of %d", found, code);
    enum websocket_event event = websocket_client_receive(client, wait_deadline_ms());
    if (event != GOT_END)
        fail_with(file, line, "after the close there is %s instead of the end",
                  event == GOT_FRAME ? "a frame" : "nothing");
}

/* The pong may precede changes that were made before the ping; a second pong follows them. */
void websocket_client_check_quiet_at(struct websocket_client *client, const char *file, int line)
{
    for (int i = 0; i < 2; i++) {
        assert_true(
            websocket_client_send(client, &(struct websocket_frame){.opcode = OPCODE_PING}));
        websocket_client_check_frame_at(client, OPCODE_PONG, "", 0, file, line);
    }
}
