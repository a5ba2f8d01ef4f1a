// What one compilation of the kernels offers. bspline.cpp is compiled once for every instruction
// set, with EDGEWISE_ISA set to its name; dispatch.cpp picks one of the tables when it is loaded.
//
// A compilation keeps all that it defines inside namespace edgewise::EDGEWISE_ISA. Outside of it two
// compilations would share a name, and the linker keeps one body for all of them.
#pragma once

#define EDGEWISE_STRING_(x) #x
#define EDGEWISE_STRING(x) EDGEWISE_STRING_(x)

namespace edgewise {

struct Kernels {
    const char* name;
    // The number of threads that run a region which asks for n_threads.
    int (*team)(int n_threads);
};

}  // namespace edgewise
