/* Links objects with the system's libbpf: OUT IN... */
#include <bpf/libbpf.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	struct bpf_linker *linker;
	int i;

	if (argc < 3)
		return 2;
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	linker = bpf_linker__new(argv[1], NULL);
	if (!linker)
		return 1;
	for (i = 2; i < argc; i++)
		if (bpf_linker__add_file(linker, argv[i], NULL))
			return 1;
	return bpf_linker__finalize(linker) ? 1 : 0;
}
