/**
 * What an iterator's program is told of by types: the function that it attaches to, whose parameters are its context,
 * and the structs that it looks at. Where the operating system's own types have one, theirs is used.
 *
 * Source: DEFINE_BPF_ITER_FUNC and struct bpf_iter__* of kernel/bpf/*_iter.c, include/linux/bpf.h of Linux; of the
 * structs, the members that a program finds by name.
 */
import { BPF_ATTACH_TYPE, BPF_LINK_TYPE, BPF_MAP_TYPE, BPF_PROG_TYPE } from '../../abi/index.ts'

export const iteratorEnums = {
  bpf_map_type: BPF_MAP_TYPE,
  bpf_prog_type: BPF_PROG_TYPE,
  bpf_attach_type: BPF_ATTACH_TYPE,
  bpf_link_type: BPF_LINK_TYPE,
} as const

export const iteratorStructs: readonly string[] = [
  'struct seq_file { char *buf; size_t size; size_t from; size_t count; size_t pad_until; s64 index; s64 read_pos; }',
  'struct bpf_iter_meta { struct seq_file *seq; u64 session_id; u64 seq_num; }',
  'struct bpf_reference_count { s64 counter; }',
  'struct bpf_map { enum bpf_map_type map_type; u32 key_size; u32 value_size; u32 max_entries; u64 map_extra; u32 map_flags; u32 id; u32 btf_key_type_id; u32 btf_value_type_id; struct bpf_reference_count refcnt; struct bpf_reference_count usercnt; char name[16]; bool frozen; }',
  'struct bpf_prog_aux { struct bpf_reference_count refcnt; u32 used_map_cnt; u32 id; u32 attach_btf_id; u32 verified_insns; u64 load_time; char name[16]; bool sleepable; }',
  'struct bpf_prog { enum bpf_prog_type type; enum bpf_attach_type expected_attach_type; u32 len; u8 tag[8]; struct bpf_prog_aux *aux; }',
  'struct bpf_link { struct bpf_reference_count refcnt; u32 id; enum bpf_link_type type; enum bpf_attach_type attach_type; struct bpf_prog *prog; }',
  'struct kallsym_iter { u64 value; char type; char name[512]; char module_name[56]; int exported; int show_value; }',
]

/** By the target's name: its parameters behind the first, which all iterators share. */
export const iteratorParameters = {
  bpf_map: 'struct bpf_map *map',
  bpf_map_elem: 'struct bpf_map *map, void *key, void *value',
  bpf_prog: 'struct bpf_prog *prog',
  bpf_link: 'struct bpf_link *link',
  ksym: 'struct kallsym_iter *ksym',
  task: 'struct task_struct *task',
} as const satisfies Readonly<Record<string, string>>

export type IteratorName = keyof typeof iteratorParameters

const META = 'struct bpf_iter_meta *meta'

export const iteratorFunctions: readonly string[] = Object.entries(iteratorParameters).map(
  ([name, parameters]) => `int bpf_iter_${name}(${META}, ${parameters})`,
)

/** The contexts as programs are written for them. */
export const iteratorContexts: readonly string[] = Object.entries(iteratorParameters).map(
  ([name, parameters]) => `struct bpf_iter__${name} { ${META}; ${parameters.replaceAll(',', ';')}; }`,
)
