/* SPDX-License-Identifier: Apache-2.0
 *
 * What callers say of their own instances: register, set_status, unregister.
 */
#include "libartemis/client.h"
#include "libartemis/clock.h"
#include "libartemis/problem.h"

static enum artemis_error invalid(struct artemis_problem *problem, const char *what,
                                  enum error error, const struct field_problem *wrong)
{
    if (error == ERR_NO_MEMORY)
        return problem_no_memory(problem);
    return problem_set(problem, ARTEMIS_INVALID, "%s.%s: %s", what, wrong->field, wrong->problem);
}

static bool is_done(void *context)
{
    const struct ticket *ticket = context;
    return ticket->done;
}

/* Under the lock: waits for the ticket, and says how it went. */
static enum artemis_error wait_for(struct artemis_client *client, struct ticket *ticket,
                                   uint64_t start_ms, int timeout_ms,
                                   struct artemis_problem *problem)
{
    if (client_wait(client, is_done, ticket, start_ms + (uint64_t)timeout_ms)) {
        if (problem && ticket->problem.error)
            *problem = ticket->problem;
        return ticket->problem.error;
    }
    book_forget_ticket(&client->shared.book, ticket);
    const char *why = client->shared.registry_problem;
    return problem_set(problem, ARTEMIS_TIMED_OUT, "not done in %d ms%s%s", timeout_ms,
                       *why ? ": " : "", why);
}

/* Under the lock. Takes the instance over. */
static enum artemis_error want(struct artemis_client *client, struct instance *instance,
                               int timeout_ms, struct artemis_problem *problem)
{
    struct ticket ticket = {0};
    uint64_t start_ms = client_clock_ms();
    enum error error = book_want(&client->shared.book, instance, timeout_ms > 0 ? &ticket : NULL);
    instance_unref(instance);
    if (error)
        return problem_no_memory(problem);
    if (timeout_ms > 0)
        return wait_for(client, &ticket, start_ms, timeout_ms, problem);
    http_wake(client->http);
    return ARTEMIS_OK;
}

enum artemis_error artemis_register(struct artemis_client *client,
                                    const struct artemis_instance *given, int timeout_ms,
                                    struct artemis_problem *problem)
{
    enum artemis_error error = client_check_call(client, timeout_ms, problem);
    if (error)
        return error;
    if (!given)
        return problem_set(problem, ARTEMIS_INVALID, "instance: is required");
    struct instance *instance = NULL;
    struct field_problem wrong;
    enum error read = record_read_instance(given, client->settings.region_id,
                                           client->settings.zone_id, &instance, &wrong);
    if (read)
        return invalid(problem, "instance", read, &wrong);
    pthread_mutex_lock(&client->lock);
    error = want(client, instance, timeout_ms, problem);
    pthread_mutex_unlock(&client->lock);
    return error;
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
    struct field_problem wrong;
    if (record_read_key(given, client->settings.region_id, client->settings.zone_id, key, &wrong))
        return invalid(problem, "key", ERR_INVALID_FIELD, &wrong);
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
    struct field_problem wrong;
    struct instance *changed = NULL;
    pthread_mutex_lock(&client->lock);
    const struct instance *instance = book_find(&client->shared.book, &key);
    enum error made = instance ? record_with_status(instance, status, &changed, &wrong) : ERR_NONE;
    if (!instance)
        error = unknown(&key, problem);
    else if (made)
        error = invalid(problem, "instance", made, &wrong);
    else
        error = want(client, changed, timeout_ms, problem);
    pthread_mutex_unlock(&client->lock);
    return error;
}

enum artemis_error artemis_unregister(struct artemis_client *client,
                                      const struct artemis_instance *given, int timeout_ms,
                                      struct artemis_problem *problem)
{
    struct instance_key key;
    struct ticket ticket = {0};
    enum artemis_error error = read_key(client, given, timeout_ms, &key, problem);
    if (error)
        return error;
    uint64_t start_ms = client_clock_ms();
    uint64_t leave_by_ms = start_ms + (uint64_t)timeout_ms + client->settings.attempt_timeout_ms;
    pthread_mutex_lock(&client->lock);
    if (!book_leave(&client->shared.book, &key, leave_by_ms, timeout_ms > 0 ? &ticket : NULL))
        error = unknown(&key, problem);
    else if (timeout_ms > 0)
        error = wait_for(client, &ticket, start_ms, timeout_ms, problem);
    else
        http_wake(client->http);
    pthread_mutex_unlock(&client->lock);
    return error;
}
