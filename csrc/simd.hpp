// Vectors of the compiler, one width for each instruction set, and what the kernels do with them.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace edgewise {
namespace EDGEWISE_ISA {

#if defined(__AVX512F__)
constexpr int kBytes = 64;
#elif defined(__AVX2__)
constexpr int kBytes = 32;
#else
constexpr int kBytes = 16;
#endif

#define EDGEWISE_INLINE inline __attribute__((always_inline))

template <class T>
struct Simd {
    typedef T V __attribute__((vector_size(kBytes), may_alias));
    typedef T Loose __attribute__((vector_size(kBytes), aligned(sizeof(T)), may_alias));
    static constexpr int lanes = kBytes / sizeof(T);
};
template <class T>
using Vec = typename Simd<T>::V;

// Templates of the standard library would be shared by the compilations for several processors.
template <class N>
static EDGEWISE_INLINE N least(N a, N b) { return b < a ? b : a; }
template <class N>
static EDGEWISE_INLINE N most(N a, N b) { return a < b ? b : a; }

// The sums of the lanes of four vectors.
template <class T>
static EDGEWISE_INLINE void lane_sums(const Vec<T>* q, T* sums) {
    for (int j = 0; j < 4; ++j) {
        T s = 0;
        for (int n = 0; n < Simd<T>::lanes; ++n) s += q[j][n];
        sums[j] = s;
    }
}

#if defined(__x86_64__)
static EDGEWISE_INLINE __m128 folded(__m128 q) { return q; }
static EDGEWISE_INLINE __m128d folded(__m128d q) { return q; }
#if defined(__AVX2__)
static EDGEWISE_INLINE __m128 folded(__m256 q) {
    return _mm_add_ps(_mm256_castps256_ps128(q), _mm256_extractf128_ps(q, 1));
}
static EDGEWISE_INLINE __m128d folded(__m256d q) {
    return _mm_add_pd(_mm256_castpd256_pd128(q), _mm256_extractf128_pd(q, 1));
}
#endif
#if defined(__AVX512F__)
static EDGEWISE_INLINE __m128 folded(__m512 q) {
    return folded(_mm256_add_ps(_mm512_castps512_ps256(q), _mm512_extractf32x8_ps(q, 1)));
}
static EDGEWISE_INLINE __m128d folded(__m512d q) {
    return folded(_mm256_add_pd(_mm512_castpd512_pd256(q), _mm512_extractf64x4_pd(q, 1)));
}
typedef __m512 Register;
typedef __m512d DoubleRegister;
#elif defined(__AVX2__)
typedef __m256 Register;
typedef __m256d DoubleRegister;
#else
typedef __m128 Register;
typedef __m128d DoubleRegister;
#endif

template <>
EDGEWISE_INLINE void lane_sums<float>(const Vec<float>* q, float* sums) {
    __m128 a = folded((Register)q[0]), b = folded((Register)q[1]);
    __m128 c = folded((Register)q[2]), d = folded((Register)q[3]);
    _MM_TRANSPOSE4_PS(a, b, c, d);
    _mm_storeu_ps(sums, _mm_add_ps(_mm_add_ps(a, b), _mm_add_ps(c, d)));
}
template <>
EDGEWISE_INLINE void lane_sums<double>(const Vec<double>* q, double* sums) {
    for (int j = 0; j < 4; j += 2) {
        const __m128d a = folded((DoubleRegister)q[j]), b = folded((DoubleRegister)q[j + 1]);
        _mm_storeu_pd(sums + j, _mm_add_pd(_mm_unpacklo_pd(a, b), _mm_unpackhi_pd(a, b)));
    }
}
#endif

template <class T>
struct Four {
    typedef T V __attribute__((vector_size(4 * sizeof(T)), aligned(sizeof(T)), may_alias));
    V a, b, c, d;

    // Rows become columns.
    EDGEWISE_INLINE void turn() {
        const V ab0 = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab1 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
        const V cd0 = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd1 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
        a = __builtin_shufflevector(ab0, cd0, 0, 1, 4, 5), b = __builtin_shufflevector(ab0, cd0, 2, 3, 6, 7);
        c = __builtin_shufflevector(ab1, cd1, 0, 1, 4, 5), d = __builtin_shufflevector(ab1, cd1, 2, 3, 6, 7);
    }
};

// to[m][w] = from[w][m] for w < width; 0 for width <= w < W when filled. Rows of `to` are W apart.
template <class T>
static void transpose(const T* from, int64_t ld, int64_t m, int64_t width, T* to, int64_t W,
                      bool filled = true) {
    typedef typename Four<T>::V V4;
    int64_t w = 0;
    for (; w + 4 <= width; w += 4) {
        const T *a = from + w * ld, *b = a + ld, *c = b + ld, *d = c + ld;
        int64_t j = 0;
        for (; j + 4 <= m; j += 4) {
            Four<T> four = {*(const V4*)(a + j), *(const V4*)(b + j), *(const V4*)(c + j), *(const V4*)(d + j)};
            four.turn();
            T* out = to + j * W + w;
            *(V4*)out = four.a, *(V4*)(out + W) = four.b;
            *(V4*)(out + 2 * W) = four.c, *(V4*)(out + 3 * W) = four.d;
        }
        for (; j < m; ++j) {
            T* out = to + j * W + w;
            out[0] = a[j], out[1] = b[j], out[2] = c[j], out[3] = d[j];
        }
    }
    for (; w < (filled ? W : width); ++w)
        for (int64_t j = 0; j < m; ++j) to[j * W + w] = w < width ? from[w * ld + j] : T(0);
}

// A block of memory that stays with its thread: the next call finds it warm.
// Null when there is none to be had.
struct Workspace {
    char* data = nullptr;
    size_t size = 0;
    ~Workspace() { std::free(data); }

    char* get(size_t bytes) {
        if (bytes > size) {
            std::free(data);
            size = (bytes + 4095) / 4096 * 4096;
            void* fresh = nullptr;
            if (posix_memalign(&fresh, 64, size) != 0) fresh = nullptr, size = 0;
            data = (char*)fresh;
        }
        return data;
    }
};

// Cuts a workspace into aligned arrays: first count, then take.
struct Cut {
    char* base;
    size_t at = 0;
    template <class T>
    T* take(size_t count) {
        T* here = (T*)(base + at);
        at += (count * sizeof(T) + 63) / 64 * 64;
        return here;
    }
};

}  // namespace EDGEWISE_ISA
}  // namespace edgewise
