export { generateSkeleton, SkeletonError, type SkeletonSettings } from './generate.ts'
export { decodeBase64, loadSkeleton, Skeleton, type SkeletonOptions } from './skeleton.ts'
