/** `anybpf gen object OUT OBJECT...`: one object of several. */
import { LinkError, type LinkInput, linkObjects } from '../../linker/index.ts'
import { CliFailure, EXIT_OK } from '../failure.ts'
import type { Host } from '../host.ts'

export interface GenObjectArguments {
  readonly output: string
  readonly objects: readonly string[]
}

export function runGenObject(host: Host, { output, objects }: GenObjectArguments): number | CliFailure {
  const inputs: LinkInput[] = []
  for (const name of objects) {
    const bytes = host.readFile(name)
    if (bytes instanceof CliFailure) return bytes
    inputs.push({ name, bytes })
  }
  const linked = linkObjects(inputs)
  if (linked instanceof LinkError) return new CliFailure(linked.message)
  return host.writeFile(output, linked) ?? EXIT_OK
}
