/// <reference lib="esnext.disposable" preserve="true" />
export { LinuxSyscalls } from './linux-syscalls.ts'
export { openLinux } from './open-linux.ts'
export { LinuxUnavailable, type LinuxUnavailableCode } from './unavailable.ts'
