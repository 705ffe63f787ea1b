/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/snapshot/snapshot_file.h"

#include "artemis-core/base/gzip.h"
#include "artemis-core/json/codec_snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK_BYTES = 64 * 1024 };

static enum error fail(enum error error, const char *what, const char *path, const char *why,
                       char problem[SNAPSHOT_PROBLEM_MAX])
{
    snprintf(problem, SNAPSHOT_PROBLEM_MAX, "cannot %s %s: %s", what, path, why);
    return error;
}

static bool is_standard_stream(const char *path)
{
    return strcmp(path, "-") == 0;
}

/* --- writing ---------------------------------------------------------------------------------- */

struct snapshot_writer {
    char path[SNAPSHOT_PATH_MAX];      /* for the rename, and for messages */
    char temporary[SNAPSHOT_PATH_MAX]; /* "" for standard output */
    int fd;
    bool is_finished;
    struct gzip_stream *gzip; /* NULL: plain */
    struct text packed;
    uint64_t size;
};

static const int end_signals[] = {SIGINT, SIGTERM, SIGHUP};

/* The name of the temporary file, for the signal handler; "" when there is none. */
static char unfinished[SNAPSHOT_PATH_MAX];

static void remove_unfinished(int signal_number)
{
    unlink(unfinished);
    raise(signal_number); /* its action is the default again */
}

static void set_signals(bool on)
{
    struct sigaction action = {.sa_handler = remove_unfinished, .sa_flags = (int)SA_RESETHAND};
    if (!on)
        action = (struct sigaction){.sa_handler = SIG_DFL};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof end_signals / sizeof *end_signals; i++)
        sigaction(end_signals[i], &action, NULL);
}

static bool has_suffix(const char *path, const char *suffix)
{
    size_t size = strlen(path);
    return size > strlen(suffix) && strcmp(path + size - strlen(suffix), suffix) == 0;
}

/* A link is followed, because a rename would replace it. */
static enum error resolve(struct snapshot_writer *writer, const char *path,
                          char problem[SNAPSHOT_PROBLEM_MAX])
{
    struct stat status;
    if (stat(path, &status) == 0) {
        if (!S_ISREG(status.st_mode))
            return fail(ERR_INVALID_FIELD, "write", path,
                        "it is not a regular file; `-` is standard output", problem);
        char *resolved = realpath(path, NULL);
        if (!resolved)
            return fail(ERR_INVALID_FIELD, "write", path, strerror(errno), problem);
        snprintf(writer->path, sizeof writer->path, "%s", resolved);
        free(resolved);
    } else if ((size_t)snprintf(writer->path, sizeof writer->path, "%s", path) >=
               sizeof writer->path - sizeof ".tmp-4294967295") {
        return fail(ERR_INVALID_FIELD, "write", "the file", "its name is too long", problem);
    }
    return ERR_NONE;
}

static enum error create(struct snapshot_writer *writer, const char *path,
                         char problem[SNAPSHOT_PROBLEM_MAX])
{
    if (is_standard_stream(path)) {
        snprintf(writer->path, sizeof writer->path, "standard output");
        writer->fd = STDOUT_FILENO;
        return ERR_NONE;
    }
    enum error error = resolve(writer, path, problem);
    if (error)
        return error;
    int length = snprintf(writer->temporary, sizeof writer->temporary, "%s.tmp-%u", writer->path,
                          (unsigned)getpid());
    if ((size_t)length >= sizeof writer->temporary)
        return fail(ERR_INVALID_FIELD, "write", "the file", "its name is too long", problem);
    writer->fd = open(writer->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (writer->fd < 0) {
        enum error failed = fail(ERR_INVALID_FIELD, "write", path, strerror(errno), problem);
        writer->temporary[0] = '\0';
        return failed;
    }
    memcpy(unfinished, writer->temporary, sizeof unfinished);
    set_signals(true);
    return ERR_NONE;
}

enum error snapshot_writer_open(const char *path, struct snapshot_writer **out,
                                char problem[SNAPSHOT_PROBLEM_MAX])
{
    struct snapshot_writer *writer = calloc(1, sizeof *writer);
    if (!writer)
        return ERR_NO_MEMORY;
    writer->fd = -1;
    enum error error = create(writer, path, problem);
    if (!error && has_suffix(path, ".gz"))
        error = gzip_stream_create(true, &writer->gzip);
    if (error)
        snapshot_writer_free(writer);
    else
        *out = writer;
    return error;
}

static enum error write_all(struct snapshot_writer *writer, struct slice bytes,
                            char problem[SNAPSHOT_PROBLEM_MAX])
{
    while (bytes.size > 0) {
        ssize_t count = write(writer->fd, bytes.data, bytes.size);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return fail(ERR_SYSTEM, "write", writer->path, strerror(errno), problem);
        bytes.data += count;
        bytes.size -= (size_t)count;
        writer->size += (uint64_t)count;
    }
    return ERR_NONE;
}

static enum error pack(struct snapshot_writer *writer, struct slice bytes, bool last,
                       char problem[SNAPSHOT_PROBLEM_MAX])
{
    enum error error = gzip_stream_compress(writer->gzip, bytes, last, &writer->packed);
    if (error)
        return error;
    error = write_all(writer, (struct slice){writer->packed.data, writer->packed.size}, problem);
    text_clear(&writer->packed);
    return error;
}

enum error snapshot_writer_add(struct snapshot_writer *writer, struct slice bytes,
                               char problem[SNAPSHOT_PROBLEM_MAX])
{
    return writer->gzip ? pack(writer, bytes, false, problem) : write_all(writer, bytes, problem);
}

/* Flushes the name in its folder to the disk. */
static void sync_folder(const char *path)
{
    char copy[SNAPSHOT_PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd); /* some file systems cannot; the file itself is on the disk */
    close(fd);
}

enum error snapshot_writer_finish(struct snapshot_writer *writer, uint64_t *size,
                                  char problem[SNAPSHOT_PROBLEM_MAX])
{
    enum error error = writer->gzip ? pack(writer, (struct slice){0}, true, problem) : ERR_NONE;
    if (error)
        return error;
    *size = writer->size;
    if (!writer->temporary[0])
        return ERR_NONE;
    if (fsync(writer->fd) != 0 || rename(writer->temporary, writer->path) != 0)
        return fail(ERR_SYSTEM, "write", writer->path, strerror(errno), problem);
    writer->is_finished = true;
    sync_folder(writer->path);
    return ERR_NONE;
}

void snapshot_writer_free(struct snapshot_writer *writer)
{
    if (!writer)
        return;
    if (writer->temporary[0]) {
        set_signals(false);
        close(writer->fd);
        if (!writer->is_finished)
            unlink(writer->temporary);
    }
    gzip_stream_free(writer->gzip);
    text_free(&writer->packed);
    free(writer);
}

/* --- reading ---------------------------------------------------------------------------------- */

struct snapshot_reader {
    char path[SNAPSHOT_PATH_MAX]; /* for messages */
    int fd;
    struct gzip_stream *gzip; /* NULL: plain */
    bool gzip_ended;
    bool file_ended;
    struct text bytes; /* read and not yet returned, from `at` on */
    size_t at;
};

/* Copies a source that cannot be read twice. */
static enum error spool(struct snapshot_reader *reader, char problem[SNAPSHOT_PROBLEM_MAX])
{
    char block[BLOCK_BYTES];
    FILE *copy = tmpfile();
    if (!copy)
        return fail(ERR_INVALID_FIELD, "copy", reader->path, strerror(errno), problem);
    ssize_t count;
    while ((count = read(reader->fd, block, sizeof block)) != 0) {
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 || fwrite(block, 1, (size_t)count, copy) != (size_t)count)
            break;
    }
    enum error error = ERR_NONE;
    if (count != 0 || fflush(copy) != 0)
        error = fail(ERR_INVALID_FIELD, "copy", reader->path, strerror(errno), problem);
    int fd = error ? -1 : fcntl(fileno(copy), F_DUPFD_CLOEXEC, 3);
    if (!error && fd < 0)
        error = fail(ERR_INVALID_FIELD, "copy", reader->path, strerror(errno), problem);
    fclose(copy);
    if (error)
        return error;
    close(reader->fd);
    reader->fd = fd;
    return ERR_NONE;
}

static enum error open_source(struct snapshot_reader *reader, const char *path,
                              char problem[SNAPSHOT_PROBLEM_MAX])
{
    bool is_stream = is_standard_stream(path);
    snprintf(reader->path, sizeof reader->path, "%s", is_stream ? "standard input" : path);
    reader->fd =
        is_stream ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (reader->fd < 0 || fstat(reader->fd, &status) != 0)
        return fail(ERR_INVALID_FIELD, "read", reader->path, strerror(errno), problem);
    if (S_ISDIR(status.st_mode))
        return fail(ERR_INVALID_FIELD, "read", reader->path, strerror(EISDIR), problem);
    return S_ISREG(status.st_mode) ? ERR_NONE : spool(reader, problem);
}

enum error snapshot_reader_rewind(struct snapshot_reader *reader,
                                  char problem[SNAPSHOT_PROBLEM_MAX])
{
    static const unsigned char gzip_magic[] = {0x1f, 0x8b};
    unsigned char first[sizeof gzip_magic] = {0};
    text_clear(&reader->bytes);
    reader->at = 0;
    reader->file_ended = reader->gzip_ended = false;
    gzip_stream_free(reader->gzip);
    reader->gzip = NULL;
    if (pread(reader->fd, first, sizeof first, 0) < 0 || lseek(reader->fd, 0, SEEK_SET) != 0)
        return fail(ERR_SYSTEM, "read", reader->path, strerror(errno), problem);
    return memcmp(first, gzip_magic, sizeof first) == 0 ? gzip_stream_create(false, &reader->gzip)
                                                        : ERR_NONE;
}

enum error snapshot_reader_open(const char *path, struct snapshot_reader **out,
                                char problem[SNAPSHOT_PROBLEM_MAX])
{
    struct snapshot_reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return ERR_NO_MEMORY;
    reader->fd = -1;
    enum error error = open_source(reader, path, problem);
    if (!error)
        error = snapshot_reader_rewind(reader, problem);
    if (error)
        snapshot_reader_free(reader);
    else
        *out = reader;
    return error;
}

void snapshot_reader_free(struct snapshot_reader *reader)
{
    if (!reader)
        return;
    if (reader->fd >= 0)
        close(reader->fd);
    gzip_stream_free(reader->gzip);
    text_free(&reader->bytes);
    free(reader);
}

static enum error unpack(struct snapshot_reader *reader, struct slice block,
                         char problem[SNAPSHOT_PROBLEM_MAX])
{
    if (!reader->gzip) {
        text_append_slice(&reader->bytes, block);
        return text_failed(&reader->bytes) ? ERR_NO_MEMORY : ERR_NONE;
    }
    enum error error =
        gzip_stream_decompress(reader->gzip, block, &reader->bytes, &reader->gzip_ended);
    if (error == ERR_INVALID_JSON)
        snprintf(problem, SNAPSHOT_PROBLEM_MAX, "the gzip data is damaged");
    return error;
}

/* Reads the next block of the file. */
static enum error read_more(struct snapshot_reader *reader, char problem[SNAPSHOT_PROBLEM_MAX])
{
    char block[BLOCK_BYTES];
    size_t left = reader->bytes.size - reader->at;
    if (left)
        memmove(reader->bytes.data, reader->bytes.data + reader->at, left);
    reader->bytes.size = left;
    reader->at = 0;
    ssize_t count;
    do
        count = read(reader->fd, block, sizeof block);
    while (count < 0 && errno == EINTR);
    if (count < 0)
        return fail(ERR_SYSTEM, "read", reader->path, strerror(errno), problem);
    if (count > 0)
        return unpack(reader, (struct slice){block, (size_t)count}, problem);
    reader->file_ended = true;
    if (!reader->gzip || reader->gzip_ended)
        return ERR_NONE;
    snprintf(problem, SNAPSHOT_PROBLEM_MAX, "the gzip data is cut");
    return ERR_INVALID_JSON;
}

enum error snapshot_reader_next(struct snapshot_reader *reader, struct slice *line, bool *ended,
                                char problem[SNAPSHOT_PROBLEM_MAX])
{
    const char *feed = NULL;
    size_t searched = 0;
    *ended = false;
    while (true) {
        const char *begin = reader->bytes.data ? reader->bytes.data + reader->at : "";
        size_t left = reader->bytes.size - reader->at;
        feed = memchr(begin + searched, '\n', left - searched);
        searched = left;
        *line = (struct slice){begin, feed ? (size_t)(feed - begin) : left};
        if (line->size > SNAPSHOT_LINE_BYTES_MAX) {
            snprintf(problem, SNAPSHOT_PROBLEM_MAX, "the next line is too long");
            return ERR_INVALID_JSON;
        }
        if (feed || reader->file_ended)
            break;
        enum error error = read_more(reader, problem);
        if (error)
            return error;
    }
    *ended = !feed && line->size == 0;
    reader->at += line->size + (feed != NULL);
    return ERR_NONE;
}
