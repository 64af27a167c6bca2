/* Decodes a JPEG, baseline or progressive, at an eighth of its edges, and spares what such a picture does not show.

   At that scale a block of 8 x 8 samples becomes one pixel: its mean, which is its first coefficient (DC). The
   other 63 are nine tenths of the data. In a progressive file they have scans of their own, which nobody reads. In
   a baseline file they stand between the means, and must be gone over to find the next one; but their values need
   not be looked at, and so one look into a table goes over several of them. Only where colour has half the samples
   both ways, a block of it becomes 2 x 2 pixels, for which it is read.

   imaging_eighth.py reads the headers and decides which scans come here. The pixels are libjpeg's, to the bit. What
   is not as expected is given up, and so is what libjpeg would complain of: it shall judge, and not we.

   Nothing in a file is trusted. A block has at most LONGEST_BLOCK bytes, whatever is in it; as much room stands
   behind the data, and after each block it is seen whether the data are over.

   T.81 is ITU-T Recommendation T.81, which lays down JPEG.
*/

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    WINDOW = 11,       /* bits in one look: tables of 2048 entries stay in the fastest cache */
    COEFFICIENTS = 64, /* of a block */
    MOST_COMPONENTS = 3,
    LONGEST_CODE = 16,   /* bits */
    MOST_DC_BITS = 11,   /* of a value; T.81, table F.1 */
    MOST_LOW_BITS = 13,  /* that a progressive scan may leave to later ones */
    LONGEST_BLOCK = 512, /* bytes: 64 codes of 16 bits with values of 15, and 63 bits that correct others */
    RESTART = 0xD0,      /* the first of eight markers */
    SURPLUS = 3          /* bytes, less than a block takes: some encoders leave as much in front of a marker */
};

/* --- codes -------------------------------------------------------------------------------------------------- */

/* A code and the value behind it. No bits: it is longer than the window, or there is none. */
typedef struct {
    uint8_t code_bits, value_bits, run;
} Symbol;

/* The whole codes in a window; the last one's value may lie beyond it. No bits: not even one. */
typedef struct {
    uint8_t bits;   /* with the values */
    uint8_t covers; /* coefficients, with those left out as zeros */
    uint8_t ends;   /* 1: the last code says that all others are zeros */
} Stride;

typedef struct {
    uint32_t limits[LONGEST_CODE + 1]; /* by length: the first 16 bits that lie beyond its codes */
    int32_t shifts[LONGEST_CODE + 1];  /* from a code to its place in `symbols` */
    uint8_t symbols[256];
    Symbol window[1 << WINDOW];
} Codes;

static Symbol understand(int code_bits, uint8_t symbol) {
    return (Symbol){(uint8_t)code_bits, symbol & 15, symbol >> 4};
}

/* Read a table as DHT has it: how many codes there are of each length, and their symbols. T.81, annex C. */
static int read_codes(Codes *codes, const uint8_t *table) {
    const uint8_t *symbol = table + LONGEST_CODE;
    uint32_t code = 0;
    memset(codes, 0, sizeof *codes);
    for (int bits = 1; bits <= LONGEST_CODE; bits++, code <<= 1) {
        int count = table[bits - 1], index = (int)(symbol - table) - LONGEST_CODE;
        if (index + count > 256 || (count && code + (uint32_t)count >= 1u << bits)) /* none is all ones */
            return 0;
        codes->shifts[bits] = index - (int32_t)code;
        for (int i = 0; i < count; i++, code++, symbol++) {
            codes->symbols[index + i] = *symbol;
            if (bits <= WINDOW)
                for (uint32_t rest = 0; rest < 1u << (WINDOW - bits); rest++)
                    codes->window[(code << (WINDOW - bits)) + rest] = understand(bits, *symbol);
        }
        codes->limits[bits] = code << (LONGEST_CODE - bits);
    }
    return 1;
}

static Symbol find_long_code(const Codes *codes, uint64_t bits) {
    uint32_t next = (uint32_t)(bits >> (64 - LONGEST_CODE));
    for (int length = WINDOW + 1; length <= LONGEST_CODE; length++)
        if (next < codes->limits[length])
            return understand(length,
                              codes->symbols[codes->shifts[length] + (int)(next >> (LONGEST_CODE - length))]);
    return (Symbol){0, 0, 0};
}

/* Find the code that the bits begin with. No bits: there is none. */
static inline Symbol find_code(const Codes *codes, uint64_t bits) {
    Symbol symbol = codes->window[bits >> (64 - WINDOW)];
    return symbol.code_bits ? symbol : find_long_code(codes, bits);
}

static int is_end(Symbol symbol) { return symbol.value_bits == 0 && symbol.run == 0; }

/* Values of no bits stand for the end, or for sixteen zeros; T.81, F.1.2.2. */
static int is_sound(Symbol symbol) {
    return symbol.code_bits != 0 && (symbol.value_bits != 0 || symbol.run == 0 || symbol.run == 15);
}

static void find_strides(Stride *strides, const Codes *codes) {
    for (uint32_t window = 0; window < 1 << WINDOW; window++) {
        Stride stride = {0, 0, 0};
        while (stride.bits < WINDOW && !stride.ends) {
            Symbol symbol = codes->window[window << stride.bits & ((1 << WINDOW) - 1)];
            if (!is_sound(symbol) || stride.bits + symbol.code_bits > WINDOW)
                break;
            stride.bits += symbol.code_bits + symbol.value_bits;
            stride.ends = (uint8_t)is_end(symbol);
            stride.covers += stride.ends ? 0 : symbol.run + 1;
        }
        strides[window] = stride;
    }
}

/* --- bits --------------------------------------------------------------------------------------------------- */

typedef struct {
    const uint8_t *at; /* what is not in hand */
    uint64_t hand;     /* the next bits, from the top */
    int held;          /* how many of them count */
} Reader;

/* Take bits in hand until there are 56. */
static inline void refill(Reader *reader) {
    uint64_t next;
    memcpy(&next, reader->at, sizeof next);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    next = __builtin_bswap64(next);
#endif
    reader->hand |= next >> reader->held;
    reader->at += (63 - reader->held) >> 3;
    reader->held |= 56;
}

static inline void skip(Reader *reader, int bits) {
    reader->hand <<= bits;
    reader->held -= bits;
}

/* Take up to 15 bits; none are 0. */
static inline int take_bits(Reader *reader, int count) {
    int bits = (int)(reader->hand >> 1 >> (63 - count));
    skip(reader, count);
    return bits;
}

static int is_over(const Reader *reader, const uint8_t *end) { return reader->at - reader->held / 8 > end; }

/* Take a code and the value behind it. T.81, table F.1: after a leading zero the value is negative. There is no
   branch on it, since half of all guesses would be wrong. */
static inline int take_value(Reader *reader, Symbol symbol) {
    uint64_t bits = reader->hand << symbol.code_bits;
    int value = (int)(bits >> 1 >> (63 - symbol.value_bits)), negative = (int)(~bits >> 63);
    skip(reader, symbol.code_bits + symbol.value_bits);
    return value - (((1 << symbol.value_bits) - 1) & -negative);
}

/* Copy data up to the next marker, without the zero behind each byte of ones; give how much that was. */
static size_t unstuff(const uint8_t *data, size_t size, uint8_t *clean, uint8_t **end) {
    size_t at = 0;
    for (;;) {
        const uint8_t *ones = memchr(data + at, 0xFF, size - at);
        size_t length = (ones ? (size_t)(ones - data) : size) - at;
        memcpy(clean, data + at, length);
        clean += length;
        at += length;
        if (size - at < 2 || data[at + 1] != 0)
            break;
        *clean++ = 0xFF;
        at += 2;
    }
    memset(clean, 0, LONGEST_BLOCK);
    *end = clean;
    return at;
}

/* --- blocks ------------------------------------------------------------------------------------------------- */

typedef struct {
    int across, down;               /* blocks in an MCU */
    int edge;                       /* pixels that come of a block, each way: 1 or 2 */
    int wide, high;                 /* blocks that the picture covers */
    int row;                        /* blocks in a row, with those that fill up the last MCU */
    uint16_t quantum[COEFFICIENTS]; /* in zigzag order, as in the file */
    uint8_t *pixels;
    int16_t *blocks; /* of a progressive picture: `kept` coefficients for each block, in zigzag order */
    int kept;        /* all, or the mean alone */
    Codes dc, ac;
    Stride strides[1 << WINDOW];
    int mean; /* the last block's */
} Component;

static inline uint8_t limit(int value) { return value < 0 ? 0 : value > 255 ? 255 : (uint8_t)value; }

/* Pixels are 128 more than what comes of coefficients. That is beyond their bounds where much was rounded, but not
   by so much: libjpeg would not limit it, but start anew at the other end. */
static inline int is_sane(int value) { return value >= -4 * 128 && value < 4 * 128; }

static inline int write_pixel(const Component *component, int mean, uint8_t *pixel) {
    int value = (mean * component->quantum[0] + 4) >> 3;
    *pixel = limit(value + 128);
    return is_sane(value);
}

/* By number in zigzag order: where a coefficient stands in a table of 5 x 5 for frequencies 0, 1, 3, 5 and 7 each
   way. Those of other frequencies are as much above as below in each half of a block: they stand NOWHERE. */
enum { ODD = 5, NOWHERE = ODD * ODD };
static const uint8_t PLACES[COEFFICIENTS] = {0,  5,  1,  25, 6,  25, 10, 25, 25, 2,  25, 7,  25, 11, 25, 15,
                                             25, 25, 25, 25, 3,  25, 8,  25, 12, 25, 16, 25, 20, 25, 25, 25,
                                             25, 25, 25, 4,  9,  25, 13, 25, 17, 25, 21, 25, 25, 25, 25, 25,
                                             25, 14, 25, 18, 25, 22, 25, 25, 25, 25, 19, 25, 23, 25, 25, 24};

/* What each of those frequencies is in the mean of the first half, times four; in the second, all but the first
   have the other sign. Fractions of 13 bits, as libjpeg has them. */
enum { FRACTION = 13 };
static const int32_t HALVES[ODD] = {4 << FRACTION, 29692, -10426, 6967, -5906};

typedef struct {
    int32_t first, second;
} Means;

/* Give the means of both halves, with so many bits less. */
static inline Means halve(int32_t even, int32_t odd, int bits) {
    even = even * HALVES[0] + (1 << (bits - 1));
    return (Means){(even + odd) >> bits, (even - odd) >> bits};
}

static inline int32_t add_odd(const int32_t *values) {
    return values[1] * HALVES[1] + values[2] * HALVES[2] + values[3] * HALVES[3] + values[4] * HALVES[4];
}

/* Write a block's 2 x 2 pixels, from a table of columns, of which those behind the last one are zeros. */
static inline int write_pixels(const Component *component, const int32_t *values, int last, uint8_t *pixels) {
    size_t stride = (size_t)component->row * 2;
    int32_t upper = 0, lower = 0;
    Means evens = halve(values[0], add_odd(values), FRACTION);
    for (int column = 1; column <= last; column++) {
        Means odds = halve(values[column * ODD], add_odd(values + column * ODD), FRACTION);
        upper += odds.first * HALVES[column];
        lower += odds.second * HALVES[column];
    }
    Means above = halve(evens.first, upper, FRACTION + 7), below = halve(evens.second, lower, FRACTION + 7);
    pixels[0] = limit(above.first + 128);
    pixels[1] = limit(above.second + 128);
    pixels[stride] = limit(below.first + 128);
    pixels[stride + 1] = limit(below.second + 128);
    return is_sane(above.first) && is_sane(above.second) && is_sane(below.first) && is_sane(below.second);
}

/* --- a baseline scan's blocks: T.81, annex F ----------------------------------------------------------------- */

static inline int read_mean(Reader *reader, Component *component) {
    Symbol symbol = find_code(&component->dc, reader->hand);
    if (symbol.code_bits == 0 || symbol.run != 0 || symbol.value_bits > MOST_DC_BITS)
        return 0;
    component->mean += take_value(reader, symbol);
    return component->mean >= INT16_MIN && component->mean <= INT16_MAX;
}

static inline int skip_others(Reader *reader, const Component *component) {
    int next = 1;
    while (next < COEFFICIENTS) {
        refill(reader);
        Stride stride = component->strides[reader->hand >> (64 - WINDOW)];
        if (stride.bits && next + stride.covers + stride.ends <= COEFFICIENTS) {
            skip(reader, stride.bits);
            next = stride.ends ? COEFFICIENTS : next + stride.covers;
            continue;
        }
        Symbol symbol = find_code(&component->ac, reader->hand);
        if (!is_sound(symbol))
            return 0;
        skip(reader, symbol.code_bits + symbol.value_bits);
        if (is_end(symbol))
            break;
        next += symbol.run + 1;
    }
    return next <= COEFFICIENTS;
}

/* Read the other coefficients into a table of columns; give the number of the last column, -1 for nonsense. */
static inline int read_others(Reader *reader, const Component *component, int32_t *values) {
    int last = 0;
    for (int next = 1; next < COEFFICIENTS; next++) {
        refill(reader);
        Symbol symbol = find_code(&component->ac, reader->hand);
        next += symbol.run;
        if (!is_sound(symbol) || next >= COEFFICIENTS)
            return -1;
        int place = PLACES[next], value = take_value(reader, symbol);
        if (is_end(symbol))
            break;
        values[place] = value * component->quantum[next];
        last = place > last && place < NOWHERE ? place : last;
    }
    return last / ODD;
}

static inline int read_block(Reader *reader, Component *component, uint8_t *pixels) {
    if (!read_mean(reader, component))
        return 0;
    if (component->edge == 1)
        return write_pixel(component, component->mean, pixels) && skip_others(reader, component);
    int32_t values[NOWHERE + 1] = {component->mean * component->quantum[0]};
    int last = read_others(reader, component, values);
    return last >= 0 && write_pixels(component, values, last, pixels);
}

/* --- a progressive scan's blocks: T.81, annex G -------------------------------------------------------------- */

/* A scan as its header has it, with the tables that are in force. */
typedef struct {
    int32_t count;
    int32_t component[MOST_COMPONENTS];
    const uint8_t *dc[MOST_COMPONENTS], *ac[MOST_COMPONENTS]; /* counts and symbols, with room for 256; or none */
    int32_t first, last;                                      /* coefficients */
    int32_t high, low; /* bits left to this scan and those after it, and left by this one to those */
    int32_t restart;   /* MCUs between two restart markers; 0: there are none */
} Scan;

/* Take how many blocks, this one among them, have nothing more in this scan. */
static inline int take_ends(Reader *reader, Symbol symbol) {
    skip(reader, symbol.code_bits);
    return (1 << symbol.run) + take_bits(reader, symbol.run);
}

static inline int begin_others(Reader *reader, const Component *component, const Scan *scan, int16_t *block,
                               int *ends) {
    if (*ends) {
        --*ends;
        return 1;
    }
    for (int next = scan->first; next <= scan->last; next++) {
        refill(reader);
        Symbol symbol = find_code(&component->ac, reader->hand);
        if (symbol.code_bits == 0)
            return 0;
        if (symbol.value_bits == 0 && symbol.run < 15) {
            *ends = take_ends(reader, symbol) - 1;
            return 1;
        }
        next += symbol.run;
        int value = take_value(reader, symbol);
        if (next > scan->last)
            return 0;
        if (symbol.value_bits)
            block[next] = (int16_t)(value * (1 << scan->low));
    }
    return 1;
}

/* Give a coefficient that is known so far its next bit. */
static inline void correct(Reader *reader, int16_t *coefficient, int bit) {
    if (take_bits(reader, 1) && (*coefficient & bit) == 0)
        *coefficient = (int16_t)(*coefficient + (*coefficient < 0 ? -bit : bit));
}

static inline int refine_others(Reader *reader, const Component *component, const Scan *scan, int16_t *block,
                                int *ends) {
    int bit = 1 << scan->low, next = scan->first;
    for (; *ends == 0 && next <= scan->last; next++) {
        refill(reader);
        Symbol symbol = find_code(&component->ac, reader->hand);
        if (symbol.code_bits == 0 || symbol.value_bits > 1)
            return 0;
        if (symbol.value_bits == 0 && symbol.run < 15) {
            *ends = take_ends(reader, symbol);
            break;
        }
        skip(reader, symbol.code_bits);
        int value = symbol.value_bits ? take_bits(reader, 1) ? bit : -bit : 0;
        for (int zeros = symbol.run; next <= scan->last; next++) {
            refill(reader);
            if (block[next])
                correct(reader, &block[next], bit);
            else if (zeros-- == 0)
                break;
        }
        if (next > scan->last)
            return value == 0;
        block[next] = (int16_t)value;
    }
    if (*ends == 0)
        return 1;
    for (; next <= scan->last; next++)
        if (block[next]) {
            refill(reader);
            correct(reader, &block[next], bit);
        }
    --*ends;
    return 1;
}

static inline int read_part(Reader *reader, Component *component, const Scan *scan, int16_t *block, int *ends) {
    if (scan->first != 0)
        return scan->high ? refine_others(reader, component, scan, block, ends)
                          : begin_others(reader, component, scan, block, ends);
    if (scan->high) {
        block[0] = (int16_t)(block[0] | take_bits(reader, 1) << scan->low);
        return 1;
    }
    int read = read_mean(reader, component);
    block[0] = (int16_t)(component->mean * (1 << scan->low));
    return read;
}

/* --- scans -------------------------------------------------------------------------------------------------- */

typedef struct {
    int count; /* of components: 1, grey, or 3: Y, Cb, Cr */
    int progressive;
    int width, height; /* pixels that come of it */
    int mcus_across, mcus_down;
    Component components[MOST_COMPONENTS];
} Picture;

/* How far a scan could be read, for a file that libjpeg complains of. */
typedef struct {
    int32_t mcus, read; /* that it should have; those before the first that makes no sense or has no data */
    int32_t surplus;    /* bytes behind the last MCU */
    int32_t moved;      /* 1: there are fewer or more blocks than there should be, so some before have moved */
} Extent;

/* Where in a scan we are. */
typedef struct {
    Reader reader;                     /* of what is clean */
    uint8_t *clean, *end;              /* the data up to the next marker */
    const uint8_t *data, *end_of_data; /* what follows as it stands in the file */
    int restarts;                      /* so far */
    int ends;                          /* blocks to come that have nothing more in this scan */
    Extent *extent;                    /* to be filled; or nothing, and any surplus is a fault */
} Cursor;

/* Begin to read, at the start of a scan or behind a restart marker. */
static void begin(Cursor *cursor, Picture *picture) {
    cursor->data +=
        unstuff(cursor->data, (size_t)(cursor->end_of_data - cursor->data), cursor->clean, &cursor->end);
    cursor->reader = (Reader){cursor->clean, 0, 0};
    cursor->ends = 0;
    for (int i = 0; i < picture->count; i++)
        picture->components[i].mean = 0;
}

/* Bytes that are left in front of a marker. */
static ptrdiff_t count_left(const Cursor *cursor) {
    return cursor->end - (cursor->reader.at - cursor->reader.held / 8);
}

static int restart(Cursor *cursor, Picture *picture) {
    ptrdiff_t allowed = cursor->extent ? SURPLUS : 0;
    if (count_left(cursor) > allowed || cursor->ends || cursor->end_of_data - cursor->data < 2 ||
        cursor->data[1] != RESTART + (cursor->restarts++ & 7))
        return 0;
    cursor->data += 2;
    begin(cursor, picture);
    return 1;
}

/* Tell whether nothing is left but the ones that fill up the last byte; T.81, F.1.2.3. */
static int is_at_filling(Reader reader, const uint8_t *end) {
    ptrdiff_t left = (end - reader.at) * 8 + reader.held;
    return left >= 0 && left < 8 && take_bits(&reader, (int)left) == (1 << left) - 1;
}

static inline int read_at(Cursor *cursor, Picture *picture, const Scan *scan, Component *component, int row,
                          int column) {
    refill(&cursor->reader);
    const Reader before = cursor->reader;
    size_t edge = (size_t)component->edge, block = (size_t)row * (size_t)component->row;
    int read;
    if (picture->progressive)
        read = read_part(&cursor->reader, component, scan,
                         component->blocks + (block + (size_t)column) * (size_t)component->kept, &cursor->ends);
    else
        read =
            read_block(&cursor->reader, component, component->pixels + block * edge * edge + (size_t)column * edge);
    int over = is_over(&cursor->reader, cursor->end);
    if (read && !over)
        return 1;
    if (cursor->extent) /* data that were cut off end anywhere, but not where a block does */
        cursor->extent->moved = !over || is_at_filling(before, cursor->end);
    return 0;
}

/* Tell whether blocks follow the last one, up to the end of the data. */
static int goes_on(Cursor *cursor, Picture *picture, const Scan *scan) {
    for (;;)
        for (int i = 0; i < scan->count; i++) {
            Component *component = &picture->components[scan->component[i]];
            for (int block = scan->count == 1 ? 1 : component->down * component->across; block > 0; block--) {
                if (!read_at(cursor, picture, scan, component, 0, 0))
                    return 0;
                if (is_at_filling(cursor->reader, cursor->end))
                    return 1;
            }
        }
}

/* A scan of one component has as many blocks as the picture covers; one of several is laid out in MCUs. */
static int read_blocks(Cursor *cursor, Picture *picture, const Scan *scan) {
    Component *only = scan->count == 1 ? &picture->components[scan->component[0]] : NULL;
    int across = only ? only->wide : picture->mcus_across, down = only ? only->high : picture->mcus_down;
    int left = scan->restart;
    if (cursor->extent)
        cursor->extent->mcus = across * down;
    for (int row = 0; row < down; row++)
        for (int column = 0; column < across; column++, left--) {
            if (scan->restart && left == 0) {
                if (!restart(cursor, picture))
                    return 0;
                left = scan->restart;
            }
            if (only && !read_at(cursor, picture, scan, only, row, column))
                return 0;
            for (int i = 0; !only && i < scan->count; i++) {
                Component *component = &picture->components[scan->component[i]];
                for (int y = row * component->down; y < (row + 1) * component->down; y++)
                    for (int x = column * component->across; x < (column + 1) * component->across; x++)
                        if (!read_at(cursor, picture, scan, component, y, x))
                            return 0;
            }
            if (cursor->extent)
                cursor->extent->read++;
        }
    if (cursor->extent) {
        cursor->extent->surplus = (int32_t)count_left(cursor);
        cursor->extent->moved =
            (cursor->end_of_data - cursor->data >= 2 && (cursor->data[1] & ~7) == RESTART) ||
            (cursor->extent->surplus > SURPLUS && goes_on(cursor, picture, scan));
    }
    return count_left(cursor) == 0 && cursor->ends == 0;
}

static int prepare(Picture *picture, const Scan *scan) {
    if (scan->count < 1 || scan->count > picture->count || scan->first > scan->last || scan->last >= COEFFICIENTS ||
        scan->low > MOST_LOW_BITS)
        return 0;
    for (int i = 0; i < scan->count; i++) {
        Component *component = &picture->components[scan->component[i]];
        if (picture->progressive && scan->last >= component->kept)
            return 0;
        if (scan->dc[i] && !read_codes(&component->dc, scan->dc[i]))
            return 0;
        if (scan->ac[i] && !read_codes(&component->ac, scan->ac[i]))
            return 0;
        if (scan->ac[i] && !picture->progressive && component->edge == 1)
            find_strides(component->strides, &component->ac);
    }
    return 1;
}

/* --- what imaging_eighth.py calls ---------------------------------------------------------------------------- */

/* Give the memory back; nothing is no picture. */
void end_picture(Picture *picture) {
    for (int i = 0; picture && i < picture->count; i++) {
        free(picture->components[i].pixels);
        free(picture->components[i].blocks);
    }
    free(picture);
}

/* Begin a picture of so many pixels in components, each with so many blocks in an MCU and so many pixels each way
   from a block. The quantums are in zigzag order, 64 for each component. Nothing, if there is no memory for it. */
Picture *begin_picture(int width, int height, int progressive, int count, const int32_t *across,
                       const int32_t *down, const int32_t *edge, const uint16_t *quantums) {
    Picture *picture = calloc(1, sizeof *picture);
    if (!picture)
        return NULL;
    picture->width = width;
    picture->height = height;
    picture->progressive = progressive;
    picture->count = count;
    picture->mcus_across = (width + across[0] - 1) / across[0];
    picture->mcus_down = (height + down[0] - 1) / down[0];
    for (int i = 0; i < count; i++) {
        Component *component = &picture->components[i];
        component->across = across[i];
        component->down = down[i];
        component->edge = edge[i];
        component->wide = (width * across[i] + across[0] - 1) / across[0];
        component->high = (height * down[i] + down[0] - 1) / down[0];
        component->row = picture->mcus_across * across[i];
        component->kept = edge[i] == 1 ? 1 : COEFFICIENTS;
        memcpy(component->quantum, quantums + i * COEFFICIENTS, sizeof component->quantum);
        size_t blocks = (size_t)component->row * (size_t)(picture->mcus_down * down[i]);
        component->pixels = malloc(blocks * (size_t)(edge[i] * edge[i]));
        component->blocks = progressive ? calloc(blocks, (size_t)component->kept * sizeof(int16_t)) : NULL;
        if (!component->pixels || (progressive && !component->blocks)) {
            end_picture(picture);
            return NULL;
        }
    }
    return picture;
}

/* Read the scan whose data begin there. Gives where the next marker is, or 0 where the picture is given up. Fills the
   extent, which was zeros, if there is one. */
size_t read_scan(Picture *picture, const uint8_t *data, size_t at, size_t size, const Scan *scan, Extent *extent) {
    if (at > size)
        return 0;
    Cursor cursor = {.data = data + at,
                     .end_of_data = data + size,
                     .clean = malloc(size - at + LONGEST_BLOCK),
                     .extent = extent};
    size_t read = 0;
    if (cursor.clean && prepare(picture, scan)) {
        begin(&cursor, picture);
        if (read_blocks(&cursor, picture, scan))
            read = (size_t)(cursor.data - data);
    }
    free(cursor.clean);
    return read;
}

static int write_blocks(const Component *component, int down) {
    const int16_t *block = component->blocks;
    for (int row = 0; row < down; row++)
        for (int column = 0; column < component->row; column++, block += component->kept) {
            size_t at = (size_t)row * (size_t)component->row;
            int32_t values[NOWHERE + 1];
            for (int i = 0; i < component->kept; i++)
                values[PLACES[i]] = block[i] * component->quantum[i];
            if (component->edge == 1
                    ? !write_pixel(component, block[0], component->pixels + at + column)
                    : !write_pixels(component, values, ODD - 1, component->pixels + 4 * at + 2 * (size_t)column))
                return 0;
        }
    return 1;
}

static int count_halvings(int whole, int part) {
    int halvings = 0;
    while (part << halvings < whole)
        halvings++;
    return halvings;
}

/* Y, Cb, Cr to RGB as JFIF has it, in fractions of 16 bits; both colours have as many pixels. */
static void write_colours(const Picture *picture, uint8_t *pixels) {
    const Component *y = &picture->components[0], *b = &picture->components[1], *r = &picture->components[2];
    int across = count_halvings(y->across, b->across * b->edge), down = count_halvings(y->down, b->down * b->edge);
    for (int row = 0; row < picture->height; row++) {
        const uint8_t *light = y->pixels + (size_t)row * (size_t)y->row;
        size_t at = (size_t)(row >> down) * (size_t)(b->row * b->edge);
        const uint8_t *blue = b->pixels + at, *red = r->pixels + at;
        for (int i = 0; i < picture->width; i++, pixels += 4) {
            int cb = blue[i >> across] - 128, cr = red[i >> across] - 128;
            pixels[0] = limit(light[i] + ((91881 * cr + 32768) >> 16));
            pixels[1] = limit(light[i] + ((-22554 * cb - 46802 * cr + 32768) >> 16));
            pixels[2] = limit(light[i] + ((116130 * cb + 32768) >> 16));
            pixels[3] = 255;
        }
    }
}

/* Write what was read, in 4 bytes a pixel (RGBX), or in one (grey). 0: the picture is given up. */
int write_picture(Picture *picture, uint8_t *pixels) {
    for (int i = 0; picture->progressive && i < picture->count; i++)
        if (!write_blocks(&picture->components[i], picture->mcus_down * picture->components[i].down))
            return 0;
    if (picture->count == MOST_COMPONENTS) {
        write_colours(picture, pixels);
        return 1;
    }
    const Component *grey = &picture->components[0];
    for (int row = 0; row < picture->height; row++, pixels += picture->width)
        memcpy(pixels, grey->pixels + (size_t)row * (size_t)grey->row, (size_t)picture->width);
    return 1;
}
