/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/json/fast_parser.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "artemis-core/base/text_scan.h"

/* --- tokens ----------------------------------------------------------------------------------- */

struct cursor {
    const char *at;
    const char *end;
};

static void skip_blanks(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r'))
        c->at++;
}

static inline bool is_at_blank(const struct cursor *c)
{
    return c->at < c->end && (unsigned char)*c->at <= ' ';
}

/* Consumes one character and the blanks around it. Most texts have no blanks. */
static inline bool take(struct cursor *c, char wanted)
{
    if (is_at_blank(c))
        skip_blanks(c);
    if (c->at == c->end || *c->at != wanted)
        return false;
    c->at++;
    if (is_at_blank(c))
        skip_blanks(c);
    return true;
}

static bool take_word(struct cursor *c, struct slice word)
{
    if ((size_t)(c->end - c->at) < word.size || memcmp(c->at, word.data, word.size) != 0)
        return false;
    c->at += word.size;
    return true;
}

/* The rest of a string that begins at `start` and is plain before `at`. */
static bool take_rest(struct cursor *c, const char *start, const char *at, struct slice *out)
{
    bool is_ascii = true;
    for (; at < c->end && *at != '"'; at += 1 + text_plain_size(at + 1, c->end)) {
        if ((unsigned char)*at < 0x7F) /* a backslash or a control character */
            return false;
        is_ascii = is_ascii && (unsigned char)*at == 0x7F;
    }
    struct slice string = {start, (size_t)(at - start)};
    if (at == c->end || (!is_ascii && !text_is_utf8(string)))
        return false;
    *out = string;
    c->at = at + 1;
    return true;
}

/* A string without escapes. Clears *is_plain if it is not plain (text_scan.h). */
static inline bool take_text(struct cursor *c, struct slice *out, bool *is_plain)
{
    if (c->at == c->end || *c->at != '"')
        return false;
    const char *start = c->at + 1;
    const char *at = start + text_plain_size(start, c->end);
    if (at == c->end || *at != '"') {
        *is_plain = false;
        return take_rest(c, start, at, out);
    }
    *out = (struct slice){start, (size_t)(at - start)};
    c->at = at + 1;
    return true;
}

static bool take_string(struct cursor *c, struct slice *out)
{
    bool ignored;
    return take_text(c, out, &ignored);
}

/* A non-negative integer of at most 18 digits. */
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

/* --- records ---------------------------------------------------------------------------------- */

/* The members of a record: the text fields of an instance (enum instance_field), then these. */
enum {
    MEMBER_PORT = TEXT_FIELDS,
    MEMBER_METADATA,
    MEMBER_REVISION,
    MEMBER_VERSION,
    MEMBER_ORIGIN,
    MEMBER_AGE,
    MEMBER_DELETED,
    MEMBER_GUARDED,
    MEMBER_CONFIRMING,
    MEMBER_ROUNDS,
    MEMBERS,
};

/* The order in which Artemis and most clients write members. */
static const uint8_t usual_order[MEMBERS] = {
    FIELD_REGION,           FIELD_ZONE,   FIELD_SERVICE,   FIELD_GROUP,     FIELD_INSTANCE,
    FIELD_MACHINE_NAME,     FIELD_IP,     MEMBER_PORT,     FIELD_PROTOCOL,  FIELD_URL,
    FIELD_HEALTH_CHECK_URL, FIELD_STATUS, MEMBER_METADATA, MEMBER_REVISION, MEMBER_VERSION,
    MEMBER_ORIGIN,          MEMBER_AGE,   MEMBER_DELETED,  MEMBER_GUARDED,  MEMBER_CONFIRMING,
    MEMBER_ROUNDS,
};

/* The names of the members in both casings, as they precede a value. */
struct member_name {
    struct slice snake;
    struct slice camel; /* the same as `snake` where the casings do not differ */
};

#define QUOTED(literal)                                                                            \
    {                                                                                              \
        "\"" literal "\":", sizeof(literal) + 2                                                    \
    }
#define NAME(literal)                                                                              \
    {                                                                                              \
        QUOTED(literal), QUOTED(literal)                                                           \
    }
#define NAMES(snake, camel)                                                                        \
    {                                                                                              \
        QUOTED(snake), QUOTED(camel)                                                               \
    }
static const struct member_name member_names[MEMBERS] = {
    [FIELD_REGION] = NAMES("region_id", "regionId"),
    [FIELD_ZONE] = NAMES("zone_id", "zoneId"),
    [FIELD_SERVICE] = NAMES("service_id", "serviceId"),
    [FIELD_GROUP] = NAMES("group_id", "groupId"),
    [FIELD_INSTANCE] = NAMES("instance_id", "instanceId"),
    [FIELD_IP] = NAME("ip"),
    [FIELD_URL] = NAME("url"),
    [FIELD_STATUS] = NAME("status"),
    [FIELD_MACHINE_NAME] = NAMES("machine_name", "machineName"),
    [FIELD_PROTOCOL] = NAME("protocol"),
    [FIELD_HEALTH_CHECK_URL] = NAMES("health_check_url", "healthCheckUrl"),
    [MEMBER_PORT] = NAME("port"),
    [MEMBER_METADATA] = NAME("metadata"),
    [MEMBER_REVISION] = NAME("revision"),
    [MEMBER_VERSION] = NAME("version"),
    [MEMBER_ORIGIN] = NAME("origin"),
    [MEMBER_AGE] = NAME("age_ms"),
    [MEMBER_DELETED] = NAME("deleted"),
    [MEMBER_GUARDED] = NAME("guarded"),
    [MEMBER_CONFIRMING] = NAME("confirming"),
    [MEMBER_ROUNDS] = NAME("rounds"),
};
#undef QUOTED
#undef NAME
#undef NAMES

/* The fields whose names differ between the casings, a bit each. */
static const uint32_t cased_fields =
    UINT32_C(1) << FIELD_REGION | UINT32_C(1) << FIELD_ZONE | UINT32_C(1) << FIELD_SERVICE |
    UINT32_C(1) << FIELD_GROUP | UINT32_C(1) << FIELD_INSTANCE | UINT32_C(1) << FIELD_MACHINE_NAME |
    UINT32_C(1) << FIELD_HEALTH_CHECK_URL;

/* Whether [at, end) begins with the quoted name and the colon. */
static inline bool begins_with(const char *at, const char *end, struct slice quoted)
{
    return (size_t)(end - at) >= quoted.size && text_short_equal(at, quoted.data, quoted.size);
}

/* Consumes the name of a member at the start of *c, and its colon. *place is the index in
 * usual_order at which the search starts; it becomes the index after that member. MEMBERS: there is
 * another name, or a blank before the colon. */
static inline size_t take_quoted(struct cursor *c, size_t *place, enum name_casing *names)
{
    for (size_t tries = 0; tries < MEMBERS; tries++) {
        size_t member = usual_order[*place];
        struct slice name = member_names[member].snake;
        *place = *place + 1 < MEMBERS ? *place + 1 : 0;
        bool found = begins_with(c->at, c->end, name);
        if (!found && cased_fields >> member & 1) {
            name = member_names[member].camel;
            found = begins_with(c->at, c->end, name);
            *names = found ? NAMES_CAMEL : *names;
        }
        if (!found)
            continue;
        c->at += name.size;
        return member;
    }
    return MEMBERS;
}

/* A name that blanks separate from its colon. */
static size_t take_separated(struct cursor *c, size_t *place, enum name_casing *names)
{
    enum { NAME_BYTES_MAX = 24 };
    char quoted[NAME_BYTES_MAX + sizeof("\"\":")];
    struct slice name;
    if (!take_string(c, &name) || name.size > NAME_BYTES_MAX || !take(c, ':'))
        return MEMBERS;
    quoted[0] = '"';
    memcpy(quoted + 1, name.data, name.size);
    memcpy(quoted + 1 + name.size, "\":", 2);
    struct cursor copy = {quoted, quoted + name.size + 3};
    return take_quoted(&copy, place, names);
}

/* The name of a known member, its colon and blanks; MEMBERS if there is none. */
static inline size_t take_name(struct cursor *c, size_t *place, enum name_casing *names)
{
    size_t member = take_quoted(c, place, names);
    if (member == MEMBERS)
        return take_separated(c, place, names);
    if (is_at_blank(c))
        skip_blanks(c);
    return member;
}

static bool take_port(struct cursor *c, int64_t *out)
{
    uint64_t number;
    if (!take_number(c, &number))
        return false;
    *out = (int64_t)number;
    return true;
}

static bool take_bool(struct cursor *c, bool *out)
{
    *out = take_word(c, SLICE("true"));
    return *out || take_word(c, SLICE("false"));
}

static bool take_entry(struct cursor *c, struct fast_record *out)
{
    size_t count = out->spec.metadata_count;
    if (!out->metadata || count == METADATA_ENTRIES_MAX)
        return false;
    struct metadata_entry *entry = &out->metadata[count];
    if (!take_string(c, &entry->name) || !take(c, ':') || !take_string(c, &entry->value))
        return false;
    for (size_t i = 0; i < count; i++)
        if (slice_equal(out->metadata[i].name, entry->name))
            return false; /* a name given twice */
    out->spec.metadata_count++;
    return true;
}

static bool take_metadata(struct cursor *c, struct fast_record *out)
{
    if (!take(c, '{'))
        return false;
    if (take(c, '}'))
        return true;
    do {
        if (!take_entry(c, out))
            return false;
    } while (take(c, ','));
    return take(c, '}');
}

static bool take_value(struct cursor *c, size_t member, struct fast_record *out)
{
    if (c->at < c->end && *c->at == 'n')
        return take_word(c, SLICE("null"));
    switch (member) {
    case MEMBER_PORT:
        return take_port(c, &out->spec.port);
    case MEMBER_METADATA:
        return take_metadata(c, out);
    case MEMBER_REVISION:
        return take_number(c, &out->spec.client_revision);
    case MEMBER_VERSION:
        return take_number(c, &out->stamp.hlc);
    case MEMBER_ORIGIN:
        return take_string(c, &out->stamp.node_id);
    case MEMBER_AGE:
        return take_number(c, &out->age_ms);
    case MEMBER_DELETED:
        return take_bool(c, &out->deleted);
    case MEMBER_GUARDED:
        return take_bool(c, &out->guarded);
    case MEMBER_CONFIRMING:
        return take_bool(c, &out->confirming);
    case MEMBER_ROUNDS:
        return take_number(c, &out->rounds);
    default:
        return take_text(c, &out->spec.text[member], &out->spec.is_plain);
    }
}

static bool take_record(struct cursor *c, struct fast_record *out)
{
    memset(out, 0, offsetof(struct fast_record, metadata));
    out->spec.metadata = out->metadata;
    out->spec.is_plain = true;
    const char *start = c->at;
    uint32_t given = 0; /* a bit for each member that was present */
    size_t place = 0;
    if (!take(c, '{'))
        return false;
    do {
        size_t member = take_name(c, &place, &out->names);
        if (member == MEMBERS || given >> member & 1 || !take_value(c, member, out))
            return false; /* unknown, given twice, or not of the usual form */
        given |= UINT32_C(1) << member;
    } while (take(c, ','));
    if (out->names == NAMES_NEUTRAL && given & cased_fields)
        out->names = NAMES_SNAKE;
    bool closed = take(c, '}');
    out->whole = (struct slice){start, (size_t)(c->at - start)};
    return closed;
}

bool fast_record_read(struct slice text, struct fast_record *out)
{
    struct cursor c = {text.data, text.data + text.size};
    return text.size > 0 && *text.data == '{' && take_record(&c, out);
}

/* --- bodies ----------------------------------------------------------------------------------- */

static bool take_list_name(struct cursor *c, bool keys, enum name_casing *names)
{
    struct slice name;
    const struct slice usual = SLICE("{\"instance_keys\":");
    if (keys && begins_with(c->at, c->end, usual)) {
        c->at += usual.size - 1;
        *names = NAMES_SNAKE;
        return take(c, ':');
    }
    if (!take(c, '{') || !take_string(c, &name) || !take(c, ':'))
        return false;
    if (!keys)
        return slice_equal(name, SLICE("instances"));
    *names = slice_equal(name, SLICE("instanceKeys")) ? NAMES_CAMEL : NAMES_SNAKE;
    return *names == NAMES_CAMEL || slice_equal(name, SLICE("instance_keys"));
}

bool fast_list_scan(struct slice body, bool keys, size_t limit, struct fast_record *kept,
                    size_t kept_max, struct fast_list *out, struct fast_record *last)
{
    struct fast_list list = {.body = body};
    if (body.size == 0) /* data may be NULL */
        return false;
    struct cursor c = {body.data, body.data + body.size};
    if (!take_list_name(&c, keys, &list.names) || !take(&c, '['))
        return false;
    list.items_at = list.at = (size_t)(c.at - body.data);
    do {
        struct fast_record *record = last;
        if (list.count < kept_max) {
            record = &kept[list.count];
            record->metadata = NULL;
        }
        if (list.count++ == limit || !take_record(&c, record))
            return false;
    } while (take(&c, ','));
    if (!take(&c, ']') || !take(&c, '}') || c.at != c.end)
        return false;
    *out = list;
    return true;
}

void fast_list_read(struct fast_list *list, size_t index, struct fast_record *out)
{
    assert(index < list->count);
    if (index < list->next) {
        list->next = 0;
        list->at = list->items_at;
    }
    struct cursor c = {list->body.data + list->at, list->body.data + list->body.size};
    for (; list->next <= index; list->next++) {
        bool taken = take_record(&c, out);
        assert(taken);
        take(&c, ',');
    }
    list->at = (size_t)(c.at - list->body.data);
}
