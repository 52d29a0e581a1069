#!/usr/bin/env node
import { fileURLToPath } from 'node:url'
import { runKept } from './kept-code.ts'

const beside = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

// The build makes one script of all modules; where there is none, as in the sources, they are loaded one by one.
if (!runKept(beside('anybpf.cjs'), beside('start.js'))) await import('./start.ts')
