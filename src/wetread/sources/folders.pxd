# Names in a folder and their kinds, as far as the system lists them at once; size and time of change.
cdef extern from *:
    """
    #ifdef _WIN32

    #define WETREAD_LISTS 0
    typedef void wetread_folder;
    static inline wetread_folder *wetread_open_folder(const char *path) { return 0; }
    static inline void wetread_close_folder(wetread_folder *folder) {}
    static inline int wetread_error(void) { return 0; }
    static inline long long wetread_list(wetread_folder *folder, unsigned char *to, long long room) {
        return 0;
    }
    static inline int wetread_stat(int folder, const unsigned char *name, long long *size, long long *mtime_ns) {
        return -1;
    }

    #else

    #include <dirent.h>
    #include <errno.h>
    #include <fcntl.h>
    #include <string.h>
    #include <sys/stat.h>

    #define WETREAD_LISTS 1
    typedef DIR wetread_folder;
    static inline wetread_folder *wetread_open_folder(const char *path) { return opendir(path); }
    static inline void wetread_close_folder(wetread_folder *folder) { closedir(folder); }
    static inline int wetread_error(void) { return errno; }

    /* `f` for a regular file, `d` for a folder, `o` for another entry; of a link, its target's. */
    static inline char wetread_kind(DIR *folder, struct dirent *entry) {
        struct stat info;
    #ifdef DT_REG
        if (entry->d_type == DT_REG) return 'f';
        if (entry->d_type == DT_DIR) return 'd';
        if (entry->d_type != DT_LNK && entry->d_type != DT_UNKNOWN) return 'o';
    #endif
        if (fstatat(dirfd(folder), entry->d_name, &info, 0) < 0) return 'o';
        return S_ISREG(info.st_mode) ? 'f' : S_ISDIR(info.st_mode) ? 'd' : 'o';
    }

    /* Write kind, name and NUL of the next entries that fit; bytes written, 0 at the end. */
    static inline long long wetread_list(DIR *folder, unsigned char *to, long long room) {
        long long used = 0;
        struct dirent *entry;
        errno = 0;
        while (used + (long long)sizeof(struct dirent) < room && (entry = readdir(folder))) {
            const char *name = entry->d_name;
            size_t size = strlen(name) + 1;
            if (name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]))) continue;
            to[used] = wetread_kind(folder, entry);
            memcpy(to + used + 1, name, size);
            used += 1 + (long long)size;
            errno = 0;
        }
        return used;
    }

    static inline int wetread_stat(int folder, const unsigned char *name, long long *size, long long *mtime_ns) {
        struct stat info;
        if (fstatat(folder, (const char *)name, &info, 0) < 0) return -1;
        *size = info.st_size;
        #ifdef __APPLE__
        *mtime_ns = info.st_mtimespec.tv_sec * 1000000000LL + info.st_mtimespec.tv_nsec;
        #else
        *mtime_ns = info.st_mtim.tv_sec * 1000000000LL + info.st_mtim.tv_nsec;
        #endif
        return 0;
    }

    #endif
    """
    ctypedef struct wetread_folder:
        pass
    int WETREAD_LISTS
    wetread_folder *wetread_open_folder(const char *path) nogil
    void wetread_close_folder(wetread_folder *folder) nogil
    int wetread_error() nogil
    long long wetread_list(wetread_folder *folder, unsigned char *to, long long room) nogil
    int wetread_stat(int folder, const unsigned char *name, long long *size, long long *mtime_ns) nogil
