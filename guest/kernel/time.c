// Time: the time register, in its own ticks and in nanoseconds.
//
// There is no clock that knows the date: CLOCK_REALTIME is a fixed date plus the time since boot, so that two runs
// of one script print the same.

#include "defs.h"

#define NS_PER_SECOND 1000000000ul
#define BOOT_DATE_S 1767225600ul // 2026-01-01 00:00:00 UTC

u64 ns_from_ticks(u64 ticks) {
  u64 hz = boot_info.timebase_hz;
  return ticks / hz * NS_PER_SECOND + ticks % hz * NS_PER_SECOND / hz;
}

u64 ticks_from_ns(u64 ns) {
  u64 hz = boot_info.timebase_hz;
  return ns / NS_PER_SECOND * hz + (ns % NS_PER_SECOND * hz + NS_PER_SECOND - 1) / NS_PER_SECOND;
}

u64 time_ns(void) { return ns_from_ticks(read_time()); }

u64 realtime_ns(void) { return BOOT_DATE_S * NS_PER_SECOND + time_ns(); }
