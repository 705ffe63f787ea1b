/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/audit/audit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "artemis-core/json/json_writer.h"
#include "artemis-server/audit/audit_file.h"
#include "artemis-server/clock.h"
#include "artemis-server/log.h"

enum { MS_PER_SEC = 1000, NS_PER_MS = 1000000, COUNT_BYTES = 32, FLUSH_POLL_MS = 10 };

/* What has a file of its own. */
enum kind { KIND_ACTION, KIND_FAILURE /* of authentication */, KINDS };

struct line {
    STAILQ_ENTRY(line) next;
    size_t size;
    char data[];
};

STAILQ_HEAD(lines, line);

struct audit {
    pthread_mutex_t lock; /* guards what follows, up to the atomics */
    pthread_cond_t changed;
    struct lines lines[KINDS];
    size_t queued_bytes; /* of lines that are not written */
    bool stopping;
    struct {
        uint64_t second; /* in which `recorded` were recorded */
        uint32_t recorded;
        uint32_t left_out;       /* since the last summary */
        uint64_t summary_due_ms; /* meaningful while left_out is not 0 */
    } failures;
    _Atomic uint64_t records, dropped, left_out;
    atomic_bool failing;
    /* The thread alone uses these. */
    struct audit_file files[KINDS];
    struct lines pending[KINDS];
    uint64_t dropped_reported;
    pthread_t thread;
    bool has_file; /* constant */
    const char *node_id;
};

/* --- records ---------------------------------------------------------------------------------- */

static void write_member(struct json_writer *w, const char *name, const char *value)
{
    char quoted[COUNT_BYTES * 8];
    if (!value || !value[0])
        return;
    struct slice text = slice_of(value);
    if (!text_is_utf8(text)) {
        text_quote(quoted, sizeof(quoted), text);
        text = slice_of(quoted);
    }
    jw_name(w, name);
    jw_text(w, text);
}

static void write_line(struct text *out, const struct audit *audit, const struct audit_event *event,
                       struct moment now)
{
    struct json_writer w = jw_to(out, CASING_SNAKE);
    jw_open(&w, '{');
    jw_name(&w, "time");
    jw_rfc3339(&w, now.wall_ms);
    write_member(&w, "node", audit->node_id);
    write_member(&w, "token", event->origin.token);
    write_member(&w, "address", event->origin.address);
    write_member(&w, "action", event->action);
    write_member(&w, "object", event->object);
    write_member(&w, "before", event->before);
    write_member(&w, "after", event->after);
    write_member(&w, "outcome", event->outcome);
    jw_close(&w, '}');
    text_append_char(out, '\n');
}

static void log_record(const struct audit_event *event)
{
    log_event(LOG_LEVEL_INFO, "audit", LOG_TEXT("action", event->action),
              LOG_TEXT("object", event->object), LOG_TEXT("before", event->before),
              LOG_TEXT("after", event->after), LOG_TEXT("token", event->origin.token),
              LOG_TEXT("client", event->origin.address), LOG_TEXT("outcome", event->outcome));
}

static struct line *copy_line(struct slice text)
{
    struct line *line = malloc(sizeof(*line) + text.size);
    if (!line)
        return NULL;
    line->size = text.size;
    memcpy(line->data, text.data, text.size);
    return line;
}

static void enqueue(struct audit *audit, struct line *line, enum kind kind)
{
    size_t bytes = sizeof(*line) + line->size;
    size_t bytes_max = kind == KIND_FAILURE ? AUDIT_QUEUE_BYTES_MAX / 2 : AUDIT_QUEUE_BYTES_MAX;
    pthread_mutex_lock(&audit->lock);
    bool fits = audit->queued_bytes + bytes <= bytes_max;
    if (fits) {
        audit->queued_bytes += bytes;
        STAILQ_INSERT_TAIL(&audit->lines[kind], line, next);
        pthread_cond_signal(&audit->changed);
    }
    pthread_mutex_unlock(&audit->lock);
    if (fits)
        return;
    free(line);
    atomic_fetch_add(&audit->dropped, 1);
}

static void put(struct audit *audit, const struct audit_event *event, enum kind kind,
                struct moment now)
{
    struct text text = {0};
    atomic_fetch_add(&audit->records, 1);
    if (!audit->has_file)
        return;
    write_line(&text, audit, event, now);
    struct line *line = text_failed(&text) ? NULL : copy_line((struct slice){text.data, text.size});
    text_free(&text);
    if (line)
        enqueue(audit, line, kind);
    else
        atomic_fetch_add(&audit->dropped, 1);
}

void audit_record(struct audit *audit, const struct audit_event *event, struct moment now)
{
    if (!event->is_logged_apart)
        log_record(event);
    if (audit)
        put(audit, event, KIND_ACTION, now);
}

/* --- failures of authentication --------------------------------------------------------------- */

/* Whether a failure gets a record of its own; else it is counted. */
static bool admit_failure(struct audit *audit, uint64_t now_ms)
{
    pthread_mutex_lock(&audit->lock);
    uint64_t second = now_ms / MS_PER_SEC;
    if (audit->failures.second != second) {
        audit->failures.second = second;
        audit->failures.recorded = 0;
    }
    bool admitted = audit->failures.recorded < AUDIT_FAILURES_PER_SECOND;
    if (admitted) {
        audit->failures.recorded++;
    } else if (audit->failures.left_out++ == 0) {
        audit->failures.summary_due_ms = now_ms + AUDIT_SUMMARY_MS;
        pthread_cond_signal(&audit->changed);
    }
    pthread_mutex_unlock(&audit->lock);
    return admitted;
}

bool audit_record_failure(struct audit *audit, const struct audit_event *event, struct moment now)
{
    if (!audit)
        return false;
    if (!admit_failure(audit, now.mono_ms)) {
        atomic_fetch_add(&audit->left_out, 1);
        return false;
    }
    put(audit, event, KIND_FAILURE, now);
    return true;
}

static void summarize_failures(struct audit *audit, uint32_t count)
{
    char object[COUNT_BYTES];
    snprintf(object, sizeof(object), "%u more failures", count);
    const struct audit_event event = {
        .action = "authenticate",
        .object = object,
        .outcome = "not recorded one by one",
        .is_logged_apart = true,
    };
    log_event(LOG_LEVEL_WARN, "refused further requests, without a line for each",
              LOG_NUMBER("requests", count));
    put(audit, &event, KIND_FAILURE, clock_now());
}

/* --- the thread ------------------------------------------------------------------------------- */

static struct timespec timespec_of(uint64_t ms)
{
    return (struct timespec){
        .tv_sec = (time_t)(ms / MS_PER_SEC),
        .tv_nsec = (long)(ms % MS_PER_SEC) * NS_PER_MS,
    };
}

/* When the thread has work although no line comes: to try again, or to summarize. 0: never. */
static uint64_t due_ms(const struct audit *audit, uint64_t retry_ms)
{
    uint64_t due_ms = audit->failures.left_out ? audit->failures.summary_due_ms : 0;
    return retry_ms && (!due_ms || retry_ms < due_ms) ? retry_ms : due_ms;
}

static bool has_lines(const struct audit *audit)
{
    bool found = false;
    for (int kind = 0; kind < KINDS; kind++)
        found |= !STAILQ_EMPTY(&audit->lines[kind]);
    return found;
}

/* Waits for lines, for the next try or for the end of a summary. Takes the lines; with a try due,
 * they come after the pending ones. Returns the number of failures to summarize. */
static uint32_t wait_for_work(struct audit *audit, uint64_t retry_ms, bool *stopping)
{
    uint32_t left_out = 0;
    pthread_mutex_lock(&audit->lock);
    for (;;) {
        uint64_t now_ms = clock_now().mono_ms;
        uint64_t due = due_ms(audit, retry_ms);
        if (audit->stopping || (due && now_ms >= due) || (!retry_ms && has_lines(audit)))
            break;
        struct timespec until = timespec_of(due);
        if (due)
            pthread_cond_timedwait(&audit->changed, &audit->lock, &until);
        else
            pthread_cond_wait(&audit->changed, &audit->lock);
    }
    *stopping = audit->stopping;
    if (audit->failures.left_out &&
        (audit->stopping || clock_now().mono_ms >= audit->failures.summary_due_ms)) {
        left_out = audit->failures.left_out;
        audit->failures.left_out = 0;
    }
    for (int kind = 0; kind < KINDS; kind++)
        STAILQ_CONCAT(&audit->pending[kind], &audit->lines[kind]);
    pthread_mutex_unlock(&audit->lock);
    return left_out;
}

static void release_line(struct audit *audit, struct line *line)
{
    pthread_mutex_lock(&audit->lock);
    audit->queued_bytes -= sizeof(*line) + line->size;
    pthread_mutex_unlock(&audit->lock);
    free(line);
}

/* Writes a record with the number of dropped ones. Returns 0 or an errno. */
static int report_dropped(struct audit *audit)
{
    uint64_t dropped = atomic_load(&audit->dropped);
    char object[COUNT_BYTES];
    struct text text = {0};
    if (dropped == audit->dropped_reported)
        return 0;
    snprintf(object, sizeof(object), "%llu records",
             (unsigned long long)(dropped - audit->dropped_reported));
    const struct audit_event event = {.action = "audit", .object = object, .outcome = "dropped"};
    write_line(&text, audit, &event, clock_now());
    int reason = text_failed(&text) ? 0
                                    : audit_file_append(&audit->files[KIND_ACTION],
                                                        (struct slice){text.data, text.size});
    text_free(&text);
    if (!reason)
        audit->dropped_reported = dropped;
    return reason;
}

/* Writes the pending lines of a kind. Returns 0 or an errno. */
static int write_pending(struct audit *audit, enum kind kind)
{
    struct audit_file *file = &audit->files[kind];
    struct lines *pending = &audit->pending[kind];
    struct line *line;
    int reason = 0;
    while (!reason && (line = STAILQ_FIRST(pending))) {
        reason = audit_file_append(file, (struct slice){line->data, line->size});
        if (reason)
            break;
        STAILQ_REMOVE_HEAD(pending, next);
        release_line(audit, line);
    }
    if (!reason && kind == KIND_ACTION)
        reason = report_dropped(audit);
    return reason ? reason : audit_file_sync(file);
}

static void note_result(struct audit *audit, enum kind failed, int reason)
{
    bool was_failing = atomic_exchange(&audit->failing, reason != 0);
    if (reason && !was_failing)
        log_event(LOG_LEVEL_ERROR, "the audit log cannot be written; its records wait",
                  LOG_TEXT("file", audit->files[failed].path),
                  LOG_TEXT("reason", strerror(reason)));
    else if (!reason && was_failing)
        log_event(LOG_LEVEL_INFO, "the audit log is written again",
                  LOG_NUMBER("dropped", atomic_load(&audit->dropped)));
}

/* Writes all pending lines. Returns 0, or the errno of a file that has failed. */
static int write_files(struct audit *audit)
{
    enum kind failed = KIND_ACTION;
    int reason = 0;
    if (!audit->has_file)
        return 0;
    for (enum kind kind = 0; kind < KINDS; kind++) {
        int result = write_pending(audit, kind);
        if (result && !reason) {
            failed = kind;
            reason = result;
        }
    }
    note_result(audit, failed, reason);
    return reason;
}

static void *run(void *context)
{
    struct audit *audit = context;
    bool stopping = false;
    uint64_t retry_ms = 0;
    do {
        uint32_t left_out = wait_for_work(audit, retry_ms, &stopping);
        if (left_out)
            summarize_failures(audit, left_out); /* the line is written in the next turn */
        int reason = write_files(audit);
        retry_ms = reason ? clock_now().mono_ms + AUDIT_RETRY_MS : 0;
    } while (!stopping);
    /* A summary may have been added at the end. */
    if (wait_for_work(audit, 0, &stopping) == 0)
        (void)write_files(audit);
    return NULL;
}

/* --- start and stop --------------------------------------------------------------------------- */

static const char *const file_names[KINDS] = {AUDIT_FILE_NAME, AUDIT_FAILURES_NAME};

static enum error start_thread(struct audit *audit)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&audit->lock, NULL);
    pthread_cond_init(&audit->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    if (pthread_create(&audit->thread, NULL, run, audit) != 0)
        return ERR_SYSTEM;
    pthread_setname_np(audit->thread, "audit");
    return ERR_NONE;
}

enum error audit_start(const struct audit_options *options, struct audit **out)
{
    struct audit *audit = calloc(1, sizeof(*audit));
    if (!audit)
        return ERR_NO_MEMORY;
    audit->has_file = options->folder[0] != '\0';
    audit->node_id = options->node_id;
    for (int kind = 0; kind < KINDS; kind++) {
        STAILQ_INIT(&audit->lines[kind]);
        STAILQ_INIT(&audit->pending[kind]);
        audit_file_init(&audit->files[kind], options->folder, file_names[kind],
                        options->file_bytes_max, options->files_max);
    }
    enum error error = start_thread(audit);
    if (error) {
        free(audit);
        return error;
    }
    *out = audit;
    return ERR_NONE;
}

void audit_flush(struct audit *audit, uint64_t timeout_ms)
{
    uint64_t deadline_ms = clock_now().mono_ms + timeout_ms;
    const struct timespec pause = timespec_of(FLUSH_POLL_MS);
    bool is_empty;
    do {
        pthread_mutex_lock(&audit->lock);
        is_empty = audit->queued_bytes == 0;
        pthread_mutex_unlock(&audit->lock);
    } while (!is_empty && clock_now().mono_ms < deadline_ms && nanosleep(&pause, NULL) == 0);
}

static uint64_t free_lines(struct lines *lines)
{
    uint64_t count = 0;
    while (!STAILQ_EMPTY(lines)) {
        struct line *line = STAILQ_FIRST(lines);
        STAILQ_REMOVE_HEAD(lines, next);
        free(line);
        count++;
    }
    return count;
}

void audit_stop(struct audit *audit, uint64_t timeout_ms)
{
    if (!audit)
        return;
    const struct timespec until = timespec_of(clock_now().wall_ms + timeout_ms);
    pthread_mutex_lock(&audit->lock);
    audit->stopping = true;
    pthread_cond_signal(&audit->changed);
    pthread_mutex_unlock(&audit->lock);
    if (pthread_timedjoin_np(audit->thread, NULL, &until) != 0) {
        log_line(LOG_LEVEL_ERROR, "the audit log was not written in time");
        return; /* the thread ends with the process */
    }
    uint64_t unwritten = 0;
    for (int kind = 0; kind < KINDS; kind++) {
        unwritten += free_lines(&audit->pending[kind]) + free_lines(&audit->lines[kind]);
        audit_file_close(&audit->files[kind]);
    }
    if (unwritten)
        log_event(LOG_LEVEL_ERROR, "audit records were not written",
                  LOG_NUMBER("records", unwritten));
    pthread_mutex_destroy(&audit->lock);
    pthread_cond_destroy(&audit->changed);
    free(audit);
}

void audit_stats(const struct audit *audit, struct audit_stats *out)
{
    *out = (struct audit_stats){0};
    if (!audit)
        return;
    *out = (struct audit_stats){
        .has_file = audit->has_file,
        .failing = atomic_load(&audit->failing),
        .records = atomic_load(&audit->records),
        .dropped = atomic_load(&audit->dropped),
        .left_out = atomic_load(&audit->left_out),
    };
}
