/* SPDX-License-Identifier: Apache-2.0
 *
 * The queue of frames, over a socket pair: order, limits, dropped frames and their owners.
 */
#include "artemis-web/frames/send_queue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

struct fixture {
    struct send_queue queue;
    int ours;
    int theirs;
    long live;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    fixture = (struct fixture){.ours = ends[0], .theirs = ends[1], .live = failing_malloc_live()};
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    send_queue_free(&fixture->queue);
    close(fixture->ours);
    close(fixture->theirs);
    assert_int_equal(failing_malloc_live(), fixture->live);
    return 0;
}

/* Creates a frame of this size, filled with a letter. */
static struct frame *make_frame(char letter, size_t size)
{
    char *bytes = malloc(size);
    assert_non_null(bytes);
    memset(bytes, letter, size);
    struct frame *frame = frame_raw((struct slice){bytes, size});
    free(bytes);
    assert_non_null(frame);
    return frame;
}

/* The queue holds the only reference. */
static void put(struct fixture *fixture, char letter, size_t size, size_t sent, void *owner)
{
    struct frame *frame = make_frame(letter, size);
    assert_true(send_queue_put(&fixture->queue, frame, sent, owner));
    frame_unref(frame);
}

/* Reads what has arrived at the other end. */
static size_t read_all(const struct fixture *fixture, char *out, size_t max)
{
    size_t size = 0;
    ssize_t got;
    while (size < max && (got = recv(fixture->theirs, out + size, max - size, 0)) > 0)
        size += (size_t)got;
    return size;
}

static void frames_are_sent_in_order_and_the_memory_is_freed(void **state)
{
    struct fixture *fixture = *state;
    char bytes[64];
    for (int i = 0; i < 20; i++) /* more than one call sends */
        put(fixture, (char)('a' + i), 3, 0, NULL);
    assert_int_equal(fixture->queue.count, 20);
    assert_int_equal(fixture->queue.bytes, 60);
    assert_int_equal(send_queue_write(&fixture->queue, fixture->ours), 60);
    assert_int_equal(read_all(fixture, bytes, sizeof(bytes)), 60);
    for (int i = 0; i < 60; i++)
        assert_int_equal(bytes[i], 'a' + i / 3);
    assert_null(fixture->queue.items);
    assert_int_equal(fixture->queue.bytes, 0);
    assert_int_equal(failing_malloc_live(), fixture->live);
}

static void partly_sent_frame_continues(void **state)
{
    struct fixture *fixture = *state;
    char bytes[16];
    struct frame *frame = frame_raw(SLICE("0123456789"));
    assert_true(send_queue_put(&fixture->queue, frame, 7, NULL));
    frame_unref(frame);
    put(fixture, 'x', 2, 0, NULL);
    assert_int_equal(send_queue_write(&fixture->queue, fixture->ours), 5);
    assert_int_equal(read_all(fixture, bytes, sizeof(bytes)), 5);
    assert_memory_equal(bytes, "789xx", 5);
}

/* With a small socket buffer everything arrives once and in order. */
static void full_socket_gets_the_rest_later(void **state)
{
    enum { FRAMES = 200, BYTES = 1000 };
    struct fixture *fixture = *state;
    int small = 4096;
    size_t at = 0;
    setsockopt(fixture->ours, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    for (int i = 0; i < FRAMES; i++)
        put(fixture, (char)('a' + i % 26), BYTES, 0, NULL);
    while (fixture->queue.count) {
        char bytes[1500];
        ssize_t size = send_queue_write(&fixture->queue, fixture->ours);
        assert_true(size > 0 || (size < 0 && errno == EAGAIN));
        size_t got = read_all(fixture, bytes, sizeof(bytes));
        for (size_t i = 0; i < got; i++, at++)
            assert_int_equal(bytes[i], 'a' + at / BYTES % 26);
    }
    char rest[FRAMES];
    size_t got;
    while ((got = read_all(fixture, rest, sizeof(rest))) > 0)
        for (size_t i = 0; i < got; i++, at++)
            assert_int_equal(rest[i], 'a' + at / BYTES % 26);
    assert_int_equal(at, FRAMES * BYTES);
}

static void closed_socket_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, 'x', 3, 0, NULL);
    shutdown(fixture->ours, SHUT_WR);
    assert_int_equal(send_queue_write(&fixture->queue, fixture->ours), -1);
    assert_int_equal(errno, EPIPE);
    assert_int_equal(fixture->queue.count, 1);
}

static void number_of_frames_is_limited(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < QUEUE_FRAMES_MAX; i++) {
        assert_true(send_queue_has_space(&fixture->queue, 1));
        put(fixture, 'x', 1, 0, NULL);
    }
    assert_false(send_queue_has_space(&fixture->queue, 1));
    assert_false(send_queue_has_space(&fixture->queue, 0));
}

static void size_is_limited_but_for_the_first_frame(void **state)
{
    struct fixture *fixture = *state;
    assert_true(send_queue_has_space(&fixture->queue, 10 * QUEUE_BYTES_MAX));
    put(fixture, 'x', QUEUE_BYTES_MAX - 10, 0, NULL);
    assert_true(send_queue_has_space(&fixture->queue, 10));
    assert_false(send_queue_has_space(&fixture->queue, 11));
    send_queue_free(&fixture->queue);
    put(fixture, 'x', 2 * QUEUE_BYTES_MAX, 0, NULL);
    assert_false(send_queue_has_space(&fixture->queue, 0));
}

static int dropped[3];

static void on_dropped(void *owner)
{
    (*(int *)owner)++;
}

static void frames_with_an_owner_are_dropped_and_reported(void **state)
{
    struct fixture *fixture = *state;
    char bytes[64];
    memset(dropped, 0, sizeof(dropped));
    put(fixture, 'a', 4, 0, &dropped[0]);
    put(fixture, 'b', 4, 0, NULL); /* a response: not dropped */
    put(fixture, 'c', 4, 0, &dropped[1]);
    put(fixture, 'd', 4, 0, &dropped[0]);
    put(fixture, 'e', 4, 0, NULL);
    send_queue_drop(&fixture->queue, on_dropped);
    assert_int_equal(dropped[0], 2);
    assert_int_equal(dropped[1], 1);
    assert_int_equal(dropped[2], 0);
    assert_int_equal(fixture->queue.count, 2);
    assert_int_equal(fixture->queue.bytes, 8);
    assert_int_equal(send_queue_write(&fixture->queue, fixture->ours), 8);
    assert_int_equal(read_all(fixture, bytes, sizeof(bytes)), 8);
    assert_memory_equal(bytes, "bbbbeeee", 8);
}

static void partly_sent_frame_is_not_dropped(void **state)
{
    struct fixture *fixture = *state;
    char bytes[64];
    memset(dropped, 0, sizeof(dropped));
    put(fixture, 'a', 4, 1, &dropped[0]);
    put(fixture, 'b', 4, 0, &dropped[1]);
    send_queue_drop(&fixture->queue, on_dropped);
    assert_int_equal(dropped[0], 0);
    assert_int_equal(dropped[1], 1);
    assert_int_equal(send_queue_write(&fixture->queue, fixture->ours), 3);
    assert_int_equal(read_all(fixture, bytes, sizeof(bytes)), 3);
    assert_memory_equal(bytes, "aaa", 3);
}

static void dropping_all_frees_the_memory(void **state)
{
    struct fixture *fixture = *state;
    memset(dropped, 0, sizeof(dropped));
    for (int i = 0; i < 10; i++)
        put(fixture, 'a', 4, 0, &dropped[0]);
    send_queue_drop(&fixture->queue, on_dropped);
    assert_int_equal(dropped[0], 10);
    assert_null(fixture->queue.items);
    send_queue_drop(&fixture->queue, on_dropped);
    assert_int_equal(send_queue_write(&fixture->queue, fixture->ours), 0);
}

static void removed_owner_is_not_called(void **state)
{
    struct fixture *fixture = *state;
    memset(dropped, 0, sizeof(dropped));
    put(fixture, 'a', 4, 0, &dropped[0]);
    put(fixture, 'b', 4, 0, &dropped[1]);
    send_queue_forget(&fixture->queue, &dropped[0]);
    send_queue_drop(&fixture->queue, on_dropped);
    assert_int_equal(dropped[0], 0);
    assert_int_equal(dropped[1], 1);
    assert_int_equal(fixture->queue.count, 1); /* without an owner it cannot be dropped */
}

/* The ring wraps around and grows. */
static void order_is_kept_when_the_ring_wraps(void **state)
{
    struct fixture *fixture = *state;
    unsigned put_count = 0;
    unsigned got_count = 0;
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < round % 13 + 1; i++)
            put(fixture, (char)put_count++, 1, 0, NULL);
        struct send_queue *queue = &fixture->queue;
        while (queue->count > (unsigned)round % 7) { /* all but a few */
            struct frame *first = queue->items[queue->first].frame;
            assert_int_equal(first->bytes[0], (unsigned char)got_count);
            char bytes[256];
            assert_true(send_queue_write(queue, fixture->ours) > 0);
            size_t got = read_all(fixture, bytes, sizeof(bytes));
            for (size_t i = 0; i < got; i++)
                assert_int_equal((unsigned char)bytes[i], (unsigned char)got_count++);
        }
    }
    send_queue_write(&fixture->queue, fixture->ours);
    char bytes[64];
    got_count += (unsigned)read_all(fixture, bytes, sizeof(bytes));
    assert_int_equal(got_count, put_count);
}

static void without_memory_nothing_is_queued(void **state)
{
    struct fixture *fixture = *state;
    struct frame *frame = make_frame('x', 3);
    for (int i = 0; i < 40; i++) {
        uint32_t count = fixture->queue.count;
        failing_malloc_after(1);
        bool done = send_queue_put(&fixture->queue, frame, 0, NULL);
        assert_int_equal(done, !failing_malloc_happened());
        assert_int_equal(fixture->queue.count, count + done);
        assert_int_equal(frame->refs, 1 + count + done);
        if (!done)
            assert_true(send_queue_put(&fixture->queue, frame, 0, NULL));
    }
    failing_malloc_after(-1);
    frame_unref(frame);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(frames_are_sent_in_order_and_the_memory_is_freed),
        TEST(partly_sent_frame_continues),
        TEST(full_socket_gets_the_rest_later),
        TEST(closed_socket_is_an_error),
        TEST(number_of_frames_is_limited),
        TEST(size_is_limited_but_for_the_first_frame),
        TEST(frames_with_an_owner_are_dropped_and_reported),
        TEST(partly_sent_frame_is_not_dropped),
        TEST(dropping_all_frees_the_memory),
        TEST(removed_owner_is_not_called),
        TEST(order_is_kept_when_the_ring_wraps),
        TEST(without_memory_nothing_is_queued),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
