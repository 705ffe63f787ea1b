/* SPDX-License-Identifier: Apache-2.0
 *
 * Encoded frames: the three sizes of the header, close frames, references.
 */
#include "artemis-web/frames/frame.h"

#include <stdlib.h>
#include <string.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

/* Checks that the frame consists of this header and the payload. */
static void check(const struct frame *frame, const void *header, size_t header_size,
                  const void *payload, size_t size)
{
    assert_non_null(frame);
    assert_int_equal(frame->size, header_size + size);
    assert_memory_equal(frame->bytes, header, header_size);
    if (size)
        assert_memory_equal(frame->bytes + header_size, payload, size);
}

static void check_size(size_t size, const void *header, size_t header_size)
{
    char *payload = malloc(size + 1);
    assert_non_null(payload);
    for (size_t i = 0; i < size; i++)
        payload[i] = (char)(i * 31);
    struct frame *frame = frame_create(FRAME_TEXT, (struct slice){payload, size});
    check(frame, header, header_size, payload, size);
    frame_unref(frame);
    free(payload);
}

static void size_has_the_shortest_encoding(void **state)
{
    (void)state;
    check_size(0, "\x81\x00", 2);
    check_size(1, "\x81\x01", 2);
    check_size(125, "\x81\x7d", 2);
    check_size(126, "\x81\x7e\x00\x7e", 4);
    check_size(256, "\x81\x7e\x01\x00", 4);
    check_size(65535, "\x81\x7e\xff\xff", 4);
    check_size(65536, "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10);
    check_size(0x123456, "\x81\x7f\x00\x00\x00\x00\x00\x12\x34\x56", 10);
}

static void kind_is_the_opcode(void **state)
{
    (void)state;
    struct frame *frame = frame_create(FRAME_PING, (struct slice){0});
    check(frame, "\x89\x00", 2, "", 0);
    frame_unref(frame);
    frame = frame_create(FRAME_CLOSE, SLICE("\x03\xe8"));
    check(frame, "\x88\x02", 2, "\x03\xe8", 2);
    frame_unref(frame);
}

static void close_has_code_and_reason(void **state)
{
    (void)state;
    struct frame *frame = frame_close(1001, "going");
    check(frame, "\x88\x07\x03\xe9", 4, "going", 5);
    frame_unref(frame);
    frame = frame_close(4999, "");
    check(frame, "\x88\x02\x13\x87", 4, "", 0);
    frame_unref(frame);
}

static void close_reason_is_cut_at_the_limit(void **state)
{
    (void)state;
    char reason[CLOSE_REASON_BYTES_MAX + 20];
    memset(reason, 'x', sizeof(reason));
    for (size_t size = CLOSE_REASON_BYTES_MAX - 1; size < sizeof(reason) - 1; size++) {
        size_t kept = size < CLOSE_REASON_BYTES_MAX ? size : CLOSE_REASON_BYTES_MAX;
        reason[size] = '\0';
        struct frame *frame = frame_close(1000, reason);
        assert_int_equal(frame->size, 4 + kept);
        assert_int_equal(frame->bytes[1], 2 + kept);
        frame_unref(frame);
        reason[size] = 'x';
    }
}

static void raw_bytes_are_copied_unchanged(void **state)
{
    (void)state;
    struct frame *frame = frame_raw(SLICE("\x8a\x00\x88\x00"));
    check(frame, "\x8a\x00\x88\x00", 4, "", 0);
    frame_unref(frame);
    frame = frame_raw((struct slice){0});
    assert_int_equal(frame->size, 0);
    frame_unref(frame);
}

static void last_reference_frees(void **state)
{
    (void)state;
    long live = failing_malloc_live();
    struct frame *frame = frame_create(FRAME_TEXT, SLICE("text"));
    assert_ptr_equal(frame_ref(frame), frame);
    assert_int_equal(frame->refs, 2);
    frame_unref(frame);
    assert_int_equal(failing_malloc_live(), live + 1);
    frame_unref(frame);
    frame_unref(NULL);
    assert_int_equal(failing_malloc_live(), live);
}

static void without_memory_no_frame_is_created(void **state)
{
    (void)state;
    failing_malloc_after(1);
    assert_null(frame_create(FRAME_TEXT, SLICE("text")));
    failing_malloc_after(1);
    assert_null(frame_close(1000, "reason"));
    failing_malloc_after(1);
    assert_null(frame_raw(SLICE("raw")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(size_has_the_shortest_encoding),
        cmocka_unit_test(kind_is_the_opcode),
        cmocka_unit_test(close_has_code_and_reason),
        cmocka_unit_test(close_reason_is_cut_at_the_limit),
        cmocka_unit_test(raw_bytes_are_copied_unchanged),
        cmocka_unit_test(last_reference_frees),
        cmocka_unit_test(without_memory_no_frame_is_created),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
