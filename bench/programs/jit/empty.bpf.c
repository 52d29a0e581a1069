#include "bench.h"

PROGRAM
{
	return 2;
}
