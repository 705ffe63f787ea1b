/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames of a server, well-formed or not, in any amount: messages arrive whole, and no amount of
 * bytes, fragments or pings takes more than the limits in memory or in one turn.
 */
#include "libartemis/wire/push_frames.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

enum { MEMORY_MAX = 2 * PUSH_MESSAGE_BYTES_MAX + 1024 * 1024 };

struct fixture {
    struct push_frames *frames;
    const char *head; /* is received once */
    size_t head_size;
    const char *part; /* is received again and again after that; NULL: nothing */
    size_t part_size, part_at;
    size_t received; /* bytes */
    bool blocks_writes;
    size_t transmitted; /* bytes */
    size_t messages, message_bytes;
    char first[64]; /* of the last message */
};

static uint64_t test_now_ms;
static uint64_t ms_per_read; /* the clock advances with each read of the clock */

static uint64_t read_clock(void)
{
    return test_now_ms += ms_per_read;
}

static uint64_t no_random(void)
{
    return 0;
}

static ssize_t receive(void *context, uint8_t *to, size_t size)
{
    struct fixture *fixture = context;
    size_t got = 0;
    for (; got < size && fixture->head_size > 0; got++, fixture->head_size--)
        to[got] = (uint8_t)*fixture->head++;
    for (; got < size && fixture->part; got++) {
        to[got] = (uint8_t)fixture->part[fixture->part_at];
        fixture->part_at = (fixture->part_at + 1) % fixture->part_size;
    }
    fixture->received += got;
    return (ssize_t)got;
}

static ssize_t transmit(void *context, const uint8_t *from, size_t size)
{
    struct fixture *fixture = context;
    (void)from;
    if (fixture->blocks_writes)
        return 0;
    fixture->transmitted += size;
    return (ssize_t)size;
}

static void on_message(void *context, struct slice text)
{
    struct fixture *fixture = context;
    size_t size = text.size < sizeof fixture->first - 1 ? text.size : sizeof fixture->first - 1;
    if (size > 0)
        memcpy(fixture->first, text.data, size);
    fixture->first[size] = '\0';
    fixture->messages++;
    fixture->message_bytes += text.size;
}

static enum error create(struct fixture *fixture)
{
    const struct push_frames_io io = {.receive = receive,
                                      .transmit = transmit,
                                      .on_message = on_message,
                                      .clock_ms = read_clock,
                                      .random = no_random,
                                      .context = fixture};
    return push_frames_create(&io, &fixture->frames);
}

static int start(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    ms_per_read = 0;
    assert_int_equal(create(fixture), ERR_NONE);
    *state = fixture;
    return 0;
}

static int stop(void **state)
{
    struct fixture *fixture = *state;
    push_frames_free(fixture->frames);
    free(fixture);
    return 0;
}

static void receive_once(struct fixture *fixture, const char *bytes, size_t size)
{
    fixture->head = bytes;
    fixture->head_size = size;
}

static void receive_endlessly(struct fixture *fixture, const char *bytes, size_t size)
{
    fixture->part = bytes;
    fixture->part_size = size;
}

#define ONCE(bytes)      receive_once(fixture, bytes, sizeof(bytes) - 1)
#define ENDLESSLY(bytes) receive_endlessly(fixture, bytes, sizeof(bytes) - 1)

static void assert_ends(struct fixture *fixture, const char *problem)
{
    assert_false(push_frames_read(fixture->frames));
    assert_non_null(strstr(push_frames_problem(fixture->frames), problem));
}

/* --- messages --------------------------------------------------------------------------------- */

static void messages_arrive_whole_in_any_pieces(void **state)
{
    struct fixture *fixture = *state;
    /* A message; one in three fragments with a ping between them; a binary one, which is
     * ignored. */
    ONCE("\x81\x02hi"
         "\x01\x03"
         "abc"
         "\x89\x01x"
         "\x00\x00"
         "\x80\x02"
         "de"
         "\x82\x01z");
    assert_true(push_frames_read(fixture->frames));
    assert_int_equal(fixture->messages, 2);
    assert_string_equal(fixture->first, "abcde");
    assert_false(push_frames_has_more(fixture->frames));
    assert_true(push_frames_wants_write(fixture->frames)); /* the pong */
    assert_true(push_frames_write(fixture->frames));
    assert_int_equal(fixture->transmitted, 2 + 4 + 1);
}

static void violations_end_the_connection(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *problem;
    } rows[] = {
        {"\x88\x02\x03\xe9", 4, "code 1001"},
        {"\x88\x02\x03\xf0", 4, "code 1008: the token is not valid any more"},
        {"\xc1\x01x", 3, "violated"},                                  /* RSV1 */
        {"\x80\x01x", 3, "violated"},                                  /* continuation of nothing */
        {"\x81\x81xxxxx", 7, "violated"},                              /* masked */
        {"\x89\x7e\x00\x7e", 4, "violated"},                           /* a long ping */
        {"\x81\x01\xff", 3, "violated"},                               /* not UTF-8 */
        {"\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xffx", 11, "violated"}, /* 2^63 - 1 bytes */
        {"\x82\x7f\x00\x00\x00\x00\x00\x40\x00\x01x", 11, "violated"}, /* one byte over the limit */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(start(state), 0);
        struct fixture *fixture = *state;
        receive_once(fixture, rows[i].bytes, rows[i].size);
        assert_ends(fixture, rows[i].problem);
        assert_int_equal(fixture->messages, 0);
        stop(state);
    }
}

/* --- limits ----------------------------------------------------------------------------------- */

static size_t allocated_bytes(void)
{
    return mallinfo2().uordblks + mallinfo2().hblkhd;
}

/* Reads turn after turn until the connection ends. */
static void assert_ends_in_bounded_memory(struct fixture *fixture, const char *problem)
{
    size_t before = allocated_bytes();
    size_t turns = 0;
    while (push_frames_read(fixture->frames)) {
        assert_true(push_frames_has_more(fixture->frames));
        assert_true(allocated_bytes() < before + MEMORY_MAX);
        assert_true(++turns < 100000);
    }
    assert_non_null(strstr(push_frames_problem(fixture->frames), problem));
}

static void message_without_end_is_too_large(void **state)
{
    struct fixture *fixture = *state;
    ONCE("\x01\x00");
    ENDLESSLY("\x00\x01x"); /* fragments of one byte */
    assert_ends_in_bounded_memory(fixture, "more than 4194304 bytes");
    assert_int_equal(fixture->messages, 0);
}

static void largest_message_arrives(void **state)
{
    struct fixture *fixture = *state;
    ONCE("\x81\x7f\x00\x00\x00\x00\x00\x40\x00\x00"); /* 4 MB */
    ENDLESSLY("x");
    while (push_frames_read(fixture->frames)) /* what follows the message is not a frame */
        ;
    assert_int_equal(fixture->messages, 1);
    assert_int_equal(fixture->message_bytes, PUSH_MESSAGE_BYTES_MAX);
}

static void a_turn_takes_limited_bytes(void **state)
{
    struct fixture *fixture = *state;
    static char frame[4 + 4000] = "\x81\x7e\x0f\xa0"; /* a message of 4,000 bytes */
    memset(frame + 4, 'x', 4000);
    receive_endlessly(fixture, frame, sizeof frame);
    for (size_t turn = 1; turn < 10; turn++) {
        assert_true(push_frames_read(fixture->frames));
        assert_true(push_frames_has_more(fixture->frames));
        assert_true(fixture->received <= turn * (PUSH_TURN_BYTES_MAX + 16 * 1024));
        assert_true(fixture->received >= turn * PUSH_TURN_BYTES_MAX);
    }
    assert_true(fixture->messages >= 9 * 60);
}

static void a_turn_takes_limited_frames(void **state)
{
    struct fixture *fixture = *state;
    ENDLESSLY("\x81\x00"); /* empty messages */
    assert_true(push_frames_read(fixture->frames));
    assert_true(push_frames_has_more(fixture->frames));
    assert_true(fixture->messages >= PUSH_TURN_FRAMES_MAX);
    assert_true(fixture->messages <= PUSH_TURN_FRAMES_MAX + 16 * 1024);
}

static void a_turn_takes_limited_time(void **state)
{
    struct fixture *fixture = *state;
    ENDLESSLY("\x81\x00");
    ms_per_read = PUSH_TURN_MS_MAX / 2; /* each look at the clock */
    assert_true(push_frames_read(fixture->frames));
    assert_true(push_frames_has_more(fixture->frames));
    assert_true(fixture->messages <= 16 * 1024);
}

static void pings_are_not_read_while_pongs_cannot_be_sent(void **state)
{
    struct fixture *fixture = *state;
    ENDLESSLY("\x89\x00");
    fixture->blocks_writes = true;
    size_t before = allocated_bytes();
    for (int turn = 0; turn < 1000; turn++) {
        assert_true(push_frames_read(fixture->frames));
        assert_true(push_frames_write(fixture->frames));
    }
    assert_false(push_frames_can_read(fixture->frames));
    assert_false(push_frames_has_more(fixture->frames));
    assert_true(allocated_bytes() < before + 4 * 1024 * 1024);
    size_t received = fixture->received;
    fixture->blocks_writes = false;
    assert_true(push_frames_write(fixture->frames));
    assert_true(push_frames_can_read(fixture->frames));
    assert_true(push_frames_read(fixture->frames));
    assert_true(fixture->received > received);
}

static void out_of_memory_ends_the_connection(void **state)
{
    struct fixture *fixture = *state;
    for (long n = 1;; n++) {
        struct fixture other = {.head = "\x81\x02hi", .head_size = 4};
        failing_malloc_after(n);
        enum error error = create(&other);
        bool read = !error && push_frames_read(other.frames);
        bool happened = failing_malloc_happened();
        failing_malloc_after(-1);
        assert_true(happened || (read && other.messages == 1));
        assert_true(!happened || error == ERR_NO_MEMORY ||
                    strcmp(push_frames_problem(other.frames), "out of memory") == 0);
        if (!error)
            push_frames_free(other.frames);
        if (!happened)
            break;
    }
    assert_true(push_frames_read(fixture->frames));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(messages_arrive_whole_in_any_pieces),
        cmocka_unit_test(violations_end_the_connection),
        TEST(message_without_end_is_too_large),
        TEST(largest_message_arrives),
        TEST(a_turn_takes_limited_bytes),
        TEST(a_turn_takes_limited_frames),
        TEST(a_turn_takes_limited_time),
        TEST(pings_are_not_read_while_pongs_cannot_be_sent),
        TEST(out_of_memory_ends_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
