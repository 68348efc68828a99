/* Calls the functions of winners.c for networks of random sizes, each array of exactly the size that
   it needs: built with a sanitizer, this ends with its report if one of them leaves an array. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../distune/workloads/kernels/winners.c"

static void *filled(long n, int bytes)
{
    unsigned char *array = malloc(n * bytes);
    for (long i = 0; i < n * bytes; i++)
        array[i] = 0x3e + rand() % 2; /* floats of either size a little below one */
    return array;
}

static uint8_t *winners(long n, int window)
{
    uint8_t *array = malloc(n);
    for (long i = 0; i < n; i++) {
        int k = rand() % (window * window + 1);
        array[i] = k == window * window ? 255 : k;
    }
    return array;
}

#define CHECK(lanes) \
    distune_pool_##lanes(outputs, half, pooled, winner, n, high, wide, filters, window, 1); \
    distune_gradients_##lanes(gradient, chosen, images, half, weights, by_weights, by_bias, \
                              by_images, n, height, width, channels, filters, kernel, padding, \
                              window); \
    distune_gradients_##lanes(gradient, chosen, images, half, weights, by_weights, by_bias, NULL, \
                              n, height, width, channels, filters, kernel, padding, window); \
    if (window == 2 && !padding) { \
        distune_convolve_and_pool_##lanes(planes, weights, biases, half, pooled, winner, n, \
                                          height, width, channels, filters, kernel, 1); \
        distune_first_gradients_##lanes(gradient, chosen, planes, by_weights, by_bias, n, height, \
                                        width, channels, filters, kernel); \
    }

static void one(void)
{
    long n = 1 + rand() % 20, height = 1 + rand() % 15, width = 1 + rand() % 15;
    long channels = 1 + rand() % 40, filters = 1 + rand() % 40;
    int kernel = 1 + rand() % 5, window = 1 + rand() % 3, half = rand() % 2;
    int padding = kernel > 1 ? rand() % (kernel / 2 + 1) : 0;
    long high = height + 2 * padding - kernel + 1, wide = width + 2 * padding - kernel + 1;
    if (high < window || wide < window)
        return;
    int size = half ? 2 : 4;
    long taps = kernel * kernel, out = n * (high / window) * (wide / window) * filters;
    long in = n * height * width * channels;
    void *outputs = filled(n * high * wide * filters, size), *pooled = malloc(out * size);
    void *images = filled(in, size);
    float *planes = filled(in, 4), *weights = filled(filters * taps * channels, 4);
    float *biases = filled(filters, 4), *gradient = filled(out, 4);
    float *by_weights = malloc(filters * taps * channels * 4), *by_bias = malloc(filters * 4);
    float *by_images = malloc(in * 4);
    uint8_t *winner = malloc(out), *chosen = winners(out, window);
    int most = distune_lanes();
    CHECK(4)
#if defined(__x86_64__)
    if (most >= 8) {
        CHECK(8)
    }
    if (most >= 16) {
        CHECK(16)
    }
#endif
    void *all[] = {outputs, pooled, images, planes, weights, biases, gradient, by_weights, by_bias,
                   by_images, winner, chosen};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    (void)most;
}

int main(void)
{
    srand(1);
    for (int i = 0; i < 150; i++)
        one();
    puts("within bounds");
    return 0;
}
