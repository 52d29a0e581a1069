/**
 * The kernel's functions that programs may call by their types: what they are in C, and their bodies. To add one is a
 * row here and a function under kfuncs/; `verifier/kfuncs/rows.ts` says what Linux says of it besides.
 */
import * as iterators from './kfuncs/iterators.ts'
import * as objects from './kfuncs/objects.ts'
import type { KfuncRow } from './kfuncs/row.ts'
import * as sections from './kfuncs/sections.ts'
import * as work from './kfuncs/work.ts'

/** Structs of the kernel that these functions take, where the operating system's types do not have them. */
export const kfuncStructs: readonly string[] = [
  'struct bpf_iter_num { __u64 __opaque[1]; }',
  'struct bpf_iter_bits { __u64 __opaque[2]; }',
  'struct bpf_res_spin_lock { __u32 val; }',
  'struct bpf_wq { __u64 __opaque[2]; }',
  'struct bpf_task_work { __u64 __opaque; }',
  'struct bpf_list_head { __u64 __opaque[2]; }',
  'struct bpf_list_node { __u64 __opaque[3]; }',
  'struct bpf_rb_root { __u64 __opaque[2]; }',
  'struct bpf_rb_node { __u64 __opaque[4]; }',
]

// biome-ignore format: one function a line
export const kfuncRows: readonly KfuncRow[] = [
  { declaration: 'int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end)', body: iterators.iterNumNew },
  { declaration: 'int *bpf_iter_num_next(struct bpf_iter_num *it)', body: iterators.iterNumNext },
  { declaration: 'void bpf_iter_num_destroy(struct bpf_iter_num *it)', body: iterators.iterNumDestroy },
  { declaration: 'int bpf_iter_bits_new(struct bpf_iter_bits *it, const u64 *unsafe_ptr__ign, u32 nr_words)', body: iterators.iterBitsNew },
  { declaration: 'int *bpf_iter_bits_next(struct bpf_iter_bits *it)', body: iterators.iterBitsNext },
  { declaration: 'void bpf_iter_bits_destroy(struct bpf_iter_bits *it)', body: iterators.iterBitsDestroy },
  { declaration: 'void bpf_rcu_read_lock()', body: sections.nothing },
  { declaration: 'void bpf_rcu_read_unlock()', body: sections.nothing },
  { declaration: 'void bpf_preempt_disable()', body: sections.nothing },
  { declaration: 'void bpf_preempt_enable()', body: sections.nothing },
  { declaration: 'void bpf_local_irq_save(long unsigned int *flags__irq_flag)', body: sections.localIrqSave },
  { declaration: 'void bpf_local_irq_restore(long unsigned int *flags__irq_flag)', body: sections.nothing },
  { declaration: 'int bpf_res_spin_lock(struct bpf_res_spin_lock *lock)', body: sections.resSpinLock },
  { declaration: 'void bpf_res_spin_unlock(struct bpf_res_spin_lock *lock)', body: sections.nothing },
  { declaration: 'int bpf_res_spin_lock_irqsave(struct bpf_res_spin_lock *lock, long unsigned int *flags__irq_flag)', body: sections.resSpinLockIrqsave },
  { declaration: 'void bpf_res_spin_unlock_irqrestore(struct bpf_res_spin_lock *lock, long unsigned int *flags__irq_flag)', body: sections.nothing },
  { declaration: 'void *bpf_obj_new_impl(u64 local_type_id__k, void *meta__ign)', body: objects.objNew },
  { declaration: 'void bpf_obj_drop_impl(void *p__alloc, void *meta__ign)', body: objects.objDrop },
  { declaration: 'void *bpf_percpu_obj_new_impl(u64 local_type_id__k, void *meta__ign)', body: objects.objNew },
  { declaration: 'void bpf_percpu_obj_drop_impl(void *p__alloc, void *meta__ign)', body: objects.objDrop },
  { declaration: 'void *bpf_refcount_acquire_impl(void *p__refcounted_kptr, void *meta__ign)', body: objects.refcountAcquire },
  { declaration: 'int bpf_list_push_front_impl(struct bpf_list_head *head, struct bpf_list_node *node, void *meta__ign, u64 off)', body: objects.listPushFront },
  { declaration: 'int bpf_list_push_back_impl(struct bpf_list_head *head, struct bpf_list_node *node, void *meta__ign, u64 off)', body: objects.listPushBack },
  { declaration: 'struct bpf_list_node *bpf_list_pop_front(struct bpf_list_head *head)', body: objects.listPopFront },
  { declaration: 'struct bpf_list_node *bpf_list_pop_back(struct bpf_list_head *head)', body: objects.listPopBack },
  { declaration: 'struct bpf_list_node *bpf_list_front(struct bpf_list_head *head)', body: objects.listFront },
  { declaration: 'struct bpf_list_node *bpf_list_back(struct bpf_list_head *head)', body: objects.listBack },
  { declaration: 'int bpf_rbtree_add_impl(struct bpf_rb_root *root, struct bpf_rb_node *node, bool (*less)(struct bpf_rb_node *a, const struct bpf_rb_node *b), void *meta__ign, u64 off)', body: objects.treeAdd },
  { declaration: 'struct bpf_rb_node *bpf_rbtree_remove(struct bpf_rb_root *root, struct bpf_rb_node *node)', body: objects.treeRemove },
  { declaration: 'struct bpf_rb_node *bpf_rbtree_first(struct bpf_rb_root *root)', body: objects.treeFirst },
  { declaration: 'struct bpf_rb_node *bpf_rbtree_root(struct bpf_rb_root *root)', body: objects.treeRoot },
  { declaration: 'struct bpf_rb_node *bpf_rbtree_left(struct bpf_rb_root *root, struct bpf_rb_node *node)', body: objects.treeLeft },
  { declaration: 'struct bpf_rb_node *bpf_rbtree_right(struct bpf_rb_root *root, struct bpf_rb_node *node)', body: objects.treeRight },
  { declaration: 'void bpf_throw(u64 cookie)', body: objects.throwException },
  { declaration: 'void *bpf_rdonly_cast(const void *obj__ign, u32 btf_id__k)', body: objects.same },
  { declaration: 'int bpf_wq_init(struct bpf_wq *wq, void *p__map, unsigned int flags)', body: work.wqInit },
  { declaration: 'int bpf_wq_set_callback_impl(struct bpf_wq *wq, int (*callback_fn)(void *map, int *key, void *value), unsigned int flags, void *aux__prog)', body: work.wqSetCallback },
  { declaration: 'int bpf_wq_start(struct bpf_wq *wq, unsigned int flags)', body: work.wqStart },
  { declaration: 'int bpf_task_work_schedule_signal_impl(struct task_struct *task, struct bpf_task_work *tw, void *map__map, int (*callback)(struct bpf_map *map, void *key, void *value), void *aux__prog)', body: work.taskWorkSchedule },
  { declaration: 'int bpf_task_work_schedule_resume_impl(struct task_struct *task, struct bpf_task_work *tw, void *map__map, int (*callback)(struct bpf_map *map, void *key, void *value), void *aux__prog)', body: work.taskWorkSchedule },
]

const nameOf = ({ declaration }: KfuncRow): string => /(\w+)\(/.exec(declaration)?.[1] ?? ''

export const kfuncBodies: ReadonlyMap<string, KfuncRow> = new Map(kfuncRows.map((row) => [nameOf(row), row]))
