# System calls: open with size and time of change, read at a position, close; clock and memory.
cdef extern from *:
    """
    #include <errno.h>
    #include <fcntl.h>
    #include <string.h>
    #include <sys/stat.h>
    #include <sys/types.h>

    #ifndef WETREAD_SOURCE
    #define WETREAD_SOURCE ""
    #endif

    #define wetread_move memmove

    /* 4 and 8 bytes as a little endian number. */
    static inline unsigned int wetread_word(const unsigned char *at) {
        return at[0] | at[1] << 8 | at[2] << 16 | (unsigned int)at[3] << 24;
    }

    /* 4 bytes at a place of `count` bytes, 0 if they are outside. */
    static inline unsigned int wetread_word_in(
        const unsigned char *bytes, long long count, long long place
    ) {
        return place < 0 || place > count - 4 ? 0 : wetread_word(bytes + place);
    }

    static inline unsigned long long wetread_long(const unsigned char *at) {
        return wetread_word(at) | (unsigned long long)wetread_word(at + 4) << 32;
    }

    static inline double wetread_float(const unsigned char *at) {
        unsigned int bits = wetread_word(at);
        float value;
        memcpy(&value, &bits, 4);
        return value;
    }

    static inline double wetread_double(const unsigned char *at) {
        unsigned long long bits = wetread_long(at);
        double value;
        memcpy(&value, &bits, 8);
        return value;
    }

    #ifdef _WIN32

    #define WIN32_LEAN_AND_MEAN
    #define NOMINMAX
    #include <io.h>
    #include <stdio.h>
    #include <windows.h>

    #define WETREAD_TICKS_1601_TO_1970 116444736000000000LL

    static inline double wetread_time(void) {
        LARGE_INTEGER now, rate;
        QueryPerformanceCounter(&now);
        QueryPerformanceFrequency(&rate);
        return (double)now.QuadPart / (double)rate.QuadPart;
    }

    /* Names are whole, in UTF-8, as `os.fsencode` makes them; the time is that of `os.stat`. */
    static inline int wetread_open(
        int folder, const unsigned char *path, long long *size, long long *mtime_ns
    ) {
        struct _stat64 info;
        FILETIME time;
        wchar_t name[32768];
        int file;
        if (!MultiByteToWideChar(CP_UTF8, 0, (const char *)path, -1, name, 32768)) return -ENOENT;
        file = _wopen(name, _O_RDONLY | _O_BINARY | _O_NOINHERIT);
        if (file < 0) return -errno;
        if (_fstat64(file, &info) < 0) { int error = errno; _close(file); return -error; }
        if ((info.st_mode & _S_IFMT) != _S_IFREG
            || !GetFileTime((HANDLE)_get_osfhandle(file), NULL, NULL, &time)) {
            _close(file);
            return -100000;
        }
        *size = info.st_size;
        *mtime_ns = (((long long)time.dwHighDateTime << 32 | time.dwLowDateTime)
                     - WETREAD_TICKS_1601_TO_1970) * 100;
        return file;
    }

    static inline int wetread_read_at(int file, unsigned char *to, long long count, long long at) {
        if (_lseeki64(file, at, SEEK_SET) < 0) return -1;
        return _read(file, to, (unsigned int)(count < 0x40000000 ? count : 0x40000000));
    }

    static inline int wetread_close(int file) { return _close(file); }

    #else

    #include <time.h>
    #include <unistd.h>

    #ifdef __APPLE__
    #define wetread_mtime(info) (info).st_mtimespec
    #else
    #define wetread_mtime(info) (info).st_mtim
    #endif

    /* Seconds on a clock that never goes back. */
    static inline double wetread_time(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec + now.tv_nsec * 1e-9;
    }

    /* Descriptor of a regular file; -errno, or -100000 for what is no regular file.
     * `folder`: descriptor of the folder of a relative path, negative for the current one. */
    static inline int wetread_open(
        int folder, const unsigned char *path, long long *size, long long *mtime_ns
    ) {
        struct stat info;
        int from = folder < 0 ? AT_FDCWD : folder;
        int file = openat(from, (const char *)path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (file < 0) return -errno;
        if (fstat(file, &info) < 0) { int error = errno; close(file); return -error; }
        if (!S_ISREG(info.st_mode)) { close(file); return -100000; }
        *size = info.st_size;
        *mtime_ns = wetread_mtime(info).tv_sec * 1000000000LL + wetread_mtime(info).tv_nsec;
        return file;
    }

    static inline ssize_t wetread_read_at(
        int file, unsigned char *to, long long count, long long at
    ) {
        return pread(file, to, count, at);
    }

    static inline int wetread_close(int file) { return close(file); }

    #endif

    /* Bytes read, fewer than `count` at the end of the file only; -errno. */
    static inline long long wetread_read(int file, unsigned char *to, long long count, long long at) {
        long long done = 0;
        while (done < count) {
            long long got = wetread_read_at(file, to + done, count - done, at + done);
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
    unsigned int wetread_word_in(const unsigned char *bytes, long long count, long long place) nogil
    unsigned long long wetread_long(const unsigned char *at) nogil
    double wetread_float(const unsigned char *at) nogil
    double wetread_double(const unsigned char *at) nogil
    double wetread_time() nogil
    void wetread_move(unsigned char *to, const unsigned char *from_, long long count) nogil
    int wetread_open(int folder, const unsigned char *path, long long *size, long long *mtime_ns) nogil
    long long wetread_read(int file, unsigned char *to, long long count, long long at) nogil
    int close "wetread_close"(int file) nogil
