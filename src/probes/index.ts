export * from './target.ts'
