// Open files and the nodes of the file system.
#pragma once

#include "abi.h"
#include "task.h"
#include "types.h"

struct file;
struct text_buffer;

// What kind of thing a file is. A missing operation answers with the errno named here.
struct file_ops {
  long (*read)(struct file *file, u64 user_buffer, u64 count);        // EINVAL
  long (*write)(struct file *file, u64 user_buffer, u64 count);       // EINVAL
  long (*seek)(struct file *file, i64 offset, int whence);            // ESPIPE
  long (*ioctl)(struct file *file, u64 request, u64 argument);        // ENOTTY
  int (*poll)(struct file *file);                                     // POLLIN | POLLOUT
  long (*sync)(struct file *file);                                    // EINVAL
  long (*open)(struct file *file);                                    // called when a device is opened; 0
  void (*release)(struct file *file);                                 // the last descriptor is gone
};

// An open file; descriptors of several tasks may share it.
struct file {
  int references;
  u32 flags; // O_ACCMODE, O_APPEND, O_NONBLOCK
  const struct file_ops *ops;
  struct node *node;  // NULL for pipes
  struct pipe *pipe;
  u64 offset;
  struct file *next_free;
};

enum node_kind { NODE_DIRECTORY, NODE_REGULAR, NODE_DEVICE, NODE_TEXT };

// A name in the file tree with what it names: there are no hard links, so one struct serves for both.
struct node {
  enum node_kind kind;
  u32 ino;
  u32 mode; // as st_mode
  int references; // open files, working directories, walks under way
  bool linked;    // has a place in the tree; without one the node goes when references reach 0
  struct node *parent, *first_child, *next_sibling;
  char name[NAME_MAX + 1];
  u64 size;
  const u8 *image; // NODE_REGULAR: contents in the kernel image, as long as nobody wrote
  u8 **pages;      // NODE_REGULAR: a page of pointers to data pages; NULL in it is a page of zeros
  const struct file_ops *device;             // NODE_DEVICE
  u64 rdev;                                  // NODE_DEVICE
  void (*print)(struct text_buffer *buffer); // NODE_TEXT: writes the contents
  i64 mtime_ns;
};
