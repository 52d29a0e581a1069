/** `anybpf gen skeleton OBJECT`: a TypeScript module with the types of an object, and the object in it. */
import { generateSkeleton, ObjectError, objectName } from '../../client/index.ts'
import { CliFailure, EXIT_OK, EXIT_USAGE, explain } from '../failure.ts'
import type { Host } from '../host.ts'

export interface GenSkeletonArguments {
  readonly path: string
  /** Default: after the file. */
  readonly name: string | undefined
  /** Default: standard output. */
  readonly output: string | undefined
  /** `MAP=STRUCT`, for the records of buffers. */
  readonly records: readonly string[]
  /** Whether the object's bytes are in the module. */
  readonly embed: boolean
}

export function runGenSkeleton(host: Host, options: GenSkeletonArguments): number | CliFailure {
  const { path } = options
  const bytes = host.readFile(path)
  if (bytes instanceof CliFailure) return bytes
  const records: Record<string, string> = {}
  for (const setting of options.records) {
    const [, map, type] = /^([^=]+)=(.+)$/.exec(setting) ?? []
    if (map === undefined || type === undefined) {
      return new CliFailure(`--record takes MAP=STRUCT, not '${setting}'`, { exitCode: EXIT_USAGE })
    }
    records[map] = type
  }
  const text = generateSkeleton(bytes, {
    name: options.name ?? objectName(path),
    records,
    embed: options.embed,
    command: commandOf(options),
  })
  if (text instanceof ObjectError) return explain(text, { path })
  if (typeof text !== 'string') return new CliFailure(`${path}: ${text.message}`)
  if (options.output === undefined) {
    host.stdout.write(text)
    return EXIT_OK
  }
  return host.writeFile(options.output, new TextEncoder().encode(text)) ?? EXIT_OK
}

/** How to write the module again; paths as they were given. */
function commandOf({ path, name, records, embed }: GenSkeletonArguments): string {
  const parts = ['anybpf gen skeleton', path]
  if (name !== undefined) parts.push(`--name ${name}`)
  parts.push(...records.map((record) => `--record ${record}`))
  if (!embed) parts.push('--no-embed')
  return parts.join(' ')
}
