/* Products of float32 activations, rounded to int8 token by token, with weights in integer codes:

       y[t][r] = token_scale[t] * scale[r] * (sum over i of q[t][i] * codes[r][i]) + bias[r]
       token_scale[t] = max|x[t]| / 127,  q[t][i] = round(x[t][i] / token_scale[t])

   The sums are exact. integer_products.py compiles this file on the machine that runs it, whose instructions decide
   which of three ways is taken: AVX-512 VNNI, AVX2, or plain C. */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#ifdef __AVX2__
#include <immintrin.h>
#endif

#define ALWAYS static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 4")
enum { LINE = 64 };   /* Bytes of weights that lie together: 64 int8, or 4 planes of 64 ternary codes in 2 bits each. */
enum { CHUNK = 128 }; /* Tokens whose codes stay in the cache while the weights pass by. */

/* Each way has: LANES, weights in a vector; ROWS and TOKENS, outputs computed together, as its registers allow;
   codes(stored, planes, plane), the codes of a plane, int8 or ternary + 1; INT8_OFFSET, added to the former;
   multiply_add(sum, codes, q, planes); total(sum). */
#if defined(__AVX512VNNI__) && defined(__AVX512BW__)
enum { LANES = 64, ROWS = 4, TOKENS = 4, INT8_OFFSET = 128 };
typedef __m512i vector;
ALWAYS vector zero(void) { return _mm512_setzero_si512(); }
ALWAYS vector load(const int8_t *place) { return _mm512_loadu_si512(place); }
ALWAYS vector codes(vector stored, int planes, int plane)
{
    if (planes == 1)
        return _mm512_xor_si512(stored, _mm512_set1_epi8(-128));
    return _mm512_and_si512(_mm512_srli_epi16(stored, 2 * plane), _mm512_set1_epi8(3));
}
ALWAYS vector multiply_add(vector sum, vector codes, vector q, int planes)
{
    (void)planes;
    return _mm512_dpbusd_epi32(sum, codes, q);
}
ALWAYS int32_t total(vector sum) { return _mm512_reduce_add_epi32(sum); }
#elif defined(__AVX2__)
enum { LANES = 32, ROWS = 2, TOKENS = 4, INT8_OFFSET = 0 };
typedef __m256i vector;
ALWAYS vector zero(void) { return _mm256_setzero_si256(); }
ALWAYS vector load(const int8_t *place) { return _mm256_loadu_si256((const __m256i *)place); }
ALWAYS vector codes(vector stored, int planes, int plane)
{
    if (planes == 1)
        return stored;
    return _mm256_and_si256(_mm256_srli_epi16(stored, 2 * plane), _mm256_set1_epi8(3));
}
ALWAYS vector multiply_add(vector sum, vector codes, vector q, int planes)
{
    /* The first factor is unsigned, and two products are added in 16 bits: 2 * 127 * 127 fits. */
    const vector pairs = planes == 1 ? _mm256_maddubs_epi16(_mm256_abs_epi8(q), _mm256_sign_epi8(codes, q))
                                     : _mm256_maddubs_epi16(codes, q);
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
ALWAYS int32_t total(vector sum)
{
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    half = _mm_hadd_epi32(half, half);
    return _mm_cvtsi128_si32(_mm_hadd_epi32(half, half));
}
#else
enum { LANES = 1, ROWS = 1, TOKENS = 4, INT8_OFFSET = 0 };
typedef int32_t vector;
ALWAYS vector zero(void) { return 0; }
ALWAYS vector load(const int8_t *place) { return *place; }
ALWAYS vector codes(vector stored, int planes, int plane) { return planes == 1 ? stored : (stored >> 2 * plane) & 3; }
ALWAYS vector multiply_add(vector sum, vector codes, vector q, int planes)
{
    (void)planes;
    return sum + codes * q;
}
ALWAYS int32_t total(vector sum) { return sum; }
#endif

/* Round a token to int8, with zeros up to `padded`; return the sum of its codes. The scale of a token that holds NaN or
   infinity is NaN, and so are its outputs. */
static int32_t quantize(const float *x, int64_t inputs, int64_t padded, int8_t *q, float *token_scale)
{
    float largest = 127 * FLT_MIN;
    int finite = 1;
    for (int64_t i = 0; i < inputs; i++) {
        finite &= fabsf(x[i]) <= FLT_MAX;
        largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
    }
    const float scale = largest / 127;
    int32_t sum = 0;
    for (int64_t i = 0; i < inputs; i++) {
        const int32_t code = finite ? (int32_t)rintf(x[i] / scale) : 0;
        q[i] = (int8_t)code;
        sum += code;
    }
    for (int64_t i = inputs; i < padded; i++)
        q[i] = 0;
    *token_scale = finite ? scale : NAN;
    return sum;
}

struct product {
    int planes; /* 1: int8; 4: ternary */
    int64_t inputs, padded, outputs;
    const int8_t *weights; /* outputs x padded / planes bytes */
    const float *scale, *bias;
    float *y;
};

/* Compute rows x tokens outputs, from row r and token t on. */
ALWAYS void tile(const struct product *p, const int planes, const int rows, const int tokens, int64_t r, int64_t t,
                 const int8_t *q, const float *token_scale, const int32_t *token_sum, float *y)
{
    const int64_t width = p->padded / planes;
    const int8_t *weights = p->weights + r * width;
    vector sum[ROWS][TOKENS];
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < tokens; j++)
            sum[i][j] = zero();
    for (int64_t byte = 0; byte < width; byte += LANES) {
        vector stored[ROWS];
        for (int i = 0; i < rows; i++) {
            stored[i] = load(weights + i * width + byte);
            if (tokens == 1) /* rows are short: the processor does not foresee the next ones */
                __builtin_prefetch(weights + (rows + i) * width + byte);
        }
        const int8_t *place = q + t * p->padded + planes * (byte - byte % LINE) + byte % LINE;
        UNROLL for (int plane = 0; plane < planes; plane++) {
            vector token[TOKENS];
            for (int j = 0; j < tokens; j++)
                token[j] = load(place + j * p->padded + LINE * plane);
            for (int i = 0; i < rows; i++) {
                const vector row = codes(stored[i], planes, plane);
                for (int j = 0; j < tokens; j++)
                    sum[i][j] = multiply_add(sum[i][j], row, token[j], planes);
            }
        }
    }
    const int32_t offset = planes == 1 ? INT8_OFFSET : 1;
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < tokens; j++) {
            const float exact = (float)(total(sum[i][j]) - offset * token_sum[t + j]);
            const float found = exact * token_scale[t + j] * p->scale[r + i];
            y[(t + j) * p->outputs + r + i] = p->bias ? found + p->bias[r + i] : found;
        }
}

ALWAYS void rows_of_weights(const struct product *p, const int planes, const int rows, int64_t r, int64_t tokens,
                            const int8_t *q, const float *token_scale, const int32_t *token_sum, float *y)
{
    int64_t t = 0;
    for (; t + TOKENS <= tokens; t += TOKENS)
        tile(p, planes, rows, TOKENS, r, t, q, token_scale, token_sum, y);
    for (; t < tokens; t++)
        tile(p, planes, rows, 1, r, t, q, token_scale, token_sum, y);
}

ALWAYS int multiply(const struct product *p, const int planes, const float *x, int64_t tokens, int threads)
{
    int8_t *q = aligned_alloc(LINE, CHUNK * p->padded);
    if (!q)
        return 1;
    float token_scale[CHUNK];
    int32_t token_sum[CHUNK];
    const int64_t whole = p->outputs / ROWS;
#pragma omp parallel num_threads(threads)
    for (int64_t first = 0; first < tokens; first += CHUNK) {
        const int64_t count = tokens - first < CHUNK ? tokens - first : CHUNK;
        float *y = p->y + first * p->outputs;
#pragma omp for schedule(static)
        for (int64_t t = 0; t < count; t++)
            token_sum[t] =
                quantize(x + (first + t) * p->inputs, p->inputs, p->padded, q + t * p->padded, token_scale + t);
#pragma omp for schedule(static)
        for (int64_t block = 0; block < whole; block++)
            rows_of_weights(p, planes, ROWS, block * ROWS, count, q, token_scale, token_sum, y);
#pragma omp for schedule(static)
        for (int64_t r = whole * ROWS; r < p->outputs; r++)
            rows_of_weights(p, planes, 1, r, count, q, token_scale, token_sum, y);
    }
    free(q);
    return 0;
}

/* Compute y, (tokens, outputs), from x, (tokens, inputs); return 1 where memory is missing. `padded` inputs of a row
   are stored, a multiple of 64 codes of int8 (planes 1) or 256 ternary ones (planes 4). scale: (outputs,); bias:
   (outputs,) or NULL. */
int integer_product(int planes, const float *x, int64_t tokens, int64_t inputs, int64_t padded, const int8_t *weights,
                    const float *scale, const float *bias, int64_t outputs, float *y, int threads)
{
    const struct product p = {planes, inputs, padded, outputs, weights, scale, bias, y};
    return planes == 1 ? multiply(&p, 1, x, tokens, threads) : multiply(&p, 4, x, tokens, threads);
}
