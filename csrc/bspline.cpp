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

static size_t plan_bytes(const Layer* z) {
    return z->wide ? Layout<double>(*z).bytes : Layout<float>(*z).bytes;
}

template <class T>
static int plan_as(const Layer& z, const void* x, const void* grid, const void* mask, char* plan) {
    return make_plan<T>(z, (const T*)x, (const T*)grid, (const T*)mask, plan);
}

static int plan(const Layer* z, const void* x, const void* grid, const void* mask, char* plan) {
    return z->wide ? plan_as<double>(*z, x, grid, mask, plan) : plan_as<float>(*z, x, grid, mask, plan);
}

template <class T>
static Weights<T> weights(const void* c, const void* w, const void* v, const void* mask) {
    return {(const T*)c, (const T*)w, (const T*)v, (const T*)mask};
}

static int forward(const Layer* z, const void* grid, const char* plan, const void* c, const void* w,
                   const void* v, const void* mask, const void* u, int order, void* y) {
    if (z->wide)
        return run_forward<double>(*z, (const double*)grid, plan, weights<double>(c, w, v, mask), (const double*)u,
                                   order, (double*)y);
    return run_forward<float>(*z, (const float*)grid, plan, weights<float>(c, w, v, mask), (const float*)u, order,
                              (float*)y);
}

template <class T>
static int backward_as(const Layer& z, const void* grid, const char* plan, const Weights<T>& weights,
                       const void* u, const void* g, int order_x, int order_c, void* dx, void* dc, void* dw,
                       void* dv) {
    return run_backward<T>(z, (const T*)grid, plan, weights, (const T*)u, (const T*)g, order_x, order_c,
                           {(T*)dx, (T*)dc, (T*)dw, (T*)dv});
}

static int backward(const Layer* z, const void* grid, const char* plan, const void* c, const void* w,
                    const void* v, const void* mask, const void* u, const void* g, int order_x, int order_c,
                    void* dx, void* dc, void* dw, void* dv) {
    if (z->wide)
        return backward_as(*z, grid, plan, weights<double>(c, w, v, mask), u, g, order_x, order_c, dx, dc, dw, dv);
    return backward_as(*z, grid, plan, weights<float>(c, w, v, mask), u, g, order_x, order_c, dx, dc, dw, dv);
}

extern const Kernels kernels;
const Kernels kernels = {EDGEWISE_STRING(EDGEWISE_ISA), team, plan_bytes, plan, forward, backward};

}  // namespace EDGEWISE_ISA
}  // namespace edgewise
