/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/client/client_keep.h"

#include "artemis/client/client_request.h"
#include "artemis/client/client_response.h"
#include "artemis/output/client_text.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { RETRY_SECS = 2 };

/* --- what is decided -------------------------------------------------------------------------- */

enum keep_state client_keep_judge(const struct client_result *result, bool was_well)
{
    const struct client_outcome *outcome = &result->outcome;
    const json_t *item = json_array_get(client_response_failed(result->root), 0);
    if (outcome->exit_code == CLIENT_DONE)
        return KEEP_WELL;
    if (strcmp(client_response_text(item, "reason"), "instance-not-found") == 0)
        return KEEP_LOST;
    bool astray = outcome->exit_code == CLIENT_UNREACHABLE || result->response.http_status >= 500;
    return outcome->retryable || (astray && was_well) ? KEEP_AWAY : KEEP_OVER;
}

long client_keep_pause(enum keep_state state, long every_secs)
{
    return state == KEEP_AWAY && every_secs > RETRY_SECS ? RETRY_SECS : every_secs;
}

/* --- the loop --------------------------------------------------------------------------------- */

struct keeper {
    const struct client_args *args;
    const struct client_key *key;
    json_t *registration;
    sigset_t signals;
    bool registers;       /* the next call is a registration */
    bool was_well;        /* ever */
    bool lost;            /* it is registered because it was not known any more */
    enum keep_state told; /* the condition that was last told: with what was answered */
    enum client_transfer told_transfer;
    int told_status;
};

static void call(struct keeper *keeper, const char *path, bool registers,
                 struct client_result *result)
{
    json_t *body = registers ? json_incref(keeper->registration) : NULL;
    enum error error = registers ? ERR_NONE : client_request_key(keeper->key, &body);
    client_call_post(keeper->args, path, error ? NULL : body, result);
}

static void say(const struct client_args *args, const char *done)
{
    printf("%s ", done);
    client_text_print(stdout, args->positionals[0], 0);
    putchar('/');
    client_text_print(stdout, args->positionals[1], 0);
    putchar('\n');
}

static const char *good_news(const struct keeper *keeper)
{
    if (keeper->lost)
        return "not known any more, and registered again:";
    if (keeper->registers)
        return "registered";
    return keeper->told == KEEP_NEW ? "renewed" : "renewed again";
}

/* Speaks when the condition changes, and under --json always. */
static int tell(struct keeper *keeper, const struct client_result *result, enum keep_state state)
{
    const struct client_response *response = &result->response;
    bool news = state != keeper->told || response->transfer != keeper->told_transfer ||
                response->http_status != keeper->told_status ||
                (keeper->lost && state == KEEP_WELL);
    int exit_code = (int)result->outcome.exit_code;
    if (news || client_args_has(keeper->args, "json"))
        exit_code = client_call_report(keeper->args, result);
    if (news && client_call_prints_text(keeper->args, result))
        say(keeper->args, good_news(keeper));
    fflush(stdout);
    keeper->told = state;
    keeper->told_transfer = response->transfer;
    keeper->told_status = response->http_status;
    return exit_code;
}

/* One call, and what follows from it. False: it is over, and *exit_code is how. */
static bool step(struct keeper *keeper, long *pause_secs, int *exit_code)
{
    struct client_result result;
    bool registers = keeper->registers;
    call(keeper, registers ? "/api/registry/register" : "/api/registry/heartbeat", registers,
         &result);
    enum keep_state state = client_keep_judge(&result, keeper->was_well);
    bool again = state == KEEP_LOST && keeper->registration && !registers;
    if (again) {
        keeper->registers = keeper->lost = true;
        *pause_secs = 0;
        client_result_free(&result);
        return true;
    }
    *exit_code = tell(keeper, &result, state);
    client_result_free(&result);
    if (state == KEEP_WELL) {
        keeper->was_well = true;
        keeper->registers = keeper->lost = false;
    }
    *pause_secs = client_keep_pause(state, client_args_number(keeper->args, "every"));
    return state == KEEP_WELL || state == KEEP_AWAY;
}

static int end(struct keeper *keeper)
{
    struct client_result result;
    if (!client_args_has(keeper->args, "unregister"))
        return CLIENT_DONE;
    call(keeper, "/api/registry/unregister", false, &result);
    int exit_code = client_call_report(keeper->args, &result);
    if (client_call_prints_text(keeper->args, &result))
        say(keeper->args, "unregistered");
    client_result_free(&result);
    return exit_code;
}

int client_keep(const struct client_args *args, const struct client_key *key, json_t *registration)
{
    struct keeper keeper = {
        .args = args, .key = key, .registration = registration, .registers = registration != NULL};
    int exit_code = CLIENT_DONE;
    struct timespec pause = {0};
    sigemptyset(&keeper.signals);
    sigaddset(&keeper.signals, SIGINT);
    sigaddset(&keeper.signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &keeper.signals, NULL);
    while (step(&keeper, &pause.tv_sec, &exit_code))
        if (sigtimedwait(&keeper.signals, NULL, &pause) > 0)
            return end(&keeper);
    return exit_code;
}
