// y_bo = sum_i u_bi [w_oi sum_k c_oik B_k^(r)(x_bi) + v_oi b(x_bi)], a block of rows and a strip of
// outputs at a time: the strip of y stays in the cache while the inputs pass.
#pragma once

#include "plan.hpp"

namespace edgewise {
namespace EDGEWISE_ISA {

constexpr int kStrip = kBytes == 64 ? 4 : 2;  // vectors of outputs a strip

template <class T, int POWERS, bool RESIDUAL, bool FACTOR>
static void forward_run(const Vec<T> (&a)[kMost][kStrip], const Vec<T>* v, const Sorted<T>& in,
                        const T* u, int64_t from, int64_t to, Vec<T>* y) {
    Vec<T> A[POWERS][kStrip], R[kStrip];
    for (int n = 0; n < kStrip; ++n) {
        for (int p = 0; p < POWERS; ++p) A[p][n] = a[p][n];
        R[n] = v[n];
    }
#pragma GCC unroll 4
    for (int64_t e = from; e < to; ++e) {
        const T t = in.entry[e].t;
        Vec<T>* row = y + (size_t)in.entry[e].row * kStrip;
        for (int n = 0; n < kStrip; ++n) {
            if (FACTOR) {
                Vec<T> phi = A[POWERS - 1][n];
                for (int p = POWERS - 2; p >= 0; --p) phi = phi * t + A[p][n];
                row[n] += phi * u[in.entry[e].row];
                continue;
            }
            // The constant goes to y by an addition, which runs beside the products.
            Vec<T> sum = row[n] + A[0][n];
            if (RESIDUAL) sum += R[n] * in.entry[e].s;
            if (POWERS > 1) {
                Vec<T> phi = A[POWERS - 1][n];
                for (int p = POWERS - 2; p >= 1; --p) phi = phi * t + A[p][n];
                sum += phi * t;
            }
            row[n] = sum;
        }
    }
}

template <class T, int POWERS>
static void forward_kind(const Vec<T> (&a)[kMost][kStrip], const Vec<T>* v, bool residual,
                         const Sorted<T>& in, const T* u, int64_t from, int64_t to, Vec<T>* y) {
    if (u) forward_run<T, POWERS, false, true>(a, v, in, u, from, to, y);
    else if (residual) forward_run<T, POWERS, true, false>(a, v, in, u, from, to, y);
    else forward_run<T, POWERS, false, false>(a, v, in, u, from, to, y);
}

template <class T>
struct Weights {
    const T *c, *w, *v, *mask;
};

// The weights of kInputs inputs and one strip of outputs, outputs innermost.
template <class T, int NV>
struct Tile {
    static constexpr int W = NV * Simd<T>::lanes;
    T *c, *w, *v, *mask;
    int64_t K;

    static size_t bytes(int64_t K) { return (size_t)(kInputs * (K + 3) * W) * sizeof(T) + 256; }
    Tile(Cut& cut, int64_t K_) : K(K_) {
        c = cut.take<T>((size_t)(kInputs * K * W));
        w = cut.take<T>((size_t)(kInputs * W));
        v = cut.take<T>((size_t)(kInputs * W));
        mask = cut.take<T>((size_t)(kInputs * W));
        for (int64_t n = 0; n < kInputs * W; ++n) w[n] = mask[n] = T(1), v[n] = T(0);
    }
    void load(const Layer& z, const Weights<T>& from, int64_t o0, int64_t i0, int64_t inputs) {
        const int64_t width = least<int64_t>(W, z.O - o0), at = o0 * z.I + i0;
        transpose(from.c + at * K, z.I * K, inputs * K, width, c, W);
        if (from.w) transpose(from.w + at, z.I, inputs, width, w, W);
        if (from.v) transpose(from.v + at, z.I, inputs, width, v, W);
        if (!from.mask) return;
        transpose(from.mask + at, z.I, inputs, width, mask, W);
        for (int64_t n = 0; n < inputs * W; ++n) {
            w[n] = from.w ? w[n] * mask[n] : mask[n];
            v[n] *= mask[n];
        }
    }
};

template <class T>
static int run_forward(const Layer& z, const T* grid, const char* plan, const Weights<T>& weights,
                       const T* u, int order, T* y) {
    typedef Tile<T, kStrip> Tiles;
    constexpr int W = Tiles::W;
    const Layout<T> l(z);
    const int64_t K = z.G + z.degree, strips = (z.O + W - 1) / W;
    // Outputs first; where there are few, the rows of a block are shared out as well. And the strip of
    // y that the sorted rows visit shall fit a megabyte.
    int64_t parts = l.rows * W * (int64_t)sizeof(T) > (1 << 20) ? 2 : 1;
    while (strips * l.blocks * parts < z.threads && parts < kParts && parts * 64 < l.rows) parts *= 2;
    int failed = 0;
#pragma omp parallel for schedule(dynamic) num_threads(z.threads) collapse(3) if (z.threads > 1)
    for (int64_t block = 0; block < l.blocks; ++block)
        for (int64_t part = 0; part < parts; ++part)
            for (int64_t strip = 0; strip < strips; ++strip) {
                static thread_local Workspace workspace;
                char* memory = workspace.get((size_t)(l.rows * W) * sizeof(T) + Tiles::bytes(K) + 64);
                if (!memory) {
                    failed = 1;
                    continue;
                }
                Cut cut{memory};
                T* sums = cut.take<T>((size_t)(l.rows * W));
                Tiles tile(cut, K);
                const int64_t height = l.height(z, block), o0 = strip * W;
                const int64_t p0 = part * kParts / parts, p1 = (part + 1) * kParts / parts;
                const int64_t first = least(height, p0 * l.part), end = least(height, p1 * l.part);
                std::memset(sums + first * W, 0, (size_t)((end - first) * W) * sizeof(T));
                Pieces<T> pieces(z, order);
                for (int64_t i0 = 0; i0 < z.I; i0 += kInputs) {
                    const int64_t inputs = least(kInputs, z.I - i0);
                    tile.load(z, weights, o0, i0, inputs);
                    for (int64_t i = 0; i < inputs; ++i) {
                        const Sorted<T> in = l.at(plan, z, block, i0 + i);
                        pieces.of_input(grid + (i0 + i) * (z.G + 1));
                        const T* factor = u ? u + (i0 + i) * z.B + block * l.rows : nullptr;
                        const Vec<T>* v = (const Vec<T>*)(tile.v + i * W);
                        for (int64_t cls = 0; cls < l.classes - 1; ++cls) {
                            const int64_t from = in.first(cls, p0), to = in.end(cls, p1);
                            if (from == to) continue;
                            const Piece<T>& piece = pieces.of_class(cls);
                            Vec<T> a[kMost][kStrip];
                            to_powers<T, kStrip>(z.degree, piece.powers, piece.M,
                                                 tile.c + (i * K + first_function(z.G, cls)) * W, W,
                                                 (const Vec<T>*)(tile.w + i * W), a);
                            const bool residual = weights.v != nullptr;
                            Vec<T>* to_y = (Vec<T>*)sums;
                            switch (piece.powers) {
                                case 1: forward_kind<T, 1>(a, v, residual, in, factor, from, to, to_y); break;
                                case 2: forward_kind<T, 2>(a, v, residual, in, factor, from, to, to_y); break;
                                case 3: forward_kind<T, 3>(a, v, residual, in, factor, from, to, to_y); break;
                                case 4: forward_kind<T, 4>(a, v, residual, in, factor, from, to, to_y); break;
                                case 5: forward_kind<T, 5>(a, v, residual, in, factor, from, to, to_y); break;
                                default: forward_kind<T, 6>(a, v, residual, in, factor, from, to, to_y);
                            }
                        }
                    }
                }
                const int64_t width = least<int64_t>(W, z.O - o0);
                for (int64_t b = first; b < end; ++b)
                    std::memcpy(y + (block * l.rows + b) * z.O + o0, sums + b * W, (size_t)width * sizeof(T));
            }
    return failed ? -1 : 0;
}

}  // namespace EDGEWISE_ISA
}  // namespace edgewise
