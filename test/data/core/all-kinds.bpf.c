/*
 * Every kind of CO-RE relocation, on types that Linux has and on some that it has not.
 *
 * The declarations are fragments: only the names count, offsets and sizes are the loader's to find.
 */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define PORTABLE __attribute__((preserve_access_index))

typedef unsigned char u8;
typedef unsigned long u64;

char LICENSE[] SEC("license") = "GPL";

u64 sink;

struct list_head {
  struct list_head *next, *prev;
} PORTABLE;

struct task_struct {
  int pid, tgid;
  char comm[16];
  struct task_struct *real_parent;
  struct list_head tasks;
  unsigned in_execve : 1;
  int no_such_field;
  u64 start_time;
  struct {
    u64 utime;
  };
  unsigned __state;
} PORTABLE;

/* Flavours: other layouts of the same struct. */
struct task_struct___old {
  long state;
  u64 start_boottime;
} PORTABLE;
struct task_struct___wide {
  u64 pid;
} PORTABLE;

struct no_such {
  int a;
  struct {
    int b[4];
  } c;
} PORTABLE;

struct sk_buff {
  unsigned len;
  union {
    struct {
      u8 ip_summed : 2, pkt_type : 3;
    };
  };
  u8 cloned : 1;
} PORTABLE;

struct sock_common {
  volatile unsigned char skc_state;
  unsigned char skc_reuse : 4, skc_reuseport : 1;
} PORTABLE;

struct sock {
  struct sock_common __sk_common;
} PORTABLE;

struct upid {
  int nr;
} PORTABLE;
struct pid___one {
  struct upid numbers[1];
} PORTABLE;
struct pid___flexible {
  struct upid numbers[];
} PORTABLE;

enum pid_type { PIDTYPE_PID = 7, PIDTYPE_TGID = 9, PIDTYPE_NONE_SUCH = 1 };
enum bpf_cmd___other { BPF_MAP_CREATE___other = 77, BPF_PROG_LOAD___other = 5, BPF_NO_SUCH___other = 4 };
enum no_such_enum { NO_SUCH_VALUE = 3 };
typedef unsigned gfp_t;
typedef struct {
  int counter;
} atomic_t;
typedef struct {
  int z;
} no_such_t;
union nf_inet_addr {
  int all;
};
typedef void (*btf_trace_sched_switch)(void *, _Bool, struct task_struct *, struct task_struct *, unsigned);
struct list_head___same {
  struct list_head *next;
};
struct list_head___other {
  struct list_head *next;
  int extra;
};
enum pid_type___part { PIDTYPE_PID___part, PIDTYPE_TGID___part };

SEC("raw_tp/x") int fields(void **context) {
  struct task_struct *task = context[0];
  struct task_struct___old *old = context[0];

  sink += BPF_CORE_READ(task, pid) + BPF_CORE_READ(task, real_parent, tgid) + BPF_CORE_READ(task, comm[3]);
  sink += BPF_CORE_READ(task, tasks.next, prev) != 0;
  if (bpf_core_field_exists(task->no_such_field)) sink += BPF_CORE_READ(task, no_such_field);
  if (bpf_core_field_exists(old->state))
    sink += BPF_CORE_READ(old, state);
  else
    sink += BPF_CORE_READ(task, __state);
  sink += bpf_core_field_size(task->comm) + bpf_core_field_size(task->pid) + bpf_core_field_size(task->tasks);
  sink += bpf_core_field_exists(task->utime) + bpf_core_field_exists(old->start_boottime);
  sink += bpf_core_field_exists(struct no_such, a);
  sink += BPF_CORE_READ(task, utime);
  return 0;
}

SEC("raw_tp/x") int bit_fields(void **context) {
  struct sk_buff *buffer = context[0];
  struct task_struct *task = context[1];
  struct sock *sock = context[2];

  sink += BPF_CORE_READ_BITFIELD_PROBED(buffer, pkt_type) + BPF_CORE_READ_BITFIELD_PROBED(buffer, ip_summed);
  sink += BPF_CORE_READ_BITFIELD_PROBED(buffer, cloned) + BPF_CORE_READ_BITFIELD_PROBED(task, in_execve);
  sink += BPF_CORE_READ_BITFIELD_PROBED(task, pid);
  sink += __builtin_preserve_field_info(sock->__sk_common.skc_reuse, BPF_FIELD_SIGNED);
  sink += __builtin_preserve_field_info(task->pid, BPF_FIELD_SIGNED);
  sink += __builtin_preserve_field_info(task->start_time, BPF_FIELD_SIGNED);
  sink += __builtin_preserve_field_info(sock->__sk_common.skc_reuseport, BPF_FIELD_LSHIFT_U64);
  sink += __builtin_preserve_field_info(sock->__sk_common.skc_reuseport, BPF_FIELD_RSHIFT_U64);
  return 0;
}

SEC("raw_tp/x") int types(void **context) {
  sink += bpf_core_type_exists(struct task_struct) + bpf_core_type_exists(struct no_such);
  sink += bpf_core_type_exists(gfp_t) + bpf_core_type_exists(atomic_t) + bpf_core_type_exists(no_such_t);
  sink += bpf_core_type_exists(union nf_inet_addr) + bpf_core_type_exists(btf_trace_sched_switch);
  sink += bpf_core_type_exists(enum no_such_enum) + bpf_core_type_exists(enum bpf_cmd___other);
  sink += bpf_core_type_size(struct task_struct) + bpf_core_type_size(struct no_such) + bpf_core_type_size(gfp_t);
  sink += bpf_core_type_size(struct task_struct___old) + bpf_core_type_size(atomic_t);
  sink += bpf_core_type_id_local(struct task_struct) + bpf_core_type_id_local(struct { int a; });
  sink += bpf_core_type_id_kernel(struct task_struct) + bpf_core_type_id_kernel(struct no_such);
  sink += bpf_core_type_id_kernel(enum pid_type);
  sink += bpf_core_type_matches(struct list_head) + bpf_core_type_matches(struct list_head___same);
  sink += bpf_core_type_matches(struct list_head___other) + bpf_core_type_matches(struct task_struct);
  sink += bpf_core_type_matches(gfp_t) + bpf_core_type_matches(enum pid_type);
  sink += bpf_core_type_matches(enum pid_type___part) + bpf_core_type_matches(btf_trace_sched_switch);
  return 0;
}

SEC("raw_tp/x") int enumerators(void **context) {
  sink += bpf_core_enum_value(enum pid_type, PIDTYPE_TGID);
  sink += bpf_core_enum_value_exists(enum pid_type, PIDTYPE_NONE_SUCH);
  sink += bpf_core_enum_value_exists(enum no_such_enum, NO_SUCH_VALUE);
  if (bpf_core_enum_value_exists(enum pid_type, PIDTYPE_NONE_SUCH))
    sink += bpf_core_enum_value(enum pid_type, PIDTYPE_NONE_SUCH);
  sink += bpf_core_enum_value(enum bpf_cmd___other, BPF_MAP_CREATE___other);
  sink += bpf_core_enum_value(enum bpf_cmd___other, BPF_PROG_LOAD___other);
  if (bpf_core_enum_value_exists(enum bpf_cmd___other, BPF_NO_SUCH___other)) sink++;
  return 0;
}

SEC("tp_btf/sched_switch") int BPF_PROG(direct, _Bool preempt, struct task_struct *prev, struct task_struct *next) {
  sink += prev->pid + next->real_parent->tgid + prev->comm[5] + prev->start_time + prev->in_execve;
  return 0;
}

/* A signed number of another width: a load of either would get it wrong. */
SEC("tp_btf/sched_switch") int BPF_PROG(other_width, _Bool preempt, struct task_struct *prev, struct task_struct *next) {
  return ((struct task_struct___wide *)next)->pid;
}

static __noinline int subprogram(struct task_struct *task) {
  return BPF_CORE_READ(task, tgid) + bpf_core_field_exists(task->no_such_field);
}

SEC("kprobe/x") int callers(void **context) { return subprogram(context[0]) + subprogram(context[1]); }

SEC("kprobe/x") int arrays(void **context) {
  struct pid___one *one = context[0];
  struct pid___flexible *flexible = context[0];

  return BPF_CORE_READ(flexible, numbers[1].nr) + BPF_CORE_READ(flexible, numbers[0].nr) +
         BPF_CORE_READ(one, numbers[0].nr);
}

SEC("kprobe/x") int unresolved(void **context) {
  struct no_such *none = context[0];

  return BPF_CORE_READ(none, c.b[2]) + bpf_core_field_size(none->c) +
         bpf_core_enum_value(enum no_such_enum, NO_SUCH_VALUE);
}
