/* The operations of CNNs, from scratch: what `adapters/c.py` calls.

   Images lie NHWC, kernels (KH, KW, C / groups, O). Compiled once for each precision, with
   -DREAL=float or double. No library but OpenMP: the vectors are GCC's vector extension, which
   any compiler of its kind turns into what the processor has.

   A convolution is a matrix product whose left side is never made ("implicit im2col"): with
   channels last, what one kernel position multiplies is one run of memory, so the product
   takes a pointer for each output pixel and kernel position, to the pixel or, in the padding,
   to zeros. The kernel is copied, block by block, into a panel that stays in the second-level
   cache; a tile of ROWS pixels and VECTORS vectors of channels stays in registers.

   Nothing is divided by the number of threads, only by fixed sizes: the result is the same on
   any number of them. */

#include <float.h>
#include <math.h>
#include <omp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifndef REAL
#define REAL float
#endif
typedef REAL real;
typedef ptrdiff_t size;

#if defined __AVX512F__
enum { BYTES = 64, VECTORS = 4 }; /* 32 registers: 24 sums, 4 of the panel, 1 of the image */
#elif defined __AVX__
enum { BYTES = 32, VECTORS = 2 }; /* 16 registers */
#elif defined __aarch64__
enum { BYTES = 16, VECTORS = 4 };
#else
enum { BYTES = 16, VECTORS = 2 };
#endif

enum {
    WIDTH = BYTES / sizeof(real),
    COLUMNS = WIDTH * VECTORS, /* of a panel */
    ROWS = 6,                  /* of a tile */
    DEPTH = 1024,              /* of a panel: a quarter of a megabyte with AVX-512 */
    TAPS = 64,                 /* kernel positions in a panel, at most */
    CHUNK = 240,               /* pixels that use a panel before it is made anew */
    PIXELS = 96,               /* of a weight's gradient at a time: its panel fits the first cache */
    STRIP = 48,                /* input channels of those pixels, copied side by side */
    SLICE = 512,               /* rows that are summed in `real`, before the sums go on in double */
    SMALL = 1 << 14,           /* elements that are not worth a second thread */
};

typedef real vector __attribute__((vector_size(BYTES), aligned(sizeof(real)), may_alias));

#define ALWAYS static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 8")

static size least(size a, size b) { return a < b ? a : b; }
static size most(size a, size b) { return a > b ? a : b; }
static size parts(size whole, size part) { return (whole + part - 1) / part; }

/* Kept from call to call, so that no call waits for fresh pages; the caller's thread alone
   asks. NULL where there is no memory. */
static void *scratch(size_t bytes) {
    static _Thread_local void *kept;
    static _Thread_local size_t held;
    if (bytes > held) {
        free(kept);
        held = parts(bytes, 4096) * 4096;
        kept = aligned_alloc(4096, held);
        if (!kept) held = 0;
    }
    return kept;
}

/* Every function that is called from outside returns 0, or 1 where there is no memory. */

int threads(size count) {
    omp_set_num_threads((int)count);
    return 0;
}

/* --- the product ------------------------------------------------------------------------- */

/* A convolution as `adapters/c.py` describes it; its input is n, h, w, c. */
typedef struct {
    size n, h, w, c, o, kh, kw, sh, sw, ph, pw, groups;
} Shape;

static size out_height(const Shape *s) { return (s->h + 2 * s->ph - s->kh) / s->sh + 1; }
static size out_width(const Shape *s) { return (s->w + 2 * s->pw - s->kw) / s->sw + 1; }

typedef struct {
    size y, x;   /* from a pixel's own place to what this kernel position multiplies */
    size weight; /* where its matrix begins */
} Tap;

/* For every pixel (y, x) of a grid: out = sum over taps of in[y * step + tap] @ matrix. */
typedef struct {
    const real *in;
    size batch, height, width, in_pixel;           /* the source; reals from pixel to pixel */
    size rows, columns, step_y, step_x;            /* the grid, and its step in the source */
    real *out;                                     /* where the grid's pixels go: */
    size out_height, out_width, out_pixel;         /*   an image of its own, */
    size first_y, first_x, stride_y, stride_x;     /*   perhaps every other pixel of it */
    const real *weight, *bias;                     /* bias may be NULL */
    size run, width_out;                           /* a matrix is run x width_out, */
    size step_run, step_out;                       /*   and its elements are so far apart */
    size groups, in_group, out_group, weight_group;
    size taps;
    const Tap *tap;
    size top, bottom, left, right;                /* how far the taps reach from a pixel */
} Product;

typedef struct {
    const real *in; /* the source's pixel, before a tap's own offset: it may lie in the padding */
    real *out;
    size y, x;  /* its place in the source */
    int inside; /* every tap is */
} Place;

static const real zeros[DEPTH];

/* The places of `count` pixels of the grid from `first` on. */
static void locate(const Product *p, size group, size column, size first, size count, Place *at) {
    size x = first % p->columns, y = first / p->columns % p->rows;
    size n = first / (p->columns * p->rows);
    for (size i = 0; i < count; i++) {
        size row = (n * p->out_height + p->first_y + y * p->stride_y) * p->out_width;
        at[i].out = p->out + (row + p->first_x + x * p->stride_x) * p->out_pixel +
                    group * p->out_group + column;
        at[i].y = y * p->step_y;
        at[i].x = x * p->step_x;
        at[i].in = p->in + ((n * p->height + at[i].y) * p->width + at[i].x) * p->in_pixel +
                   group * p->in_group;
        at[i].inside = at[i].y + p->top >= 0 && at[i].y + p->bottom < p->height &&
                       at[i].x + p->left >= 0 && at[i].x + p->right < p->width;
        if (++x == p->columns) {
            x = 0;
            if (++y == p->rows) y = 0, n++;
        }
    }
}

/* What a tap multiplies at a place, or NULL in the padding. */
ALWAYS const real *source(const Product *p, const Place *at, const Tap *tap, size shift) {
    if (!at->inside) {
        const size y = at->y + tap->y, x = at->x + tap->x;
        if ((size_t)y >= (size_t)p->height || (size_t)x >= (size_t)p->width) return NULL;
    }
    return at->in + shift;
}

/* From a place's pixel to what a tap multiplies there. */
static size shift(const Product *p, const Tap *tap) {
    return (tap->y * p->width + tap->x) * p->in_pixel;
}

/* Copies a block of the matrices of one tap: `run` rows of `count` columns, filled up with
   zeros to `full`. A matrix that lies transposed is read along its own rows, 16 at a time. */
static void pack(const Product *p, const real *from, size run, size count, size full, real *to) {
    if (p->step_out == 1) {
        for (size l = 0; l < run; l++) {
            memcpy(to + l * full, from + l * p->step_run, count * sizeof(real));
            for (size n = count; n < full; n++) to[l * full + n] = 0;
        }
        return;
    }
    for (size first = 0; first < run; first += 16) {
        size last = least(first + 16, run);
        for (size n = 0; n < count; n++)
            for (size l = first; l < last; l++)
                to[l * full + n] = from[l * p->step_run + n * p->step_out];
        for (size l = first; l < last; l++)
            for (size n = count; n < full; n++) to[l * full + n] = 0;
    }
}

/* ROWS pixels by `vectors` vectors of channels: from `start`, or on top of what is there. */
ALWAYS void tile(size vectors, const real *const *in, size taps, size run, const real *panel,
                 const real *start, const Place *at, size count, size columns) {
    vector sum[ROWS][VECTORS];
    real line[COLUMNS];
    const int whole = columns == vectors * WIDTH;
    UNROLL for (size r = 0; r < ROWS; r++) {
        const real *from = start;
        if (!start && r < count) {
            from = at[r].out;
            if (!whole) from = memcpy(line, from, columns * sizeof(real));
        } else if (!start)
            from = zeros;
        UNROLL for (size v = 0; v < vectors; v++) sum[r][v] = ((const vector *)from)[v];
    }
    for (size t = 0; t < taps; t++, in += ROWS) {
        const real *row[ROWS];
        UNROLL for (size r = 0; r < ROWS; r++) row[r] = in[r];
        for (size l = 0; l < run; l++, panel += vectors * WIDTH) {
            vector right[VECTORS];
            UNROLL for (size v = 0; v < vectors; v++) right[v] = ((const vector *)panel)[v];
            UNROLL for (size r = 0; r < ROWS; r++)
                UNROLL for (size v = 0; v < vectors; v++) sum[r][v] += row[r][l] * right[v];
        }
    }
    if (whole) {
        UNROLL for (size r = 0; r < ROWS; r++) if (r < count) {
            UNROLL for (size v = 0; v < vectors; v++) ((vector *)at[r].out)[v] = sum[r][v];
        }
        return;
    }
    UNROLL for (size r = 0; r < ROWS; r++) if (r < count) {
        UNROLL for (size v = 0; v < vectors; v++) ((vector *)line)[v] = sum[r][v];
        memcpy(at[r].out, line, columns * sizeof(real));
    }
}

/* `count` pixels by one panel's columns, over the whole depth. */
static void block(const Product *p, size group, size first, size count, size column) {
    static _Thread_local real panel[DEPTH * COLUMNS] __attribute__((aligned(64)));
    static _Thread_local Place places[CHUNK];
    const real *in[TAPS * ROWS];
    size shifts[TAPS];
    real start[COLUMNS];
    const size columns = least(p->width_out - column, COLUMNS);
    const size vectors = parts(columns, WIDTH), full = vectors * WIDTH;
    const size step = most(1, least(TAPS, DEPTH / p->run));
    for (size n = 0; n < COLUMNS; n++)
        start[n] = p->bias && n < columns ? p->bias[group * p->out_group + column + n] : 0;
    const real *weight = p->weight + group * p->weight_group + column * p->step_out;
    locate(p, group, column, first, count, places);
    for (size tap = 0; tap < p->taps; tap += step)
        for (size from = 0; from < p->run; from += DEPTH) {
            const size taps = least(step, p->taps - tap), run = least(DEPTH, p->run - from);
            for (size t = 0; t < taps; t++) {
                const Tap *each = &p->tap[tap + t];
                pack(p, weight + each->weight + from * p->step_run, run, columns, full,
                     panel + t * run * full);
                shifts[t] = shift(p, each);
            }
            const real *begin = tap || from ? NULL : start;
            for (size m = 0; m < count; m += ROWS) {
                for (size r = 0; r < ROWS; r++) {
                    const Place *at = &places[least(m + r, count - 1)];
                    for (size t = 0; t < taps; t++) {
                        const real *found = source(p, at, &p->tap[tap + t], shifts[t]);
                        in[t * ROWS + r] = found ? found + from : zeros;
                    }
                }
                const Place *at = places + m;
                const size rows = least(ROWS, count - m);
                switch (vectors) {
                case 1: tile(1, in, taps, run, panel, begin, at, rows, columns); break;
                case 2: tile(2, in, taps, run, panel, begin, at, rows, columns); break;
#if defined __AVX512F__ || defined __aarch64__
                case 3: tile(3, in, taps, run, panel, begin, at, rows, columns); break;
                case 4: tile(4, in, taps, run, panel, begin, at, rows, columns); break;
#endif
                }
            }
        }
}

/* The product, with how far its taps reach from a pixel. */
static Product reach(Product p) {
    for (size t = 0; t < p.taps; t++) {
        const Tap *tap = &p.tap[t];
        p.top = least(p.top, tap->y), p.bottom = most(p.bottom, tap->y);
        p.left = least(p.left, tap->x), p.right = most(p.right, tap->x);
    }
    return p;
}

static void multiply(const Product *p) {
    const size pixels = p->batch * p->rows * p->columns;
    const size chunks = parts(pixels, CHUNK), panels = parts(p->width_out, COLUMNS);
    const size items = p->groups * chunks * panels;
#pragma omp parallel for schedule(dynamic) if (items > 1)
    for (size item = 0; item < items; item++) {
        const size first = item / panels % chunks * CHUNK;
        block(p, item / (panels * chunks), first, least(CHUNK, pixels - first),
              item % panels * COLUMNS);
    }
}

/* --- convolution ------------------------------------------------------------------------- */

/* What x -> y multiplies. Without padding on the left and right a whole kernel row is one run. */
static Product forward(const Shape *s, const real *x, const real *w, const real *bias, real *y,
                       Tap *tap) {
    const size height = out_height(s), width = out_width(s), depth = s->c / s->groups;
    const size joined = s->pw == 0 && s->groups == 1 ? s->kw : 1;
    Product p = {
        .in = x, .batch = s->n, .height = s->h, .width = s->w, .in_pixel = s->c,
        .rows = height, .columns = width, .step_y = s->sh, .step_x = s->sw,
        .out = y, .out_height = height, .out_width = width, .out_pixel = s->o,
        .stride_y = 1, .stride_x = 1,
        .weight = w, .bias = bias, .run = joined * depth, .width_out = s->o / s->groups,
        .step_run = s->o, .step_out = 1,
        .groups = s->groups, .in_group = depth, .out_group = s->o / s->groups,
        .weight_group = s->o / s->groups, .tap = tap,
    };
    for (size y = 0; y < s->kh; y++)
        for (size x = 0; x < s->kw; x += joined)
            tap[p.taps++] = (Tap){y - s->ph, x - s->pw, (y * s->kw + x) * depth * s->o};
    return reach(p);
}

int conv(const Shape *s, const real *x, const real *w, const real *bias, real *y) {
    Tap tap[s->kh * s->kw];
    Product p = forward(s, x, w, bias, y, tap);
    multiply(&p);
    return 0;
}

/* Each of `count` matrices, rows x columns, transposed: in squares that stay in cache. */
static void turn(const real *from, size count, size rows, size columns, real *to) {
    const size down = parts(rows, 16);
#pragma omp parallel for if (count * rows * columns > SMALL)
    for (size item = 0; item < count * down; item++) {
        const size start = item / down * rows * columns, top = item % down * 16;
        for (size left = 0; left < columns; left += 16)
            for (size c = left; c < least(columns, left + 16); c++)
                for (size r = top; r < least(rows, top + 16); r++)
                    to[start + c * rows + r] = from[start + r * columns + c];
    }
}

/* A kernel position's place in dy, seen from pixel `at` of the input; 0 where it reaches none. */
static int reaches(size at, size pad, size position, size stride, size *place) {
    const size whole = at + pad - position;
    *place = whole / stride;
    return whole % stride == 0;
}

/* Of one side of a block of `pixels`: the first place in dy that reaches it, and how many do. */
static size span(size pixels, size pad, size kernel, size stride, size *first) {
    size last = *first = 0, place;
    for (size at = 0, any = 0; at < pixels; at++)
        for (size k = 0; k < kernel; k++)
            if (reaches(at, pad, k, stride, &place)) {
                *first = any ? least(*first, place) : place;
                last = any ? most(last, place) : place;
                any = 1;
            }
    return last - *first + 1;
}

/* What `taps` matrices cost that are `width` wide, in thirds of a vector's multiplication: a
   row's own element is loaded once, for however many vectors. */
static size price(size taps, size width) { return taps * (3 * parts(width, WIDTH) + 1); }

/* The side of a block of pixels, in strides, whose channels side by side cost least; 0 where
   the channels of one pixel do. */
static size block_side(const Shape *s) {
    size found = 0, first, depth = s->c / s->groups;
    double cheapest = (double)price(s->kh * s->kw, depth) / (s->sh * s->sw);
    for (size side = 1; side <= 4 && s->groups == 1; side++) {
        const size high = side * s->sh, wide = side * s->sw, width = high * wide * depth;
        const size taps = span(high, s->ph, s->kh, s->sh, &first) *
                          span(wide, s->pw, s->kw, s->sw, &first);
        const double each = (double)price(taps, width) / (high * wide);
        if (width <= COLUMNS && each < cheapest) cheapest = each, found = side;
    }
    return found;
}

/* The input's gradient where its channels are few, which would leave most of a vector idle: one
   row of the product is a block of pixels, all their channels side by side. Its matrices hold
   zeros where a kernel position does not reach a pixel. */
static int blocks_to_input(const Shape *s, size side, const real *dy, const real *w, real *dx) {
    const size high = side * s->sh, wide = side * s->sw, width = high * wide * s->c;
    size top, left;
    const size down = span(high, s->ph, s->kh, s->sh, &top);
    const size across = span(wide, s->pw, s->kw, s->sw, &left);
    const size rows = parts(s->h, high), columns = parts(s->w, wide), matrix = s->o * width;
    const size weights = parts(down * across * matrix, WIDTH) * WIDTH;
    real *weight = scratch((weights + s->n * rows * columns * width) * sizeof(real));
    if (!weight) return 1;
    real *out = weight + weights;
    memset(weight, 0, weights * sizeof(real));
    for (size y = 0; y < high; y++)
        for (size x = 0; x < wide; x++)
            for (size ky = 0; ky < s->kh; ky++)
                for (size kx = 0; kx < s->kw; kx++) {
                    size ty, tx;
                    if (!reaches(y, s->ph, ky, s->sh, &ty) || !reaches(x, s->pw, kx, s->sw, &tx))
                        continue;
                    real *to = weight + ((ty - top) * across + tx - left) * matrix;
                    const real *from = w + (ky * s->kw + kx) * s->c * s->o;
                    for (size c = 0; c < s->c; c++)
                        for (size o = 0; o < s->o; o++)
                            to[o * width + (y * wide + x) * s->c + c] = from[c * s->o + o];
                }
    Tap tap[down * across];
    Product p = {
        .in = dy, .batch = s->n, .height = out_height(s), .width = out_width(s), .in_pixel = s->o,
        .rows = rows, .columns = columns, .step_y = side, .step_x = side,
        .out = out, .out_height = rows, .out_width = columns, .out_pixel = width,
        .stride_y = 1, .stride_x = 1,
        .weight = weight, .run = s->o, .width_out = width, .step_run = width, .step_out = 1,
        .groups = 1, .tap = tap,
    };
    for (size y = 0; y < down; y++)
        for (size x = 0; x < across; x++, p.taps++)
            tap[p.taps] = (Tap){top + y, left + x, p.taps * matrix};
    p = reach(p);
    multiply(&p);
#pragma omp parallel for if (s->n * s->h * s->w > SMALL)
    for (size row = 0; row < s->n * s->h; row++) {
        const size n = row / s->h, y = row % s->h;
        const real *from = out + (n * rows + y / high) * columns * width + y % high * wide * s->c;
        for (size x = 0; x < s->w; x += wide, from += width)
            memcpy(dx + (row * s->w + x) * s->c, from, least(wide, s->w - x) * s->c * sizeof(real));
    }
    return 0;
}

/* The input's gradient is a convolution of dy with the kernel turned round; with a stride, one
   for each of the input's pixels modulo the stride, which other kernel positions reach.
   `bias` is added: with a 1x1 kernel this is a linear layer, whose weight lies transposed. */
int conv_to_input(const Shape *s, const real *dy, const real *w, const real *bias, real *dx) {
    const size height = out_height(s), width = out_width(s), depth = s->c / s->groups;
    const size every = s->o / s->groups, side = bias ? 0 : block_side(s);
    if (side) return blocks_to_input(s, side, dy, w, dx);
    real *turned = NULL; /* worth it where several chunks of pixels use it */
    if (s->n * s->h * s->w > 2 * CHUNK * s->sh * s->sw) {
        turned = scratch(s->kh * s->kw * depth * s->o * sizeof(real));
        if (!turned) return 1;
        turn(w, s->kh * s->kw, depth, s->o, turned);
    }
    if (s->kh < s->sh || s->kw < s->sw)
        memset(dx, 0, s->n * s->h * s->w * s->c * sizeof(real)); /* some are reached by none */
    for (size py = 0; py < least(s->sh, s->h); py++)
        for (size px = 0; px < least(s->sw, s->w); px++) {
            Tap tap[s->kh * s->kw];
            Product p = {
                .in = dy, .batch = s->n, .height = height, .width = width, .in_pixel = s->o,
                .rows = parts(s->h - py, s->sh), .columns = parts(s->w - px, s->sw),
                .step_y = 1, .step_x = 1,
                .out = dx, .out_height = s->h, .out_width = s->w, .out_pixel = s->c,
                .first_y = py, .first_x = px, .stride_y = s->sh, .stride_x = s->sw,
                .weight = turned ? turned : w, .bias = bias, .run = every, .width_out = depth,
                .step_run = turned ? depth : 1, .step_out = turned ? 1 : s->o,
                .groups = s->groups, .in_group = every, .out_group = depth,
                .weight_group = turned ? every * depth : every, .tap = tap,
            };
            for (size y = (py + s->ph) % s->sh; y < s->kh; y += s->sh)
                for (size x = (px + s->pw) % s->sw; x < s->kw; x += s->sw)
                    tap[p.taps++] = (Tap){(py + s->ph - y) / s->sh, (px + s->pw - x) / s->sw,
                                          (y * s->kw + x) * depth * s->o};
            p = reach(p);
            multiply(&p);
        }
    return 0;
}

/* ROWS input channels by `vectors` vectors of output channels, summed over `count` pixels. */
ALWAYS void outer(size vectors, const real *left, const real *const *right, size count, size rows,
                  size columns, real *to, size step, int add) {
    vector sum[ROWS][VECTORS] = {0};
    for (size k = 0; k < count; k++, left += STRIP) {
        const vector *b = (const vector *)right[k];
        UNROLL for (size r = 0; r < ROWS; r++)
            UNROLL for (size v = 0; v < vectors; v++) sum[r][v] += left[r] * b[v];
    }
    if (columns == vectors * WIDTH) {
        UNROLL for (size r = 0; r < ROWS; r++) if (r < rows) {
            vector *at = (vector *)(to + r * step);
            if (add) UNROLL for (size v = 0; v < vectors; v++) sum[r][v] += at[v];
            UNROLL for (size v = 0; v < vectors; v++) at[v] = sum[r][v];
        }
        return;
    }
    UNROLL for (size r = 0; r < ROWS; r++) if (r < rows) {
        real line[COLUMNS] = {0};
        UNROLL for (size v = 0; v < vectors; v++) ((vector *)line)[v] = sum[r][v];
        for (size n = 0; n < columns; n++)
            to[r * step + n] = add ? to[r * step + n] + line[n] : line[n];
    }
}

/* The pixels [first, last) of the grid, for one group and one panel of output channels. */
static void weigh(const Product *p, size group, size column, size first, size last, real *dw) {
    static _Thread_local real panel[PIXELS * COLUMNS] __attribute__((aligned(64)));
    static _Thread_local real strip[PIXELS * STRIP] __attribute__((aligned(64)));
    Place places[PIXELS];
    const real *left[PIXELS], *right[PIXELS];
    const size columns = least(p->width_out - column, COLUMNS);
    const size vectors = parts(columns, WIDTH), full = vectors * WIDTH;
    for (size begin = first; begin < last; begin += PIXELS) {
        const size pixels = least(PIXELS, last - begin);
        const int add = begin > first;
        locate(p, group, column, begin, pixels, places);
        for (size k = 0; k < pixels; k++) {
            memcpy(panel + k * full, places[k].out, columns * sizeof(real));
            for (size n = columns; n < full; n++) panel[k * full + n] = 0;
        }
        for (size t = 0; t < p->taps; t++) {
            const size along = shift(p, &p->tap[t]);
            size count = 0;
            for (size k = 0; k < pixels; k++) {
                left[count] = source(p, places + k, &p->tap[t], along);
                right[count] = panel + k * full;
                count += left[count] != NULL;
            }
            for (size l = 0; l < p->run; l += ROWS) {
                const size at = l % STRIP, rows = least(ROWS, p->run - l), step = p->step_run;
                if (at == 0)
                    for (size k = 0; k < count; k++)
                        memcpy(strip + k * STRIP, left[k] + l,
                               least(STRIP, p->run - l) * sizeof(real));
                const real *in = strip + at;
                real *to = dw + p->tap[t].weight + l * step + group * p->weight_group + column;
                switch (vectors) {
                case 1: outer(1, in, right, count, rows, columns, to, step, add); break;
                case 2: outer(2, in, right, count, rows, columns, to, step, add); break;
#if defined __AVX512F__ || defined __aarch64__
                case 3: outer(3, in, right, count, rows, columns, to, step, add); break;
                case 4: outer(4, in, right, count, rows, columns, to, step, add); break;
#endif
                }
            }
        }
    }
}

/* Where there are few panels, the pixels are cut into slices, each with a sum of its own. */
int conv_to_weight(const Shape *s, const real *x, const real *dy, real *dw) {
    Tap tap[s->kh * s->kw];
    Product p = forward(s, x, NULL, NULL, (real *)dy, tap);
    const size pixels = p.batch * p.rows * p.columns, panels = parts(p.width_out, COLUMNS);
    const size weights = s->kh * s->kw * s->c / s->groups * s->o, jobs = p.groups * panels;
    const size slices = most(1, least(least(16 / jobs, pixels / SLICE), (1 << 20) / weights + 1));
    const size share = parts(pixels, slices), used = parts(pixels, share);
    real *more = used > 1 ? scratch((used - 1) * weights * sizeof(real)) : NULL;
    if (used > 1 && !more) return 1;
#pragma omp parallel for schedule(dynamic) if (jobs * used > 1)
    for (size item = 0; item < jobs * used; item++) {
        const size slice = item / jobs, panel = item % jobs % panels, group = item % jobs / panels;
        weigh(&p, group, panel * COLUMNS, slice * share, least(pixels, (slice + 1) * share),
              slice ? more + (slice - 1) * weights : dw);
    }
#pragma omp parallel for if (used > 1 && weights > SMALL)
    for (size first = 0; first < weights; first += DEPTH)
        for (size slice = 1; slice < used; slice++) {
            const real *from = more + (slice - 1) * weights;
            for (size i = first; i < least(weights, first + DEPTH); i++) dw[i] += from[i];
        }
    return 0;
}

/* --- depthwise convolution, and the pools that average ------------------------------------- */

ALWAYS void add_product(real *restrict to, const real *a, const real *b, size count) {
    for (size c = 0; c < count; c++) to[c] += a[c] * b[c];
}

/* A kernel position's weights are `tap` reals after the last one's: with 0 all share one row,
   which is how pools average. */
int depthwise(const Shape *s, const real *x, const real *w, const real *bias, size tap, real *y) {
    const size height = out_height(s), width = out_width(s), count = s->c;
#pragma omp parallel for if (s->n * height * width * count > SMALL)
    for (size row = 0; row < s->n * height; row++) {
        const size n = row / height, top = row % height * s->sh - s->ph;
        for (size column = 0; column < width; column++) {
            const size left = column * s->sw - s->pw;
            real *to = y + (row * width + column) * count;
            if (bias) memcpy(to, bias, count * sizeof(real));
            else memset(to, 0, count * sizeof(real));
            for (size i = most(0, -top); i < least(s->kh, s->h - top); i++)
                for (size j = most(0, -left); j < least(s->kw, s->w - left); j++)
                    add_product(to, x + ((n * s->h + top + i) * s->w + left + j) * count,
                                w + (i * s->kw + j) * tap, count);
        }
    }
    return 0;
}

/* The first kernel position that reaches input `at` from one of `outs` outputs: the others
   follow at steps of the stride. */
static size first_reach(size at, size stride, size outs) {
    const size nearest = at - (outs - 1) * stride;
    return nearest > 0 ? nearest : at % stride;
}

int depthwise_to_input(const Shape *s, const real *dy, const real *w, size tap, real *dx) {
    const size height = out_height(s), width = out_width(s), count = s->c;
#pragma omp parallel for if (s->n * s->h * s->w * count > SMALL)
    for (size row = 0; row < s->n * s->h; row++) {
        const size n = row / s->h, y = row % s->h + s->ph;
        for (size column = 0; column < s->w; column++) {
            const size x = column + s->pw;
            real *to = dx + (row * s->w + column) * count;
            memset(to, 0, count * sizeof(real));
            for (size i = first_reach(y, s->sh, height); i < least(s->kh, y + 1); i += s->sh)
                for (size j = first_reach(x, s->sw, width); j < least(s->kw, x + 1); j += s->sw) {
                    const size from = (n * height + (y - i) / s->sh) * width + (x - j) / s->sw;
                    add_product(to, dy + from * count, w + (i * s->kw + j) * tap, count);
                }
        }
    }
    return 0;
}

int depthwise_to_weight(const Shape *s, const real *x, const real *dy, real *dw) {
    const size height = out_height(s), width = out_width(s), count = s->c;
    const size weights = s->kh * s->kw * count, rows = s->n * height;
    const size share = parts(rows, 64), slices = parts(rows, share);
    real *sums = scratch(slices * weights * sizeof(real));
    if (!sums) return 1;
#pragma omp parallel for if (rows * width * count > SMALL)
    for (size slice = 0; slice < slices; slice++) {
        real *sum = sums + slice * weights;
        memset(sum, 0, weights * sizeof(real));
        for (size row = slice * share; row < least(rows, (slice + 1) * share); row++) {
            const size n = row / height, top = row % height * s->sh - s->ph;
            for (size column = 0; column < width; column++) {
                const size left = column * s->sw - s->pw;
                for (size i = most(0, -top); i < least(s->kh, s->h - top); i++)
                    for (size j = most(0, -left); j < least(s->kw, s->w - left); j++)
                        add_product(sum + (i * s->kw + j) * count,
                                    x + ((n * s->h + top + i) * s->w + left + j) * count,
                                    dy + (row * width + column) * count, count);
            }
        }
    }
    memcpy(dw, sums, weights * sizeof(real));
    for (size slice = 1; slice < slices; slice++)
        for (size i = 0; i < weights; i++) dw[i] += sums[slice * weights + i];
    return 0;
}

/* --- max pooling --------------------------------------------------------------------------- */

int max_pool(const Shape *s, const real *x, real *y) {
    const size height = out_height(s), width = out_width(s), count = s->c;
#pragma omp parallel for if (s->n * height * width * count > SMALL)
    for (size row = 0; row < s->n * height; row++) {
        const size n = row / height, top = row % height * s->sh - s->ph;
        for (size column = 0; column < width; column++) {
            const size left = column * s->sw - s->pw;
            real *restrict to = y + (row * width + column) * count;
            for (size c = 0; c < count; c++) to[c] = -INFINITY;
            for (size i = most(0, -top); i < least(s->kh, s->h - top); i++)
                for (size j = most(0, -left); j < least(s->kw, s->w - left); j++) {
                    const real *from = x + ((n * s->h + top + i) * s->w + left + j) * count;
                    for (size c = 0; c < count; c++) to[c] = from[c] > to[c] ? from[c] : to[c];
                }
        }
    }
    return 0;
}

/* To the first place in a window that holds its maximum. Windows may overlap: a thread has
   images and channels of its own. */
int max_pool_to_input(const Shape *s, const real *x, const real *y, const real *dy, real *dx) {
    const size height = out_height(s), width = out_width(s), blocks = parts(s->c, 64);
#pragma omp parallel for if (s->n * s->h * s->w * s->c > SMALL)
    for (size item = 0; item < s->n * blocks; item++) {
        const size n = item / blocks, first = item % blocks * 64, count = least(64, s->c - first);
        for (size i = 0; i < s->h * s->w; i++)
            memset(dx + (n * s->h * s->w + i) * s->c + first, 0, count * sizeof(real));
        for (size row = 0; row < height; row++)
            for (size column = 0; column < width; column++) {
                const size top = row * s->sh - s->ph, left = column * s->sw - s->pw;
                const size out = ((n * height + row) * width + column) * s->c + first;
                real rest[64]; /* what has not found its place yet */
                memcpy(rest, dy + out, count * sizeof(real));
                for (size i = most(0, -top); i < least(s->kh, s->h - top); i++)
                    for (size j = most(0, -left); j < least(s->kw, s->w - left); j++) {
                        const size in = ((n * s->h + top + i) * s->w + left + j) * s->c + first;
                        const real *from = x + in, *largest = y + out;
                        real *restrict to = dx + in;
                        for (size c = 0; c < count; c++) {
                            const int here = from[c] == largest[c];
                            to[c] += here ? rest[c] : 0;
                            rest[c] = here ? 0 : rest[c];
                        }
                    }
            }
    }
    return 0;
}

/* --- batch norm ------------------------------------------------------------------------------ */

enum Sum { PLAIN, SQUARES, GRADIENTS };

/* Sums over rows, by channel: of x; of (x - mean)^2; or of dy and of dy * (x - mean). */
ALWAYS int over_rows(enum Sum kind, const real *x, const real *mean, const real *dy, size rows,
                     size count, double *sum, double *other) {
    const size slices = parts(rows, SLICE), held = kind == GRADIENTS ? 2 * count : count;
    real *sums = scratch(slices * held * sizeof(real));
    if (!sums) return 1;
#pragma omp parallel for if (rows * count > SMALL)
    for (size slice = 0; slice < slices; slice++) {
        real *restrict to = sums + slice * held, *restrict to2 = to + count;
        memset(to, 0, held * sizeof(real));
        for (size row = slice * SLICE; row < least(rows, (slice + 1) * SLICE); row++) {
            const real *a = x + row * count, *b = dy + row * count;
            for (size c = 0; c < count; c++) {
                if (kind == PLAIN) to[c] += a[c];
                if (kind == SQUARES) to[c] += (a[c] - mean[c]) * (a[c] - mean[c]);
                if (kind == GRADIENTS) to[c] += b[c], to2[c] += b[c] * (a[c] - mean[c]);
            }
        }
    }
    for (size c = 0; c < count; c++) sum[c] = 0;
    if (kind == GRADIENTS)
        for (size c = 0; c < count; c++) other[c] = 0;
    for (size slice = 0; slice < slices; slice++)
        for (size c = 0; c < count; c++) {
            sum[c] += sums[slice * held + c];
            if (kind == GRADIENTS) other[c] += sums[slice * held + count + c];
        }
    return 0;
}

int sum_rows(const real *x, size rows, size count, real *to) {
    double sum[count];
    if (over_rows(PLAIN, x, x, x, rows, count, sum, NULL)) return 1;
    for (size c = 0; c < count; c++) to[c] = sum[c];
    return 0;
}

/* y = x * factor + offset, by channel. */
int scale_rows(const real *x, const real *factor, const real *offset, size rows, size count,
                real *restrict y) {
#pragma omp parallel for if (rows * count > SMALL)
    for (size row = 0; row < rows; row++)
        for (size c = 0; c < count; c++)
            y[row * count + c] = x[row * count + c] * factor[c] + offset[c];
    return 0;
}

/* -> y, the batch's mean, 1 / sqrt(biased variance + eps), and the unbiased variance. */
int batch_norm_train(const real *x, const real *scale, const real *shift, double eps, size rows,
                     size count, real *restrict y, real *mean, real *inverse, real *unbiased) {
    double sum[count];
    real factor[count];
    if (over_rows(PLAIN, x, x, x, rows, count, sum, NULL)) return 1;
    for (size c = 0; c < count; c++) mean[c] = sum[c] / rows;
    if (over_rows(SQUARES, x, mean, x, rows, count, sum, NULL)) return 1;
    for (size c = 0; c < count; c++) {
        inverse[c] = 1 / sqrt(sum[c] / rows + eps);
        unbiased[c] = sum[c] / (rows - 1);
        factor[c] = scale[c] * inverse[c];
    }
#pragma omp parallel for if (rows * count > SMALL)
    for (size row = 0; row < rows; row++)
        for (size c = 0; c < count; c++)
            y[row * count + c] = (x[row * count + c] - mean[c]) * factor[c] + shift[c];
    return 0;
}

int batch_norm_to_input(const real *x, const real *scale, const real *mean, const real *inverse,
                        const real *dy, size rows, size count, real *restrict dx, real *dscale,
                        real *dshift) {
    double sum[count], other[count];
    real factor[count], slope[count], level[count];
    if (over_rows(GRADIENTS, x, mean, dy, rows, count, sum, other)) return 1;
    for (size c = 0; c < count; c++) {
        dshift[c] = sum[c];
        dscale[c] = other[c] * inverse[c];
        factor[c] = scale[c] * inverse[c];
        slope[c] = other[c] * inverse[c] * inverse[c] / rows;
        level[c] = sum[c] / rows;
    }
#pragma omp parallel for if (rows * count > SMALL)
    for (size row = 0; row < rows; row++)
        for (size c = 0; c < count; c++) {
            const size i = row * count + c;
            dx[i] = factor[c] * (dy[i] - level[c] - (x[i] - mean[c]) * slope[c]);
        }
    return 0;
}

/* --- the rest ---------------------------------------------------------------------------------- */

/* y may be x. */
int relu(const real *x, size count, real *y) {
#pragma omp parallel for simd if (parallel : count > SMALL)
    for (size i = 0; i < count; i++) y[i] = x[i] > 0 ? x[i] : 0;
    return 0;
}

int relu_to_input(const real *y, const real *dy, size count, real *restrict dx) {
#pragma omp parallel for simd if (parallel : count > SMALL)
    for (size i = 0; i < count; i++) dx[i] = y[i] > 0 ? dy[i] : 0;
    return 0;
}

int add(const real *a, const real *b, size count, real *restrict y) {
#pragma omp parallel for simd if (parallel : count > SMALL)
    for (size i = 0; i < count; i++) y[i] = a[i] + b[i];
    return 0;
}

int sgd(real *restrict param, real *restrict velocity, const real *grad, double lr,
         double momentum, size count) {
    const real rate = lr, keep = momentum;
#pragma omp parallel for simd if (parallel : count > SMALL)
    for (size i = 0; i < count; i++) {
        velocity[i] = keep * velocity[i] + grad[i];
        param[i] -= rate * velocity[i];
    }
    return 0;
}

/* -> the loss; and its gradient to the logits. */
int cross_entropy(const real *logits, const int64_t *labels, size rows, size count, real *loss,
                   real *grad) {
    double total = 0;
    for (size row = 0; row < rows; row++, logits += count, grad += count) {
        real largest = logits[0];
        double sum = 0;
        for (size c = 1; c < count; c++) largest = logits[c] > largest ? logits[c] : largest;
        for (size c = 0; c < count; c++) sum += grad[c] = exp((double)(logits[c] - largest));
        total += log(sum) - (logits[labels[row]] - largest);
        for (size c = 0; c < count; c++) grad[c] /= sum * rows;
        grad[labels[row]] -= (real)1 / rows;
    }
    *loss = total / rows;
    return 0;
}
