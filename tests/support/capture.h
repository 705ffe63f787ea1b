/* SPDX-License-Identifier: Apache-2.0
 *
 * capture - what a function prints to a stream: begin, print to the stream, then compare.
 */
#pragma once

#include <stdio.h>

struct capture {
    FILE *out;
    char *printed;
    size_t size;
};

FILE *capture_begin(struct capture *capture);
/* Ends the stream. Fails the test if something else was printed. */
void capture_expect(struct capture *capture, const char *expected);
