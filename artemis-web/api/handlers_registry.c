/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/api/handlers.h"

#include <stdio.h>

static enum error apply_register(struct request *request, struct batch *batch, size_t index)
{
    struct instance *instance;
    enum error error = batch_instance(batch, index, &instance);
    if (error == ERR_INVALID_FIELD)
        return ERR_NONE; /* recorded in the batch */
    if (error)
        return error;
    error = registry_register(request->engine->registry, instance, request->now);
    instance_unref(instance);
    return error;
}

static enum error apply_heartbeat(struct request *request, struct batch *batch, size_t index)
{
    struct instance_key key;
    enum error error = batch_key(batch, index, &key);
    if (error == ERR_INVALID_FIELD)
        return ERR_NONE; /* recorded in the batch */
    if (error)
        return error;
    error = registry_renew(request->engine->registry, &key, request->now);
    return error ? batch_fail(batch, index, error, &key) : ERR_NONE;
}

static enum error apply_unregister(struct request *request, struct batch *batch, size_t index)
{
    struct instance_key key;
    enum error error = batch_key(batch, index, &key);
    if (error == ERR_INVALID_FIELD)
        return ERR_NONE; /* recorded in the batch */
    if (!error)
        registry_unregister(request->engine->registry, &key, request->now);
    return error;
}

enum error handle_batch(struct request *request, struct response *response,
                        char message[MESSAGE_BYTES], enum batch_kind kind, apply_item *apply)
{
    struct batch *batch;
    bool camel = false;
    enum error error = batch_parse(request_body(request), kind, &batch, &camel, message);
    request->camel |= camel;
    if (error)
        return error;
    size_t count = batch_count(batch);
    if (count == 0 && request->java) {
        snprintf(message, MESSAGE_BYTES, "instances: must not be empty");
        error = ERR_INVALID_FIELD;
    }
    for (size_t i = 0; i < count && !error; i++)
        error = apply(request, batch, i);
    request->camel |= batch_is_camel(batch);
    if (!error) {
        response->outcome = batch_outcome(batch);
        response->status = 200;
        batch_write_response(batch, request_dialect(request), request->answer_bytes_max,
                             &response->body);
    }
    batch_free(batch);
    return error;
}

enum error handle_register(struct request *request, struct response *response,
                           char message[MESSAGE_BYTES])
{
    return handle_batch(request, response, message, BATCH_OF_INSTANCES, apply_register);
}

enum error handle_heartbeat(struct request *request, struct response *response,
                            char message[MESSAGE_BYTES])
{
    return handle_batch(request, response, message, BATCH_OF_KEYS, apply_heartbeat);
}

enum error handle_unregister(struct request *request, struct response *response,
                             char message[MESSAGE_BYTES])
{
    return handle_batch(request, response, message, BATCH_OF_KEYS, apply_unregister);
}
