#!/usr/bin/env node
import { fileURLToPath } from 'node:url'
import { runKept } from './kept-code.ts'

// The build makes one script of all modules; where there is none, as in the sources, they are loaded one by one.
if (!runKept(fileURLToPath(new URL('anybpf.cjs', import.meta.url)))) await import('./start.ts')
