/* SPDX-License-Identifier: Apache-2.0
 *
 * check - what a test says about a response. A check that fails shows the whole response, and the
 * line.
 *
 * A path names a place in JSON: "services[0].instances[1].port". Expected JSON is text in which
 * single quotes stand for double ones: "{'error_code':'success'}". JSON is compared as values: the
 * order of an object's members does not count.
 */
#pragma once

#include "tests/support/http.h"

/* The status, and what `response_status` (`responseStatus`) says; a NULL reason is not looked at.
 */
#define check_status(response, status, error_code, reason)                                         \
    check_status_at((response), (status), (error_code), (reason), __FILE__, __LINE__)

/* The HTTP status alone. */
#define check_http(response, status) check_http_at((response), (status), __FILE__, __LINE__)

/* The value at `path` ("" is the whole body) is this JSON. */
#define check_json(response, path, expected)                                                       \
    check_json_at((response), (path), (expected), __FILE__, __LINE__)

/* The value at `path` is text with `part` in it. */
#define check_contains(response, path, part)                                                       \
    check_contains_at((response), (path), (part), __FILE__, __LINE__)

/* Nothing is at `path`, not even null. */
#define check_absent(response, path) check_absent_at((response), (path), __FILE__, __LINE__)

/* The array or object at `path` has so many members. */
#define check_count(response, path, count)                                                         \
    check_count_at((response), (path), (count), __FILE__, __LINE__)

/* A header field has this value; NULL: there is no such field. */
#define check_field(response, name, value)                                                         \
    check_field_at((response), (name), (value), __FILE__, __LINE__)

void check_status_at(const struct http_response *response, int status, const char *error_code,
                     const char *reason, const char *file, int line);
void check_http_at(const struct http_response *response, int status, const char *file, int line);
void check_json_at(const struct http_response *response, const char *path, const char *expected,
                   const char *file, int line);
void check_contains_at(const struct http_response *response, const char *path, const char *part,
                       const char *file, int line);
void check_absent_at(const struct http_response *response, const char *path, const char *file,
                     int line);
void check_count_at(const struct http_response *response, const char *path, size_t count,
                    const char *file, int line);
void check_field_at(struct http_response *response, const char *name, const char *value,
                    const char *file, int line);

/* What is at `path`, borrowed; NULL when nothing is. */
json_t *check_find(const json_t *root, const char *path);

/* The text, or the number, at `path`; "" or -1 when there is none. */
const char *check_text(const struct http_response *response, const char *path);
json_int_t check_integer(const struct http_response *response, const char *path);
