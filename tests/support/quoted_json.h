/* SPDX-License-Identifier: Apache-2.0
 *
 * quoted_json - JSON that tests write with single quotes in place of double ones: "{'port':80}".
 *
 * The caller frees the text, or drops the reference. What is no JSON, and a lack of memory, fail
 * the test.
 */
#pragma once

#include <jansson.h>
#include <stdarg.h>

char *quoted_text(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *quoted_text_args(const char *format, va_list args) __attribute__((format(printf, 1, 0)));
json_t *quoted_json(const char *text);
