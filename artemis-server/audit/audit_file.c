/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/audit/audit_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    NUMBER_BYTES = 12,  /* ".4294967295" */
    OTHER_USERS = 0077, /* permissions of other users than the owner */
};

void audit_file_init(struct audit_file *file, const char *folder, const char *name,
                     uint64_t bytes_max, uint32_t files_max)
{
    *file = (struct audit_file){.bytes_max = bytes_max, .files_max = files_max, .fd = -1};
    snprintf(file->path, sizeof(file->path), "%s/%s", folder, name);
}

void audit_file_path(const char *current, uint32_t number, char out[AUDIT_PATH_BYTES])
{
    if (number == 0)
        snprintf(out, AUDIT_PATH_BYTES, "%s", current);
    else
        snprintf(out, AUDIT_PATH_BYTES, "%.*s.%u", AUDIT_PATH_BYTES - NUMBER_BYTES, current,
                 number);
}

void audit_file_close(struct audit_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}

/* Closes the file after a failure; the next line opens it again. Returns the errno. */
static int fail(struct audit_file *file, int reason)
{
    audit_file_close(file);
    return reason;
}

/* --- writing ---------------------------------------------------------------------------------- */

/* Writes all bytes, or none: removes what a failure has left. */
static int write_whole(struct audit_file *file, struct slice bytes)
{
    size_t written = 0;
    while (written < bytes.size) {
        ssize_t size = write(file->fd, bytes.data + written, bytes.size - written);
        if (size < 0 && errno == EINTR)
            continue;
        if (size <= 0) {
            int reason = size < 0 ? errno : EIO;
            if (written > 0)
                (void)!ftruncate(file->fd, (off_t)file->size);
            return reason;
        }
        written += (size_t)size;
    }
    file->size += bytes.size;
    return 0;
}

/* A power failure may have left a part of a line. */
static int end_last_line(struct audit_file *file)
{
    char last = '\n';
    if (file->size > 0 && pread(file->fd, &last, 1, (off_t)file->size - 1) != 1)
        return errno ? errno : EIO;
    return last == '\n' ? 0 : write_whole(file, SLICE("\n"));
}

/* Takes the permissions of other users away, as those of a file that was restored or copied. */
static int protect(int fd, const struct stat *status)
{
    if (!(status->st_mode & OTHER_USERS) || fchmod(fd, S_IRUSR | S_IWUSR) == 0)
        return 0;
    return errno;
}

static void protect_earlier(const char *path)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
        (void)protect(fd, &status);
    close(fd);
}

/* Once, before the first line. */
static void tidy_earlier(struct audit_file *file)
{
    char path[AUDIT_PATH_BYTES];
    if (file->is_tidied)
        return;
    file->is_tidied = true;
    for (uint32_t number = 1; number < AUDIT_FILES_MAX; number++) {
        audit_file_path(file->path, number, path);
        if (number < file->files_max)
            protect_earlier(path);
        else
            (void)unlink(path);
    }
}

static int open_current(struct audit_file *file)
{
    struct stat status;
    file->fd =
        open(file->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (file->fd < 0)
        return errno;
    if (fstat(file->fd, &status) != 0)
        return fail(file, errno);
    if (!S_ISREG(status.st_mode))
        return fail(file, EINVAL);
    int reason = protect(file->fd, &status);
    file->size = (uint64_t)status.st_size;
    if (!reason)
        reason = end_last_line(file);
    if (reason)
        return fail(file, reason);
    tidy_earlier(file);
    return 0;
}

/* --- rotation --------------------------------------------------------------------------------- */

/* Whether the path is still that of the open file. */
static bool is_current(const struct audit_file *file)
{
    struct stat opened;
    struct stat named;
    return fstat(file->fd, &opened) == 0 && stat(file->path, &named) == 0 &&
           opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

/* Renames each file to the next number; the last one is replaced. The lines of the current one are
 * on the disk first: audit_file_sync will not reach them any more. */
static int rotate(struct audit_file *file)
{
    char from[AUDIT_PATH_BYTES];
    char to[AUDIT_PATH_BYTES];
    int reason = audit_file_sync(file);
    if (reason)
        return reason;
    audit_file_close(file);
    for (uint32_t number = file->files_max - 1; number > 0; number--) {
        audit_file_path(file->path, number - 1, from);
        audit_file_path(file->path, number, to);
        if (rename(from, to) != 0 && errno != ENOENT)
            return errno;
    }
    return 0;
}

int audit_file_append(struct audit_file *file, struct slice line)
{
    int reason = 0;
    if (file->fd >= 0 && !is_current(file))
        audit_file_close(file);
    if (file->fd < 0)
        reason = open_current(file);
    if (!reason && file->size > 0 && file->size + line.size > file->bytes_max) {
        reason = rotate(file);
        if (!reason)
            reason = open_current(file);
    }
    if (!reason)
        reason = write_whole(file, line);
    return reason ? fail(file, reason) : 0;
}

int audit_file_sync(struct audit_file *file)
{
    if (file->fd < 0 || fdatasync(file->fd) == 0)
        return 0;
    return fail(file, errno);
}
