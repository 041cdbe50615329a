# System calls: open with size and time of change, read at a position.
cdef extern from *:
    """
    #include <errno.h>
    #include <fcntl.h>
    #include <string.h>
    #include <sys/stat.h>
    #include <time.h>
    #include <unistd.h>

    #ifdef __APPLE__
    #define wetread_mtime(info) (info).st_mtimespec
    #else
    #define wetread_mtime(info) (info).st_mtim
    #endif

    #ifndef WETREAD_SOURCE
    #define WETREAD_SOURCE ""
    #endif

    /* Seconds on a clock that never goes back. */
    static inline double wetread_time(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec + now.tv_nsec * 1e-9;
    }

    #define wetread_move memmove

    /* 4 and 8 bytes as a little endian number. */
    static inline unsigned int wetread_word(const unsigned char *at) {
        return at[0] | at[1] << 8 | at[2] << 16 | (unsigned int)at[3] << 24;
    }

    static inline unsigned long long wetread_long(const unsigned char *at) {
        return wetread_word(at) | (unsigned long long)wetread_word(at + 4) << 32;
    }

    /* Descriptor of a regular file; -errno, or -100000 for what is no regular file. */
    static inline int wetread_open(const unsigned char *path, long long *size, long long *mtime_ns) {
        struct stat info;
        int file = open((const char *)path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (file < 0) return -errno;
        if (fstat(file, &info) < 0) { int error = errno; close(file); return -error; }
        if (!S_ISREG(info.st_mode)) { close(file); return -100000; }
        *size = info.st_size;
        *mtime_ns = wetread_mtime(info).tv_sec * 1000000000LL + wetread_mtime(info).tv_nsec;
        return file;
    }

    /* Bytes read, fewer than `count` at the end of the file only; -errno. */
    static inline long long wetread_read(int file, unsigned char *to, long long count, long long at) {
        long long done = 0;
        while (done < count) {
            ssize_t got = pread(file, to + done, count - done, at + done);
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) return -errno;
            if (got == 0) break;
            done += got;
        }
        return done;
    }
    """
    const char *WETREAD_SOURCE
    unsigned int wetread_word(const unsigned char *at) nogil
    unsigned long long wetread_long(const unsigned char *at) nogil
    double wetread_time() nogil
    void wetread_move(unsigned char *to, const unsigned char *from_, long long count) nogil
    int wetread_open(const unsigned char *path, long long *size, long long *mtime_ns) nogil
    long long wetread_read(int file, unsigned char *to, long long count, long long at) nogil

cdef extern from "<unistd.h>" nogil:
    int close(int file)
