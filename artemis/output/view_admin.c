/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/output/view_admin.h"

#include "artemis/call/call_response.h"
#include "artemis/terminal/terminal_text.h"

#include <string.h>

enum { LABEL_COLUMNS = 17 }; /* of "connections limit" */

static const char *text_of(const json_t *value, char scratch[VIEW_COUNT_MAX])
{
    if (json_is_string(value))
        return json_string_value(value);
    if (json_is_integer(value)) {
        snprintf(scratch, VIEW_COUNT_MAX, "%lld", (long long)json_integer_value(value));
        return scratch;
    }
    if (json_is_boolean(value))
        return json_is_true(value) ? "yes" : "no";
    return "";
}

void view_admin_status(const json_t *root, FILE *out)
{
    const char *name;
    json_t *value;
    char scratch[VIEW_COUNT_MAX];
    char label[64];
    json_object_foreach((json_t *)root, name, value)
    {
        if (strcmp(name, "ok") == 0)
            continue;
        snprintf(label, sizeof(label), "%s", name);
        for (char *c = label; *c; c++)
            if (*c == '_')
                *c = ' ';
        const char *text = text_of(value, scratch);
        if (!text[0])
            continue;
        size_t columns = terminal_text_print(out, label, 0);
        fprintf(out, "%*s ", columns < LABEL_COLUMNS ? LABEL_COLUMNS - (int)columns : 0, "");
        terminal_text_print(out, text, 0);
        fputc('\n', out);
    }
}

static const char *shown(const char *value)
{
    return value[0] ? value : "(none)";
}

static void print_change(const json_t *change, FILE *out)
{
    const char *source = call_response_text(change, "source");
    terminal_text_print(out, call_response_text(change, "setting"), 0);
    fputs(": ", out);
    terminal_text_print(out, shown(call_response_text(change, "before")), 0);
    fputs(" -> ", out);
    terminal_text_print(out, shown(call_response_text(change, "after")), 0);
    if (source[0]) {
        fputs(" (", out);
        terminal_text_print(out, source, 0);
        fputs(")", out);
    }
    if (strcmp(call_response_text(change, "effect"), "restart") == 0)
        fputs(", at the next start of the node", out);
    fputs("\n", out);
}

void view_reload(const json_t *root, FILE *out)
{
    size_t index;
    json_t *change;
    json_array_foreach(call_response_field(root, "changes"), index, change)
        print_change(change, out);
    long long changed = json_integer_value(call_response_field(root, "changed"));
    long long restart = json_integer_value(call_response_field(root, "need_restart"));
    if (changed + restart == 0)
        fputs("settings and certificates were read; no setting has changed\n", out);
    else
        fprintf(out, "settings reloaded: %lld changed, %lld need a restart\n", changed, restart);
    if (view_reload_has_failed(root))
        fputs("a certificate cannot be used, and the earlier one is kept; the log of the node says "
              "why\n",
              out);
}

bool view_reload_has_failed(const json_t *root)
{
    return json_integer_value(call_response_field(root, "certificates_failing")) > 0;
}
