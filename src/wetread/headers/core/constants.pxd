cpdef enum:
    OK = 0
    NEED = 1  # bytes
    ROOM = 2  # in memory
    INFLATE = 3  # the data set
    DONE = 4
    NONE = 9

cdef enum:
    P_OPEN
    P_FIND
    P_META
    P_SETTLE
    P_INFLATE
    P_TOP
    P_NESTED
    P_SEARCH
    P_FRAGMENTS
    P_END

cpdef enum:  # of `rows`
    R_SIZE
    R_MTIME
    R_HEAD  # place of the first bytes of what is not DICOM
    R_HASH  # of the header
    R_ERROR
    R_ENCODING
    R_SYNTAX
    R_TEXT
    R_TEXT_LENGTH
    R_PIXEL_TAG
    R_PIXEL_OFFSET
    R_PIXEL_LENGTH
    R_ENCODED  # 1 if the first bytes of pixels, in the head of the file, are encoded
    R_FRAMES  # fragments that start a frame; 0 if they were not counted
    R_COLUMNS

cpdef enum:
    IMPLICIT = 1
    BIG = 2
    DEFLATED = 4
    ENCAPSULATED = 8
    KNOWN = 16
    OPAQUE = 32

cpdef enum:
    F_CLIPPED = 1  # cut, or over a limit
    F_UNDEFINED = 2  # of undefined length
    F_IMPLICIT = 4  # without a VR
    F_KEPT = 3

cpdef enum:  # of the data dictionary
    D_BULK = 1  # only its length becomes a column
    D_LISTED = 2
    D_KNOWN = 4
    D_REPEATED = 8
    D_GROUP = 16  # of a functional group
    D_VENDOR = 32  # private, with a column

cpdef enum:
    SKIPPED = 65534  # the number of no column
    DEEPEST = 128  # sequences and items in one another
    SLACK = 16  # bytes after the arena's last
    WINDOWS = 32
    HASHED = 8192  # first bytes of a file, of which the header's hash is
    NAMED = 1024  # first bytes by which a file that is not DICOM is named
    PIXEL_HEAD = 12  # first bytes of pixels, or of a fragment, by which their encoding is known
    FEW = 16  # Number of Frames up to which the fragments are counted
    MOST_FRAGMENTS = 65536  # at which counting ends
    CLOSE = 16  # bytes between values that are kept with them
    ENTRY = 36  # bytes of an element in the table
    TIMED = 16  # files whose mean time to open counts
    SHORT = 64  # bytes of a value that has room in any row
    MOST_RAW = 65536  # bytes that are stored of a value that does not become one

cpdef enum:  # families of VRs: how the bytes of a value are read; the first four are characters
    TEXT
    DECIMAL
    INTEGER
    DATE
    US
    SS
    UL
    SL
    UV
    SV
    FL
    FD
    AT
    LENGTH
    SEQUENCE
    NO_FAMILY = 255

cpdef enum:  # of an element that is to become a value of a column
    OTHER_FAMILY = 1  # its VR is of another family than the column's
    OTHER_VR = 2
    UNKNOWN = 4  # the dictionary has no such element
    REPEATED = 8  # the last one of several
    NOT_ASCII = 16
    MISFIT = 32  # of a wrong length
    NOT_PARSED = 64
    OLD_DATE = 128

cpdef enum:  # of `places`: where the buffers of a column begin, -1 for none, and what they hold
    AT_VALID
    AT_BOUNDS
    AT_DATA
    AT_LIST_VALID
    AT_LIST_BOUNDS
    NEXT_ROW
    USED  # bytes of texts
    LISTED  # values of lists
    FILLED  # values that are not null
    LIST_FILLED
    PLACES

cpdef enum:  # of the counts of a column
    COUNTED  # elements
    BYTES  # of texts, or of binary values
    PARTS  # values, of lists too
    COUNTS

cpdef enum:
    TRIM_LEFT = 1  # leading spaces have no meaning
    TRIM_EQUALS = 2  # nor have trailing `=`
    TAG_CHARACTERS = 9  # of gggg,eeee

cpdef enum:  # texts that have a second column
    TIMES
    MOMENTS
    AGES

cdef enum:
    PARSED
    EMPTY
    UNPARSED
    OLD_FORM
    NO_POWER = 100000

cdef extern from *:
    """
    #define WETREAD_DELIMITER 0xFEFFDDE0LL
    #define WETREAD_UNDEFINED 0xFFFFFFFFLL
    #define WETREAD_NO_TAG 0xFFFFFFFFU
    #define WETREAD_ITEM 0xFFFEE000U
    #define WETREAD_SWAPPED_ITEM 0xFEFF00E0U
    #define WETREAD_ITEM_END 0xFFFEE00DU
    #define WETREAD_SEQUENCE_END 0xFFFEE0DDU
    #define WETREAD_NUMBER_OF_FRAMES 0x00280008U
    #define WETREAD_SHARED_GROUPS 0x52009229U
    #define WETREAD_PER_FRAME_GROUPS 0x52009230U
    #define WETREAD_SQ 0x5153
    #define WETREAD_UN 0x4E55
    #define WETREAD_MACHO_32 0xCEFAEDFELL
    #define WETREAD_MACHO_64 0xCFFAEDFELL
    #define WETREAD_MACHO_FAT 0xCAFEBABELL
    """
    const long long DELIMITER "WETREAD_DELIMITER"
    const long long UNDEFINED "WETREAD_UNDEFINED"
    const unsigned int NO_TAG "WETREAD_NO_TAG"
    const unsigned int ITEM "WETREAD_ITEM"
    const unsigned int SWAPPED_ITEM "WETREAD_SWAPPED_ITEM"
    const unsigned int ITEM_END "WETREAD_ITEM_END"
    const unsigned int SEQUENCE_END "WETREAD_SEQUENCE_END"
    const unsigned int NUMBER_OF_FRAMES "WETREAD_NUMBER_OF_FRAMES"
    const unsigned int SHARED_GROUPS "WETREAD_SHARED_GROUPS"
    const unsigned int PER_FRAME_GROUPS "WETREAD_PER_FRAME_GROUPS"
    const int VR_SQ "WETREAD_SQ"
    const int VR_UN "WETREAD_UN"
    const long long MACHO_32 "WETREAD_MACHO_32"
    const long long MACHO_64 "WETREAD_MACHO_64"
    const long long MACHO_FAT "WETREAD_MACHO_FAT"
