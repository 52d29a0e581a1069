// Strings and memory.

#include "libc.h"

void *memcpy(void *to, const void *from, size_t size) {
  u8 *d = to;
  const u8 *s = from;
  if ((((u64)d | (u64)s) & 7) == 0) {
    for (; size >= 8; size -= 8, d += 8, s += 8) *(u64 *)d = *(const u64 *)s;
  }
  while (size-- > 0) *d++ = *s++;
  return to;
}

void *memset(void *to, int byte, size_t size) {
  u8 *d = to;
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

char *strcpy(char *to, const char *from) {
  char *at = to;
  while ((*at++ = *from++) != 0) {
  }
  return to;
}

char *strchr(const char *s, int c) {
  for (; *s != 0; s++) {
    if (*s == (char)c) return (char *)s;
  }
  return c == 0 ? (char *)s : NULL;
}

char *strstr(const char *s, const char *wanted) {
  size_t length = strlen(wanted);
  for (; *s != 0; s++) {
    if (strncmp(s, wanted, length) == 0) return (char *)s;
  }
  return length == 0 ? (char *)s : NULL;
}

u64 parse_number(const char *s) {
  u64 value = 0;
  if (s[0] == '0' && s[1] == 'x') {
    for (s += 2;; s++) {
      u32 digit = *s >= '0' && *s <= '9' ? (u32)(*s - '0') : *s >= 'a' && *s <= 'f' ? (u32)(*s - 'a' + 10) : 16;
      if (digit == 16) return value;
      value = value * 16 + digit;
    }
  }
  for (; *s >= '0' && *s <= '9'; s++) value = value * 10 + (u64)(*s - '0');
  return value;
}

const char *error_name(long error) {
  static const struct {
    int number;
    char name[14];
  } names[] = {
      {EPERM, "EPERM"},     {ENOENT, "ENOENT"},   {ESRCH, "ESRCH"},     {EINTR, "EINTR"},
      {EIO, "EIO"},         {ENXIO, "ENXIO"},     {E2BIG, "E2BIG"},     {ENOEXEC, "ENOEXEC"},
      {EBADF, "EBADF"},     {ECHILD, "ECHILD"},   {EAGAIN, "EAGAIN"},   {ENOMEM, "ENOMEM"},
      {EACCES, "EACCES"},   {EFAULT, "EFAULT"},   {EBUSY, "EBUSY"},     {EEXIST, "EEXIST"},
      {ENODEV, "ENODEV"},   {ENOTDIR, "ENOTDIR"}, {EISDIR, "EISDIR"},   {EINVAL, "EINVAL"},
      {ENFILE, "ENFILE"},   {EMFILE, "EMFILE"},   {ENOTTY, "ENOTTY"},   {EFBIG, "EFBIG"},
      {ENOSPC, "ENOSPC"},   {ESPIPE, "ESPIPE"},   {EPIPE, "EPIPE"},     {ERANGE, "ERANGE"},
      {ENOSYS, "ENOSYS"},   {ENOTEMPTY, "ENOTEMPTY"}, {ENAMETOOLONG, "ENAMETOOLONG"},
      {ETIMEDOUT, "ETIMEDOUT"},
  };
  if (error >= 0) return "success";
  for (u64 i = 0; i < ARRAY_LENGTH(names); i++) {
    if (names[i].number == -error) return names[i].name;
  }
  return "unknown error";
}
