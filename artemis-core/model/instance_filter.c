/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/model/instance_filter.h"

#include <stdio.h>
#include <string.h>

enum { QUOTED_BYTES = 160 };

/* --- reading ---------------------------------------------------------------------------------- */

static enum error refuse(char problem[PROBLEM_BYTES], const char *rule, struct slice value)
{
    char quoted[QUOTED_BYTES];
    text_quote(quoted, sizeof(quoted), value);
    snprintf(problem, PROBLEM_BYTES, "%s, is %s", rule, quoted);
    return ERR_INVALID_FIELD;
}

static struct slice part_before(struct slice text, char separator)
{
    const char *end = text.size ? memchr(text.data, separator, text.size) : NULL;
    return (struct slice){text.data, end ? (size_t)(end - text.data) : text.size};
}

static unsigned statuses_of(struct slice word)
{
    if (slice_equal(word, SLICE("all")))
        return STATUSES_ALL;
    for (enum instance_status status = 0; status < STATUS_OTHER; status++)
        if (slice_equal(word, instance_status_name(status)))
            return status == STATUS_UNKNOWN ? 1u << STATUS_UNKNOWN | 1u << STATUS_OTHER
                                            : 1u << status;
    return 0;
}

enum error instance_filter_read_statuses(struct slice words, unsigned *statuses,
                                         char problem[PROBLEM_BYTES])
{
    unsigned chosen = 0;
    struct slice rest = words;
    for (;;) {
        struct slice word = part_before(rest, ',');
        unsigned found = statuses_of(word);
        if (!found)
            return refuse(problem,
                          "must be all, or some of up, starting, down, unhealthy and unknown "
                          "with commas between",
                          words);
        chosen |= found;
        if (word.size == rest.size)
            break;
        rest = (struct slice){rest.data + word.size + 1, rest.size - word.size - 1};
    }
    *statuses = chosen;
    return ERR_NONE;
}

enum error instance_filter_read_id(struct slice id, struct slice *out, char problem[PROBLEM_BYTES])
{
    if (id.size == 0 || id.size > ID_BYTES_MAX)
        return refuse(problem, "must be 1 to 255 bytes", id);
    *out = id;
    return ERR_NONE;
}

enum error instance_filter_read_near(struct slice place, struct instance_filter *filter,
                                     char problem[PROBLEM_BYTES])
{
    struct slice region = part_before(place, '/');
    size_t rest = region.size < place.size ? place.size - region.size - 1 : 0;
    if (region.size == 0 || region.size > ID_BYTES_MAX || rest == 0 || rest > ID_BYTES_MAX)
        return refuse(problem, "must be REGION/ZONE, of 1 to 255 bytes each", place);
    filter->near_region = region;
    filter->near_zone = (struct slice){place.data + region.size + 1, rest};
    return ERR_NONE;
}

enum error instance_filter_add_metadata(struct instance_filter *filter, struct metadata_entry entry,
                                        char problem[PROBLEM_BYTES])
{
    size_t bytes = entry.name.size + entry.value.size;
    size_t index = 0;
    if (entry.name.size == 0)
        return refuse(problem, "must name an entry of the metadata (meta.KEY)", entry.name);
    for (size_t i = 0; i < filter->metadata_count; i++) {
        const struct metadata_entry *other = &filter->metadata[i];
        int order = slice_compare(other->name, entry.name);
        if (order == 0)
            return refuse(problem, "must be given once", entry.name);
        index += order < 0;
        bytes += other->name.size + other->value.size;
    }
    if (filter->metadata_count == FILTER_METADATA_MAX) {
        snprintf(problem, PROBLEM_BYTES, "at most %d entries of the metadata may be given",
                 FILTER_METADATA_MAX);
        return ERR_INVALID_FIELD;
    }
    if (bytes > FILTER_METADATA_BYTES_MAX) {
        snprintf(problem, PROBLEM_BYTES,
                 "names and values of metadata must be at most %d bytes together, are %zu",
                 FILTER_METADATA_BYTES_MAX, bytes);
        return ERR_INVALID_FIELD;
    }
    memmove(filter->metadata + index + 1, filter->metadata + index,
            (filter->metadata_count - index) * sizeof(entry));
    filter->metadata[index] = entry;
    filter->metadata_count++;
    return ERR_NONE;
}

/* --- deciding --------------------------------------------------------------------------------- */

bool instance_filter_matches_place(const struct instance_filter *filter, struct slice region,
                                   struct slice zone)
{
    return (filter->zone.size == 0 || slice_equal(filter->zone, zone)) &&
           (filter->region.size == 0 || slice_equal(filter->region, region));
}

static bool has_metadata(const struct instance *instance, const struct metadata_entry *wanted)
{
    struct metadata_entry entry;
    size_t cursor = 0;
    while (instance_next_metadata(instance, &cursor, &entry))
        if (slice_equal(entry.name, wanted->name) && slice_equal(entry.value, wanted->value))
            return true;
    return false;
}

bool instance_filter_matches(const struct instance_filter *filter, const struct instance *instance)
{
    if (!(filter->statuses >> instance_status(instance) & 1) ||
        !instance_filter_matches_place(filter, instance_text(instance, FIELD_REGION),
                                       instance_text(instance, FIELD_ZONE)))
        return false;
    for (size_t i = 0; i < filter->metadata_count; i++)
        if (!has_metadata(instance, &filter->metadata[i]))
            return false;
    return true;
}

enum nearness instance_filter_nearness(const struct instance_filter *filter, struct slice region,
                                       struct slice zone)
{
    if (!slice_equal(filter->near_region, region))
        return NEAR_BEYOND;
    return slice_equal(filter->near_zone, zone) ? NEAR_ZONE : NEAR_REGION;
}

static void swap(struct instance **a, struct instance **b)
{
    struct instance *kept = *a;
    *a = *b;
    *b = kept;
}

/* Moves those at a distance to the front; returns how many they are. */
static size_t move_near(const struct instance_filter *filter, struct instance **instances,
                        size_t count, enum nearness nearness)
{
    size_t moved = 0;
    for (size_t i = 0; i < count; i++)
        if (instance_filter_nearness(filter, instance_text(instances[i], FIELD_REGION),
                                     instance_text(instances[i], FIELD_ZONE)) == nearness)
            swap(&instances[moved++], &instances[i]);
    return moved;
}

size_t instance_filter_apply(const struct instance_filter *filter, struct instance **instances,
                             size_t count, struct near_counts *near)
{
    size_t matching = 0;
    *near = (struct near_counts){.is_given = filter->near_region.size > 0};
    for (size_t i = 0; i < count; i++)
        if (instance_filter_matches(filter, instances[i]))
            swap(&instances[matching++], &instances[i]);
    size_t placed = 0;
    for (enum nearness each = 0; near->is_given && each < NEARNESS_COUNT; each++) {
        near->count[each] = move_near(filter, instances + placed, matching - placed, each);
        placed += near->count[each];
    }
    return matching;
}

static char *put(char *out, char tag, struct slice text)
{
    uint16_t size = (uint16_t)text.size;
    *out++ = tag;
    memcpy(out, &size, sizeof(size));
    if (size)
        memcpy(out + sizeof(size), text.data, size);
    return out + sizeof(size) + size;
}

size_t instance_filter_key(const struct instance_filter *filter, char out[FILTER_KEY_BYTES_MAX])
{
    char *end = out;
    *end++ = (char)filter->statuses;
    if (filter->zone.size)
        end = put(end, 'z', filter->zone);
    if (filter->region.size)
        end = put(end, 'r', filter->region);
    if (filter->near_region.size) {
        end = put(end, 'R', filter->near_region);
        end = put(end, 'Z', filter->near_zone);
    }
    for (size_t i = 0; i < filter->metadata_count; i++) {
        end = put(end, 'n', filter->metadata[i].name);
        end = put(end, 'v', filter->metadata[i].value);
    }
    return (size_t)(end - out);
}

/* Where a text of the key belongs: the tag is that of put(). */
static struct slice *text_of(struct instance_filter *filter, char tag)
{
    switch (tag) {
    case 'z':
        return &filter->zone;
    case 'r':
        return &filter->region;
    case 'R':
        return &filter->near_region;
    case 'Z':
        return &filter->near_zone;
    case 'n':
        return &filter->metadata[filter->metadata_count].name;
    default:
        return &filter->metadata[filter->metadata_count++].value;
    }
}

void instance_filter_of_key(struct slice key, struct instance_filter *out)
{
    const char *const end = key.data + key.size;
    *out = (struct instance_filter){.statuses = (unsigned char)key.data[0]};
    for (const char *at = key.data + 1; at < end;) {
        uint16_t size;
        memcpy(&size, at + 1, sizeof(size));
        *text_of(out, at[0]) = (struct slice){at + FILTER_PART_BYTES, size};
        at += FILTER_PART_BYTES + size;
    }
}
