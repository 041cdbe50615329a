# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Entries of a folder, with size and time of change, without an object of Python for each."""

import cython

if not cython.compiled:
    raise ImportError("wetread.sources.folders is not compiled: run `pip install .`")

LISTS = WETREAD_LISTS
"""True where the system's functions are known; elsewhere `os.scandir` lists a folder."""


def list_folder(path: bytes, room: cython.uchar[::1]):
    """Names of the regular files, names of other entries, and the error number.

    A folder's name ends in "/". `room`: bytes for a part of the names, 4 KiB or more.
    """
    files: list = []
    others: list = []
    start: cython.Py_ssize_t
    end: cython.Py_ssize_t
    used: cython.longlong = 1
    error: cython.int = 0
    name: cython.p_char = path
    at: cython.p_uchar = cython.address(room[0])
    folder: cython.pointer(wetread_folder)
    with cython.nogil:
        folder = wetread_open_folder(name)
        error = wetread_error()
    if folder == cython.NULL:
        return files, others, error
    try:
        while used > 0:
            with cython.nogil:
                used = wetread_list(folder, at, room.shape[0])
                error = wetread_error() if used == 0 else 0
            start = 0
            while start < used:
                end = start + 1
                while room[end]:
                    end += 1
                found: bytes = at[start + 1 : end]
                if room[start] == 0x66:  # f
                    files.append(found)
                else:
                    others.append(found + b"/" if room[start] == 0x64 else found)  # d
                start = end + 1
    finally:
        wetread_close_folder(folder)
    return files, others, error


def stat_files(
    folder: cython.int,
    names: cython.const[cython.uchar][::1],
    sizes: cython.longlong[::1],
    times: cython.longlong[::1],
):
    """Write the size in bytes and the time of change in ns of each file; return their number.

    The number is smaller than that of the names if one cannot be read; the ones behind it are not
    tried.

    Args:
        folder: descriptor of the open folder.
        names: names in it, each followed by a zero.
        sizes: output, shape (files,).
        times: output, shape (files,).
    """
    count: cython.Py_ssize_t = min(sizes.shape[0], times.shape[0])
    done: cython.Py_ssize_t = 0
    at: cython.Py_ssize_t = 0
    end: cython.Py_ssize_t = names.shape[0]
    size: cython.pointer[cython.longlong]
    time: cython.pointer[cython.longlong]
    if end == 0 or names[end - 1]:
        raise ValueError("a name without a zero behind it")
    with cython.nogil:
        while done < count and at < end:
            size, time = cython.address(sizes[done]), cython.address(times[done])
            if wetread_stat(folder, cython.address(names[at]), size, time) < 0:
                break
            while names[at]:
                at += 1
            at += 1
            done += 1
    return done
