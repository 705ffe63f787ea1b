/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/client/check.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/quoted_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Says what was expected, shows the response, and ends the test. */
__attribute__((format(printf, 4, 5))) static void
fail_with(const struct http_response *response, const char *file, int line, const char *format, ...)
{
    char *what = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&what, format, args) < 0) {
        what = NULL;
    }
    va_end(args);
    print_error("%s:%d: %s\nthe answer was %d: %.2000s\n", file, line, what, response->status,
                response->body);
    free(what);
    _fail(file, line);
}

json_t *check_find(const json_t *root, const char *path)
{
    /* Jansson counts references in what it returns, so it cannot return const. */
    json_t *found = (json_t *)(uintptr_t)root;
    while (*path != '\0' && found != NULL) {
        if (*path == '[') {
            char *end;
            found = json_array_get(found, strtoul(path + 1, &end, 10));
            path = end + 1;
            continue;
        }
        path += *path == '.';
        size_t size = strcspn(path, ".[");
        found = json_object_getn(found, path, size);
        path += size;
    }
    return found;
}

const char *check_text(const struct http_response *response, const char *path)
{
    const char *text = json_string_value(check_find(response->json, path));
    return text != NULL ? text : "";
}

json_int_t check_integer(const struct http_response *response, const char *path)
{
    const json_t *found = check_find(response->json, path);
    return json_is_integer(found) ? json_integer_value(found) : -1;
}

void check_http_at(const struct http_response *response, int status, const char *file, int line)
{
    if (response->status != status) {
        fail_with(response, file, line, "the status should be %d", status);
    }
}

void check_status_at(const struct http_response *response, int status, const char *error_code,
                     const char *reason, const char *file, int line)
{
    check_http_at(response, status, file, line);
    json_t *snake = check_find(response->json, "response_status");
    json_t *camel = check_find(response->json, "responseStatus");
    const json_t *found = snake != NULL ? snake : camel;
    const char *code =
        json_string_value(json_object_get(found, snake != NULL ? "error_code" : "errorCode"));
    const char *why = json_string_value(json_object_get(found, "reason"));
    if (code == NULL || strcmp(code, error_code) != 0) {
        fail_with(response, file, line, "the error code should be %s", error_code);
    }
    if (reason != NULL && (why == NULL || strcmp(why, reason) != 0)) {
        fail_with(response, file, line, "the reason should be %s", reason);
    }
}

void check_json_at(const struct http_response *response, const char *path, const char *expected,
                   const char *file, int line)
{
    const json_t *found = check_find(response->json, path);
    json_t *wanted = quoted_json(expected);
    bool same = found != NULL && json_equal(found, wanted);
    json_decref(wanted);
    if (!same) {
        fail_with(response, file, line, "\"%s\" should be %s", path, expected);
    }
}

void check_contains_at(const struct http_response *response, const char *path, const char *part,
                       const char *file, int line)
{
    if (strstr(check_text(response, path), part) == NULL) {
        fail_with(response, file, line, "\"%s\" should be text with %s in it", path, part);
    }
}

void check_absent_at(const struct http_response *response, const char *path, const char *file,
                     int line)
{
    if (check_find(response->json, path) != NULL) {
        fail_with(response, file, line, "\"%s\" should not be there", path);
    }
}

void check_count_at(const struct http_response *response, const char *path, size_t count,
                    const char *file, int line)
{
    const json_t *found = check_find(response->json, path);
    size_t has = json_is_array(found) ? json_array_size(found) : json_object_size(found);
    if (found == NULL || has != count) {
        fail_with(response, file, line, "\"%s\" should have %zu members", path, count);
    }
}

void check_field_at(struct http_response *response, const char *name, const char *value,
                    const char *file, int line)
{
    const char *found = http_field(response, name);
    if (value == NULL && found != NULL) {
        fail_with(response, file, line, "there should be no %s, not %s", name, found);
    }
    if (value != NULL && (found == NULL || strcmp(found, value) != 0)) {
        fail_with(response, file, line, "%s should be %s, not %s", name, value,
                  found != NULL ? found : "absent");
    }
}
