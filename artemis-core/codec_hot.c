/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/codec_hot.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

struct cursor {
    const char *at;
    const char *end;
};

static void skip_blanks(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r'))
        c->at++;
}

/* Takes one character, and the blanks around it. */
static bool take(struct cursor *c, char wanted)
{
    skip_blanks(c);
    if (c->at == c->end || *c->at != wanted)
        return false;
    c->at++;
    skip_blanks(c);
    return true;
}

/* A string of plain ASCII without escapes. */
static bool take_string(struct cursor *c, struct slice *out)
{
    if (c->at == c->end || *c->at != '"')
        return false;
    const char *start = ++c->at;
    while (c->at < c->end && *c->at != '"') {
        unsigned char byte = (unsigned char)*c->at++;
        if (byte < 0x20 || byte >= 0x7f || byte == '\\')
            return false;
    }
    if (c->at == c->end)
        return false;
    *out = (struct slice){start, (size_t)(c->at - start)};
    c->at++;
    return true;
}

/* The key field of that name, or KEY_FIELDS. */
static enum instance_field key_field(struct slice name, bool *camel)
{
    for (enum instance_field field = 0; field < KEY_FIELDS; field++) {
        const struct field_info *info = instance_field_info(field);
        if (slice_equal(name, slice_of(info->name)))
            return field;
        if (slice_equal(name, slice_of(info->camel))) {
            *camel = true;
            return field;
        }
    }
    return KEY_FIELDS;
}

/* A number from 0 that no reader of JSON would take for anything else. */
static bool take_number(struct cursor *c, uint64_t *out)
{
    enum { DIGITS_MAX = 18 };
    const char *start = c->at;
    uint64_t number = 0;
    while (c->at < c->end && *c->at >= '0' && *c->at <= '9')
        number = number * 10 + (uint64_t)(*c->at++ - '0');
    ptrdiff_t digits = c->at - start;
    *out = number;
    return digits > 0 && digits <= DIGITS_MAX && (*start != '0' || digits == 1);
}

/* What peers add to a key. */
enum extra { EXTRA_VERSION = 1, EXTRA_ORIGIN = 2, EXTRA_AGE = 4 };

static enum extra extra_by_name(struct slice name)
{
    if (slice_equal(name, SLICE("version")))
        return EXTRA_VERSION;
    if (slice_equal(name, SLICE("origin")))
        return EXTRA_ORIGIN;
    return slice_equal(name, SLICE("age_ms")) ? EXTRA_AGE : 0;
}

static bool take_extra(struct cursor *c, enum extra extra, struct hot_item *out)
{
    switch (extra) {
    case EXTRA_VERSION:
        return take_number(c, &out->version.stamp);
    case EXTRA_ORIGIN:
        return take_string(c, &out->version.origin);
    case EXTRA_AGE:
        return take_number(c, &out->age_ms);
    }
    return false;
}

static bool take_item(struct cursor *c, struct hot_item *out, bool *camel)
{
    unsigned extras = 0; /* that it had */
    memset(out, 0, sizeof(*out));
    if (!take(c, '{'))
        return false;
    do {
        struct slice name;
        if (!take_string(c, &name) || !take(c, ':'))
            return false;
        enum instance_field field = key_field(name, camel);
        if (field < KEY_FIELDS) {
            if (out->parts[field].data || !take_string(c, &out->parts[field]))
                return false; /* given twice, or no plain text */
            continue;
        }
        enum extra extra = extra_by_name(name);
        if (!extra || extras & extra || !take_extra(c, extra, out))
            return false; /* unknown, given twice, or no plain value */
        extras |= extra;
    } while (take(c, ','));
    return take(c, '}');
}

static bool take_list_name(struct cursor *c, bool *camel)
{
    struct slice name;
    if (!take(c, '{') || !take_string(c, &name) || !take(c, ':'))
        return false;
    *camel = slice_equal(name, SLICE("instanceKeys"));
    return *camel || slice_equal(name, SLICE("instance_keys"));
}

bool hot_keys_scan(struct slice body, size_t limit, struct hot_keys *out)
{
    struct hot_keys keys = {.body = body};
    struct hot_item item;
    bool camel = false;
    if (body.size == 0) /* and without a place */
        return false;
    struct cursor c = {body.data, body.data + body.size};
    if (!take_list_name(&c, &keys.camel_root) || !take(&c, '['))
        return false;
    keys.items_at = keys.at = (size_t)(c.at - body.data);
    do {
        if (keys.count++ == limit || !take_item(&c, &item, &camel))
            return false;
    } while (take(&c, ','));
    if (!take(&c, ']') || !take(&c, '}') || c.at != c.end)
        return false;
    *out = keys;
    return true;
}

void hot_keys_read(struct hot_keys *keys, size_t index, struct hot_item *out, bool *camel)
{
    assert(index < keys->count);
    if (index < keys->next) {
        keys->next = 0;
        keys->at = keys->items_at;
    }
    struct cursor c = {keys->body.data + keys->at, keys->body.data + keys->body.size};
    bool camel_item = false;
    for (; keys->next <= index; keys->next++) {
        camel_item = false;
        bool taken = take_item(&c, out, &camel_item);
        assert(taken);
        take(&c, ',');
    }
    keys->at = (size_t)(c.at - keys->body.data);
    *camel |= camel_item;
}
