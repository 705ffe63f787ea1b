/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/output/view_snapshot.h"

#include "artemis-core/json/json_writer.h"
#include "artemis/terminal/terminal_text.h"

enum { REFUSED_SHOWN_MAX = 10 };

/* --- save ------------------------------------------------------------------------------------- */

static void print_count(FILE *out, uint64_t count, const char *noun)
{
    char text[VIEW_COUNT_MAX];
    fprintf(out, "%s %s%s", terminal_text_count(count, text), noun, count == 1 ? "" : "s");
}

void view_saved(const struct snapshot_saved *saved, FILE *out)
{
    fputs("saved ", out);
    print_count(out, saved->instances, "instance");
    fputs(" and ", out);
    print_count(out, saved->tombstones, "tombstone");
    fputs(" of ", out);
    terminal_text_print(out, saved->node, 0);
    fputs(" to ", out);
    terminal_text_print(out, saved->file, 0);
    fputc('\n', out);
}

static void write_origin(struct json_writer *w, const char *file, const char *node,
                         const char *cluster)
{
    jw_name(w, "file");
    jw_string(w, file);
    jw_name(w, "node_id");
    jw_string(w, node);
    jw_name(w, "cluster_id");
    jw_string(w, cluster);
}

void view_saved_json(const struct snapshot_saved *saved, struct text *out)
{
    struct json_writer w = jw_to(out, CASING_SNAKE);
    jw_open(&w, '{');
    write_origin(&w, saved->file, saved->node, saved->cluster);
    jw_name(&w, "instances");
    jw_u64(&w, saved->instances);
    jw_name(&w, "tombstones");
    jw_u64(&w, saved->tombstones);
    jw_name(&w, "bytes");
    jw_u64(&w, saved->bytes);
    jw_close(&w, '}');
}

/* --- restore ---------------------------------------------------------------------------------- */

static void print_row(FILE *out, const char *name, uint64_t count, const char *note)
{
    char text[VIEW_COUNT_MAX];
    fprintf(out, "  %-8s %11s  %s\n", name, terminal_text_count(count, text), note);
}

void view_restored(const struct snapshot_restored *restored, FILE *out)
{
    fputs(restored->dry_run ? "dry run: would restore " : "restored ", out);
    terminal_text_print(out, restored->file, 0);
    fputs(" at ", out);
    terminal_text_print(out, restored->node, 0);
    fputc('\n', out);
    if (restored->taken + restored->newer.count + restored->ended.count + restored->refused_count ==
        0) {
        fputs("  the file has no records\n", out);
        return;
    }
    print_row(out, "taken", restored->taken, "");
    print_row(out, "newer", restored->newer.count, "the node has the same record or a newer one");
    if (restored->ended.count)
        print_row(out, "ended", restored->ended.count, "tombstones without effect any more");
    if (!restored->refused_count)
        return;
    print_row(out, "refused", restored->refused_count, "");
    for (size_t i = 0; i < restored->refused_count && i < REFUSED_SHOWN_MAX; i++) {
        fprintf(out, "  line %llu: ", (unsigned long long)restored->refused[i].line);
        terminal_text_print(out, restored->refused[i].message, 0);
        fputc('\n', out);
    }
    if (restored->refused_count > REFUSED_SHOWN_MAX)
        fprintf(out, "  and %zu more\n", restored->refused_count - REFUSED_SHOWN_MAX);
}

static void write_lines(struct json_writer *w, const char *name, const struct line_list *list)
{
    jw_name(w, name);
    jw_open(w, '[');
    for (size_t i = 0; i < list->count; i++)
        jw_u64(w, list->lines[i]);
    jw_close(w, ']');
}

void view_restored_json(const struct snapshot_restored *restored, struct text *out)
{
    struct json_writer w = jw_to(out, CASING_SNAKE);
    jw_open(&w, '{');
    write_origin(&w, restored->file, restored->node, restored->cluster);
    jw_name(&w, "dry_run");
    jw_bool(&w, restored->dry_run);
    jw_name(&w, "taken");
    jw_u64(&w, restored->taken);
    write_lines(&w, "newer_lines", &restored->newer);
    write_lines(&w, "ended_lines", &restored->ended);
    jw_name(&w, "refused_lines");
    jw_open(&w, '[');
    for (size_t i = 0; i < restored->refused_count; i++) {
        const struct refused_line *refused = &restored->refused[i];
        jw_open(&w, '{');
        jw_name(&w, "line");
        jw_u64(&w, refused->line);
        jw_name(&w, "error_message");
        jw_string(&w, refused->message);
        jw_name(&w, "reason");
        jw_string(&w, refused->reason);
        jw_close(&w, '}');
    }
    jw_close(&w, ']');
    jw_close(&w, '}');
}
