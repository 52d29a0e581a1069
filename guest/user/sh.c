// sh: a shell for scripts and for the console.
//
//   sh [SCRIPT] | sh -c COMMANDS
//   words, 'quotes' and "quotes", $? , pipelines a | b, redirections < > >> 2> 2>&1, a; b, a & and a && b, a || b,
//   # comments
//   built in: cd DIR, exit [CODE], wait, repeat N COMMAND...

#include "libc.h"

#define MAX_WORDS 32
#define MAX_LINE 256

enum token_kind { TOKEN_END, TOKEN_WORD, TOKEN_PIPE, TOKEN_IN, TOKEN_OUT, TOKEN_APPEND, TOKEN_ERROR, TOKEN_ERROR_TO_OUT,
                  TOKEN_SEPARATOR, TOKEN_BACKGROUND, TOKEN_AND, TOKEN_OR };

struct token {
  enum token_kind kind;
  char *text;
};

struct command {
  char *words[MAX_WORDS + 1];
  int count;
  char *input, *output, *error;
  bool append, error_to_output;
};

static int last_status;
static bool interactive;

static const struct {
  char text[5];
  enum token_kind kind;
} operators[] = {{"2>&1", TOKEN_ERROR_TO_OUT}, {"2>", TOKEN_ERROR}, {">>", TOKEN_APPEND}, {"&&", TOKEN_AND},
                 {"||", TOKEN_OR},             {"|", TOKEN_PIPE},   {"<", TOKEN_IN},      {">", TOKEN_OUT},
                 {";", TOKEN_SEPARATOR},       {"&", TOKEN_BACKGROUND}};

// The next token at *at. Words are written to *store, which moves on behind them.
static struct token next_token(const char **at, char **store) {
  while (**at == ' ' || **at == '\t') (*at)++;
  if (**at == 0 || **at == '#') return (struct token){.kind = TOKEN_END};
  for (u64 i = 0; i < ARRAY_LENGTH(operators); i++) {
    u64 length = strlen(operators[i].text);
    if (strncmp(*at, operators[i].text, length) != 0) continue;
    *at += length;
    return (struct token){.kind = operators[i].kind};
  }
  struct token token = {.kind = TOKEN_WORD, .text = *store};
  char quote = 0;
  for (; **at != 0 && (quote != 0 || strchr(" \t|<>;&", **at) == NULL); (*at)++) {
    char c = **at;
    if (quote == 0 && (c == '\'' || c == '"')) {
      quote = c;
    } else if (c == quote) {
      quote = 0;
    } else if (c == '$' && quote != '\'' && (*at)[1] == '?') {
      *store += snprintf(*store, 8, "%d", last_status);
      (*at)++;
    } else {
      *(*store)++ = c;
    }
  }
  *(*store)++ = 0;
  return token;
}

static void redirect(const char *path, int flags, int fd) {
  int opened = open(path, flags);
  if (opened < 0) fail("sh: %s: %s\n", path, error_name(opened));
  dup2(opened, fd);
  close(opened);
}

static NORETURN void run_program(struct command *command) {
  if (command->input != NULL) redirect(command->input, O_RDONLY, 0);
  if (command->output != NULL) {
    redirect(command->output, O_WRONLY | O_CREAT | (command->append ? O_APPEND : O_TRUNC), 1);
  }
  if (command->error != NULL) redirect(command->error, O_WRONLY | O_CREAT | O_TRUNC, 2);
  if (command->error_to_output) dup2(1, 2);
  char path[PATH_MAX];
  snprintf(path, sizeof(path), strchr(command->words[0], '/') != NULL ? "%s" : "/bin/%s", command->words[0]);
  int error = execve(path, command->words, NULL);
  fprintf(2, "sh: %s: %s\n", command->words[0], error_name(error));
  exit(error == -ENOENT ? 127 : 126);
}

static int status_of(int status) { return (status & 0x7f) != 0 ? 128 + (status & 0x7f) : status >> 8; }

static void set_foreground(int pgid) { syscall(SYS_ioctl, 0, TIOCSPGRP, &pgid); }

// Starts the commands of a pipeline in a process group of their own; waits for them unless in the background.
static void run_pipeline(struct command *commands, int count, bool background) {
  int input = 0, group = 0, last = 0;
  for (int i = 0; i < count; i++) {
    int ends[2] = {0, 1};
    if (i < count - 1 && pipe(ends) < 0) fail("sh: no pipe\n");
    int pid = fork();
    if (pid == 0) {
      if (interactive) syscall(SYS_setpgid, 0, group);
      if (input != 0) dup2(input, 0), close(input);
      if (ends[1] != 1) dup2(ends[1], 1), close(ends[1]), close(ends[0]);
      run_program(&commands[i]);
    }
    if (pid < 0) fprintf(2, "sh: cannot fork: %s\n", error_name(pid));
    if (group == 0) group = pid;
    if (interactive && pid > 0) syscall(SYS_setpgid, pid, group);
    if (input != 0) close(input);
    if (ends[1] != 1) close(ends[1]);
    input = ends[0];
    last = pid;
  }
  if (background) {
    if (interactive) printf("[%d]\n", last);
    return;
  }
  if (interactive) set_foreground(group);
  for (int running = count; running > 0;) {
    int status, pid = waitpid(interactive ? -group : -1, &status, 0);
    if (pid < 0) break;
    if (pid == last) last_status = status_of(status), running--;
    else if (interactive) running--;
    if (!interactive && pid == last) break;
  }
  if (interactive) set_foreground(getpid());
}

static bool run_built_in(struct command *command) {
  char **words = command->words;
  if (strcmp(words[0], "cd") == 0) {
    int error = chdir(command->count > 1 ? words[1] : "/");
    if (error < 0) fprintf(2, "sh: cd: %s: %s\n", words[1], error_name(error));
    last_status = error < 0;
  } else if (strcmp(words[0], "exit") == 0) {
    exit(command->count > 1 ? (int)parse_number(words[1]) : last_status);
  } else if (strcmp(words[0], "wait") == 0) {
    while (waitpid(-1, NULL, 0) > 0) {
    }
    last_status = 0;
  } else {
    return false;
  }
  return true;
}

static void run_commands(struct command *commands, int count, bool background) {
  int times = 1;
  struct command *first = &commands[0];
  if (first->count > 2 && strcmp(first->words[0], "repeat") == 0) {
    times = (int)parse_number(first->words[1]);
    first->count -= 2;
    for (int i = 0; i <= first->count; i++) first->words[i] = first->words[i + 2];
  }
  for (; times > 0; times--) {
    if (count == 1 && run_built_in(first)) continue;
    run_pipeline(commands, count, background);
  }
}

static int syntax_error(const char *line) {
  fprintf(2, "sh: syntax error: %s\n", line);
  last_status = 2;
  return -1;
}

// Runs the first list element of the line, unless skip. Moves *at behind it and returns what separated it from the
// next one.
static int run_element(const char *line, const char **at, bool skip) {
  static struct command commands[8];
  static char store[MAX_LINE * 2];
  char *free_store = store;
  int count = 1;
  memset(commands, 0, sizeof(commands));
  for (;;) {
    struct command *command = &commands[count - 1];
    struct token token = next_token(at, &free_store);
    switch (token.kind) {
    case TOKEN_WORD:
      if (command->count == MAX_WORDS) return syntax_error(line);
      command->words[command->count++] = token.text;
      continue;
    case TOKEN_IN:
    case TOKEN_OUT:
    case TOKEN_APPEND:
    case TOKEN_ERROR: {
      struct token path = next_token(at, &free_store);
      if (path.kind != TOKEN_WORD) return syntax_error(line);
      if (token.kind == TOKEN_IN) command->input = path.text;
      if (token.kind == TOKEN_ERROR) command->error = path.text;
      if (token.kind == TOKEN_OUT || token.kind == TOKEN_APPEND) command->output = path.text;
      command->append = token.kind == TOKEN_APPEND;
      continue;
    }
    case TOKEN_ERROR_TO_OUT: command->error_to_output = true; continue;
    case TOKEN_PIPE:
      if (command->count == 0 || count == (int)ARRAY_LENGTH(commands)) return syntax_error(line);
      count++;
      continue;
    default:
      if (command->count == 0 && (count > 1 || token.kind == TOKEN_AND || token.kind == TOKEN_OR)) {
        return syntax_error(line);
      }
      if (command->count > 0 && !skip) run_commands(commands, count, token.kind == TOKEN_BACKGROUND);
      return token.kind;
    }
  }
}

static void run_line(const char *line) {
  const char *at = line;
  bool skip = false;
  for (;;) {
    int separator = run_element(line, &at, skip);
    if (separator < 0 || separator == TOKEN_END) return;
    skip = (separator == TOKEN_AND && last_status != 0) || (separator == TOKEN_OR && last_status == 0);
  }
}

int main(int argc, char **argv) {
  static struct reader reader;
  char line[MAX_LINE];
  if (argc > 2 && strcmp(argv[1], "-c") == 0) {
    run_line(argv[2]);
    return last_status;
  }
  if (argc > 1) {
    reader.fd = open(argv[1], O_RDONLY | O_CLOEXEC);
    if (reader.fd < 0) fail("sh: %s: %s\n", argv[1], error_name(reader.fd));
  } else {
    struct termios settings;
    interactive = syscall(SYS_ioctl, 0, TCGETS, &settings) == 0;
  }
  if (interactive) {
    syscall(SYS_setpgid, 0, 0);
    set_foreground(getpid());
  }
  for (;;) {
    if (interactive) printf("# ");
    if (read_line(&reader, line, sizeof(line)) < 0) break;
    run_line(line);
  }
  if (interactive) printf("\n");
  return last_status;
}
