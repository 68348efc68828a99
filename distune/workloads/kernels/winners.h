/* The functions of winners.c for vectors of LANES numbers.

   Images are N x height x width x channels, weights filters x kernel x kernel x channels, floats
   unless said otherwise. One thread, no state. */

/* Types and functions are named for LANES, because this is included more than once. */
#define lanes NAMED(lanes)
#define ints NAMED(ints)
#define some_lanes NAMED(some_lanes)
#define halves NAMED(halves)
#define bytes NAMED(bytes)
#define load NAMED(load)
#define store NAMED(store)
#define load_bytes NAMED(load_bytes)
#define store_bytes NAMED(store_bytes)
#define rounded NAMED(rounded)
#define challenge NAMED(challenge)
#define rectify NAMED(rectify)
#define pool NAMED(pool)
#define convolve_and_pool NAMED(convolve_and_pool)
#define find NAMED(find)
#define add_weights NAMED(add_weights)
#define add_images NAMED(add_images)
#define add_channel NAMED(add_channel)

typedef float lanes __attribute__((vector_size(LANES * 4)));
typedef int32_t ints __attribute__((vector_size(LANES * 4)));
typedef float some_lanes __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef uint16_t halves __attribute__((vector_size(LANES * 2), aligned(2), may_alias));
typedef uint8_t bytes __attribute__((vector_size(LANES), aligned(1), may_alias));

/* -- up to LANES numbers from or to a place in an array ----------------------------------------

   They may go beyond the channels of a pixel: what is read there is not used, and what is written
   there is written again, with the next pixel. They never leave the array. */

INLINE lanes load(const void *array, int bfloat16, size_t at, size_t size)
{
    size_t there = size - at;
    if (bfloat16) {
        uint16_t few[LANES] = {0};
        halves v;
        if (there < LANES) {
            memcpy(few, (const uint16_t *)array + at, there * sizeof(uint16_t));
            v = *(const halves *)few;
        } else {
            v = *(const halves *)((const uint16_t *)array + at);
        }
        return (lanes)(__builtin_convertvector(v, ints) << 16);
    }
    if (there < LANES) {
        lanes v = {0};
        memcpy(&v, (const float *)array + at, there * sizeof(float));
        return v;
    }
    return *(const some_lanes *)((const float *)array + at);
}

/* Into bfloat16 only what came from it: nothing is rounded. */
INLINE void store(void *array, int bfloat16, size_t at, size_t size, lanes v)
{
    size_t there = size - at < LANES ? size - at : LANES;
    if (bfloat16) {
        halves h = __builtin_convertvector((ints)v >> 16, halves);
        if (there < LANES)
            memcpy((uint16_t *)array + at, &h, there * sizeof(uint16_t));
        else
            *(halves *)((uint16_t *)array + at) = h;
    } else if (there < LANES) {
        memcpy((float *)array + at, &v, there * sizeof(float));
    } else {
        *(some_lanes *)((float *)array + at) = v;
    }
}

/* To the nearest number that bfloat16 has, the even one of two; NaN stays NaN. */
INLINE lanes rounded(lanes v)
{
    ints bits = (ints)v, nan = v != v;
    ints near = (bits + 0x7fff + ((bits >> 16) & 1)) & ~0xffff;
    return (lanes)((near & ~nan) | ((bits | 0x400000) & nan));
}

INLINE ints load_bytes(const uint8_t *array, size_t at, size_t size)
{
    uint8_t few[LANES] = {0};
    if (size - at < LANES) {
        memcpy(few, array + at, size - at);
        return __builtin_convertvector(*(const bytes *)few, ints);
    }
    return __builtin_convertvector(*(const bytes *)(array + at), ints);
}

INLINE void store_bytes(uint8_t *array, size_t at, size_t size, ints v)
{
    bytes b = __builtin_convertvector(v, bytes);
    if (size - at < LANES)
        memcpy(array + at, &b, size - at);
    else
        *(bytes *)(array + at) = b;
}

/* -- pooling ------------------------------------------------------------------------------------ */

/* Number `k` of a window has its turn; as in torch, the first of equals wins, and any NaN. */
INLINE void challenge(lanes *best, ints *which, lanes v, int k)
{
    ints better = (v > *best) | (v != v);
    *best = (lanes)(((ints)v & better) | ((ints)*best & ~better));
    *which = (better & k) | (*which & ~better);
}

/* ReLU of the winners, if wanted. */
INLINE void rectify(lanes *best, ints *which, int relu)
{
    if (relu) {
        ints closed = *best <= 0.0f;
        *best = (lanes)((ints)*best & ~closed);
        *which |= closed; /* all bits set: NO_WINNER */
    }
}

INLINE void pool(const void *images, int bfloat16, void *pooled, uint8_t *winner, long n,
                 long height, long width, long channels, int window, int relu)
{
    long rows = height / window, columns = width / window;
    size_t n_in = (size_t)n * height * width * channels;
    size_t n_out = (size_t)n * rows * columns * channels;
    size_t to = 0;
    for (long i = 0; i < n; i++)
        for (long row = 0; row < rows; row++)
            for (long column = 0; column < columns; column++, to += channels) {
                size_t first = ((i * height + row * window) * width + column * window) * channels;
                for (long c = 0; c < channels; c += LANES) {
                    lanes best = load(images, bfloat16, first + c, n_in);
                    ints which = {0};
                    for (int k = 1; k < window * window; k++) {
                        size_t at = first + (k / window * width + k % window) * channels + c;
                        challenge(&best, &which, load(images, bfloat16, at, n_in), k);
                    }
                    rectify(&best, &which, relu);
                    store(pooled, bfloat16, to + c, n_out, best);
                    store_bytes(winner, to + c, n_out, which);
                }
            }
}

/* Max-pooling of windows that do not overlap, then ReLU if wanted.

   images, pooled: floats, or bfloat16. winner: for each pooled number which of its window it is,
   counted row by row, or 255 if ReLU made it 0. */
void NAMED(distune_pool)(const void *images, int bfloat16, void *pooled, uint8_t *winner, long n,
                         long height, long width, long channels, int window, int relu)
{
    if (bfloat16 && window == 2)
        pool(images, 1, pooled, winner, n, height, width, channels, 2, relu);
    else if (bfloat16)
        pool(images, 1, pooled, winner, n, height, width, channels, window, relu);
    else if (window == 2)
        pool(images, 0, pooled, winner, n, height, width, channels, 2, relu);
    else
        pool(images, 0, pooled, winner, n, height, width, channels, window, relu);
}

/* -- a convolution of few channels, and pooling, without its outputs in between ------------------

   LANES of the filters and several windows of 2x2 at a time, whose sums stay in registers. */

INLINE void convolve_and_pool(const float *images, const lanes *weights, lanes bias, void *pooled,
                              int bfloat16, uint8_t *winner, size_t to, size_t n_out, long height,
                              long width, long channels, long filters, int relu, int kernel,
                              int windows)
{
    lanes sum[4 * WINDOWS];
    for (int j = 0; j < 4 * windows; j++)
        sum[j] = bias;
    for (long channel = 0; channel < channels; channel++, images += height * width) {
        const float *row = images; /* the first is the upper outputs' alone, the last the lower's */
        for (int c = 0; c < kernel; c++)
            for (int j = 0; j < 2 * windows; j++)
                sum[j] += weights[c] * row[c + j];
        row += width;
        for (int r = 1; r < kernel; r++, row += width, weights += kernel)
            for (int c = 0; c < kernel; c++) {
                lanes above = weights[c], below = weights[kernel + c];
                for (int j = 0; j < 2 * windows; j++) {
                    lanes pixel = row[c + j] - (lanes){0};
                    IN_REGISTER(pixel); /* or it is read from memory for each of the two */
                    sum[j] += below * pixel;
                    sum[2 * windows + j] += above * pixel;
                }
            }
        for (int c = 0; c < kernel; c++)
            for (int j = 0; j < 2 * windows; j++)
                sum[2 * windows + j] += weights[c] * row[c + j];
        weights += kernel;
    }
    for (int j = 0; j < windows; j++, to += filters) {
        lanes best = sum[2 * j];
        ints which = {0};
        challenge(&best, &which, sum[2 * j + 1], 1);
        challenge(&best, &which, sum[2 * (windows + j)], 2);
        challenge(&best, &which, sum[2 * (windows + j) + 1], 3);
        rectify(&best, &which, relu);
        store(pooled, bfloat16, to, n_out, bfloat16 ? rounded(best) : best);
        store_bytes(winner, to, n_out, which);
    }
}

/* Convolution with stride 1, and then as `distune_pool` with windows of 2x2.

   images: N x channels x height x width, with their padding. bfloat16: of what is pooled. Returns 1
   if there is no memory. */
int NAMED(distune_convolve_and_pool)(const float *images, const float *weights, const float *biases,
                                     int bfloat16, void *pooled, uint8_t *winner, long n,
                                     long height, long width, long channels, long filters,
                                     int kernel, int relu)
{
    long rows = (height - kernel + 1) / 2, columns = (width - kernel + 1) / 2;
    long taps = (long)kernel * kernel, chunks = (filters + LANES - 1) / LANES;
    size_t n_out = (size_t)n * rows * columns * filters;
    lanes *turned = aligned_alloc(sizeof(lanes), (taps * channels + 1) * chunks * sizeof(lanes));
    if (!turned)
        return 1;
    lanes *bias = turned + taps * channels * chunks;
    memset(turned, 0, (taps * channels + 1) * chunks * sizeof(lanes));
    for (long f = 0; f < filters; f++) {
        for (long channel = 0; channel < channels; channel++)
            for (long tap = 0; tap < taps; tap++)
                turned[(f / LANES * channels + channel) * taps + tap][f % LANES] =
                    weights[(f * taps + tap) * channels + channel];
        bias[f / LANES][f % LANES] = biases[f];
    }
#define CONVOLVE(k, unused) \
    convolve_and_pool(from, these, bias[chunk], pooled, bfloat16, winner, to, n_out, height, \
                      width, channels, filters, relu, k, WINDOWS)
#define CONVOLVE_ONE(k, unused) \
    convolve_and_pool(from, these, bias[chunk], pooled, bfloat16, winner, to, n_out, height, \
                      width, channels, filters, relu, k, 1)
    for (long row = 0; row < n * rows; row++)
        for (long column = 0, now; column < columns; column += now) {
            now = columns - column < WINDOWS ? 1 : WINDOWS;
            const float *from = images + row / rows * channels * height * width +
                                row % rows * 2 * width + column * 2;
            /* Backwards, because `store` goes beyond the last filters to the next pixel's first. */
            for (long chunk = chunks - 1; chunk >= 0; chunk--) {
                const lanes *these = turned + chunk * channels * taps;
                size_t to = (row * columns + column) * filters + chunk * LANES;
                if (now == 1)
                    WITH_KERNEL(kernel, CONVOLVE_ONE)
                else
                    WITH_KERNEL(kernel, CONVOLVE)
            }
        }
    free(turned);
    return 0;
}

/* -- gradients of a convolution of many channels ------------------------------------------------

   A few images at a time and LANES of their channels, so that both the images and the gradient of
   a filter stay in the nearest cache; a kernel of up to 5x5 is kept in registers meanwhile. */

/* Sort the winners of some images by filter; `bias` grows by their gradients. */
INLINE void find(const float *gradient, const uint8_t *winner, struct hit *hits, int32_t *found,
                 float *bias, long images, long rows, long columns, long filters, long height,
                 long width, int window)
{
    long most = images * rows * columns;
    int32_t offset[256] = {0};
    for (int k = 0; k < window * window; k++)
        offset[k] = k / window * width + k % window;
    memset(found, 0, filters * sizeof(int32_t));
    for (long i = 0; i < images; i++)
        for (long row = 0; row < rows; row++)
            for (long column = 0; column < columns; column++) {
                int32_t first = (i * height + row * window) * width + column * window;
                for (long f = 0; f < filters; f++) {
                    float g = gradient[f];
                    struct hit *next = hits + f * most + found[f];
                    int counts = (winner[f] != (uint8_t)NO_WINNER) & (g != 0.0f);
                    next->at = first + offset[winner[f]];
                    next->gradient = g;
                    found[f] += counts;
                    bias[f] += counts ? g : 0.0f;
                }
                gradient += filters;
                winner += filters;
            }
}

/* Add to the gradient of one filter's weights, `rows` of the kernel at a time. */
INLINE void add_weights(lanes *restrict sum, const lanes *restrict images,
                        const struct hit *restrict hits, long n, long width, int kernel, int rows)
{
    for (int row = 0; row < kernel; row += rows) {
        lanes these[MOST_TAPS];
        for (int j = 0; j < rows * kernel; j++)
            these[j] = sum[row * kernel + j];
        for (long i = 0; i < n; i++) {
            const lanes *pixel = images + hits[i].at + row * width;
            float g = hits[i].gradient;
            for (int r = 0; r < rows; r++, pixel += width)
                for (int c = 0; c < kernel; c++)
                    these[r * kernel + c] += g * pixel[c];
        }
        for (int j = 0; j < rows * kernel; j++)
            sum[row * kernel + j] = these[j];
    }
}

/* Add what one filter contributes to the gradient of the images. */
INLINE void add_images(lanes *restrict sum, const lanes *restrict weights,
                       const struct hit *restrict hits, long n, long width, int kernel, int rows)
{
    for (int row = 0; row < kernel; row += rows) {
        lanes these[MOST_TAPS];
        for (int j = 0; j < rows * kernel; j++)
            these[j] = weights[row * kernel + j];
        for (long i = 0; i < n; i++) {
            lanes *pixel = sum + hits[i].at + row * width;
            float g = hits[i].gradient;
            for (int r = 0; r < rows; r++, pixel += width)
                for (int c = 0; c < kernel; c++)
                    pixel[c] += g * these[r * kernel + c];
        }
    }
}

/* Gradients of what `distune_pool` made of a convolution with stride 1.

   gradient, winner: of the pooled numbers, N x rows x columns x filters. images: the convolution's
   inputs, floats or bfloat16; padding: zeros on each side of them. by_weights, by_bias, by_images:
   written; by_images may be NULL. Returns 1 if there is no memory. */
int NAMED(distune_gradients)(const float *gradient, const uint8_t *winner, const void *images,
                             int bfloat16, const float *weights, float *by_weights,
                             float *by_bias, float *by_images, long n, long height, long width,
                             long channels, long filters, int kernel, int padding, int window)
{
    long padded_height = height + 2 * padding, padded_width = width + 2 * padding;
    long pixels = padded_height * padded_width, taps = (long)kernel * kernel;
    long rows = (padded_height - kernel + 1) / window;
    long columns = (padded_width - kernel + 1) / window;
    long chunks = (channels + LANES - 1) / LANES;
    long at_once = CACHED_PIXELS / pixels;
    at_once = at_once < 1 ? 1 : at_once > MOST_IMAGES ? MOST_IMAGES : at_once;
    size_t n_images = (size_t)n * height * width * channels;
    size_t n_weights = (size_t)filters * taps * channels;
    size_t kernels = (size_t)chunks * filters * taps * sizeof(lanes);
    size_t cached = (size_t)at_once * pixels * sizeof(lanes);

    char *memory = aligned_alloc(sizeof(lanes), 2 * kernels + 2 * cached);
    struct hit *hits = malloc((size_t)filters * at_once * rows * columns * sizeof(struct hit));
    int32_t *found = malloc(filters * sizeof(int32_t));
    if (!memory || !hits || !found) {
        free(memory);
        free(hits);
        free(found);
        return 1;
    }
    lanes *sum = (lanes *)memory, *chunked = (lanes *)(memory + kernels);
    lanes *some = (lanes *)(memory + 2 * kernels);
    lanes *by_some = (lanes *)(memory + 2 * kernels + cached);

    memset(sum, 0, kernels);
    memset(by_bias, 0, filters * sizeof(float));
    memset(some, 0, cached); /* the padding stays so */
    if (by_images)
        for (long chunk = 0; chunk < chunks; chunk++)
            for (long tap = 0; tap < filters * taps; tap++)
                chunked[chunk * filters * taps + tap] =
                    load(weights, 0, tap * channels + chunk * LANES, n_weights);

    for (long first = 0; first < n; first += at_once) {
        long now = n - first < at_once ? n - first : at_once;
        long most = now * rows * columns;
        find(gradient + first * rows * columns * filters, winner + first * rows * columns * filters,
             hits, found, by_bias, now, rows, columns, filters, padded_height, padded_width,
             window);
        /* Backwards, because `store` goes beyond the last channels to the first of the next. */
        for (long chunk = chunks - 1; chunk >= 0; chunk--) {
            lanes *sums = sum + chunk * filters * taps, *these = chunked + chunk * filters * taps;
            for (long i = 0; i < now; i++)
                for (long row = 0; row < height; row++) {
                    lanes *to = some + i * pixels + (row + padding) * padded_width + padding;
                    size_t at = ((first + i) * height + row) * width * channels + chunk * LANES;
                    for (long column = 0; column < width; column++, at += channels)
                        to[column] = load(images, bfloat16, at, n_images);
                }
#define WEIGHTS(k, r) \
    add_weights(sums + f * taps, some, hits + f * most, found[f], padded_width, k, r)
            for (long f = 0; f < filters; f++)
                WITH_KERNEL(kernel, WEIGHTS)
            if (!by_images)
                continue;
            memset(by_some, 0, cached);
#define IMAGES(k, r) \
    add_images(by_some, these + f * taps, hits + f * most, found[f], padded_width, k, r)
            for (long f = 0; f < filters; f++)
                WITH_KERNEL(kernel, IMAGES)
            for (long i = 0; i < now; i++)
                for (long row = 0; row < height; row++) {
                    lanes *from = by_some + i * pixels + (row + padding) * padded_width + padding;
                    size_t at = ((first + i) * height + row) * width * channels + chunk * LANES;
                    for (long column = 0; column < width; column++, at += channels)
                        store(by_images, 0, at, n_images, from[column]);
                }
        }
    }
    for (long chunk = chunks - 1; chunk >= 0; chunk--)
        for (long tap = 0; tap < filters * taps; tap++)
            store(by_weights, 0, tap * channels + chunk * LANES, n_weights,
                  sum[chunk * filters * taps + tap]);
    free(memory);
    free(hits);
    free(found);
    return 0;
}

/* -- gradients of a convolution of few channels, whose images need none --------------------------

   LANES of the filters at a time and one channel: each number of a window counts for those filters
   that chose it. Here images are N x channels x height x width. */

/* For `rows` of the kernel at a time. */
INLINE void add_channel(lanes *restrict sum, lanes *restrict bias, const float *gradient,
                        const uint8_t *winner, const float *images, long n, long height, long width,
                        long channels, long filters, long filter, int kernel, int rows)
{
    long high = (height - kernel + 1) / 2, wide = (width - kernel + 1) / 2;
    size_t size = (size_t)n * high * wide * filters;
    for (int first = 0; first < kernel; first += rows) {
        size_t at = filter;
        lanes these[MOST_TAPS], total = {0};
        for (int j = 0; j < rows * kernel; j++)
            these[j] = (lanes){0};
        for (long i = 0; i < n; i++)
            for (long row = 0; row < high; row++)
                for (long column = 0; column < wide; column++, at += filters) {
                    ints g = (ints)load(gradient, 0, at, size);
                    ints which = load_bytes(winner, at, size);
                    const float *pixel = images + i * channels * height * width +
                                         (row * 2 + first) * width + column * 2;
                    for (int k = 0; k < 4; k++) {
                        lanes its = (lanes)(g & (which == k));
                        const float *from = pixel + k / 2 * width + k % 2;
                        total += its;
                        for (int r = 0; r < rows; r++, from += width)
                            for (int c = 0; c < kernel; c++)
                                these[r * kernel + c] += its * from[c];
                    }
                }
        for (int j = 0; j < rows * kernel; j++)
            sum[first * kernel + j] = these[j];
        *bias = total;
    }
}

/* As `distune_gradients`, of what `distune_convolve_and_pool` made. */
void NAMED(distune_first_gradients)(const float *gradient, const uint8_t *winner,
                                    const float *images, float *by_weights, float *by_bias, long n,
                                    long height, long width, long channels, long filters,
                                    int kernel)
{
    long taps = (long)kernel * kernel;
    long high = (height - kernel + 1) / 2, wide = (width - kernel + 1) / 2;
    long at_once = CACHED_GRADIENTS / (high * wide * filters) + 1;
    memset(by_weights, 0, filters * taps * channels * sizeof(float));
    memset(by_bias, 0, filters * sizeof(float));
    for (long i = 0; i < n; i += at_once) {
        long images_now = n - i < at_once ? n - i : at_once;
        const float *g = gradient + i * high * wide * filters;
        const uint8_t *which = winner + i * high * wide * filters;
        for (long filter = 0; filter < filters; filter += LANES) {
            long now = filters - filter < LANES ? filters - filter : LANES;
            lanes sum[MOST_TAPS], bias;
            for (long channel = 0; channel < channels; channel++) {
                const float *from = images + (i * channels + channel) * height * width;
#define CHANNEL(k, r) \
    add_channel(sum, &bias, g, which, from, images_now, height, width, channels, filters, filter, k, r)
                WITH_KERNEL(kernel, CHANNEL)
                for (long f = 0; f < now; f++)
                    for (long tap = 0; tap < taps; tap++)
                        by_weights[((filter + f) * taps + tap) * channels + channel] += sum[tap][f];
            }
            for (long f = 0; f < now; f++)
                by_bias[filter + f] += bias[f];
        }
    }
}

#undef CONVOLVE
#undef CONVOLVE_ONE
#undef WEIGHTS
#undef IMAGES
#undef CHANNEL
#undef LANES
#undef MANY_REGISTERS
#undef WINDOWS
