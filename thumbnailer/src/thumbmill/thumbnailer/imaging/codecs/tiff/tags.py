"""Tags of TIFF 6.0 and its supplements, and the numbers that their values have."""

BITS_PER_SAMPLE, COMPRESSION, FILL_ORDER, STRIP_OFFSETS, SAMPLES_PER_PIXEL = 258, 259, 266, 273, 277
ROWS_PER_STRIP, STRIP_BYTE_COUNTS, PLANAR_CONFIGURATION, PREDICTOR, COLOR_MAP = 278, 279, 284, 317, 320
TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_BYTE_COUNTS = 322, 323, 324, 325
INK_SET, EXTRA_SAMPLES, SAMPLE_FORMAT = 332, 338, 339

# PhotometricInterpretation
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, LAB = 0, 1, 2, 3, 5, 6, 8
COLOUR_SAMPLES = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3, LAB: 3}  # supported
PHOTOMETRIC_NAMES = {
    WHITE_IS_ZERO: "grey",
    BLACK_IS_ZERO: "grey",
    RGB: "RGB",
    PALETTE: "palette",
    CMYK: "CMYK",
    YCBCR: "YCbCr",
    4: "transparency mask",
    LAB: "Lab",
    9: "ICC Lab",
    10: "ITU Lab",
    32844: "LogL",
    32845: "LogLuv",
}
NO_COMPRESSION, OLD_JPEG, JPEG, THUNDERSCAN = 1, 6, 7, 32809  # Compression
PREDICTABLE = {5, 8, 32946, 34925, 50000}  # with a predictor: LZW, Deflate twice, LZMA, Zstandard
BYTEWISE = {NO_COMPRESSION, 32773, *PREDICTABLE}  # those that are independent of pixels; 32773 is PackBits
FAX = {2, 3, 4, 32771}  # of one bit
COMPRESSION_NAMES = {
    2: "CCITT",
    3: "Group 3",
    4: "Group 4",
    OLD_JPEG: "old JPEG",
    JPEG: "JPEG",
    9: "JBIG",
    10: "JBIG",
    32766: "NeXT",
    32771: "CCITT",
    THUNDERSCAN: "ThunderScan",
    32908: "PixarFilm",
    32909: "PixarLog",
    34661: "JBIG",
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34712: "JPEG 2000",
    34676: "LogLuv",
    34677: "LogLuv",
    22610: "JPEG XR",
    34887: "LERC",
    34934: "JPEG XR",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
UNSIGNED, SIGNED, FLOAT, UNDEFINED = 1, 2, 3, 4  # SampleFormat
SAMPLE_FORMAT_NAMES = {SIGNED: "signed ", FLOAT: "floating point ", 5: "complex ", 6: "complex "}
ASSOCIATED_ALPHA, UNASSOCIATED_ALPHA, COREL_ALPHA = 1, 2, 999  # ExtraSamples; Corel Draw 10 wrote the last
HORIZONTAL_DIFFERENCING, FLOATING_POINT_PREDICTOR = 2, 3  # Predictor
SEPARATE_PLANES = 2  # PlanarConfiguration
LSB_FIRST = 2  # FillOrder
