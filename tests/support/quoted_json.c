/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/quoted_json.h"

#include "tests/support/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *quoted_text_args(const char *format, va_list args)
{
    char *text = NULL;
    assert_true(vasprintf(&text, format, args) >= 0);
    for (char *at = strchr(text, '\''); at != NULL; at = strchr(at, '\''))
        *at = '"';
    return text;
}

char *quoted_text(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = quoted_text_args(format, args);
    va_end(args);
    return text;
}

json_t *quoted_json(const char *text)
{
    char *json = quoted_text("%s", text);
    json_t *root = json_loads(json, JSON_DECODE_ANY, NULL);
    if (!root)
        fail_msg("no JSON: %s", json);
    free(json);
    return root;
}
