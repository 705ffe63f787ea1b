/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/model/topic_name.h"

#include <string.h>

const char topic_name_rule[] = "must be 1 to 128 characters of a-z, 0-9, '.', '_' and '-'";

static bool is_allowed(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

bool topic_name_is_valid(struct slice topic)
{
    if (topic.size == 0 || topic.size > TOPIC_BYTES_MAX)
        return false;
    for (size_t i = 0; i < topic.size; i++)
        if (!is_allowed(topic.data[i]))
            return false;
    return true;
}

bool topic_name_is_reserved(struct slice topic)
{
    static const char prefix[] = "artemis.";
    size_t size = sizeof(prefix) - 1;
    return topic.size >= size && memcmp(topic.data, prefix, size) == 0;
}
