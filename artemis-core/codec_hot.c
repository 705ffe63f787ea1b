/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/codec_hot.h"

#include <assert.h>
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

static bool take_item(struct cursor *c, struct slice parts[KEY_FIELDS], bool *camel)
{
    memset(parts, 0, KEY_FIELDS * sizeof(*parts));
    if (!take(c, '{'))
        return false;
    do {
        struct slice name;
        struct slice value;
        if (!take_string(c, &name) || !take(c, ':') || !take_string(c, &value))
            return false;
        enum instance_field field = key_field(name, camel);
        if (field == KEY_FIELDS || parts[field].data)
            return false; /* unknown, or given twice */
        parts[field] = value;
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
    struct cursor c = {body.data, body.data + body.size};
    struct hot_keys keys = {.body = body};
    struct slice parts[KEY_FIELDS];
    bool camel = false;
    if (body.size == 0 || !take_list_name(&c, &keys.camel_root) || !take(&c, '['))
        return false;
    keys.items_at = keys.at = (size_t)(c.at - body.data);
    do {
        if (keys.count++ == limit || !take_item(&c, parts, &camel))
            return false;
    } while (take(&c, ','));
    if (!take(&c, ']') || !take(&c, '}') || c.at != c.end)
        return false;
    *out = keys;
    return true;
}

void hot_keys_read(struct hot_keys *keys, size_t index, struct slice parts[KEY_FIELDS], bool *camel)
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
        bool taken = take_item(&c, parts, &camel_item);
        assert(taken);
        take(&c, ',');
    }
    keys->at = (size_t)(c.at - keys->body.data);
    *camel |= camel_item;
}
