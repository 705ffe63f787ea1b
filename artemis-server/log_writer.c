/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/log_writer.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

#include "artemis-server/clock.h"

enum {
    /* A pipe that poll reports as writable takes this much without blocking. */
    CHUNK_BYTES = 4096,
    POLL_MS = 100,
    JOIN_MS = 1000,
    NEVER_MS = 0,
};

struct line {
    STAILQ_ENTRY(line) next;
    size_t size;
    char data[];
};

STAILQ_HEAD(lines, line);

static pthread_t writer_thread;
static log_report_dropped *report_dropped;
static _Atomic size_t queued_bytes; /* of lines that are queued or being written */
static _Atomic uint64_t dropped;
static uint64_t reported; /* how many of the dropped lines were reported; used by the thread */
static _Atomic uint64_t deadline_ms; /* the writer stops then; NEVER_MS: it runs */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct lines lines;
    bool running;
    bool stopping;
} _shared = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .changed = PTHREAD_COND_INITIALIZER,
    .lines = STAILQ_HEAD_INITIALIZER(_shared.lines),
};

static bool is_over(const _Atomic uint64_t *until_ms)
{
    uint64_t ms = atomic_load(until_ms);
    return ms != NEVER_MS && clock_now().mono_ms >= ms;
}

/* Waits until stderr takes a chunk; false when the time has run out or stderr is closed. */
static bool wait_writable(const _Atomic uint64_t *until_ms)
{
    for (;;) {
        bool over = is_over(until_ms);
        struct pollfd stderr_poll = {.fd = STDERR_FILENO, .events = POLLOUT};
        int ready = poll(&stderr_poll, 1, over ? 0 : POLL_MS);
        if (ready > 0)
            return stderr_poll.revents & POLLOUT;
        if (over || (ready < 0 && errno != EINTR))
            return false;
    }
}

/* Writes a line in chunks; what fails is lost, as there is no other place to report it. */
static void write_line(struct slice line, const _Atomic uint64_t *until_ms)
{
    while (line.size && wait_writable(until_ms)) {
        size_t chunk = line.size < CHUNK_BYTES ? line.size : CHUNK_BYTES;
        ssize_t written = write(STDERR_FILENO, line.data, chunk);
        if (written < 0 && errno != EINTR && errno != EAGAIN)
            return;
        if (written > 0) {
            line.data += written;
            line.size -= (size_t)written;
        }
    }
}

static void write_directly(struct slice line)
{
    _Atomic uint64_t until_ms = clock_now().mono_ms + LOG_WRITE_MS;
    write_line(line, &until_ms);
}

/* --- the thread ------------------------------------------------------------------------------- */

static void report(uint64_t count)
{
    struct text line = {0};
    report_dropped(count, &line);
    if (!text_failed(&line))
        write_line((struct slice){line.data, line.size}, &deadline_ms);
    text_free(&line);
}

/* Takes all queued lines; waits for the first one. False when there is none and the writer
 * stops. */
static bool take_lines(struct lines *taken)
{
    STAILQ_INIT(taken);
    pthread_mutex_lock(&_shared.lock);
    while (STAILQ_EMPTY(&_shared.lines) && !_shared.stopping)
        pthread_cond_wait(&_shared.changed, &_shared.lock);
    STAILQ_CONCAT(taken, &_shared.lines);
    pthread_mutex_unlock(&_shared.lock);
    return !STAILQ_EMPTY(taken);
}

static void write_lines(struct lines *lines)
{
    while (!STAILQ_EMPTY(lines)) {
        struct line *line = STAILQ_FIRST(lines);
        STAILQ_REMOVE_HEAD(lines, next);
        write_line((struct slice){line->data, line->size}, &deadline_ms);
        atomic_fetch_sub(&queued_bytes, sizeof(*line) + line->size);
        free(line);
    }
}

static void *run(void *context)
{
    (void)context;
    struct lines taken;
    while (take_lines(&taken)) {
        write_lines(&taken);
        uint64_t count = atomic_load(&dropped);
        if (count != reported)
            report(count - reported);
        reported = count;
    }
    return NULL;
}

/* The threads that are not in abort() go on, the writer among them. Async-signal-safe. */
static void on_abort(int signal_number)
{
    (void)signal_number;
    const struct timespec ms = {.tv_nsec = 1000000};
    for (int i = 0; i < LOG_ABORT_MS && atomic_load(&queued_bytes); i++)
        nanosleep(&ms, NULL);
}

enum error log_writer_start(log_report_dropped *report_line)
{
    sigset_t all;
    sigset_t before;
    struct sigaction action = {.sa_handler = on_abort, .sa_flags = (int)SA_RESETHAND};
    report_dropped = report_line;
    atomic_store(&deadline_ms, NEVER_MS);
    _shared.stopping = false;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&writer_thread, NULL, run, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        return ERR_SYSTEM;
    pthread_setname_np(writer_thread, "log");
    sigaction(SIGABRT, &action, NULL);
    pthread_mutex_lock(&_shared.lock);
    _shared.running = true;
    pthread_mutex_unlock(&_shared.lock);
    return ERR_NONE;
}

/* The lines that came after the thread's last look at the queue. */
static void write_rest(void)
{
    struct lines rest = STAILQ_HEAD_INITIALIZER(rest);
    pthread_mutex_lock(&_shared.lock);
    _shared.running = false;
    STAILQ_CONCAT(&rest, &_shared.lines);
    pthread_mutex_unlock(&_shared.lock);
    write_lines(&rest);
}

void log_writer_stop(uint64_t timeout_ms)
{
    pthread_mutex_lock(&_shared.lock);
    bool was_running = _shared.running;
    _shared.stopping = true;
    pthread_cond_signal(&_shared.changed);
    pthread_mutex_unlock(&_shared.lock);
    if (!was_running)
        return;
    struct moment now = clock_now();
    atomic_store(&deadline_ms, now.mono_ms + timeout_ms);
    uint64_t join_ms = now.wall_ms + timeout_ms + JOIN_MS;
    struct timespec until = {.tv_sec = (time_t)(join_ms / 1000),
                             .tv_nsec = (long)(join_ms % 1000) * 1000000};
    /* A thread that other writers to the same pipe keep in write() ends with the process. */
    if (pthread_timedjoin_np(writer_thread, NULL, &until) == 0)
        write_rest();
    signal(SIGABRT, SIG_DFL);
}

/* --- callers ---------------------------------------------------------------------------------- */

/* Takes space in the queue; false when there is none. */
static bool reserve(size_t bytes)
{
    if (atomic_fetch_add(&queued_bytes, bytes) + bytes <= LOG_QUEUE_BYTES_MAX)
        return true;
    atomic_fetch_sub(&queued_bytes, bytes);
    return false;
}

static struct line *copy_line(struct slice text)
{
    size_t bytes = sizeof(struct line) + text.size;
    if (!reserve(bytes))
        return NULL;
    struct line *line = malloc(bytes);
    if (!line) {
        atomic_fetch_sub(&queued_bytes, bytes);
        return NULL;
    }
    line->size = text.size;
    memcpy(line->data, text.data, text.size);
    return line;
}

void log_writer_put(struct slice text)
{
    pthread_mutex_lock(&_shared.lock);
    bool running = _shared.running;
    struct line *line = running ? copy_line(text) : NULL;
    if (line) {
        STAILQ_INSERT_TAIL(&_shared.lines, line, next);
        pthread_cond_signal(&_shared.changed);
    }
    pthread_mutex_unlock(&_shared.lock);
    if (!running)
        write_directly(text);
    else if (!line)
        atomic_fetch_add(&dropped, 1);
}

uint64_t log_writer_dropped(void)
{
    return atomic_load(&dropped);
}
