/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/call/key_args.h"

#include "artemis/call/call_response.h"
#include "artemis/call/server_call.h"

#include <stdio.h>
#include <string.h>

/* The defaults of the settings server.region and server.zone, for a server that reports none. */
static const char default_region[] = "local";
static const char default_zone[] = "zone1";

/* --- checks ----------------------------------------------------------------------------------- */

/* The argument that sets a part of the key. */
static const char *argument_name(const struct args *args, const char *field)
{
    static const struct {
        const char *field, *argument;
    } names[] = {{"region_id", "--region"}, {"zone_id", "--zone"}, {"group_id", "--group"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i].field, field) == 0)
            return names[i].argument;
    return args->command->positionals[strcmp(field, "instance_id") == 0];
}

static struct slice given_or(const struct args *args, const char *name, const char *text)
{
    const char *given = args_text(args, name);
    return slice_of(given ? given : text);
}

enum error key_args_check(const struct args *args, char problem[ARGS_PROBLEM_MAX])
{
    struct instance_key key;
    struct field_problem invalid;
    const struct slice parts[KEY_FIELDS] = {
        [FIELD_REGION] = given_or(args, "region", default_region),
        [FIELD_ZONE] = given_or(args, "zone", default_zone),
        [FIELD_SERVICE] = slice_of(args->positionals[0]),
        [FIELD_GROUP] = given_or(args, "group", ""),
        [FIELD_INSTANCE] = slice_of(args->positionals[1]),
    };
    enum error error = instance_key_make(parts, &key, &invalid);
    if (error)
        snprintf(problem, ARGS_PROBLEM_MAX, "%s %.200s", argument_name(args, invalid.field),
                 invalid.problem);
    return error;
}

/* --- resolving -------------------------------------------------------------------------------- */

static void copy_part(char part[ID_BYTES_MAX + 1], const char *text, const char *otherwise)
{
    const char *from = text && *text ? text : otherwise;
    size_t length = strnlen(from, ID_BYTES_MAX);
    memcpy(part, from, length);
    part[length] = '\0';
}

/* Sets region and zone to those of the server where they were not given. */
static int read_zone(const struct args *args, struct key_args *key,
                     struct server_call_result *result)
{
    const struct call_request request = {
        .path = "/api/status/node",
        .data = "node_status.node",
    };
    server_call_run(args, &request, result);
    const json_t *status = call_response_field(result->root, "node_status");
    const json_t *zone = call_response_field(call_response_field(status, "node"), "zone");
    if (!key->region[0])
        copy_part(key->region, call_response_text(zone, "region_id"), default_region);
    if (!key->zone[0])
        copy_part(key->zone, call_response_text(zone, "zone_id"), default_zone);
    return (int)result->outcome.exit_code;
}

int key_args_try(const struct args *args, struct key_args *key, struct server_call_result *failure)
{
    const char *group = args_text(args, "group");
    *failure = (struct server_call_result){0};
    *key = (struct key_args){
        .service = args->positionals[0],
        .instance = args->positionals[1],
        .group = group ? group : "",
    };
    copy_part(key->region, args_text(args, "region"), "");
    copy_part(key->zone, args_text(args, "zone"), "");
    return key->region[0] && key->zone[0] ? EXIT_DONE : read_zone(args, key, failure);
}

int key_args_resolve(const struct args *args, struct key_args *key)
{
    char problem[ARGS_PROBLEM_MAX];
    struct server_call_result failure;
    if (key_args_check(args, problem))
        return args_usage_error(args->command, problem);
    int exit_code = key_args_try(args, key, &failure);
    if (exit_code != EXIT_DONE)
        exit_code = server_call_report(args, &failure);
    server_call_result_free(&failure);
    return exit_code;
}

/* --- matching --------------------------------------------------------------------------------- */

/* The wire has three forms of "no group". */
static const char *canonical_group(const char *group)
{
    return strcmp(group, "default") == 0 ? "" : group;
}

static bool has_group(const json_t *instance, const char *group)
{
    return strcmp(canonical_group(call_response_text(instance, "group_id")),
                  canonical_group(group)) == 0;
}

static bool has_text(const json_t *instance, const char *field, const char *text)
{
    return strcmp(call_response_text(instance, field), text) == 0;
}

bool key_args_matches_given(const struct args *args, const json_t *instance)
{
    const char *region = args_text(args, "region");
    const char *zone = args_text(args, "zone");
    const char *group = args_text(args, "group");
    return has_text(instance, "instance_id", args->positionals[1]) &&
           (!region || has_text(instance, "region_id", region)) &&
           (!zone || has_text(instance, "zone_id", zone)) && (!group || has_group(instance, group));
}

bool key_args_equals(const struct key_args *key, const json_t *instance)
{
    return has_text(instance, "instance_id", key->instance) &&
           has_text(instance, "region_id", key->region) &&
           has_text(instance, "zone_id", key->zone) && has_group(instance, key->group);
}
