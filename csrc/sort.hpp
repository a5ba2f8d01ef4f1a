// A block of rows sorted, for one input, by the interval that they fall into.
//
// Within a run of rows of one interval the coefficients stay in registers, forward and backward. The
// order is made where it is used and kept nowhere: that is cheaper than to write it to memory and to
// fetch it again.
#pragma once

#include "pieces.hpp"

namespace edgewise {
namespace EDGEWISE_ISA {

constexpr int64_t kInputs = 16;  // inputs handled together: one cache line of a row of x

template <size_t>
struct RowOf;
template <>
struct RowOf<4> {
    typedef int32_t type;
};
template <>
struct RowOf<8> {
    typedef int64_t type;
};

// A row of the block for one input: its local coordinate, the residual b(x) and its slope.
template <class T>
struct Entry {
    T t, s, ds;
    typename RowOf<sizeof(T)>::type row;
};

// e^x to 2 units in the last place, for |x| <= 87 (float) or 700 (double).
static EDGEWISE_INLINE float exponential(float x) {
    const float shifted = x * 1.44269504f + 12582912.0f;  // 1.5 * 2^23: rounds to an integer
    const float n = shifted - 12582912.0f;
    const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.0f / 5040;
    p = p * r + 1.0f / 720, p = p * r + 1.0f / 120, p = p * r + 1.0f / 24, p = p * r + 1.0f / 6;
    p = p * r + 0.5f, p = p * r + 1.0f, p = p * r + 1.0f;
    int32_t bits;
    std::memcpy(&bits, &shifted, 4);
    const int32_t power = (int32_t)((uint32_t)(bits + 127) << 23);
    float scale;
    std::memcpy(&scale, &power, 4);
    return p * scale;
}
static EDGEWISE_INLINE double exponential(double x) {
    const double shifted = x * 1.4426950408889634 + 6755399441055744.0;  // 1.5 * 2^52
    const double n = shifted - 6755399441055744.0;
    const double r = (x - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10;
    double p = 1.0 / 6227020800.0;
    p = p * r + 1.0 / 479001600, p = p * r + 1.0 / 39916800, p = p * r + 1.0 / 3628800;
    p = p * r + 1.0 / 362880, p = p * r + 1.0 / 40320, p = p * r + 1.0 / 5040, p = p * r + 1.0 / 720;
    p = p * r + 1.0 / 120, p = p * r + 1.0 / 24, p = p * r + 1.0 / 6, p = p * r + 0.5;
    p = p * r + 1.0, p = p * r + 1.0;
    int64_t bits;
    std::memcpy(&bits, &shifted, 8);
    const int64_t power = (int64_t)((uint64_t)(bits + 1023) << 52);
    double scale;
    std::memcpy(&scale, &power, 8);
    return p * scale;
}

// b(x) and b'(x) of silu: with sigma = 1/(1 + e^-x), x sigma and sigma + x sigma (1 - sigma).
template <class T>
static void silu(const T* x, int64_t n, T* s, T* ds) {
    constexpr T top = sizeof(T) == 4 ? T(87) : T(700);
#pragma omp simd
    for (int64_t b = 0; b < n; ++b) {
        T e = -x[b];
        e = e < top ? e : top;
        e = e > -top ? e : -top;
        const T sigma = T(1) / (T(1) + exponential(e));
        const T value = (x[b] < -top ? -top : x[b]) * sigma;  // sigma is not 0 far out, and x is large
        s[b] = value, ds[b] = sigma + value * (T(1) - sigma);
    }
}

#if defined(__AVX512F__)
// The loop of ``classify`` on even knots with the knots in registers: for up to 64 of them.
static int64_t classify_in_registers(const float* x, int64_t n, const float* grid, int32_t G, float rate,
                                     float bias, int32_t* cls, float* t) {
    alignas(64) float knots[64] = {};
    std::memcpy(knots, grid, sizeof(float) * (size_t)(G + 1));
    const __m512 k0 = _mm512_load_ps(knots), k1 = _mm512_load_ps(knots + 16);
    const __m512 k2 = _mm512_load_ps(knots + 32), k3 = _mm512_load_ps(knots + 48), low = _mm512_set1_ps(grid[0]);
    const bool few = G < 32;
    auto knot = [&](__m512i j) __attribute__((always_inline)) {
        const __m512 lower = _mm512_permutex2var_ps(k0, j, k1);
        if (few) return lower;
        const __mmask16 upper = _mm512_cmpge_epi32_mask(j, _mm512_set1_epi32(32));
        return _mm512_mask_mov_ps(lower, upper, _mm512_permutex2var_ps(k2, j, k3));
    };
    const __m512 high = _mm512_set1_ps(grid[G]), largest = _mm512_set1_ps(3.40282347e38f);
    const __m512i one = _mm512_set1_epi32(1), last = _mm512_set1_epi32(G);
    int64_t b = 0;
    for (; b + 16 <= n; b += 16) {
        const __m512 v = _mm512_loadu_ps(x + b);
        __m512 place = (v - low) * rate - bias;
        place = _mm512_max_ps(place, _mm512_setzero_ps());  // a NaN becomes 0
        place = _mm512_min_ps(place, _mm512_set1_ps((float)(G - 1)));
        __m512i j = _mm512_cvttps_epi32(place);
        const __m512i next = _mm512_add_epi32(j, one);
        const __mmask16 late = _mm512_cmp_ps_mask(v, knot(next), _CMP_GE_OQ) &
                               _mm512_cmplt_epi32_mask(next, last);
        j = _mm512_mask_mov_epi32(j, late, next);
        __m512 at = (v - knot(j)) * rate - 0.5f;
        j = _mm512_add_epi32(j, one);
        const __mmask16 left = _mm512_cmp_ps_mask(v, low, _CMP_LT_OQ);
        const __mmask16 right = _mm512_cmp_ps_mask(v, high, _CMP_GT_OQ);
        const __mmask16 number = _mm512_cmp_ps_mask(_mm512_abs_ps(v), largest, _CMP_LE_OQ);
        at = _mm512_mask_mov_ps(at, left, (v - low) * rate);
        at = _mm512_mask_mov_ps(at, right, (v - high) * rate);
        j = _mm512_mask_mov_epi32(j, left, _mm512_setzero_si512());
        j = _mm512_mask_mov_epi32(j, right, _mm512_set1_epi32(G + 1));
        _mm512_storeu_ps(t + b, _mm512_maskz_mov_ps(number, at));
        _mm512_storeu_si512(cls + b, _mm512_mask_mov_epi32(_mm512_set1_epi32(G + 2), number, j));
    }
    return b;
}
#endif

// The class of every x and its local coordinate t.
template <class T>
static void classify(const Layer& z, const T* x, int64_t n, const T* grid, int32_t* cls, T* t) {
    const int32_t G = (int32_t)z.G;
    const T low = grid[0], high = grid[G], rate = (T)G / (high - low);
    int64_t done = 0;
    if (z.uniform) {
        // Far more than rounding, so that the guess errs to the left only, and by one interval.
        const T bias = T(0.01), last = (T)(G - 1);
#if defined(__AVX512F__)
        if (sizeof(T) == 4 && G < 64)
            done = classify_in_registers((const float*)x, n, (const float*)grid, G, (float)rate, (float)bias,
                                         cls, (float*)t);
#endif
#pragma omp simd
        for (int64_t b = done; b < n; ++b) {
            const T v = x[b];
            T place = (v - low) * rate - bias;
            place = place > T(0) ? place : T(0);  // a NaN becomes 0
            place = place < last ? place : last;
            int32_t j = (int32_t)place;
            const int32_t next = j + 1;
            const bool late = v >= grid[next] && next < G;
            j = late ? next : j;
            t[b] = (v - grid[j]) * rate - T(0.5);
            cls[b] = j + 1;
        }
    } else {
        for (int64_t b = 0; b < n; ++b) cls[b] = 0;
        for (int32_t rest = G; rest > 1;) {
            const int32_t half = rest / 2;
#pragma omp simd
            for (int64_t b = 0; b < n; ++b) cls[b] += x[b] >= grid[cls[b] + half] ? half : 0;
            rest -= half;
        }
#pragma omp simd
        for (int64_t b = 0; b < n; ++b) {
            const int32_t j = cls[b];
            t[b] = (x[b] - grid[j]) / (grid[j + 1] - grid[j]) - T(0.5);
            cls[b] = j + 1;
        }
    }
    const T largest = sizeof(T) == 4 ? (T)3.40282347e38 : (T)1.7976931348623157e308;
#pragma omp simd
    for (int64_t b = done; b < n; ++b) {
        // Chosen among values that are all computed, so that nothing branches.
        const T v = x[b], below = (v - low) * rate, above = (v - high) * rate;
        T at = t[b];
        int32_t c = cls[b];
        at = v < low ? below : at, c = v < low ? 0 : c;
        at = v > high ? above : at, c = v > high ? G + 1 : c;
        const bool number = v <= largest && v >= -largest;
        t[b] = number ? at : T(0), cls[b] = number ? c : G + 2;
    }
}

// Sorts up to kInputs inputs of a block of up to `rows` rows.
template <class T>
class Sorter {
  public:
    static size_t bytes(const Layer& z, int64_t rows) {
        const int64_t inputs = kept(rows);
        const size_t n = (size_t)rows + 16, classes = (size_t)z.G + 4;
        return n * ((size_t)(kInputs + 3) * sizeof(T) + 4 + (size_t)inputs * sizeof(Entry<T>)) +
               classes * (16 + (size_t)inputs * 4) + 512;
    }
    // Inputs whose orders are kept at once, so that they stay in the cache until they are used.
    static int64_t kept(int64_t rows) {
        int64_t inputs = kInputs;  // halved, so that they divide those that are loaded together
        while (inputs > 1 && inputs * rows * (int64_t)sizeof(Entry<T>) > 1 << 17) inputs /= 2;
        return inputs;
    }
    Sorter(const Layer& layer, Cut& cut, int64_t rows)
        : z(layer), classes(layer.G + 4), pitch(rows + 64 / (int64_t)sizeof(T)) {
        const size_t n = (size_t)rows + 16;
        const int64_t inputs = kept(rows);
        columns = cut.take<T>((size_t)(pitch * kInputs));
        t = cut.take<T>(n), s = cut.take<T>(n), ds = cut.take<T>(n);
        cls = cut.take<int32_t>(n);
        counts = cut.take<uint32_t>(4 * (size_t)classes);
        entries = cut.take<Entry<T>>(n * (size_t)inputs);
        starts = cut.take<uint32_t>((size_t)(classes * inputs));
    }

    // Takes rows of x from b0 on, and inputs from i0 on.
    void load(const T* x, const T* mask, int64_t b0, int64_t height_, int64_t i0, int64_t inputs) {
        height = height_;
        for (int64_t i = 0; i < inputs; ++i) used[i] = mask == nullptr;
        if (mask)
            for (int64_t o = 0; o < z.O; ++o)
                for (int64_t i = 0; i < inputs; ++i) used[i] |= mask[o * z.I + i0 + i] != T(0);
        transpose(x + b0 * z.I + i0, z.I, inputs, height, columns, pitch);
    }

    // Sorts the i-th of the inputs taken; its order is kept at `place`.
    void sort(int64_t i, const T* grid, int64_t place) {
        look(place);
        if (!used[i]) {
            std::memset(start, 0, sizeof(uint32_t) * (size_t)classes);
            return;
        }
        const T* column = columns + i * pitch;
        classify(z, column, height, grid, cls, t);
        if (z.residual == kSilu) silu(column, height, s, ds);
        else
            for (int64_t b = 0; b < height; ++b)
                s[b] = z.residual == kIdentity ? column[b] : T(0), ds[b] = T(z.residual == kIdentity);
        by_counting();
    }

    // The order kept at `place`: class c holds start[c] .. start[c + 1] of the entries.
    void look(int64_t place) {
        entry = entries + place * pitch;
        start = starts + place * classes;
    }
    Entry<T>* entry = nullptr;
    uint32_t* start = nullptr;

  private:
    // The quarters of the rows have counts of their own: one just written is not waited for.
    void by_counting() {
        typedef typename RowOf<sizeof(T)>::type Row;
        typedef typename Four<T>::V V4;
        const int64_t n = height, quarter = n / 16 * 4, rest = 4 * quarter;
        uint32_t* at[4];
        for (int q = 0; q < 4; ++q) at[q] = counts + q * classes;
        std::memset(counts, 0, sizeof(uint32_t) * 4 * (size_t)classes);
        for (int64_t b = 0; b < quarter; ++b)
            for (int q = 0; q < 4; ++q) ++at[q][cls[q * quarter + b]];
        for (int64_t b = rest; b < n; ++b) ++at[3][cls[b]];
        uint32_t sum = 0;
        for (int64_t c = 0; c < classes; ++c) {
            start[c] = sum;
            for (int q = 0; q < 4; ++q) {
                const uint32_t here = at[q][c];
                at[q][c] = sum, sum += here;
            }
        }
        for (int64_t b = 0; b < quarter; b += 4)
            for (int q = 0; q < 4; ++q) {
                const int64_t row = q * quarter + b;
                const Row rows[4] = {(Row)row, (Row)(row + 1), (Row)(row + 2), (Row)(row + 3)};
                Four<T> four = {*(const V4*)(t + row), *(const V4*)(s + row), *(const V4*)(ds + row), V4{}};
                std::memcpy(&four.d, rows, sizeof rows);
                four.turn();
                *(V4*)(entry + at[q][cls[row]]++) = four.a;
                *(V4*)(entry + at[q][cls[row + 1]]++) = four.b;
                *(V4*)(entry + at[q][cls[row + 2]]++) = four.c;
                *(V4*)(entry + at[q][cls[row + 3]]++) = four.d;
            }
        for (int64_t b = rest; b < n; ++b) entry[at[3][cls[b]]++] = {t[b], s[b], ds[b], (Row)b};
    }

    const Layer& z;
    const int64_t classes;  // of pieces.hpp; the last one is empty and ends the one before
    const int64_t pitch;    // not a power of 2, which would share one cache set
    int64_t height = 0;
    bool used[kInputs];
    T *columns, *t, *s, *ds;
    int32_t* cls;
    uint32_t *counts, *starts;
    Entry<T>* entries;
};

}  // namespace EDGEWISE_ISA
}  // namespace edgewise
