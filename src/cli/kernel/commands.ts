/** The commands that look at a kernel, one row each: bpftool's groups, names and words. */
import type { KernelCommand } from './command.ts'

const MAP = '(id N | name NAME | pinned PATH)'
const PROG = '(id N | name NAME | tag TAG | pinned PATH)'
const LINK = '(id N | pinned PATH)'
const load = '--load bpf/syscount.bpf.o'

export const kernelCommands: readonly KernelCommand[] = [
  {
    group: 'prog',
    name: 'list',
    alias: 'show',
    words: `[${PROG}]`,
    summary: 'Lists programs: id, type, name, tag, sizes, maps, types.',
    examples: [
      [`anybpf prog list ${load}`, 'what an object becomes in a guest'],
      ['anybpf prog list --on linux -p', 'the programs of this machine, as JSON'],
    ],
    load: async () => (await import('./prog-list.ts')).listPrograms,
  },
  {
    group: 'prog',
    name: 'dump',
    words: `xlated ${PROG} [file FILE] [opcodes] [linum]`,
    summary: 'Lists the instructions of a program as the kernel has rewritten them, with the lines of C.',
    examples: [
      [`anybpf prog dump xlated name syscall_entry ${load}`, 'with the lines that clang noted'],
      ['anybpf prog dump xlated id 7 opcodes linum --on linux', 'with bytes, files and line numbers'],
    ],
    load: async () => {
      const { dumpXlated } = await import('./prog-dump.ts')
      return (context, words) => {
        words.oneOf(['xlated'])
        dumpXlated(context, words)
      }
    },
  },
  {
    group: 'prog',
    name: 'load',
    words: 'OBJECT PATH [type TYPE] [pinmaps FOLDER]',
    summary: 'Loads the first program of an object and pins it.',
    examples: [
      ['anybpf prog load mine.bpf.o /sys/fs/bpf/mine --on linux', 'it stays until the file is removed'],
    ],
    load: async () => (await import('./prog-load.ts')).loadProgram,
  },
  {
    group: 'prog',
    name: 'loadall',
    words: 'OBJECT FOLDER [type TYPE] [pinmaps FOLDER]',
    summary: 'Loads all programs of an object and pins each in a folder, under its own name.',
    examples: [['anybpf prog loadall mine.bpf.o /sys/fs/bpf/mine --on linux', 'the folder must be there']],
    load: async () => (await import('./prog-load.ts')).loadAllPrograms,
  },
  {
    group: 'prog',
    name: 'pin',
    words: `${PROG} PATH`,
    summary: 'Pins a program to a path of a bpffs.',
    examples: [['anybpf prog pin id 7 /sys/fs/bpf/seven --on linux', 'keeps program 7 alive']],
    load: async () => (await import('./pin.ts')).pinProgram,
  },
  {
    group: 'map',
    name: 'list',
    alias: 'show',
    words: `[${MAP}]`,
    summary: 'Lists maps: id, type, name, flags, sizes, types.',
    examples: [
      [`anybpf map list ${load}`, 'the maps of an object'],
      ['anybpf map show name calls -j --on linux', 'one map of this machine, as JSON'],
    ],
    load: async () => (await import('./map-list.ts')).listMaps,
  },
  {
    group: 'map',
    name: 'dump',
    words: MAP,
    summary: 'Shows all elements of a map, by their types where the kernel has them.',
    examples: [
      [
        `anybpf map dump name entries ${load} --run 5000000`,
        'calls under way after five million instructions of the guest',
      ],
      ['anybpf map dump id 3 -j --on linux', 'bytes and types, as JSON'],
    ],
    load: async () => (await import('./map-dump.ts')).dumpMaps,
  },
  {
    group: 'map',
    name: 'create',
    words: 'PATH type TYPE key BYTES value BYTES entries N name NAME [flags N] [inner_map MAP]',
    summary: 'Creates a map and pins it.',
    examples: [
      [
        'anybpf map create /sys/fs/bpf/counts type hash key 4 value 8 entries 64 name counts --on linux',
        'an empty hash map',
      ],
    ],
    load: async () => (await import('./map-create.ts')).createPinnedMap,
  },
  {
    group: 'map',
    name: 'update',
    words: `${MAP} key [hex] BYTES value ([hex] BYTES | PROG | MAP) [any | exist | noexist]`,
    summary: 'Writes an element; a per-CPU map gets the value on each CPU.',
    examples: [['anybpf map update id 3 key 1 0 0 0 value hex ff 00 00 00 --on linux', 'a byte is a word']],
    load: async () => (await import('./map-elements.ts')).updateElement,
  },
  {
    group: 'map',
    name: 'lookup',
    words: `${MAP} key [hex] BYTES`,
    summary: 'Shows an element.',
    examples: [[`anybpf map lookup name calls key 64 0 0 0 ${load} --run 5000000`, 'write(2) is number 64']],
    load: async () => (await import('./map-elements.ts')).lookupElement,
  },
  {
    group: 'map',
    name: 'delete',
    words: `${MAP} key [hex] BYTES`,
    summary: 'Deletes an element.',
    examples: [['anybpf map delete id 3 key 1 0 0 0 --on linux', 'the key as bytes']],
    load: async () => (await import('./map-elements.ts')).deleteElement,
  },
  {
    group: 'map',
    name: 'getnext',
    words: `${MAP} [key [hex] BYTES]`,
    summary: 'Shows the key behind a key, or the first one.',
    examples: [[`anybpf map getnext name entries ${load} --run 5000000`, 'the first key in the map']],
    load: async () => (await import('./map-elements.ts')).nextKey,
  },
  {
    group: 'map',
    name: 'freeze',
    words: MAP,
    summary: 'Makes a map read-only for user space.',
    examples: [['anybpf map freeze id 3 --on linux', 'programs can still write']],
    load: async () => (await import('./map-elements.ts')).freezeMap,
  },
  {
    group: 'map',
    name: 'pin',
    words: `${MAP} PATH`,
    summary: 'Pins a map to a path of a bpffs.',
    examples: [['anybpf map pin id 3 /sys/fs/bpf/three --on linux', 'keeps map 3 alive']],
    load: async () => (await import('./pin.ts')).pinMap,
  },
  {
    group: 'btf',
    name: 'list',
    alias: 'show',
    words: '[id N]',
    summary: 'Lists types that a kernel holds, and the programs and maps that use them.',
    examples: [[`anybpf btf list ${load}`, 'those of the guest and of the object']],
    load: async () => (await import('./btf-list.ts')).listTypes,
  },
  {
    group: 'link',
    name: 'list',
    alias: 'show',
    words: `[${LINK}]`,
    summary: 'Lists links: what is attached, and where.',
    examples: [[`anybpf link list ${load}`, 'the probes of an object']],
    load: async () => (await import('./link-list.ts')).listLinks,
  },
  {
    group: 'link',
    name: 'detach',
    words: LINK,
    summary: 'Detaches a program from where a link holds it.',
    examples: [['anybpf link detach id 2 --on linux', 'the program stays loaded']],
    load: async () => (await import('./link-detach.ts')).detachLink,
  },
  {
    group: 'link',
    name: 'pin',
    words: `${LINK} PATH`,
    summary: 'Pins a link to a path of a bpffs.',
    examples: [['anybpf link pin id 2 /sys/fs/bpf/two --on linux', 'keeps the program attached']],
    load: async () => (await import('./pin.ts')).pinLink,
  },
  {
    group: 'feature',
    name: 'probe',
    words: '[kernel] [full]',
    summary: 'Finds out what a kernel can do: program types, map types, helpers, settings.',
    examples: [
      ['anybpf feature probe', 'what the guest can do'],
      ['anybpf feature probe -p --on linux', 'what this machine can do, as JSON'],
    ],
    load: async () => (await import('./feature-probe.ts')).probeKernel,
  },
]
