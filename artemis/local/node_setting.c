/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/local/node_setting.h"

#include "artemis/settings.h"
#include "artemis/terminal/exit_code.h"
#include "artemis/terminal/terminal_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int read_file(const char *file, const char *key, char out[CONFIG_TEXT_BYTES])
{
    struct config config;
    struct config_problem problem;
    const struct settings_input input = {.file = file, .environment = environ};
    if (settings_load(&config, &input, &problem)) {
        terminal_text_print_error(stderr, NULL, "%s", problem.text);
        return EXIT_REFUSED;
    }
    struct text value = {0};
    config_write_text(&value, &config, config_find(key));
    snprintf(out, CONFIG_TEXT_BYTES, "%s", text_string(&value));
    text_free(&value);
    config_free(&config);
    return EXIT_DONE;
}

int node_setting_read(const struct args *args, const char *option, const char *key,
                      char out[CONFIG_TEXT_BYTES])
{
    char variable[CONFIG_VARIABLE_BYTES];
    const char *file = args_text(args, "config");
    config_variable(key, variable);
    const char *value = args_text(args, option);
    if (!value && file)
        return read_file(file, key, out);
    if (!value)
        value = getenv(variable);
    snprintf(out, CONFIG_TEXT_BYTES, "%s", value ? value : "");
    return EXIT_DONE;
}
