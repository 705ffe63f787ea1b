/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/commands.h"

#include "artemis-core/config/config.h"
#include "artemis-core/json/json_writer.h"
#include "artemis-server/clock.h"
#include "artemis-server/cluster/providers/provider_files.h"
#include "artemis-server/tls/credential_check.h"
#include "artemis-server/tls/credential_store.h"
#include "artemis/call/server_call.h"
#include "artemis/output/table.h"
#include "artemis/output/view.h"
#include "artemis/settings.h"
#include "artemis/terminal/args.h"
#include "artemis/terminal/terminal_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DAY_MS = 24 * 60 * 60 * 1000 };

static const struct args_option options[] = {
    {.name = "addr", .value = "HOST:PORT", .description = "check with this option of the server"},
    {.name = "set",
     .value = "SECTION.KEY=VALUE",
     .description = "check with this option of the server; may be repeated"},
    SERVER_OPTIONS,
    {.name = "json", .description = "print the result as JSON"},
    {.name = NULL},
};

static const struct args_command command = {
    .name = "config",
    .usage = {"config check FILE [--addr A] [--set S] [--json]",
              "config show [options of the server to call] [--json]", "config reference"},
    .about = "check: reads FILE as the server does, with config.d/*.toml beside it, the\n"
             "environment (ARTEMIS_SECTION_KEY), --set and --addr, and lists the settings that\n"
             "differ from their defaults. It also reads the certificates and secrets that the\n"
             "settings name, those of the membership providers in use included, and checks\n"
             "them as the server does: run it as the user of the server. A certificate or\n"
             "token that expires within 14 days, and a secret that other users can read or\n"
             "change, is a warning.\n"
             "show: lists the settings in force on a server, and the source of each.\n"
             "reference: prints all settings as a Markdown table.\n",
    .example = "artemis config check /etc/artemis/artemis.toml\n"
               "artemis config show --server http://10.0.0.7:8080\n",
    .positionals = {"check, show or reference", "FILE"},
    .positionals_optional = true,
    .options = options,
};

/* --- check ------------------------------------------------------------------------------------ */

/* The input and the result. `config` and `base` are valid only when code is ERR_NONE. */
struct check {
    struct settings_input input;
    struct text *warnings;
    enum error code;
    struct config config;
    struct config base; /* the defaults */
    struct config_problem problem;
};

static bool differs(const struct check *check, const struct config_setting *setting)
{
    bool is_default = strcmp(config_source(&check->config, setting), "default") == 0;
    return !is_default && !config_same(&check->config, &check->base, setting);
}

static void write_text(struct text *out, const struct check *check)
{
    bool any = false;
    text_printf(out, "%s: ok\n", check->input.file);
    for (size_t i = 0; i < config_setting_count; i++) {
        const struct config_setting *setting = &config_settings[i];
        if (!differs(check, setting))
            continue;
        if (!any)
            text_append_string(
                out, "settings that differ from their defaults (the environment included):\n");
        any = true;
        text_printf(out, "  %s = ", setting->key);
        config_write_text(out, &check->config, setting);
        text_printf(out, "  (%s)\n", config_source(&check->config, setting));
    }
    if (!any)
        text_append_string(out, "all settings have their defaults (the environment included)\n");
    const struct config_tokens *tokens = &check->config.auth.tokens;
    for (size_t i = 0; i < tokens->count; i++) {
        text_printf(out, "  auth.tokens %s = ", tokens->items[i].name);
        config_write_token(out, &tokens->items[i]);
        text_printf(out, "  (%s)\n", tokens->items[i].source);
    }
}

static void write_json_setting(struct json_writer *w, const struct check *check,
                               const struct config_setting *setting)
{
    jw_open(w, '{');
    jw_name(w, "key"), jw_string(w, setting->key);
    jw_name(w, "value"), config_write_json(w, &check->config, setting);
    jw_name(w, "default"), config_write_json(w, &check->base, setting);
    jw_name(w, "source"), jw_string(w, config_source(&check->config, setting));
    jw_close(w, '}');
}

static void write_json(struct text *out, const struct check *check)
{
    struct json_writer w = jw_to(out, CASING_SNAKE);
    jw_open(&w, '{');
    jw_name(&w, "file"), jw_foreign(&w, check->input.file);
    jw_name(&w, "ok"), jw_bool(&w, check->code == ERR_NONE);
    if (check->code == ERR_NONE) {
        jw_name(&w, "settings"), jw_open(&w, '[');
        for (size_t i = 0; i < config_setting_count; i++)
            if (differs(check, &config_settings[i]))
                write_json_setting(&w, check, &config_settings[i]);
        jw_close(&w, ']');
    } else {
        jw_name(&w, "error"), jw_foreign(&w, check->problem.text);
    }
    jw_close(&w, '}');
}

static int out_of_memory(void)
{
    terminal_text_print_error(stderr, NULL, "out of memory");
    return EXIT_REFUSED;
}

/* Names and paths contain no line break. Other unsafe characters are escaped. */
static int print_lines(struct text *out)
{
    text_string(out);
    if (text_failed(out))
        return out_of_memory();
    char *next = NULL;
    for (char *line = strtok_r(out->data, "\n", &next); line; line = strtok_r(NULL, "\n", &next)) {
        terminal_text_print(stdout, line, 0);
        putchar('\n');
    }
    return EXIT_DONE;
}

/* Prints each warning. */
static void print_warnings(struct text *warnings)
{
    char *next = NULL;
    text_string(warnings);
    if (text_failed(warnings) || !warnings->data)
        return;
    for (char *line = strtok_r(warnings->data, "\n", &next); line;
         line = strtok_r(NULL, "\n", &next))
        terminal_text_print_error(stderr, NULL, "%s", line);
}

static int report(const struct check *check, bool as_json)
{
    struct text out = {0};
    int exit_code = EXIT_DONE;
    if (as_json)
        write_json(&out, check);
    else if (check->code == ERR_NONE)
        write_text(&out, check);
    if (text_failed(&out))
        exit_code = out_of_memory();
    else if (as_json)
        terminal_text_print_json(stdout, out.data, out.size);
    else if (check->code == ERR_NONE)
        exit_code = print_lines(&out);
    print_warnings(check->warnings);
    if (check->code != ERR_NONE) {
        terminal_text_print_error(stderr, NULL, "%s", check->problem.text);
        exit_code = check->problem.text[0] == '-' ? EXIT_USAGE : EXIT_REFUSED; /* --set */
    }
    text_free(&out);
    return exit_code;
}

static void warn_of_expiry(const struct config_tokens *tokens, uint64_t wall_ms,
                           struct text *warnings)
{
    for (size_t i = 0; i < tokens->count; i++) {
        const struct config_token *token = &tokens->items[i];
        uint64_t expires_ms = config_token_expires_ms(token);
        uint64_t days = expires_ms > wall_ms ? (expires_ms - wall_ms) / DAY_MS : 0;
        if (expires_ms && expires_ms <= wall_ms)
            text_printf(warnings, "%s: token %s has expired; remove it\n", token->source,
                        token->name);
        else if (expires_ms && days < EXPIRY_WARNING_DAYS)
            text_printf(warnings, "%s: token %s expires in %llu days; replace it\n", token->source,
                        token->name, (unsigned long long)days);
    }
}

/* Reads the certificates and secrets only if the settings are valid. */
static void load(struct check *check)
{
    check->code = settings_load(&check->config, &check->input, &check->problem);
    if (check->code)
        return;
    char problem[CREDENTIALS_PROBLEM_BYTES];
    uint64_t wall_ms = clock_now().wall_ms;
    warn_of_expiry(&check->config.auth.tokens, wall_ms, check->warnings);
    check->code = credential_check(&check->config, wall_ms, check->warnings, problem);
    if (!check->code)
        check->code = provider_files_check(&check->config, wall_ms, check->warnings, problem);
    if (!check->code)
        return;
    snprintf(check->problem.text, sizeof(check->problem.text), "%s", problem);
    config_free(&check->config);
}

static int run_check(const struct args *args)
{
    const char **sets = calloc(args->given_count + 1, sizeof(*sets));
    if (!sets)
        return out_of_memory();
    struct text warnings = {0};
    struct check check = {
        .input = {.file = args->positionals[1],
                  .environment = environ,
                  .sets = sets,
                  .addr = args_text(args, "addr"),
                  .warnings = &warnings},
        .warnings = &warnings,
    };
    size_t position = 0;
    for (const char *set; (set = args_next(args, "set", &position));)
        sets[check.input.set_count++] = set;
    load(&check);
    settings_defaults(&check.base);
    int exit_code = report(&check, args_has(args, "json"));
    if (check.code == ERR_NONE)
        config_free(&check.config);
    config_free(&check.base);
    text_free(&warnings);
    free(sets);
    return exit_code;
}

/* --- reference -------------------------------------------------------------------------------- */

static void write_row(struct text *out, const struct config_setting *setting, const char *key)
{
    text_printf(out, "| `%s` | %s | ", key, config_type_name(setting->type));
    if (setting->default_note)
        text_append_string(out, setting->default_note);
    else
        text_printf(out, "`%s`", setting->default_value);
    text_append_string(out, " | ");
    config_write_allowed(out, setting);
    text_printf(out, " | %s%s |\n", setting->description,
                setting->reloadable ? " Reloadable." : "");
}

static void write_reference(struct text *out)
{
    text_append_string(out, "| setting | type | default | allowed | description |\n"
                            "| --- | --- | --- | --- | --- |\n");
    for (size_t i = 0; i < config_setting_count; i++)
        write_row(out, &config_settings[i], config_settings[i].key);
    for (size_t i = 0; i < config_token_setting_count; i++) {
        char key[CONFIG_VARIABLE_BYTES]; /* auth.tokens.name is a field of [[auth.tokens]] */
        snprintf(key, sizeof(key), "auth.tokens[].%s",
                 strrchr(config_token_settings[i].key, '.') + 1);
        write_row(out, &config_token_settings[i], key);
    }
}

static int run_reference(const struct args *args)
{
    (void)args;
    struct text out = {0};
    write_reference(&out);
    int exit_code = print_lines(&out);
    text_free(&out);
    return exit_code;
}

/* --- show ------------------------------------------------------------------------------------- */

static int run_show(const struct args *args)
{
    const struct call_request request = {.path = "/api/status/config", .data = "settings"};
    struct server_call_result result;
    server_call_run(args, &request, &result);
    int exit_code = server_call_report(args, &result);
    if (server_call_prints_text(args, &result))
        view_settings(result.root, stdout, table_width_of(stdout));
    server_call_result_free(&result);
    return exit_code;
}

/* --- subcommands ------------------------------------------------------------------------------ */

static const struct subcommand {
    const char *name;
    bool takes_file;
    const char *options[9]; /* that it accepts; ended by NULL */
    int (*run)(const struct args *args);
} subcommands[] = {
    {"check", true, {"addr", "set", "json"}, run_check},
    {"show",
     false,
     {"server", "cacert", "cert", "key", "timeout", "token", "token-file", "json"},
     run_show},
    {"reference", false, {NULL}, run_reference},
};

static bool accepts(const struct subcommand *subcommand, const char *option)
{
    for (const char *const *name = subcommand->options; *name; name++)
        if (strcmp(*name, option) == 0)
            return true;
    return false;
}

static int run(const struct args *args)
{
    const struct subcommand *subcommand = NULL;
    char problem[ARGS_PROBLEM_MAX];
    for (size_t i = 0; i < sizeof subcommands / sizeof *subcommands; i++)
        if (args->positionals[0] && strcmp(subcommands[i].name, args->positionals[0]) == 0)
            subcommand = &subcommands[i];
    if (!subcommand)
        return args_form_error(args, "config check FILE, config show, or config reference");
    if (subcommand->takes_file && !args->positionals[1])
        return args_usage_error(&command, "FILE is missing");
    if (!subcommand->takes_file && args->positionals[1]) {
        snprintf(problem, sizeof problem, "config %s takes no other argument, is given %.64s",
                 subcommand->name, args->positionals[1]);
        return args_usage_error(&command, problem);
    }
    for (size_t i = 0; i < args->given_count; i++)
        if (!accepts(subcommand, args->given[i].option->name)) {
            snprintf(problem, sizeof problem, "config %s has no option --%s", subcommand->name,
                     args->given[i].option->name);
            return args_usage_error(&command, problem);
        }
    return subcommand->run(args);
}

int command_config(int argc, char **argv)
{
    return args_run(&command, argc, argv, run);
}
