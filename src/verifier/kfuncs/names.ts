/** Kernel functions that the prover treats in a way of their own, by name. */

const set = (words: string): ReadonlySet<string> => new Set(words.split(' '))

export const LIST_API = set(
  'bpf_list_push_front_impl bpf_list_push_back_impl bpf_list_pop_front bpf_list_pop_back bpf_list_front bpf_list_back',
)
export const TREE_API = set(
  'bpf_rbtree_add_impl bpf_rbtree_remove bpf_rbtree_first bpf_rbtree_root bpf_rbtree_left bpf_rbtree_right',
)
/** They take an object over: what was owned becomes a member of a list or tree. */
export const INSERTS = set('bpf_list_push_front_impl bpf_list_push_back_impl bpf_rbtree_add_impl')
export const TREE_NODE_API = set('bpf_rbtree_remove bpf_rbtree_add_impl bpf_rbtree_left bpf_rbtree_right')
export const RESILIENT_LOCKS = set(
  'bpf_res_spin_lock bpf_res_spin_unlock bpf_res_spin_lock_irqsave bpf_res_spin_unlock_irqrestore',
)
export const TAKES_RESILIENT_LOCK = set('bpf_res_spin_lock bpf_res_spin_lock_irqsave')
const NUMBERS = set('bpf_iter_num_new bpf_iter_num_next bpf_iter_num_destroy')
export const TASK_WORK = set(
  'bpf_task_work_schedule_signal bpf_task_work_schedule_resume bpf_task_work_schedule_signal_impl bpf_task_work_schedule_resume_impl',
)
export const WORK_QUEUE_CALLBACK = set('bpf_wq_set_callback_impl bpf_wq_set_callback')
/** They may move packet data. */
export const CHANGES_PACKET = set('bpf_xdp_pull_data')

/** May be called with a lock held. */
export const isAllowedUnderLock = (name: string | undefined): boolean =>
  name !== undefined &&
  (LIST_API.has(name) ||
    TREE_API.has(name) ||
    name === 'bpf_refcount_acquire_impl' ||
    NUMBERS.has(name) ||
    RESILIENT_LOCKS.has(name))
