// The integer types and the few macros that every file of the kernel and of the user programs uses.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef signed char i8;
typedef short i16;
typedef int i32;
typedef long i64;
typedef unsigned long size_t;
typedef _Bool bool;

#define true 1
#define false 0
#define NULL ((void *)0)

#define ARRAY_LENGTH(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

// A function that a tracer may want to probe: it stays one function, with its name and its arguments.
#define PROBEABLE __attribute__((noinline, used))
#define NORETURN __attribute__((noreturn))
#define PRINTF_LIKE(format_index, first_index) __attribute__((format(printf, format_index, first_index)))
