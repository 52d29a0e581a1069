export { decodeBase64 } from './base64.ts'
export { generateSkeleton, SkeletonError, type SkeletonSettings } from './generate.ts'
export { loadSkeleton, Skeleton, type SkeletonOptions } from './skeleton.ts'
