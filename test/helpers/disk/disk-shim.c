/*
 * A disk that loses, fills up, fails and dawdles on command, under a program that knows nothing of it (LD_PRELOAD).
 *
 * Writes below QKD_DISK_ROOT (a prefix of paths) go to the files at once, and what was there before is kept in a log until the
 * file is synced. Syncs need not reach the real disk: what is lost is decided here. Names that were made, moved or removed count
 * as durable once their directory is synced, a new file's name once the file itself is, as ext4, XFS and btrfs have it.
 * The log is shared by all processes forked from the first one, so that a server of many processes may lose all of its disk.
 *
 * QKD_DISK_LOSE is a first command `lose` without that word, for programs that end before anybody can say it.
 * Each write, sync and change of a name is a step. Commands come as lines over the unix socket QKD_DISK_SOCKET:
 *   count                     how many steps there were, and how many of them are not synced
 *   lose AT all|half|none SEED  at the AT-th step from now (0: at once) the processes are killed; of what was not synced all, a
 *                             random half (by pages of 4 KiB; names in the order they were made), or nothing is taken back
 *   fail AT ERRNO LASTS       from the AT-th step from now on (1 is the next) LASTS steps fail, or with 0 all, of those that can: for
 *                             ENOSPC writes that make a file longer, of which a part is written first, and new names; for EIO
 *                             syncs and synchronous writes, which is where errors of a disk come out
 *   mend                      no step fails any more
 *   slow MS                   every sync takes so long
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_FDS 4096
#define MAX_STEPS 65536
#define MAX_FAMILY 256
#define ARENA_BYTES (1UL << 30)
#define PAGE 4096

enum kind { WRITE, CREATE, UNLINK, RENAME, LINK };

/* What it takes to undo one step: the bytes at `arena` were at `offset`, in a file of `size` bytes. */
struct step {
    enum kind kind;
    uint64_t seq;
    dev_t dev;
    ino_t ino;
    off_t offset, size;
    size_t old_length, length;
    size_t arena, fresh;
    char path[256], other[256];
};

struct shared {
    pthread_mutex_t lock;
    uint64_t seq, steps_seen;
    uint64_t fail_at, fail_left, lose_at, seed;
    int fail_errno, lose_mode;
    volatile int is_losing;
    unsigned slow_ms, count;
    size_t used;
    pid_t first;
    struct step steps[MAX_STEPS];
};

struct open_file {
    char tracked, dsync;
    dev_t dev;
    ino_t ino;
    char path[256];
};

static struct shared *disk;
static char *arena;
static char root[256], hidden_dir[200];
static struct open_file files[MAX_FDS];

static ssize_t raw_pwrite(int fd, const void *p, size_t n, off_t o) { return syscall(SYS_pwrite64, fd, p, n, o); }
static ssize_t raw_pread(int fd, void *p, size_t n, off_t o) { return syscall(SYS_pread64, fd, p, n, o); }
static int raw_open(const char *path, int flags, mode_t mode) { return syscall(SYS_openat, AT_FDCWD, path, flags, mode); }
static int raw_close(int fd) { return syscall(SYS_close, fd); }
static int raw_truncate(int fd, off_t size) { return syscall(SYS_ftruncate, fd, size); }
static int raw_rename(const char *from, const char *to) { return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0); }
static int raw_unlink(const char *path) { return syscall(SYS_unlinkat, AT_FDCWD, path, 0); }
static int raw_link(const char *from, const char *to) { return syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0); }

static void give_up(const char *what)
{
    dprintf(2, "disk shim: %s\n", what);
    abort();
}

static void lock(void)
{
    if (pthread_mutex_lock(&disk->lock) == EOWNERDEAD)
        pthread_mutex_consistent(&disk->lock);
}

static void unlock(void) { pthread_mutex_unlock(&disk->lock); }

/* The absolute path in `out`, and whether it lies on this disk. */
static int on_disk(const char *path, char *out)
{
    if (disk == NULL || path == NULL)
        return 0;
    if (path[0] == '/')
        snprintf(out, 256, "%s", path);
    else {
        char here[PATH_MAX];
        if (getcwd(here, sizeof here) == NULL)
            return 0;
        if (snprintf(out, 256, "%s/%s", here, path) >= 256)
            return 0;
    }
    if (strncmp(out, root, strlen(root)) == 0)
        return 1;
    /* The directory in which the names begin with the prefix: it is synced as well. */
    size_t length = strlen(out);
    return root[length] == '/' && strncmp(out, root, length) == 0 && strchr(root + length + 1, '/') == NULL;
}

/* The file behind a descriptor, if it is on this disk. Some close theirs without a word, so that the number means another one. */
static struct open_file *tracked(int fd)
{
    struct stat st;
    if (disk == NULL || fd < 0 || fd >= MAX_FDS || !files[fd].tracked)
        return NULL;
    if (fstat(fd, &st) == 0 && st.st_dev == files[fd].dev && st.st_ino == files[fd].ino)
        return &files[fd];
    files[fd].tracked = 0;
    return NULL;
}

static struct step *log_step(enum kind kind, const char *path)
{
    if (disk->count == MAX_STEPS)
        give_up("too many steps without a sync");
    struct step *step = &disk->steps[disk->count++];
    memset(step, 0, sizeof *step);
    step->kind = kind;
    step->seq = ++disk->seq;
    snprintf(step->path, sizeof step->path, "%s", path);
    return step;
}

/* Keeps what a write of `length` bytes at `offset` is about to replace, or a truncation to `offset` (length 0) to cut off. */
static void keep_old(int fd, const char *path, off_t offset, size_t length)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return;
    struct step *step = log_step(WRITE, path);
    step->dev = st.st_dev;
    step->ino = st.st_ino;
    step->offset = offset;
    step->size = st.st_size;
    step->length = length;
    size_t old = offset >= st.st_size ? 0 : (size_t)(st.st_size - offset);
    if (length != 0 && old > length)
        old = length;
    if (disk->used + old > ARENA_BYTES)
        give_up("too many bytes without a sync");
    int from = raw_open(path, O_RDONLY | O_CLOEXEC, 0);
    step->arena = disk->used;
    if (from >= 0) {
        ssize_t got = raw_pread(from, arena + disk->used, old, offset);
        step->old_length = got > 0 ? (size_t)got : 0;
        raw_close(from);
    }
    disk->used += step->old_length;
}

/* Forgets what is durable now: of one file or directory, up to `seq`. */
static void settle(const struct stat *st, const char *directory, uint64_t seq)
{
    unsigned kept = 0;
    size_t used = 0;
    for (unsigned at = 0; at < disk->count; at++) {
        struct step *step = &disk->steps[at];
        int is_same = step->dev == st->st_dev && step->ino == st->st_ino && (step->kind == WRITE || step->kind == CREATE);
        size_t length = directory == NULL ? 0 : strlen(directory);
        int is_name = step->kind != WRITE && length > 0 && strncmp(step->path, directory, length) == 0 &&
                      step->path[length] == '/' && strchr(step->path + length + 1, '/') == NULL;
        if (step->seq <= seq && (is_same || is_name))
            continue;
        memmove(arena + used, arena + step->arena, step->old_length);
        step->arena = used;
        used += step->old_length;
        if (kept != at)
            disk->steps[kept] = *step;
        kept++;
    }
    disk->count = kept;
    disk->used = used;
}

/*
 * Forgets one write that was durable when it returned. Only its own bytes are; but as it needs the size that the file has now,
 * no earlier step takes the file back to less, and what was cut off before stays so.
 */
static void settle_write(uint64_t seq, off_t end)
{
    struct step settled = {.seq = 0};
    for (unsigned at = 0; at < disk->count; at++)
        if (disk->steps[at].seq == seq)
            settled = disk->steps[at];
    if (settled.seq == 0)
        return;
    unsigned kept = 0;
    for (unsigned at = 0; at < disk->count; at++) {
        struct step *step = &disk->steps[at];
        int is_earlier = step->kind == WRITE && step->dev == settled.dev && step->ino == settled.ino && step->seq < seq;
        if (step->seq == seq || (is_earlier && step->length == 0))
            continue;
        if (is_earlier && step->size < end)
            step->size = end;
        if (kept != at)
            disk->steps[kept] = *step;
        kept++;
    }
    disk->count = kept;
    if (kept == 0)
        disk->used = 0;
}

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15UL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9UL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebUL;
    return z ^ (z >> 31);
}

static void undo(struct step *step, int keep_fresh)
{
    switch (step->kind) {
    case WRITE: {
        int fd = raw_open(step->path, O_RDWR | O_CLOEXEC, 0);
        struct stat st;
        if (fd < 0)
            return;
        if (fstat(fd, &st) == 0 && st.st_ino == step->ino) {
            step->fresh = disk->used;
            if (keep_fresh && disk->used + step->length <= ARENA_BYTES) {
                ssize_t got = raw_pread(fd, arena + disk->used, step->length, step->offset);
                disk->used += got > 0 ? (size_t)got : 0;
                step->length = got > 0 ? (size_t)got : 0;
            }
            raw_pwrite(fd, arena + step->arena, step->old_length, step->offset);
            raw_truncate(fd, step->size);
        }
        raw_close(fd);
        return;
    }
    case CREATE:
    case LINK:
        raw_unlink(step->path);
        return;
    case UNLINK:
        raw_link(step->other, step->path);
        return;
    case RENAME: {
        char kept[256];
        snprintf(kept, sizeof kept, "%s/%llu", hidden_dir, (unsigned long long)step->seq);
        raw_rename(step->path, step->other);
        raw_link(kept, step->path);
    }
    }
}

static void redo_write(struct step *step, int by_pages, uint64_t *random)
{
    int fd = raw_open(step->path, O_RDWR | O_CLOEXEC, 0);
    struct stat st;
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && st.st_ino == step->ino)
        for (size_t at = 0; at < step->length;) {
            size_t end = (((size_t)step->offset + at) / PAGE + 1) * PAGE - (size_t)step->offset;
            size_t length = end > step->length ? step->length - at : end - at;
            if (!by_pages || (next_random(random) & 1) != 0)
                raw_pwrite(fd, arena + step->fresh + at, length, step->offset + (off_t)at);
            at += length;
        }
    raw_close(fd);
}

/* Takes back what was not synced: everything, or a random half, of which the rest is then as if it had reached the disk. */
static void take_back(int is_half, uint64_t random)
{
    unsigned names = 0, kept_names = 0;
    for (unsigned at = 0; at < disk->count; at++)
        names += disk->steps[at].kind != WRITE;
    if (is_half)
        kept_names = next_random(&random) % (names + 1);
    unsigned name = names;
    for (unsigned at = disk->count; at-- > 0;) {
        struct step *step = &disk->steps[at];
        if (step->kind == WRITE)
            undo(step, is_half);
        else if (name-- > kept_names)
            undo(step, 0);
    }
    if (is_half)
        for (unsigned at = 0; at < disk->count; at++)
            if (disk->steps[at].kind == WRITE)
                redo_write(&disk->steps[at], 1, &random);
}

static ssize_t read_file(const char *path, char *text, size_t size)
{
    int fd = raw_open(path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    ssize_t got = syscall(SYS_read, fd, text, size - 1);
    raw_close(fd);
    text[got > 0 ? got : 0] = 0;
    return got;
}

static int is_gone(pid_t pid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    char *end = read_file(path, text, sizeof text) > 0 ? strrchr(text, ')') : NULL;
    return end == NULL || end[2] == 'Z' || end[2] == 'X';
}

/* A process and its children but this one. */
static unsigned family_of(pid_t first, pid_t *family)
{
    char path[64], text[4096], *rest;
    unsigned count = 0;
    family[count++] = first;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", first, first);
    if (read_file(path, text, sizeof text) > 0)
        for (char *word = strtok_r(text, " ", &rest); word != NULL && count < MAX_FAMILY; word = strtok_r(NULL, " ", &rest))
            if (atoi(word) > 0 && atoi(word) != getpid())
                family[count++] = atoi(word);
    return count;
}

/*
 * A child does it, when nobody is left who could look at a file that is going back in time. Called in the first process, whose
 * connection it is, while the lock is held here or by the step at which power goes.
 */
static void lose(int connection)
{
    pid_t child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child != 0) {
        for (;;)
            pause();
    }
    unsigned lost = disk->count;
    pid_t victims[MAX_FAMILY];
    unsigned count = family_of(disk->first, victims);
    for (unsigned at = 0; at < count; at++)
        kill(victims[at], SIGKILL);
    for (unsigned at = 0; at < count; at++)
        for (int tries = 0; tries < 10000 && !is_gone(victims[at]); tries++)
            usleep(500);
    if (disk->lose_mode != 'n')
        take_back(disk->lose_mode == 'h', disk->seed);
    dprintf(connection, "lost %u\n", lost);
    _exit(0);
}

enum nature { GROWS, STAYS, REACHES_DISK };

/* Counts a step that is to come, with the lock held. True where it has to fail. */
static int fails(enum nature nature)
{
    disk->steps_seen++;
    if (disk->fail_at == 0 || disk->steps_seen < disk->fail_at)
        return 0;
    if (nature != (disk->fail_errno == ENOSPC ? GROWS : REACHES_DISK))
        return 0;
    if (disk->fail_left != 0 && --disk->fail_left == 0)
        disk->fail_at = 0;
    return 1;
}

/* A step that has been made but is not durable: the moment at which power may go. */
static void after_step(void)
{
    if (disk->lose_at == 0 || disk->steps_seen < disk->lose_at)
        return;
    disk->is_losing = 1;
    for (;;)
        pause();
}

static void dawdle(void)
{
    if (disk->slow_ms > 0)
        usleep(disk->slow_ms * 1000);
}

static ssize_t step_write(int fd, const struct iovec *parts, int count, off_t offset)
{
    struct open_file *file = &files[fd];
    size_t length = 0;
    for (int at = 0; at < count; at++)
        length += parts[at].iov_len;
    lock();
    int is_append = offset < 0 && (fcntl(fd, F_GETFL) & O_APPEND) != 0;
    struct stat st;
    off_t at = offset >= 0 ? offset : is_append && fstat(fd, &st) == 0 ? st.st_size : lseek(fd, 0, SEEK_CUR);
    int is_growing = fstat(fd, &st) == 0 && at + (off_t)length > st.st_size;
    int is_cut = length > 1 && disk->steps_seen + 1 == disk->fail_at;
    int error = disk->fail_errno;
    int is_failing = error == ENOSPC || !file->dsync ? fails(is_growing ? GROWS : STAYS) : fails(REACHES_DISK);
    size_t allowed = is_failing && error == ENOSPC && is_cut ? length / 2 : length;
    if (is_failing && allowed == length) {
        unlock();
        errno = error;
        return -1;
    }
    keep_old(fd, file->path, at, allowed);
    uint64_t seq = disk->seq;
    ssize_t done = -1;
    if (allowed < length) {
        /* A disk that fills up takes a part. */
        char *all = malloc(length), *end = all;
        for (int part = 0; part < count; part++)
            end = mempcpy(end, parts[part].iov_base, parts[part].iov_len);
        done = offset >= 0 ? raw_pwrite(fd, all, allowed, offset) : syscall(SYS_write, fd, all, allowed);
        free(all);
    } else if (offset >= 0)
        done = syscall(SYS_pwritev, fd, parts, count, (unsigned long)offset, 0UL);
    else
        done = syscall(SYS_writev, fd, parts, count);
    after_step();
    unlock();
    if (file->dsync && done > 0) {
        dawdle();
        lock();
        settle_write(seq, at + done);
        unlock();
    }
    return done;
}

static int step_sync(int fd)
{
    struct stat st;
    lock();
    int is_failing = fails(REACHES_DISK), error = disk->fail_errno;
    uint64_t seq = disk->seq;
    if (!is_failing)
        after_step();
    unlock();
    dawdle();
    if (is_failing) {
        errno = error;
        return -1;
    }
    if (fstat(fd, &st) != 0)
        return -1;
    lock();
    settle(&st, S_ISDIR(st.st_mode) ? files[fd].path : NULL, seq);
    unlock();
    return 0;
}

static int step_truncate(int fd, off_t size)
{
    struct stat st;
    if (fstat(fd, &st) == 0 && st.st_size == size)
        return 0;
    lock();
    if (fails(size > st.st_size ? GROWS : STAYS)) {
        int error = disk->fail_errno;
        unlock();
        errno = error;
        return -1;
    }
    keep_old(fd, files[fd].path, size, 0);
    int result = raw_truncate(fd, size);
    after_step();
    unlock();
    return result;
}

static int step_open(const char *given, int flags, mode_t mode)
{
    char path[256];
    if (!on_disk(given, path))
        return raw_open(given, flags, mode);
    int is_new = 0;
    struct stat st;
    if ((flags & O_CREAT) != 0 && stat(path, &st) != 0)
        is_new = 1;
    if (is_new || (flags & O_TRUNC) != 0) {
        lock();
        if (fails(is_new ? GROWS : STAYS)) {
            int error = disk->fail_errno;
            unlock();
            errno = error;
            return -1;
        }
        unlock();
    }
    int is_cut = (flags & O_TRUNC) != 0 && !is_new;
    int fd = raw_open(path, flags & ~(O_DSYNC | O_SYNC | O_TRUNC), mode);
    if (fd < 0 || fd >= MAX_FDS)
        return fd;
    struct open_file *file = &files[fd];
    if (fstat(fd, &st) != 0)
        return fd;
    file->tracked = 1;
    file->dev = st.st_dev;
    file->ino = st.st_ino;
    file->dsync = (flags & O_DSYNC) != 0;
    memcpy(file->path, path, sizeof file->path);
    if (is_new) {
        lock();
        struct step *step = log_step(CREATE, path);
        if (fstat(fd, &st) == 0) {
            step->dev = st.st_dev;
            step->ino = st.st_ino;
        }
        after_step();
        unlock();
    } else if (is_cut) {
        lock();
        keep_old(fd, path, 0, 0);
        raw_truncate(fd, 0);
        after_step();
        unlock();
    }
    return fd;
}

/* A name below the disk's root that is about to go: its file is kept under another one. */
static int hide(const char *path, uint64_t seq, char *out)
{
    snprintf(out, 256, "%s/%llu", hidden_dir, (unsigned long long)seq);
    int result = raw_link(path, out);
    if (result != 0 && errno == EEXIST)
        give_up("a removed file stands in the way of another");
    return result;
}

static int step_unlink(const char *path)
{
    struct stat st;
    lock();
    disk->steps_seen++; /* A full disk lets go of a file. */
    if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
        struct step *step = log_step(UNLINK, path);
        if (hide(path, step->seq, step->other) != 0)
            disk->count--;
    }
    int result = raw_unlink(path);
    after_step();
    unlock();
    return result;
}

static int step_name(enum kind kind, const char *from, const char *to)
{
    lock();
    if (fails(GROWS)) {
        int error = disk->fail_errno;
        unlock();
        errno = error;
        return -1;
    }
    char kept[256];
    struct step *step = log_step(kind, to);
    snprintf(step->other, sizeof step->other, "%s", from);
    if (kind == RENAME)
        hide(to, step->seq, kept);
    int result = kind == RENAME ? raw_rename(from, to) : raw_link(from, to);
    if (result != 0)
        disk->count--;
    else
        after_step();
    unlock();
    return result;
}

/* The functions of the C library that are replaced. */

#define OPEN(name, call)                                                                                                   \
    int name                                                                                                                      \
    {                                                                                                                             \
        mode_t mode = 0;                                                                                                          \
        if ((flags & (O_CREAT | __O_TMPFILE)) != 0) {                                                                             \
            va_list rest;                                                                                                         \
            va_start(rest, flags);                                                                                                \
            mode = va_arg(rest, mode_t);                                                                                          \
            va_end(rest);                                                                                                         \
        }                                                                                                                         \
        return call;                                                                                                              \
    }
OPEN(open(const char *path, int flags, ...), step_open(path, flags, mode))
OPEN(open64(const char *path, int flags, ...), step_open(path, flags, mode))
static int open_at(int dir, const char *path, int flags, mode_t mode)
{
    if (dir == AT_FDCWD || path[0] == '/')
        return step_open(path, flags, mode);
    return syscall(SYS_openat, dir, path, flags, mode);
}
OPEN(openat(int dir, const char *path, int flags, ...), open_at(dir, path, flags, mode))
OPEN(openat64(int dir, const char *path, int flags, ...), open_at(dir, path, flags, mode))

int close(int fd)
{
    if (fd >= 0 && fd < MAX_FDS)
        files[fd].tracked = 0;
    return raw_close(fd);
}

ssize_t write(int fd, const void *bytes, size_t length)
{
    struct iovec part = {(void *)bytes, length};
    return tracked(fd) ? step_write(fd, &part, 1, -1) : syscall(SYS_write, fd, bytes, length);
}

static ssize_t write_at(int fd, const void *bytes, size_t length, off_t offset)
{
    struct iovec part = {(void *)bytes, length};
    return tracked(fd) ? step_write(fd, &part, 1, offset) : raw_pwrite(fd, bytes, length, offset);
}
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) { return write_at(fd, bytes, length, offset); }
ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t offset) { return write_at(fd, bytes, length, offset); }

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return tracked(fd) ? step_write(fd, parts, count, -1) : syscall(SYS_writev, fd, parts, count);
}

static ssize_t writev_at(int fd, const struct iovec *parts, int count, off_t offset)
{
    return tracked(fd) ? step_write(fd, parts, count, offset)
                       : syscall(SYS_pwritev, fd, parts, count, (unsigned long)offset, 0UL);
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) { return writev_at(fd, parts, count, offset); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t offset) { return writev_at(fd, parts, count, offset); }

int fsync(int fd) { return tracked(fd) ? step_sync(fd) : syscall(SYS_fsync, fd); }
int fdatasync(int fd) { return tracked(fd) ? step_sync(fd) : syscall(SYS_fdatasync, fd); }

int ftruncate(int fd, off_t size) { return tracked(fd) ? step_truncate(fd, size) : raw_truncate(fd, size); }
int ftruncate64(int fd, off_t size) { return tracked(fd) ? step_truncate(fd, size) : raw_truncate(fd, size); }

int unlink(const char *given)
{
    char path[256];
    return on_disk(given, path) ? step_unlink(path) : raw_unlink(given);
}

int rename(const char *from, const char *to)
{
    char old[256], fresh[256];
    return on_disk(from, old) && on_disk(to, fresh) ? step_name(RENAME, old, fresh) : raw_rename(from, to);
}

int link(const char *from, const char *to)
{
    char old[256], fresh[256];
    return on_disk(from, old) && on_disk(to, fresh) ? step_name(LINK, old, fresh) : raw_link(from, to);
}

/* Commands. */

static void obey(int connection, char *line)
{
    unsigned long long at = 0, seed = 0, lasts = 0;
    char mode[16] = "";
    int error = 0;
    lock();
    if (strncmp(line, "count", 5) == 0)
        dprintf(connection, "%llu %u\n", (unsigned long long)disk->steps_seen, disk->count);
    else if (sscanf(line, "lose %llu %15s %llu", &at, mode, &seed) == 3) {
        disk->lose_mode = mode[0];
        disk->seed = seed;
        if (at == 0)
            lose(connection);
        disk->lose_at = disk->steps_seen + at;
        unlock();
        while (!disk->is_losing)
            usleep(200);
        lose(connection);
    } else if (sscanf(line, "fail %llu %d %llu", &at, &error, &lasts) == 3) {
        disk->fail_at = disk->steps_seen + at;
        disk->fail_left = lasts;
        disk->fail_errno = error;
        dprintf(connection, "ok\n");
    } else if (strncmp(line, "mend", 4) == 0) {
        disk->fail_at = 0;
        dprintf(connection, "ok\n");
    } else if (sscanf(line, "slow %llu", &at) == 1) {
        disk->slow_ms = at;
        dprintf(connection, "ok\n");
    } else
        dprintf(connection, "unknown command\n");
    unlock();
}

static void *serve(void *argument)
{
    int listener = (int)(intptr_t)argument;
    const char *first = getenv("QKD_DISK_LOSE");
    if (first != NULL) {
        char line[128];
        snprintf(line, sizeof line, "lose %s", first);
        obey(2, line);
    }
    for (;;) {
        int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (connection < 0)
            continue;
        char line[128];
        size_t length = 0;
        while (length < sizeof line - 1 && syscall(SYS_read, connection, line + length, 1) == 1 && line[length] != '\n')
            length++;
        line[length] = 0;
        obey(connection, line);
        raw_close(connection);
    }
    return NULL;
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("QKD_DISK_SOCKET"), *given = getenv("QKD_DISK_ROOT"), *program = getenv("QKD_DISK_PROGRAM");
    if (path == NULL || given == NULL || (program != NULL && strcmp(program, program_invocation_short_name) != 0))
        return;
    unsetenv("LD_PRELOAD"); /* Programs that this one starts are none of ours. */
    snprintf(root, sizeof root, "%s", given);
    /* Of its own: steps are counted anew, and what the process before this one removed is not to come back in their place. */
    snprintf(hidden_dir, sizeof hidden_dir, "%s.removed-%d", path, getpid());
    mkdir(hidden_dir, 0700);
    struct shared *mapped = mmap(NULL, sizeof *mapped, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    arena = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED || arena == MAP_FAILED)
        give_up("no memory");
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&mapped->lock, &attributes);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    raw_unlink(path);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 8) != 0)
        give_up("cannot listen");
    mapped->first = getpid();
    disk = mapped;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    pthread_create(&thread, NULL, serve, (void *)(intptr_t)listener);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}
