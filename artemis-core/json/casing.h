/* SPDX-License-Identifier: Apache-2.0
 *
 * casing - the two spellings of member names in JSON and of query parameters.
 *
 * `service_id` is the snake_case spelling and `serviceId` the camelCase spelling of one name. The
 * names in a request determine the casing of the response.
 */
#pragma once

enum casing { CASING_SNAKE, CASING_CAMEL };

/* The casing of the names in a request. Only names whose spellings differ count. If a request uses
 * both casings, the greater value applies. */
enum name_casing {
    NAMES_NEUTRAL, /* no name has two spellings */
    NAMES_SNAKE,
    NAMES_CAMEL,
};

/* Adds the casing of more names of the same request. */
static inline void name_casing_add(enum name_casing *names, enum name_casing other)
{
    if (other > *names)
        *names = other;
}
