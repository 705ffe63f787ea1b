/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/cluster/providers/consul/consul_response.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "artemis-core/json/codec.h"
#include "artemis-server/cluster/providers/json_text.h"

enum { SCHEME_BYTES = 8 };

/* --- an instance ------------------------------------------------------------------------------ */

static bool is_passing(const json_t *checks)
{
    for (size_t i = 0; i < json_array_size(checks); i++) {
        const char *status =
            json_string_value(json_object_get(json_array_get(checks, i), "Status"));
        if (!status || strcmp(status, "passing") != 0)
            return false;
    }
    return true;
}

/* The address of the service; without one it is that of its agent. */
static const json_t *address_of(const json_t *entry)
{
    const json_t *address = json_object_get(json_object_get(entry, "Service"), "Address");
    if (json_string_length(address) > 0)
        return address;
    return json_object_get(json_object_get(entry, "Node"), "Address");
}

static void read_url(const json_t *entry, char out[MEMBER_URL_BYTES])
{
    char host[MEMBER_URL_BYTES - 32];
    char scheme[SCHEME_BYTES];
    const json_t *service = json_object_get(entry, "Service");
    const json_t *port = json_object_get(service, "Port");
    out[0] = '\0';
    if (!json_text_copy(address_of(entry), host, sizeof(host)) || !host[0] ||
        json_integer_value(port) < 1 || json_integer_value(port) > PORT_MAX)
        return;
    if (!json_text_copy(json_object_get(json_object_get(service, "Meta"), "scheme"), scheme,
                        sizeof(scheme)))
        snprintf(scheme, sizeof(scheme), "http");
    snprintf(out, MEMBER_URL_BYTES, strchr(host, ':') ? "%s://[%s]:%d" : "%s://%s:%d", scheme, host,
             (int)json_integer_value(port));
}

static bool is_instance(const json_t *entry)
{
    const json_t *service = json_object_get(entry, "Service");
    const json_t *checks = json_object_get(entry, "Checks");
    return json_is_object(json_object_get(entry, "Node")) && json_is_object(service) &&
           json_string_length(json_object_get(service, "ID")) > 0 &&
           (!checks || json_is_null(checks) || json_is_array(checks));
}

/* --- responses -------------------------------------------------------------------------------- */

bool consul_read_instances(struct slice body, consul_instance_handler *on_instance, void *context)
{
    struct consul_instance instance;
    char message[MESSAGE_BYTES];
    json_t *root = NULL;
    if (!body.data || json_read(body, 0, &root, message))
        return false;
    bool is_valid = json_is_array(root);
    for (size_t i = 0; i < json_array_size(root) && is_valid; i++)
        is_valid = is_instance(json_array_get(root, i));
    for (size_t i = 0; i < json_array_size(root) && is_valid; i++) {
        const json_t *entry = json_array_get(root, i);
        const json_t *id = json_object_get(json_object_get(entry, "Service"), "ID");
        if (!is_passing(json_object_get(entry, "Checks")))
            continue;
        json_text_copy_printable(slice_of(json_string_value(id)), instance.id, sizeof(instance.id));
        read_url(entry, instance.url);
        on_instance(context, &instance);
    }
    json_decref(root);
    return is_valid;
}

bool consul_read_index(const char *header, uint64_t *index)
{
    if (!header || !slice_to_u64(slice_of(header), index))
        return false;
    if (*index == 0)
        *index = 1;
    return true;
}

void consul_read_message(struct slice body, char out[CONSUL_MESSAGE_BYTES])
{
    json_text_copy_printable(body, out, CONSUL_MESSAGE_BYTES);
}
