/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/commands.h"

#include <stdio.h>
#include <string.h>

#include "artemis-web/api/route_table.h"
#include "artemis-web/metrics/metrics.h"
#include "artemis/terminal/args.h"
#include "artemis/terminal/exit_code.h"
#include "artemis/terminal/terminal_text.h"

static void write_api(struct text *out)
{
    static const char *const methods[] = {
        [METHOD_GET] = "GET",
        [METHOD_POST] = "POST",
        [METHOD_GET_POST] = "GET, POST",
    };
    text_append_string(out, "| path | methods | what it does |\n| --- | --- | --- |\n");
    for (size_t i = 0; i < api_routes.count; i++)
        text_printf(out, "| `%s` | %s | %s |\n", api_routes.routes[i].path,
                    methods[api_routes.routes[i].methods], api_routes.routes[i].description);
}

static void write_roles(struct text *out)
{
    text_append_string(out, "| path | role |\n| --- | --- |\n");
    for (size_t i = 0; i < api_routes.count; i++)
        text_printf(out, "| `%s` | %s |\n", api_routes.routes[i].path,
                    auth_role_word(api_routes.routes[i].role));
}

static void write_errors(struct text *out)
{
    text_append_string(out, "| error_code | reason | HTTP | below /artemis/ | meaning |\n"
                            "| --- | --- | --- | --- | --- |\n");
    for (enum error error = 0; error < ERROR_COUNT; error++) {
        const struct error_info *info = error_info(error);
        text_printf(out, "| `%s` | %s%s%s | %d | `%s`, %d | %s |\n", info->code,
                    info->reason[0] ? "`" : "", info->reason, info->reason[0] ? "`" : "",
                    info->http_status, info->java_code, info->java_http_status, info->message);
    }
}

static int print_reference(int argc, char **argv, void (*write)(struct text *out))
{
    if (argc != 2 || strcmp(argv[1], "reference") != 0) {
        terminal_text_print_error(stderr, NULL, "usage: artemis %s reference", argv[0]);
        return EXIT_USAGE;
    }
    struct text out = {0};
    write(&out);
    fputs(text_string(&out), stdout);
    int exit_code = text_failed(&out) ? EXIT_REFUSED : EXIT_DONE;
    text_free(&out);
    return exit_code;
}

int command_api(int argc, char **argv)
{
    return print_reference(argc, argv, write_api);
}

int command_role(int argc, char **argv)
{
    return print_reference(argc, argv, write_roles);
}

int command_error(int argc, char **argv)
{
    return print_reference(argc, argv, write_errors);
}

int command_metrics(int argc, char **argv)
{
    return print_reference(argc, argv, metrics_write_reference);
}
