/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/model/instance.h"

#include <stdio.h>
#include <stdlib.h>

#include "artemis-core/base/text_scan.h"
#include "artemis-core/model/instance_internal.h"

#define NAMES(snake, camel) snake, camel, sizeof(snake) - 1, sizeof(camel) - 1
static const struct field_info fields[TEXT_FIELDS] = {
    [FIELD_REGION] = {NAMES("region_id", "regionId"), true, ID_BYTES_MAX},
    [FIELD_ZONE] = {NAMES("zone_id", "zoneId"), true, ID_BYTES_MAX},
    [FIELD_SERVICE] = {NAMES("service_id", "serviceId"), true, ID_BYTES_MAX},
    [FIELD_GROUP] = {NAMES("group_id", "groupId"), false, ID_BYTES_MAX},
    [FIELD_INSTANCE] = {NAMES("instance_id", "instanceId"), true, ID_BYTES_MAX},
    [FIELD_IP] = {NAMES("ip", "ip"), false, IP_BYTES_MAX},
    [FIELD_URL] = {NAMES("url", "url"), false, LONG_TEXT_BYTES_MAX},
    [FIELD_STATUS] = {NAMES("status", "status"), false, STATUS_BYTES_MAX},
    [FIELD_MACHINE_NAME] = {NAMES("machine_name", "machineName"), false, LONG_TEXT_BYTES_MAX},
    [FIELD_PROTOCOL] = {NAMES("protocol", "protocol"), false, LONG_TEXT_BYTES_MAX},
    [FIELD_HEALTH_CHECK_URL] = {NAMES("health_check_url", "healthCheckUrl"), false,
                                LONG_TEXT_BYTES_MAX},
};
#undef NAMES

static const char *const status_names[] = {
    [STATUS_UP] = "up",           [STATUS_STARTING] = "starting",
    [STATUS_DOWN] = "down",       [STATUS_UNHEALTHY] = "unhealthy",
    [STATUS_UNKNOWN] = "unknown", [STATUS_OTHER] = "unknown",
};

const struct field_info *instance_field_info(enum instance_field field)
{
    assert(field < TEXT_FIELDS);
    return &fields[field];
}

struct slice instance_status_name(enum instance_status status)
{
    return slice_of(status_names[status]);
}

/* --- validation ------------------------------------------------------------------------------- */

/* The first control character (C0, DEL, C1), or -1. */
static ptrdiff_t find_control(struct slice text)
{
    if (text.size == 0)
        return -1;
    const char *end = text.data + text.size;
    for (const char *at = text.data; at < end; at++) {
        at += text_plain_size(at, end);
        if (at == end)
            break;
        unsigned char c = (unsigned char)*at;
        bool c1 = c == 0xC2 && at + 1 < end && (unsigned char)at[1] < 0xA0;
        if (c < 0x20 || c == 0x7f || c1)
            return at - text.data;
    }
    return -1;
}

static enum error check_closely(enum instance_field field, struct slice text,
                                struct field_problem *problem)
{
    const struct field_info *info = &fields[field];
    problem->field = info->name;
    if (info->required && !text.data) {
        snprintf(problem->problem, PROBLEM_BYTES, "is required");
        return ERR_INVALID_FIELD;
    }
    if (info->required && text.size == 0) {
        snprintf(problem->problem, PROBLEM_BYTES, "must be 1 to %u bytes, is \"\"",
                 info->bytes_max);
        return ERR_INVALID_FIELD;
    }
    if (text.size > info->bytes_max) {
        char value[128];
        text_quote(value, sizeof(value), text);
        snprintf(problem->problem, PROBLEM_BYTES, "must be %s%u bytes, is %zu bytes: %s",
                 info->required ? "1 to " : "at most ", info->bytes_max, text.size, value);
        return ERR_INVALID_FIELD;
    }
    ptrdiff_t control = find_control(text);
    if (control >= 0) {
        char value[128];
        text_quote(value, sizeof(value), text);
        snprintf(problem->problem, PROBLEM_BYTES,
                 "must not contain control characters, has 0x%02x at byte %td: %s",
                 (unsigned)(unsigned char)text.data[control], control, value);
        return ERR_INVALID_FIELD;
    }
    return ERR_NONE;
}

/* `is_plain`: the text is known to be plain. */
static inline enum error check_text(enum instance_field field, struct slice text, bool is_plain,
                                    struct field_problem *problem)
{
    const struct field_info *info = &fields[field];
    bool has_valid_size = text.size >= info->required && text.size <= info->bytes_max;
    if (has_valid_size && (is_plain || text.size == 0 ||
                           text_plain_size(text.data, text.data + text.size) == text.size))
        return ERR_NONE;
    return check_closely(field, text, problem);
}

static enum error check_metadata(const struct instance_spec *spec, struct field_problem *problem)
{
    problem->field = "metadata";
    if (spec->metadata_count > METADATA_ENTRIES_MAX) {
        snprintf(problem->problem, PROBLEM_BYTES, "must have at most %d entries, has %zu",
                 METADATA_ENTRIES_MAX, spec->metadata_count);
        return ERR_INVALID_FIELD;
    }
    size_t bytes = 0;
    for (size_t i = 0; i < spec->metadata_count; i++) {
        if (spec->metadata[i].name.size == 0) {
            snprintf(problem->problem, PROBLEM_BYTES, "must not have an empty name");
            return ERR_INVALID_FIELD;
        }
        bytes += spec->metadata[i].name.size + spec->metadata[i].value.size;
    }
    if (bytes > METADATA_BYTES_MAX) {
        snprintf(problem->problem, PROBLEM_BYTES, "must be at most %d bytes together, is %zu",
                 METADATA_BYTES_MAX, bytes);
        return ERR_INVALID_FIELD;
    }
    return ERR_NONE;
}

static enum error check_spec(const struct instance_spec *spec, struct field_problem *problem)
{
    for (enum instance_field field = 0; field < TEXT_FIELDS; field++) {
        enum error error = check_text(field, spec->text[field], spec->is_plain, problem);
        if (error)
            return error;
    }
    if (spec->port < 0 || spec->port > PORT_MAX) {
        problem->field = "port";
        snprintf(problem->problem, PROBLEM_BYTES, "must be 0 to %d, is %lld", PORT_MAX,
                 (long long)spec->port);
        return ERR_INVALID_FIELD;
    }
    if (spec->has_weight && (spec->weight < 0 || spec->weight > WEIGHT_MAX)) {
        problem->field = "weight";
        snprintf(problem->problem, PROBLEM_BYTES, "must be 0 to %d, is %lld", WEIGHT_MAX,
                 (long long)spec->weight);
        return ERR_INVALID_FIELD;
    }
    if (spec->text[FIELD_URL].size == 0 && spec->text[FIELD_IP].size == 0) {
        problem->field = "url";
        snprintf(problem->problem, PROBLEM_BYTES, "is required where ip is missing");
        return ERR_INVALID_FIELD;
    }
    if (spec->client_revision > CLIENT_REVISION_MAX) {
        problem->field = "revision";
        snprintf(problem->problem, PROBLEM_BYTES, "must be at most %llu, is %llu",
                 (unsigned long long)CLIENT_REVISION_MAX,
                 (unsigned long long)spec->client_revision);
        return ERR_INVALID_FIELD;
    }
    return check_metadata(spec, problem);
}

/* --- canonical form --------------------------------------------------------------------------- */

static void lower_case(char *out, struct slice in)
{
    for (size_t i = 0; i < in.size; i++)
        out[i] =
            in.data[i] >= 'A' && in.data[i] <= 'Z' ? (char)(in.data[i] - 'A' + 'a') : in.data[i];
}

static struct slice canonical_group(struct slice group)
{
    return slice_equal(group, SLICE("default")) ? (struct slice){0} : group;
}

/* Writes the parts to `bytes`, which must be large enough, and their ends to `end`. Returns the
 * number of bytes written. */
static size_t pack_key(const struct slice parts[KEY_FIELDS], uint16_t end[KEY_FIELDS], char *bytes)
{
    size_t at = 0;
    for (enum instance_field part = 0; part < KEY_FIELDS; part++) {
        struct slice text = part == FIELD_GROUP ? canonical_group(parts[part]) : parts[part];
        if (part == FIELD_SERVICE)
            lower_case(bytes + at, text);
        else if (text.size)
            memcpy(bytes + at, text.data, text.size);
        at += text.size;
        end[part] = (uint16_t)at;
    }
    return at;
}

static bool needs_brackets(struct slice ip)
{
    return memchr(ip.data, ':', ip.size) && ip.data[0] != '[';
}

/* Appends http://ip:port, with brackets around an IPv6 address. */
static void append_derived_url(struct slice ip, uint16_t port, struct text *out)
{
    bool brackets = needs_brackets(ip);
    text_append_slice(out, brackets ? SLICE("http://[") : SLICE("http://"));
    text_append_slice(out, ip);
    text_append_slice(out, brackets ? SLICE("]:") : SLICE(":"));
    text_append_u64(out, port);
}

static bool take_prefix(struct slice *text, struct slice prefix)
{
    if (text->size < prefix.size || memcmp(text->data, prefix.data, prefix.size) != 0)
        return false;
    text->data += prefix.size;
    text->size -= prefix.size;
    return true;
}

/* Whether the url equals the one derived from ip and port. The spec is valid. */
static bool url_is_derived(const struct instance_spec *spec)
{
    struct slice ip = spec->text[FIELD_IP];
    struct slice rest = spec->text[FIELD_URL];
    uint64_t port;
    if (ip.size == 0 || rest.size == 0)
        return false;
    bool brackets = needs_brackets(ip);
    return take_prefix(&rest, brackets ? SLICE("http://[") : SLICE("http://")) &&
           take_prefix(&rest, ip) && take_prefix(&rest, brackets ? SLICE("]:") : SLICE(":")) &&
           slice_to_u64(rest, &port) && port == (uint64_t)spec->port &&
           (rest.size == 1 || rest.data[0] != '0');
}

static enum instance_status parse_status(struct slice name)
{
    if (name.size == 0)
        return STATUS_UP;
    for (enum instance_status status = 0; status < STATUS_OTHER; status++)
        if (slice_equal(name, instance_status_name(status)))
            return status;
    return STATUS_OTHER;
}

/* What is stored of a spec: no texts that can be derived. */
struct stored_form {
    struct slice text[TEXT_FIELDS];
    enum instance_status status;
    bool has_weight;
    size_t size; /* of `bytes` */
};

/* Bytes of a slice with its size before it. */
static size_t packed_slice_size(struct slice slice)
{
    return slice.size + (slice.size < LONG_SIZE ? 1 : 2);
}

static void choose_form(const struct instance_spec *spec, struct stored_form *form)
{
    memcpy(form->text, spec->text, sizeof(form->text));
    form->text[FIELD_GROUP] = canonical_group(spec->text[FIELD_GROUP]);
    form->status = parse_status(spec->text[FIELD_STATUS]);
    if (form->status != STATUS_OTHER)
        form->text[FIELD_STATUS].size = 0;
    if (url_is_derived(spec))
        form->text[FIELD_URL].size = 0;
    form->has_weight = spec->has_weight && spec->weight != WEIGHT_DEFAULT;
    form->size = spec->client_revision ? sizeof(spec->client_revision) : 0;
    form->size += form->has_weight ? sizeof(uint16_t) : 0;
    for (enum instance_field field = 0; field < TEXT_FIELDS; field++)
        form->size += form->text[field].size;
    for (size_t i = 0; i < spec->metadata_count; i++)
        form->size +=
            packed_slice_size(spec->metadata[i].name) + packed_slice_size(spec->metadata[i].value);
}

static int by_name(const void *a, const void *b)
{
    const struct metadata_entry *left = a;
    const struct metadata_entry *right = b;
    return slice_compare(left->name, right->name);
}

/* Sorts by name, so that the order in which a client sends metadata makes no difference. */
static void sort_metadata(struct metadata_entry *entries, size_t count)
{
    enum { FEW = 8 };
    if (count > FEW) {
        qsort(entries, count, sizeof(*entries), by_name);
        return;
    }
    for (size_t i = 1; i < count; i++) {
        struct metadata_entry entry = entries[i];
        size_t at = i;
        for (; at > 0 && by_name(&entries[at - 1], &entry) > 0; at--)
            entries[at] = entries[at - 1];
        entries[at] = entry;
    }
}

static char *pack_slice(char *to, struct slice slice)
{
    if (slice.size >= LONG_SIZE)
        *to++ = (char)(LONG_SIZE | slice.size >> 8);
    *to++ = (char)(slice.size & 0xFF);
    if (slice.size)
        memcpy(to, slice.data, slice.size);
    return to + slice.size;
}

static char *pack_weight(char *to, uint16_t weight)
{
    memcpy(to, &weight, sizeof(weight));
    return to + sizeof(weight);
}

/* Writes a valid spec to an instance, which has memory for it. */
static void write_instance(const struct instance_spec *spec, const struct stored_form *form,
                           struct instance *made)
{
    made->port = (uint16_t)spec->port;
    made->status = form->status & 0x1F;
    made->has_weight = form->has_weight;
    made->has_client_revision = false;
    made->is_sharing = false;
    made->metadata_count = (uint8_t)spec->metadata_count;
    made->size = (uint16_t)form->size;
    char *to = made->bytes + pack_key(spec->text, made->key_end, made->bytes);
    for (enum instance_field place = KEY_FIELDS; place < TEXT_FIELDS; place++) {
        struct slice text = form->text[text_place(place)];
        if (place == TEXT_FIELDS - 1 && form->has_weight)
            to = pack_weight(to, (uint16_t)spec->weight);
        if (text.size)
            memcpy(to, text.data, text.size);
        to += text.size;
        made->end[place - KEY_FIELDS] = (uint16_t)(to - made->bytes);
    }
    struct metadata_entry sorted[METADATA_ENTRIES_MAX];
    if (spec->metadata_count)
        memcpy(sorted, spec->metadata, spec->metadata_count * sizeof(*sorted));
    sort_metadata(sorted, spec->metadata_count);
    for (size_t i = 0; i < spec->metadata_count; i++) {
        to = pack_slice(to, sorted[i].name);
        to = pack_slice(to, sorted[i].value);
    }
    if (spec->client_revision)
        set_client_revision(made, spec->client_revision);
    assert(to == made->bytes + common_end(made));
}

enum error instance_create(const struct instance_spec *spec, struct instance **out,
                           struct field_problem *problem)
{
    enum error error = check_spec(spec, problem);
    if (error)
        return error;
    struct stored_form form;
    choose_form(spec, &form);
    struct instance *made = malloc(sizeof(*made) + form.size);
    if (!made)
        return ERR_NO_MEMORY;
    atomic_init(&made->refs, 1);
    write_instance(spec, &form, made);
    *out = made;
    return ERR_NONE;
}

struct instance *instance_create_in(const struct instance_spec *spec, void *memory, size_t size)
{
    struct field_problem ignored;
    struct stored_form form;
    if (check_spec(spec, &ignored))
        return NULL;
    choose_form(spec, &form);
    struct instance *made = memory;
    if (size < sizeof(*made) + form.size)
        return NULL;
    atomic_init(&made->refs, 0);
    write_instance(spec, &form, made);
    return made;
}

struct instance *instance_of_key(struct slice packed_key, uint64_t client_revision)
{
    size_t revision_size = client_revision ? sizeof(client_revision) : 0;
    uint16_t key_end[KEY_FIELDS];
    assert(packed_key.size >= sizeof(key_end));
    memcpy(key_end, packed_key.data, sizeof(key_end));
    uint16_t size = key_end[KEY_FIELDS - 1];
    struct instance *instance = malloc(sizeof(*instance) + size + revision_size);
    if (!instance)
        return NULL;
    *instance = (struct instance){.status = STATUS_UP, .size = (uint16_t)(size + revision_size)};
    atomic_init(&instance->refs, 1);
    for (size_t i = 0; i < sizeof(instance->end) / sizeof(instance->end[0]); i++)
        instance->end[i] = size;
    memcpy(instance->key_end, packed_key.data, packed_key.size);
    if (client_revision)
        set_client_revision(instance, client_revision);
    return instance;
}

struct instance *instance_ref(struct instance *instance)
{
    uint32_t before = atomic_fetch_add_explicit(&instance->refs, 1, memory_order_relaxed);
    assert(before > 0);
    return instance;
}

void instance_unref(struct instance *instance)
{
    while (instance && atomic_fetch_sub_explicit(&instance->refs, 1, memory_order_acq_rel) == 1) {
        struct instance *holder = instance->is_sharing ? common_holder(instance) : NULL;
        free(instance);
        instance = holder;
    }
}

/* --- reading ---------------------------------------------------------------------------------- */

static uint16_t end_at(const struct instance *instance, enum instance_field place)
{
    return place < KEY_FIELDS ? instance->key_end[place] : instance->end[place - KEY_FIELDS];
}

struct slice instance_text(const struct instance *instance, enum instance_field field)
{
    enum instance_field place = text_place(field);
    if (field == FIELD_PROTOCOL)
        return (struct slice){common_texts(instance),
                              end_at(instance, place) - common_start(instance)};
    size_t start = place == 0 ? 0 : end_at(instance, place - 1);
    return (struct slice){instance->bytes + start, end_at(instance, place) - start};
}

uint16_t instance_port(const struct instance *instance)
{
    return instance->port;
}

uint32_t instance_weight(const struct instance *instance)
{
    uint16_t weight = WEIGHT_DEFAULT;
    if (instance->has_weight)
        memcpy(&weight, instance->bytes + weight_start(instance), sizeof(weight));
    return weight;
}

enum instance_status instance_status(const struct instance *instance)
{
    return (enum instance_status)instance->status;
}

size_t instance_metadata_count(const struct instance *instance)
{
    return instance->metadata_count;
}

static struct slice unpack_slice(const char *bytes, size_t *at)
{
    size_t size = (unsigned char)bytes[(*at)++];
    if (size >= LONG_SIZE)
        size = (size - LONG_SIZE) << 8 | (unsigned char)bytes[(*at)++];
    struct slice slice = {bytes + *at, size};
    *at += size;
    return slice;
}

bool instance_next_metadata(const struct instance *instance, size_t *cursor,
                            struct metadata_entry *entry)
{
    /* The cursor is an offset in the common texts, after the protocol. */
    size_t at = *cursor ? *cursor : instance->end[OTHER_FIELDS - 1] - common_start(instance);
    if (at >= common_size(instance))
        return false;
    const char *bytes = common_texts(instance);
    entry->name = unpack_slice(bytes, &at);
    entry->value = unpack_slice(bytes, &at);
    *cursor = at;
    return true;
}

void instance_append_url(const struct instance *instance, struct text *out)
{
    struct slice url = instance_text(instance, FIELD_URL);
    if (url.size)
        text_append_slice(out, url);
    else
        append_derived_url(instance_text(instance, FIELD_IP), instance->port, out);
}

uint64_t instance_client_revision(const struct instance *instance)
{
    uint64_t client_revision = 0;
    if (instance->has_client_revision)
        memcpy(&client_revision, instance->bytes + held_size(instance), sizeof(client_revision));
    return client_revision;
}

size_t instance_size(const struct instance *instance)
{
    return sizeof(*instance) + instance->size;
}

bool instance_equal(const struct instance *a, const struct instance *b)
{
    if (a == b)
        return true;
    if (a->size != b->size || a->port != b->port || a->status != b->status ||
        a->metadata_count != b->metadata_count || a->has_weight != b->has_weight ||
        instance_client_revision(a) != instance_client_revision(b))
        return false;
    /* With the same ends, both have as many bytes. */
    const size_t ends = offsetof(struct instance, bytes) - offsetof(struct instance, end);
    if (memcmp(a->end, b->end, ends) != 0 || memcmp(a->bytes, b->bytes, common_start(a)) != 0)
        return false;
    const char *x = common_texts(a), *y = common_texts(b);
    return x == y || memcmp(x, y, common_size(a)) == 0;
}

/* --- keys ------------------------------------------------------------------------------------- */

static inline enum error make_key(const struct slice parts[KEY_FIELDS], bool is_plain,
                                  struct instance_key *out, struct field_problem *problem)
{
    for (enum instance_field part = 0; part < KEY_FIELDS; part++) {
        enum error error = check_text(part, parts[part], is_plain, problem);
        if (error)
            return error;
    }
    pack_key(parts, out->end, out->bytes);
    return ERR_NONE;
}

enum error instance_key_make(const struct slice parts[KEY_FIELDS], struct instance_key *out,
                             struct field_problem *problem)
{
    return make_key(parts, false, out, problem);
}

enum error instance_key_make_plain(const struct slice parts[KEY_FIELDS], struct instance_key *out,
                                   struct field_problem *problem)
{
    return make_key(parts, true, out, problem);
}

enum error instance_key_unpack(struct slice packed, struct instance_key *out)
{
    uint16_t end[KEY_FIELDS];
    if (packed.size < sizeof(end))
        return ERR_INVALID_FIELD;
    memcpy(end, packed.data, sizeof(end));
    struct slice parts[KEY_FIELDS];
    uint16_t start = 0;
    for (enum instance_field part = 0; part < KEY_FIELDS; part++) {
        if (end[part] < start || sizeof(end) + end[part] > packed.size)
            return ERR_INVALID_FIELD;
        parts[part] =
            (struct slice){packed.data + sizeof(end) + start, (size_t)(end[part] - start)};
        start = end[part];
    }
    struct field_problem problem;
    return instance_key_make(parts, out, &problem);
}

struct slice instance_packed_key(const struct instance *instance)
{
    return (struct slice){(const char *)instance->key_end,
                          sizeof(instance->key_end) + instance->key_end[KEY_FIELDS - 1]};
}

enum error service_id_canonical(struct slice id, char out[ID_BYTES_MAX], size_t *out_size,
                                struct field_problem *problem)
{
    enum error error = check_text(FIELD_SERVICE, id, false, problem);
    if (error)
        return error;
    lower_case(out, id);
    *out_size = id.size;
    return ERR_NONE;
}
