// Memory and strings. memcpy and memset work on eight bytes at a time where the addresses allow it; the kernel
// never makes a misaligned access.

#include "defs.h"

typedef u64 __attribute__((may_alias)) word;

void *memcpy(void *to, const void *from, size_t size) {
  u8 *d = to;
  const u8 *s = from;
  if ((((u64)d ^ (u64)s) & 7) == 0) {
    while (size > 0 && ((u64)d & 7) != 0) {
      *d++ = *s++;
      size--;
    }
    for (; size >= 64; size -= 64, d += 64, s += 64) {
      word *dw = (word *)d;
      const word *sw = (const word *)s;
      word w0 = sw[0], w1 = sw[1], w2 = sw[2], w3 = sw[3], w4 = sw[4], w5 = sw[5], w6 = sw[6], w7 = sw[7];
      dw[0] = w0, dw[1] = w1, dw[2] = w2, dw[3] = w3, dw[4] = w4, dw[5] = w5, dw[6] = w6, dw[7] = w7;
    }
    for (; size >= 8; size -= 8, d += 8, s += 8) *(word *)d = *(const word *)s;
  }
  while (size-- > 0) *d++ = *s++;
  return to;
}

void *memmove(void *to, const void *from, size_t size) {
  u8 *d = to;
  const u8 *s = from;
  if (d <= s || d >= s + size) return memcpy(to, from, size);
  while (size-- > 0) d[size] = s[size];
  return to;
}

void *memset(void *to, int byte, size_t size) {
  u8 *d = to;
  u64 pattern = 0x0101010101010101 * (u8)byte;
  while (size > 0 && ((u64)d & 7) != 0) {
    *d++ = (u8)byte;
    size--;
  }
  for (; size >= 64; size -= 64, d += 64) {
    word *w = (word *)d;
    w[0] = pattern, w[1] = pattern, w[2] = pattern, w[3] = pattern;
    w[4] = pattern, w[5] = pattern, w[6] = pattern, w[7] = pattern;
  }
  while (size-- > 0) *d++ = (u8)byte;
  return to;
}

int memcmp(const void *a, const void *b, size_t size) {
  const u8 *x = a, *y = b;
  for (; size > 0; size--, x++, y++) {
    if (*x != *y) return *x - *y;
  }
  return 0;
}

size_t strlen(const char *s) {
  size_t length = 0;
  while (s[length] != 0) length++;
  return length;
}

int strcmp(const char *a, const char *b) {
  while (*a != 0 && *a == *b) a++, b++;
  return (u8)*a - (u8)*b;
}

int strncmp(const char *a, const char *b, size_t size) {
  while (size > 0 && *a != 0 && *a == *b) a++, b++, size--;
  return size == 0 ? 0 : (u8)*a - (u8)*b;
}

// Copies as much of the name as fits, always ended by a 0, the rest of the field filled with 0.
void copy_name(char *to, const char *from, size_t size) {
  size_t length = MIN(strlen(from), size - 1);
  memset(to, 0, size);
  memcpy(to, from, length);
}
