/* SPDX-License-Identifier: Apache-2.0 */
/* Scalar floating point and SIMD. Sums are of the bits: every machine must agree exactly. */
#include "bench.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint64_t bits(double value)
{
    uint64_t word;
    memcpy(&word, &value, sizeof(word));
    return word;
}

static uint64_t nbody(void)
{
    enum { N = 5 };
    double p[N][3], v[N][3], m[N];
    uint32_t seed = 1;
    for (int i = 0; i < N; i++) {
        m[i] = 1.0 / (i + 1);
        for (int k = 0; k < 3; k++) {
            p[i][k] = bench_random(&seed) / 1e7 + i;
            v[i][k] = bench_random(&seed) / 1e9;
        }
    }
    for (int step = 0; step < 150000; step++) {
        for (int i = 0; i < N; i++) {
            for (int j = i + 1; j < N; j++) {
                double d[3], square = 0.01;
                for (int k = 0; k < 3; k++) {
                    d[k] = p[i][k] - p[j][k];
                    square += d[k] * d[k];
                }
                double force = 0.001 / (square * sqrt(square));
                for (int k = 0; k < 3; k++) {
                    v[i][k] -= d[k] * m[j] * force;
                    v[j][k] += d[k] * m[i] * force;
                }
            }
        }
        for (int i = 0; i < N; i++) {
            for (int k = 0; k < 3; k++) {
                p[i][k] += 0.001 * v[i][k];
            }
        }
    }
    return bits(p[0][0]) ^ bits(v[4][2]);
}

static double cell(int i, int j)
{
    return 1.0 / ((i + j) * (i + j + 1) / 2 + i + 1);
}

static uint64_t spectral(void)
{
    enum { N = 500 };
    static double u[N], v[N];
    for (int i = 0; i < N; i++) {
        u[i] = 1;
    }
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < N; i++) {
            double sum = 0;
            for (int j = 0; j < N; j++) {
                sum += cell(i, j) * u[j];
            }
            v[i] = sum;
        }
        for (int i = 0; i < N; i++) {
            double sum = 0;
            for (int j = 0; j < N; j++) {
                sum += cell(j, i) * v[j];
            }
            u[i] = sum;
        }
    }
    return bits(u[N / 2]);
}

static uint64_t mandelbrot(void)
{
    enum { SIDE = 240, LIMIT = 200 };
    uint64_t sum = 0;
    for (int y = 0; y < SIDE; y++) {
        for (int x = 0; x < SIDE; x++) {
            double cr = 2.5 * x / SIDE - 1.9, ci = 2.4 * y / SIDE - 1.2, r = 0, i = 0;
            int n = 0;
            while (n < LIMIT && r * r + i * i < 4) {
                double t = r * r - i * i + cr;
                i = 2 * r * i + ci;
                r = t;
                n++;
            }
            sum = bench_mix(sum, n);
        }
    }
    return sum;
}

static uint64_t fft(void)
{
    enum { N = 4096 };
    static double re[N], im[N];
    uint32_t seed = 9;
    for (int i = 0; i < N; i++) {
        re[i] = bench_random(&seed) / 1e6;
        im[i] = 0;
    }
    for (int round = 0; round < 120; round++) {
        for (int i = 1, j = 0; i < N; i++) {
            int bit = N >> 1;
            for (; j & bit; bit >>= 1) {
                j ^= bit;
            }
            j ^= bit;
            if (i < j) {
                double t = re[i];
                re[i] = re[j], re[j] = t;
                t = im[i];
                im[i] = im[j], im[j] = t;
            }
        }
        for (int length = 2; length <= N; length <<= 1) {
            double angle = 6.283185307179586 / length, wr = 1 - angle * angle / 2, wi = angle;
            for (int i = 0; i < N; i += length) {
                double cr = 1, ci = 0;
                for (int k = i; k < i + length / 2; k++) {
                    int l = k + length / 2;
                    double tr = re[l] * cr - im[l] * ci, ti = re[l] * ci + im[l] * cr;
                    re[l] = re[k] - tr, im[l] = im[k] - ti;
                    re[k] += tr, im[k] += ti;
                    tr = cr * wr - ci * wi;
                    ci = cr * wi + ci * wr;
                    cr = tr;
                }
            }
        }
        for (int i = 0; i < N; i++) {
            re[i] /= N, im[i] /= N;
        }
    }
    return bits(re[1]) ^ bits(im[N / 3]);
}

static uint64_t linpack(void)
{
    enum { N = 200 };
    static double a[N][N], b[N];
    uint64_t sum = 0;
    for (int round = 0; round < 6; round++) {
        uint32_t seed = 31 + round;
        for (int i = 0; i < N; i++) {
            b[i] = i;
            for (int j = 0; j < N; j++) {
                a[i][j] = bench_random(&seed) / 1e6 + (i == j ? 50 : 0);
            }
        }
        for (int k = 0; k < N; k++) {
            for (int i = k + 1; i < N; i++) {
                double factor = a[i][k] / a[k][k];
                for (int j = k; j < N; j++) {
                    a[i][j] -= factor * a[k][j];
                }
                b[i] -= factor * b[k];
            }
        }
        for (int i = N - 1; i >= 0; i--) {
            for (int j = i + 1; j < N; j++) {
                b[i] -= a[i][j] * b[j];
            }
            b[i] /= a[i][i];
        }
        sum = bench_mix(sum, bits(b[round]));
    }
    return sum;
}

static uint64_t float32(void)
{
    float x = 0.5f, y = 0.25f, sum = 0;
    for (int i = 0; i < 6000000; i++) {
        x = x * 1.0001f + y;
        y = (x - y) * 0.5f;
        if (x > 100.0f) {
            x /= 128.0f;
        }
        sum += (float)(int)x;
    }
    return bits(sum) ^ bits(y);
}

const Bench bench_fp[] = {
    { "nbody", "fp", nbody },
    { "spectral-norm", "fp", spectral },
    { "mandelbrot", "fp", mandelbrot },
    { "fft", "fp", fft },
    { "linpack", "fp", linpack },
    { "float32", "fp", float32 },
    { 0 },
};

/* SIMD through vector types: SSE2 in the baseline build, AVX2 and FMA in the x86-64-v3 build. */
#ifdef __AVX2__
enum { WIDTH = 32 };
#else
enum { WIDTH = 16 };
#endif
typedef float vf __attribute__((vector_size(WIDTH)));
typedef int32_t vi __attribute__((vector_size(WIDTH)));
typedef uint8_t vb __attribute__((vector_size(WIDTH)));
typedef uint16_t vh __attribute__((vector_size(WIDTH)));
typedef double vd __attribute__((vector_size(WIDTH)));
enum { FLOATS = 4096, LANES = WIDTH / 4 };

static void fill(float *x, uint32_t seed)
{
    for (int i = 0; i < FLOATS; i++) {
        x[i] = bench_random(&seed) / 16777216.0f;
    }
}

static uint64_t saxpy(void)
{
    static float x[FLOATS] __attribute__((aligned(32))), y[FLOATS] __attribute__((aligned(32)));
    fill(x, 1), fill(y, 2);
    for (int round = 0; round < 6000; round++) {
        for (int i = 0; i < FLOATS; i += LANES) {
            *(vf *)(y + i) = *(vf *)(x + i) * 0.0001f + *(vf *)(y + i);
        }
    }
    return bits(y[17]) ^ bits(y[FLOATS - 1]);
}

static uint64_t dot(void)
{
    static float x[FLOATS] __attribute__((aligned(32))), y[FLOATS] __attribute__((aligned(32)));
    float total = 0;
    fill(x, 3), fill(y, 4);
    for (int round = 0; round < 10000; round++) {
        vf sum = { 0 };
        for (int i = 0; i < FLOATS; i += LANES) {
            sum += *(vf *)(x + i) * *(vf *)(y + i);
        }
        total += sum[round % LANES];
        x[round % FLOATS] += 0.001f;
    }
    return bits(total);
}

static uint64_t blend(void)
{
    enum { BYTES = 16384 };
    static uint8_t a[BYTES] __attribute__((aligned(32))), b[BYTES] __attribute__((aligned(32)));
    uint64_t sum = 0;
    uint32_t seed = 5;
    for (int i = 0; i < BYTES; i++) {
        a[i] = bench_random(&seed), b[i] = bench_random(&seed);
    }
    for (int round = 0; round < 10000; round++) {
        for (int i = 0; i < BYTES; i += WIDTH) {
            vb x = *(vb *)(a + i), y = *(vb *)(b + i);
            vb more = (vb)(x > y);
            vb mixed = (more & (x - y)) | (~more & (y - x));
            vh half = ((vh)mixed >> 1) & 0x7f7f;
            *(vb *)(b + i) = (vb)half + x;
        }
        sum = bench_mix(sum, b[round % BYTES]);
    }
    return sum;
}

static uint64_t vector_int(void)
{
    static int32_t a[FLOATS] __attribute__((aligned(32)));
    vi sum = { 0 };
    uint64_t total = 0;
    uint32_t seed = 6;
    for (int i = 0; i < FLOATS; i++) {
        a[i] = bench_random(&seed);
    }
    for (int round = 0; round < 6000; round++) {
        for (int i = 0; i < FLOATS; i += LANES) {
            vi x = *(vi *)(a + i);
            sum += (x ^ sum) << 1;
            sum -= x > sum;
        }
    }
    for (int i = 0; i < LANES; i++) {
        total = bench_mix(total, (uint32_t)sum[i]);
    }
    return total;
}

static uint64_t vector_double(void)
{
    enum { N = 2048, STEP = WIDTH / 8 };
    static double a[N] __attribute__((aligned(32))), b[N] __attribute__((aligned(32)));
    uint32_t seed = 8;
    for (int i = 0; i < N; i++) {
        a[i] = bench_random(&seed) / 1e6, b[i] = bench_random(&seed) / 1e7;
    }
    for (int round = 0; round < 6000; round++) {
        for (int i = 0; i < N; i += STEP) {
            vd x = *(vd *)(a + i), y = *(vd *)(b + i);
            *(vd *)(a + i) = (x + y) * 0.5 - x / (y + 3.0);
        }
    }
    return bits(a[5]) ^ bits(a[N - 1]);
}

const Bench bench_simd[] = {
    { "saxpy", "simd", saxpy },
    { "dot", "simd", dot },
    { "blend-bytes", "simd", blend },
    { "vector-int", "simd", vector_int },
    { "vector-double", "simd", vector_double },
    { 0 },
};
