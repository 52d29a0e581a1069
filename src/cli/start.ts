/** The command line with Node around it. */
import { EXIT_FAILURE, EXIT_OK } from './failure.ts'
import { nodeHost, packageVersion } from './node-host.ts'
import { runCli } from './program.ts'

for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    // `anybpf ... | head` closes the pipe: nobody is left to tell.
    if (error.code === 'EPIPE') process.exit(EXIT_OK)
    if (stream === process.stdout) process.stderr.write(`anybpf: standard output: ${error.message}\n`)
    process.exit(EXIT_FAILURE)
  })
}

runCli(nodeHost(), process.argv.slice(2), packageVersion()).then((exitCode) => {
  process.exitCode = exitCode
})
