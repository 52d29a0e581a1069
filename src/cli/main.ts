#!/usr/bin/env node
import { nodeHost, packageVersion } from './node-host.ts'
import { runCli } from './program.ts'

// `anybpf ... | head` closes the pipe: nobody is left to tell.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    process.exit(0)
  })
}

process.exitCode = await runCli(nodeHost(), process.argv.slice(2), packageVersion())
