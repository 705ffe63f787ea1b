/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/capture.h"

#include "tests/support/cmocka_all.h"

#include <stdlib.h>

FILE *capture_begin(struct capture *capture)
{
    *capture = (struct capture){0};
    capture->out = open_memstream(&capture->printed, &capture->size);
    assert_non_null(capture->out);
    return capture->out;
}

void capture_expect(struct capture *capture, const char *expected)
{
    fclose(capture->out);
    assert_string_equal(capture->printed, expected);
    free(capture->printed);
}
