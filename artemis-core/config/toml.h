/* SPDX-License-Identifier: Apache-2.0
 *
 * toml - parses a TOML document and passes on its values (with toml++).
 *
 * `visit` is called for each value, with its dotted key, in the order of the document. An empty
 * table counts as a value, so that an unknown empty section can be rejected. A part of a key that
 * is not a bare word keeps its quotes: `"a.b" = 1` and `a.b = 1` are different keys. The tables of
 * an array are numbered: the first [[a.b]] with c = 1 has the key a.b[0].c. Tables nest at most
 * TOML_DEPTH_MAX deep. No exception leaves toml_read.
 *
 * Pure and thread-safe. Arguments of `visit` are borrowed until it returns.
 */
#pragma once

#include "artemis-core/base/error.h"
#include "artemis-core/base/text.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { TOML_DEPTH_MAX = 8 };

enum toml_type {
    TOML_TYPE_TEXT,
    TOML_TYPE_INTEGER,
    TOML_TYPE_BOOLEAN,
    TOML_TYPE_LIST,  /* of texts; may be empty */
    TOML_TYPE_TABLE, /* empty */
    TOML_TYPE_OTHER, /* a float, a date, a list of anything else but tables */
};

struct toml_value {
    enum toml_type type;
    const char *text; /* TEXT: valid UTF-8. OTHER: a description ("the date 1979-05-27") */
    int64_t integer;
    bool boolean;
    const char *const *items; /* LIST: `count` texts */
    size_t count;
};

/* A result other than ERR_NONE ends the parsing; toml_read returns it. */
typedef enum error toml_visit(void *context, const char *key, const struct toml_value *value,
                              uint32_t line);

/*
 * Parses `text`; `name` is its name in messages. ERR_INVALID_FIELD: not TOML, nested too deep, or a
 * text with a zero byte. ERR_NO_MEMORY, ERR_SYSTEM. These write "NAME:LINE:COLUMN: reason" to
 * `message`. An error of `visit` is returned and leaves `message` unchanged.
 */
MUST_USE enum error toml_read(const char *name, struct slice text, toml_visit *visit, void *context,
                              char *message, size_t message_size);

#ifdef __cplusplus
}
#endif
