/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/registry_calls.h"

#include <stdio.h>

#include "artemis-server/cluster/providers/member_records.h"

/* The service of the nodes is not for clients. */
static bool may_write(const struct batch_call *call, struct slice service_id)
{
    return token_may_write(call->token, service_id) && !member_service_is(service_id);
}

static enum error fail_no_permission(const struct batch_call *call, struct batch *batch,
                                     size_t index, struct slice service_id)
{
    char quoted[96];
    struct field_problem problem = {.field = "service_id"};
    text_quote(quoted, sizeof(quoted), service_id);
    if (member_service_is(service_id))
        snprintf(problem.problem, sizeof(problem.problem),
                 "%s is reserved for the nodes of the cluster", quoted);
    else
        snprintf(problem.problem, sizeof(problem.problem), "token \"%s\" may not change %s",
                 call->token->name, quoted);
    return batch_fail_field(batch, index, ERR_NO_PERMISSION, &problem);
}

static enum error fail_over_quota(struct batch_call *call, struct batch *batch, size_t index,
                                  enum quota quota, struct slice service_id)
{
    char quoted[96];
    struct field_problem problem = {.field = "service_id"};
    struct engine *engine = call->engine;
    atomic_fetch_add_explicit(&engine->over_quota[quota], 1, memory_order_relaxed);
    text_quote(quoted, sizeof(quoted), service_id);
    if (quota == QUOTA_SERVICES) {
        snprintf(problem.problem, sizeof(problem.problem),
                 "%s is one service more than auth.tokens.max_services = %u", quoted,
                 call->token->max_services);
    } else {
        pthread_mutex_lock(&engine->settings_lock);
        uint32_t max = engine->config->registry.max_instances_per_service;
        pthread_mutex_unlock(&engine->settings_lock);
        snprintf(problem.problem, sizeof(problem.problem),
                 "%s has all of registry.max_instances_per_service = %u", quoted, max);
    }
    return batch_fail_field(batch, index, ERR_OVER_QUOTA, &problem);
}

/* Counts the service of an instance for the token of the client; *is_counted: until
 * token_services_end. An instance that is registered already is not refused. ERR_OVER_QUOTA,
 * ERR_NO_MEMORY. */
static enum error count_service(const struct batch_call *call, const struct instance *instance,
                                bool *is_counted)
{
    const struct token *token = call->token;
    struct registry *registry = call->engine->registry;
    *is_counted = false;
    if (!token || token->max_services == 0)
        return ERR_NONE;
    enum error error = token_services_begin(token->services, token->max_services, registry,
                                            instance_text(instance, FIELD_SERVICE), call->now);
    *is_counted = error == ERR_NONE;
    bool is_known =
        error == ERR_OVER_QUOTA && registry_has_instance(registry, instance_packed_key(instance));
    return is_known ? ERR_NONE : error;
}

/* An item was not registered: records why. Other errors fail the whole call. */
static enum error fail_registration(struct batch_call *call, struct batch *batch, size_t index,
                                    const struct instance *instance, enum error error)
{
    struct slice key = instance_packed_key(instance);
    if (error == ERR_STALE_REVISION)
        return batch_fail_stale(batch, index, instance_client_revision(instance),
                                registry_stored_revision(call->engine->registry, key));
    if (error == ERR_OVER_QUOTA)
        return fail_over_quota(call, batch, index, QUOTA_INSTANCES,
                               instance_text(instance, FIELD_SERVICE));
    return error;
}

static enum error register_one(struct batch_call *call, struct batch *batch, size_t index,
                               struct instance *instance)
{
    struct registry *registry = call->engine->registry;
    struct slice service_id = instance_text(instance, FIELD_SERVICE);
    if (!may_write(call, service_id))
        return fail_no_permission(call, batch, index, service_id);
    bool is_counted;
    enum error error = count_service(call, instance, &is_counted);
    if (error == ERR_OVER_QUOTA)
        return fail_over_quota(call, batch, index, QUOTA_SERVICES, service_id);
    if (error)
        return error;
    struct write_audit_item item;
    write_audit_begin(&call->audit, &item, instance_packed_key(instance));
    error = registry_register(registry, instance, call->now);
    write_audit_end(&call->audit, &item, instance, error);
    if (is_counted)
        token_services_end(call->token->services, registry, service_id, error == ERR_NONE);
    return fail_registration(call, batch, index, instance, error);
}

/* The instances from `index` on that are registered together: valid ones that the client may
 * change, without a quota of services and without records in the audit log. */
static size_t created_instances(const struct batch_call *call, const struct batch *batch,
                                size_t index, struct instance *instances[REGISTRY_KEYS_MAX])
{
    size_t left = batch_count(batch) - index;
    size_t max = left < REGISTRY_KEYS_MAX ? left : REGISTRY_KEYS_MAX;
    size_t count = 0;
    if (call->audit.engine || (call->token && call->token->max_services))
        return 0;
    for (; count < max; count++) {
        instances[count] = batch_created_instance(batch, index + count);
        if (!instances[count] || !may_write(call, instance_text(instances[count], FIELD_SERVICE)))
            break;
    }
    return count;
}

static enum error register_next(struct batch_call *call, struct batch *batch, size_t *next)
{
    struct instance *instance;
    size_t index = (*next)++;
    enum error error = batch_instance(batch, index, &instance);
    if (error == ERR_INVALID_FIELD)
        return ERR_NONE; /* recorded in the batch */
    if (error)
        return error;
    error = register_one(call, batch, index, instance);
    instance_unref(instance);
    return error;
}

static enum error apply_register(struct batch_call *call, struct batch *batch, size_t *next)
{
    struct instance *instances[REGISTRY_KEYS_MAX];
    enum error errors[REGISTRY_KEYS_MAX];
    enum error error = ERR_NONE;
    size_t count = created_instances(call, batch, *next, instances);
    if (count == 0)
        return register_next(call, batch, next);
    registry_register_all(call->engine->registry, instances, count, call->now, errors);
    for (size_t i = 0; i < count && !error; i++) {
        batch_note_names(batch, *next + i);
        error = fail_registration(call, batch, *next + i, instances[i], errors[i]);
    }
    *next += count;
    return error;
}

/* The lease of an item was not renewed. */
static enum error fail_renewal(struct batch_call *call, struct batch *batch, size_t index,
                               const struct instance_key *key)
{
    if (engine_may_lack_instances(call->engine, call->now)) {
        call->not_ready = true; /* the instances after this one are renewed */
        return ERR_NONE;
    }
    return batch_fail(batch, index, ERR_INSTANCE_NOT_FOUND, key);
}

static enum error renew_one(struct batch_call *call, struct batch *batch, size_t index)
{
    struct instance_key key;
    enum error error = batch_key(batch, index, &key);
    if (error == ERR_INVALID_FIELD)
        return ERR_NONE; /* recorded in the batch */
    if (error)
        return error;
    if (!may_write(call, instance_key_part(&key, FIELD_SERVICE)))
        return batch_fail(batch, index, ERR_NO_PERMISSION, &key);
    error = registry_renew(call->engine->registry, &key, call->now);
    return error ? fail_renewal(call, batch, index, &key) : ERR_NONE;
}

/* The keys from `index` on that are packed, and that the client may change. */
static size_t packed_keys(const struct batch_call *call, const struct batch *batch, size_t index,
                          const struct instance_key *keys[REGISTRY_KEYS_MAX])
{
    size_t left = batch_count(batch) - index;
    size_t max = left < REGISTRY_KEYS_MAX ? left : REGISTRY_KEYS_MAX;
    size_t count = 0;
    for (; count < max; count++) {
        keys[count] = batch_packed_key(batch, index + count);
        if (!keys[count] || !may_write(call, instance_key_part(keys[count], FIELD_SERVICE)))
            break;
    }
    return count;
}

static enum error apply_heartbeat(struct batch_call *call, struct batch *batch, size_t *next)
{
    const struct instance_key *keys[REGISTRY_KEYS_MAX];
    bool is_renewed[REGISTRY_KEYS_MAX];
    enum error error = ERR_NONE;
    size_t count = packed_keys(call, batch, *next, keys);
    if (count == 0)
        return renew_one(call, batch, (*next)++);
    registry_renew_all(call->engine->registry, keys, count, call->now, is_renewed);
    for (size_t i = 0; i < count && !error; i++)
        if (!is_renewed[i])
            error = fail_renewal(call, batch, *next + i, keys[i]);
    *next += count;
    batch_note_names(batch, *next - 1);
    return error;
}

static enum error apply_unregister(struct batch_call *call, struct batch *batch, size_t *next)
{
    size_t index = (*next)++;
    struct instance_key key;
    uint64_t client_revision = 0;
    struct registry *registry = call->engine->registry;
    enum error error = batch_key(batch, index, &key);
    if (!error)
        error = batch_client_revision(batch, index, &client_revision);
    if (error == ERR_INVALID_FIELD)
        return ERR_NONE; /* recorded in the batch */
    if (!error && !may_write(call, instance_key_part(&key, FIELD_SERVICE)))
        return batch_fail(batch, index, ERR_NO_PERMISSION, &key);
    if (error)
        return error;
    struct write_audit_item item;
    write_audit_begin(&call->audit, &item, instance_key_packed(&key));
    error = registry_unregister(registry, &key, client_revision, call->now);
    write_audit_end(&call->audit, &item, NULL, error);
    if (error == ERR_STALE_REVISION)
        error = batch_fail_stale(batch, index, client_revision,
                                 registry_stored_revision(registry, instance_key_packed(&key)));
    return error;
}

static enum dialect call_dialect(const struct batch_call *call)
{
    return dialect_choose(call->java, call->names, call->engine->config->server.default_casing);
}

enum error registry_call_batch(struct batch_call *call, enum batch_kind kind,
                               batch_call_apply *apply, char message[MESSAGE_BYTES])
{
    struct batch *batch;
    enum name_casing names;
    enum error error = batch_parse(call->body, kind, &batch, &names, message);
    name_casing_add(&call->names, names);
    if (error)
        return error;
    size_t count = batch_count(batch);
    if (count == 0 && call->java) {
        snprintf(message, MESSAGE_BYTES, "instances: must not be empty");
        error = ERR_INVALID_FIELD;
    }
    for (size_t next = 0; next < count && !error;)
        error = apply(call, batch, &next);
    write_audit_rest(&call->audit);
    name_casing_add(&call->names, batch_names(batch));
    if (!error && call->not_ready) {
        snprintf(message, MESSAGE_BYTES,
                 "an instance is unknown here, but this node does not have the data of its peers "
                 "yet; the others are renewed");
        error = ERR_NOT_READY;
    }
    if (!error) {
        call->outcome = batch_outcome(batch);
        call->success = batch_success(batch, call_dialect(call));
        if (call->success.size == 0)
            batch_write_response(batch, call_dialect(call), call->failed_bytes_max, call->response);
    }
    batch_free(batch);
    return error;
}

enum error registry_call_register(struct batch_call *call, char message[MESSAGE_BYTES])
{
    return registry_call_batch(call, BATCH_OF_INSTANCES, apply_register, message);
}

enum error registry_call_heartbeat(struct batch_call *call, char message[MESSAGE_BYTES])
{
    return registry_call_batch(call, BATCH_OF_KEYS, apply_heartbeat, message);
}

enum error registry_call_unregister(struct batch_call *call, char message[MESSAGE_BYTES])
{
    return registry_call_batch(call, BATCH_OF_KEYS, apply_unregister, message);
}
