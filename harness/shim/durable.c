/*
 * What a disk keeps when the power goes.
 *
 * Killing a process loses nothing that it wrote: the kernel still has it. This library is loaded
 * before the C library (LD_PRELOAD) of a process that is going to be killed, and keeps a second
 * directory that holds only what the process has flushed. After the kill that directory is what a
 * disk would have had.
 *
 *   HARNESS_DURABLE_FROM  the directory of the database, as an absolute path without links
 *   HARNESS_DURABLE_TO    the directory that holds what is durable: at the start a copy of the first, or
 *                         what the process before has flushed
 *   HARNESS_SYNC          "broken": flushing says that it worked and does nothing
 *
 * - A write marks its range of the file. fsync and fdatasync flush, and then copy the marked ranges;
 *   writes of other threads wait meanwhile. A kill in the middle leaves nothing or a part, as a power
 *   cut in the middle of a flush does.
 * - A file that is removed goes from the second directory with the next flush of any file: journalling
 *   file systems keep that order.
 * - A write by another call than those below is not seen, and so counts as never flushed: a run can
 *   fail by it, and cannot pass by it. A database file mapped to be written is refused.
 *
 * 64-bit Linux only: all calls are made as system calls, so nothing has to be looked up at the start.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if !defined(__linux__) || !defined(__LP64__)
#error "64-bit Linux only"
#endif

#define FILES_MAX 32
#define RANGES_MAX 128
#define REMOVED_MAX 16

struct range {
    off_t start;
    off_t end;
};

/* A file of the directory, by its identity. */
struct file {
    dev_t device;
    ino_t inode;
    char name[NAME_MAX + 1];
    /* Everything is to be copied: the file is new here, or has too many ranges. */
    int whole;
    int count;
    struct range ranges[RANGES_MAX];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct file files[FILES_MAX];
static int file_count;
static char removed[REMOVED_MAX][NAME_MAX + 1];
static int removed_count;

static const char *from;
static const char *to;
static int broken;

static void give_up(const char *reason) {
    fprintf(stderr, "durable: %s\n", reason);
    abort();
}

/* Notes that a file is to go from the second directory with the next flush. */
static void note_removed(const char *name) {
    for (int i = 0; i < removed_count; i++) {
        if (strcmp(removed[i], name) == 0) {
            return;
        }
    }
    if (removed_count == REMOVED_MAX) {
        give_up("more removals than REMOVED_MAX");
    }
    strcpy(removed[removed_count++], name);
}

/* A process before this one may have removed files and flushed nothing since. */
static void note_removed_before(void) {
    DIR *directory = opendir(to);
    struct dirent *entry;
    if (directory == NULL) {
        give_up("the second directory cannot be read");
    }
    while ((entry = readdir(directory)) != NULL) {
        char path[PATH_MAX];
        if (entry->d_type == DT_REG && snprintf(path, sizeof path, "%s/%s", from, entry->d_name) > 0
            && access(path, F_OK) != 0) {
            note_removed(entry->d_name);
        }
    }
    closedir(directory);
}

__attribute__((constructor)) static void begin(void) {
    const char *sync = getenv("HARNESS_SYNC");
    broken = sync != NULL && strcmp(sync, "broken") == 0;
    to = getenv("HARNESS_DURABLE_TO");
    from = to != NULL ? getenv("HARNESS_DURABLE_FROM") : NULL;
    if (from != NULL) {
        note_removed_before();
    }
}

/* The name of a path within the directory; NULL where it is elsewhere. */
static const char *name_in_directory(const char *path) {
    size_t length = strlen(from);
    if (strncmp(path, from, length) != 0 || path[length] != '/') {
        return NULL;
    }
    const char *name = path + length + 1;
    return *name == '\0' || strchr(name, '/') != NULL || strlen(name) > NAME_MAX ? NULL : name;
}

/* Into `path`, the path of an open file; its name in the directory, or NULL. */
static const char *name_of(int fd, char *path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, size - 1);
    if (length < 0) {
        return NULL;
    }
    path[length] = '\0';
    return name_in_directory(path);
}

/* The file behind a descriptor; NULL where it is none of the directory. The lock is held. */
static struct file *find(int fd) {
    struct stat status;
    if (from == NULL || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        return NULL;
    }
    for (int i = 0; i < file_count; i++) {
        if (files[i].device == status.st_dev && files[i].inode == status.st_ino) {
            return &files[i];
        }
    }
    char path[PATH_MAX];
    const char *name = name_of(fd, path, sizeof path);
    if (name == NULL) {
        return NULL;
    }
    if (file_count == FILES_MAX) {
        give_up("more files than FILES_MAX");
    }
    struct file *file = &files[file_count++];
    file->device = status.st_dev;
    file->inode = status.st_ino;
    strcpy(file->name, name);
    file->whole = 1;
    file->count = 0;
    return file;
}

static void mark(struct file *file, off_t start, off_t end) {
    if (file->whole || start >= end) {
        return;
    }
    if (file->count > 0 && file->ranges[file->count - 1].end == start) {
        file->ranges[file->count - 1].end = end;
    } else if (file->count == RANGES_MAX) {
        file->whole = 1;
    } else {
        file->ranges[file->count].start = start;
        file->ranges[file->count].end = end;
        file->count++;
    }
}

static void copy(int source, int target, off_t start, off_t end) {
    static char buffer[1 << 16];
    while (start < end) {
        size_t want = (size_t)(end - start) < sizeof buffer ? (size_t)(end - start) : sizeof buffer;
        ssize_t got = syscall(SYS_pread64, source, buffer, want, start);
        if (got < 0) {
            give_up("a file cannot be read");
        }
        if (got == 0) {
            return;
        }
        for (ssize_t done = 0; done < got;) {
            long put = syscall(SYS_pwrite64, target, buffer + done, got - done, start + done);
            if (put < 0) {
                give_up("the second directory cannot be written");
            }
            done += put;
        }
        start += got;
    }
}

static void open_in_second(const char *name, char *path, size_t size) {
    if ((size_t)snprintf(path, size, "%s/%s", to, name) >= size) {
        give_up("a path is too long");
    }
}

/*
 * A descriptor of the same file that can be read: the same one where it can. Closing another one gives up
 * the locks that the process holds on the file, and SQLite opens what it locks to read and write.
 */
static int readable(int fd) {
    if ((fcntl(fd, F_GETFL) & O_ACCMODE) != O_WRONLY) {
        return fd;
    }
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int source = open(link, O_RDONLY | O_CLOEXEC);
    if (source < 0) {
        give_up("a file cannot be opened to be read");
    }
    return source;
}

/* Makes durable what a file holds. The lock is held. */
static void keep(struct file *file, int fd) {
    char path[PATH_MAX];
    for (int i = 0; i < removed_count; i++) {
        open_in_second(removed[i], path, sizeof path);
        syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    }
    removed_count = 0;
    struct stat status;
    open_in_second(file->name, path, sizeof path);
    int target = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (target < 0 || fstat(fd, &status) != 0) {
        give_up("the second directory cannot be opened");
    }
    int source = readable(fd);
    if (file->whole) {
        copy(source, target, 0, status.st_size);
    }
    for (int i = 0; i < file->count; i++) {
        copy(source, target, file->ranges[i].start, file->ranges[i].end);
    }
    if (source != fd) {
        close(source);
    }
    if (syscall(SYS_ftruncate, target, status.st_size) != 0) {
        give_up("the second directory cannot be written");
    }
    close(target);
    file->whole = 0;
    file->count = 0;
}

static int flush(int fd, long call) {
    if (from == NULL) {
        return (int)syscall(call, fd);
    }
    pthread_mutex_lock(&lock);
    struct file *file = find(fd);
    int result = file != NULL && broken ? 0 : (int)syscall(call, fd);
    int error = errno;
    if (file != NULL && !broken && result == 0) {
        keep(file, fd);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

int fsync(int fd) {
    return flush(fd, SYS_fsync);
}

int fdatasync(int fd) {
    return flush(fd, SYS_fdatasync);
}

/* Marks a range before it is written: a kill in between marks too much, never too little. */
static void written(int fd, off_t start, size_t length) {
    if (from == NULL) {
        return;
    }
    pthread_mutex_lock(&lock);
    struct file *file = find(fd);
    if (file != NULL) {
        mark(file, start, start + (off_t)length);
    }
    pthread_mutex_unlock(&lock);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t start) {
    written(fd, start, length);
    return syscall(SYS_pwrite64, fd, bytes, length, start);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t start) {
    return pwrite64(fd, bytes, length, start);
}

ssize_t write(int fd, const void *bytes, size_t length) {
    if (from != NULL) {
        int error = errno;
        off_t start = lseek(fd, 0, SEEK_CUR);
        errno = error;
        if (start >= 0) {
            written(fd, start, length);
        }
    }
    return syscall(SYS_write, fd, bytes, length);
}

int ftruncate64(int fd, off_t length) {
    /* The size is taken at the next flush; what a longer file holds from here on is zeros. */
    struct stat status;
    if (from != NULL && fstat(fd, &status) == 0 && status.st_size < length) {
        written(fd, status.st_size, (size_t)(length - status.st_size));
    }
    return (int)syscall(SYS_ftruncate, fd, length);
}

int ftruncate(int fd, off_t length) {
    return ftruncate64(fd, length);
}

static void forget(const char *path) {
    char resolved[PATH_MAX];
    struct stat status;
    if (from == NULL || realpath(path, resolved) == NULL || stat(resolved, &status) != 0) {
        return;
    }
    const char *name = name_in_directory(resolved);
    if (name == NULL) {
        return;
    }
    pthread_mutex_lock(&lock);
    for (int i = 0; i < file_count; i++) {
        if (files[i].device == status.st_dev && files[i].inode == status.st_ino) {
            files[i] = files[--file_count];
            break;
        }
    }
    if (!broken) {
        note_removed(name);
    }
    pthread_mutex_unlock(&lock);
}

int unlink(const char *path) {
    forget(path);
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off_t start) {
    if (from != NULL && fd >= 0 && (protection & PROT_WRITE) != 0 && (flags & MAP_SHARED) != 0) {
        char path[PATH_MAX];
        const char *name = name_of(fd, path, sizeof path);
        size_t size = name != NULL ? strlen(name) : 0;
        /* The index of the WAL is not needed after a crash. */
        if (name != NULL && (size < 4 || strcmp(name + size - 4, "-shm") != 0)) {
            give_up("a database file is mapped to be written");
        }
    }
    return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, start);
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t start) {
    return mmap64(address, length, protection, flags, fd, start);
}
