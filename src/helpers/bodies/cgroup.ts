/** Storage that a control group lends its programs. Source: bpf_get_local_storage() of kernel/bpf/cgroup.c of Linux. */
import { badMap } from '../access.ts'
import type { HelperBody } from '../environment.ts'

/** The value is there without being asked for; flags are none. */
export const getLocalStorage: HelperBody = (env, r1) => {
  const map = env.mapAt(r1)
  const storage = map === undefined ? undefined : env.localStorage?.(map)
  return storage ?? badMap(1, r1, map === undefined ? undefined : 'a storage that this run has none of')
}
