#!/usr/bin/env node
import module from 'node:module'

// Most of a short command is JavaScript that V8 compiles for the first time: Node 22.1 and later keep the result.
const { enableCompileCache } = module as { enableCompileCache?: () => unknown }
enableCompileCache?.()
await import('./start.ts')
