// yes [WORD]: prints the word, line after line, until nobody reads them.

#include "libc.h"

int main(int argc, char **argv) {
  for (;;) printf("%s\n", argc > 1 ? argv[1] : "y");
}
