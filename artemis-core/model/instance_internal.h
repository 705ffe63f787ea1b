/* SPDX-License-Identifier: Apache-2.0
 *
 * instance_internal - the layout of an instance, which the files of the module share. Not for other
 * modules.
 */
#pragma once

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "artemis-core/model/instance.h"

enum {
    OTHER_FIELDS = TEXT_FIELDS - KEY_FIELDS, /* texts that are not part of the key */
    LONG_SIZE = 0x80, /* sizes from here on take two bytes: the upper bits, with this bit set, and
                         the lower 8 */
};

/* One allocation. `key_end` and the start of `bytes` have the layout of a struct instance_key, so
 * one memcmp compares keys. `bytes` holds, in this order:
 *
 * - the key, then the other texts, each in its text_place;
 * - before the protocol, which is the last text: the weight, if it is not the default;
 * - the metadata, each name and value preceded by its size in one byte, or in two from LONG_SIZE
 *   on;
 * - the client revision, if there is one.
 *
 * The protocol and the metadata are the common texts: most instances of a service have the same
 * ones. An instance that shares them has, in their place, a pointer to the instance that holds them
 * (a reference). Its ends and sizes are those of an instance that holds them itself. */
struct instance {
    _Atomic uint32_t refs; /* 0: temporary */
    uint16_t port;
    uint8_t status : 5;
    uint8_t has_weight : 1;
    uint8_t has_client_revision : 1;
    uint8_t is_sharing : 1;
    uint8_t metadata_count;
    uint16_t size; /* of `bytes`, common texts included */
    uint16_t end[OTHER_FIELDS];
    uint16_t key_end[KEY_FIELDS];
    char bytes[];
};

static_assert(METADATA_BYTES_MAX < LONG_SIZE << 8, "a size of metadata fits two bytes");
/* instance_equal compares from `end` on, and keys from `key_end` on: there must be no padding. */
static_assert(offsetof(struct instance, bytes) ==
                      offsetof(struct instance, end) +
                          sizeof(uint16_t) * (OTHER_FIELDS + KEY_FIELDS) &&
                  offsetof(struct instance, bytes) == sizeof(struct instance),
              "the bytes follow the ends of the key");
/* All offsets fit 16 bits. */
static_assert(KEY_FIELDS * ID_BYTES_MAX + IP_BYTES_MAX + STATUS_BYTES_MAX +
                      4 * LONG_TEXT_BYTES_MAX + METADATA_BYTES_MAX + 4 * METADATA_ENTRIES_MAX +
                      sizeof(uint64_t) + sizeof(uint16_t) <
                  UINT16_MAX,
              "an instance is smaller than 64 KiB");

/* The texts are in the order of the fields, except that these two are exchanged: the protocol is
 * next to the metadata. Also the field whose text is in a place. */
static inline enum instance_field text_place(enum instance_field field)
{
    if (field == FIELD_PROTOCOL)
        return FIELD_HEALTH_CHECK_URL;
    return field == FIELD_HEALTH_CHECK_URL ? FIELD_PROTOCOL : field;
}

/* Where the weight is, if there is one: after the last text that is not a common one. */
static inline size_t weight_start(const struct instance *instance)
{
    return instance->end[OTHER_FIELDS - 2];
}

/* Where the common texts begin. */
static inline size_t common_start(const struct instance *instance)
{
    return weight_start(instance) + (instance->has_weight ? sizeof(uint16_t) : 0);
}

/* Where the metadata ends, if the instance holds it. */
static inline size_t common_end(const struct instance *instance)
{
    return instance->size - (instance->has_client_revision ? sizeof(uint64_t) : 0);
}

static inline size_t common_size(const struct instance *instance)
{
    return common_end(instance) - common_start(instance);
}

/* The instance that holds the common texts. */
static inline struct instance *common_holder(const struct instance *instance)
{
    struct instance *holder = (struct instance *)instance;
    if (instance->is_sharing)
        memcpy(&holder, instance->bytes + common_start(instance), sizeof(holder));
    return holder;
}

static inline const char *common_texts(const struct instance *instance)
{
    const struct instance *holder = common_holder(instance);
    return holder->bytes + common_start(holder);
}

/* Bytes that the instance itself holds before its client revision. */
static inline size_t held_size(const struct instance *instance)
{
    return instance->is_sharing ? common_start(instance) + sizeof(struct instance *)
                                : common_end(instance);
}

static inline size_t client_revision_size(const struct instance *instance)
{
    return instance->has_client_revision ? sizeof(uint64_t) : 0;
}

/* Writes the client revision after the other bytes, where there is space for it. */
static inline void set_client_revision(struct instance *instance, uint64_t client_revision)
{
    instance->has_client_revision = true;
    memcpy(instance->bytes + held_size(instance), &client_revision, sizeof(client_revision));
}
