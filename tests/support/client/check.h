/* SPDX-License-Identifier: Apache-2.0
 *
 * check - assertions about a response. A failing check prints the response and the line of the
 * test.
 *
 * A path selects a value in JSON: "services[0].instances[1].port". In expected JSON, single quotes
 * stand for double quotes: "{'error_code':'success'}". JSON is compared by value: the order of
 * members does not matter.
 */
#pragma once

#include "tests/support/client/http.h"

/* The HTTP status and the members of `response_status` (`responseStatus`); reason may be NULL. */
#define check_status(response, status, error_code, reason)                                         \
    check_status_at((response), (status), (error_code), (reason), __FILE__, __LINE__)

/* The HTTP status. */
#define check_http(response, status) check_http_at((response), (status), __FILE__, __LINE__)

/* The value at `path` ("": the whole body) equals this JSON. */
#define check_json(response, path, expected)                                                       \
    check_json_at((response), (path), (expected), __FILE__, __LINE__)

/* The value at `path` is a text that contains `part`. */
#define check_contains(response, path, part)                                                       \
    check_contains_at((response), (path), (part), __FILE__, __LINE__)

/* There is no value at `path`, not even null. */
#define check_absent(response, path) check_absent_at((response), (path), __FILE__, __LINE__)

/* The array or object at `path` has `count` members. */
#define check_count(response, path, count)                                                         \
    check_count_at((response), (path), (count), __FILE__, __LINE__)

/* A header field has this value; NULL: the field is absent. */
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

/* The value at `path`, borrowed; NULL if there is none. */
json_t *check_find(const json_t *root, const char *path);

/* The text or the number at `path`; "" or -1 if there is none. */
const char *check_text(const struct http_response *response, const char *path);
json_int_t check_integer(const struct http_response *response, const char *path);
