// y_bo = sum_i u_bi [w_oi sum_k c_oik B_k^(r)(x_bi) + v_oi b(x_bi)], a block of rows and a strip of
// outputs at a time: the strip of y stays in the cache while the inputs pass.
#pragma once

#include "sort.hpp"

namespace edgewise {
namespace EDGEWISE_ISA {

// Inputs that are summed before their sum is added to those of others: sums of sums round less.
constexpr int64_t kSummed = 64;
constexpr int kWide = kBytes == 64 ? 4 : 2;  // vectors of outputs a strip; 1 where they are enough

template <class T, int NV, int POWERS, bool RESIDUAL, bool FACTOR>
static void forward_run(const Vec<T> (&a)[kMost][NV], const Vec<T>* v, const Entry<T>* entry,
                        const T* u, int64_t from, int64_t to, Vec<T>* y) {
    Vec<T> A[POWERS][NV], R[NV];
    for (int n = 0; n < NV; ++n) {
        for (int p = 0; p < POWERS; ++p) A[p][n] = a[p][n];
        R[n] = v[n];
    }
#pragma GCC unroll 4
    for (int64_t e = from; e < to; ++e) {
        const T t = entry[e].t;
        Vec<T>* row = y + (size_t)entry[e].row * NV;
        for (int n = 0; n < NV; ++n) {
            // phi by itself first: the long sum over the inputs is rounded once an input.
            Vec<T> phi = A[POWERS - 1][n];
            for (int p = POWERS - 2; p >= 1; --p) phi = phi * t + A[p][n];
            if (FACTOR) {
                if (POWERS > 1) phi = phi * t + A[0][n];
                row[n] += phi * u[entry[e].row];
                continue;
            }
            Vec<T> low = RESIDUAL ? A[0][n] + R[n] * entry[e].s : A[0][n];
            row[n] += POWERS > 1 ? low + phi * t : low;
        }
    }
}

template <class T, int NV, int POWERS>
static void forward_kind(const Vec<T> (&a)[kMost][NV], const Vec<T>* v, bool residual,
                         const Entry<T>* entry, const T* u, int64_t from, int64_t to, Vec<T>* y) {
    if (u) forward_run<T, NV, POWERS, false, true>(a, v, entry, u, from, to, y);
    else if (residual) forward_run<T, NV, POWERS, true, false>(a, v, entry, u, from, to, y);
    else forward_run<T, NV, POWERS, false, false>(a, v, entry, u, from, to, y);
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

template <class T, int NV>
static void forward_class(const Layer& z, const Piece<T>& piece, const Tile<T, NV>& tile, int64_t i,
                          int64_t cls, bool residual, const Entry<T>* entry, const T* u, int64_t from,
                          int64_t to, Vec<T>* y) {
    constexpr int W = Tile<T, NV>::W;
    Vec<T> a[kMost][NV];
    to_powers<T, NV>(z.degree, piece.powers, piece.M,
                         tile.c + (i * tile.K + first_function(z.G, cls)) * W, W,
                         (const Vec<T>*)(tile.w + i * W), a);
    const Vec<T>* v = (const Vec<T>*)(tile.v + i * W);
    switch (piece.powers) {
        case 1: return forward_kind<T, NV, 1>(a, v, residual, entry, u, from, to, y);
        case 2: return forward_kind<T, NV, 2>(a, v, residual, entry, u, from, to, y);
        case 3: return forward_kind<T, NV, 3>(a, v, residual, entry, u, from, to, y);
        case 4: return forward_kind<T, NV, 4>(a, v, residual, entry, u, from, to, y);
        case 5: return forward_kind<T, NV, 5>(a, v, residual, entry, u, from, to, y);
        default: return forward_kind<T, NV, 6>(a, v, residual, entry, u, from, to, y);
    }
}

template <class T, int NV>
static int run_forward(const Layer& z, const T* x, const T* grid, const Weights<T>& weights, const T* u,
                       int order, T* y) {
    typedef Tile<T, NV> Tiles;
    constexpr int W = Tiles::W;
    const int64_t K = z.G + z.degree, strips = (z.O + W - 1) / W;
    // A task is some rows and up to four strips; its part of y fits the second-level cache, and its
    // rows are sorted once for all of its strips.
    const int64_t together = most<int64_t>(1, least<int64_t>(4, strips));
    int64_t rows = 4096 * 256 / (W * (int64_t)sizeof(T)) / together;
    while (rows > 256 && (z.B + rows - 1) / rows * ((strips + together - 1) / together) < z.threads) rows /= 2;
    rows = most<int64_t>(16, least(rows, (z.B + 15) / 16 * 16));
    const int64_t row_tasks = (z.B + rows - 1) / rows;
    const int64_t wide_tasks = (strips + together - 1) / together;
    const int64_t kept = Sorter<T>::kept(rows);
    int failed = 0;
#pragma omp parallel for schedule(dynamic) num_threads(z.threads) collapse(2) if (z.threads > 1)
    for (int64_t task = 0; task < row_tasks; ++task)
        for (int64_t part = 0; part < wide_tasks; ++part) {
            static thread_local Workspace workspace;
            char* memory = workspace.get((size_t)(together * rows * W) * sizeof(T) + Tiles::bytes(K) +
                                         Sorter<T>::bytes(z, rows) + 256);
            if (!memory) {
                failed = 1;
                continue;
            }
            Cut cut{memory};
            T* sums = cut.take<T>((size_t)(together * rows * W));
            Tiles tile(cut, K);
            Sorter<T> sorter(z, cut, rows);
            const int64_t b0 = task * rows, height = least(rows, z.B - b0);
            const int64_t strip0 = part * together, strip1 = least(strips, strip0 + together);
            std::memset(sums, 0, (size_t)(together * rows * W) * sizeof(T));
            auto add_to_y = [&](bool first) {
                for (int64_t strip = strip0; strip < strip1; ++strip) {
                    const int64_t o0 = strip * W, width = least<int64_t>(W, z.O - o0);
                    T* from = sums + (strip - strip0) * rows * W;
                    for (int64_t b = 0; b < height; ++b) {
                        T *part = from + b * W, *whole = y + (b0 + b) * z.O + o0;
                        for (int64_t o = 0; o < width; ++o) whole[o] = first ? part[o] : whole[o] + part[o];
                        std::memset(part, 0, W * sizeof(T));
                    }
                }
            };
            Pieces<T> pieces(z, order);
            for (int64_t i0 = 0; i0 < z.I; i0 += kept) {
                if (i0 % kInputs == 0)
                    sorter.load(x, weights.mask, b0, height, i0, least(kInputs, z.I - i0));
                const int64_t inputs = least(kept, z.I - i0);
                for (int64_t i = 0; i < inputs; ++i)
                    sorter.sort(i0 % kInputs + i, grid + (i0 + i) * (z.G + 1), i);
                for (int64_t strip = strip0; strip < strip1; ++strip) {
                    tile.load(z, weights, strip * W, i0, inputs);
                    Vec<T>* to_y = (Vec<T>*)(sums + (strip - strip0) * rows * W);
                    for (int64_t i = 0; i < inputs; ++i) {
                        sorter.look(i);
                        pieces.of_input(grid + (i0 + i) * (z.G + 1));
                        const T* factor = u ? u + (i0 + i) * z.B + b0 : nullptr;
                        for (int64_t cls = 0; cls < z.G + 3; ++cls) {
                            const int64_t from = sorter.start[cls], to = sorter.start[cls + 1];
                            if (from == to) continue;
                            forward_class(z, pieces.of_class(cls), tile, i, cls, weights.v != nullptr,
                                          sorter.entry, factor, from, to, to_y);
                        }
                    }
                }
                if ((i0 + inputs) % kSummed == 0) add_to_y(i0 < kSummed);
            }
            if (z.I % kSummed != 0 || z.I == 0) add_to_y(z.I < kSummed);
        }
    return failed ? -1 : 0;
}

}  // namespace EDGEWISE_ISA
}  // namespace edgewise
