/* SPDX-License-Identifier: Apache-2.0
 *
 * toml - reads a TOML text leaf by leaf.
 *
 * toml++ does the reading; this is the only door to it, and no exception leaves by it. Each leaf is
 * handed to `visit` with its dotted key, in the order of the text. A leaf is a value, a list, or a
 * table without content, so that an unknown empty section can be refused too. A part of a key that
 * is not a bare word stays in quotes: `"a.b" = 1` is never mistaken for `a.b = 1`.
 *
 * Not for writing TOML, and not for deep documents: tables nest at most TOML_DEPTH_MAX deep.
 * Pure and thread-safe. What a visitor is given is lent until it returns.
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
    TOML_TYPE_LIST,  /* of texts, perhaps none */
    TOML_TYPE_TABLE, /* an empty one */
    TOML_TYPE_OTHER, /* a float, a date, a list of anything else */
};

struct toml_value {
    enum toml_type type;
    const char *text; /* TEXT: valid UTF-8; OTHER: what it is, for people ("the date 1979-05-27") */
    int64_t integer;
    bool boolean;
    const char *const *items; /* LIST: `count` texts */
    size_t count;
};

/* Anything but ERR_NONE ends the reading, and toml_read returns it. */
typedef enum error toml_visit(void *context, const char *key, const struct toml_value *value,
                              uint32_t line);

/*
 * Reads `text`, called `name` in messages. ERR_INVALID_FIELD when it is no TOML, nests too deep, or
 * holds a text with a zero byte; ERR_NO_MEMORY; or what `visit` returned. A failure of the reader
 * itself writes "NAME:LINE:COLUMN: what is wrong" to `message`; one of `visit` leaves it alone.
 */
MUST_USE enum error toml_read(const char *name, struct slice text, toml_visit *visit, void *context,
                              char *message, size_t message_size);

#ifdef __cplusplus
}
#endif
