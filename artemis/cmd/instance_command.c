/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/instance_command.h"

#include "artemis/client/client_request.h"
#include "artemis/terminal/client_text.h"

#include <stdio.h>

const char instance_command_needs_every[] =
    "--unregister needs --every; to unregister now, see: artemis unregister";

bool instance_command_lacks_every(const struct client_args *args)
{
    return client_args_has(args, "unregister") && !client_args_has(args, "every");
}

void instance_command_post_key(const struct client_args *args, const struct client_key *key,
                               const char *path, struct client_result *result)
{
    json_t *body = NULL;
    enum error error = client_request_key(key, &body);
    client_call_post(args, path, error ? NULL : body, result);
}

void instance_command_get_service(const struct client_args *args, struct client_result *result)
{
    struct text path = {0};
    client_request_service_path(args->positionals[0], true, &path);
    const struct client_request request = {
        .path = text_string(&path),
        .data = "service.instances",
    };
    if (text_failed(&path))
        client_call_set_no_memory(result);
    else
        client_call(args, &request, result);
    text_free(&path);
}

const json_t *instance_command_instances(const struct client_result *result)
{
    if (result->outcome.exit_code != CLIENT_DONE)
        return NULL;
    return client_response_field(client_response_field(result->root, "service"), "instances");
}

void instance_command_print_done(const struct client_args *args, const char *done)
{
    fputs(done, stdout);
    if (args->positionals[1]) {
        fputc(' ', stdout);
        client_text_print(stdout, args->positionals[0], 0);
        fputc('/', stdout);
        client_text_print(stdout, args->positionals[1], 0);
    }
    fputc('\n', stdout);
}

int instance_command_finish(const struct client_args *args, struct client_result *result,
                            const char *done)
{
    int exit_code = client_call_report(args, result);
    if (client_call_prints_text(args, result))
        instance_command_print_done(args, done);
    client_result_free(result);
    return exit_code;
}
