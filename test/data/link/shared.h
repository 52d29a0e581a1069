/* What all files of the linked programs include. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#ifndef __hidden
#define __hidden __attribute__((visibility("hidden")))
#endif
#define __tag(name) __attribute__((btf_decl_tag(#name)))
