// The functions that Python calls, and the choice among the instruction sets behind them.
#include <atomic>
#include <cstring>

#include "isa.hpp"

#define EDGEWISE_API extern "C" __attribute__((visibility("default")))

// Raised with every change of a function below; native.py asks for the number that it knows.
static const int kAbi = 4;

namespace edgewise {
#if EDGEWISE_X86
namespace v2 { extern const Kernels kernels; }
namespace v3 { extern const Kernels kernels; }
namespace v4 { extern const Kernels kernels; }
#else
namespace portable { extern const Kernels kernels; }
#endif
}  // namespace edgewise

namespace {

using edgewise::Kernels;

// The tables that this processor can run, best first.
struct Supported {
    const Kernels* tables[3] = {};
    int count = 0;
    char names[32] = "";

    void add(const Kernels& kernels) {
        tables[count++] = &kernels;
        if (names[0]) std::strcat(names, ",");
        std::strcat(names, kernels.name);
    }

    Supported() {
#if EDGEWISE_X86
        // Of each level, the members that no processor has without the rest.
        __builtin_cpu_init();
        const bool v2 = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
        const bool v3 = v2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                        __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
        const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                        __builtin_cpu_supports("avx512vl");
        if (v4) add(edgewise::v4::kernels);
        if (v3) add(edgewise::v3::kernels);
        if (v2) add(edgewise::v2::kernels);
#else
        add(edgewise::portable::kernels);
#endif
    }
};

const Supported supported;
// Null on a processor that supports none: Python then leaves the library alone.
std::atomic<const Kernels*> current{supported.tables[0]};

}  // namespace

EDGEWISE_API int edgewise_abi(void) { return kAbi; }

EDGEWISE_API int edgewise_openmp(void) {
#ifdef _OPENMP
    return 1;
#else
    return 0;
#endif
}

// Names of the instruction sets that are compiled in and supported here, best first: "v4,v3,v2".
EDGEWISE_API const char* edgewise_isas(void) { return supported.names; }

// The name of the one in use.
EDGEWISE_API const char* edgewise_isa(void) {
    const Kernels* kernels = current.load();
    return kernels ? kernels->name : "";
}

// Use the named one from now on. 0, or -1 where it is not among edgewise_isas().
EDGEWISE_API int edgewise_use(const char* name) {
    for (int i = 0; i < supported.count; ++i) {
        if (std::strcmp(supported.tables[i]->name, name) == 0) {
            current.store(supported.tables[i]);
            return 0;
        }
    }
    return -1;
}

EDGEWISE_API int edgewise_team(int n_threads) { return current.load()->team(n_threads); }

// The kernels, as isa.hpp describes them.
EDGEWISE_API int edgewise_forward(const edgewise::Layer* layer, const void* x, const void* grid,
                                  const void* c, const void* w, const void* v, const void* mask,
                                  const void* u, int order, void* y) {
    return current.load()->forward(layer, x, grid, c, w, v, mask, u, order, y);
}

EDGEWISE_API int edgewise_backward(const edgewise::Layer* layer, const void* x, const void* grid,
                                   const void* c, const void* w, const void* v, const void* mask,
                                   const void* u, const void* g, int order_x, int order_c, void* dx,
                                   void* dc, void* dw, void* dv) {
    return current.load()->backward(layer, x, grid, c, w, v, mask, u, g, order_x, order_c, dx, dc, dw, dv);
}
