// The gradients of the forward sum, an input at a time: in one pass over its sorted rows of g, dx from
// the derivative's pieces and dc, dv from powers of t that stay in registers over a run.
#pragma once

#include "forward.hpp"

namespace edgewise {
namespace EDGEWISE_ISA {

// Rows that are summed before their sum is added to those of others: sums of sums round less.
constexpr int64_t kRun = 128;

// The sums over a run of g t^p, of P powers, and of g b(x): from them come dc and dv. FACTOR: of g u.
template <class T, int NV, int P, bool RESIDUAL, bool FACTOR>
static void sum_run(const Entry<T>* entry, const T* u, int64_t from, int64_t to, const Vec<T>* g,
                    Vec<T> (&moments)[kMost][NV], Vec<T>* dv) {
    typedef Vec<T> V;
    V M[P][NV], R[NV];
    for (int n = 0; n < NV; ++n) {
        for (int p = 0; p < P; ++p) M[p][n] = V{};
        R[n] = V{};
    }
    for (int64_t e = from; e < to; ++e) {
        const V* row = g + (size_t)entry[e].row * NV;
        const V t = V{} + entry[e].t;
        V power = t, h[NV];
        for (int n = 0; n < NV; ++n) {
            h[n] = FACTOR ? row[n] * u[entry[e].row] : row[n];
            M[0][n] += h[n];
            if (RESIDUAL) R[n] += h[n] * entry[e].s;
        }
        for (int p = 1; p < P; ++p) {
            for (int n = 0; n < NV; ++n) M[p][n] += h[n] * power;
            power *= t;
        }
    }
    for (int n = 0; n < NV; ++n) {
        for (int p = 0; p < P; ++p) moments[p][n] = M[p][n];
        if (RESIDUAL) dv[n] += R[n];
    }
}

// dx of a run: g times the slopes, of P powers, a lane an output; the lanes are summed at the end.
template <class T, int NV, int P, bool RESIDUAL>
static void slope_run(const Vec<T> (&a)[kMost][NV], const Vec<T>* v, const Entry<T>* entry, int64_t from,
                      int64_t to, const Vec<T>* g, T* dx) {
    typedef Vec<T> V;
    V A[P][NV], R[NV];
    for (int n = 0; n < NV; ++n) {
        for (int p = 0; p < P; ++p) A[p][n] = a[p][n];
        R[n] = v[n];
    }
    auto visit = [&](int64_t e) __attribute__((always_inline)) -> V {
        const V* row = g + (size_t)entry[e].row * NV;
        const T t = entry[e].t;
        V even = V{}, odd = V{};  // two sums, so that neither is waited for
        for (int n = 0; n < NV; ++n) {
            V slope = A[P - 1][n];
            for (int p = P - 2; p >= 1; --p) slope = slope * t + A[p][n];
            V low = RESIDUAL ? A[0][n] + R[n] * entry[e].ds : A[0][n];
            if (P > 1) low += slope * t;
            if (n & 1) odd += low * row[n];
            else even += low * row[n];
        }
        return even + odd;
    };
    int64_t e = from;
    for (; e + 4 <= to; e += 4) {
        V q[4];
        T sums[4];
#pragma GCC unroll 4
        for (int n = 0; n < 4; ++n) q[n] = visit(e + n);
        lane_sums<T>(q, sums);
        for (int n = 0; n < 4; ++n) dx[entry[e + n].row] += sums[n];
    }
    for (; e < to; ++e) {
        const V q = visit(e);
        T sum = 0;
        for (int n = 0; n < Simd<T>::lanes; ++n) sum += q[n];
        dx[entry[e].row] += sum;
    }
}

template <class T, int NV>
struct Run {
    const Vec<T> (&a)[kMost][NV];
    const Vec<T>* v;
    const Entry<T>* entry;
    const T* u;
    int64_t from, to;
    const Vec<T>* g;
    Vec<T> (&moments)[kMost][NV];
    Vec<T>* dv;
    T* dx;

    // Two passes over the run: in each, all that is not of a row stays in registers.
    template <int P>
    void kind(bool x, bool c, bool residual) const {
        if (c && u) sum_run<T, NV, P, false, true>(entry, u, from, to, g, moments, dv);
        else if (c && residual) sum_run<T, NV, P, true, false>(entry, u, from, to, g, moments, dv);
        else if (c) sum_run<T, NV, P, false, false>(entry, u, from, to, g, moments, dv);
        // P powers of the function, and one less, but one at least, of its derivative
        constexpr int D = P > 1 ? P - 1 : 1;
        if (x && c) residual ? slope_run<T, NV, D, true>(a, v, entry, from, to, g, dx)
                             : slope_run<T, NV, D, false>(a, v, entry, from, to, g, dx);
        else if (x) residual ? slope_run<T, NV, P, true>(a, v, entry, from, to, g, dx)
                             : slope_run<T, NV, P, false>(a, v, entry, from, to, g, dx);
    }
};

template <class T>
struct Gradients {
    T *x, *c, *w, *v;
};

// One strip of dc, dw and dv of some inputs: from outputs innermost to the arrays of the caller.
template <class T, int NV>
static void store(const Layer& z, const Tile<T, NV>& tile, T* dct, T* dvt, T* scratch, int64_t o0,
                  int64_t i0, int64_t inputs, bool add, const Gradients<T>& to) {
    constexpr int W = Tile<T, NV>::W;
    const int64_t K = tile.K, width = least<int64_t>(W, z.O - o0), at = o0 * z.I + i0;
    auto back = [&](const T* from, int64_t m, T* array, int64_t ld) {
        if (!add) return transpose(from, W, width, m, array, ld, false);
        transpose(from, W, width, m, scratch, m);
        for (int64_t o = 0; o < width; ++o)
            for (int64_t j = 0; j < m; ++j) array[o * ld + j] += scratch[o * m + j];
    };
    if (to.w) {
        T* dwt = scratch + kInputs * K * W;
        for (int64_t i = 0; i < inputs; ++i)
            for (int n = 0; n < NV; ++n) {
                Vec<T> sum = Vec<T>{};
                for (int64_t k = 0; k < K; ++k)
                    sum += ((const Vec<T>*)(dct + (i * K + k) * W))[n] * ((const Vec<T>*)(tile.c + (i * K + k) * W))[n];
                ((Vec<T>*)(dwt + i * W))[n] = sum * ((const Vec<T>*)(tile.mask + i * W))[n];
            }
        back(dwt, inputs, to.w + at, z.I);
    }
    if (to.c) {
        for (int64_t i = 0; i < inputs; ++i)
            for (int64_t k = 0; k < K; ++k)
                for (int n = 0; n < NV; ++n)
                    ((Vec<T>*)(dct + (i * K + k) * W))[n] *= ((const Vec<T>*)(tile.w + i * W))[n];
        back(dct, inputs * K, to.c + at * K, z.I * K);
    }
    if (to.v) {
        for (int64_t n = 0; n < inputs * W; ++n) dvt[n] *= tile.mask[n];
        back(dvt, inputs, to.v + at, z.I);
    }
}

// The runs of one class of one input over one strip of g.
template <class T, int NV>
static void backward_class(const Layer& z, const Piece<T>* for_x, const Piece<T>* for_c,
                           const Tile<T, NV>& tile, int64_t i, int64_t cls, bool residual,
                           const Entry<T>* entry, const T* u, int64_t from, int64_t to, const Vec<T>* g,
                           T* dct, T* dvt, T* dx) {
    typedef Vec<T> V;
    constexpr int W = Tile<T, NV>::W;
    const int64_t at = (i * tile.K + first_function(z.G, cls)) * W;
    V a[kMost][NV], moments[kMost][NV];
    const int powers = for_c ? for_c->powers : for_x->powers;
    if (for_x)  // powers that the derivative has not are zero
        to_powers<T, NV>(z.degree, for_c ? most(1, powers - 1) : powers, for_x->M, tile.c + at, W,
                            (const V*)(tile.w + i * W), a);
    const Run<T, NV> run{a, (const V*)(tile.v + i * W), entry, u, from, to, g, moments, (V*)(dvt + i * W), dx};
    const bool x = for_x != nullptr, c = for_c != nullptr;
    switch (powers) {
        case 1: run.template kind<1>(x, c, residual); break;
        case 2: run.template kind<2>(x, c, residual); break;
        case 3: run.template kind<3>(x, c, residual); break;
        case 4: run.template kind<4>(x, c, residual); break;
        case 5: run.template kind<5>(x, c, residual); break;
        default: run.template kind<6>(x, c, residual);
    }
    if (!for_c) return;
    for (int m = 0; m <= z.degree; ++m) {
        V* sum = (V*)(dct + at + m * W);
        for (int n = 0; n < NV; ++n) {
            V q = sum[n];
            for (int p = 0; p < powers; ++p) q += moments[p][n] * for_c->M[p][m];
            sum[n] = q;
        }
    }
}

template <class T, int NV>
static int run_backward(const Layer& z, const T* x, const T* grid, const Weights<T>& weights, const T* u,
                        const T* g, int order_x, int order_c, const Gradients<T>& to) {
    typedef Tile<T, NV> Tiles;
    constexpr int W = Tiles::W;
    const int64_t K = z.G + z.degree, strips = (z.O + W - 1) / W;
    const bool want_x = to.x != nullptr, want_c = to.c || to.w || to.v, residual = weights.v != nullptr;
    // Rows whose strip of g fits the second-level cache; with many intervals longer runs are worth more.
    int64_t rows = (z.G > 32 ? 4096 : 2048) * 256 / (W * (int64_t)sizeof(T));
    const int64_t blocks = most<int64_t>(1, (z.B + rows - 1) / rows);
    rows = most<int64_t>(16, ((z.B + blocks - 1) / blocks + 15) / 16 * 16);
    // Fewer inputs a task where there are not enough of them for all threads.
    const int64_t group = most<int64_t>(1, least(kInputs, z.I / z.threads));
    const int64_t groups = (z.I + group - 1) / group;
    static thread_local Workspace shared;
    T* packed = (T*)shared.get((size_t)(strips * rows * W) * sizeof(T) + 64);
    if (!packed) return -1;
    const int64_t kept = Sorter<T>::kept(rows);
    int failed = 0;
#pragma omp parallel num_threads(z.threads) if (z.threads > 1)
    for (int64_t block = 0; block < blocks; ++block) {
        const int64_t b0 = block * rows, height = least(rows, z.B - b0);
#pragma omp for schedule(static)
        for (int64_t b = 0; b < height; ++b)
            for (int64_t strip = 0; strip < strips; ++strip) {
                const int64_t width = least<int64_t>(W, z.O - strip * W);
                T* p = packed + (strip * rows + b) * W;
                std::memcpy(p, g + (b0 + b) * z.O + strip * W, (size_t)width * sizeof(T));
                for (int64_t o = width; o < W; ++o) p[o] = T(0);
            }
#pragma omp for schedule(dynamic)
        for (int64_t part = 0; part < groups; ++part) {
            static thread_local Workspace workspace;
            const int64_t i0 = part * group, inputs = least(group, z.I - i0);
            const int64_t pitch = rows + 64 / (int64_t)sizeof(T);  // no power of 2: those share a cache set
            const size_t tile_size = (size_t)(kInputs * K * W), strip_size = (size_t)(kInputs * W);
            char* memory = workspace.get(
                Tiles::bytes(K) + Sorter<T>::bytes(z, rows) +
                (2 * tile_size + 2 * strip_size + (size_t)(kInputs * pitch)) * sizeof(T) + 512);
            if (!memory) {
                failed = 1;
                continue;
            }
            Cut cut{memory};
            Tiles tile(cut, K);
            Sorter<T> sorter(z, cut, rows);
            T *dct = cut.take<T>(tile_size), *scratch = cut.take<T>(tile_size + strip_size);
            T *dvt = cut.take<T>(strip_size), *dxt = cut.take<T>((size_t)(kInputs * pitch));
            Pieces<T> pieces_x(z, order_x), pieces_c(z, order_c);
            if (want_x) std::memset(dxt, 0, (size_t)(inputs * pitch) * sizeof(T));
            sorter.load(x, weights.mask, b0, height, i0, inputs);
            for (int64_t j0 = 0; j0 < inputs; j0 += kept) {
                const int64_t some = least(kept, inputs - j0);
                for (int64_t i = 0; i < some; ++i) sorter.sort(j0 + i, grid + (i0 + j0 + i) * (z.G + 1), i);
                for (int64_t strip = 0; strip < strips; ++strip) {
                    const Vec<T>* gs = (const Vec<T>*)(packed + strip * rows * W);
                    if (want_c) {
                        std::memset(dct, 0, (size_t)(some * K * W) * sizeof(T));
                        std::memset(dvt, 0, (size_t)(some * W) * sizeof(T));
                    }
                    if (weights.c) tile.load(z, weights, strip * W, i0 + j0, some);
                    for (int64_t i = 0; i < some; ++i) {
                        sorter.look(i);
                        const T* knots = grid + (i0 + j0 + i) * (z.G + 1);
                        pieces_x.of_input(knots), pieces_c.of_input(knots);
                        const T* factor = u ? u + (i0 + j0 + i) * z.B + b0 : nullptr;
                        for (int64_t cls = 0; cls < z.G + 3; ++cls) {
                            const int64_t end = sorter.start[cls + 1];
                            for (int64_t from = sorter.start[cls]; from < end; from += kRun)
                                backward_class(z, want_x ? &pieces_x.of_class(cls) : nullptr,
                                               want_c ? &pieces_c.of_class(cls) : nullptr, tile, i, cls,
                                               residual, sorter.entry, factor, from, least(end, from + kRun),
                                               gs, dct, dvt, dxt + (j0 + i) * pitch);
                        }
                    }
                    if (want_c) store(z, tile, dct, dvt, scratch, strip * W, i0 + j0, some, block > 0, to);
                }
            }
            if (want_x) {
                T* dx = to.x + b0 * z.I + i0;
                for (int64_t c = 0; c < height; c += 64)
                    transpose(dxt + c, pitch, least<int64_t>(64, height - c), inputs, dx + c * z.I, z.I, false);
            }
        }
    }
    return failed ? -1 : 0;
}

}  // namespace EDGEWISE_ISA
}  // namespace edgewise
