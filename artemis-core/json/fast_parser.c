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
    MEMBER_WEIGHT,
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
    [MEMBER_WEIGHT] = NAME("weight"),
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

/* The first and the third letter of a name select its member; no two members have the same slot. A
 * slot has the number of the member plus 1; 0: none. */
#define SLOT(first, third) (((first) + 2 * (third)) % SLOTS)
enum { SLOTS = 64 };
static const uint8_t members_by_letters[SLOTS] = {
    [SLOT('r', 'g')] = FIELD_REGION + 1,
    [SLOT('z', 'n')] = FIELD_ZONE + 1,
    [SLOT('s', 'r')] = FIELD_SERVICE + 1,
    [SLOT('g', 'o')] = FIELD_GROUP + 1,
    [SLOT('i', 's')] = FIELD_INSTANCE + 1,
    [SLOT('i', '"')] = FIELD_IP + 1,
    [SLOT('u', 'l')] = FIELD_URL + 1,
    [SLOT('s', 'a')] = FIELD_STATUS + 1,
    [SLOT('m', 'c')] = FIELD_MACHINE_NAME + 1,
    [SLOT('p', 'o')] = FIELD_PROTOCOL + 1,
    [SLOT('h', 'a')] = FIELD_HEALTH_CHECK_URL + 1,
    [SLOT('p', 'r')] = MEMBER_PORT + 1,
    [SLOT('m', 't')] = MEMBER_METADATA + 1,
    [SLOT('w', 'i')] = MEMBER_WEIGHT + 1,
    [SLOT('r', 'v')] = MEMBER_REVISION + 1,
    [SLOT('v', 'r')] = MEMBER_VERSION + 1,
    [SLOT('o', 'i')] = MEMBER_ORIGIN + 1,
    [SLOT('a', 'e')] = MEMBER_AGE + 1,
    [SLOT('d', 'l')] = MEMBER_DELETED + 1,
    [SLOT('g', 'a')] = MEMBER_GUARDED + 1,
    [SLOT('c', 'n')] = MEMBER_CONFIRMING + 1,
    [SLOT('r', 'u')] = MEMBER_ROUNDS + 1,
};

/* Consumes the name of a member at the start of *c, and its colon. MEMBERS: there is another name,
 * or a blank before the colon. */
static inline size_t take_quoted(struct cursor *c, enum name_casing *names)
{
    if ((size_t)(c->end - c->at) < sizeof("\"ip\":") - 1)
        return MEMBERS;
    unsigned char first = (unsigned char)c->at[1];
    unsigned char third = (unsigned char)c->at[3];
    size_t member = members_by_letters[SLOT(first, third)];
    if (member-- == 0)
        return MEMBERS;
    struct slice name = member_names[member].snake;
    if (!begins_with(c->at, c->end, name)) {
        name = member_names[member].camel;
        if (!(cased_fields >> member & 1) || !begins_with(c->at, c->end, name))
            return MEMBERS;
        *names = NAMES_CAMEL;
    }
    c->at += name.size;
    return member;
}
#undef SLOT

/* A name that blanks separate from its colon. */
static size_t take_separated(struct cursor *c, enum name_casing *names)
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
    return take_quoted(&copy, names);
}

/* The name of a known member, its colon and blanks; MEMBERS if there is none. */
static inline size_t take_name(struct cursor *c, enum name_casing *names)
{
    size_t member = take_quoted(c, names);
    if (member == MEMBERS)
        return take_separated(c, names);
    if (is_at_blank(c))
        skip_blanks(c);
    return member;
}

/* A port, or a weight. */
static bool take_int64(struct cursor *c, int64_t *out)
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
        return take_int64(c, &out->spec.port);
    case MEMBER_METADATA:
        return take_metadata(c, out);
    case MEMBER_WEIGHT:
        out->spec.has_weight = true;
        return take_int64(c, &out->spec.weight);
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
    if (!take(c, '{'))
        return false;
    do {
        size_t member = take_name(c, &out->names);
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

static bool take_named(struct cursor *c, struct slice name)
{
    bool found = begins_with(c->at, c->end, name);
    c->at += found ? name.size : 0;
    return found;
}

bool fast_change_read(struct slice text, struct fast_record *instance, struct slice *type,
                      struct slice *time)
{
    if (text.size == 0) /* data may be NULL */
        return false;
    struct cursor c = {text.data, text.data + text.size};
    return take_named(&c, SLICE("{\"instance\":")) && take_record(&c, instance) &&
           take_named(&c, SLICE(",\"change_type\":")) && take_string(&c, type) &&
           take_named(&c, SLICE(",\"change_time\":")) && take_string(&c, time) && take(&c, '}') &&
           c.at == c.end;
}

/* --- keys ------------------------------------------------------------------------------------- */

static inline bool take_exactly(struct cursor *c, char wanted)
{
    bool found = c->at < c->end && *c->at == wanted;
    c->at += found;
    return found;
}

/* Copies the part of a key at `at` to *to, if `before` precedes it there. Returns its end; NULL: it
 * is not of that form, or not 1 to ID_BYTES_MAX plain bytes. */
__attribute__((always_inline)) static inline const char *
copy_part(const char *at, const char *end, const struct slice before, char **to)
{
    if (!begins_with(at, end, before))
        return NULL;
    at += before.size;
    size_t size = text_copy_plain(*to, at, end);
    if (size - 1 >= ID_BYTES_MAX) /* 0 wraps */
        return NULL;
    *to += size;
    return at + size;
}

/* Packs the parts of a key that are written in the usual order and without blanks. What precedes a
 * part begins with the quote that ends the part before. Returns the last quote; NULL: it has
 * another form. Both casings have code of their own, in which these texts are constants. */
__attribute__((always_inline)) static inline const char *
pack_parts(const char *at, const char *end, const bool camel, struct instance_key *key)
{
#define BEFORE(snake, other) (camel ? SLICE(other) : SLICE(snake))
    char *to = key->bytes;
    if (!(at = copy_part(at, end, BEFORE("{\"region_id\":\"", "{\"regionId\":\""), &to)))
        return NULL;
    key->end[FIELD_REGION] = (uint16_t)(to - key->bytes);
    if (!(at = copy_part(at, end, BEFORE("\",\"zone_id\":\"", "\",\"zoneId\":\""), &to)))
        return NULL;
    key->end[FIELD_ZONE] = (uint16_t)(to - key->bytes);
    char *service = to;
    if (!(at = copy_part(at, end, BEFORE("\",\"service_id\":\"", "\",\"serviceId\":\""), &to)))
        return NULL;
    text_lower_plain(service, (size_t)(to - service));
    key->end[FIELD_SERVICE] = (uint16_t)(to - key->bytes);
    char *group = to;
    const char *after = copy_part(at, end, BEFORE("\",\"group_id\":\"", "\",\"groupId\":\""), &to);
    if (after)
        at = after;
    if (after && slice_equal((struct slice){group, (size_t)(to - group)}, SLICE("default")))
        to = group;
    key->end[FIELD_GROUP] = (uint16_t)(to - key->bytes);
    if (!(at = copy_part(at, end, BEFORE("\",\"instance_id\":\"", "\",\"instanceId\":\""), &to)))
        return NULL;
    key->end[FIELD_INSTANCE] = (uint16_t)(to - key->bytes);
    return at;
#undef BEFORE
}

/* True without the member. */
static inline bool take_usual_number(struct cursor *c, struct slice before, uint64_t *out)
{
    if (!begins_with(c->at, c->end, before))
        return true;
    c->at += before.size;
    return take_number(c, out);
}

/* What peers add to a key, in the order in which they write it. */
static inline bool take_usual_stamp(struct cursor *c, struct wire_record *out)
{
    const struct slice origin = SLICE(",\"origin\":");
    if (c->at < c->end && *c->at == '}')
        return true;
    if (!take_usual_number(c, SLICE(",\"revision\":"), &out->client_revision) ||
        !take_usual_number(c, SLICE(",\"version\":"), &out->stamp.hlc))
        return false;
    if (begins_with(c->at, c->end, origin)) {
        c->at += origin.size;
        if (!take_string(c, &out->stamp.node_id))
            return false;
    }
    return take_usual_number(c, SLICE(",\"age_ms\":"), &out->age_ms);
}

static inline bool take_usual_key(struct cursor *c, bool camel, struct instance_key *key,
                                  struct fast_element *out)
{
    struct cursor after = {camel ? pack_parts(c->at, c->end, true, key)
                                 : pack_parts(c->at, c->end, false, key),
                           c->end};
    if (!after.at || !take_exactly(&after, '"') || !take_usual_stamp(&after, &out->record) ||
        !take_exactly(&after, '}'))
        return false;
    out->whole = (struct slice){c->at, (size_t)(after.at - c->at)};
    out->record.key = key;
    out->names = camel ? NAMES_CAMEL : NAMES_SNAKE;
    *c = after;
    return true;
}

/* A key in another order, or with other members. */
static bool take_other_key(struct cursor *c, struct instance_key *key, struct fast_element *out)
{
    struct fast_record fast;
    struct instance_key made;
    struct field_problem problem;
    fast.metadata = NULL;
    if (!take_record(c, &fast))
        return false;
    out->whole = fast.whole;
    out->names = fast.names;
    fast_record_wire(&fast, &out->record);
    enum error error = fast.spec.is_plain ? instance_key_make_plain(fast.spec.text, &made, &problem)
                                          : instance_key_make(fast.spec.text, &made, &problem);
    if (error)
        return true; /* without a key */
    struct slice packed = instance_key_packed(&made);
    memcpy(key, packed.data, packed.size);
    out->record.key = key;
    return true;
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

bool fast_list_open(struct slice body, bool keys, struct fast_list *out)
{
    if (body.size == 0) /* data may be NULL */
        return false;
    struct cursor c = {body.data, body.data + body.size};
    out->names = NAMES_NEUTRAL;
    if (!take_list_name(&c, keys, &out->names) || !take(&c, '['))
        return false;
    out->at = c.at;
    out->end = c.end;
    return true;
}

bool fast_list_take(struct fast_list *list, struct fast_record *out)
{
    struct cursor c = {list->at, list->end};
    bool taken = take_record(&c, out);
    list->at = c.at;
    return taken;
}

bool fast_list_take_key(struct fast_list *list, struct instance_key *key, struct fast_element *out)
{
    struct cursor c = {list->at, list->end};
    *out = (struct fast_element){0};
    bool taken = take_usual_key(&c, list->names == NAMES_CAMEL, key, out);
    if (!taken) {
        *out = (struct fast_element){0};
        taken = take_other_key(&c, key, out);
    }
    list->at = c.at;
    return taken;
}

bool fast_list_continues(struct fast_list *list)
{
    struct cursor c = {list->at, list->end};
    bool continues = take(&c, ',');
    list->at = c.at;
    return continues;
}

bool fast_list_ends(const struct fast_list *list)
{
    struct cursor c = {list->at, list->end};
    return take(&c, ']') && take(&c, '}') && c.at == c.end;
}
