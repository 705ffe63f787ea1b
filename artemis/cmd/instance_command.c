/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/instance_command.h"

#include "artemis/call/call_request.h"
#include "artemis/terminal/terminal_text.h"

#include <stdio.h>

const char instance_command_needs_every[] =
    "--unregister needs --every; to unregister now, see: artemis unregister";

bool instance_command_lacks_every(const struct args *args)
{
    return args_has(args, "unregister") && !args_has(args, "every");
}

void instance_command_post_key(const struct args *args, const struct key_args *key,
                               const char *path, struct server_call_result *result)
{
    json_t *body = NULL;
    enum error error = call_request_key(key, &body);
    server_call_post(args, path, error ? NULL : body, result);
}

void instance_command_get_service(const struct args *args, struct server_call_result *result)
{
    struct text path = {0};
    call_request_service_path(args->positionals[0], true, &path);
    server_call_get(args, &path, "service.instances", result);
}

const json_t *instance_command_instances(const struct server_call_result *result)
{
    if (result->outcome.exit_code != EXIT_DONE)
        return NULL;
    return call_response_field(call_response_field(result->root, "service"), "instances");
}

void instance_command_print_done(const struct args *args, const char *done)
{
    fputs(done, stdout);
    if (args->positionals[1]) {
        fputc(' ', stdout);
        terminal_text_print(stdout, args->positionals[0], 0);
        fputc('/', stdout);
        terminal_text_print(stdout, args->positionals[1], 0);
    }
    fputc('\n', stdout);
}

int instance_command_finish(const struct args *args, struct server_call_result *result,
                            const char *done)
{
    int exit_code = server_call_report(args, result);
    if (server_call_prints_text(args, result))
        instance_command_print_done(args, done);
    server_call_result_free(result);
    return exit_code;
}
