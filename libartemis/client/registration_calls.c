/* SPDX-License-Identifier: Apache-2.0
 *
 * The calls of artemis.h for instances: artemis_register, artemis_heartbeat, artemis_set_status,
 * artemis_unregister.
 */
#include "libartemis/base/clock.h"
#include "libartemis/base/instance_argument.h"
#include "libartemis/base/problem.h"
#include "libartemis/client/client.h"

static enum artemis_error invalid(struct artemis_problem *problem, const char *what,
                                  enum error error, const struct field_problem *field)
{
    if (error == ERR_NO_MEMORY)
        return problem_no_memory(problem);
    return problem_set(problem, ARTEMIS_INVALID, "%s.%s: %s", what, field->field, field->problem);
}

static bool is_done(void *context)
{
    const struct completion *completion = context;
    return completion->done;
}

/* Under the lock: waits for the completion, and returns its result. */
static enum artemis_error wait_for(struct artemis_client *client, struct completion *completion,
                                   uint64_t start_ms, int timeout_ms,
                                   struct artemis_problem *problem)
{
    if (client_wait(client, is_done, completion, start_ms + (uint64_t)timeout_ms)) {
        if (problem && completion->problem.error)
            *problem = completion->problem;
        return completion->problem.error;
    }
    registrations_cancel_completion(completion);
    const char *cause = client->shared.registry_problem;
    return problem_set(problem, ARTEMIS_TIMED_OUT, "not done in %d ms%s%s", timeout_ms,
                       *cause ? ": " : "", cause);
}

typedef enum error registrations_call(struct registrations *registrations,
                                      struct instance *instance, struct completion *completion);

/* Under the lock: registers or renews. Releases the caller's reference to the instance. */
static enum artemis_error start_registration(struct artemis_client *client,
                                             registrations_call *call, struct instance *instance,
                                             int timeout_ms, struct artemis_problem *problem)
{
    struct completion completion = {0};
    uint64_t start_ms = client_clock_ms();
    enum error error =
        call(&client->shared.registrations, instance, timeout_ms > 0 ? &completion : NULL);
    instance_unref(instance);
    if (error)
        return problem_no_memory(problem);
    if (timeout_ms > 0)
        return wait_for(client, &completion, start_ms, timeout_ms, problem);
    http_wake(client->http);
    return ARTEMIS_OK;
}

typedef enum error read_argument(const struct artemis_instance *from, const char *region_id,
                                 const char *zone_id, struct instance **out,
                                 struct field_problem *problem);

/* `what` is the name of the argument `given`. */
static enum artemis_error register_or_renew(struct artemis_client *client, const char *what,
                                            const struct artemis_instance *given,
                                            read_argument *read, registrations_call *call,
                                            int timeout_ms, struct artemis_problem *problem)
{
    enum artemis_error error = client_check_call(client, timeout_ms, problem);
    if (error)
        return error;
    if (!given)
        return problem_set(problem, ARTEMIS_INVALID, "%s: is required", what);
    struct instance *instance = NULL;
    struct field_problem field;
    enum error read_error =
        read(given, client->settings.region_id, client->settings.zone_id, &instance, &field);
    if (read_error)
        return invalid(problem, what, read_error, &field);
    pthread_mutex_lock(&client->lock);
    error = start_registration(client, call, instance, timeout_ms, problem);
    pthread_mutex_unlock(&client->lock);
    return error;
}

enum artemis_error artemis_register(struct artemis_client *client,
                                    const struct artemis_instance *given, int timeout_ms,
                                    struct artemis_problem *problem)
{
    return register_or_renew(client, "instance", given, instance_argument_read,
                             registrations_register, timeout_ms, problem);
}

enum artemis_error artemis_heartbeat(struct artemis_client *client,
                                     const struct artemis_instance *given, int timeout_ms,
                                     struct artemis_problem *problem)
{
    return register_or_renew(client, "key", given, instance_argument_read_identity,
                             registrations_renew, timeout_ms, problem);
}

static enum artemis_error read_key(const struct artemis_client *client,
                                   const struct artemis_instance *given, int timeout_ms,
                                   struct instance_key *key, struct artemis_problem *problem)
{
    enum artemis_error error = client_check_call(client, timeout_ms, problem);
    if (error)
        return error;
    if (!given)
        return problem_set(problem, ARTEMIS_INVALID, "key: is required");
    struct field_problem field;
    if (instance_argument_read_key(given, client->settings.region_id, client->settings.zone_id, key,
                                   &field))
        return invalid(problem, "key", ERR_INVALID_FIELD, &field);
    return ARTEMIS_OK;
}

static enum artemis_error unknown(const struct instance_key *key, struct artemis_problem *problem)
{
    struct slice service = instance_key_part(key, FIELD_SERVICE);
    struct slice instance = instance_key_part(key, FIELD_INSTANCE);
    return problem_set(problem, ARTEMIS_UNKNOWN, "%.*s/%.*s: not registered by this client",
                       (int)service.size, service.data, (int)instance.size, instance.data);
}

enum artemis_error artemis_set_status(struct artemis_client *client,
                                      const struct artemis_instance *given, const char *status,
                                      int timeout_ms, struct artemis_problem *problem)
{
    struct instance_key key;
    enum artemis_error error = read_key(client, given, timeout_ms, &key, problem);
    if (error)
        return error;
    if (!status)
        return problem_set(problem, ARTEMIS_INVALID, "status: is required");
    struct field_problem field;
    struct instance *changed = NULL;
    pthread_mutex_lock(&client->lock);
    const struct instance *instance = registrations_find(&client->shared.registrations, &key);
    enum error made =
        instance ? instance_with_status(instance, status, &changed, &field) : ERR_NONE;
    if (!instance)
        error = unknown(&key, problem);
    else if (made)
        error = invalid(problem, "instance", made, &field);
    else
        error = start_registration(client, registrations_register, changed, timeout_ms, problem);
    pthread_mutex_unlock(&client->lock);
    return error;
}

enum artemis_error artemis_unregister(struct artemis_client *client,
                                      const struct artemis_instance *given, int timeout_ms,
                                      struct artemis_problem *problem)
{
    struct instance_key key;
    struct completion completion = {0};
    enum artemis_error error = read_key(client, given, timeout_ms, &key, problem);
    if (error)
        return error;
    uint64_t start_ms = client_clock_ms();
    uint64_t deadline_ms = start_ms + (uint64_t)timeout_ms + client->settings.attempt_timeout_ms;
    pthread_mutex_lock(&client->lock);
    if (!registrations_unregister(&client->shared.registrations, &key, deadline_ms,
                                  timeout_ms > 0 ? &completion : NULL))
        error = unknown(&key, problem);
    else if (timeout_ms > 0)
        error = wait_for(client, &completion, start_ms, timeout_ms, problem);
    else
        http_wake(client->http);
    pthread_mutex_unlock(&client->lock);
    return error;
}
