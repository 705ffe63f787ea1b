/* SPDX-License-Identifier: Apache-2.0
 *
 * The framing of RFC 6455, against the server on /ws: valid input gets its responses however it is
 * cut into frames and segments; invalid input closes its own connection, with the right code.
 */
#include "tests/support/client/calls.h"
#include "tests/support/client/websocket_client.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PING_MESSAGE "{\"type\":\"ping\"}"
#define RESPONSE     "{\"type\":\"pong\"}"

enum { MESSAGE_BYTES_MAX = 64 * 1024 };

static int start(void **state)
{
    return fixture_start(state, (const char *const[]){"--set", "ratelimit.enabled=false", NULL});
}

static void open_one(void **state, struct websocket_client *client)
{
    struct fixture *fixture = *state;
    websocket_client_open(client, fixture->server.port, "/ws");
}

/* Checks the numbers of responses and pongs, in any order: pongs may overtake responses. */
static void check_responses_and_pongs(struct websocket_client *client, int responses, int pongs)
{
    while (responses + pongs > 0) {
        assert_int_equal(websocket_client_receive(client, wait_deadline_ms()), GOT_FRAME);
        bool is_response = client->frame.opcode == OPCODE_TEXT;
        assert_true(is_response || client->frame.opcode == OPCODE_PONG);
        responses -= is_response;
        pongs -= !is_response;
        assert_true(responses >= 0 && pongs >= 0);
    }
}

static void check_responses(struct websocket_client *client)
{
    websocket_client_check_frame(client, OPCODE_TEXT, RESPONSE, strlen(RESPONSE));
}

/* Sends one frame on a new connection, which must be closed with this code. */
static void check_frame_is_refused(void **state, struct websocket_frame frame, int code)
{
    struct websocket_client client;
    open_one(state, &client);
    assert_true(websocket_client_send(&client, &frame));
    websocket_client_check_closed(&client, code);
    websocket_client_close(&client);
}

static void check_bytes_are_refused(void **state, const void *bytes, size_t size, int code)
{
    struct websocket_client client;
    open_one(state, &client);
    assert_true(raw_socket_send(&client.raw, bytes, size));
    websocket_client_check_closed(&client, code);
    websocket_client_close(&client);
}

/* --- pings ------------------------------------------------------------------------------------ */

static void ping_gets_a_pong_with_its_payload(void **state)
{
    static const size_t sizes[] = {0, 1, 2, 124, 125};
    struct websocket_client client;
    char payload[125];
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (char)(i * 7);
    open_one(state, &client);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        SEND(&client, .opcode = OPCODE_PING, .payload = payload, .size = sizes[i]);
        websocket_client_check_frame(&client, OPCODE_PONG, payload, sizes[i]);
    }
    websocket_client_close(&client);
}

static void ping_of_126_bytes_is_refused(void **state)
{
    char payload[126] = "";
    check_frame_is_refused(
        state,
        (struct websocket_frame){.opcode = OPCODE_PING, .payload = payload, .size = sizeof payload},
        1002);
}

static void unsolicited_pong_is_ignored(void **state)
{
    struct websocket_client client;
    open_one(state, &client);
    SEND(&client, .opcode = OPCODE_PONG);
    SEND(&client, .opcode = OPCODE_PONG, TEXT_OF("unasked"));
    SEND(&client, .opcode = OPCODE_TEXT, TEXT_OF(PING_MESSAGE));
    check_responses(&client);
    websocket_client_close(&client);
}

static void ten_pings_in_one_segment_get_pongs_in_order(void **state)
{
    struct websocket_client client;
    char *bytes = NULL;
    size_t size = 0;
    open_one(state, &client);
    for (char i = '0'; i <= '9'; i++)
        websocket_frame_append(
            &(struct websocket_frame){.opcode = OPCODE_PING, .payload = &i, .size = sizeof i},
            &bytes, &size);
    assert_true(raw_socket_send(&client.raw, bytes, size));
    for (char i = '0'; i <= '9'; i++)
        websocket_client_check_frame(&client, OPCODE_PONG, &i, 1);
    free(bytes);
    websocket_client_close(&client);
}

/* --- fragments -------------------------------------------------------------------------------- */

static void text_in_fragments_is_one_message(void **state)
{
    struct websocket_client client;
    open_one(state, &client);
    for (size_t piece = 1; piece <= strlen(PING_MESSAGE); piece++) {
        size_t at = 0;
        while (at < strlen(PING_MESSAGE)) {
            size_t left = strlen(PING_MESSAGE) - at;
            size_t size = left < piece ? left : piece;
            SEND(&client, .opcode = at ? OPCODE_CONTINUATION : OPCODE_TEXT, .more = size < left,
                 .payload = PING_MESSAGE + at, .size = size);
            at += size;
        }
        check_responses(&client);
    }
    websocket_client_close(&client);
}

static void empty_fragments_are_accepted(void **state)
{
    struct websocket_client client;
    open_one(state, &client);
    SEND(&client, .opcode = OPCODE_TEXT, .more = true);
    SEND(&client, .opcode = OPCODE_CONTINUATION, .more = true);
    SEND(&client, .opcode = OPCODE_CONTINUATION, .more = true, TEXT_OF(PING_MESSAGE));
    SEND(&client, .opcode = OPCODE_CONTINUATION);
    check_responses(&client);
    websocket_client_close(&client);
}

static void control_frames_between_fragments_get_responses_at_once(void **state)
{
    struct websocket_client client;
    open_one(state, &client);
    SEND(&client, .opcode = OPCODE_TEXT, .more = true, TEXT_OF("{\"type\":"));
    SEND(&client, .opcode = OPCODE_PING, TEXT_OF("between"));
    websocket_client_check_frame(&client, OPCODE_PONG, "between", 7);
    SEND(&client, .opcode = OPCODE_PONG);
    SEND(&client, .opcode = OPCODE_CONTINUATION, .more = true, TEXT_OF("\"pi"));
    SEND(&client, .opcode = OPCODE_PING);
    SEND(&client, .opcode = OPCODE_CONTINUATION, TEXT_OF("ng\"}"));
    check_responses_and_pongs(&client, 1, 1);
    websocket_client_close(&client);
}

static void close_between_fragments_gets_a_response(void **state)
{
    struct websocket_client client;
    open_one(state, &client);
    SEND(&client, .opcode = OPCODE_TEXT, .more = true, TEXT_OF("{"));
    SEND(&client, .opcode = OPCODE_CLOSE, TEXT_OF("\x03\xe8"));
    websocket_client_check_closed(&client, 1000);
    websocket_client_close(&client);
}

static void control_frame_in_fragments_is_refused(void **state)
{
    static const unsigned opcodes[] = {OPCODE_PING, OPCODE_PONG, OPCODE_CLOSE};
    for (size_t i = 0; i < sizeof opcodes / sizeof *opcodes; i++)
        check_frame_is_refused(state, (struct websocket_frame){.opcode = opcodes[i], .more = true},
                               1002);
}

static void continuation_without_a_start_is_refused(void **state)
{
    struct websocket_client client;
    check_frame_is_refused(
        state, (struct websocket_frame){.opcode = OPCODE_CONTINUATION, TEXT_OF(PING_MESSAGE)},
        1002);
    check_frame_is_refused(state,
                           (struct websocket_frame){
                               .opcode = OPCODE_CONTINUATION, .more = true, TEXT_OF(PING_MESSAGE)},
                           1002);
    open_one(state, &client); /* also after a complete message */
    SEND(&client, .opcode = OPCODE_TEXT, TEXT_OF(PING_MESSAGE));
    SEND(&client, .opcode = OPCODE_CONTINUATION, TEXT_OF(PING_MESSAGE));
    check_responses(&client);
    websocket_client_check_closed(&client, 1002);
    websocket_client_close(&client);
}

static void new_message_within_fragments_is_refused(void **state)
{
    static const unsigned opcodes[] = {OPCODE_TEXT, OPCODE_BINARY};
    for (size_t i = 0; i < sizeof opcodes / sizeof *opcodes; i++) {
        struct websocket_client client;
        open_one(state, &client);
        SEND(&client, .opcode = OPCODE_TEXT, .more = true, TEXT_OF("{"));
        SEND(&client, .opcode = opcodes[i], TEXT_OF(PING_MESSAGE));
        websocket_client_check_closed(&client, 1002);
        websocket_client_close(&client);
    }
}

/* --- headers of frames ------------------------------------------------------------------------ */

static void reserved_bits_are_refused(void **state)
{
    for (unsigned rsv = 1; rsv < 8; rsv++) {
        check_frame_is_refused(
            state,
            (struct websocket_frame){.opcode = OPCODE_TEXT, .rsv = rsv, TEXT_OF(PING_MESSAGE)},
            1002);
        check_frame_is_refused(state, (struct websocket_frame){.opcode = OPCODE_PING, .rsv = rsv},
                               1002);
    }
}

static void reserved_opcodes_are_refused(void **state)
{
    for (unsigned opcode = 0; opcode < 16; opcode++) {
        if (opcode <= OPCODE_BINARY || (opcode >= OPCODE_CLOSE && opcode <= OPCODE_PONG))
            continue;
        check_frame_is_refused(
            state, (struct websocket_frame){.opcode = opcode, TEXT_OF(PING_MESSAGE)}, 1002);
        check_frame_is_refused(state, (struct websocket_frame){.opcode = opcode}, 1002);
    }
}

static void frames_without_a_mask_are_refused(void **state)
{
    static const unsigned opcodes[] = {OPCODE_TEXT, OPCODE_PING, OPCODE_CLOSE, OPCODE_BINARY};
    for (size_t i = 0; i < sizeof opcodes / sizeof *opcodes; i++)
        check_frame_is_refused(
            state,
            (struct websocket_frame){.opcode = opcodes[i], .unmasked = true, TEXT_OF(PING_MESSAGE)},
            1002);
}

static void overlong_sizes_are_refused(void **state)
{
    check_bytes_are_refused(state, "\x81\xfe\x00\x7d", 4, 1002);
    check_bytes_are_refused(state, "\x81\xff\x00\x00\x00\x00\x00\x00\xff\xff", 10, 1002);
    check_bytes_are_refused(state, "\x81\xff\x80\x00\x00\x00\x00\x01\x00\x00", 10, 1002);
}

/* --- texts ------------------------------------------------------------------------------------ */

static void text_that_is_not_utf8_is_refused(void **state)
{
    static const char *const texts[] = {
        "\x80",             /* a continuation byte without a start */
        "\xc0\xaf",         /* overlong */
        "\xe0\x80\xaf",     /* overlong */
        "\xed\xa0\x80",     /* half of a surrogate pair */
        "\xf4\x90\x80\x80", /* beyond the last code point */
        "\xfe",             /* not in UTF-8 */
        "abc\xff",          /* not in UTF-8, later */
        "\xce",             /* incomplete */
        "\xe2\x82",         /* incomplete */
        "\xf0\x9f\x98",     /* incomplete */
        "{\"type\":\"\xc3\x28\"}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        check_frame_is_refused(state,
                               (struct websocket_frame){.opcode = OPCODE_TEXT,
                                                        .payload = texts[i],
                                                        .size = strlen(texts[i])},
                               1007);
}

static void invalid_utf8_across_fragments_is_refused(void **state)
{
    struct websocket_client client;
    open_one(state, &client);
    SEND(&client, .opcode = OPCODE_TEXT, .more = true, TEXT_OF("\xce"));
    SEND(&client, .opcode = OPCODE_CONTINUATION, TEXT_OF("a"));
    websocket_client_check_closed(&client, 1007);
    websocket_client_close(&client);
    open_one(state, &client);
    SEND(&client, .opcode = OPCODE_TEXT, .more = true, TEXT_OF("\xce"));
    SEND(&client, .opcode = OPCODE_CONTINUATION);
    websocket_client_check_closed(&client, 1007);
    websocket_client_close(&client);
}

static void character_across_fragments_is_accepted(void **state)
{
    struct websocket_client client;
    static const char text[] = "{\"type\":\"\xf0\x9f\x98\x80\"}";
    open_one(state, &client);
    for (size_t cut = 1; cut < strlen(text); cut++) {
        SEND(&client, .opcode = OPCODE_TEXT, .more = true, .payload = text, .size = cut);
        SEND(&client, .opcode = OPCODE_CONTINUATION, .payload = text + cut,
             .size = strlen(text) - cut);
        struct http_response *response = websocket_client_next(&client);
        check_json(response, "type", "'error'");
        check_contains(response, "message", "\xf0\x9f\x98\x80");
    }
    websocket_client_close(&client);
}

static void binary_is_refused(void **state)
{
    struct websocket_client client;
    check_frame_is_refused(
        state, (struct websocket_frame){.opcode = OPCODE_BINARY, TEXT_OF(PING_MESSAGE)}, 1003);
    check_frame_is_refused(state, (struct websocket_frame){.opcode = OPCODE_BINARY}, 1003);
    open_one(state, &client);
    SEND(&client, .opcode = OPCODE_BINARY, .more = true, TEXT_OF("\xff"));
    SEND(&client, .opcode = OPCODE_CONTINUATION, TEXT_OF("\xfe"));
    websocket_client_check_closed(&client, 1003);
    websocket_client_close(&client);
}

/* --- sizes ------------------------------------------------------------------------------------ */

/* A ping message, padded with blanks to this size. */
static char *long_ping(size_t size)
{
    char *text = malloc(size);
    assert_non_null(text);
    memset(text, ' ', size);
    memcpy(text + size - strlen(PING_MESSAGE), PING_MESSAGE, strlen(PING_MESSAGE));
    return text;
}

static void message_of_64_kib_is_accepted(void **state)
{
    static const size_t sizes[] = {125, 126, 127, 4095, 4096, 4097, 65535, MESSAGE_BYTES_MAX};
    struct websocket_client client;
    char *text = long_ping(MESSAGE_BYTES_MAX);
    open_one(state, &client);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        SEND(&client, .opcode = OPCODE_TEXT, .payload = text + MESSAGE_BYTES_MAX - sizes[i],
             .size = sizes[i]);
        check_responses(&client);
    }
    SEND(&client, .opcode = OPCODE_TEXT, .more = true, .payload = text, .size = 30000);
    SEND(&client, .opcode = OPCODE_CONTINUATION, .payload = text + 30000,
         .size = MESSAGE_BYTES_MAX - 30000);
    check_responses(&client);
    free(text);
    websocket_client_close(&client);
}

static void message_over_64_kib_is_refused(void **state)
{
    struct websocket_client client;
    char *text = long_ping(MESSAGE_BYTES_MAX + 1);
    check_frame_is_refused(state,
                           (struct websocket_frame){.opcode = OPCODE_TEXT,
                                                    .payload = text,
                                                    .size = MESSAGE_BYTES_MAX + 1},
                           1009);
    open_one(state, &client);
    SEND(&client, .opcode = OPCODE_TEXT, .more = true, .payload = text, .size = MESSAGE_BYTES_MAX);
    SEND(&client, .opcode = OPCODE_PING); /* is not part of the message */
    websocket_client_check_frame(&client, OPCODE_PONG, "", 0);
    SEND(&client, .opcode = OPCODE_CONTINUATION, .payload = text, .size = 1);
    websocket_client_check_closed(&client, 1009);
    websocket_client_close(&client);
    free(text);
    /* The size is known from the header. */
    check_bytes_are_refused(state, "\x81\xff\x00\x00\x01\x00\x00\x00\x00\x00\x01\x02\x03\x04\x05",
                            15, 1009);
    check_bytes_are_refused(state, "\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x01\x02\x03\x04\x05",
                            15, 1009);
}

/* --- segments --------------------------------------------------------------------------------- */

static void frames_sent_byte_by_byte_are_accepted(void **state)
{
    struct websocket_client client;
    char *bytes = NULL;
    size_t size = 0;
    char *text = long_ping(300);
    websocket_frame_append(&(struct websocket_frame){.opcode = OPCODE_TEXT, TEXT_OF(PING_MESSAGE)},
                           &bytes, &size);
    websocket_frame_append(&(struct websocket_frame){.opcode = OPCODE_PING, TEXT_OF("payload")},
                           &bytes, &size);
    websocket_frame_append(
        &(struct websocket_frame){
            .opcode = OPCODE_TEXT, .more = true, .payload = text, .size = 200},
        &bytes, &size);
    websocket_frame_append(&(struct websocket_frame){.opcode = OPCODE_CONTINUATION,
                                                     .payload = text + 200,
                                                     .size = 100},
                           &bytes, &size);
    open_one(state, &client);
    for (size_t i = 0; i < size; i++)
        assert_true(raw_socket_send(&client.raw, bytes + i, 1));
    check_responses_and_pongs(&client, 2, 1);
    free(text);
    free(bytes);
    websocket_client_close(&client);
}

/* The responses do not depend on where the input is cut. */
static void frames_cut_anywhere_get_the_same_responses(void **state)
{
    enum { FRAMES = 200 };
    struct websocket_client client;
    uint64_t seed = 20261121;
    char *bytes = NULL;
    size_t size = 0;
    char *text = long_ping(20000);
    for (int i = 0; i < FRAMES; i++) {
        size_t length = strlen(PING_MESSAGE) + (size_t)(i * 97) % 500 + (i % 50 == 0 ? 19000 : 0);
        websocket_frame_append(&(struct websocket_frame){.opcode = OPCODE_TEXT,
                                                         .payload = text + 20000 - length,
                                                         .size = length},
                               &bytes, &size);
        websocket_frame_append(
            &(struct websocket_frame){.opcode = OPCODE_PING, .payload = &i, .size = sizeof i},
            &bytes, &size);
    }
    open_one(state, &client);
    for (size_t at = 0; at < size;) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        size_t piece = (seed >> 33) % ((seed >> 60) ? 200 : 20000) + 1;
        piece = piece < size - at ? piece : size - at;
        assert_true(raw_socket_send(&client.raw, bytes + at, piece));
        at += piece;
    }
    check_responses_and_pongs(&client, FRAMES, FRAMES);
    websocket_client_check_quiet(&client);
    free(text);
    free(bytes);
    websocket_client_close(&client);
}

static void frames_sent_with_the_handshake_are_handled(void **state)
{
    struct fixture *fixture = *state;
    struct websocket_client client;
    char *bytes = NULL;
    size_t size = 0;
    for (int i = 0; i < 3; i++)
        websocket_frame_append(
            &(struct websocket_frame){.opcode = OPCODE_TEXT, TEXT_OF(PING_MESSAGE)}, &bytes, &size);
    for (size_t early = 1; early <= size; early += 11) {
        websocket_client_open_with(&client, fixture->server.port, "/ws", bytes, early);
        if (early < size)
            assert_true(raw_socket_send(&client.raw, bytes + early, size - early));
        for (int i = 0; i < 3; i++)
            check_responses(&client);
        websocket_client_close(&client);
    }
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ping_gets_a_pong_with_its_payload),
        cmocka_unit_test(ping_of_126_bytes_is_refused),
        cmocka_unit_test(unsolicited_pong_is_ignored),
        cmocka_unit_test(ten_pings_in_one_segment_get_pongs_in_order),
        cmocka_unit_test(text_in_fragments_is_one_message),
        cmocka_unit_test(empty_fragments_are_accepted),
        cmocka_unit_test(control_frames_between_fragments_get_responses_at_once),
        cmocka_unit_test(close_between_fragments_gets_a_response),
        cmocka_unit_test(control_frame_in_fragments_is_refused),
        cmocka_unit_test(continuation_without_a_start_is_refused),
        cmocka_unit_test(new_message_within_fragments_is_refused),
        cmocka_unit_test(reserved_bits_are_refused),
        cmocka_unit_test(reserved_opcodes_are_refused),
        cmocka_unit_test(frames_without_a_mask_are_refused),
        cmocka_unit_test(overlong_sizes_are_refused),
        cmocka_unit_test(text_that_is_not_utf8_is_refused),
        cmocka_unit_test(invalid_utf8_across_fragments_is_refused),
        cmocka_unit_test(character_across_fragments_is_accepted),
        cmocka_unit_test(binary_is_refused),
        cmocka_unit_test(message_of_64_kib_is_accepted),
        cmocka_unit_test(message_over_64_kib_is_refused),
        cmocka_unit_test(frames_sent_byte_by_byte_are_accepted),
        cmocka_unit_test(frames_cut_anywhere_get_the_same_responses),
        cmocka_unit_test(frames_sent_with_the_handshake_are_handled),
    };
    return server_process_finish(cmocka_run_group_tests(tests, start, fixture_stop));
}
