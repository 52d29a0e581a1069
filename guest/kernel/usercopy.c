// Copies between the kernel and the user's memory. A user's pointer is a number until one of these has looked at it:
// outside the user's half, or not mapped, it is -EFAULT.

#include "defs.h"

u64 user_copy(void *to, const void *from, u64 size);
u64 user_clear(void *to, u64 size);
long user_copy_string(char *to, const char *from, u64 size);

static bool in_user_half(u64 address, u64 size) { return address < USER_TOP && size <= USER_TOP - address; }

PROBEABLE long copy_from_user(void *to, u64 from, u64 size) {
  if (!in_user_half(from, size)) return -EFAULT;
  return user_copy(to, (const void *)from, size) == 0 ? 0 : -EFAULT;
}

PROBEABLE long copy_to_user(u64 to, const void *from, u64 size) {
  if (!in_user_half(to, size)) return -EFAULT;
  return user_copy((void *)to, from, size) == 0 ? 0 : -EFAULT;
}

PROBEABLE long clear_user(u64 to, u64 size) {
  if (!in_user_half(to, size)) return -EFAULT;
  return user_clear((void *)to, size) == 0 ? 0 : -EFAULT;
}

// The string's length, -EFAULT, or -ENAMETOOLONG if it does not fit with its final 0.
PROBEABLE long copy_string_from_user(char *to, u64 from, u64 size) {
  if (from >= USER_TOP) return -EFAULT;
  u64 room = MIN(size, USER_TOP - from);
  long length = user_copy_string(to, (const char *)from, room);
  if (length < 0) return -EFAULT;
  if ((u64)length == room) return room < size ? -EFAULT : -ENAMETOOLONG;
  return length;
}
