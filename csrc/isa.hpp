// What one compilation of the kernels offers. bspline.cpp is compiled once for every instruction
// set, with EDGEWISE_ISA set to its name; dispatch.cpp picks one of the tables when it is loaded.
//
// A compilation keeps all that it defines inside namespace edgewise::EDGEWISE_ISA. Outside of it two
// compilations would share a name, and the linker keeps one body for all of them.
#pragma once

#include <cstddef>
#include <cstdint>

#define EDGEWISE_STRING_(x) #x
#define EDGEWISE_STRING(x) EDGEWISE_STRING_(x)

namespace edgewise {

enum Outside { kLinear = 0, kZero = 1, kClamp = 2 };
enum Residual { kNone = 0, kSilu = 1, kIdentity = 2 };

// A layer's sizes and kind; the same struct stands in kernels/bspline/cpu.py.
struct Layer {
    int64_t B, I, O, G;
    int32_t degree, uniform, outside, residual, threads, wide;  // wide: double, else float
};

// Arrays are dense and row-major. 0 is returned, or -1 where memory could not be had.
struct Kernels {
    const char* name;
    // The number of threads that run a region which asks for n_threads.
    int (*team)(int n_threads);
    // x (B, I), grid (I, G+1), coef (O, I, K), and, each or null: weight (O, I), residual weight (O, I),
    // mask (O, I) on both, u transposed (I, B) -> y (B, O)
    int (*forward)(const Layer*, const void* x, const void* grid, const void* c, const void* w,
                   const void* v, const void* mask, const void* u, int order, void* y);
    // And g (B, O) -> dx (B, I) by the derivative of order_x, dc (O, I, K) by that of order_c,
    // dw (O, I), dv (O, I); each of the four may be null. Inputs with no edge on are left out.
    int (*backward)(const Layer*, const void* x, const void* grid, const void* c, const void* w,
                    const void* v, const void* mask, const void* u, const void* g, int order_x, int order_c,
                    void* dx, void* dc, void* dw, void* dv);
};

}  // namespace edgewise
