// The plan of a batch: for every input, its rows sorted by the interval that they fall into.
//
// Within a run of rows of one interval the coefficients stay in registers, forward and backward. Rows
// come in blocks of at most kRows, so that what is indexed by row stays in the second-level cache.
#pragma once

#include "pieces.hpp"

namespace edgewise {
namespace EDGEWISE_ISA {

constexpr int64_t kRows = 4096;
constexpr int64_t kInputs = 16;  // inputs handled together: one cache line of a row of x
constexpr int64_t kParts = 8;    // parts of a block that several threads may share

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

// The rows of one input in one block, sorted by class and, within one, as they come.
template <class T>
struct Sorted {
    Entry<T>* entry;
    uint16_t* starts;  // (kParts, classes): the first entry of a class in a part
    int64_t classes;

    // The entries of class cls in the parts from p0 to before p1.
    int64_t first(int64_t cls, int64_t p0) const { return starts[p0 * classes + cls]; }
    int64_t end(int64_t cls, int64_t p1) const {
        return p1 < kParts ? starts[p1 * classes + cls] : starts[cls + 1];
    }
};

template <class T>
struct Layout {
    int64_t rows, part, blocks, classes;  // part: rows of each of the kParts, the last ones may be short
    size_t starts, stride, bytes;

    explicit Layout(const Layer& z) {
        blocks = most<int64_t>(1, (z.B + kRows - 1) / kRows);
        part = ((z.B + blocks - 1) / blocks + 4 * kParts - 1) / (4 * kParts) * 4;
        rows = part * kParts;
        classes = z.G + 4;  // the last one is empty and ends the one before
        starts = (size_t)rows * sizeof(Entry<T>);
        stride = (starts + (size_t)(kParts * classes) * 2 + 63) / 64 * 64;
        bytes = stride * (size_t)(z.I * blocks);
    }
    Sorted<T> at(const char* plan, const Layer& z, int64_t block, int64_t i) const {
        char* p = (char*)plan + stride * (size_t)(block * z.I + i);
        return {(Entry<T>*)p, (uint16_t*)(p + starts), classes};
    }
    int64_t height(const Layer& z, int64_t block) const { return least(rows, z.B - block * rows); }
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
// The loop of ``classify`` on even knots with the knots in registers: for up to 32 of them.
static int64_t classify_in_registers(const float* x, int64_t n, const float* grid, int32_t G, float rate,
                                     float bias, int32_t* cls, float* t) {
    alignas(64) float knots[32] = {};
    std::memcpy(knots, grid, sizeof(float) * (size_t)(G + 1));
    const __m512 k0 = _mm512_load_ps(knots), k1 = _mm512_load_ps(knots + 16), low = _mm512_set1_ps(grid[0]);
    const __m512i one = _mm512_set1_epi32(1), last = _mm512_set1_epi32(G);
    int64_t b = 0;
    for (; b + 16 <= n; b += 16) {
        const __m512 v = _mm512_loadu_ps(x + b);
        __m512 place = (v - low) * rate - bias;
        place = _mm512_max_ps(place, _mm512_setzero_ps());  // a NaN becomes 0
        place = _mm512_min_ps(place, _mm512_set1_ps((float)(G - 1)));
        __m512i j = _mm512_cvttps_epi32(place);
        const __m512i next = _mm512_add_epi32(j, one);
        const __mmask16 late = _mm512_cmp_ps_mask(v, _mm512_permutex2var_ps(k0, next, k1), _CMP_GE_OQ) &
                               _mm512_cmplt_epi32_mask(next, last);
        j = _mm512_mask_mov_epi32(j, late, next);
        _mm512_storeu_ps(t + b, (v - _mm512_permutex2var_ps(k0, j, k1)) * rate - 0.5f);
        _mm512_storeu_si512(cls + b, _mm512_add_epi32(j, one));
    }
    return b;
}
#endif

// The class of every x and its local coordinate t.
template <class T>
static void classify(const Layer& z, const T* x, int64_t n, const T* grid, int32_t* cls, T* t) {
    const int32_t G = (int32_t)z.G;
    const T low = grid[0], high = grid[G], rate = (T)G / (high - low);
    if (z.uniform) {
        // Far more than rounding, so that the guess errs to the left only, and by one interval.
        const T bias = T(0.01), last = (T)(G - 1);
        int64_t done = 0;
#if defined(__AVX512F__)
        if (sizeof(T) == 4 && G < 32)
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
    for (int64_t b = 0; b < n; ++b) {
        const T v = x[b];
        const bool left = v < low, right = v > high, number = v <= largest && v >= -largest;
        t[b] = !number ? T(0) : left ? (v - low) * rate : right ? (v - high) * rate : t[b];
        cls[b] = !number ? G + 2 : left ? 0 : right ? G + 1 : cls[b];
    }
}

static uint32_t count(const int32_t* cls, int64_t n, int32_t c) {
    int32_t same = 0;
#pragma omp simd reduction(+ : same)
    for (int64_t b = 0; b < n; ++b) same += cls[b] == c ? 1 : 0;
    return (uint32_t)same;
}

// By counting. Two halves of the rows have counts of their own: one just written is not waited for.
template <class T>
static void sort_rows(const Layout<T>& l, int64_t n, const int32_t* cls, const T* t, const T* s, const T* ds,
                      const Sorted<T>& to, uint32_t* counts) {
    typedef typename RowOf<sizeof(T)>::type Row;
    typedef T V4 __attribute__((vector_size(4 * sizeof(T)), aligned(sizeof(T)), may_alias));
    const int64_t half = l.part * kParts / 2, classes = l.classes, n0 = least(half, n), n1 = n - n0;
    uint32_t* other = counts + classes;
    if (classes <= kBytes / 4) {  // comparing all is faster than counting one by one
        for (int32_t c = 0; c < classes; ++c)
            counts[c] = count(cls, n0, c), other[c] = count(cls + half, n1, c);
    } else {
        std::memset(counts, 0, sizeof(uint32_t) * 2 * (size_t)classes);
        for (int64_t b = 0; b < n1; ++b) ++counts[cls[b]], ++other[cls[half + b]];
        for (int64_t b = n1; b < n0; ++b) ++counts[cls[b]];
    }
    uint32_t sum = 0;
    for (int64_t c = 0; c < classes; ++c) {
        const uint32_t first = counts[c], second = other[c];
        counts[c] = sum, other[c] = sum + first, sum += first + second;
    }
    auto place = [&](int64_t b, uint32_t* at) __attribute__((always_inline)) {
        to.entry[at[cls[b]]++] = {t[b], s[b], ds[b], (Row)b};
    };
    auto place_four = [&](int64_t b, uint32_t* at) __attribute__((always_inline)) {
        const V4 p = *(const V4*)(t + b), q = *(const V4*)(s + b), r = *(const V4*)(ds + b);
        const Row rows[4] = {(Row)b, (Row)(b + 1), (Row)(b + 2), (Row)(b + 3)};
        V4 o;
        std::memcpy(&o, rows, sizeof o);
        for (int n = 0; n < 4; ++n) *(V4*)(to.entry + at[cls[b + n]]++) = V4{p[n], q[n], r[n], o[n]};
    };
    auto note = [&](int64_t part, const uint32_t* at) __attribute__((always_inline)) {
        for (int64_t c = 0; c < classes; ++c) to.starts[part * classes + c] = (uint16_t)at[c];
    };
    for (int64_t part = 0; part < kParts / 2; ++part) {
        note(part, counts), note(part + kParts / 2, other);
        const int64_t from = part * l.part, both = most(from, least(n1, from + l.part) / 4 * 4);
        for (int64_t b = from; b < both; b += 4) place_four(b, counts), place_four(half + b, other);
        for (int64_t b = both; b < least(n0, from + l.part); ++b) place(b, counts);
        for (int64_t b = both; b < least(n1, from + l.part); ++b) place(half + b, other);
    }
}

template <class T>
static int make_plan(const Layer& z, const T* x, const T* grid, const T* mask, char* plan) {
    const Layout<T> l(z);
    const int64_t groups = (z.I + kInputs - 1) / kInputs;
    int failed = 0;
#pragma omp parallel for schedule(dynamic) num_threads(z.threads) collapse(2) if (z.threads > 1)
    for (int64_t block = 0; block < l.blocks; ++block)
        for (int64_t group = 0; group < groups; ++group) {
            static thread_local Workspace workspace;
            const size_t n = (size_t)l.rows;
            const int64_t pitch = l.rows + 64 / (int64_t)sizeof(T);  // a power of 2 would share one cache set
            char* memory = workspace.get((n + 16) * ((size_t)(kInputs + 3) * sizeof(T) + 4) + (size_t)l.classes * 8 + 512);
            if (!memory) {
                failed = 1;
                continue;
            }
            Cut cut{memory};
            T* columns = cut.take<T>((size_t)(pitch * kInputs));
            T *t = cut.take<T>(n), *s = cut.take<T>(n), *ds = cut.take<T>(n);
            int32_t* cls = cut.take<int32_t>(n);
            uint32_t* counts = cut.take<uint32_t>(2 * (size_t)l.classes);
            const int64_t i0 = group * kInputs, inputs = least(kInputs, z.I - i0);
            const int64_t height = l.height(z, block);
            bool used[kInputs] = {};
            if (mask)
                for (int64_t o = 0; o < z.O; ++o)
                    for (int64_t i = 0; i < inputs; ++i) used[i] |= mask[o * z.I + i0 + i] != T(0);
            transpose(x + block * l.rows * z.I + i0, z.I, inputs, height, columns, pitch);
            for (int64_t i = 0; i < inputs; ++i) {
                const T* column = columns + i * pitch;
                const Sorted<T> to = l.at(plan, z, block, i0 + i);
                if (mask && !used[i]) {
                    std::memset(to.starts, 0, sizeof(uint16_t) * (size_t)(kParts * l.classes));
                    continue;
                }
                classify(z, column, height, grid + (i0 + i) * (z.G + 1), cls, t);
                if (z.residual == kSilu) silu(column, height, s, ds);
                if (z.residual == kIdentity)
                    for (int64_t b = 0; b < height; ++b) s[b] = column[b], ds[b] = T(1);
                if (z.residual == kNone)
                    for (int64_t b = 0; b < height; ++b) s[b] = ds[b] = T(0);
                sort_rows(l, height, cls, t, s, ds, to, counts);
            }
        }
    return failed ? -1 : 0;
}

}  // namespace EDGEWISE_ISA
}  // namespace edgewise
