/* A JPEG decoder for one eighth of the size. It decodes baseline and progressive JPEGs.

   At this scale each block of 8 x 8 samples becomes one pixel: its mean, which is the DC coefficient. The 63 AC
   coefficients are nine tenths of the data. In a progressive file they have scans of their own, which are skipped.
   In a baseline file they are between the DC coefficients, so they must be parsed, but their values are not
   needed: one table lookup skips several of them. The exception is chroma that is subsampled in both directions:
   such a block becomes 2 x 2 pixels, and its AC coefficients are decoded.

   jpeg_dc_only.py parses the headers and selects the scans that are decoded here. The pixels are bit-identical to
   libjpeg's. The decoder gives up on everything unusual, and on everything that libjpeg would warn about: the
   caller then uses libjpeg, whose verdict counts.

   Nothing in a file is trusted. The longest possible block takes MAX_BLOCK_BYTES bytes. The buffer has as much
   padding after the data, and the end of the data is checked after each block.

   References like "F.2.2.1" are clauses of ITU-T Recommendation T.81 (ISO/IEC 10918-1), which specifies JPEG.
*/

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    LOOKAHEAD = 11,    /* bits of a table lookup: tables of 2048 entries stay in the first-level cache */
    COEFFICIENTS = 64, /* of a block */
    MAX_COMPONENTS = 3,
    MAX_CODE_LENGTH = 16,  /* bits; C.1 */
    MAX_DC_SIZE = 11,      /* bits of a DC difference; table F.1 */
    MAX_AL = 13,           /* successive approximation; B.2.3 */
    MAX_BLOCK_BYTES = 512, /* 64 codes of 16 bits with values of 15 bits, and 63 correction bits */
    RST0 = 0xD0,           /* the first of the eight restart markers */
    MAX_TRAILING = 3       /* bytes, less than a block takes: some encoders leave as many before a marker */
};

/* --- Huffman tables: annex C --------------------------------------------------------------------------------- */

/* A Huffman code and its symbol, RRRRSSSS. Length 0: the code is longer than the lookahead, or invalid. */
typedef struct {
    uint8_t length; /* bits of the code */
    uint8_t size;   /* SSSS: bits of the value that follows */
    uint8_t run;    /* RRRR: zeros before it */
} Symbol;

/* The AC codes that fit into the lookahead; the last one's value may extend beyond it. 0 bits: no code fits. */
typedef struct {
    uint8_t bits;         /* of all codes and values */
    uint8_t coefficients; /* with the runs of zeros */
    uint8_t eob;          /* 1: the last code is an end of block */
} AcRun;

typedef struct {
    uint32_t code_limits[MAX_CODE_LENGTH + 1];  /* by length: one above its highest code, as 16 bits */
    int32_t value_offsets[MAX_CODE_LENGTH + 1]; /* by length: from a code to its index in `huffval` */
    uint8_t huffval[256];
    Symbol lookup[1 << LOOKAHEAD];
} HuffmanTable;

static Symbol make_symbol(int length, uint8_t value) {
    return (Symbol){(uint8_t)length, value & 15, value >> 4};
}

/* Build a table from a DHT segment's BITS and HUFFVAL (B.2.4.2, C.2). Return 0 for an invalid one. */
static int build_huffman_table(HuffmanTable *table, const uint8_t *dht) {
    const uint8_t *huffval = dht + MAX_CODE_LENGTH;
    uint32_t code = 0;
    memset(table, 0, sizeof *table);
    for (int length = 1; length <= MAX_CODE_LENGTH; length++, code <<= 1) {
        int count = dht[length - 1], index = (int)(huffval - dht) - MAX_CODE_LENGTH;
        if (index + count > 256 || (count && code + (uint32_t)count >= 1u << length)) /* all ones are reserved */
            return 0;
        table->value_offsets[length] = index - (int32_t)code;
        for (int i = 0; i < count; i++, code++, huffval++) {
            table->huffval[index + i] = *huffval;
            if (length <= LOOKAHEAD)
                for (uint32_t rest = 0; rest < 1u << (LOOKAHEAD - length); rest++)
                    table->lookup[(code << (LOOKAHEAD - length)) + rest] = make_symbol(length, *huffval);
        }
        table->code_limits[length] = code << (MAX_CODE_LENGTH - length);
    }
    return 1;
}

static Symbol find_long_code(const HuffmanTable *table, uint64_t bit_buffer) {
    uint32_t next = (uint32_t)(bit_buffer >> (64 - MAX_CODE_LENGTH));
    for (int length = LOOKAHEAD + 1; length <= MAX_CODE_LENGTH; length++)
        if (next < table->code_limits[length])
            return make_symbol(
                length, table->huffval[table->value_offsets[length] + (int)(next >> (MAX_CODE_LENGTH - length))]);
    return (Symbol){0, 0, 0};
}

/* Return the code at the head of the bit buffer (DECODE, F.2.2.3). Length 0: it is invalid. */
static inline Symbol find_code(const HuffmanTable *table, uint64_t bit_buffer) {
    Symbol symbol = table->lookup[bit_buffer >> (64 - LOOKAHEAD)];
    return symbol.length ? symbol : find_long_code(table, bit_buffer);
}

static int is_eob(Symbol symbol) { return symbol.size == 0 && symbol.run == 0; }

/* Size 0 is valid in EOB and in ZRL, sixteen zeros, only (F.1.2.2.1). */
static int is_valid_ac(Symbol symbol) {
    return symbol.length != 0 && (symbol.size != 0 || symbol.run == 0 || symbol.run == 15);
}

static void build_ac_runs(AcRun *runs, const HuffmanTable *table) {
    for (uint32_t bits = 0; bits < 1 << LOOKAHEAD; bits++) {
        AcRun run = {0, 0, 0};
        while (run.bits < LOOKAHEAD && !run.eob) {
            Symbol symbol = table->lookup[bits << run.bits & ((1 << LOOKAHEAD) - 1)];
            if (!is_valid_ac(symbol) || run.bits + symbol.length > LOOKAHEAD)
                break;
            run.bits += symbol.length + symbol.size;
            run.eob = (uint8_t)is_eob(symbol);
            run.coefficients += run.eob ? 0 : symbol.run + 1;
        }
        runs[bits] = run;
    }
}

/* --- the bit buffer ------------------------------------------------------------------------------------------ */

typedef struct {
    const uint8_t *next_byte; /* the first that is not in the buffer */
    uint64_t bit_buffer;      /* the next bits, from the top */
    int bits_left;            /* valid bits in the buffer */
} BitReader;

/* Load bytes until the buffer has at least 56 bits. */
static inline void fill_bit_buffer(BitReader *reader) {
    uint64_t next;
    memcpy(&next, reader->next_byte, sizeof next);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    next = __builtin_bswap64(next);
#endif
    reader->bit_buffer |= next >> reader->bits_left;
    reader->next_byte += (63 - reader->bits_left) >> 3;
    reader->bits_left |= 56;
}

static inline void drop_bits(BitReader *reader, int count) {
    reader->bit_buffer <<= count;
    reader->bits_left -= count;
}

/* Return the next bits, up to 15 (RECEIVE, F.2.2.4). No bits are 0. */
static inline int get_bits(BitReader *reader, int count) {
    int bits = (int)(reader->bit_buffer >> 1 >> (63 - count));
    drop_bits(reader, count);
    return bits;
}

static int is_past_end(const BitReader *reader, const uint8_t *end) {
    return reader->next_byte - reader->bits_left / 8 > end;
}

/* Drop a code and return the value after it (RECEIVE and EXTEND, F.2.2.1): with a leading zero it is negative.
   There is no branch for the sign, as half of all predictions would be wrong. */
static inline int receive_extend(BitReader *reader, Symbol symbol) {
    uint64_t bits = reader->bit_buffer << symbol.length;
    int value = (int)(bits >> 1 >> (63 - symbol.size)), negative = (int)(~bits >> 63);
    drop_bits(reader, symbol.length + symbol.size);
    return value - (((1 << symbol.size) - 1) & -negative);
}

/* Copy entropy-coded data up to the next marker, without the stuffed zero after each 0xFF (F.1.2.3). Set the end
   of the copy, and return how many bytes were consumed. */
static size_t unstuff(const uint8_t *data, size_t size, uint8_t *unstuffed, uint8_t **end) {
    size_t at = 0;
    for (;;) {
        const uint8_t *ones = memchr(data + at, 0xFF, size - at);
        size_t length = (ones ? (size_t)(ones - data) : size) - at;
        memcpy(unstuffed, data + at, length);
        unstuffed += length;
        at += length;
        if (size - at < 2 || data[at + 1] != 0)
            break;
        *unstuffed++ = 0xFF;
        at += 2;
    }
    memset(unstuffed, 0, MAX_BLOCK_BYTES);
    *end = unstuffed;
    return at;
}

/* --- components and the inverse DCT -------------------------------------------------------------------------- */

typedef struct {
    int h_samp, v_samp;                      /* sampling factors: blocks in an MCU */
    int scaled_size;                         /* pixels of a decoded block in each direction: 1 or 2 */
    int width_in_blocks, height_in_blocks;   /* without the blocks that complete the last MCUs */
    int blocks_per_line;                     /* with those */
    uint16_t quant_table[COEFFICIENTS];      /* in zigzag order, as in the file */
    uint8_t *samples;
    int16_t *coefficients; /* progressive: `stored` ones of each block, in zigzag order */
    int stored;            /* all of a block, or DC alone */
    HuffmanTable dc_table, ac_table;
    AcRun ac_runs[1 << LOOKAHEAD];
    int dc_pred; /* PRED: the DC coefficient of the block before (F.1.1.5.1) */
} Component;

static inline uint8_t clamp(int value) { return value < 0 ? 0 : value > 255 ? 255 : (uint8_t)value; }

/* Return whether libjpeg would clamp a sample, before the level shift of 128, as we do. Rounding exceeds the limits
   of a sample by little; far beyond them libjpeg's range limit table wraps around. */
static inline int in_range(int value) { return value >= -4 * 128 && value < 4 * 128; }

/* Write the sample of a block's DC coefficient, like libjpeg's jpeg_idct_1x1. */
static inline int inverse_dct_1x1(const Component *component, int dc, uint8_t *sample) {
    int value = (dc * component->quant_table[0] + 4) >> 3;
    *sample = clamp(value + 128);
    return in_range(value);
}

/* By zigzag index: the position of a coefficient in a table of 5 x 5, for frequencies 0, 1, 3, 5 and 7 in each
   direction. The other frequencies have a mean of 0 over each half of a block: they are UNUSED. */
enum { FREQUENCIES = 5, UNUSED = FREQUENCIES * FREQUENCIES };
static const uint8_t POSITIONS[COEFFICIENTS] = {0,  5,  1,  25, 6,  25, 10, 25, 25, 2,  25, 7,  25, 11, 25, 15,
                                                25, 25, 25, 25, 3,  25, 8,  25, 12, 25, 16, 25, 20, 25, 25, 25,
                                                25, 25, 25, 4,  9,  25, 13, 25, 17, 25, 21, 25, 25, 25, 25, 25,
                                                25, 14, 25, 18, 25, 22, 25, 25, 25, 25, 19, 25, 23, 25, 25, 24};

/* The weight of each frequency in the mean of a block's first half, times four. In the second half all but the
   first have the opposite sign. Fixed point with 13 bits, as in libjpeg's jpeg_idct_2x2. */
enum { CONST_BITS = 13 };
static const int32_t WEIGHTS[FREQUENCIES] = {4 << CONST_BITS, 29692, -10426, 6967, -5906};

typedef struct {
    int32_t first, second;
} Halves;

/* Return the means of both halves, rounded and shifted right. */
static inline Halves split(int32_t even, int32_t odd, int shift) {
    even = even * WEIGHTS[0] + (1 << (shift - 1));
    return (Halves){(even + odd) >> shift, (even - odd) >> shift};
}

static inline int32_t sum_odd(const int32_t *column) {
    return column[1] * WEIGHTS[1] + column[2] * WEIGHTS[2] + column[3] * WEIGHTS[3] + column[4] * WEIGHTS[4];
}

/* Write a block's 2 x 2 samples from a table of columns, which are zeros after the last one. */
static inline int inverse_dct_2x2(const Component *component, const int32_t *table, int last_column,
                                  uint8_t *samples) {
    size_t stride = (size_t)component->blocks_per_line * 2;
    int32_t upper = 0, lower = 0;
    Halves evens = split(table[0], sum_odd(table), CONST_BITS);
    for (int column = 1; column <= last_column; column++) {
        Halves odds = split(table[column * FREQUENCIES], sum_odd(table + column * FREQUENCIES), CONST_BITS);
        upper += odds.first * WEIGHTS[column];
        lower += odds.second * WEIGHTS[column];
    }
    Halves above = split(evens.first, upper, CONST_BITS + 7), below = split(evens.second, lower, CONST_BITS + 7);
    samples[0] = clamp(above.first + 128);
    samples[1] = clamp(above.second + 128);
    samples[stride] = clamp(below.first + 128);
    samples[stride + 1] = clamp(below.second + 128);
    return in_range(above.first) && in_range(above.second) && in_range(below.first) && in_range(below.second);
}

/* --- blocks of a baseline scan: F.2.2 ------------------------------------------------------------------------ */

/* Decode the DC difference and add it to the prediction (F.2.2.1). */
static inline int decode_dc(BitReader *reader, Component *component) {
    Symbol symbol = find_code(&component->dc_table, reader->bit_buffer);
    if (symbol.length == 0 || symbol.run != 0 || symbol.size > MAX_DC_SIZE)
        return 0;
    component->dc_pred += receive_extend(reader, symbol);
    return component->dc_pred >= INT16_MIN && component->dc_pred <= INT16_MAX;
}

/* Parse the AC coefficients (F.2.2.2) without their values. */
static inline int skip_ac(BitReader *reader, const Component *component) {
    int k = 1;
    while (k < COEFFICIENTS) {
        fill_bit_buffer(reader);
        AcRun run = component->ac_runs[reader->bit_buffer >> (64 - LOOKAHEAD)];
        if (run.bits && k + run.coefficients + run.eob <= COEFFICIENTS) {
            drop_bits(reader, run.bits);
            k = run.eob ? COEFFICIENTS : k + run.coefficients;
            continue;
        }
        Symbol symbol = find_code(&component->ac_table, reader->bit_buffer);
        if (!is_valid_ac(symbol))
            return 0;
        drop_bits(reader, symbol.length + symbol.size);
        if (is_eob(symbol))
            break;
        k += symbol.run + 1;
    }
    return k <= COEFFICIENTS;
}

/* Decode the AC coefficients (F.2.2.2) into a table of columns. Return the number of the last column, or -1 for
   invalid data. */
static inline int decode_ac(BitReader *reader, const Component *component, int32_t *table) {
    int last = 0;
    for (int k = 1; k < COEFFICIENTS; k++) {
        fill_bit_buffer(reader);
        Symbol symbol = find_code(&component->ac_table, reader->bit_buffer);
        k += symbol.run;
        if (!is_valid_ac(symbol) || k >= COEFFICIENTS)
            return -1;
        int position = POSITIONS[k], value = receive_extend(reader, symbol);
        if (is_eob(symbol))
            break;
        table[position] = value * component->quant_table[k];
        last = position > last && position < UNUSED ? position : last;
    }
    return last / FREQUENCIES;
}

static inline int decode_baseline_block(BitReader *reader, Component *component, uint8_t *samples) {
    if (!decode_dc(reader, component))
        return 0;
    if (component->scaled_size == 1)
        return inverse_dct_1x1(component, component->dc_pred, samples) && skip_ac(reader, component);
    int32_t table[UNUSED + 1] = {component->dc_pred * component->quant_table[0]};
    int last_column = decode_ac(reader, component, table);
    return last_column >= 0 && inverse_dct_2x2(component, table, last_column, samples);
}

/* --- blocks of a progressive scan: G.2 ----------------------------------------------------------------------- */

/* A scan header (B.2.3) with the tables in force. jpeg_dc_only.py has the same structure. */
typedef struct {
    int32_t component_count;
    int32_t component_index[MAX_COMPONENTS];
    const uint8_t *dc_tables[MAX_COMPONENTS]; /* BITS and HUFFVAL, padded to 256 values; or NULL */
    const uint8_t *ac_tables[MAX_COMPONENTS];
    int32_t Ss, Se;           /* spectral selection: the first and the last coefficient */
    int32_t Ah, Al;           /* successive approximation: the bit positions before and after this scan */
    int32_t restart_interval; /* MCUs; 0: there are no restart markers */
} Scan;

/* Return an end-of-band run, which counts this block (EOBn, G.1.2.2). */
static inline int get_eobrun(BitReader *reader, Symbol symbol) {
    drop_bits(reader, symbol.length);
    return (1 << symbol.run) + get_bits(reader, symbol.run);
}

/* Decode the first scan of AC coefficients (G.1.2.2). */
static inline int decode_ac_first(BitReader *reader, const Component *component, const Scan *scan, int16_t *block,
                                  int *eobrun) {
    if (*eobrun) {
        --*eobrun;
        return 1;
    }
    for (int k = scan->Ss; k <= scan->Se; k++) {
        fill_bit_buffer(reader);
        Symbol symbol = find_code(&component->ac_table, reader->bit_buffer);
        if (symbol.length == 0)
            return 0;
        if (symbol.size == 0 && symbol.run < 15) {
            *eobrun = get_eobrun(reader, symbol) - 1;
            return 1;
        }
        k += symbol.run;
        int value = receive_extend(reader, symbol);
        if (k > scan->Se)
            return 0;
        if (symbol.size)
            block[k] = (int16_t)(value * (1 << scan->Al));
    }
    return 1;
}

/* Apply the correction bit of a coefficient with nonzero history. */
static inline void correct(BitReader *reader, int16_t *coefficient, int bit) {
    if (get_bits(reader, 1) && (*coefficient & bit) == 0)
        *coefficient = (int16_t)(*coefficient + (*coefficient < 0 ? -bit : bit));
}

/* Decode a refinement scan of AC coefficients (G.1.2.3). */
static inline int decode_ac_refine(BitReader *reader, const Component *component, const Scan *scan, int16_t *block,
                                   int *eobrun) {
    int bit = 1 << scan->Al, k = scan->Ss;
    for (; *eobrun == 0 && k <= scan->Se; k++) {
        fill_bit_buffer(reader);
        Symbol symbol = find_code(&component->ac_table, reader->bit_buffer);
        if (symbol.length == 0 || symbol.size > 1)
            return 0;
        if (symbol.size == 0 && symbol.run < 15) {
            *eobrun = get_eobrun(reader, symbol);
            break;
        }
        drop_bits(reader, symbol.length);
        int value = symbol.size ? get_bits(reader, 1) ? bit : -bit : 0;
        for (int zeros = symbol.run; k <= scan->Se; k++) {
            fill_bit_buffer(reader);
            if (block[k])
                correct(reader, &block[k], bit);
            else if (zeros-- == 0)
                break;
        }
        if (k > scan->Se)
            return value == 0;
        block[k] = (int16_t)value;
    }
    if (*eobrun == 0)
        return 1;
    for (; k <= scan->Se; k++)
        if (block[k]) {
            fill_bit_buffer(reader);
            correct(reader, &block[k], bit);
        }
    --*eobrun;
    return 1;
}

/* Decode the part of a block that is in this scan: here, DC coefficients and their refinement (G.1.2.1). */
static inline int decode_progressive_block(BitReader *reader, Component *component, const Scan *scan,
                                           int16_t *block, int *eobrun) {
    if (scan->Ss != 0)
        return scan->Ah ? decode_ac_refine(reader, component, scan, block, eobrun)
                        : decode_ac_first(reader, component, scan, block, eobrun);
    if (scan->Ah) {
        block[0] = (int16_t)(block[0] | get_bits(reader, 1) << scan->Al);
        return 1;
    }
    int is_valid = decode_dc(reader, component);
    block[0] = (int16_t)(component->dc_pred * (1 << scan->Al));
    return is_valid;
}

/* --- scans --------------------------------------------------------------------------------------------------- */

typedef struct {
    int component_count; /* 1: grey, 3: Y, Cb, Cr */
    int progressive;
    int width, height; /* of the decoded image, in pixels */
    int mcus_per_line, mcu_lines;
    Component components[MAX_COMPONENTS];
} Frame;

/* How much of a scan can be decoded, if libjpeg warns about the file. jpeg_dc_only.py has the same structure. */
typedef struct {
    int32_t mcus;     /* that the scan should have */
    int32_t decoded;  /* MCUs before the first that is invalid or has no data */
    int32_t trailing; /* bytes after the last MCU */
    int32_t shifted;  /* 1: the data have fewer or more blocks than they should, so damage has shifted blocks */
} ScanExtent;

typedef struct {
    BitReader reader;                   /* of the unstuffed data */
    uint8_t *unstuffed, *unstuffed_end; /* the data up to the next marker */
    const uint8_t *data, *data_end;     /* what follows in the file */
    int restarts;                       /* so far */
    int eobrun;
    ScanExtent *extent; /* to be filled in; or NULL, and trailing bytes are an error */
} ScanState;

/* Start an entropy-coded segment: at the start of a scan or after a restart marker. */
static void start_segment(ScanState *state, Frame *frame) {
    state->data +=
        unstuff(state->data, (size_t)(state->data_end - state->data), state->unstuffed, &state->unstuffed_end);
    state->reader = (BitReader){state->unstuffed, 0, 0};
    state->eobrun = 0;
    for (int i = 0; i < frame->component_count; i++)
        frame->components[i].dc_pred = 0;
}

/* Return how many bytes are left before the next marker. */
static ptrdiff_t bytes_left(const ScanState *state) {
    return state->unstuffed_end - (state->reader.next_byte - state->reader.bits_left / 8);
}

/* Consume the restart marker that is expected (E.2.4). */
static int process_restart(ScanState *state, Frame *frame) {
    ptrdiff_t allowed = state->extent ? MAX_TRAILING : 0;
    if (bytes_left(state) > allowed || state->eobrun || state->data_end - state->data < 2 ||
        state->data[1] != RST0 + (state->restarts++ & 7))
        return 0;
    state->data += 2;
    start_segment(state, frame);
    return 1;
}

/* Return whether nothing is left but the 1-bits that pad the last byte (F.1.2.3). */
static int is_at_padding(BitReader reader, const uint8_t *end) {
    ptrdiff_t left = (end - reader.next_byte) * 8 + reader.bits_left;
    return left >= 0 && left < 8 && get_bits(&reader, (int)left) == (1 << left) - 1;
}

static inline int decode_block(ScanState *state, Frame *frame, const Scan *scan, Component *component, int row,
                               int column) {
    fill_bit_buffer(&state->reader);
    const BitReader before = state->reader;
    size_t scaled_size = (size_t)component->scaled_size, block = (size_t)row * (size_t)component->blocks_per_line;
    int is_valid;
    if (frame->progressive)
        is_valid = decode_progressive_block(
            &state->reader, component, scan,
            component->coefficients + (block + (size_t)column) * (size_t)component->stored, &state->eobrun);
    else
        is_valid = decode_baseline_block(&state->reader, component,
                                         component->samples + block * scaled_size * scaled_size +
                                             (size_t)column * scaled_size);
    int past_end = is_past_end(&state->reader, state->unstuffed_end);
    if (is_valid && !past_end)
        return 1;
    if (state->extent) /* truncated data end anywhere, but not where a block ends */
        state->extent->shifted = !past_end || is_at_padding(before, state->unstuffed_end);
    return 0;
}

/* Return whether more blocks follow the last one, up to the very end of the data. */
static int has_surplus_blocks(ScanState *state, Frame *frame, const Scan *scan) {
    for (;;)
        for (int i = 0; i < scan->component_count; i++) {
            Component *component = &frame->components[scan->component_index[i]];
            for (int block = scan->component_count == 1 ? 1 : component->v_samp * component->h_samp; block > 0;
                 block--) {
                if (!decode_block(state, frame, scan, component, 0, 0))
                    return 0;
                if (is_at_padding(state->reader, state->unstuffed_end))
                    return 1;
            }
        }
}

/* Decode all MCUs. In a scan of one component an MCU is one block, without padding blocks at the edges (A.2.2).
   In a scan of several, their blocks are interleaved (A.2.3). */
static int decode_mcus(ScanState *state, Frame *frame, const Scan *scan) {
    Component *only = scan->component_count == 1 ? &frame->components[scan->component_index[0]] : NULL;
    int columns = only ? only->width_in_blocks : frame->mcus_per_line,
        rows = only ? only->height_in_blocks : frame->mcu_lines;
    int restarts_in = scan->restart_interval;
    if (state->extent)
        state->extent->mcus = columns * rows;
    for (int row = 0; row < rows; row++)
        for (int column = 0; column < columns; column++, restarts_in--) {
            if (scan->restart_interval && restarts_in == 0) {
                if (!process_restart(state, frame))
                    return 0;
                restarts_in = scan->restart_interval;
            }
            if (only && !decode_block(state, frame, scan, only, row, column))
                return 0;
            for (int i = 0; !only && i < scan->component_count; i++) {
                Component *component = &frame->components[scan->component_index[i]];
                for (int y = row * component->v_samp; y < (row + 1) * component->v_samp; y++)
                    for (int x = column * component->h_samp; x < (column + 1) * component->h_samp; x++)
                        if (!decode_block(state, frame, scan, component, y, x))
                            return 0;
            }
            if (state->extent)
                state->extent->decoded++;
        }
    if (state->extent) {
        state->extent->trailing = (int32_t)bytes_left(state);
        state->extent->shifted =
            (state->data_end - state->data >= 2 && (state->data[1] & ~7) == RST0) ||
            (state->extent->trailing > MAX_TRAILING && has_surplus_blocks(state, frame, scan));
    }
    return bytes_left(state) == 0 && state->eobrun == 0;
}

/* Check a scan header and build its tables. */
static int start_scan(Frame *frame, const Scan *scan) {
    if (scan->component_count < 1 || scan->component_count > frame->component_count || scan->Ss > scan->Se ||
        scan->Se >= COEFFICIENTS || scan->Al > MAX_AL)
        return 0;
    for (int i = 0; i < scan->component_count; i++) {
        Component *component = &frame->components[scan->component_index[i]];
        if (frame->progressive && scan->Se >= component->stored)
            return 0;
        if (scan->dc_tables[i] && !build_huffman_table(&component->dc_table, scan->dc_tables[i]))
            return 0;
        if (scan->ac_tables[i] && !build_huffman_table(&component->ac_table, scan->ac_tables[i]))
            return 0;
        if (scan->ac_tables[i] && !frame->progressive && component->scaled_size == 1)
            build_ac_runs(component->ac_runs, &component->ac_table);
    }
    return 1;
}

/* --- the functions that jpeg_dc_only.py calls ---------------------------------------------------------------- */

/* Free a frame, or NULL. */
void free_frame(Frame *frame) {
    for (int i = 0; frame && i < frame->component_count; i++) {
        free(frame->components[i].samples);
        free(frame->components[i].coefficients);
    }
    free(frame);
}

/* Allocate a frame. Width and height are those of the decoded image. Each component has its sampling factors, the
   pixels of a decoded block in each direction, and 64 values of a quantization table in zigzag order. Return NULL
   if there is not enough memory. */
Frame *create_frame(int width, int height, int progressive, int component_count, const int32_t *h_samp,
                    const int32_t *v_samp, const int32_t *scaled_size, const uint16_t *quant_tables) {
    Frame *frame = calloc(1, sizeof *frame);
    if (!frame)
        return NULL;
    frame->width = width;
    frame->height = height;
    frame->progressive = progressive;
    frame->component_count = component_count;
    frame->mcus_per_line = (width + h_samp[0] - 1) / h_samp[0];
    frame->mcu_lines = (height + v_samp[0] - 1) / v_samp[0];
    for (int i = 0; i < component_count; i++) {
        Component *component = &frame->components[i];
        component->h_samp = h_samp[i];
        component->v_samp = v_samp[i];
        component->scaled_size = scaled_size[i];
        component->width_in_blocks = (width * h_samp[i] + h_samp[0] - 1) / h_samp[0];
        component->height_in_blocks = (height * v_samp[i] + v_samp[0] - 1) / v_samp[0];
        component->blocks_per_line = frame->mcus_per_line * h_samp[i];
        component->stored = scaled_size[i] == 1 ? 1 : COEFFICIENTS;
        memcpy(component->quant_table, quant_tables + i * COEFFICIENTS, sizeof component->quant_table);
        size_t blocks = (size_t)component->blocks_per_line * (size_t)(frame->mcu_lines * v_samp[i]);
        component->samples = malloc(blocks * (size_t)(scaled_size[i] * scaled_size[i]));
        component->coefficients = progressive ? calloc(blocks, (size_t)component->stored * sizeof(int16_t)) : NULL;
        if (!component->samples || (progressive && !component->coefficients)) {
            free_frame(frame);
            return NULL;
        }
    }
    return frame;
}

/* Decode the scan whose entropy-coded data begin at an offset. Return the offset of the marker after it, or 0 if
   the decoder gives up. Fill in the extent, which must be zeros, unless it is NULL. */
size_t decode_scan(Frame *frame, const uint8_t *data, size_t offset, size_t size, const Scan *scan,
                   ScanExtent *extent) {
    if (offset > size)
        return 0;
    ScanState state = {.data = data + offset,
                       .data_end = data + size,
                       .unstuffed = malloc(size - offset + MAX_BLOCK_BYTES),
                       .extent = extent};
    size_t end = 0;
    if (state.unstuffed && start_scan(frame, scan)) {
        start_segment(&state, frame);
        if (decode_mcus(&state, frame, scan))
            end = (size_t)(state.data - data);
    }
    free(state.unstuffed);
    return end;
}

/* Dequantize and transform the coefficients of a progressive frame. */
static int transform_blocks(const Component *component, int lines) {
    const int16_t *block = component->coefficients;
    for (int row = 0; row < lines; row++)
        for (int column = 0; column < component->blocks_per_line; column++, block += component->stored) {
            size_t at = (size_t)row * (size_t)component->blocks_per_line;
            int32_t table[UNUSED + 1];
            for (int i = 0; i < component->stored; i++)
                table[POSITIONS[i]] = block[i] * component->quant_table[i];
            if (component->scaled_size == 1
                    ? !inverse_dct_1x1(component, block[0], component->samples + at + column)
                    : !inverse_dct_2x2(component, table, FREQUENCIES - 1,
                                       component->samples + 4 * at + 2 * (size_t)column))
                return 0;
        }
    return 1;
}

/* Return the binary logarithm of the ratio of two sampling factors. */
static int log2_ratio(int whole, int part) {
    int shift = 0;
    while (part << shift < whole)
        shift++;
    return shift;
}

/* Convert Y, Cb, Cr to RGBX by JFIF's equations, in fixed point with 16 bits; upsample Cb and Cr by replication. */
static void convert_to_rgbx(const Frame *frame, uint8_t *pixels) {
    const Component *y = &frame->components[0], *cb = &frame->components[1], *cr = &frame->components[2];
    int h_shift = log2_ratio(y->h_samp, cb->h_samp * cb->scaled_size),
        v_shift = log2_ratio(y->v_samp, cb->v_samp * cb->scaled_size);
    for (int row = 0; row < frame->height; row++) {
        const uint8_t *luma = y->samples + (size_t)row * (size_t)y->blocks_per_line;
        size_t at = (size_t)(row >> v_shift) * (size_t)(cb->blocks_per_line * cb->scaled_size);
        const uint8_t *blue = cb->samples + at, *red = cr->samples + at;
        for (int i = 0; i < frame->width; i++, pixels += 4) {
            int b = blue[i >> h_shift] - 128, r = red[i >> h_shift] - 128;
            pixels[0] = clamp(luma[i] + ((91881 * r + 32768) >> 16));
            pixels[1] = clamp(luma[i] + ((-22554 * b - 46802 * r + 32768) >> 16));
            pixels[2] = clamp(luma[i] + ((116130 * b + 32768) >> 16));
            pixels[3] = 255;
        }
    }
}

/* Write the decoded image, in 4 bytes a pixel (RGBX), or in one (grey). Return 0 if the decoder gives up. */
int write_image(Frame *frame, uint8_t *pixels) {
    for (int i = 0; frame->progressive && i < frame->component_count; i++)
        if (!transform_blocks(&frame->components[i], frame->mcu_lines * frame->components[i].v_samp))
            return 0;
    if (frame->component_count == MAX_COMPONENTS) {
        convert_to_rgbx(frame, pixels);
        return 1;
    }
    const Component *grey = &frame->components[0];
    for (int row = 0; row < frame->height; row++, pixels += frame->width)
        memcpy(pixels, grey->samples + (size_t)row * (size_t)grey->blocks_per_line, (size_t)frame->width);
    return 1;
}
