#include "isa.hpp"

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

extern const Kernels kernels;
const Kernels kernels = {EDGEWISE_STRING(EDGEWISE_ISA), team};

}  // namespace EDGEWISE_ISA
}  // namespace edgewise
