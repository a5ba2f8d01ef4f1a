// The polynomial pieces of a spline: coefficients c_m..c_{m+k} -> powers of a local coordinate t.
//
// Classes of x: 0 left of the range, 1..G the intervals, G+1 right of the range, G+2 not a number.
// Inside, t = (x - t_m)/(t_{m+1} - t_m) - 1/2, centred so that the powers stay small; outside,
// t = (x - end)/h with the mean spacing h.
#pragma once

#include <cmath>

#include "isa.hpp"
#include "simd.hpp"

namespace edgewise {
namespace EDGEWISE_ISA {

constexpr int kMost = 6;  // coefficients of a piece of degree 5

template <class T>
struct Piece {
    T M[kMost][kMost];  // M[p][n]: the share of function n in the coefficient of t^p
    int powers;         // of which this many are used; at least 1
};

// Cox-de Boor on polynomials in t: the k+1 functions on the interval between local[k-1] and local[k].
static void de_boor(const double* local, int k, double (&poly)[kMost][kMost + 1]) {
    std::memset(poly, 0, sizeof poly);
    poly[0][0] = 1.0;
    for (int q = 1; q <= k; ++q) {
        double next[kMost][kMost + 1] = {};
        for (int n = 0; n < q; ++n) {
            const double left = local[k - q + n], right = local[k + n];
            for (int p = 0; p < q; ++p) {
                const double share = poly[n][p] / (right - left);
                next[n][p] += right * share, next[n][p + 1] -= share;
                next[n + 1][p] -= left * share, next[n + 1][p + 1] += share;
            }
        }
        std::memcpy(poly, next, sizeof poly);
    }
}

template <class T>
static double knot(const T* grid, int64_t G, int64_t j) {
    const double h = ((double)grid[G] - (double)grid[0]) / (double)G;
    if (j < 0) return (double)grid[0] + (double)j * h;
    if (j > G) return (double)grid[G] + (double)(j - G) * h;
    return (double)grid[j];
}

// The first of the k+1 functions that a class touches.
static EDGEWISE_INLINE int64_t first_function(int64_t G, int64_t cls) {
    return cls == 0 || cls == G + 2 ? 0 : cls == G + 1 ? G - 1 : cls - 1;
}

// The r-th derivative in x of the pieces of class cls.
template <class T>
static void make_piece(const Layer& z, const T* grid, int64_t cls, int r, Piece<T>& piece) {
    const int k = z.degree;
    const int64_t G = z.G;
    const double h = ((double)grid[G] - (double)grid[0]) / (double)G;
    const bool left = cls == 0, outside = left || cls == G + 1;
    std::memset(&piece, 0, sizeof piece);
    piece.powers = 1;
    if (cls == G + 2) {
        for (int n = 0; n <= k; ++n) piece.M[0][n] = (T)NAN;
        return;
    }
    if (outside && (z.outside == kZero || (z.outside == kClamp && r > 0) || r > 1)) return;
    const int64_t j = first_function(G, cls);
    const double step = z.uniform ? h : (double)grid[j + 1] - (double)grid[j];
    double local[2 * kMost], poly[kMost][kMost + 1];
    for (int n = 0; n < 2 * k; ++n)
        local[n] = z.uniform ? n - k + 0.5 : (knot(grid, G, j - k + 1 + n) - (double)grid[j]) / step - 0.5;
    de_boor(local, k, poly);
    if (!outside) {
        piece.powers = most(1, k - r + 1);
        for (int p = 0; p + r <= k; ++p) {
            double factor = std::pow(step, -r);  // (d/dx)^r t^(p+r) = factor t^p
            for (int s = p + 1; s <= p + r; ++s) factor *= s;
            for (int n = 0; n <= k; ++n) piece.M[p][n] = (T)(factor * poly[n][p + r]);
        }
        return;
    }
    const double end = left ? -0.5 : 0.5;
    for (int n = 0; n <= k; ++n) {
        double value = 0, slope = 0;  // by Horner, slope in units of x
        for (int p = k; p >= 0; --p) slope = slope * end + value, value = value * end + poly[n][p];
        slope /= step;
        piece.M[0][n] = (T)(r == 0 ? value : slope);
        if (r == 0 && z.outside == kLinear) piece.M[1][n] = (T)(slope * h);
    }
    if (r == 0 && z.outside == kLinear) piece.powers = 2;
}

// Pieces by class. On even knots all inputs share four up to the factor h^-r; else each is made anew.
template <class T>
class Pieces {
  public:
    Pieces(const Layer& layer, int order) : z(layer), r(order) {}

    void of_input(const T* knots) {
        grid = knots;
        if (!z.uniform) return;
        const T spacing = grid[z.G] - grid[0];
        if (spacing == known) return;
        known = spacing;
        const int64_t classes[4] = {0, 1, z.G + 1, z.G + 2};
        for (int n = 0; n < 4; ++n) make_piece(z, grid, classes[n], r, kept[n]);
    }
    const Piece<T>& of_class(int64_t cls) {
        Piece<T>& piece = kept[cls == 0 ? 0 : cls <= z.G ? 1 : cls == z.G + 1 ? 2 : 3];
        if (!z.uniform) make_piece(z, grid, cls, r, piece);
        return piece;
    }

  private:
    const Layer& z;
    const int r;
    const T* grid = nullptr;
    T known = 0;
    Piece<T> kept[4];
};

// a[p] = w * sum_n M[p][n] c[n]: the coefficients of NV vectors of outputs, rows c[n] being W apart.
template <class T, int NV>
static EDGEWISE_INLINE void to_powers(int k, int powers, const T (&M)[kMost][kMost], const T* c, int64_t W,
                                      const Vec<T>* w, Vec<T> (&a)[kMost][NV]) {
    for (int v = 0; v < NV; ++v) {
        Vec<T> rows[kMost];
        for (int n = 0; n <= k; ++n) rows[n] = ((const Vec<T>*)(c + n * W))[v] * w[v];
        for (int p = 0; p < powers; ++p) {
            Vec<T> sum = rows[0] * M[p][0];
            for (int n = 1; n <= k; ++n) sum += rows[n] * M[p][n];
            a[p][v] = sum;
        }
    }
}

}  // namespace EDGEWISE_ISA
}  // namespace edgewise
