// The B-spline kernels of one instruction set; kernels/bspline/README.md has the derivation.
#include "backward.hpp"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace edgewise {
namespace EDGEWISE_ISA {

static int team(int n_threads) {
    int seen = 1;
#ifdef _OPENMP
#pragma omp parallel num_threads(n_threads)
#pragma omp single
    seen = omp_get_num_threads();
#else
    (void)n_threads;
#endif
    return seen;
}

template <class T>
static int forward_as(const Layer& z, const void* x, const void* grid, const Weights<T>& weights,
                      const void* u, int order, void* y) {
    const auto run = z.O <= Simd<T>::lanes ? run_forward<T, 1> : run_forward<T, kWide>;
    return run(z, (const T*)x, (const T*)grid, weights, (const T*)u, order, (T*)y);
}

template <class T>
static Weights<T> weights(const void* c, const void* w, const void* v, const void* mask) {
    return {(const T*)c, (const T*)w, (const T*)v, (const T*)mask};
}

static int forward(const Layer* z, const void* x, const void* grid, const void* c, const void* w,
                   const void* v, const void* mask, const void* u, int order, void* y) {
    if (z->wide) return forward_as(*z, x, grid, weights<double>(c, w, v, mask), u, order, y);
    return forward_as(*z, x, grid, weights<float>(c, w, v, mask), u, order, y);
}

template <class T>
static int backward_as(const Layer& z, const void* x, const void* grid, const Weights<T>& weights,
                       const void* u, const void* g, int order_x, int order_c, void* dx, void* dc, void* dw,
                       void* dv) {
    const auto run = z.O <= Simd<T>::lanes ? run_backward<T, 1> : run_backward<T, kWide>;
    return run(z, (const T*)x, (const T*)grid, weights, (const T*)u, (const T*)g, order_x, order_c,
               {(T*)dx, (T*)dc, (T*)dw, (T*)dv});
}

static int backward(const Layer* z, const void* x, const void* grid, const void* c, const void* w,
                    const void* v, const void* mask, const void* u, const void* g, int order_x, int order_c,
                    void* dx, void* dc, void* dw, void* dv) {
    if (z->wide)
        return backward_as(*z, x, grid, weights<double>(c, w, v, mask), u, g, order_x, order_c, dx, dc, dw, dv);
    return backward_as(*z, x, grid, weights<float>(c, w, v, mask), u, g, order_x, order_c, dx, dc, dw, dv);
}

extern const Kernels kernels;
const Kernels kernels = {EDGEWISE_STRING(EDGEWISE_ISA), team, forward, backward};

}  // namespace EDGEWISE_ISA
}  // namespace edgewise
