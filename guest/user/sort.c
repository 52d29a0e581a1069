// sort [-n] [-r] [FILE]: the lines in order; -n by the number they begin with, -r the other way round.

#include "libc.h"

static bool numeric, reversed;

static int compare(const char *a, const char *b) {
  int order;
  if (numeric) {
    u64 x = parse_number(a), y = parse_number(b);
    order = x < y ? -1 : x > y;
  } else {
    order = strcmp(a, b);
  }
  return reversed ? -order : order;
}

// Merges the sorted halves of lines[0..count] by way of space.
static void merge_sort(char **lines, char **space, u64 count) {
  if (count < 2) return;
  u64 half = count / 2, left = 0, right = half;
  merge_sort(lines, space, half);
  merge_sort(lines + half, space, count - half);
  for (u64 i = 0; i < count; i++) {
    bool take_left = right == count || (left < half && compare(lines[left], lines[right]) <= 0);
    space[i] = take_left ? lines[left++] : lines[right++];
  }
  memcpy(lines, space, count * sizeof(*lines));
}

int main(int argc, char **argv) {
  int at = 1;
  for (; at < argc && argv[at][0] == '-'; at++) {
    if (strcmp(argv[at], "-n") == 0) numeric = true;
    if (strcmp(argv[at], "-r") == 0) reversed = true;
  }
  struct reader reader = {.fd = at < argc ? open(argv[at], O_RDONLY) : 0};
  if (reader.fd < 0) fail("sort: %s: %s\n", argv[at], error_name(reader.fd));
  u64 limit = 4096, count = 0;
  char **lines = sbrk((long)(limit * 2 * sizeof(char *)));
  if (lines == NULL) fail("sort: no memory\n");
  char line[512];
  for (;;) {
    long length = read_line(&reader, line, sizeof(line));
    if (length < 0) break;
    char *copy = count < limit ? sbrk(length + 1) : NULL;
    if (copy == NULL) fail("sort: more than %lu lines\n", limit);
    memcpy(copy, line, (size_t)length + 1);
    lines[count++] = copy;
  }
  merge_sort(lines, lines + limit, count);
  for (u64 i = 0; i < count; i++) printf("%s\n", lines[i]);
  return 0;
}
